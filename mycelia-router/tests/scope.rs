//! Scopes: what a route requires, and who holds it.

use mycelia_router::{Pattern, Policy, Principal, Refusal, Router, Scope, WidenError};

fn scope(text: &str) -> Scope {
    text.parse().unwrap()
}

fn requiring(pattern: &str, required: &str) -> Pattern {
    pattern.parse::<Pattern>().unwrap().requiring(scope(required))
}

fn who(rights: &[&str]) -> Principal {
    Principal::new("ada", rights).unwrap()
}

fn holds(rights: &[&str], required: &str) -> bool {
    who(rights).holds(&scope(required))
}

#[test]
fn a_route_without_a_scope_is_for_all() {
    let mut router = Router::new();
    router.insert("users", ()).unwrap();
    let hit = router.at("users").unwrap();
    assert_eq!(hit.permit(None), Ok(()));
    assert_eq!(hit.permit(Some(&who(&[]))), Ok(()));
}

#[test]
fn a_route_with_a_scope_is_for_those_who_hold_it() {
    let mut router = Router::new();
    router.insert(requiring("users/{id}", "users:write"), ()).unwrap();
    let hit = router.at("users/7").unwrap();
    assert_eq!(hit.permit(Some(&who(&["users:write"]))), Ok(()));
    assert_eq!(hit.permit(Some(&who(&["users:*"]))), Ok(()));
    let denied = hit.permit(Some(&who(&["users:read"]))).unwrap_err();
    assert_eq!(denied.to_string(), "`users/{id}` requires the scope `users:write`, which ada does not hold");
    assert_eq!((&*denied.pattern, &denied.scope), ("users/{id}", &scope("users:write")));
    assert_eq!(denied.principal.as_deref(), Some("ada"));
}

#[test]
fn nobody_holds_nothing() {
    let mut router = Router::new();
    router.insert(requiring("users", "users:read"), ()).unwrap();
    let denied = router.at("users").unwrap().permit(None).unwrap_err();
    assert_eq!(denied.to_string(), "`users` requires the scope `users:read`, and it is not said who asks");
    assert_eq!(denied.principal, None);
}

#[test]
fn under_a_policy_a_route_without_a_scope_is_refused() {
    let mut router = Router::with_policy(Policy::Scoped);
    assert_eq!(router.policy(), Policy::Scoped);
    let error = router.insert("users", 7).unwrap_err();
    assert_eq!((error.value, &error.reason), (7, &Refusal::NoScope { pattern: "users".into() }));
    assert_eq!(
        error.to_string(),
        "pattern `users` requires no scope, and the router's policy is that every route does"
    );
    assert!(router.is_empty() && router.at("users").is_err());
    router.insert(requiring("users", "users:read"), 7).unwrap();
    assert!(router.replace("users", 8).is_err(), "nor is one replaced by it");
    assert_eq!(router.at("users").unwrap().value(), &7);
    assert_eq!(router.at("users").unwrap().pattern().scope(), Some(&scope("users:read")));
}

#[test]
fn without_a_policy_routes_are_open() {
    assert_eq!(Router::<()>::new().policy(), Policy::Open);
    assert_eq!(Policy::default(), Policy::Open);
}

#[test]
fn the_scope_goes_with_the_pattern_when_it_is_replaced() {
    let mut router = Router::new();
    router.insert(requiring("users/{id}", "users:write"), ()).unwrap();
    router.replace("users/{name}", ()).unwrap();
    assert_eq!(router.at("users/7").unwrap().permit(None), Ok(()));
    router.replace(requiring("users/{name}", "users:admin"), ()).unwrap();
    assert!(router.at("users/7").unwrap().permit(Some(&who(&["users:write"]))).is_err());
}

