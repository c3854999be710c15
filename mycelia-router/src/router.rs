//! The router: values by pattern, found by path.

use std::collections::HashMap;
use std::fmt;

use foldhash::fast::RandomState;
use slab::Slab;

use crate::encoding::{self, find_encoded_slash};
use crate::error::{InsertError, PathError, PatternError, PatternErrorKind, Refusal};
use crate::matched::Match;
use crate::miss::Miss;
use crate::nearest::nearest;
use crate::params::Params;
use crate::path::{Segments, check};
use crate::pattern::Pattern;
use crate::sieve::Sieve;
use crate::tree::{Tree, is_sparse};

/// Values of type `T` by [`Pattern`], found by path.
///
/// The most specific pattern wins, segment by segment: a literal, then a parameter with literal text around it (the one with
/// more text before it first, then with more behind it), then a parameter, then the rest (that with more text before it first).
/// Where a choice leads nowhere, the next one is tried. Neither the order of insertion nor the length of a pattern matters.
///
/// ```
/// use mycelia_router::Router;
///
/// let mut router = Router::new();
/// router.insert("users/{id}", "one")?;
/// router.insert("users/{id}/files/{*path}", "files")?;
/// router.insert("users/me", "me")?;
///
/// assert_eq!(router.at("users/me")?.value(), &"me");
/// let hit = router.at("users/7/files/a/b")?;
/// assert_eq!(hit.value(), &"files");
/// assert_eq!(hit.params().get("path"), Some("a/b"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Percent-encoding
/// A path is cut at its slashes, each segment is decoded once, and what comes out is compared: `users/%6De` *is* `users/me`, and
/// no spelling of it leads anywhere else. So a scope that `users/me` requires cannot be gone round. `%2F` never separates: it is
/// a slash inside a `{name}` segment (or in literal text that has it), and in what `{*rest}` takes it is refused, whatever other
/// pattern would take the path. Refused as well are a segment that decodes to `.` or `..`, a control character, what is not
/// UTF-8, and a `%` without two hexadecimal digits. Each refusal is a [`PathError`] of its own.
///
/// # Memory
/// A removal that leaves three quarters of the room free makes the table anew: memory, and the cost of [`iter`](Self::iter),
/// follow the number of routes down. On average that costs a removal one insertion at most; that one removal costs as much as
/// inserting all routes that are left.
#[derive(Clone)]
pub struct Router<T> {
    routes: Slab<Route<T>>,
    /// The routes without parameters, by the one path that they take, if that is never encoded.
    literals: HashMap<Box<str>, usize, RandomState>,
    sieve: Sieve,
    tree: Tree,
    policy: Policy,
    rooted: bool,
    slash_in_rest: bool,
}

#[derive(Clone)]
pub(crate) struct Route<T> {
    pub(crate) pattern: Pattern,
    pub(crate) value: T,
}

/// Whether routes must say who may use them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// A route without a scope is open to all.
    #[default]
    Open,
    /// A route without a scope is refused when it is inserted.
    Scoped,
}

impl<T> Router<T> {
    /// An empty router, with the policy [`Policy::Open`].
    pub fn new() -> Self {
        Self::with_policy(Policy::Open)
    }

    /// An empty router.
    pub fn with_policy(policy: Policy) -> Self {
        Self::of(policy, false)
    }

    fn of(policy: Policy, rooted: bool) -> Self {
        Self {
            routes: Slab::new(),
            literals: HashMap::default(),
            sieve: Sieve::default(),
            tree: Tree::new(rooted),
            policy,
            rooted,
            slash_in_rest: false,
        }
    }

