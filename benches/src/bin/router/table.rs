//! The tables of routes: the shapes of a real interface, and made-up ones in any number.

use crate::route::Route;
use crate::synthetic;

/// The path shapes of GitHub's public REST interface, methods left out, one in a line. Parameters that may hold slashes
/// (a file's path, a reference) are written as the rest of the path.
const GITHUB: &str = include_str!("../../../data/github.txt");

/// Routes under a name.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) routes: Vec<Route>,
}

impl Table {
    /// The real one.
    pub(crate) fn github() -> Self {
        Self { name: "github", routes: GITHUB.lines().map(Route::parse).collect() }
    }

    /// The made-up one.
    pub(crate) fn synthetic(count: usize) -> Self {
        Self { name: "synthetic", routes: synthetic::routes(count) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{GITHUB, Table};

    #[test]
    fn the_real_table_is_sorted_and_has_no_shape_twice() {
        assert!(GITHUB.lines().is_sorted());
        let routes = Table::github().routes;
        let shapes: HashSet<String> = routes.iter().map(|route| route.shape()).collect();
        assert_eq!(shapes.len(), routes.len());
    }
}