#[test]
fn a_pattern_shows_its_scope_where_it_is_debugged() {
    assert_eq!(format!("{:?}", requiring("a", "b:c")), r#""a" requiring b:c"#);
    assert_eq!(requiring("a", "b:c").to_string(), "a");
}

#[test]
fn a_scope_is_parts_with_colons_between() {
    for good in ["users", "users:write", "a:b:c", "A_1-x.y:0", &"a".repeat(256)] {
        assert_eq!(scope(good).as_str(), good);
        assert_eq!(scope(good).to_string(), good);
    }
    for bad in ["", ":", "a:", ":a", "a::b", "a b", "é", "*", "a:*", "*:a", "a/b", "a\n", &"a".repeat(257)] {
        assert!(bad.parse::<Scope>().is_err(), "{bad}");
    }
}

#[test]
fn a_bad_scope_is_shown_cut_short() {
    let error = "users write".parse::<Scope>().unwrap_err();
    assert_eq!(&*error.text, "users write");
    assert!(error.to_string().starts_with("`users write` is no scope: it must be parts of letters"));
    let error = "é".repeat(300).parse::<Scope>().unwrap_err();
    assert_eq!(error.text.chars().count(), 100);
}

#[test]
fn a_right_is_held_as_it_is_written() {
    let rights = ["users:write", "files:read", "a", "users:write"];
    for held in ["users:write", "files:read", "a"] {
        assert!(holds(&rights, held), "{held}");
    }
    for unheld in ["users", "users:read", "users:write:all", "users:writes", "files", "b", "a:b", "A"] {
        assert!(!holds(&rights, unheld), "{unheld}");
    }
}

#[test]
fn a_wildcard_covers_all_below_and_nothing_beside() {
    for held in ["users:write", "users:x", "users:files:read", "a:b:c", "a:b:c:d"] {
        assert!(holds(&["users:*", "a:b:*"], held), "{held}");
    }
    for unheld in
        ["users", "user:write", "users2:write", "a:b", "a:c", "a:c:b", "b:users:write", "write:users"]
    {
        assert!(!holds(&["users:*", "a:b:*"], unheld), "{unheld}");
    }
}

#[test]
fn a_star_covers_everything_and_no_right_covers_nothing() {
    for any in ["a", "users:write", "a:b:c"] {
        assert!(holds(&["*"], any));
        assert!(!holds(&[], any));
    }
}

#[test]
fn what_is_no_right_is_refused() {
    for bad in ["", "**", "*:a", "a:*:b", "a*", ":*", "a::*", "*:*", "a:*:*", "users:wri*"] {
        let error = Principal::new("ada", ["fine", bad]).unwrap_err();
        assert_eq!(&*error.text, bad);
    }
}

#[test]
fn rights_are_listed_in_order_without_repetition() {
    let ada = who(&["z:*", "b", "*", "a:b", "a:*", "b", "z:*"]);
    assert_eq!(ada.rights().collect::<Vec<_>>(), ["a:b", "b", "a:*", "z:*", "*"]);
    assert_eq!(who(&[]).rights().count(), 0);
    assert_eq!((ada.name(), ada.to_string()), ("ada", "ada".to_owned()));
}

#[test]
fn rights_become_fewer_when_they_are_handed_on() {
    let ada = who(&["users:*", "files:read"]);
    for narrower in [&["users:write"][..], &["users:*"], &["files:read", "users:files:*"], &[]] {
        let clerk = ada.narrowed("clerk", narrower).unwrap();
        assert_eq!(
            (clerk.name(), clerk.rights().collect::<Vec<_>>()),
            ("clerk", narrower.iter().map(|right| (*right).to_owned()).collect())
        );
    }
    let all = who(&["*"]).narrowed("root", ["*", "a:*", "b"]).unwrap();
    assert!(all.holds(&scope("c")));
}

#[test]
fn rights_never_become_more() {
    let ada = who(&["users:*", "files:read", "a"]);
    for wider in ["*", "files:*", "users", "files", "a:*", "a:b", "user:*", "files:write"] {
        let error = ada.narrowed("mallory", ["users:write", wider]).unwrap_err();
        assert_eq!(error, WidenError::NotHeld { principal: "ada".into(), right: wider.into() });
        assert_eq!(error.to_string(), format!("`ada` cannot hand on `{wider}`, which it does not hold"));
    }
    let clerk = ada.narrowed("clerk", ["users:write"]).unwrap();
    assert!(clerk.narrowed("ada", ["users:*"]).is_err(), "not even back to where they were");
    assert!(matches!(ada.narrowed("x", ["users write"]), Err(WidenError::Scope(_))));
}

#[test]
fn who_is_limited_holds_what_both_hold_and_nothing_else() {
    let rights = ["a", "a:b", "a:*", "a:b:*", "c:d", "*"];
    let scopes = ["a", "a:b", "a:c", "a:b:c", "c:d", "c", "e"].map(scope);
    let subset = |bits: u32| {
        let chosen = rights.iter().enumerate().filter(|(index, _)| bits >> index & 1 == 1);
        chosen.map(|(_, right)| *right).collect::<Vec<_>>()
    };
    for one in 0..1 << rights.len() {
        for other in 0..1 << rights.len() {
            let (one, other) = (who(&subset(one)), who(&subset(other)));
            let limited = one.limited_to(&other);
            for scope in &scopes {
                let both = one.holds(scope) && other.holds(scope);
                let message = format!("{:?} limited to {:?}: {scope}", one, other);
                assert_eq!(limited.holds(scope), both, "{message}");
            }
            let all: Vec<_> = limited.rights().collect();
            assert!(one.narrowed("x", &all).is_ok() && other.narrowed("x", &all).is_ok(), "{all:?}");
        }
    }
}

#[test]
fn who_is_limited_bears_both_names() {
    let clerk = Principal::new("clerk", ["*"]).unwrap();
    assert_eq!(clerk.limited_to(&who(&["a"])).name(), "ada as clerk");
    assert_eq!(who(&["a"]).limited_to(&who(&["b"])).name(), "ada");
}
