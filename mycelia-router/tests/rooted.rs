//! Routers for paths with a slash at their beginning, and what others say to these.

use mycelia_router::{AtError, MAX_SEGMENTS, PathError, Pattern, Policy, Refusal, Router};

fn rooted<'a>(patterns: &[&'a str]) -> Router<&'a str> {
    let mut router = Router::rooted();
    for pattern in patterns {
        router.insert(*pattern, *pattern).unwrap();
    }
    router
}

fn at<'a>(router: &Router<&'a str>, path: &str) -> Result<&'a str, Option<PathError>> {
    router.at(path).map(|hit| *hit.value()).map_err(|miss| miss.broken_rule())
}

#[test]
fn every_path_begins_with_a_slash_and_the_root_is_one() {
    let router = rooted(&["/", "/users", "/users/{id}", "/v{n}/{*rest}", "/{*all}"]);
    for (path, pattern) in [
        ("/", "/"),
        ("/users", "/users"),
        ("/users/7", "/users/{id}"),
        ("/%75sers/7", "/users/{id}"),
        ("/v1/a/b", "/v{n}/{*rest}"),
        ("/other", "/{*all}"),
        ("/a%20b/c", "/{*all}"),
    ] {
        assert_eq!(at(&router, path), Ok(pattern), "{path}");
    }
    for path in ["users", "users/7", "v1/a/b", "%75sers", "a"] {
        assert_eq!(at(&router, path), Err(Some(PathError::NoLeadingSlash)), "{path}");
    }
    for (path, rule) in [
        ("", PathError::Empty),
        ("//", PathError::EmptySegment { at: 1 }),
        ("//users", PathError::EmptySegment { at: 1 }),
        ("/users/", PathError::EmptySegment { at: 7 }),
        ("/users/..", PathError::Parent { at: 7 }),
        ("/%2e", PathError::Dot { at: 1 }),
        ("/a/b%2F", PathError::EncodedSlash { at: 4 }),
        ("/%", PathError::Encoding { at: 1 }),
    ] {
        assert_eq!(at(&router, path), Err(Some(rule)), "{path}");
    }
}

#[test]
fn the_root_needs_a_pattern_and_is_taken_by_no_other() {
    let router = rooted(&["/{*all}", "/{x}"]);
    assert_eq!(at(&router, "/"), Err(None));
    assert_eq!(router.at("/").unwrap_err().to_string(), "no route for `/`");
    let mut router = rooted(&["/"]);
    assert!(matches!(router.insert("/", "").unwrap_err().reason, Refusal::Conflict { .. }));
    assert_eq!(router.at("/").unwrap().params().len(), 0);
    assert_eq!((router.remove("/"), router.remove("/")), (Some("/"), None));
    assert_eq!(at(&router, "/"), Err(None));
}

#[test]
fn parameters_are_slices_of_the_whole_path() {
    let router = rooted(&["/users/{id}/v{n}.json", "/{a}/{*rest}"]);
    for (prefix, id) in [("", "7"), ("", &*"x".repeat(70)), ("", "%41")] {
        let path = format!("{prefix}/users/{id}/v2.json");
        let hit = router.at(&path).unwrap();
        assert_eq!(hit.params().iter().collect::<Vec<_>>(), [("id", id), ("n", "2")]);
        assert_eq!((hit.params().get("n"), hit.params().path()), (Some("2"), &*path));
        assert_eq!(hit.params().to_owned().params().get("id"), Some(id));
    }
    for length in [1, 60, 61, 62, 63, 64, 65, 127, 128, 200] {
        let path = format!("/{}/b/c", "x".repeat(length));
        let hit = router.at(&path).unwrap();
        assert_eq!((hit.params().at(0).map(str::len), hit.params().get("rest")), (Some(length), Some("b/c")));
    }
}

#[test]
fn a_pattern_of_the_other_kind_is_refused() {
    let mut router = Router::rooted();
    let error = router.insert("users/{id}", 7).unwrap_err();
    assert_eq!(error.value, 7);
    assert_eq!(
        error.to_string(),
        "bad pattern `users/{id}`: it does not begin with a slash, as every path and pattern of a rooted table does"
    );
    let mut router = Router::new();
    for pattern in ["/users/{id}", "/", "/{*all}"] {
        let error = router.replace(pattern, 7).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("bad pattern `{pattern}`: it begins with a slash: leave out the leading slash")
        );
    }
    assert_eq!(
        AtError::from(router.at("/users/7").unwrap_err()).to_string(),
        "bad path `/users/7`: it begins with a slash: leave out the leading slash"
    );
    assert!("/a".parse::<Pattern>().unwrap().is_rooted() && !"a".parse::<Pattern>().unwrap().is_rooted());
}

#[test]
fn a_rooted_router_has_all_that_others_have() {
    let mut router = Router::rooted_with_policy(Policy::Scoped);
    assert!(matches!(router.insert("/a", 0).unwrap_err().reason, Refusal::NoScope { .. }));
    let pattern: Pattern = "/a/{x}".parse().unwrap();
    router.insert(pattern.requiring("a:read".parse().unwrap()), 1).unwrap();
    assert_eq!((router.get("/a/{x}"), router.get("a/{x}")), (Some(&1), None));
    assert!(router.at("/a/b").unwrap().permit(None).is_err());
    assert_eq!(router.at("/b/7").unwrap_err().nearest(), None);
    assert_eq!(router.at("/aa").unwrap_err().nearest().map(Pattern::as_str), Some("/a/{x}"));
    assert_eq!(format!("{router:?}"), r#"{"/a/{x}" requiring a:read: 1}"#);
    assert_eq!(router.clone().at("/a/b").unwrap().value(), &1);
}

#[test]
fn the_slash_at_the_beginning_is_no_segment() {
    let deepest = format!("/{}", ["a"; MAX_SEGMENTS].join("/"));
    let router = rooted(&["/{*all}", &deepest]);
    assert_eq!(at(&router, &deepest), Ok(&*deepest));
    assert_eq!(
        at(&router, &format!("{deepest}/a")),
        Err(Some(PathError::TooManySegments { segments: MAX_SEGMENTS + 1 }))
    );
    let names: Vec<_> = (0..MAX_SEGMENTS).map(|index| format!("/{{p{index}}}")).collect();
    let mut router = Router::rooted();
    router.insert(names.concat(), ()).unwrap();
    let hit = router.at(&deepest).unwrap();
    assert!(hit.params().len() == MAX_SEGMENTS && hit.params().iter().all(|(_, value)| value == "a"));
}