    /// Creates an empty router in which every path and every pattern begins with a slash, as those of HTTP do: `/` itself is one. The
    /// policy is [`Policy::Open`].
    ///
    /// In any other router a slash at the beginning is refused.
    ///
    /// ```
    /// use mycelia_router::Router;
    ///
    /// let mut router = Router::rooted();
    /// router.insert("/", "home")?;
    /// router.insert("/users/{id}", "a user")?;
    /// assert_eq!(router.at("/")?.value(), &"home");
    /// assert_eq!(router.at("/users/7")?.value(), &"a user");
    /// assert!(router.at("users/7").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn rooted() -> Self {
        Self::rooted_with_policy(Policy::Open)
    }

    /// Creates an empty [`rooted`](Self::rooted) router with a policy.
    pub fn rooted_with_policy(policy: Policy) -> Self {
        Self::of(policy, true)
    }

    /// Lets `{*rest}` take an encoded slash, which is otherwise refused there. For a table whose values are used as they are
    /// written: once one is decoded, that slash is like any other.
    #[must_use]
    pub fn with_encoded_slash_in_rest(self) -> Self {
        Self { slash_in_rest: true, ..self }
    }

    /// Adds a route. The pattern is a text, or a [`Pattern`].
    ///
    /// # Errors
    /// [`InsertError`] gives the value back and says why: the text is no pattern, another pattern takes the same paths, or the
    /// policy wants a scope. The router is as it was.
    pub fn insert<P>(&mut self, pattern: P, value: T) -> Result<(), InsertError<T>>
    where
        P: TryInto<Pattern, Error: Into<PatternError>>,
    {
        let pattern = match self.admit(pattern) {
            Ok(pattern) => pattern,
            Err(reason) => return Err(InsertError { value, reason }),
        };
        if let Some(route) = self.tree.find(&pattern) {
            let with = self.routes[route].pattern.as_str().into();
            let reason = Refusal::Conflict { pattern: pattern.as_str().into(), with };
            return Err(InsertError { value, reason });
        }
        self.add(pattern, value);
        Ok(())
    }

    /// Adds a route in place of the one that takes the same paths, whatever its parameters are called. Gives the value of that
    /// one, if there was one.
    ///
    /// # Errors
    /// As [`insert`](Self::insert), but there are no conflicts.
    pub fn replace<P>(&mut self, pattern: P, value: T) -> Result<Option<T>, InsertError<T>>
    where
        P: TryInto<Pattern, Error: Into<PatternError>>,
    {
        match self.admit(pattern) {
            Ok(pattern) => {
                if let Some(route) = self.tree.find(&pattern) {
                    let old = std::mem::replace(&mut self.routes[route], Route { pattern, value });
                    return Ok(Some(old.value));
                }
                self.add(pattern, value);
                Ok(None)
            }
            Err(reason) => Err(InsertError { value, reason }),
        }
    }

    /// Takes a route out, and gives its value. Patterns are compared as texts: names of parameters matter here. Nothing of the
    /// route remains that could refuse a later one.
    pub fn remove(&mut self, pattern: &str) -> Option<T> {
        let route = self.find(pattern)?;
        let Route { pattern, value } = self.routes.remove(route);
        self.tree.remove(&pattern);
        if let Some(path) = pattern.literal_path() {
            self.literals.remove(&*path);
        }
        self.shrink();
        Some(value)
    }

    /// The value of the route with this very pattern.
    pub fn get(&self, pattern: &str) -> Option<&T> {
        Some(&self.routes[self.find(pattern)?].value)
    }

    /// The value of the route with this very pattern, to change.
    pub fn get_mut(&mut self, pattern: &str) -> Option<&mut T> {
        let route = self.find(pattern)?;
        Some(&mut self.routes[route].value)
    }

    /// The route that takes `path`. Allocates nothing, and its cost does not grow with the number of routes, but for how far
    /// tables of their size are from the processor. Scopes are not looked at: see [`Match::permit`].
    ///
    /// A path may not be empty, nor have empty segments, `.`, `..` or control characters; it has at most
    /// [`MAX_BYTES`](crate::MAX_BYTES) and [`MAX_SEGMENTS`](crate::MAX_SEGMENTS). What is percent-encoded is decoded and compared
    /// so ([above](#percent-encoding)), in 2 KiB of the stack. Patterns that overlap on purpose cost at most one step for each of
    /// their segments.
    ///
    /// # Errors
    /// [`Miss`]: no pattern takes the path, or it breaks a rule. Costs nothing more until it is asked or shown.
    #[inline]
    pub fn at<'r, 'p>(&'r self, path: &'p str) -> Result<Match<'r, 'p, T>, Miss<'r, 'p, T>> {
        if self.sieve.may_have(path)
            && let Some(route) = self.literals.get(path)
        {
            return Ok(self.matched(*route, path, Segments::NONE));
        }
        let found = match Segments::of(path) {
            Some(segments) => self.tree.at(path, &segments).map(|route| (route, segments)),
            // (In a rooted table, the tree has nothing for a path that is plain here.)
            None => self.find_unusual(path),
        };
        match found {
            Some((route, segments)) => Ok(self.matched(route, path, segments)),
            None => Err(Miss::new(self, path)),
        }
    }

    /// The route that takes a path that is rooted, encoded or breaks a rule, and where its segments are.
    #[cold]
    #[inline(never)]
    fn find_unusual(&self, path: &str) -> Option<(usize, Segments)> {
        let plain = || {
            let relative = path.strip_prefix('/').filter(|_| self.rooted)?;
            Some((relative, Segments::of(relative)?))
        };
        match plain() {
            Some((relative, segments)) => Some((self.tree.at_root(relative, &segments)?, segments.rooted())),
            None => self.resolve(path).ok().flatten(),
        }
    }

    /// The route that takes `path`, and where the segments of that are; or the rule that it breaks. For any path, but slower.
    pub(crate) fn resolve(&self, path: &str) -> Result<Option<(usize, Segments)>, PathError> {
        let mut buffer = encoding::EMPTY;
        let decoded = check(path, self.rooted, &mut buffer)?;
        let relative = &decoded[usize::from(self.rooted)..];
        let route = match relative {
            "" => self.literals.get(path).copied(),
            _ => self.tree.at_root(relative, &Segments::of_checked(relative)),
        };
        let Some(route) = route else { return Ok(None) };
        let segments = match decoded.len() < path.len() {
            true => Segments::of_checked(path).encoded(),
            false => Segments::of_checked(path),
        };
        let pattern = &self.routes[route].pattern;
        if pattern.takes_rest() && !self.slash_in_rest {
            let params = Params::new(pattern, path, segments);
            let rest = params.at(params.len() - 1).unwrap_or_default();
            if let Some(at) = find_encoded_slash(rest) {
                return Err(PathError::EncodedSlash { at: path.len() - rest.len() + at });
            }
        }
        Ok(Some((route, segments)))
    }

    /// The pattern that is most like `path`.
    pub(crate) fn nearest(&self, path: &str) -> Option<&Pattern> {
        let mut buffer = encoding::EMPTY;
        let decoded = check(path, self.rooted, &mut buffer).unwrap_or(path);
        nearest(self.patterns(), decoded.strip_prefix('/').unwrap_or(decoded))
    }

    /// The routes, in the order in which a lookup prefers them: segment by segment, literals by their text, then
    /// parameters, then the rest. Costs a sort.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Pattern, &T)> {
        let mut routes: Vec<_> = self.routes.iter().map(|(_, route)| route).collect();
        routes.sort_by(|one, other| one.pattern.by_preference(&other.pattern));
        routes.into_iter().map(|route| (&route.pattern, &route.value))
    }

    /// How many routes there are.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether there is no route.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// Whether routes must say who may use them.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    pub(crate) fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.routes.iter().map(|(_, route)| &route.pattern)
    }

    #[inline]
    fn matched<'r, 'p>(&'r self, route: usize, path: &'p str, segments: Segments) -> Match<'r, 'p, T> {
        let Route { pattern, value } = &self.routes[route];
        Match::new(value, Params::new(pattern, path, segments))
    }

    fn admit<P>(&self, pattern: P) -> Result<Pattern, Refusal>
    where
        P: TryInto<Pattern, Error: Into<PatternError>>,
    {
        let pattern = pattern.try_into().map_err(Into::into)?;
        if pattern.is_rooted() != self.rooted {
            let rule = if self.rooted { PathError::NoLeadingSlash } else { PathError::LeadingSlash };
            return Err(PatternError::new(pattern.as_str(), PatternErrorKind::Path(rule)).into());
        }
        match self.policy {
            Policy::Scoped if pattern.scope().is_none() => {
                Err(Refusal::NoScope { pattern: pattern.as_str().into() })
            }
            _ => Ok(pattern),
        }
    }

    fn add(&mut self, pattern: Pattern, value: T) {
        let place = self.routes.vacant_entry();
        self.tree.insert(&pattern, place.key());
        if let Some(path) = pattern.literal_path() {
            let has_room = self.sieve.add(&path);
            self.literals.insert(path.into(), place.key());
            if !has_room {
                self.sieve = Sieve::for_all(self.literals.keys().map(|path| &**path));
            }
        }
        place.insert(Route { pattern, value });
    }

    /// Makes anew what has most of its room free.
    fn shrink(&mut self) {
        if self.tree.is_sparse() || is_sparse(self.routes.len(), self.routes.capacity()) {
            let room = Slab::with_capacity(self.routes.len());
            let old = std::mem::replace(&mut self.routes, room);
            self.literals = HashMap::default();
            self.sieve = Sieve::default();
            self.tree = Tree::new(self.rooted);
            for (_, Route { pattern, value }) in old {
                self.add(pattern, value);
            }
        } else if is_sparse(self.literals.len(), self.literals.capacity()) {
            self.literals.shrink_to_fit();
            self.sieve = Sieve::for_all(self.literals.keys().map(|path| &**path));
        }
    }

    fn find(&self, pattern: &str) -> Option<usize> {
        let route = self.tree.find(&pattern.parse().ok()?)?;
        (self.routes[route].pattern.as_str() == pattern).then_some(route)
    }
}

