//! The parameters of a hit: by name, by place, read, decoded.

use std::borrow::Cow;
use std::net::Ipv4Addr;

use mycelia_router::{DecodeError, ParamError, Router, decode};

fn one(pattern: &str) -> Router<()> {
    let mut router = Router::new();
    router.insert(pattern, ()).unwrap();
    router
}

#[test]
fn parameters_are_had_by_name_and_by_place() {
    let router = one("{a}/lit/v{b}.json/{*c}");
    let hit = router.at("1/lit/v2.json/3/4/5").unwrap();
    let params = hit.params();
    assert_eq!((params.get("a"), params.get("b"), params.get("c")), (Some("1"), Some("2"), Some("3/4/5")));
    assert_eq!(
        (params.at(0), params.at(1), params.at(2), params.at(3)),
        (Some("1"), Some("2"), Some("3/4/5"), None)
    );
    assert_eq!((params.get("d"), params.get("")), (None, None));
    assert_eq!((params.name(0), params.name(2), params.name(3)), (Some("a"), Some("c"), None));
    assert_eq!(params.path(), "1/lit/v2.json/3/4/5");
    assert_eq!((params.len(), params.is_empty()), (3, false));
}

#[test]
fn a_literal_pattern_has_none() {
    let router = one("a/b");
    let hit = router.at("a/b").unwrap();
    assert_eq!((hit.params().len(), hit.params().is_empty()), (0, true));
    assert_eq!((hit.params().at(0), hit.params().iter().next()), (None, None));
}

