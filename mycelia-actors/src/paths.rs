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
use crate::runtime::Shared;
use crate::tell::{Told, refusal};

/// Sends messages by path (`api://users/7`): what a [`Runtime`](crate::Runtime) can, and a [`Context`](crate::Context) too.
///
/// The part before `://` is the name of a subsystem; the rest goes through [its routes](crate::Routes). The body is `()`, a
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
        let target = self.shared.resolve(path);
        let target = target.map_err(|failure| PathError { body: (), path: path.into(), failure })?;
        Ok(Route::new(path, target))
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

impl Shared {
    pub(crate) fn tell<B: Send + 'static>(&self, path: &str, body: B) -> Result<Told, PathError<B>> {
        let mut body = Some(body);
        let told = self.resolve(path).and_then(|target| {
            let envelope =
                envelope(&target.actor, target.entry, &target.params, &mut body, ReplyForm::Itself)?;
            push(&target.actor, envelope, &mut body)
        });
        told.map_err(|failure| failed(body, path, failure))
    }

    pub(crate) fn send<'p, B: Send + 'static>(&self, path: &'p str, body: B) -> PathSending<'p, B> {
        let mut body = Some(body);
        let posting = self.resolve(path).and_then(|target| {
            let envelope =
                envelope(&target.actor, target.entry, &target.params, &mut body, ReplyForm::Itself)?;
            Ok(Posting::new(target.actor, envelope))
        });
        PathSending::new(path, body, posting)
    }

    pub(crate) fn ask<'p, R: PathReply, B: Send + 'static>(
        &self,
        path: &'p str,
        body: B,
    ) -> PathAsk<'p, B, R> {
        let mut body = Some(body);
        let asked = self.resolve(path).and_then(|target| {
            let form = reply_form::<R>(&target.actor, target.entry, &target.params)?;
            let envelope = envelope(&target.actor, target.entry, &target.params, &mut body, form)?;
            Ok((target.actor, envelope, form))
        });
        PathAsk::new(path, body, asked)
    }

    /// What a path leads to, if whoever asks may go there.
    #[inline]
    pub(crate) fn resolve<'p>(&self, path: &'p str) -> Result<Target<'p>, PathFailure> {
        let Some((name, rest)) = split(path) else {
            self.path_counters.no_subsystem.add(1);
            return Err(PathFailure::NoName);
        };
        let Some((actor, routes)) = self.named(name) else {
            self.path_counters.no_subsystem.add(1);
            return Err(PathFailure::NoSubsystem(name.chars().take(100).collect()));
        };
        let Some(hit) = routes.at(rest) else { return Err(self.no_route(routes, rest)) };
        self.permit(hit.pattern())?;
        Ok(Target { actor, entry: hit.value(), params: *hit.params() })
    }

    #[cold]
    fn no_route(&self, routes: &'static TypeRoutes, path: &str) -> PathFailure {
        self.path_counters.no_route.add(1);
        // What is longer than any path may be is not kept whole: enough for the error to say so.
        let kept =
            path.char_indices().nth(mycelia_router::MAX_BYTES + 1).map_or(path, |(end, _)| &path[..end]);
        PathFailure::NoRoute(NoRoute { routes, path: kept.into() })
    }

    /// Whether the caller of the running code may use this route.
    #[inline]
    pub(crate) fn permit(&self, pattern: &Pattern) -> Result<(), PathFailure> {
        match pattern.scope() {
            None => Ok(()),
            Some(_) => current::with_caller(|caller| pattern.permit(caller)).map_err(|denied| {
                self.path_counters.denied.add(1);
                PathFailure::Denied(denied)
            }),
        }
    }
}

/// The subsystem's name, and the path there.
#[inline]
fn split(path: &str) -> Option<(&str, &str)> {
    let colon = path.bytes().position(|byte| byte == b':')?;
    Some((&path[..colon], path[colon + 1..].strip_prefix("//")?))
}

/// The envelope of a message; a typed body has moved into it.
#[inline]
pub(crate) fn envelope<B: Send + 'static>(
    actor: &Actor,
    entry: &'static Entry,
    params: &Params<'_, '_>,
    body: &mut Option<B>,
    form: ReplyForm,
) -> Result<Envelope, PathFailure> {
    let envelope = entry.envelope(actor, params, BodyRef::of(body), form);
    if let Err(failure) = &envelope {
        not_sent(actor, failure);
    }
    envelope
}

#[cold]
fn not_sent(actor: &Actor, failure: &PathFailure) {
    match failure {
        PathFailure::Refused(_) => actor.ledger.rare().returned.add(1),
        _ => actor.runtime.path_counters.bad_body.add(1),
    }
}

/// Hands the envelope over without waiting; a typed body comes back out of it.
#[inline]
pub(crate) fn push<B: Send + 'static>(
    actor: &Actor,
    envelope: Envelope,
    body: &mut Option<B>,
) -> Result<Told, PathFailure> {
    actor.push(envelope).map_err(|error| {
        let (envelope, refusal) = refusal(error);
        take_back(actor, envelope, body);
        PathFailure::Refused(refusal)
    })
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
    PathError { body, path: path.into(), failure }
}

/// In which form an asker who wants an `R` gets the reply of this route.
#[inline]
pub(crate) fn reply_form<R: 'static>(
    actor: &Actor,
    entry: &Entry,
    params: &Params<'_, '_>,
) -> Result<ReplyForm, PathFailure> {
    let asked = TypeId::of::<R>();
    if asked == (entry.reply_id)() {
        Ok(ReplyForm::Itself)
    } else if asked == TypeId::of::<Value>() {
        Ok(ReplyForm::Json)
    } else if asked == TypeId::of::<RawBody>() {
        Ok(ReplyForm::Raw)
    } else {
        actor.runtime.path_counters.bad_body.add(1);
        Err(PathFailure::ReplyType {
            pattern: params.pattern().as_str().into(),
            expected: (entry.reply_type)(),
            asked: type_name::<R>(),
        })
    }
}