impl<T> Default for Router<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for Router<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::{comparisons_of, steps_of};

    /// One step for each place that a walk over the routes looks at.
    fn walk(router: &Router<usize>) -> usize {
        router.routes.capacity()
    }

    #[test]
    fn after_a_burst_a_walk_over_the_routes_and_a_lookup_cost_what_they_did() {
        let mut router = Router::new();
        for index in 0..100 {
            router.insert(format!("kept/{index}/{{x}}"), index).unwrap();
        }
        let lookup = |router: &Router<usize>, path: &str| steps_of(|| router.at(path).is_ok());
        let (walked, found, missed) =
            (walk(&router), lookup(&router, "kept/7/a"), lookup(&router, "kept/7/a/b/c"));
        for index in 0..20_000 {
            router.insert(format!("kept/{}/{{x}}/b/{index}", index % 100), index).unwrap();
        }
        assert!(walk(&router) > 100 * walked);
        assert_ne!(lookup(&router, "kept/7/a/b/c"), missed, "a route could be there");
        for index in 0..20_000 {
            router.remove(&format!("kept/{}/{{x}}/b/{index}", index % 100)).unwrap();
        }
        assert!(walk(&router) <= 4 * walked.max(64), "{} places for 100 routes", walk(&router));
        assert_eq!(lookup(&router, "kept/7/a"), found);
    }

    #[test]
    fn literals_that_come_and_go_do_not_make_a_table_of_others_anew() {
        let mut router = Router::new();
        for index in 0..10_000 {
            router.insert(format!("a/{index}/{{x}}"), index).unwrap();
        }
        let (compared, ()) = comparisons_of(|| {
            for index in 0..1000 {
                router.insert(format!("a/b/{index}"), index).unwrap();
            }
            for index in 0..1000 {
                router.remove(&format!("a/b/{index}")).unwrap();
            }
        });
        assert!(compared < 30 * 1000, "{compared} edges compared");
        assert!(router.literals.capacity() <= 128, "room for {} literals", router.literals.capacity());
        assert!(router.at("a/b/7").is_err() && router.at("a/9999/b").is_ok());
    }

    #[test]
    fn few_routes_of_many_that_came_and_went_one_by_one_take_little_room() {
        let mut router = Router::new();
        for index in 0..10_000 {
            router.insert(format!("a/{index}"), index).unwrap();
            router.insert(format!("a/{index}/{{x}}/{{y}}"), index).unwrap();
            if index >= 10 {
                router.remove(&format!("a/{}", index - 10)).unwrap();
                router.remove(&format!("a/{}/{{x}}/{{y}}", index - 10)).unwrap();
            }
        }
        assert_eq!(router.len(), 20);
        assert!(walk(&router) <= 64 && router.literals.capacity() <= 128);
    }
}
