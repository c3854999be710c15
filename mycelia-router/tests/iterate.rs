//! Walking over all routes.

use mycelia_router::Router;

const IN_ORDER: [&str; 23] = [
    "0123456789abcdef",
    "0123456789abcdefg",
    "a",
    "a/b",
    "a/b/c",
    "a/b{x}",
    "a/{x}",
    "a/{x}/c",
    "a/bc{*x}",
    "a/b{*x}",
    "a/c{*x}",
    "a/{*x}",
    "b",
    "z",
    "{{x}}",
    "é",
    "ab{x}",
    "a{x}yz",
    "a{x}z",
    "a{x}",
    "b{x}",
    "{x}z",
    "{x}",
];

fn texts<T>(router: &Router<T>) -> Vec<&str> {
    router.iter().map(|(pattern, _)| pattern.as_str()).collect()
}

#[test]
fn routes_come_in_the_order_in_which_they_are_preferred() {
    let mut router = Router::new();
    // 7 and 23 have no common divisor: every route once, in a jumble.
    for index in 0..23 {
        router.insert(IN_ORDER[index * 7 % 23], ()).unwrap();
    }
    assert_eq!(texts(&router), IN_ORDER);
}

#[test]
fn the_order_is_that_of_what_is_left_after_removals() {
    let mut router = Router::new();
    for pattern in IN_ORDER.iter().rev() {
        router.insert(*pattern, ()).unwrap();
    }
    for pattern in IN_ORDER.iter().step_by(2) {
        router.remove(pattern).unwrap();
    }
    router.insert("{*last}", ()).unwrap();
    let mut left: Vec<_> = IN_ORDER.iter().skip(1).step_by(2).copied().collect();
    left.push("{*last}");
    assert_eq!(texts(&router), left);
}

#[test]
fn each_comes_with_its_value_and_they_are_counted() {
    let mut router = Router::new();
    router.insert("{x}", 2).unwrap();
    router.insert("a", 1).unwrap();
    let mut routes = router.iter();
    assert_eq!(routes.len(), 2);
    assert_eq!(routes.next().map(|(pattern, value)| (pattern.as_str(), *value)), Some(("a", 1)));
    assert_eq!(routes.len(), 1);
    assert_eq!(routes.next().map(|(pattern, value)| (pattern.as_str(), *value)), Some(("{x}", 2)));
    assert!(routes.next().is_none());
}

#[test]
fn a_router_is_debugged_as_a_map() {
    let mut router = Router::new();
    router.insert("a/{x}", "one").unwrap();
    router.insert("a", "two").unwrap();
    assert_eq!(format!("{router:?}"), r#"{"a": "two", "a/{x}": "one"}"#);
}
