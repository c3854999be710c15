//! route-recognizer: a state machine that reads a path letter by letter; parameters are owned texts in a map.

use route_recognizer::{Match, Router};

use crate::contender::{Contender, Pattern, owned};
use crate::route::Route;

pub(crate) struct Recognizer(Router<usize>);

impl Contender for Recognizer {
    const PACKAGE: &'static str = "route-recognizer";
    /// It strips a leading slash where there is one.
    const START: &'static str = "";
    const NOTE: &'static str = "names and values are handed out as owned texts, in the order of the names";

    type Outcome<'a> = Result<Match<&'a usize>, String>;

    fn spell(route: &Route) -> String {
        route.spell(Self::START, |name| format!(":{name}"), |name| format!("*{name}"))
    }

    fn build(patterns: &[Pattern]) -> Result<Self, String> {
        let mut router = Router::new();
        for Pattern { text, number, .. } in patterns {
            router.add(text, *number);
        }
        Ok(Self(router))
    }

    #[inline]
    fn at<'a>(&'a self, path: &'a str) -> Self::Outcome<'a> {
        self.0.recognize(path)
    }

    #[inline]
    fn value(outcome: &Self::Outcome<'_>) -> Option<usize> {
        outcome.as_ref().ok().map(|found| **found.handler())
    }

    #[inline]
    fn values<'o>(outcome: &'o Self::Outcome<'_>, mut read: impl FnMut(&'o str)) {
        if let Ok(found) = outcome {
            found.params().iter().for_each(|(_, value)| read(value));
        }
    }

    #[inline]
    fn get<'o>(outcome: &'o Self::Outcome<'_>, name: &str) -> Option<&'o str> {
        outcome.as_ref().ok()?.params().find(name)
    }

    /// In the order of their names.
    fn parameters(outcome: &Self::Outcome<'_>) -> Vec<(String, String)> {
        outcome.as_ref().map(|found| owned(found.params().iter())).unwrap_or_default()
    }
}
