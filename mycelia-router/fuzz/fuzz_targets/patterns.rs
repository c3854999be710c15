//! Any text is a pattern by the rules, or an error that can be shown; what is one can be shown, read again, inserted once,
//! found and taken out.
#![no_main]

#[path = "../../tests/naive/mod.rs"]
mod naive;
mod words;

use libfuzzer_sys::fuzz_target;
use mycelia_router::{Pattern, Router};

fuzz_target!(|data: &[u8]| {
    let text = words::spell(data);
    let pattern = match (text.parse::<Pattern>(), naive::Pattern::read(&text)) {
        (Ok(pattern), Some(_)) => pattern,
        (Err(error), None) => {
            assert_eq!(error.pattern(), text);
            assert!(error.to_string().contains(&text));
            return;
        }
        (parsed, expected) => panic!("{text:?} gives {parsed:?}, not {expected:?}"),
    };
    assert_eq!(pattern.to_string(), text);
    assert_eq!(pattern.to_string().parse(), Ok(pattern.clone()));

    let mut router = if pattern.is_rooted() { Router::rooted() } else { Router::new() };
    router.insert(pattern.clone(), 1).unwrap();
    assert!(router.insert(pattern.clone(), 2).is_err());
    assert_eq!(router.get(&text), Some(&1));

    // With a digit in each place of a parameter it is a path, with as many segments, and none of them a step. It may be longer:
    // `{{` and `{a}` become no more than one byte, but a decoded `%` or slash is written as three.
    let path = naive::Pattern::read(&text).unwrap().path(&["1".to_owned()]);
    if path.len() > mycelia_router::MAX_BYTES {
        return;
    }
    let hit = router.at(&path).unwrap();
    assert!(hit.params().iter().all(|(_, value)| value == "1"));
    assert!(hit.params().iter().map(|(name, _)| name).eq(pattern.names()));

    assert_eq!(router.remove(&text), Some(1));
    assert!(router.at(&path).is_err() && router.is_empty());
    router.insert(pattern, 3).unwrap();
});
