//! Finding routes: the grammar, and which of several patterns wins.

use mycelia_router::{MAX_BYTES, MAX_SEGMENTS, Router};

/// A router whose values are the patterns, inserted in this order.
fn routes<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Router<&'a str> {
    let mut router = Router::new();
    for pattern in patterns {
        router.insert(pattern, pattern).unwrap();
    }
    router
}

fn at<'a>(router: &Router<&'a str>, path: &str) -> Option<&'a str> {
    router.at(path).ok().map(|hit| *hit.value())
}

/// Which pattern takes each path, in whatever order the patterns are inserted.
fn expect(patterns: &[&str], answers: &[(&str, Option<&str>)]) {
    let forwards = routes(patterns.iter().copied());
    let backwards = routes(patterns.iter().rev().copied());
    for (path, expected) in answers {
        assert_eq!(at(&forwards, path), *expected, "{path}");
        assert_eq!(at(&backwards, path), *expected, "{path}, inserted backwards");
    }
}

#[test]
fn a_literal_takes_its_text_and_nothing_else() {
    expect(
        &["users", "users/list"],
        &[
            ("users", Some("users")),
            ("users/list", Some("users/list")),
            ("user", None),
            ("userss", None),
            ("Users", None),
            ("list", None),
            ("users/list/all", None),
            ("users/lis", None),
            ("users%2Flist", None),
        ],
    );
}

#[test]
fn a_parameter_takes_one_segment() {
    expect(
        &["users/{id}"],
        &[
            ("users/7", Some("users/{id}")),
            ("users/{id}", Some("users/{id}")),
            ("users/é", Some("users/{id}")),
            ("users", None),
            ("users/7/8", None),
            ("7", None),
        ],
    );
}

#[test]
fn the_rest_is_one_segment_or_more() {
    expect(
        &["files/{*path}"],
        &[
            ("files/a", Some("files/{*path}")),
            ("files/a/b/c", Some("files/{*path}")),
            ("files", None),
            ("file/a", None),
        ],
    );
    expect(&["{*all}"], &[("a", Some("{*all}")), ("a/b", Some("{*all}"))]);
}

#[test]
fn literal_text_may_stand_before_the_rest() {
    expect(
        &["files/v{*rest}", "files/{name}", "é{*rest}"],
        &[
            ("files/v1/a/b", Some("files/v{*rest}")),
            ("files/v1/a", Some("files/v{*rest}")),
            // A parameter is more specific than the rest, whatever text stands before that.
            ("files/v1", Some("files/{name}")),
            ("files/v", Some("files/{name}")),
            // At least one byte between the text and the next slash.
            ("files/v/a", None),
            ("files/w1/a", None),
            ("éa/b", Some("é{*rest}")),
            ("é", None),
        ],
    );
}

#[test]
fn of_two_rests_that_with_more_text_before_it_wins() {
    let long = "a/0123456789abcdef0123456789abcdef{*r}";
    let patterns =
        ["{*r}", "a/{*r}", "a/v{*r}", "a/vv{*r}", "a/w{*r}", "a/{x}/c", "a/v{x}/d", "a/b/{*r}", long];
    expect(
        &patterns,
        &[
            ("a/vv1/x", Some("a/vv{*r}")),
            ("a/v1/x", Some("a/v{*r}")),
            ("a/w1/x", Some("a/w{*r}")),
            ("a/x1/x", Some("a/{*r}")),
            ("a/v/x", Some("a/{*r}")),
            ("a/vv/x", Some("a/v{*r}")),
            ("a/vv1", Some("a/vv{*r}")),
            ("a/vv1/c", Some("a/{x}/c")),
            ("a/v1/d", Some("a/v{x}/d")),
            ("a/v1/d/e", Some("a/v{*r}")),
            ("a/b/x", Some("a/b/{*r}")),
            ("a/b", Some("a/{*r}")),
            ("v1/x", Some("{*r}")),
            ("a/0123456789abcdef0123456789abcdef-/x", Some(long)),
            ("a/0123456789abcdef0123456789abcdef/x", Some("a/{*r}")),
        ],
    );
}

#[test]
fn literal_text_may_stand_around_a_parameter() {
    expect(
        &["{name}.json", "v{major}", "é{x}日"],
        &[
            ("a.json", Some("{name}.json")),
            ("a.json.json", Some("{name}.json")),
            ("v1", Some("v{major}")),
            ("vé", Some("v{major}")),
            ("é7日", Some("é{x}日")),
            ("é日日日", Some("é{x}日")),
            ("a.jso", None),
            ("a.JSON", None),
            ("w1", None),
            ("é7本", None),
            ("è7日", None),
        ],
    );
}

