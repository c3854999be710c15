//! Which paths a subsystem takes, and what becomes of each.

use std::any::TypeId;
use std::collections::HashMap;
use std::collections::hash_map;
use std::fmt;
use std::sync::{LazyLock, Mutex, PoisonError};

use mycelia_router::{Match, Miss, PathError as PathRule, Pattern, Router, Scope};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::entry::Entry;
use crate::error::RouteError;
use crate::handler::Handler;
use crate::notation;
use crate::request::Request;
use crate::subsystem::Subsystem;

/// What a message or a reply of a route must be: owned, and known to serde. Nothing implements it by hand.
///
/// Where a field is borrowed (`&str`), rustc says that an "implementation of `Deserialize` is not general enough": use `String`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot go through a route",
    label = "a route's message and its reply must be owned data that serde can read and write (of a `Result`, both halves)",
    note = "write `#[derive(Serialize, Deserialize)]` on it, without borrowed fields (`String`, not `&str`)"
)]
pub trait Routable: Serialize + for<'de> OwnedWithoutBorrowedFields<'de> + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + 'static> Routable for T {}

/// Serde's `Deserialize` under a name that says what is wrong where rustc finds it "not general enough".
pub trait OwnedWithoutBorrowedFields<'de>: Deserialize<'de> {}

impl<'de, T: Deserialize<'de>> OwnedWithoutBorrowedFields<'de> for T {}

/// The routes of a subsystem, while [`Subsystem::routes`] lists them.
///
/// ```text
///   users              the same text
///   {id}               a parameter: one segment
///   v{major}.json      a parameter with text around it
///   {*path}            the rest: one segment or more; last only, also with text before it (`v{*path}`)
/// ```
///
/// The most specific pattern wins, segment by segment, in whatever order they are listed. There is no slash at the beginning or
/// the end, and no query string: what is not in the path is in the body. The page of the crate `mycelia-router` has the details.
/// Other notations (`:id`, `<id>`, `*`) are literal text here, for which there is a warning; `{id?}` and its like are errors.
///
/// A path is percent-decoded, segment by segment, before it is compared: `users/%6De` is `users/me`, and the scope required is
/// that of the pattern which the decoded path matches. `%2F` is a slash inside of a `{name}` segment, and refused in `{*path}` and
/// in a fallback; `.`, `..`, control characters and what is not UTF-8 are refused, encoded or not, and so is a `%` that
/// encodes nothing. Such a path is [`PathFailure::BadPath`](crate::PathFailure::BadPath).
/// [`encode_segment`](crate::encode_segment) writes any other text as a segment.
///
/// They belong to the type: listed once in a program, and shared by all subsystems of that type. A mistake in them is an error
/// when a subsystem of that type is spawned with a name; without a name no
/// path leads there.
///
/// ```
/// use mycelia_actors::prelude::*;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct GetUser { id: u64 }
///
/// struct Users;
/// impl Handler<GetUser> for Users {
///     type Reply = String;
///     async fn handle(&mut self, user: GetUser, _cx: &mut Context<Self>) -> String {
///         format!("user {}", user.id)
///     }
/// }
///
/// impl Subsystem for Users {
///     fn routes(routes: &mut Routes<Self>) {
///         routes.on::<GetUser>("users/{id}");
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let runtime = Runtime::new();
/// runtime.spawn("api", Users)?;
/// let user: String = runtime.ask("api://users/7", ()).await?;
/// assert_eq!(user, "user 7");
/// # Ok(())
/// # }
/// ```
pub struct Routes<S: Subsystem> {
    /// In the order in which they were listed.
    listed: Vec<(Option<&'static str>, Listed)>,
    subsystem: std::marker::PhantomData<fn(S)>,
}

struct Listed {
    entry: Entry,
    scope: Option<&'static str>,
}

impl<S: Subsystem> Routes<S> {
    fn new() -> Self {
        Self { listed: Vec::new(), subsystem: std::marker::PhantomData }
    }

