//! matchit: a radix tree, the router inside axum.

use matchit::{Match, MatchError, Router};

use crate::contender::{Contender, Pattern, owned};
use crate::route::Route;

pub(crate) struct Matchit(Router<usize>);

impl Contender for Matchit {
    const PACKAGE: &'static str = "matchit";
    const START: &'static str = "/";
    const NOTE: &'static str = "a value is checked to be UTF-8 when it is read; a fourth parameter allocates, and so does a branch to come back to";

    type Outcome<'a> = Result<Match<'a, 'a, &'a usize>, MatchError>;

    fn spell(route: &Route) -> String {
        route.canonical(Self::START)
    }

    fn build(patterns: &[Pattern]) -> Result<Self, String> {
        let mut router = Router::new();
        for Pattern { text, number, .. } in patterns {
            router.insert(text, *number).map_err(|error| format!("{text}: {error}"))?;
        }
        Ok(Self(router))
    }

    #[inline]
    fn at<'a>(&'a self, path: &'a str) -> Self::Outcome<'a> {
        self.0.at(path)
    }

    #[inline]
    fn value(outcome: &Self::Outcome<'_>) -> Option<usize> {
        outcome.as_ref().ok().map(|found| *found.value)
    }

    #[inline]
    fn values<'o>(outcome: &'o Self::Outcome<'_>, mut read: impl FnMut(&'o str)) {
        if let Ok(found) = outcome {
            found.params.iter().for_each(|(_, value)| read(value));
        }
    }

    #[inline]
    fn get<'o>(outcome: &'o Self::Outcome<'_>, name: &str) -> Option<&'o str> {
        outcome.as_ref().ok()?.params.get(name)
    }

    fn parameters(outcome: &Self::Outcome<'_>) -> Vec<(String, String)> {
        outcome.as_ref().map(|found| owned(found.params.iter())).unwrap_or_default()
    }
}