#[test]
fn a_parameter_is_never_empty_and_its_texts_do_not_overlap() {
    expect(
        &["{name}.json", "v{major}", "aba{x}aba"],
        &[
            (".json", None),
            ("v", None),
            ("aba", None),
            ("ababa", None),
            ("abaaba", None),
            ("aba-aba", Some("aba{x}aba")),
        ],
    );
}

#[test]
fn literal_braces_are_written_twice() {
    expect(
        &["{{id}}", "{{{id}}}", "a}}b", "{{"],
        &[
            ("{id}", Some("{{id}}")),
            ("{7}", Some("{{{id}}}")),
            ("a}b", Some("a}}b")),
            ("{", Some("{{")),
            ("{{id}}", Some("{{{id}}}")),
            ("7", None),
            ("a}}b", None),
        ],
    );
}

#[test]
fn a_literal_wins_then_a_parameter_then_the_rest() {
    let patterns = ["a/b", "a/{x}", "{x}/b", "{x}/{y}", "a/{*r}", "{*r}"];
    expect(
        &patterns,
        &[
            ("a/b", Some("a/b")),
            ("a/c", Some("a/{x}")),
            ("c/b", Some("{x}/b")),
            ("c/d", Some("{x}/{y}")),
            ("a/b/c", Some("a/{*r}")),
            ("c/b/d", Some("{*r}")),
            ("a", Some("{*r}")),
        ],
    );
}

#[test]
fn more_literal_text_before_wins_then_more_behind() {
    let patterns = ["{x}", "a{x}", "ab{x}", "a{x}z", "a{x}yz", "{x}z", "{x}wxyz", "abc"];
    expect(
        &patterns,
        &[
            ("abc", Some("abc")),
            ("abd", Some("ab{x}")),
            ("ab-wxyz", Some("ab{x}")),
            ("a-wxyz", Some("a{x}yz")),
            ("a-z", Some("a{x}z")),
            ("a-", Some("a{x}")),
            ("-wxyz", Some("{x}wxyz")),
            ("-z", Some("{x}z")),
            ("-", Some("{x}")),
            ("a", Some("{x}")),
            ("yz", Some("{x}z")),
            ("z", Some("{x}")),
        ],
    );
}

#[test]
fn the_first_segment_that_differs_decides() {
    expect(
        &["a/{x}/{*r}", "{x}/b/c", "a{x}/b/{y}", "{*r}"],
        &[
            ("a/b/c", Some("a/{x}/{*r}")),
            ("ad/b/c", Some("a{x}/b/{y}")),
            ("d/b/c", Some("{x}/b/c")),
            ("d/b/d", Some("{*r}")),
        ],
    );
}

#[test]
fn a_choice_that_leads_nowhere_is_taken_back() {
    let patterns = ["a/b/c/d", "a/b/{x}/e", "a/{x}/c/f", "{x}/b/c/g", "a{x}/b/c/h", "a/{*r}"];
    expect(
        &patterns,
        &[
            ("a/b/c/d", Some("a/b/c/d")),
            ("a/b/c/e", Some("a/b/{x}/e")),
            ("a/b/c/f", Some("a/{x}/c/f")),
            ("a/b/c/g", Some("a/{*r}")),
            ("a/b/c/h", Some("a/{*r}")),
            ("aa/b/c/h", Some("a{x}/b/c/h")),
            ("aa/b/c/g", Some("{x}/b/c/g")),
            ("aa/b/c/d", None),
            ("b/b/c/d", None),
        ],
    );
}

#[test]
fn a_rest_further_up_takes_what_nothing_below_takes() {
    expect(
        &["{*r}", "a/{*r}", "a/{x}/{*r}", "a/{x}/c/d"],
        &[
            ("a/b/c/d", Some("a/{x}/c/d")),
            ("a/b/c", Some("a/{x}/{*r}")),
            ("a/b", Some("a/{*r}")),
            ("a", Some("{*r}")),
            ("b/b/c/d", Some("{*r}")),
        ],
    );
}

