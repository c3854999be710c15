//! Sending by path: what a path leads to, and the verbs.

use std::any::{TypeId, type_name};
use std::sync::Arc;

use mycelia_router::{Params, Pattern};
use serde_json::Value;

use crate::actor::Actor;
use crate::body::{BodyRef, RawBody, is_typed};
use crate::current;
use crate::entry::{Entry, ReplyForm};
use crate::envelope::Envelope;
use crate::path_ask::{PathAsk, PathReply};
use crate::path_error::{NoRoute, PathError, PathFailure, PathStats};
use crate::path_sending::PathSending;
use crate::posting::Posting;
use crate::route::Route;
use crate::routes::{RouteInfo, TypeRoutes};
use crate::shared::Shared;
use crate::tell::{Told, refusal};

/// Sends messages by path (`api://users/7`): what a [`Runtime`](crate::Runtime) can, and a [`Context`](crate::Context) too.
///
/// The part before `://` is the name of a subsystem, as it is; the rest goes through [its routes](crate::Routes), percent-decoded:
/// write what may have any character in it with [`encode_segment`](crate::encode_segment). The body is `()`, a
/// [`serde_json::Value`], a [`RawBody`], or, where the pattern has no parameters, the message itself.
///
/// Cloning gives another handle. It keeps no subsystem alive.
#[derive(Clone)]
pub struct Paths {
    shared: Arc<Shared>,
}

impl Paths {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared) }
    }

    /// As [`Runtime::tell`](crate::Runtime::tell).
    ///
    /// # Errors
    /// As [`Runtime::tell`](crate::Runtime::tell).
    pub fn tell<B: Send + 'static>(&self, path: &str, body: B) -> Result<Told, PathError<B>> {
        self.shared.tell(path, body)
    }

    /// As [`Runtime::send`](crate::Runtime::send).
    pub fn send<'p, B: Send + 'static>(&self, path: &'p str, body: B) -> PathSending<'p, B> {
        self.shared.send(path, body)
    }

    /// As [`Runtime::ask`](crate::Runtime::ask).
    pub fn ask<'p, R: PathReply, B: Send + 'static>(&self, path: &'p str, body: B) -> PathAsk<'p, B, R> {
        self.shared.ask(path, body)
    }

    /// As [`Runtime::route`](crate::Runtime::route).
    ///
    /// # Errors
    /// As [`Runtime::route`](crate::Runtime::route).
    pub fn route(&self, path: &str) -> Result<Route, PathError<()>> {
        match self.shared.resolve(path) {
            Ok(target) => Ok(Route::new(path, target)),
            Err(failure) => Err(PathError::new((), path, failure)),
        }
    }

    /// As [`Runtime::routes`](crate::Runtime::routes).
    #[must_use]
    pub fn routes(&self) -> Vec<RouteInfo> {
        let mut all: Vec<_> = self.shared.named_routes();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        all.iter().flat_map(|(name, routes)| RouteInfo::all_of(name, routes)).collect()
    }

    /// As [`Runtime::path_stats`](crate::Runtime::path_stats).
    #[must_use]
    pub fn path_stats(&self) -> PathStats {
        self.shared.path_counters.stats()
    }
}

/// What a path leads to.
pub(crate) struct Target<'p> {
    pub(crate) actor: Arc<Actor>,
    pub(crate) entry: &'static Entry,
    pub(crate) params: Params<'static, 'p>,
}

/// A message that was not sent, and who counts it: when its sender hears of it, not before.
pub(crate) struct Unsent {
    failure: PathFailure,
    shared: Arc<Shared>,
    /// The subsystem that had no slot for it.
    returned_by: Option<Arc<Actor>>,
}

impl Unsent {
    #[cold]
    pub(crate) fn new(shared: &Arc<Shared>, failure: PathFailure) -> Self {
        Self { failure, shared: Arc::clone(shared), returned_by: None }
    }

    #[cold]
    pub(crate) fn by(actor: &Arc<Actor>, failure: PathFailure) -> Self {
        let refused = matches!(failure, PathFailure::Refused(_));
        Self { returned_by: refused.then(|| Arc::clone(actor)), ..Self::new(&actor.runtime, failure) }
    }

    #[cold]
    pub(crate) fn count(self) -> PathFailure {
        match self.returned_by {
            Some(actor) => actor.ledger.rare().returned.add(1),
            None => self.shared.path_counters.count(&self.failure),
        }
        self.failure
    }
}

