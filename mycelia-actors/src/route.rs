//! A path resolved once.

use std::fmt;
use std::sync::Arc;

use mycelia_router::OwnedParams;

use crate::actor::Actor;
use crate::entry::{Entry, ReplyForm};
use crate::error::Refusal;
use crate::name::Name;
use crate::path_ask::{PathAsk, PathReply};
use crate::path_error::{PathError, PathFailure};
use crate::path_sending::PathSending;
use crate::paths::{Target, envelope, failed, push, reply_form};
use crate::posting::Posting;
use crate::tell::Told;

/// A path resolved once: the subsystem, the route, and where the parameters are. Made by
/// [`Runtime::route`](crate::Runtime::route).
///
/// The same verbs as by path, for less. The message is made anew by each of them, and the caller's right, where the route requires
/// one, looked at anew. If the subsystem has ended, its name is looked up once more before a verb fails.
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
        let mut body = Some(body);
        match self.try_tell(&mut body) {
            Ok(told) => Ok(told),
            Err(failure) => self.tell_again(body, failure),
        }
    }

    #[inline]
    fn try_tell<B: Send + 'static>(&self, body: &mut Option<B>) -> Result<Told, PathFailure> {
        let params = self.params.params();
        self.actor.runtime.permit(params.pattern())?;
        let envelope = envelope(&self.actor, self.entry, &params, body, ReplyForm::Itself)?;
        push(&self.actor, envelope, body)
    }

    #[cold]
    fn tell_again<B: Send + 'static>(
        &self,
        body: Option<B>,
        failure: PathFailure,
    ) -> Result<Told, PathError<B>> {
        match (failure, body) {
            (PathFailure::Refused(Refusal::Stopped), Some(body)) => self.actor.runtime.tell(&self.path, body),
            (failure, body) => Err(failed(body, &self.path, failure)),
        }
    }

    /// As [`Runtime::send`](crate::Runtime::send).
    pub fn send<B: Send + 'static>(&self, body: B) -> PathSending<'_, B> {
        if self.actor.queue.is_closed() {
            return self.actor.runtime.send(&self.path, body);
        }
        let mut body = Some(body);
        let params = self.params.params();
        let posting = self.actor.runtime.permit(params.pattern()).and_then(|()| {
            let envelope = envelope(&self.actor, self.entry, &params, &mut body, ReplyForm::Itself)?;
            Ok(Posting::new(Arc::clone(&self.actor), envelope))
        });
        PathSending::new(&self.path, body, posting)
    }

    /// As [`Runtime::ask`](crate::Runtime::ask).
    pub fn ask<R: PathReply, B: Send + 'static>(&self, body: B) -> PathAsk<'_, B, R> {
        if self.actor.queue.is_closed() {
            return self.actor.runtime.ask(&self.path, body);
        }
        let mut body = Some(body);
        let params = self.params.params();
        let asked = self.actor.runtime.permit(params.pattern()).and_then(|()| {
            let form = reply_form::<R>(&self.actor, self.entry, &params)?;
            let envelope = envelope(&self.actor, self.entry, &params, &mut body, form)?;
            Ok((Arc::clone(&self.actor), envelope, form))
        });
        PathAsk::new(&self.path, body, asked)
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Route").field(&self.path).finish()
    }
}
