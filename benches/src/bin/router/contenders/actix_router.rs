//! actix-router: the list of patterns inside actix-web, tried one after another; those with parameters are regular
//! expressions. The first match wins, so the more specific patterns are put in front.

use std::cmp::Reverse;

use actix_router::{Path, Router};

use crate::contender::{Contender, Pattern, owned};
use crate::route::Route;

pub(crate) struct Actix(Router<usize>);

impl Contender for Actix {
    const PACKAGE: &'static str = "actix-router";
    const START: &'static str = "/";
    const NOTE: &'static str =
        "a list of regular expressions, tried one after another; the more specific patterns are put in front";

    /// The path, which takes up the parameters, and the value.
    type Outcome<'a> = (Path<&'a str>, Option<&'a usize>);

    fn spell(route: &Route) -> String {
        // `{name}*` would match nothing as well.
        route.spell(Self::START, |name| format!("{{{name}}}"), |name| format!("{{{name}:.+}}"))
    }

    fn arrange(patterns: &mut [Pattern]) {
        patterns.sort_by_cached_key(|pattern| Reverse(pattern.specificity.clone()));
    }

    fn build(patterns: &[Pattern]) -> Result<Self, String> {
        let mut router = Router::build();
        for Pattern { text, number, .. } in patterns {
            router.path(text, *number);
        }
        Ok(Self(router.finish()))
    }

    #[inline]
    fn at<'a>(&'a self, path: &'a str) -> Self::Outcome<'a> {
        let mut path = Path::new(path);
        let found = self.0.recognize(&mut path).map(|(value, _)| value);
        (path, found)
    }

    #[inline]
    fn value(outcome: &Self::Outcome<'_>) -> Option<usize> {
        outcome.1.copied()
    }

    #[inline]
    fn values<'o>(outcome: &'o Self::Outcome<'_>, mut read: impl FnMut(&'o str)) {
        outcome.0.iter().for_each(|(_, value)| read(value));
    }

    #[inline]
    fn get<'o>(outcome: &'o Self::Outcome<'_>, name: &str) -> Option<&'o str> {
        outcome.0.get(name)
    }

    fn parameters(outcome: &Self::Outcome<'_>) -> Vec<(String, String)> {
        owned(outcome.0.iter())
    }
}
