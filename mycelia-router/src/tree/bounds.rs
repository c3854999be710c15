//! What a lookup costs at most, in steps: nodes visited, shapes tried, edges compared.
//!
//! The table is seeded at random, and compares an edge in vain about once in a hundred times; hence the tolerances.

use super::*;
use crate::path::MAX_BYTES;
use crate::router::Router;
use crate::steps::steps_of;

/// More edges than this are not compared in vain in one lookup, but once in 10¹² runs of all these tests.
const IN_VAIN: usize = 16;

fn routes<P: AsRef<str>>(patterns: impl IntoIterator<Item = P>) -> Router<()> {
    let mut router = Router::new();
    for pattern in patterns {
        router.insert(pattern.as_ref(), ()).unwrap();
    }
    router
}

fn hit(router: &Router<()>, path: &str) -> usize {
    let (steps, found) = steps_of(|| router.at(path).is_ok());
    assert!(found, "{path}");
    steps
}

fn miss(router: &Router<()>, path: &str) -> usize {
    let (steps, found) = steps_of(|| router.at(path).is_ok());
    assert!(!found, "{path}");
    steps
}

/// The steps of one lookup with each of `paths`: the fewest, and on average.
fn hits(router: &Router<()>, paths: impl IntoIterator<Item = String>) -> (usize, f64) {
    let steps: Vec<_> = paths.into_iter().map(|path| hit(router, &path)).collect();
    let (fewest, most) = (*steps.iter().min().unwrap(), *steps.iter().max().unwrap());
    assert!(most <= fewest + IN_VAIN, "from {fewest} to {most} steps");
    (fewest, steps.iter().sum::<usize>() as f64 / steps.len() as f64)
}

/// What no lookup may exceed: four steps for each segment of each pattern, and one for each piece of its text.
fn all_patterns(router: &Router<()>) -> usize {
    let segment = |segment: &str| 4 + segment.len() / 16;
    let pattern = |pattern: &Pattern| pattern.as_str().split('/').map(segment).sum::<usize>();
    router.iter().map(|(each, ())| pattern(each)).sum()
}

#[test]
fn ten_thousand_routes_cost_what_ten_cost() {
    type Texts = (fn(usize) -> String, fn(usize) -> String);
    // No edge is on the way of two of them: what is compared in vain differs from route to route.
    let tables: [Texts; 5] = [
        (|i| format!("users{i}/{{x}}"), |i| format!("users{i}/7")),
        (|i| format!("{{x}}/orders{i}"), |i| format!("7/orders{i}")),
        (
            |i| format!("{i:05}-organization-memberships/{{*x}}"),
            |i| format!("{i:05}-organization-memberships/a/b"),
        ),
        (|i| format!("{{x}}/v{i:05}-{{y}}.json"), |i| format!("7/v{i:05}-7.json")),
        (
            |i| format!("{i:05}{{x}}.organization-memberships/{{y}}"),
            |i| format!("{i:05}7.organization-memberships/7"),
        ),
    ];
    for (pattern, path) in tables {
        let few = hits(&routes((0..10).map(pattern)), (0..10).map(path));
        let many = hits(&routes((0..10_000).map(pattern)), (0..10_000).map(path));
        assert_eq!(few.0, many.0, "{}", path(0));
        assert!(many.1 < few.0 as f64 + 0.5, "{}: {} steps on average, not {}", path(0), many.1, few.0);
    }
}

#[test]
fn a_literal_path_takes_no_step_at_all() {
    let router = routes((0..10_000).map(|i| format!("a/b/{i}")).chain(["a/b/{x}".to_owned()]));
    assert_eq!(hit(&router, "a/b/9999"), 0);
}

