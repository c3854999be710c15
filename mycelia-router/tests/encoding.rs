//! Percent-encoding: each sentence of the documentation, and what goes wrong without it.

use mycelia_router::{
    AtError, MAX_BYTES, PathError, PathError::*, Pattern, Principal, Router, encode_segment, normalize,
};

/// A router whose values are the patterns.
fn routes<'a>(patterns: &[&'a str]) -> Router<&'a str> {
    let mut router = Router::new();
    for pattern in patterns {
        router.insert(*pattern, *pattern).unwrap();
    }
    router
}

fn at<'a>(router: &Router<&'a str>, path: &str) -> Result<&'a str, Option<PathError>> {
    router.at(path).map(|hit| *hit.value()).map_err(|miss| miss.broken_rule())
}

#[test]
fn an_unreserved_character_is_itself_however_it_is_written() {
    let router = routes(&["users/me", "users/{id}", "a-b._~", "{x}.json", "v{x}/list"]);
    for path in ["users/me", "users/%6De", "users/%6de", "users/m%65", "%75sers/me", "%75%73%65%72%73/%6d%65"]
    {
        assert_eq!(at(&router, path), Ok("users/me"), "{path}");
    }
    for path in ["a-b._~", "a%2Db%2e%5F%7E", "%61%2d%62._~"] {
        assert_eq!(at(&router, path), Ok("a-b._~"), "{path}");
    }
    for path in ["a.json", "a%2Ejson", "%61.js%6Fn"] {
        assert_eq!(at(&router, path), Ok("{x}.json"), "{path}");
    }
    assert_eq!(at(&router, "%761/%6Cist"), Ok("v{x}/list"));
    assert_eq!(at(&router, "users/%4De"), Ok("users/{id}"), "`Me` is not `me`");
}

#[test]
fn a_scope_is_that_of_the_pattern_that_the_decoded_path_matches() {
    let mut router = Router::new();
    let secret = |pattern: &str| pattern.parse::<Pattern>().unwrap().requiring("secret".parse().unwrap());
    for pattern in ["users/me", "users/a b", "users/é", "users/a:b", "users/x{y}", "files/{*path}"] {
        router.insert(secret(pattern), ()).unwrap();
    }
    router.insert("users/{id}", ()).unwrap();
    router.insert("{a}/{b}", ()).unwrap();
    let stranger = Principal::new("stranger", ["other"]).unwrap();
    for path in [
        "users/me",
        "users/%6De",
        "users/m%65",
        "%75sers/me",
        "users/a b",
        "users/a%20b",
        "users/é",
        "users/%c3%a9",
        "users/a:b",
        "users/a%3Ab",
        "users/%78y",
        "users/x%2F",
        "files/a",
        "%66iles/a",
    ] {
        let hit = router.at(path).unwrap();
        assert!(hit.permit(Some(&stranger)).is_err() && hit.permit(None).is_err(), "{path}");
    }
    assert!(router.at("users/you").unwrap().permit(None).is_ok());
    // Refused, and not handed on to an open pattern that would take it.
    assert_eq!(router.at("files/a%2Fb").unwrap_err().broken_rule(), Some(EncodedSlash { at: 7 }));
}

#[test]
fn an_encoded_slash_never_separates() {
    let router = routes(&["users/{id}", "users/a/b", "a%2Fb", "x{y}z/c"]);
    assert_eq!(at(&router, "users/a/b"), Ok("users/a/b"));
    for path in ["users/a%2Fb", "users/a%2fb"] {
        assert_eq!(at(&router, path), Ok("users/{id}"));
        assert_eq!(router.at(path).unwrap().params().decode("id").unwrap().as_deref(), Some("a/b"));
    }
    assert_eq!(at(&router, "users%2Fa"), Err(None));
    assert_eq!(at(&router, "users%2Fa/b"), Err(None));
    assert_eq!(at(&router, "a%2fb"), Ok("a%2Fb"), "it may be part of a pattern");
    assert_eq!(at(&router, "a/b"), Err(None));
    assert_eq!(at(&router, "x%2F%2Fz/c"), Ok("x{y}z/c"));
    assert_eq!(at(&router, "users/%2F"), Ok("users/{id}"));
}

#[test]
fn an_encoded_slash_is_refused_in_the_rest() {
    let router = routes(&["files/{*path}", "v{*path}", "{name}/raw/{*path}", "files/{name}/info"]);
    for (path, at_byte) in [("files/a%2Fb", 7), ("files/a/b%2f", 9), ("files/%61%2F", 9), ("v1%2F2/a", 2)] {
        assert_eq!(at(&router, path), Err(Some(EncodedSlash { at: at_byte })), "{path}");
    }
    assert_eq!(at(&router, "a%2Fb/raw/c"), Ok("{name}/raw/{*path}"), "before the rest it is data");
    assert_eq!(at(&router, "files/a%2Fb/info"), Ok("files/{name}/info"));
    let text = router.at("files/a%2Fb").unwrap_err().to_string();
    assert_eq!(
        text,
        "bad path `files/a%2Fb`: it has an encoded slash at byte 7, in what the pattern takes as `{*rest}`; only a `{name}` \
         segment may have one"
    );
    let mut as_written = Router::new().with_encoded_slash_in_rest();
    as_written.insert("files/{*path}", "").unwrap();
    assert_eq!(as_written.at("files/a%2Fb/%61").unwrap().params().get("path"), Some("a%2Fb/%61"));
}

