//! A table that has something of everything, with patterns from the input added and taken out, answers as the naive matcher
//! does.
#![no_main]

#[path = "../../tests/naive/mod.rs"]
mod naive;
mod words;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mycelia_router::{Router, decode, normalize};
use naive::Naive;

const TABLE: [&str; 36] = [
    "users",
    "users/{id}",
    "users/a",
    "users/{id}/a",
    "users/a/b",
    "users/{id}/{*rest}",
    "users/{id}.json",
    "users/{id}.b.json",
    "users/a{id}",
    "users/ab{id}",
    "users/ab{id}é",
    "users/ab{id}.json/{x}/{y}",
    "{a}",
    "{a}/b",
    "{a}/{b}",
    "{a}/{b}/a/{d}",
    "{a}/a/{c}/b",
    "a/{b}/{c}/{d}",
    "a/a/{*all}",
    "{a}é/{b}",
    "é{a}/é",
    "{{{a}}}/{{b}}",
    "0123456789abcdef/a",
    "0123456789abcdef0/{a}",
    "0123456789abcdef0123456789abcdef/b",
    "0123456789abcdef0123456789abcdefé/{x}0123456789abcdef0123456789abcdef",
    "0123456789abcdef{x}/b",
    "0123456789abcdef{x}0123456789abcdef/{*b}",
    "{x}0123456789abcdef/b/{*c}",
    "b/{*rest}",
    "b/v{*rest}",
    "b/0123456789abcdef0{*rest}",
    "users/%25",
    "users/a%2Fb",
    "users/é/{x}%2F",
    "caf%C3%A9{x}",
];

static ROUTES: LazyLock<(Router<u32>, Naive)> = LazyLock::new(|| {
    let (mut router, mut naive) = (Router::new(), Naive::default());
    for (pattern, value) in TABLE.iter().zip(0..) {
        router.insert(*pattern, value).unwrap();
        naive.insert(pattern, value).unwrap();
    }
    (router, naive)
});

fuzz_target!(|data: &[u8]| {
    let mut lines = data.split(|byte| *byte == b'\n').map(words::spell);
    let path = lines.next().unwrap_or_default();
    compare(&ROUTES.0, &ROUTES.1, &path);
    // Each further line is a pattern to add, to take out (`-`) or to put in place of another (`+`), or a path (`?`).
    let mut changes = lines.take(16).zip(100..).peekable();
    if changes.peek().is_none() {
        return;
    }
    let (mut router, mut naive) = ROUTES.clone();
    for (line, value) in changes {
        let (sign, text) = line.split_at_checked(1).unwrap_or_default();
        match sign {
            "-" => assert_eq!(router.remove(text), naive.remove(text), "{text:?}"),
            "+" => assert_eq!(router.replace(text, value).ok(), naive.replace(text, value).ok(), "{text:?}"),
            "?" => compare(&router, &naive, text),
            _ => assert_eq!(
                router.insert(&*line, value).is_ok(),
                naive.insert(&line, value).is_ok(),
                "{line:?}"
            ),
        }
    }
    compare(&router, &naive, &path);
    assert!(router.iter().map(|(pattern, value)| (pattern.as_str(), *value)).eq(naive.in_order()));
});

fn compare(router: &Router<u32>, naive: &Naive, path: &str) {
    match (router.at(path), naive.at(path)) {
        (Ok(hit), Some((pattern, value, params))) => {
            assert_eq!((hit.pattern().as_str(), *hit.value()), (pattern, value), "{path:?}");
            assert_eq!(hit.params().len(), params.len());
            let written: Vec<_> = hit.params().iter().collect();
            for (index, (name, value)) in params.into_iter().enumerate() {
                let (its_name, raw) = written[index];
                assert_eq!((its_name, decode(name, raw).unwrap().into_owned()), (name, value), "{path:?}");
                assert_eq!((hit.params().get(name), hit.params().at(index)), (Some(raw), Some(raw)), "{path:?}");
            }
        }
        // The text looks at every pattern, which takes longer than all the rest: now and then is enough.
        (Err(miss), None) if path.len() % 8 == 0 => {
            assert!(miss.to_string().contains(&path.chars().take(100).collect::<String>()));
        }
        (Err(_), None) => {}
        (found, expected) => panic!("{path:?} gives {found:?}, not {expected:?}"),
    }
    // The decoded form of the path reaches the same pattern, and so does one with all encoded that can be.
    let pattern = |path: &str| router.at(path).ok().map(|hit| hit.pattern().as_str());
    if let Ok(normal) = normalize(path) {
        assert_eq!(pattern(&normal), pattern(path), "{path:?} is {normal:?}");
        let encoded = encode_all(&normal);
        if encoded.len() <= mycelia_router::MAX_BYTES {
            assert_eq!(pattern(&encoded), pattern(path), "{path:?} is {encoded:?}");
        }
    } else {
        assert!(pattern(path).is_none());
    }
}

/// Every byte between slashes as `%XX`, each of those that are already as it is.
fn encode_all(path: &str) -> String {
    let (mut encoded, mut bytes) = (String::new(), path.bytes());
    while let Some(byte) = bytes.next() {
        match byte {
            b'/' => encoded.push('/'),
            b'%' => {
                encoded.push('%');
                encoded.extend(bytes.by_ref().take(2).map(char::from));
            }
            _ => encoded.push_str(&format!("%{byte:02x}")),
        }
    }
    encoded
}
