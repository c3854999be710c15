//! The obvious matcher that everyone is checked against: it tries every route that begins alike.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::route::{Route, Segment};

/// Which route a path belongs to, by definition: the most specific of those that match.
pub(crate) struct Reference<'a> {
    routes: &'a [Route],
    /// Routes by their first segment (which is a literal in every table), the most specific first.
    by_first: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Reference<'a> {
    /// A reference over some routes.
    pub(crate) fn new(routes: &'a [Route]) -> Self {
        let mut by_first: HashMap<&str, Vec<usize>> = HashMap::new();
        for (number, route) in routes.iter().enumerate() {
            let Segment::Literal(first) = &route.segments[0] else {
                panic!("{} begins with a parameter", route.canonical(""));
            };
            by_first.entry(first).or_default().push(number);
        }
        for numbers in by_first.values_mut() {
            numbers.sort_by_cached_key(|&number| Reverse(routes[number].specificity()));
        }
        Self { routes, by_first }
    }

    /// The number of the route that a path belongs to.
    pub(crate) fn find(&self, path: &str) -> Option<usize> {
        let numbers = self.by_first.get(path.split('/').next()?)?;
        numbers.iter().copied().find(|&number| self.routes[number].matches(path))
    }
}

#[cfg(test)]
mod tests {
    use super::Reference;
    use crate::route::Route;

    #[test]
    fn the_most_specific_wins() {
        let routes = ["a/{x}", "a/b", "a/{x}/c", "a/{*rest}", "a/b/{y}"].map(Route::parse);
        let reference = Reference::new(&routes);
        assert_eq!(reference.find("a/b"), Some(1));
        assert_eq!(reference.find("a/z"), Some(0));
        assert_eq!(reference.find("a/b/c"), Some(4));
        assert_eq!(reference.find("a/z/c"), Some(2));
        assert_eq!(reference.find("a/z/d"), Some(3));
        assert_eq!(reference.find("b"), None);
    }
}
