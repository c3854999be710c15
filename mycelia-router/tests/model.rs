//! Random tables and paths against the naive matcher, over so small an alphabet that patterns overlap all the time.
#![cfg(not(mycelia_loom))]

mod naive;

use mycelia_router::{AtError, Pattern, Refusal, Router, decode, encode_segment, normalize};
use naive::{Naive, Refused};
use proptest::prelude::*;
use proptest::sample::Index;

/// An edge of the tree holds 16 bytes.
const SIXTEEN: &str = "0123456789abcdef";

#[derive(Clone, Debug)]
enum Step {
    Insert(String),
    Replace(String),
    /// One of those that are there.
    Remove(Index),
    /// Any.
    RemoveText(String),
    /// A path of a pattern that is there.
    Aim(Index, Vec<String>),
    At(String),
}

/// Literal text as it is in a path.
fn text() -> impl Strategy<Value = String> {
    let atom = prop_oneof![
        6 => prop::sample::select(vec!["a", "b", "ab", "é", "日", ".", "v"]).prop_map(str::to_owned),
        1 => prop::sample::select(vec!["{", "}", "{a}", "*", "%2F", "%2f", " ", "%61", "%C3%A9", "%2E", "%25"]).prop_map(str::to_owned),
        1 => Just(SIXTEEN.to_owned()),
        1 => Just(format!("{SIXTEEN}{SIXTEEN}")),
        1 => Just(format!("{}é", &SIXTEEN[..15])),
    ];
    prop_oneof![
        4 => prop::sample::select(vec!["a", "b"]).prop_map(str::to_owned),
        3 => prop::collection::vec(atom, 1..4).prop_map(|atoms| atoms.concat()),
    ]
}

fn escaped(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

fn affix() -> impl Strategy<Value = String> {
    prop_oneof![1 => Just(String::new()), 1 => text().prop_map(|text| escaped(&text))]
}

/// A pattern; nearly always a good one.
fn pattern() -> impl Strategy<Value = String> {
    let name = || prop::sample::select(vec!["x", "y", "né"]);
    let segment = prop_oneof![
        5 => text().prop_map(|text| escaped(&text)),
        3 => name().prop_map(|name| format!("{{{name}}}")),
        3 => (affix(), name(), affix()).prop_map(|(before, name, behind)| format!("{before}{{{name}}}{behind}")),
    ];
    let rest = prop_oneof![
        3 => Just(String::new()),
        1 => Just("/{*rest}".to_owned()),
        1 => Just("/{*x}".to_owned()),
        1 => affix().prop_map(|before| format!("/{before}{{*rest}}")),
    ];
    let good = (prop::collection::vec(segment, 1..5), rest).prop_map(|(segments, rest)| {
        // Names are given once each, whatever was drawn, in most patterns.
        let segments: Vec<_> = segments
            .iter()
            .enumerate()
            .map(|(index, segment)| match index {
                0 => segment.clone(),
                _ => {
                    segment.replace("{x}", &format!("{{x{index}}}")).replace("{y}", &format!("{{y{index}}}"))
                }
            })
            .collect();
        segments.join("/") + &rest
    });
    prop_oneof![
        20 => good,
        1 => Just("{*all}".to_owned()),
        1 => affix().prop_map(|before| format!("{before}{{*all}}")),
        2 => "[{}*:/a.é%2]{0,8}",
    ]
}

fn path() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::collection::vec(text(), 1..6).prop_map(|segments| segments.join("/")),
        1 => "([{}*/a.é\u{7}\u{85}%2F]|%61|%2[eEfF]){0,10}",
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => pattern().prop_map(Step::Insert),
        1 => pattern().prop_map(Step::Replace),
        2 => any::<Index>().prop_map(Step::Remove),
        1 => pattern().prop_map(Step::RemoveText),
        5 => (any::<Index>(), prop::collection::vec(text(), 1..4)).prop_map(|(of, values)| Step::Aim(of, values)),
        1 => (any::<Index>(), Just(vec![String::new()])).prop_map(|(of, values)| Step::Aim(of, values)),
        5 => path().prop_map(Step::At),
    ]
}

/// Another spelling of a path: bytes of its segments percent-encoded, or those that are with digits of the other case, as
/// `choices` say. Its length and its slashes stay within the rules where they were.
fn spell(path: &str, choices: &[u8]) -> String {
    let mut choices = choices.iter().cycle();
    let mut spelt = String::new();
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let choice = *choices.next().unwrap();
        match byte {
            b'/' => spelt.push('/'),
            b'%' => {
                spelt.push('%');
                for digit in bytes.by_ref().take(2) {
                    let digit = if choice.is_multiple_of(2) {
                        digit.to_ascii_lowercase()
                    } else {
                        digit.to_ascii_uppercase()
                    };
                    spelt.push(char::from(digit));
                }
            }
            _ if choice.is_multiple_of(3) || !byte.is_ascii() => spelt.push_str(&format!("%{byte:02x}")),
            _ => spelt.push(char::from(byte)),
        }
    }
    spelt
}

