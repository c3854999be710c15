//! A path resolved once.

use std::fmt;
use std::sync::Arc;

use mycelia_router::OwnedParams;

use crate::actor::Actor;
use crate::entry::Entry;
use crate::name::Name;
use crate::path_ask::{PathAsk, PathReply};
use crate::path_error::PathError;
use crate::path_sending::PathSending;
use crate::paths::{Target, Unsent, ask, failed, permit, post, tell};
use crate::tell::Told;

/// A path resolved once: the subsystem, the route, and where the parameters are. Made by
/// [`Runtime::route`](crate::Runtime::route).
///
/// The same verbs as by path, for less. The message is made anew by each of them, and the caller's right, where the route requires
/// one, looked at anew. If the subsystem has ended when a verb is called, the whole path is looked up once more instead: another
/// may have its name by now.
#[derive(Clone)]
pub struct Route {
    actor: Arc<Actor>,
    entry: &'static Entry,
    path: Arc<str>,
    params: OwnedParams<'static>,
}

impl Route {
    pub(crate) fn new(path: &str, target: Target<'_>) -> Self {
        let params = target.params.to_owned();
        Self { actor: target.actor, entry: target.entry, path: path.into(), params }
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The name of the subsystem.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.actor.name
    }

    /// As [`Runtime::tell`](crate::Runtime::tell).
    ///
    /// # Errors
    /// As [`Runtime::tell`](crate::Runtime::tell).
    #[inline]
    pub fn tell<B: Send + 'static>(&self, body: B) -> Result<Told, PathError<B>> {
        let actor = &self.actor;
        if actor.is_gone() {
            return actor.runtime.tell(&self.path, body);
        }
        let mut body = Some(body);
        let params = self.params.params();
        let told = match permit(params.pattern()) {
            Ok(()) => tell(actor, self.entry, &params, &mut body),
            Err(failure) => Err(Unsent::by(actor, failure).count()),
        };
        told.map_err(|failure| failed(body, &self.path, failure))
    }

    /// As [`Runtime::send`](crate::Runtime::send).
    pub fn send<B: Send + 'static>(&self, body: B) -> PathSending<'_, B> {
        let actor = &self.actor;
        if actor.is_gone() {
            return actor.runtime.send(&self.path, body);
        }
        let mut body = Some(body);
        let params = self.params.params();
        let posting = match permit(params.pattern()) {
            Ok(()) => post(Arc::clone(actor), self.entry, &params, &mut body),
            Err(failure) => Err(Unsent::by(actor, failure)),
        };
        PathSending::new(&self.path, body, posting)
    }

    /// As [`Runtime::ask`](crate::Runtime::ask).
    pub fn ask<R: PathReply, B: Send + 'static>(&self, body: B) -> PathAsk<'_, B, R> {
        let actor = &self.actor;
        if actor.is_gone() {
            return actor.runtime.ask(&self.path, body);
        }
        let mut body = Some(body);
        let params = self.params.params();
        let asked = match permit(params.pattern()) {
            Ok(()) => ask::<R, B>(Arc::clone(actor), self.entry, &params, &mut body),
            Err(failure) => Err(Unsent::by(actor, failure)),
        };
        PathAsk::new(&self.path, body, asked)
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Route").field(&self.path).finish()
    }
}
