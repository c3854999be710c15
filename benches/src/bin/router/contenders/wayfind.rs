//! wayfind: a radix tree that is compiled once it is complete. The time of compiling counts as insertion.

use wayfind::{Match, Router, RouterBuilder};

use crate::contender::{Contender, Pattern, owned};
use crate::route::Route;

pub(crate) struct Wayfind(Router<usize>);

impl Contender for Wayfind {
    const PACKAGE: &'static str = "wayfind";
    const START: &'static str = "/";
    const NOTE: &'static str = "compiled once it is complete, which counts as insertion";

    type Outcome<'a> = Option<Match<'a, 'a, usize>>;

    fn spell(route: &Route) -> String {
        route.spell(Self::START, |name| format!("<{name}>"), |name| format!("<*{name}>"))
    }

    fn build(patterns: &[Pattern]) -> Result<Self, String> {
        let mut builder = RouterBuilder::new();
        for Pattern { text, number, .. } in patterns {
            builder.insert(text, *number).map_err(|error| format!("{text}: {error}"))?;
        }
        Ok(Self(builder.build()))
    }

    #[inline]
    fn at<'a>(&'a self, path: &'a str) -> Self::Outcome<'a> {
        self.0.search(path)
    }

    #[inline]
    fn value(outcome: &Self::Outcome<'_>) -> Option<usize> {
        outcome.as_ref().map(|found| *found.data())
    }

    #[inline]
    fn values<'o>(outcome: &'o Self::Outcome<'_>, mut read: impl FnMut(&'o str)) {
        if let Some(found) = outcome {
            found.parameters().iter().for_each(|(_, value)| read(value));
        }
    }

    #[inline]
    fn get<'o>(outcome: &'o Self::Outcome<'_>, name: &str) -> Option<&'o str> {
        let parameters = outcome.as_ref()?.parameters();
        parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    fn parameters(outcome: &Self::Outcome<'_>) -> Vec<(String, String)> {
        outcome.as_ref().map(|found| owned(found.parameters().iter().copied())).unwrap_or_default()
    }
}