#[test]
fn a_long_path_costs_one_step_for_sixteen_bytes() {
    let long = "a".repeat(MAX_BYTES - 8);
    let router = routes([
        format!("{long}/{{x}}"),
        format!("{long}{{x}}"),
        format!("{{x}}{long}"),
        format!("{long}b"),
        format!("{}{{x}}{}", &long[..1000], &long[..1000]),
    ]);
    // The text is there three times, as a literal, before and behind a parameter; once more in two halves. (And a fifth for
    // edges compared in vain.)
    let most = 5 * MAX_BYTES / 16;
    for path in [format!("{long}/b"), format!("{long}c"), format!("b{long}"), format!("{long}aaa")] {
        assert!(hit(&router, &path) <= most, "{} of {most}", hit(&router, &path));
    }
    for path in
        [format!("{long}/b/c"), format!("{}c", &long[1..]), format!("{long}c/d"), "b".repeat(MAX_BYTES)]
    {
        assert!(miss(&router, &path) <= most, "{} of {most}", miss(&router, &path));
    }
}

#[test]
fn a_deep_path_costs_two_steps_for_each_segment() {
    let literal = ["a"; 31].join("/");
    let params: Vec<_> = (0..31).map(|index| format!("{{p{index}}}")).collect();
    let router = routes([format!("{literal}/{{x}}"), format!("{}/b", params.join("/"))]);
    assert!(hit(&router, &format!("{literal}/c")) <= 2 * 32 + IN_VAIN);
    assert!(hit(&router, &format!("b/{}/b", ["a"; 30].join("/"))) <= 2 * 32 + IN_VAIN);
    // Both are followed to where they end.
    let both = miss(&router, &format!("{}/c/c", ["a"; 30].join("/")));
    assert!((3 * 30..=3 * 32 + IN_VAIN).contains(&both), "{both} steps");
}

#[test]
fn all_ways_through_a_table_cost_no_more_than_the_table() {
    // At each depth a literal or a parameter, in all combinations: all of them fit the path, but for its last segment.
    let depth = 12;
    let patterns = (0..1 << depth).map(|ways: u32| {
        let segment =
            |index: u32| if (ways >> index) & 1 == 0 { "a".to_owned() } else { format!("{{p{index}}}") };
        (0..depth).map(segment).chain(["end".to_owned()]).collect::<Vec<_>>().join("/")
    });
    let router = routes(patterns);
    let steps = miss(&router, &["a"; 13].join("/"));
    let nodes = (1 << (depth + 1)) - 1;
    assert!(steps >= nodes, "the table is no adversary: {steps} steps");
    // One step for each node, one for each edge over "a", and some edges in vain.
    assert!(steps <= nodes * 7 / 4, "{steps} steps for {nodes} nodes");
}

#[test]
fn no_table_makes_a_lookup_dearer_than_all_its_patterns() {
    let segments = ["a", "b", "{x}", "a{x}", "{x}a", "a{x}a", "aa{x}"];
    let mut patterns = vec![String::new()];
    for depth in 0..4 {
        let shorter = patterns.iter().filter(|pattern| pattern.matches('/').count() == depth);
        let longer: Vec<_> = shorter
            .flat_map(|pattern| {
                segments.map(|segment| format!("{pattern}/{}", segment.replace('x', &format!("x{depth}"))))
            })
            .collect();
        patterns.extend(longer);
    }
    let router =
        routes(patterns.iter().skip(1).map(|pattern| format!("{}/end", pattern.trim_start_matches('/'))));
    assert_eq!(router.len(), 7 + 49 + 343 + 2401);
    let most = all_patterns(&router);
    for path in ["aaaa/aaaa/aaaa/aaaa/a", "aaa/aaa/aaa/aaa/aaa"] {
        let steps = miss(&router, path);
        assert!(steps > 1000 && steps <= most, "{steps} of {most} for {path}");
    }
}

