//! What a lookup costs at most.

use super::*;
use crate::path::MAX_BYTES;
use crate::router::Router;
use crate::steps::{comparisons_of, steps_of};

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

/// What no lookup may exceed, whatever the path: four steps for each segment of each pattern (a node, a shape, an edge before and
/// one behind a parameter), and one for each sixteen bytes of its text.
fn all_patterns(router: &Router<()>) -> usize {
    let segment = |segment: &str| 4 + segment.len() / 16;
    let pattern = |pattern: &Pattern| pattern.as_str().split('/').map(segment).sum::<usize>();
    router.iter().map(|(each, ())| pattern(each)).sum::<usize>() + 1
}

#[test]
fn ten_thousand_routes_cost_what_ten_cost() {
    type Text = fn(usize) -> String;
    let tables: [(Text, Text, usize); 6] = [
        (|i| format!("users{i}/{{x}}"), |i| format!("users{i}/7"), 4),
        (|i| format!("users/{{x}}/orders{i}"), |i| format!("users/7/orders{i}"), 6),
        (
            |i| format!("organization-memberships-{i:05}/{{*x}}"),
            |i| format!("organization-memberships-{i:05}/a/b"),
            4,
        ),
        (|i| format!("users/v{i:05}-{{x}}.json"), |i| format!("users/v{i:05}-7.json"), 7),
        (|i| format!("{{x}}.{i:05}/{{y}}"), |i| format!("7.{i:05}/7"), 6),
        (|i| format!("users/{{x}}/{i}/{{y}}/b"), |i| format!("users/7/{i}/7/b"), 9),
    ];
    for (pattern, path, steps) in tables {
        for count in [10, 10_000] {
            let router = routes((0..count).map(pattern));
            for path in (0..count).map(path) {
                assert_eq!(hit(&router, &path), steps, "{path}, of {count} routes");
            }
        }
    }
}

#[test]
fn a_miss_among_ten_thousand_routes_costs_what_one_among_ten_costs() {
    for count in [10, 10_000] {
        let router = routes((0..count).map(|i| format!("users/{{x}}/v{i:05}-{{y}}/{i}")));
        assert_eq!(miss(&router, "nobody/7/v00003-7/3"), 2);
        assert_eq!(miss(&router, "users/7/v00003-7/4"), 9, "it is followed to its end");
        assert_eq!(miss(&router, "users/7/v00003-7"), 1, "no pattern has three segments");
    }
}

#[test]
fn a_path_without_parameters_takes_no_step_at_all() {
    let router = routes((0..10_000).map(|i| format!("a/b/{i}")).chain(["a/b/{x}".to_owned()]));
    assert_eq!(hit(&router, "a/b/9999"), 0);
}

#[test]
fn a_long_text_costs_one_step_for_sixteen_bytes() {
    let long = "a".repeat(MAX_BYTES - 8);
    let router = routes([
        format!("{long}/{{x}}"),
        format!("{long}{{x}}"),
        format!("{{x}}{long}"),
        format!("{long}b"),
        format!("{}{{x}}{}", &long[..1000], &long[..1000]),
    ]);
    // The text is there three times, as a literal, before and behind a parameter; once more in two halves.
    // And its slashes are looked for.
    let most = 4 * MAX_BYTES / 16 + 2 * MAX_BYTES / 64 + 16;
    for path in [format!("{long}/b"), format!("{long}c"), format!("b{long}"), format!("{long}aaa")] {
        assert!(hit(&router, &path) <= most, "{} of {most}", hit(&router, &path));
    }
    for path in
        [format!("{long}/b/c"), format!("{}c", &long[1..]), format!("{long}c/d"), "b".repeat(MAX_BYTES)]
    {
        assert!(miss(&router, &path) <= most, "{} of {most}", miss(&router, &path));
    }
    assert_eq!(
        hit(&routes([format!("{long}/{{x}}")]), &format!("{long}/b")),
        2040_usize.div_ceil(16) + 2042_usize.div_ceil(64) + 3
    );
}

#[test]
fn a_deep_path_costs_two_steps_for_each_segment() {
    let literal = ["a"; 31].join("/");
    let params: Vec<_> = (0..31).map(|index| format!("{{p{index}}}")).collect();
    let router = routes([format!("{literal}/{{x}}"), format!("{}/b", params.join("/"))]);
    assert_eq!(hit(&router, &format!("{literal}/c")), 31 * 2 + 2);
    assert_eq!(hit(&router, &format!("b/{}/b", ["a"; 30].join("/"))), 31 + 1 + 3);
    // Both are followed to where they end.
    assert_eq!(miss(&router, &format!("{}/c/c", ["a"; 30].join("/"))), 31 * 2 + 31 + 1);
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
    let nodes = (1 << (depth + 1)) - 1;
    // Each node once, and from each one look for a literal.
    assert_eq!(miss(&router, &["a"; 13].join("/")), 2 * nodes);
}

#[test]
fn a_long_segment_is_not_looked_at_once_more_for_each_way() {
    let ways = (0..1 << 8).map(|ways: u32| {
        let segment =
            |index: u32| if (ways >> index) & 1 == 0 { "a".to_owned() } else { format!("{{p{index}}}") };
        (0..8).map(segment).chain(["{x}/end".to_owned()]).collect::<Vec<_>>().join("/")
    });
    let router = routes(ways);
    let short = miss(&router, &format!("{}/b/c", ["a"; 8].join("/")));
    let long = miss(&router, &format!("{}/{}/c", ["a"; 8].join("/"), "b".repeat(1900)));
    assert!(long <= short + MAX_BYTES / 16, "{long} steps for a long segment, {short} for a short one");
}