#[test]
fn what_decodes_to_a_step_is_refused() {
    let router = routes(&["{*all}", "{a}", "{a}/{b}", "{a}/{b}/{c}"]);
    for step in ["%2e%2e", "%2E%2E", ".%2e", "%2E.", ".."] {
        for path in [step, &format!("{step}/a"), &format!("a/{step}"), &format!("a/{step}/b")] {
            let begins = path.find(step).unwrap();
            assert_eq!(at(&router, path), Err(Some(Parent { at: begins })), "{path}");
        }
    }
    for path in ["%2e", "a/%2E", "a/./b", "."] {
        assert!(matches!(at(&router, path), Err(Some(Dot { .. }))), "{path}");
    }
    assert_eq!(at(&router, "files/x/%2e%2e/admin"), Err(Some(Parent { at: 8 })));
    for path in ["%2e%2e%2e", ".%2ea", "..%2F", "%252e%252e", "%2e%252e"] {
        assert_eq!(at(&router, path), Ok("{a}"), "{path}");
    }
}

#[test]
fn what_decodes_to_a_control_character_is_refused() {
    let router = routes(&["{*all}", "{a}"]);
    for (path, character) in [
        ("a%00", '\0'),
        ("a%01b", '\u{1}'),
        ("a%0A", '\n'),
        ("a%1f", '\u{1f}'),
        ("a%7F", '\u{7f}'),
        ("a%C2%85", '\u{85}'),
    ] {
        assert_eq!(at(&router, path), Err(Some(Control { at: 1, character })), "{path}");
    }
    assert_eq!(at(&router, "a\u{1}b%61"), Err(Some(Control { at: 1, character: '\u{1}' })));
    assert_eq!(at(&router, "a%C2%A0"), Ok("{a}"));
}

#[test]
fn what_is_not_utf_8_is_refused() {
    let router = routes(&["{*all}", "{a}"]);
    // Cut short, a byte that begins nothing, a slash in two bytes, half a surrogate, beyond Unicode, mixed with what is there.
    for (path, at_byte) in [
        ("a%C3", 1),
        ("%ff", 0),
        ("ab%C0%AF", 2),
        ("%ED%A0%80", 0),
        ("%F4%90%80%80", 0),
        ("%C3é", 0),
        ("%C3/%A9", 0),
        ("%61%62%C3%28", 6),
    ] {
        assert_eq!(at(&router, path), Err(Some(NotUtf8 { at: at_byte })), "{path}");
    }
    assert_eq!(at(&router, "%F0%9F%A6%80"), Ok("{a}"));
}

#[test]
fn a_percent_sign_that_encodes_nothing_is_refused() {
    let router = routes(&["{*all}", "100%25", "{a}"]);
    for (path, at_byte) in [
        ("100%", 3),
        ("%", 0),
        ("%4", 0),
        ("a%zz", 1),
        ("%4g", 0),
        ("% 41", 0),
        ("%+41", 0),
        ("%é1", 0),
        ("a/%/b", 2),
    ] {
        assert_eq!(at(&router, path), Err(Some(Encoding { at: at_byte })), "{path}");
    }
    assert_eq!(at(&router, "100%25"), Ok("100%25"));
    assert_eq!(at(&router, "%3100%25"), Ok("100%25"));
    assert_eq!(
        router.at("100%").unwrap_err().to_string(),
        "bad path `100%`: `%` at byte 3 is not followed by two hexadecimal digits (a literal `%` is written `%25`)"
    );
}

#[test]
fn what_is_decoded_is_not_decoded_again() {
    let router = routes(&["users/me", "users/%256De", "users/{id}", "a%2525"]);
    assert_eq!(at(&router, "users/%256De"), Ok("users/%256De"));
    assert_eq!(at(&router, "users/%25%36De"), Ok("users/%256De"));
    assert_eq!(at(&router, "users/%25256De"), Ok("users/{id}"));
    // The text of a pattern, decoded, is not a path: `a%25` is `a%`.
    assert_eq!(at(&router, "a%25"), Err(None));
    assert_eq!(at(&router, "a%2525"), Ok("a%2525"));
}