#[test]
fn parameters_of_many_shapes_cost_one_step_each_and_their_text() {
    let router = routes((1..=1500).map(|length| format!("{{x}}{}/end", "a".repeat(length))));
    // No text is looked at where a segment is too short for it.
    let steps = miss(&router, "aa/b");
    assert!((1500..=1500 + 8 + IN_VAIN).contains(&steps), "{steps} steps");
    // The edge for no text before the parameter fits; the first piece behind it tells that the texts differ.
    let counting: String = (0..500).map(|number| format!("{number:04}")).collect();
    let steps = miss(&router, &format!("{counting}/b"));
    assert!(steps <= 2 * 1500 + 1500 / 2, "{steps} steps");
    // All of them fit.
    let steps = miss(&router, &format!("{}/b", "a".repeat(2000)));
    assert!(steps <= all_patterns(&router) * 5 / 4, "{steps} steps");
}

#[test]
fn texts_made_to_collide_do_not() {
    let bits = |index: usize, zero: char, one: char| {
        (0..14).map(move |bit| if (index >> bit) & 1 == 0 { zero } else { one }).collect::<String>()
    };
    let texts: [(&str, &dyn Fn(usize) -> String); 7] = [
        ("counted at the end", &|i| format!("twelve-bytes{i:04}")),
        ("counted at the beginning", &|i| format!("{i:04}twelve-bytes")),
        ("lowest bits", &|i| bits(i, '@', 'A')),
        ("one bit in the middle", &|i| bits(i, 'a', 'A')),
        ("one bit in the last bytes of a piece", &|i| format!("ab{}", bits(i, 'p', 'q'))),
        ("the same first pieces", &|i| format!("{}{i:04}", "a".repeat(64))),
        ("the same last pieces", &|i| format!("{i:04}{}", "a".repeat(60))),
    ];
    for (name, text) in texts {
        let count = 4000;
        for (place, pattern) in
            [("literals", "{}/{x}"), ("before", "{}{x}/b"), ("behind", "{x}{}/b"), ("nodes", "{}/a/{x}")]
        {
            let router = routes((0..count).map(|i| pattern.replace("{}", &text(i))));
            let path = |i| pattern.replace("{}", &text(i)).replace("{x}", "-");
            let (fewest, average) = hits(&router, (0..count).map(path));
            assert!(average < fewest as f64 + 0.5, "{name}, {place}: {average} steps, not {fewest}");
        }
    }
}

#[test]
fn what_is_taken_out_leaves_nothing_in_the_tree() {
    let patterns = [
        "a",
        "a/{x}",
        "a/{*x}",
        "a/b{x}c",
        "a/b{x}d",
        "a/b{x}",
        "a/{x}b/c",
        "{x}/b",
        "0123456789abcdef0123456789abcdef",
        "0123456789abcdef0123456789abcdefg/{x}",
        "0123456789abcdefg{x}0123456789abcdefh",
        "0123456789abcdefg{x}0123456789abcdefi",
    ];
    for first in 0..patterns.len() {
        let mut tree = Tree::new();
        let parsed = patterns.map(|pattern| pattern.parse::<Pattern>().unwrap());
        for (route, pattern) in parsed.iter().enumerate() {
            tree.insert(pattern, route);
        }
        let mut one = Tree::new();
        one.insert(&parsed[first], 0);
        for pattern in parsed.iter().cycle().skip(first + 1).take(patterns.len() - 1) {
            tree.remove(pattern);
        }
        assert_eq!(
            (tree.nodes.len() - tree.free.len(), tree.edges.len()),
            (one.nodes.len(), one.edges.len()),
            "{}",
            parsed[first]
        );
        tree.remove(&parsed[first]);
        assert_eq!((tree.nodes.len() - tree.free.len(), tree.edges.len()), (1, 0));
        let root = &tree.nodes[ROOT as usize];
        assert!(root.is_empty() && root.literals == 0 && root.shapes.is_none());
    }
}

#[test]
fn a_pattern_that_is_not_there_is_not_taken_out() {
    let mut tree = Tree::new();
    tree.insert(&"a/{x}/b".parse().unwrap(), 0);
    for absent in ["b", "a/b", "a/{x}/c", "a/{x}/b/c", "a/x{y}/b"] {
        tree.remove(&absent.parse().unwrap());
    }
    assert_eq!(tree.find(&"a/{y}/b".parse().unwrap()), Some(0));
}