#[test]
fn long_texts_are_compared_to_their_end() {
    let sixteen = "0123456789abcdef";
    let long = [
        sixteen.to_owned(),
        format!("{sixteen}g"),
        format!("{sixteen}{sixteen}"),
        format!("{sixteen}{sixteen}g"),
        format!("{sixteen}{sixteen}h"),
        format!("{sixteen}{{x}}{sixteen}"),
        format!("{sixteen}{sixteen}{{x}}{sixteen}g"),
        format!("{sixteen}/{{x}}"),
    ];
    let router = routes(long.iter().map(String::as_str));
    for literal in &long[..5] {
        assert_eq!(at(&router, literal), Some(&**literal));
    }
    assert_eq!(at(&router, &format!("{sixteen}-{sixteen}")), Some(&*long[5]));
    assert_eq!(at(&router, &format!("{sixteen}{sixteen}-{sixteen}g")), Some(&*long[6]));
    assert_eq!(at(&router, &format!("{sixteen}{sixteen}-{sixteen}")), Some(&*long[5]));
    assert_eq!(at(&router, &format!("{sixteen}/7")), Some(&*long[7]));
    for miss in [
        &sixteen[..15],
        &format!("{sixteen}h"),
        &format!("{sixteen}{sixteen}i"),
        &format!("{sixteen}{}", &sixteen[..15]),
        &format!("{sixteen}{sixteen}{sixteen}")[1..],
        &format!("{sixteen}g/7"),
    ] {
        assert_eq!(at(&router, miss), None, "{miss}");
    }
}

#[test]
fn a_path_that_breaks_a_rule_is_taken_by_nothing() {
    let router = routes(["{*all}", "{a}", "{a}/{b}", "a{x}", ".{x}", "{x}."]);
    for path in [
        "", "/", "/a", "a/", "a//b", "..", "a/..", "../a", "a/../b", ".", "a/.", "./a", "a/./b", "a\n",
        "a/\u{7f}", "\u{9f}", "a\0",
    ] {
        assert_eq!(at(&router, path), None, "{path:?}");
    }
    for path in ["...", ".a", "a/.a", "..a", "a..", "a.", "a/...", "a b", "~", "é", "\u{a0}", "\u{20ac}"] {
        assert!(at(&router, path).is_some(), "{path:?}");
    }
}

#[test]
fn a_path_has_up_to_2048_bytes_and_32_segments() {
    assert_eq!((MAX_BYTES, MAX_SEGMENTS), (2048, 32));
    let router = routes(["{*all}"]);
    for (segments, taken) in [(MAX_SEGMENTS, true), (MAX_SEGMENTS + 1, false)] {
        assert_eq!(at(&router, &vec!["a"; segments].join("/")).is_some(), taken);
    }
    for (bytes, taken) in [(MAX_BYTES, true), (MAX_BYTES + 1, false)] {
        assert_eq!(at(&router, &"a".repeat(bytes)).is_some(), taken);
        assert_eq!(at(&router, &format!("é{}", "a".repeat(bytes - 2))).is_some(), taken);
    }
}

#[test]
fn an_empty_router_takes_nothing() {
    assert_eq!(at(&routes([]), "a"), None);
}

#[test]
fn a_hit_has_the_value_the_pattern_and_the_parameters() {
    let router = routes(["users/{id}"]);
    let hit = router.at("users/7").unwrap();
    assert_eq!((*hit.value(), hit.pattern().as_str()), ("users/{id}", "users/{id}"));
    assert_eq!(hit.params().get("id"), Some("7"));
    assert_eq!(format!("{hit:?}"), r#"Match { value: "users/{id}", params: {"id": "7"} }"#);
}

#[test]
fn a_hit_outlives_the_path_as_far_as_it_is_the_routers() {
    let router = routes(["users/{id}"]);
    let (value, pattern, name) = {
        let path = String::from("users/7");
        let hit = router.at(&path).unwrap();
        (hit.value(), hit.pattern(), hit.params().iter().next().unwrap().0)
    };
    assert_eq!((*value, pattern.as_str(), name), ("users/{id}", "users/{id}", "id"));
}

#[test]
fn a_clone_goes_its_own_way() {
    let mut router = routes(["a", "{x}/b"]);
    let clone = router.clone();
    router.remove("a");
    router.insert("c", "c").unwrap();
    assert_eq!((at(&router, "a"), at(&router, "c")), (None, Some("c")));
    assert_eq!((at(&clone, "a"), at(&clone, "c"), at(&clone, "a/b")), (Some("a"), None, Some("{x}/b")));
}

#[test]
fn a_router_is_shared_between_threads() {
    let router = routes(["users/{id}"]);
    std::thread::scope(|scope| {
        let lookups: Vec<_> = (0..2).map(|_| scope.spawn(|| at(&router, "users/7"))).collect();
        for lookup in lookups {
            assert_eq!(lookup.join().unwrap(), Some("users/{id}"));
        }
    });
}
