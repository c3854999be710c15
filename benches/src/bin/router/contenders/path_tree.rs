//! path-tree: a radix tree whose nodes know no names; these are put to the values when they are asked for.

use path_tree::{Path, PathTree};

use crate::contender::{Contender, Pattern, owned};
use crate::route::Route;

pub(crate) struct Tree(PathTree<usize>);

impl Contender for Tree {
    const PACKAGE: &'static str = "path-tree";
    const START: &'static str = "/";
    const NOTE: &'static str =
        "values are read by position from its own list, names are put to them when one is asked for";

    type Outcome<'a> = Option<(&'a usize, Path<'a, 'a>)>;

    fn spell(route: &Route) -> String {
        route.spell(Self::START, |name| format!(":{name}"), |name| format!(":{name}+"))
    }

    fn build(patterns: &[Pattern]) -> Result<Self, String> {
        let mut tree = PathTree::new();
        for Pattern { text, number, .. } in patterns {
            let _place = tree.insert(text, *number);
        }
        Ok(Self(tree))
    }

    #[inline]
    fn at<'a>(&'a self, path: &'a str) -> Self::Outcome<'a> {
        self.0.find(path)
    }

    #[inline]
    fn value(outcome: &Self::Outcome<'_>) -> Option<usize> {
        outcome.as_ref().map(|(value, _)| **value)
    }

    #[inline]
    fn values<'o>(outcome: &'o Self::Outcome<'_>, mut read: impl FnMut(&'o str)) {
        if let Some((_, path)) = outcome {
            path.raws.iter().for_each(|value| read(value));
        }
    }

    #[inline]
    fn get<'o>(outcome: &'o Self::Outcome<'_>, name: &str) -> Option<&'o str> {
        let mut parameters = outcome.as_ref()?.1.params_iter();
        parameters.find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    fn parameters(outcome: &Self::Outcome<'_>) -> Vec<(String, String)> {
        outcome.as_ref().map(|(_, path)| owned(path.params_iter())).unwrap_or_default()
    }
}
