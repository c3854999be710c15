//! Finding nothing: why, and what was nearly meant.

use std::error::Error;

use mycelia_router::{AtError, Miss, PathError, Router};

fn routes(patterns: &[&str]) -> Router<()> {
    let mut router = Router::new();
    for pattern in patterns {
        router.insert(*pattern, ()).unwrap();
    }
    router
}

fn miss<'r, 'p>(router: &'r Router<()>, path: &'p str) -> Miss<'r, 'p, ()> {
    router.at(path).expect_err("no route takes it")
}

fn nearest<'r>(router: &'r Router<()>, path: &str) -> Option<&'r str> {
    miss(router, path).nearest().map(|pattern| pattern.as_str())
}

#[test]
fn a_miss_names_the_path_and_the_nearest_pattern() {
    let router = routes(&["users/{id}", "files/{*path}"]);
    let miss = miss(&router, "user/7");
    assert_eq!(miss.path(), "user/7");
    assert_eq!(miss.broken_rule(), None);
    assert_eq!(miss.to_string(), "no route for `user/7`; the nearest pattern is `users/{id}`");
    assert_eq!(
        miss.into_error(),
        AtError::NoRoute { path: "user/7".into(), nearest: Some("users/{id}".into()) }
    );
}

#[test]
fn a_slip_of_the_finger_is_recognised() {
    let router = routes(&[
        "users/{id}",
        "users/{id}/files",
        "users/{id}/orders/{order}",
        "health",
        "v{n}/status",
        "logs/{*path}",
    ]);
    for (path, expected) in [
        ("usres/7", "users/{id}"),
        ("users/7/file", "users/{id}/files"),
        ("users/7/order/3", "users/{id}/orders/{order}"),
        ("users", "users/{id}"),
        ("helth", "health"),
        ("v2/statsu", "v{n}/status"),
        ("log/a/b/c/d", "logs/{*path}"),
    ] {
        assert_eq!(nearest(&router, path), Some(expected), "{path}");
    }
}

#[test]
fn what_is_like_nothing_is_near_to_nothing() {
    let router = routes(&["users/{id}", "{a}/{b}/{c}/{d}", "health"]);
    for path in ["xyzzy/7", "q", "7/users"] {
        assert_eq!(nearest(&router, path), None, "{path}");
        assert_eq!(miss(&router, path).to_string(), format!("no route for `{path}`"));
    }
    assert_eq!(nearest(&routes(&[]), "users"), None);
}

#[test]
fn of_two_as_near_the_preferred_one_is_named_whatever_came_first() {
    for patterns in [["cat/{x}", "car/{x}"], ["car/{x}", "cat/{x}"]] {
        assert_eq!(nearest(&routes(&patterns), "cas/7"), Some("car/{x}"));
    }
    for patterns in [["users/{id}/a{x}", "users/{id}/{x}b"], ["users/{id}/{x}b", "users/{id}/a{x}"]] {
        assert_eq!(nearest(&routes(&patterns), "users/7/c"), Some("users/{id}/a{x}"));
    }
}

#[test]
fn each_segment_too_few_or_too_many_counts_against_a_pattern() {
    let router = routes(&["users/{id}/a/b/c", "users/{id}/a"]);
    assert_eq!(nearest(&router, "users/7"), Some("users/{id}/a"));
    assert_eq!(nearest(&router, "users/7/x/y/z"), Some("users/{id}/a/b/c"));
    assert_eq!(nearest(&router, "users/7/a/b/d"), Some("users/{id}/a/b/c"));
}

#[test]
fn a_rest_counts_no_segment_as_too_many() {
    let router = routes(&["users/{id}/{x}", "users/list/{*rest}"]);
    assert_eq!(nearest(&router, "users/lists/a/b/c/d"), Some("users/list/{*rest}"));
}

#[test]
fn a_path_that_breaks_a_rule_says_which() {
    let router = routes(&["users/{id}"]);
    for (path, reason, text) in [
        ("", PathError::Empty, "bad path ``: it is empty"),
        (
            "users//7",
            PathError::EmptySegment { at: 6 },
            "bad path `users//7`: it has an empty segment at byte 6 (no slash at the beginning, at the end, or twice)",
        ),
        ("users/..", PathError::Parent { at: 6 }, "bad path `users/..`: it has a `..` segment at byte 6"),
        (
            "é/\u{85}",
            PathError::Control { at: 3, character: '\u{85}' },
            "bad path `é/\u{85}`: it has the control character '\\u{85}' at byte 3",
        ),
    ] {
        let miss = miss(&router, path);
        assert_eq!(miss.broken_rule(), Some(reason));
        assert_eq!(miss.to_string(), text);
        assert_eq!(miss.into_error(), AtError::Path { path: path.into(), reason });
    }
}

#[test]
fn a_path_beyond_the_limits_says_which_and_is_shown_cut_short() {
    let router = routes(&["users/{id}"]);
    let long = "é".repeat(3000);
    let error = miss(&router, &long).into_error();
    assert_eq!(
        error,
        AtError::Path { path: "é".repeat(100).into(), reason: PathError::TooLong { bytes: 6000 } }
    );
    let deep = ["a"; 40].join("/");
    assert_eq!(miss(&router, &deep).broken_rule(), Some(PathError::TooManySegments { segments: 40 }));
}

#[test]
fn a_miss_needs_nothing_of_the_values_and_can_be_copied() {
    struct Opaque;
    let mut router = Router::new();
    router.insert("users", Opaque).unwrap();
    let Err(miss) = router.at("user") else { panic!("a miss") };
    let copy = miss;
    assert_eq!(format!("{copy:?}"), r#"Miss(NoRoute { path: "user", nearest: Some("users") })"#);
    assert_eq!(copy.to_string(), miss.to_string());
}

#[test]
fn a_miss_becomes_an_error_that_borrows_nothing() {
    fn typed(router: &Router<()>, path: &str) -> Result<(), AtError> {
        router.at(path)?;
        Ok(())
    }
    fn boxed(router: &Router<()>, path: &str) -> Result<(), Box<dyn Error>> {
        router.at(path)?;
        Ok(())
    }
    fn sent(router: &Router<()>, path: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
        router.at(path)?;
        Ok(())
    }
    let router = routes(&["users/{id}"]);
    let text = "no route for `user/7`; the nearest pattern is `users/{id}`";
    let path = String::from("user/7");
    assert_eq!(typed(&router, &path).unwrap_err().to_string(), text);
    assert_eq!(boxed(&router, &path).unwrap_err().to_string(), text);
    assert_eq!(sent(&router, &path).unwrap_err().to_string(), text);
}
