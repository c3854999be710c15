//! Random tables and paths against the naive matcher, over so small an alphabet that patterns overlap all the time.
#![cfg(not(mycelia_loom))]

mod naive;

use mycelia_router::{AtError, Pattern, Refusal, Router};
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
        1 => prop::sample::select(vec!["{", "}", "{a}", "*", "%2F", " "]).prop_map(str::to_owned),
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
    let rest = prop_oneof![3 => Just(""), 1 => Just("/{*rest}"), 1 => Just("/{*x}")];
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
        segments.join("/") + rest
    });
    prop_oneof![20 => good, 1 => Just("{*all}".to_owned()), 2 => "[{}*:/a.é]{0,8}"]
}

fn path() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::collection::vec(text(), 1..6).prop_map(|segments| segments.join("/")),
        1 => "[{}*/a.é\u{7}\u{85}]{0,10}",
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
            prop_assert_eq!(hit.params().iter().collect::<Vec<_>>(), params.clone());
            prop_assert_eq!(hit.params().len(), params.len());
            for (index, (name, value)) in params.iter().enumerate() {
                prop_assert_eq!(hit.params().get(name), Some(*value));
                prop_assert_eq!(hit.params().at(index), Some(*value));
                prop_assert_eq!(hit.params().name(index), Some(*name));
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
    fn any_text_is_a_pattern_by_the_rules_or_none(text in "([{}*:/a.é]|a/|\\{[a{}*:]{0,2}\\}){0,12}") {
        match (text.parse::<Pattern>(), naive::Pattern::read(&text)) {
            (Ok(pattern), Some(_)) => prop_assert_eq!(pattern.to_string(), text),
            (Err(error), None) => prop_assert_eq!(error.pattern(), text),
            (parsed, expected) => prop_assert!(false, "{:?} gives {:?}, not {:?}", text, parsed, expected),
        }
    }
}