#[test]
fn a_pattern_is_spelt_as_paths_are() {
    let router = routes(&["a%20b/{x}", "caf%c3%a9", "%7Bx%7D", "{{y}}", "q?=1&2", "{%2F}/c/d"]);
    for path in ["a%20b/c", "a b/c", "%61 b/%63"] {
        assert_eq!(at(&router, path), Ok("a%20b/{x}"), "{path}");
    }
    for (path, pattern) in [
        ("café", "caf%c3%a9"),
        ("caf%C3%A9", "caf%c3%a9"),
        ("{x}", "%7Bx%7D"),
        ("%7bx}", "%7Bx%7D"),
        ("%7By%7d", "{{y}}"),
        ("q%3f=1%262", "q?=1&2"),
        ("a/c/d", "{%2F}/c/d"),
    ] {
        assert_eq!(at(&router, path), Ok(pattern), "{path}");
    }
    assert_eq!(router.at("a/c/d").unwrap().params().get("%2F"), Some("a"), "a name is a name");
}

#[test]
fn encoded_routes_are_found_replaced_and_removed() {
    let mut router = routes(&["100%25", "a%2Fb", "a/b"]);
    assert_eq!(router.get("100%25"), Some(&"100%25"));
    assert_eq!(router.get("%3100%25"), None, "compared as texts");
    assert_eq!(router.replace("%61%2fb", "new").unwrap(), Some("a%2Fb"));
    assert_eq!(at(&router, "a%2Fb"), Ok("new"));
    assert_eq!(router.remove("%61%2fb"), Some("new"));
    assert_eq!((at(&router, "a%2Fb"), at(&router, "a/b")), (Err(None), Ok("a/b")));
}

#[test]
fn a_miss_of_an_encoded_path_names_the_path_and_the_nearest_pattern() {
    let router = routes(&["users/{id}", "café/{*path}"]);
    let miss = |path| AtError::from(router.at(path).unwrap_err());
    assert_eq!(
        miss("%75ser/7"),
        AtError::NoRoute { path: "%75ser/7".into(), nearest: Some("users/{id}".into()) }
    );
    assert_eq!(
        miss("caf%C3%A8/7"),
        AtError::NoRoute { path: "caf%C3%A8/7".into(), nearest: Some("café/{*path}".into()) }
    );
}

#[test]
fn a_long_encoded_path_is_read_to_its_end() {
    let router = routes(&["{a}/b/{c}", "{a}/{*rest}"]);
    for length in [20, 63, 64, 65, 130, 600] {
        let path = format!("{}/%62/{}", "%61".repeat(length), "%C3%A9".repeat(6));
        let hit = router.at(&path).unwrap();
        assert_eq!(*hit.value(), "{a}/b/{c}");
        assert_eq!(hit.params().decode("a").unwrap().unwrap(), "a".repeat(length));
        assert_eq!(hit.params().get("c"), Some(&*"%C3%A9".repeat(6)));
    }
    let longest = "%61".repeat(MAX_BYTES / 3);
    assert_eq!(at(&routes(&["{x}"]), &longest), Ok("{x}"));
    assert_eq!(at(&routes(&["{x}"]), &format!("{longest}%61")), Err(Some(TooLong { bytes: 2049 })));
}

#[test]
fn a_segment_is_encoded_where_it_must_be() {
    for (text, encoded) in [
        ("plain-text_1.0~", "plain-text_1.0~"),
        ("a/b", "a%2Fb"),
        ("50% off", "50%25%20off"),
        ("é", "%C3%A9"),
        ("{id}*:?#+", "%7Bid%7D%2A%3A%3F%23%2B"),
        ("%2e%2e", "%252e%252e"),
        ("...", "..."),
        (".", "%2E"),
        ("..", "%2E%2E"),
        ("\n", "%0A"),
        ("", ""),
    ] {
        assert_eq!(encode_segment(text), encoded);
    }
}

#[test]
fn what_cannot_be_a_segment_is_refused_when_it_is_written_as_one() {
    let router = routes(&["a/{x}", "a/{x}/b", "{*all}"]);
    for (text, rule) in [
        ("", EmptySegment { at: 2 }),
        (".", Dot { at: 2 }),
        ("..", Parent { at: 2 }),
        ("\n", Control { at: 2, character: '\n' }),
    ] {
        assert_eq!(at(&router, &format!("a/{}", encode_segment(text))), Err(Some(rule)));
        assert_eq!(at(&router, &format!("a/{}/b", encode_segment(text))), Err(Some(rule)));
    }
}

#[test]
fn a_path_is_normalized() {
    for (path, normal) in [
        ("users/me", "users/me"),
        ("users/%6De", "users/me"),
        ("a%2fb/%c3%A9", "a%2Fb/%C3%A9"),
        ("%2541", "%2541"),
        ("é/%7Ex", "é/~x"),
        ("/users/%6De", "/users/me"),
        ("/", "/"),
    ] {
        assert_eq!(normalize(path).as_deref(), Ok(normal));
    }
    for (path, rule) in [
        ("", Empty),
        ("a//b", EmptySegment { at: 2 }),
        ("a/%2e", Dot { at: 2 }),
        ("a/%2e.", Parent { at: 2 }),
        ("%", Encoding { at: 0 }),
        ("%ff", NotUtf8 { at: 0 }),
        ("//a", EmptySegment { at: 1 }),
    ] {
        assert_eq!(normalize(path), Err(rule), "{path}");
    }
}