/// What a router says, in the words of the model.
fn refused(reason: Refusal) -> Refused {
    match reason {
        Refusal::Conflict { with, .. } => Refused::Conflict(with.into()),
        Refusal::Pattern(_) => Refused::NoPattern,
        other => panic!("{other}"),
    }
}

fn compare(router: &Router<u32>, naive: &Naive, path: &str) -> Result<(), TestCaseError> {
    match (router.at(path), naive.at(path)) {
        (Ok(hit), Some((pattern, value, params))) => {
            prop_assert_eq!(hit.pattern().as_str(), pattern, "by {:?}", path);
            prop_assert_eq!(*hit.value(), value);
            prop_assert_eq!(hit.params().len(), params.len());
            let written: Vec<_> = hit.params().iter().collect();
            for (index, (name, value)) in params.iter().enumerate() {
                prop_assert_eq!(hit.params().get(name), Some(written[index].1));
                prop_assert_eq!(hit.params().at(index), Some(written[index].1));
                prop_assert_eq!((hit.params().name(index), written[index].0), (Some(*name), *name));
                prop_assert_eq!(decode(name, written[index].1).unwrap(), &**value, "in {:?}", path);
                prop_assert!(hit.params().decode(name).unwrap().unwrap() == **value);
                prop_assert_eq!(&hit.params().parse::<String>(name).unwrap(), value);
                prop_assert!(path.contains('%') || written[index].1 == value);
            }
            prop_assert_eq!(hit.params().at(params.len()), None);
        }
        (Err(miss), None) => {
            let no_path = matches!(AtError::from(miss), AtError::Path { .. });
            prop_assert_eq!(no_path, miss.broken_rule().is_some());
        }
        (found, expected) => prop_assert!(false, "{:?} gives {:?}, not {:?}", path, found, expected),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn a_router_is_a_list_of_patterns_of_which_the_most_specific_wins(
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let (mut router, mut naive) = (Router::new(), Naive::default());
        let mut paths = Vec::new();
        for (value, step) in (0..).zip(steps) {
            match step {
                Step::Insert(pattern) => {
                    let inserted = router.insert(&*pattern, value).map_err(|error| {
                        assert_eq!(error.value, value);
                        refused(error.reason)
                    });
                    prop_assert_eq!(inserted, naive.insert(&pattern, value), "{}", pattern);
                }
                Step::Replace(pattern) => {
                    let replaced = router.replace(&*pattern, value).map_err(|error| refused(error.reason));
                    prop_assert_eq!(replaced, naive.replace(&pattern, value), "{}", pattern);
                }
                Step::Remove(of) => {
                    if let patterns @ [_, ..] = &*naive.patterns() {
                        let pattern = of.get(patterns).text.clone();
                        prop_assert_eq!(router.get(&pattern).copied(), naive.get(&pattern));
                        prop_assert_eq!(router.remove(&pattern), naive.remove(&pattern), "{}", pattern);
                    }
                }
                Step::RemoveText(pattern) => {
                    prop_assert_eq!(router.get(&pattern).copied(), naive.get(&pattern));
                    prop_assert_eq!(router.remove(&pattern), naive.remove(&pattern), "{}", pattern);
                }
                Step::Aim(of, values) => {
                    if let patterns @ [_, ..] = &*naive.patterns() {
                        paths.push(of.get(patterns).path(&values));
                        compare(&router, &naive, &paths[paths.len() - 1])?;
                    }
                }
                Step::At(path) => {
                    compare(&router, &naive, &path)?;
                    paths.push(path);
                }
            }
            let in_order: Vec<_> = router.iter().map(|(pattern, value)| (pattern.as_str(), *value)).collect();
            prop_assert_eq!(in_order, naive.in_order());
            prop_assert_eq!(router.len(), naive.patterns().len());
        }
        // Whatever has come and gone, the paths of before are answered as by a router that has only what is left.
        for path in &paths {
            compare(&router, &naive, path)?;
        }
    }

    #[test]
    fn a_rooted_router_is_a_router_behind_a_slash(
        patterns in prop::collection::vec(pattern(), 0..10), paths in prop::collection::vec(path(), 0..10),
    ) {
        let (mut router, mut rooted) = (Router::new(), Router::rooted());
        let behind = |text: &str| format!("/{text}");
        let patterns: Vec<_> = patterns.into_iter().filter(|text| !text.is_empty() && !text.starts_with('/')).collect();
        for pattern in &patterns {
            let behind_a_slash = behind(pattern);
            let inserted = router.insert(&**pattern, pattern.clone()).is_ok();
            prop_assert_eq!(rooted.insert(&*behind_a_slash, pattern.clone()).is_ok(), inserted, "{}", pattern);
            prop_assert!(rooted.insert(&**pattern, String::new()).is_err());
        }
        for path in paths.iter().chain(&patterns).filter(|path| !path.is_empty()) {
            let behind_a_slash = behind(path);
            prop_assert!(rooted.at(path).is_err() || path.starts_with('/'));
            match (router.at(path), rooted.at(&behind_a_slash)) {
                (Ok(hit), Ok(behind)) => {
                    prop_assert_eq!(hit.value(), behind.value());
                    prop_assert!(hit.params().iter().eq(behind.params().iter()));
                    prop_assert_eq!(behind.params().path(), &behind_a_slash);
                }
                (Err(miss), Err(behind)) => {
                    prop_assert_eq!(miss.broken_rule().is_some(), behind.broken_rule().is_some(), "{}", path);
                    let nearest = miss.nearest().map(|pattern| format!("/{pattern}"));
                    let known = miss.broken_rule().is_none();
                    prop_assert!(!known || nearest == behind.nearest().map(Pattern::to_string));
                }
                (hit, behind) => prop_assert!(false, "{:?}, but behind a slash {:?}", hit, behind),
            }
        }
        for pattern in &patterns {
            prop_assert_eq!(router.remove(pattern), rooted.remove(&behind(pattern)));
        }
        prop_assert!(rooted.is_empty());
    }

    /// Security: a scope is required by pattern, so no spelling of a path may reach another pattern than the path itself.
    #[test]
    fn however_a_path_is_spelt_it_reaches_what_it_stands_for(
        patterns in prop::collection::vec(pattern(), 0..20),
        path in path(),
        spellings in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let mut router = Router::new();
        for pattern in patterns {
            let _ = router.insert(&*pattern, ());
        }
        let spelt = spell(&path, &spellings);
        match (router.at(&path), router.at(&spelt)) {
            (Ok(hit), Ok(same)) => {
                prop_assert_eq!(hit.pattern(), same.pattern(), "{} and {}", path, spelt);
                for (name, _) in hit.params() {
                    prop_assert_eq!(hit.params().decode(name), same.params().decode(name));
                }
            }
            (Err(miss), Err(same)) => prop_assert_eq!(miss.broken_rule().is_some(), same.broken_rule().is_some()),
            (hit, same) => prop_assert!(false, "{}: {:?}, but {}: {:?}", path, hit, spelt, same),
        }
        match normalize(&path) {
            Ok(normal) => {
                prop_assert!(normalize(&normal).unwrap() == normal);
                let ends = |path| router.at(path).map(|hit| hit.pattern().clone()).ok();
                prop_assert_eq!(ends(&path), ends(&normal));
            }
            Err(_) => prop_assert!(router.at(&path).is_err()),
        }
    }

    #[test]
    fn an_encoded_segment_comes_back_unchanged(text in prop_oneof!["\\PC{0,20}", "[./%a+ {}*\u{0}-\u{2}é]{0,6}"]) {
        let mut router = Router::new();
        router.insert("a/{x}/b", ()).unwrap();
        let path = format!("a/{}/b", encode_segment(&text));
        let cannot_be = matches!(&*text, "" | "." | "..") || text.chars().any(char::is_control);
        match router.at(&path) {
            Ok(hit) => prop_assert!(hit.params().decode("x").unwrap().unwrap() == *text),
            Err(miss) => prop_assert!(cannot_be && miss.broken_rule().is_some(), "{:?} by {}", text, path),
        }
        prop_assert!(!cannot_be || router.at(&path).is_err());
    }

    #[test]
    fn any_text_is_a_pattern_by_the_rules_or_none(text in "([{}*:/a.é%]|a/|%2[eFg]|\\{[a{}*:?+.]{0,3}\\}){0,12}") {
        match (text.parse::<Pattern>(), naive::Pattern::read(&text)) {
            (Ok(pattern), Some(_)) => prop_assert_eq!(pattern.to_string(), text),
            (Err(error), None) => prop_assert_eq!(error.pattern(), text),
            (parsed, expected) => prop_assert!(false, "{:?} gives {:?}, not {:?}", text, parsed, expected),
        }
    }
}
