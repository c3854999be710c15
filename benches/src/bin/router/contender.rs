//! What a router has to do to take part.

use crate::route::Route;

/// A router, filled and ready. Values are the routes' numbers.
pub(crate) trait Contender: Sized + 'static {
    /// The package, as the lock file knows it.
    const PACKAGE: &'static str;
    /// What its patterns and paths begin with: a slash, or nothing.
    const START: &'static str;
    /// What must be known of its figures.
    const NOTE: &'static str;

    /// All that one lookup gives back, before anything is made of it.
    type Outcome<'a>;

    /// A pattern in the router's own syntax.
    fn spell(route: &Route) -> String;

    /// The order of insertion, for those whom it matters to. Not timed.
    fn arrange(_patterns: &mut [Pattern]) {}

    /// Fills a router.
    fn build(patterns: &[Pattern]) -> Result<Self, String>;

    /// Looks a path up.
    fn at<'a>(&'a self, path: &'a str) -> Self::Outcome<'a>;

    /// The number of the route that was found.
    fn value(outcome: &Self::Outcome<'_>) -> Option<usize>;

    /// Hands out the parameters' values, one after another: by position, or in the router's own order.
    fn values<'o>(outcome: &'o Self::Outcome<'_>, read: impl FnMut(&'o str));

    /// The value of the parameter of a name.
    fn get<'o>(outcome: &'o Self::Outcome<'_>, name: &str) -> Option<&'o str>;

    /// The parameters' names and values. Not timed.
    fn parameters(outcome: &Self::Outcome<'_>) -> Vec<(String, String)>;
}

/// A route as a contender spells it.
pub(crate) struct Pattern {
    pub(crate) text: String,
    /// The route's number in its table.
    pub(crate) number: usize,
    /// See [`Route::specificity`].
    pub(crate) specificity: Vec<u8>,
}

/// All routes as a contender spells them, in the order in which it wants them.
pub(crate) fn patterns<C: Contender>(routes: &[Route]) -> Vec<Pattern> {
    let pattern = |(number, route): (usize, &Route)| Pattern {
        text: C::spell(route),
        number,
        specificity: route.specificity(),
    };
    let mut patterns: Vec<Pattern> = routes.iter().enumerate().map(pattern).collect();
    C::arrange(&mut patterns);
    patterns
}

/// Names and values as owned text.
pub(crate) fn owned<'a>(parameters: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<(String, String)> {
    parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