#[test]
fn parameters_are_iterated_from_left_to_right() {
    let router = one("{z}/{a}/x{m}");
    let hit = router.at("1/2/x3").unwrap();
    let params = hit.params();
    assert_eq!(params.iter().collect::<Vec<_>>(), [("z", "1"), ("a", "2"), ("m", "3")]);
    let mut iter = params.iter();
    assert_eq!((iter.len(), iter.size_hint()), (3, (3, Some(3))));
    iter.next();
    assert_eq!((iter.len(), iter.clone().count()), (2, 2));
    assert_eq!(iter.by_ref().last(), Some(("m", "3")));
    assert_eq!((iter.len(), iter.next()), (0, None));
    let mut by_loop = Vec::new();
    for (name, _) in params {
        by_loop.push(name);
    }
    assert_eq!(by_loop, ["z", "a", "m"]);
    assert_eq!(format!("{params:?}"), r#"{"z": "1", "a": "2", "m": "3"}"#);
}

#[test]
fn a_value_is_what_stands_between_its_texts_and_no_less() {
    for (pattern, path, value) in [
        ("{x}.json", "a.json.json", "a.json"),
        ("v{x}", "vv", "v"),
        ("a{x}a", "aaa", "a"),
        ("a{x}a", "aaaa", "aa"),
        ("é{x}日", "éé日日", "é日"),
        ("{{{x}}}", "{{x}}", "{x}"),
        ("{x}", "日本", "日本"),
        ("{*x}", "a", "a"),
        ("a/{*x}", "a/b/c", "b/c"),
        ("a/v{*x}", "a/v1/c", "1/c"),
        ("a/v{*x}", "a/v1", "1"),
    ] {
        assert_eq!(one(pattern).at(path).unwrap().params().get("x"), Some(value), "{pattern} takes {path}");
    }
}

#[test]
fn a_value_is_a_slice_of_the_path_and_outlives_the_router() {
    let path = String::from("users/7");
    let value = {
        let router = one("users/{id}");
        router.at(&path).unwrap().params().get("id").unwrap()
    };
    assert_eq!(value.as_ptr(), path["users/".len()..].as_ptr());
}

#[test]
fn parameters_can_be_kept_beyond_the_path() {
    let router = one("{a}/v{b}.json/{*c}");
    let kept = {
        let path = String::from("1/v2.json/3/4");
        router.at(&path).unwrap().params().to_owned()
    };
    let params = kept.params();
    assert_eq!(params.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2"), ("c", "3/4")]);
    assert_eq!(params.pattern().as_str(), "{a}/v{b}.json/{*c}");
}

#[test]
fn values_are_found_wherever_segments_end() {
    let router = one("{a}/{b}/x{c}/{*rest}");
    let text = "0123456789".repeat(20);
    for a in [1, 2, 14, 15, 16, 17, 31, 62, 63, 64, 65, 126, 127, 128, 129, 200] {
        for b in [1, 3, 16, 47, 48, 62, 63, 64, 65, 130, 191, 192] {
            let path = format!("{}/{}/x7/{}/{}", &text[..a], &text[..b], &text[..b], &text[..a]);
            let hit = router.at(&path).unwrap();
            let expected = [("a", &text[..a]), ("b", &text[..b]), ("c", "7"), ("rest", &path[a + b + 5..])];
            assert_eq!(hit.params().iter().collect::<Vec<_>>(), expected);
            for (index, (name, value)) in expected.into_iter().enumerate() {
                assert_eq!((hit.params().get(name), hit.params().at(index)), (Some(value), Some(value)));
            }
        }
    }
}

#[test]
fn the_last_of_32_segments_is_found() {
    let pattern: Vec<_> = (0..32).map(|index| format!("a{{p{index}}}")).collect();
    let router = one(&pattern.join("/"));
    let path: Vec<_> = (0..32).map(|index| format!("a{}", "-".repeat(index + 1))).collect();
    let path = path.join("/");
    let hit = router.at(&path).unwrap();
    for index in 0..32 {
        assert_eq!(hit.params().at(index).map(str::len), Some(index + 1));
        assert_eq!(hit.params().get(&format!("p{index}")), hit.params().at(index));
    }
}

#[test]
fn a_parameter_is_read_as_any_type_that_has_a_text() {
    let router = one("{n}/{ip}/{text}");
    let hit = router.at("-7/127.0.0.1/a%20b").unwrap();
    assert_eq!(hit.params().parse::<i64>("n"), Ok(-7));
    assert_eq!(hit.params().parse::<Ipv4Addr>("ip"), Ok(Ipv4Addr::LOCALHOST));
    assert_eq!(hit.params().parse::<String>("text").as_deref(), Ok("a b"), "decoded");
    let hit = router.at("%2D%37/127.0.0.%31/%C3%A9").unwrap();
    assert_eq!(hit.params().parse::<i64>("n"), Ok(-7));
    assert_eq!(hit.params().parse::<Ipv4Addr>("ip"), Ok(Ipv4Addr::LOCALHOST));
    assert_eq!(hit.params().parse::<char>("text"), Ok('é'));
}

#[test]
fn a_value_that_cannot_be_read_is_named_with_its_parameter() {
    let router = one("users/{id}");
    let hit = router.at("users/x7").unwrap();
    let error = hit.params().parse::<u32>("id").unwrap_err();
    assert_eq!(error.to_string(), "parameter `id` is `x7`, which is no u32: invalid digit found in string");
    assert_eq!(
        error,
        ParamError::Invalid {
            name: "id".into(),
            value: "x7".into(),
            expected: "u32",
            reason: "invalid digit found in string".into()
        }
    );
}

#[test]
fn a_parameter_that_the_pattern_does_not_have_is_named_with_it() {
    let router = one("users/{id}");
    let error = router.at("users/7").unwrap().params().parse::<u32>("user").unwrap_err();
    assert_eq!(error.to_string(), "pattern `users/{id}` has no parameter `user`");
    assert_eq!(error, ParamError::Missing { name: "user".into(), pattern: "users/{id}".into() });
}

#[test]
fn a_value_is_decoded_on_request() {
    let router = one("{file}");
    let decoded = |path| router.at(path).unwrap().params().decode("file");
    assert_eq!(decoded("caf%C3%A9").unwrap().as_deref(), Some("café"));
    assert_eq!(decoded("a%2Fb%2e%2e").unwrap().as_deref(), Some("a/b.."));
    assert_eq!(decoded("a+b%25").unwrap().as_deref(), Some("a+b%"), "a plus is a plus");
    assert_eq!(decoded("%252e%252e").unwrap().as_deref(), Some("%2e%2e"), "once");
    assert!(matches!(decoded("plain"), Ok(Some(Cow::Borrowed("plain")))));
    assert_eq!(router.at("a").unwrap().params().decode("other"), Ok(None));
}

#[test]
fn a_value_that_was_had_by_place_is_decoded_by_itself() {
    assert_eq!(decode("file", "caf%C3%A9").as_deref(), Ok("café"));
    assert!(matches!(decode("file", "plain"), Ok(Cow::Borrowed("plain"))));
    assert_eq!(decode("file", "%C3").unwrap_err(), DecodeError { name: "file".into(), value: "%C3".into() });
}

#[test]
fn what_decodes_to_no_text_is_named() {
    let error = decode("file", "%FF").unwrap_err();
    assert_eq!(error.to_string(), "parameter `file` is `%FF`, which is no UTF-8 when decoded");
    assert_eq!(decode("file", "a%b%").as_deref(), Ok("a%b%"), "a sign that encodes nothing stays");
    assert!(one("{file}.txt").at("%FF.txt").is_err(), "no value of a router is one");
}

#[test]
fn a_value_is_what_was_written_between_its_texts_however_these_were() {
    for (pattern, path, value) in [
        ("v{x}.json", "v1%20a.json", "1%20a"),
        ("v{x}.json", "%761.json", "1"),
        ("v{x}.json", "v%31%2ejson", "%31"),
        ("v{x}.json", "%76%31%2E%6a%73%6F%6e", "%31"),
        ("é{x}日", "%C3%A9%41日", "%41"),
        ("é{x}日", "é%41%e6%97%a5", "%41"),
        ("a%2Fb{x}%25", "a%2fb-%25", "-"),
        ("a%2Fb{x}%25", "a%2fb%2f%25", "%2f"),
        ("%41{x}%41", "A%2541%41", "%2541"),
        ("v{*x}", "%761%20/%61/b", "1%20/%61/b"),
    ] {
        let router = one(pattern);
        let hit = router.at(path).unwrap();
        assert_eq!(hit.params().get("x"), Some(value), "{pattern} takes {path}");
        assert_eq!(hit.params().iter().collect::<Vec<_>>(), [("x", value)]);
        let kept = hit.params().to_owned();
        assert_eq!(kept.params().at(0), Some(value));
    }
}
