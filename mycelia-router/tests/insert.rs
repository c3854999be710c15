//! Adding routes: what is refused, and what is said about it.

use std::error::Error;

use mycelia_router::{MAX_BYTES, MAX_SEGMENTS, Pattern, PatternError, PatternErrorKind, Refusal, Router};

fn inserted(patterns: &[&str]) -> Router<usize> {
    let mut router = Router::new();
    for (value, pattern) in patterns.iter().enumerate() {
        router.insert(*pattern, value).unwrap();
    }
    router
}

#[test]
fn a_router_starts_empty() {
    let router = Router::<u8>::default();
    assert!(router.is_empty() && router.iter().next().is_none());
    assert_eq!(router.len(), 0);
}

#[test]
fn routes_are_counted_and_got_by_their_text() {
    let mut router = inserted(&["a", "{x}/b", "c/{*rest}"]);
    assert_eq!((router.len(), router.is_empty()), (3, false));
    assert_eq!(router.get("a"), Some(&0));
    assert_eq!(router.get("{x}/b"), Some(&1));
    assert_eq!(router.get("{y}/b"), None, "the same paths, but not the same text");
    assert_eq!(router.get("x/b"), None, "a path is no pattern");
    assert_eq!(router.get("c/{*"), None, "nor is this");
    *router.get_mut("c/{*rest}").unwrap() = 7;
    assert_eq!(router.at("c/d").unwrap().value(), &7);
    assert!(router.get_mut("c/{*all}").is_none());
}

#[test]
fn a_pattern_can_be_a_text_an_owned_text_or_parsed() -> Result<(), Box<dyn Error>> {
    let mut router = Router::new();
    router.insert("a", 1)?;
    router.insert(String::from("b"), 2)?;
    router.insert("c".parse::<Pattern>()?, 3)?;
    assert_eq!(
        router.iter().map(|(pattern, value)| (pattern.to_string(), *value)).collect::<Vec<_>>(),
        [("a".to_owned(), 1), ("b".to_owned(), 2), ("c".to_owned(), 3)]
    );
    Ok(())
}

#[test]
fn a_conflict_names_both_patterns_and_gives_the_value_back() {
    let mut router = Router::new();
    router.insert("users/{id}/files/{*path}", "first").unwrap();
    let error = router.insert("users/{user}/files/{*rest}", "second").unwrap_err();
    assert_eq!(error.value, "second");
    assert_eq!(
        error.to_string(),
        "pattern `users/{user}/files/{*rest}` conflicts with `users/{id}/files/{*path}`: both take the same paths"
    );
    assert_eq!(
        error.reason,
        Refusal::Conflict {
            pattern: "users/{user}/files/{*rest}".into(),
            with: "users/{id}/files/{*path}".into()
        }
    );
    assert_eq!(router.len(), 1);
    assert_eq!(router.at("users/7/files/a").unwrap().value(), &"first");
}

#[test]
fn patterns_conflict_when_they_differ_in_names_only() {
    let same = [
        ("a", "a"),
        ("{x}", "{y}"),
        ("{*x}", "{*y}"),
        ("v{x}.json", "v{y}.json"),
        ("{{{x}}}", "{{{y}}}"),
        ("a/{x}/{y}/{*z}", "a/{y}/{x}/{*a}"),
        ("a/v{*x}", "a/v{*y}"),
        ("me", "%6De"),
        ("a b", "a%20b"),
        ("é", "%c3%A9"),
        ("a%2Fb", "a%2fb"),
        ("a%25{x}", "%61%25{y}"),
        ("0123456789abcdef0{x}0123456789abcdef0", "0123456789abcdef0{y}0123456789abcdef0"),
    ];
    for (one, other) in same {
        let mut router = inserted(&[one]);
        let error = router.insert(other, 1).unwrap_err();
        assert!(matches!(error.reason, Refusal::Conflict { .. }), "{one} and {other}: {error}");
    }
}

