//! Taking routes out, and putting others in their place.

use std::rc::Rc;

use mycelia_router::{Refusal, Router};

fn routes(patterns: &[&str]) -> Router<usize> {
    let mut router = Router::new();
    for (value, pattern) in patterns.iter().enumerate() {
        router.insert(*pattern, value).unwrap();
    }
    router
}

/// Patterns that share as much of the tree as they can.
const TANGLED: [&str; 23] = [
    "a",
    "a%2Fb",
    "a/b{*x}",
    "a/bb{*x}",
    "a/b%25{*x}",
    "0123456789abcdef0{*x}",
    "a/b",
    "a/{x}",
    "a/{*x}",
    "a/{x}/c",
    "a/b{x}",
    "a/b{x}c",
    "a/bb{x}c",
    "a/b{x}cc",
    "a/d{x}c",
    "{x}",
    "{*x}",
    "{x}/b",
    "0123456789abcdef",
    "0123456789abcdefg",
    "0123456789abcdef{x}",
    "0123456789abcdef{x}0123456789abcdefg",
    "0123456789abcdef{x}0123456789abcdefh",
];

#[test]
fn a_removed_route_gives_its_value_and_takes_no_path_any_more() {
    let mut router = routes(&["users", "users/{id}", "files/{*path}"]);
    assert_eq!(router.remove("users/{id}"), Some(1));
    assert!(router.at("users/7").is_err());
    assert_eq!(router.remove("users"), Some(0));
    assert!(router.at("users").is_err());
    assert_eq!(router.remove("files/{*path}"), Some(2));
    assert!(router.at("files/a").is_err());
    assert!(router.is_empty());
}

#[test]
fn what_is_not_there_is_not_removed() {
    let mut router = routes(&["users/{id}", "a/b"]);
    for absent in
        ["users/{user}", "users/7", "users", "users/{id}/files", "{*all}", "a/{x}", "a", "users/{id", ""]
    {
        assert_eq!(router.remove(absent), None, "{absent}");
    }
    assert_eq!(router.remove("a/b"), Some(1));
    assert_eq!(router.remove("a/b"), None, "not twice");
    assert_eq!(router.len(), 1);
}

#[test]
fn the_next_best_pattern_takes_the_paths_of_a_removed_one() {
    let mut router = routes(&["a/b", "a/{x}c", "a/{x}", "{*all}"]);
    let takes = |path: &str| router.at(path).map(|hit| hit.pattern().to_string()).unwrap_or_default();
    assert_eq!((takes("a/b"), takes("a/bc")), ("a/b".to_owned(), "a/{x}c".to_owned()));
    router.remove("a/b");
    router.remove("a/{x}c");
    let takes = |path: &str| router.at(path).map(|hit| hit.pattern().to_string()).unwrap_or_default();
    assert_eq!((takes("a/b"), takes("a/bc")), ("a/{x}".to_owned(), "a/{x}".to_owned()));
    router.remove("a/{x}");
    assert_eq!(router.at("a/b").unwrap().value(), &3);
}

#[test]
fn a_removed_route_refuses_no_later_one() {
    let mut router = routes(&TANGLED);
    for pattern in TANGLED {
        router.remove(pattern).unwrap();
        let renamed = pattern.replace('x', "y");
        router.insert(&*renamed, 99).unwrap();
        assert_eq!(router.remove(&renamed), Some(99));
        router.insert(pattern, 100).unwrap();
    }
    assert_eq!(router.len(), TANGLED.len());
}

#[test]
fn each_route_can_go_and_all_others_stay() {
    for gone in TANGLED {
        let mut router = routes(&TANGLED);
        router.remove(gone).unwrap();
        let others: Vec<_> = TANGLED.iter().filter(|pattern| **pattern != gone).copied().collect();
        let fresh = routes(&others);
        for path in TANGLED.map(|pattern| pattern.replace(['{', '}', '*'], "")) {
            let taken_by =
                |router: &Router<usize>| router.at(&path).ok().map(|hit| hit.pattern().to_string());
            assert_eq!(taken_by(&router), taken_by(&fresh), "{path} without {gone}");
        }
        assert!(router.get(gone).is_none() && router.iter().all(|(pattern, _)| pattern.as_str() != gone));
    }
}

#[test]
fn values_of_removed_replaced_and_refused_routes_are_dropped() {
    let value = Rc::new(());
    let mut router = Router::new();
    router.insert("a/{x}", Rc::clone(&value)).unwrap();
    router.insert("b", Rc::clone(&value)).unwrap();
    assert!(router.insert("b", Rc::clone(&value)).is_err());
    router.replace("a/{y}", Rc::clone(&value)).unwrap();
    assert_eq!(Rc::strong_count(&value), 3);
    router.remove("b");
    assert_eq!(Rc::strong_count(&value), 2);
    drop(router);
    assert_eq!(Rc::strong_count(&value), 1);
}

#[test]
fn replace_takes_the_place_of_the_pattern_with_the_same_paths() {
    let mut router = routes(&["users/{id}", "users/me"]);
    assert_eq!(router.replace("users/{name}", 7).unwrap(), Some(0));
    assert_eq!(router.len(), 2);
    assert_eq!((router.get("users/{id}"), router.get("users/{name}")), (None, Some(&7)));
    let hit = router.at("users/ada").unwrap();
    assert_eq!((hit.params().get("name"), hit.params().get("id")), (Some("ada"), None));
    assert_eq!(router.replace("users/me", 8).unwrap(), Some(1));
    assert_eq!(router.at("users/me").unwrap().value(), &8);
}

#[test]
fn replace_adds_what_was_not_there() {
    let mut router = routes(&["users/{id}"]);
    assert_eq!(router.replace("users/{id}/files", 1).unwrap(), None);
    assert_eq!(router.replace("users", 2).unwrap(), None);
    assert_eq!(router.at("users/7/files").unwrap().value(), &1);
    assert_eq!(router.at("users").unwrap().value(), &2);
    assert_eq!(router.len(), 3);
}

#[test]
fn replace_refuses_what_is_no_pattern() {
    let mut router = routes(&["a"]);
    let error = router.replace("a/{x", 7).unwrap_err();
    assert_eq!(error.value, 7);
    assert!(matches!(error.reason, Refusal::Pattern(_)));
    assert_eq!(router.len(), 1);
}

#[test]
fn a_router_that_was_emptied_is_as_good_as_new() {
    let mut router = routes(&TANGLED);
    for _ in 0..3 {
        for pattern in TANGLED {
            router.remove(pattern).unwrap();
        }
        assert_eq!(format!("{router:?}"), "{}");
        assert!(router.at("a").is_err() && router.at("a/b/c").is_err());
        for (value, pattern) in TANGLED.iter().enumerate().rev() {
            router.insert(*pattern, value).unwrap();
        }
    }
    assert_eq!(router.at("a/bbxcc").unwrap().pattern().as_str(), "a/bb{x}c");
}