#[test]
fn all_parameters_together_cost_no_more_than_the_path() {
    let names: Vec<_> = (0..32).map(|index| format!("{{p{index}}}")).collect();
    let router = routes([names.join("/")]);
    let path = ["b".repeat(63).as_str(); 32].join("/");
    let hit = router.at(&path).unwrap();
    let (steps, count) = steps_of(|| hit.params().iter().count());
    assert_eq!(count, 32);
    assert!(steps <= MAX_BYTES / 64, "{steps} steps");
}

#[test]
fn no_path_costs_more_than_all_patterns() {
    let segments = ["a", "b", "{x}", "a{x}", "{x}a", "a{x}a", "aa{x}"];
    let mut patterns: Vec<String> = vec!["end".to_owned()];
    for depth in 0..4 {
        let longer: Vec<_> = segments
            .iter()
            .map(|segment| segment.replace('x', &format!("x{depth}")))
            .flat_map(|segment| patterns.iter().map(move |pattern| format!("{segment}/{pattern}")))
            .collect();
        patterns = longer;
        patterns.push("end".to_owned());
    }
    let router = routes(&patterns);
    assert_eq!(router.len(), 1 + 7 + 49 + 343 + 2401);
    let most = all_patterns(&router);
    for path in ["aaaa/aaaa/aaaa/aaaa/a", "aaa/aaa/aaa/aaa/aaa", "aaa/aaa/aaa/b/aaa"] {
        let steps = miss(&router, path);
        assert!(steps > 1000 && steps <= most, "{steps} of {most} for {path}");
    }
}

#[test]
fn parameters_of_one_shape_cost_what_one_costs() {
    let one = hit(&routes(["0001-{x}.0001/{y}"]), "0001-7.0001/7");
    let router = routes((0..5000).map(|i| format!("{i:04}-{{x}}.{i:04}/{{y}}")));
    for i in 0..5000 {
        assert_eq!(hit(&router, &format!("{i:04}-7.{i:04}/7")), one);
    }
    assert_eq!(miss(&router, "0001-7.0002/7"), 4, "a node, a shape, both its texts");
}

/// The dearest node there is: it grows with the number of its shapes, and with their texts where these are alike.
#[test]
fn parameters_of_many_shapes_cost_one_step_each_and_their_texts() {
    let router = routes((1..=1500).map(|length| format!("{{x}}{}/end", "a".repeat(length))));
    assert!(miss(&router, "aa/b") <= 1500 + 5, "no text is looked at where a segment is too short for it");
    assert!(
        miss(&router, &format!("{}/b", "b".repeat(2000))) <= 3 * 1500 + 1 + MAX_BYTES / 64,
        "the first piece of a text differs"
    );
    let steps = miss(&router, &format!("{}/b", "a".repeat(2000)));
    assert!(steps <= all_patterns(&router), "{steps} steps");
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
            let compared = |i| {
                let path = pattern.replace("{}", &text(i)).replace("{x}", "-");
                comparisons_of(|| assert!(router.at(&path).is_ok())).0
            };
            let all: Vec<_> = (0..count).map(compared).collect();
            let (sum, most) = (all.iter().sum::<usize>(), *all.iter().max().unwrap());
            // At most 7 edges are on the way, and hardly any other is compared. The tables are seeded at random, and one seed in
            // ten thousand makes a second one likely: with 4000 that collide the average would be 2000.
            assert!(
                sum / count < 32 && most < 256,
                "{name}, {place}: {} on average, {most} at most",
                sum / count
            );
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
    let parsed = patterns.map(|pattern| pattern.parse::<Pattern>().unwrap());
    let size = |tree: &Tree| (tree.nodes.len() - tree.free.len(), tree.edges.len());
    for (last, kept) in parsed.iter().enumerate() {
        let (mut tree, mut one) = (Tree::new(false), Tree::new(false));
        for (route, pattern) in parsed.iter().enumerate() {
            tree.insert(pattern, route);
        }
        one.insert(kept, 0);
        for pattern in parsed.iter().cycle().skip(last + 1).take(patterns.len() - 1) {
            tree.remove(pattern);
        }
        assert_eq!(size(&tree), size(&one), "{kept}");
        tree.remove(kept);
        assert_eq!(size(&tree), (1, 0));
        let root = &tree.nodes[START as usize];
        assert!(root.is_empty() && root.literals == 0 && root.mixed.is_none());
    }
}

#[test]
fn nodes_that_were_taken_out_are_used_again() {
    let mut tree = Tree::new(false);
    let patterns = ["a/b{x}c/d", "a/{x}/e"].map(|pattern| pattern.parse::<Pattern>().unwrap());
    for _ in 0..3 {
        patterns.iter().for_each(|pattern| tree.insert(pattern, 0));
        assert_eq!(tree.nodes.len(), 7);
        patterns.iter().for_each(|pattern| tree.remove(pattern));
    }
}

#[test]
fn a_pattern_that_is_not_there_is_not_taken_out() {
    let mut tree = Tree::new(false);
    tree.insert(&"a/{x}/b".parse().unwrap(), 0);
    for absent in ["b", "a/b", "a/{x}/c", "a/{x}/b/c", "a/x{y}/b"] {
        tree.remove(&absent.parse().unwrap());
    }
    assert_eq!(tree.find(&"a/{y}/b".parse().unwrap()), Some(0));
}