#[test]
fn patterns_that_differ_in_more_than_names_do_not_conflict() {
    let router = inserted(&[
        "a",
        "{x}",
        "{*x}",
        "a{x}",
        "{x}a",
        "a{x}a",
        "aa{x}",
        "{x}aa",
        "b{x}",
        "{{x}}",
        "a/{x}",
        "{x}/a",
        "a/{*x}",
        "a/b{*x}",
        "a/bb{*x}",
        "a/b{x}",
        "a/{x}/b",
        "a%2Fb",
        "a%252Fb",
        "{x}/{*y}",
        "{x}/{y}",
        "A",
        "é{x}",
        "{x}é",
        "0123456789abcdef",
        "0123456789abcdef{x}",
        "{x}0123456789abcdef",
        "0123456789abcdefg",
        "0123456789abcdefg{x}",
    ]);
    assert_eq!(router.len(), 29);
    for (value, (pattern, _)) in router.iter().enumerate() {
        assert!(router.get(pattern.as_str()).is_some(), "{value}: {pattern}");
    }
}

#[test]
fn a_refused_route_leaves_the_router_as_it_was() {
    let mut router = inserted(&["a/{x}", "b"]);
    for refused in ["a/{y}", "b", "a/{y", "a//b", "{*x}/b", ""] {
        assert_eq!(router.insert(refused, 9).unwrap_err().value, 9);
    }
    assert_eq!(format!("{router:?}"), r#"{"a/{x}": 0, "b": 1}"#);
}

#[test]
fn a_bad_pattern_says_what_is_wrong_and_where() {
    let errors = [
        ("", "bad pattern ``: it is empty"),
        ("/a", "bad pattern `/a`: it begins with a slash: leave out the leading slash"),
        ("/", "bad pattern `/`: it begins with a slash: leave out the leading slash"),
        (
            "a//b",
            "bad pattern `a//b`: it has an empty segment at byte 2 (no slash at the beginning, at the end, or twice)",
        ),
        (
            "a/",
            "bad pattern `a/`: it has an empty segment at byte 2 (no slash at the beginning, at the end, or twice)",
        ),
        ("é/..", "bad pattern `é/..`: it has a `..` segment at byte 3"),
        ("é/%2e.", "bad pattern `é/%2e.`: it has a `..` segment at byte 3"),
        ("./a", "bad pattern `./a`: it has a `.` segment at byte 0"),
        (
            "{a}/100%",
            "bad pattern `{a}/100%`: `%` at byte 7 is not followed by two hexadecimal digits (a literal `%` is written `%25`)",
        ),
        ("{a}b%C3", "bad pattern `{a}b%C3`: it is not UTF-8 when it is percent-decoded, from byte 4 on"),
        ("{a}%0a", "bad pattern `{a}%0a`: it has the control character '\\n' at byte 3"),
        ("é\u{1b}", "bad pattern `é\u{1b}`: it has the control character '\\u{1b}' at byte 2"),
        ("a/{id", "bad pattern `a/{id`: `{` at byte 2 is never closed (a literal brace is written twice)"),
        ("a/id}", "bad pattern `a/id}`: `}` at byte 4 closes nothing (a literal brace is written twice)"),
        ("é/{}", "bad pattern `é/{}`: the parameter at byte 4 has no name"),
        (
            "{a{b}",
            "bad pattern `{a{b}`: `a{b` at byte 1 is no name for a parameter (one segment is `{name}`, the rest `{*name}`; \
             there are no regular expressions)",
        ),
        ("é{a}/{a}", "bad pattern `é{a}/{a}`: a second parameter is called `a`, at byte 7"),
        ("{{{a}{b}", "bad pattern `{{{a}{b}`: a second parameter in one segment, at byte 5"),
        ("{*a}/b", "bad pattern `{*a}/b`: something follows `{*…}`, at byte 4"),
        ("{*b}}}", "bad pattern `{*b}}}`: text follows `{*…}`, at byte 0, in its segment"),
        ("a{*b}c", "bad pattern `a{*b}c`: text follows `{*…}`, at byte 1, in its segment"),
        (
            "users/{id?}",
            "bad pattern `users/{id?}`: `{id?}` at byte 7 is another router's notation: write the two patterns `users` and `users/{id}`",
        ),
        (
            "users/{id...}",
            "bad pattern `users/{id...}`: `{id...}` at byte 7 is another router's notation: write the two patterns `users` and \
             `users/{*id}`",
        ),
        (
            "users/{id+}",
            "bad pattern `users/{id+}`: `{id+}` at byte 7 is another router's notation: write `users/{*id}`, or, if there may be \
             none, the two patterns `users` and `users/{*id}`",
        ),
    ];
    for (pattern, expected) in errors {
        let error = Router::new().insert(pattern, ()).unwrap_err();
        assert_eq!(error.to_string(), expected);
        let Refusal::Pattern(error) = error.reason else { panic!("{error}") };
        assert_eq!(error.pattern(), pattern);
    }
}

#[test]
fn a_name_is_anything_but_signs_of_some_notation() {
    for good in ["{a b}", "{-}", "{日本}", "{.}", "{..}", "{a.b}", "{%2F}", "{0}"] {
        assert!(good.parse::<Pattern>().is_ok(), "{good}");
    }
    for bad in [
        "{a*}",
        "{id:[0-9]+}",
        "{**}",
        "{*a*}",
        "{a/b}",
        "{a\u{7f}}",
        "{\n}",
        "{ {}",
        "{a?}",
        "{a+}",
        "{?}",
        "{+a}",
        "{a..}",
        "{..a}",
    ] {
        assert!(bad.parse::<Pattern>().is_err(), "{bad}");
    }
}

#[test]
fn the_limits_are_those_of_paths() {
    let longest = "a".repeat(MAX_BYTES);
    let deepest = ["{a}", &["b"; MAX_SEGMENTS - 1].join("/")].join("/");
    let mut router = inserted(&[&longest, &deepest]);
    let too_long = longest + "a";
    let error = router.insert(&*too_long, 0).unwrap_err();
    assert!(error.to_string().ends_with("it is 2049 bytes long, and the limit is 2048"), "{error}");
    let error = router.insert(deepest + "/c", 0).unwrap_err();
    assert!(error.to_string().ends_with("it has 33 segments, and the limit is 32"), "{error}");
    assert_eq!(router.len(), 2);
}

#[test]
fn a_parameter_may_stand_as_far_inside_as_a_pattern_is_long() {
    let (before, behind) = ("a".repeat(1000), "é".repeat(500));
    let mut router = Router::new();
    router.insert(format!("{before}{{x}}{behind}"), ()).unwrap();
    let path = format!("{before}-7-{behind}");
    assert_eq!(router.at(&path).unwrap().params().get("x"), Some("-7-"));
}

#[test]
fn errors_need_nothing_of_the_value() {
    struct Opaque;
    let mut router = Router::new();
    router.insert("a", Opaque).unwrap();
    let error = router.insert("a", Opaque).unwrap_err();
    assert_eq!(format!("{error:?}"), r#"InsertError { reason: Conflict { pattern: "a", with: "a" }, .. }"#);
    let error: Box<dyn Error> = error.into();
    assert!(error.to_string().starts_with("pattern `a` conflicts"));
}

#[test]
fn a_pattern_shows_the_text_it_was_made_from() -> Result<(), PatternError> {
    let pattern = Pattern::try_from("{{a}}/v{x}")?;
    assert_eq!(pattern.to_string(), "{{a}}/v{x}");
    assert_eq!(pattern.as_str(), "{{a}}/v{x}");
    assert_eq!(format!("{pattern:?}"), r#""{{a}}/v{x}""#);
    let names = Pattern::try_from("{b}/{a}/{*c}".to_owned())?;
    assert_eq!(names.names().collect::<Vec<_>>(), ["b", "a", "c"]);
    assert_eq!(pattern.names().len(), 1);
    Ok(())
}

#[test]
fn a_pattern_error_can_be_asked() {
    let error = "a/{x}-{y}".parse::<Pattern>().unwrap_err();
    assert_eq!((error.pattern(), error.kind()), ("a/{x}-{y}", &PatternErrorKind::TwoInSegment { at: 6 }));
}
