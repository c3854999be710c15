//! The router: values by pattern, found by path.

use std::collections::HashMap;
use std::fmt;

use foldhash::fast::RandomState;
use slab::Slab;

use crate::error::{InsertError, PatternError, Refusal};
use crate::matched::Match;
use crate::miss::Miss;
use crate::params::Params;
use crate::path::Segments;
use crate::pattern::Pattern;
use crate::sieve::Sieve;
use crate::tree::Tree;

/// Values of type `T` by [`Pattern`], found by path.
///
/// The most specific pattern wins, segment by segment: a literal, then a parameter with literal text around it (the one with
/// more text before it first, then with more behind it), then a parameter, then the rest. Where a choice leads nowhere, the
/// next one is tried. Neither the order of insertion nor the length of a pattern matters.
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
#[derive(Clone)]
pub struct Router<T> {
    routes: Slab<Route<T>>,
    /// The routes without parameters, by the one path that they take.
    literals: HashMap<Box<str>, usize, RandomState>,
    sieve: Sieve,
    tree: Tree,
    policy: Policy,
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
        Self {
            routes: Slab::new(),
            literals: HashMap::default(),
            sieve: Sieve::default(),
            tree: Tree::new(),
            policy,
        }
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
    /// A path may not be empty, nor have empty segments, `..` or control characters; it has at most
    /// [`MAX_BYTES`](crate::MAX_BYTES) and [`MAX_SEGMENTS`](crate::MAX_SEGMENTS). It is compared as it is:
    /// nothing is percent-decoded. Patterns that overlap on purpose cost at most one step for each of their segments.
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
        match Segments::of(path) {
            Some(segments) => match self.tree.at(path, &segments) {
                Some(route) => Ok(self.matched(route, path, segments)),
                None => Err(Miss::new(self, path)),
            },
            None => Err(Miss::new(self, path)),
        }
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