impl Shared {
    pub(crate) fn tell<B: Send + 'static>(
        self: &Arc<Self>,
        path: &str,
        body: B,
    ) -> Result<Told, PathError<B>> {
        let mut body = Some(body);
        let told = match self.resolve(path) {
            Ok(Target { actor, entry, params }) => tell(&actor, entry, &params, &mut body),
            Err(failure) => Err(Unsent::new(self, failure).count()),
        };
        told.map_err(|failure| failed(body, path, failure))
    }

    pub(crate) fn send<'p, B: Send + 'static>(
        self: &Arc<Self>,
        path: &'p str,
        body: B,
    ) -> PathSending<'p, B> {
        let mut body = Some(body);
        let posting = match self.resolve(path) {
            Ok(Target { actor, entry, params }) => post(actor, entry, &params, &mut body),
            Err(failure) => Err(Unsent::new(self, failure)),
        };
        PathSending::new(path, body, posting)
    }

    pub(crate) fn ask<'p, R: PathReply, B: Send + 'static>(
        self: &Arc<Self>,
        path: &'p str,
        body: B,
    ) -> PathAsk<'p, B, R> {
        let mut body = Some(body);
        let asked = match self.resolve(path) {
            Ok(Target { actor, entry, params }) => ask::<R, B>(actor, entry, &params, &mut body),
            Err(failure) => Err(Unsent::new(self, failure)),
        };
        PathAsk::new(path, body, asked)
    }

    /// What a path leads to, if whoever asks may go there.
    #[inline]
    pub(crate) fn resolve<'p>(&self, path: &'p str) -> Result<Target<'p>, PathFailure> {
        let (name, rest) = split(path).ok_or(PathFailure::NoName)?;
        let Some((actor, routes)) = self.named(name) else {
            return Err(PathFailure::NoSubsystem(name.chars().take(100).collect()));
        };
        let hit = routes.at(rest).ok_or_else(|| no_route(routes, rest))?;
        permit(hit.pattern())?;
        Ok(Target { actor, entry: hit.value(), params: *hit.params() })
    }
}

#[cold]
fn no_route(routes: &'static TypeRoutes, path: &str) -> PathFailure {
    match routes.broken_rule(path) {
        Some(rule) => PathFailure::BadPath(rule),
        None => PathFailure::NoRoute(NoRoute { routes, path: path.into() }),
    }
}

/// Whether the caller of the running code may use a route with this pattern.
#[inline]
pub(crate) fn permit(pattern: &Pattern) -> Result<(), PathFailure> {
    match pattern.scope() {
        None => Ok(()),
        Some(_) => Ok(current::with_caller(|caller| pattern.permit(caller))?),
    }
}

/// Makes the message of a route and hands it over without waiting.
#[inline]
pub(crate) fn tell<B: Send + 'static>(
    actor: &Arc<Actor>,
    entry: &'static Entry,
    params: &Params<'_, '_>,
    body: &mut Option<B>,
) -> Result<Told, PathFailure> {
    let envelope = entry.envelope(actor, params, BodyRef::of(body), ReplyForm::Itself);
    let envelope = envelope.map_err(|failure| Unsent::by(actor, failure).count())?;
    actor.push(envelope).map_err(|error| {
        let (envelope, refusal) = refusal(error);
        take_back(actor, envelope, body);
        PathFailure::Refused(refusal)
    })
}

/// Makes the message of a route, to be sent.
#[inline]
pub(crate) fn post<B: Send + 'static>(
    actor: Arc<Actor>,
    entry: &'static Entry,
    params: &Params<'_, '_>,
    body: &mut Option<B>,
) -> Result<Posting<Arc<Actor>>, Unsent> {
    match entry.envelope(&actor, params, BodyRef::of(body), ReplyForm::Itself) {
        Ok(envelope) => Ok(Posting::new(actor, envelope)),
        Err(failure) => Err(Unsent::by(&actor, failure)),
    }
}

/// Makes the message of a route, for an asker who wants an `R`.
#[inline]
pub(crate) fn ask<R: PathReply, B: Send + 'static>(
    actor: Arc<Actor>,
    entry: &'static Entry,
    params: &Params<'_, '_>,
    body: &mut Option<B>,
) -> Result<(Arc<Actor>, Envelope, ReplyForm), Unsent> {
    let form = reply_form::<R>(entry, params);
    match form.and_then(|form| Ok((entry.envelope(&actor, params, BodyRef::of(body), form)?, form))) {
        Ok((envelope, form)) => Ok((actor, envelope, form)),
        Err(failure) => Err(Unsent::by(&actor, failure)),
    }
}

/// The subsystem's name, and the path there.
#[inline]
fn split(path: &str) -> Option<(&str, &str)> {
    let colon = path.bytes().position(|byte| byte == b':')?;
    let rest = path[colon + 1..].strip_prefix("//")?;
    (colon > 0).then(|| (&path[..colon], rest))
}

/// The message of an envelope that was not accepted: the body, where that was typed, and nobody's else.
#[cold]
pub(crate) fn take_back<B: Send + 'static>(actor: &Actor, envelope: Envelope, body: &mut Option<B>) {
    if is_typed::<B>() {
        // SAFETY: a typed body is taken only as the message itself, see `Entry::envelope`.
        *body = Some(unsafe { envelope.into_message::<B>() });
    } else {
        actor.drop_contained(envelope);
    }
}

#[cold]
pub(crate) fn failed<B>(body: Option<B>, path: &str, failure: PathFailure) -> PathError<B> {
    let Some(body) = body else { unreachable!("a body that was not accepted is where it was") };
    PathError::new(body, path, failure)
}

/// In which form an asker who wants an `R` gets the reply of this route.
#[inline]
fn reply_form<R: 'static>(entry: &Entry, params: &Params<'_, '_>) -> Result<ReplyForm, PathFailure> {
    let asked = TypeId::of::<R>();
    if asked == (entry.reply_id)() {
        Ok(ReplyForm::Itself)
    } else if asked == TypeId::of::<Value>() {
        Ok(ReplyForm::Json)
    } else if asked == TypeId::of::<RawBody>() {
        Ok(ReplyForm::Raw)
    } else {
        Err(PathFailure::ReplyType {
            pattern: params.pattern().as_str().into(),
            expected: (entry.reply_type)(),
            asked: type_name::<R>(),
        })
    }
}