    /// Messages to paths that `pattern` takes become an `M`.
    ///
    /// Its fields are filled from the parameters and from the JSON body, which may be an object beside parameters. A tuple struct
    /// takes parameters by position, a newtype or a number the only one. Parameters are percent-decoded, once.
    /// What cannot be filled is an error to the sender.
    ///
    /// Every parameter must be taken by some field of the message itself (not of a struct in it). Fields that nothing fills are
    /// errors unless they are `Option`s or have a default; what the body has beyond the fields is ignored, unless the message
    /// says `#[serde(deny_unknown_fields)]`. Under `#[serde(flatten)]`, and in tagged and untagged enums, serde does not say which
    /// types it wants: parameters are strings there.
    ///
    /// Without parameters the body may also be an `M` itself, which moves, without serde.
    pub fn on<M: Routable>(&mut self, pattern: &'static str) -> ListedRoute<'_>
    where
        S: Handler<M, Reply: Routable>,
    {
        self.list(Some(pattern), Entry::message::<S, M>(pattern))
    }

    /// Messages to paths that `pattern` takes go to the handler of [`Request`], as they came in.
    pub fn raw(&mut self, pattern: &'static str) -> ListedRoute<'_>
    where
        S: Handler<Request, Reply: Routable>,
    {
        self.list(Some(pattern), Entry::request::<S>(pattern))
    }

    /// Messages to all other paths of this subsystem go to the handler of [`Request`], as they came in.
    pub fn fallback(&mut self) -> ListedRoute<'_>
    where
        S: Handler<Request, Reply: Routable>,
    {
        self.list(None, Entry::request::<S>(FALLBACK))
    }

    fn list(&mut self, pattern: Option<&'static str>, entry: Entry) -> ListedRoute<'_> {
        self.listed.push((pattern, Listed { entry, scope: None }));
        let last = self.listed.len() - 1;
        ListedRoute { scope: &mut self.listed[last].1.scope }
    }

    fn build(self) -> Result<TypeRoutes, RouteError> {
        let mut routes = TypeRoutes { router: Router::new(), fallback: None };
        for (pattern, Listed { entry, scope }) in self.listed {
            let scope = scope.map(str::parse::<Scope>).transpose()?;
            let requiring = |pattern: Pattern| match scope {
                Some(scope) => pattern.requiring(scope),
                None => pattern,
            };
            match pattern {
                Some(pattern) => {
                    let pattern = requiring(pattern.parse().map_err(mycelia_router::Refusal::from)?);
                    routes.router.insert(pattern, entry).map_err(|error| error.reason)?;
                }
                None if routes.fallback.is_some() => return Err(RouteError::TwoFallbacks),
                None => {
                    let pattern = FALLBACK.parse().map_err(mycelia_router::Refusal::from)?;
                    let mut fallback = Router::new();
                    fallback.insert(requiring(pattern), entry).map_err(|error| error.reason)?;
                    routes.fallback = Some(fallback);
                }
            }
        }
        Ok(routes)
    }
}

/// Says that a route has literal text which looks like a parameter elsewhere.
fn warn_of_notation(subsystem: &'static str, pattern: &str) {
    if let Some(instead) = notation::instead_of(pattern) {
        tracing::warn!(
            subsystem,
            "route `{pattern}` has no parameter where it looks like it: one is written `{{id}}`, the rest of a path `{{*rest}}`; \
             perhaps `{instead}` is meant"
        );
    }
}

/// The pattern of the fallback, which has a router of its own.
const FALLBACK: &str = "{*path}";

/// A route just listed.
pub struct ListedRoute<'a> {
    scope: &'a mut Option<&'static str>,
}

impl ListedRoute<'_> {
    /// Whoever sends to it must hold this right: see [`Metadata::with_caller`](crate::Metadata::with_caller). Sending by
    /// [`Address`](crate::Address) is not checked: who has one, has the right.
    pub fn scope(self, scope: &'static str) {
        *self.scope = Some(scope);
    }
}

/// The routes of one type of subsystem. They are made once and never dropped.
pub(crate) struct TypeRoutes {
    router: Router<Entry>,
    fallback: Option<Router<Entry>>,
}

impl TypeRoutes {
    /// Those of `S`, made at the first call.
    pub(crate) fn of<S: Subsystem>() -> Result<&'static Self, RouteError> {
        type Made = HashMap<TypeId, Result<&'static TypeRoutes, RouteError>>;
        static MADE: LazyLock<Mutex<Made>> = LazyLock::new(Mutex::default);

        let made = || MADE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(routes) = made().get(&TypeId::of::<S>()) {
            return routes.clone();
        }
        // The user's code runs without the lock. Should two threads come here at once, one result is kept.
        let mut routes = Routes::new();
        S::routes(&mut routes);
        let patterns: Vec<_> = routes.listed.iter().filter_map(|(pattern, _)| *pattern).collect();
        let built = routes.build();
        let (kept, is_first) = match made().entry(TypeId::of::<S>()) {
            hash_map::Entry::Occupied(other) => (other.get().clone(), false),
            hash_map::Entry::Vacant(place) => {
                let kept = built.map(|routes| &*Box::leak(Box::new(routes)));
                (place.insert(kept).clone(), true)
            }
        };
        if is_first {
            patterns.iter().for_each(|pattern| warn_of_notation(std::any::type_name::<S>(), pattern));
        }
        kept
    }

    /// The route for a path, without the subsystem's name.
    #[inline]
    pub(crate) fn at<'p>(&'static self, path: &'p str) -> Option<Match<'static, 'p, Entry>> {
        match self.router.at(path) {
            Ok(hit) => Some(hit),
            Err(_) => self.fallback.as_ref()?.at(path).ok(),
        }
    }

    /// The rule that a path without a route breaks, if it breaks one.
    pub(crate) fn broken_rule(&self, path: &str) -> Option<PathRule> {
        let breaks = |router: &Router<Entry>| router.at(path).err()?.broken_rule();
        breaks(&self.router).or_else(|| self.fallback.as_ref().and_then(breaks))
    }

    pub(crate) fn miss<'p>(&'static self, path: &'p str) -> Option<Miss<'static, 'p, Entry>> {
        self.router.at(path).err()
    }

    /// All of them, in the order of preference; the fallback, which has no pattern of its own, last.
    pub(crate) fn list(&self) -> impl Iterator<Item = (Option<&Pattern>, Option<&Scope>, &Entry)> {
        let listed = self.router.iter().map(|(pattern, entry)| (Some(pattern), pattern.scope(), entry));
        let fallback = self.fallback.iter().flat_map(Router::iter);
        listed.chain(fallback.map(|(pattern, entry)| (None, pattern.scope(), entry)))
    }
}

/// One route of a runtime, as [`Runtime::routes`](crate::Runtime::routes) lists them.
///
/// ```text
/// {"subsystem": "api", "pattern": "users/{id}", "message": "shop::GetUser", "reply": "shop::User", "scope": "users:read"}
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RouteInfo {
    /// The subsystem's name.
    pub subsystem: String,
    /// The pattern; none for the fallback.
    pub pattern: Option<String>,
    /// The name of the message's type.
    pub message: &'static str,
    /// The name of the reply's type.
    pub reply: &'static str,
    /// The right it requires, if any.
    pub scope: Option<String>,
}

/// `api://users/{id}: shop::GetUser -> shop::User, for users:read`.
impl fmt::Display for RouteInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pattern = self.pattern.as_deref().unwrap_or(FALLBACK);
        write!(f, "{}://{pattern}: {} -> {}", self.subsystem, self.message, self.reply)?;
        self.scope.as_ref().map_or(Ok(()), |scope| write!(f, ", for {scope}"))
    }
}

impl RouteInfo {
    pub(crate) fn all_of<'a>(
        subsystem: &'a str,
        routes: &'a TypeRoutes,
    ) -> impl Iterator<Item = RouteInfo> + 'a {
        routes.list().map(move |(pattern, scope, entry)| RouteInfo {
            subsystem: subsystem.to_owned(),
            pattern: pattern.map(Pattern::to_string),
            message: (entry.message_type)(),
            reply: (entry.reply_type)(),
            scope: scope.map(Scope::to_string),
        })
    }
}
