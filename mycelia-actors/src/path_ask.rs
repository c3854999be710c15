//! Asking by path.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll, ready};
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::actor::Actor;
use crate::asking::Asking;
use crate::budget::spend;
use crate::entry::{NoJson, ReplyForm};
use crate::envelope::Envelope;
use crate::error::AskFailure;
use crate::path_error::{PathAskError, PathAskFailure};
use crate::paths::{Unsent, take_back};

/// What can be asked for by path: the reply of the route's handler, a [`serde_json::Value`], or a
/// [`RawBody`](crate::RawBody). Nothing implements it by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no reply that a path can give",
    label = "say which reply is expected, `let user: User = …`; it must be owned data that serde can read",
    note = "a reply that is of no interest has a type, too: `let _: () = runtime.ask(path, body).await?`, or use `send`"
)]
pub trait PathReply: sealed::Sealed + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<R: DeserializeOwned + Send + 'static> PathReply for R {}

mod sealed {
    pub trait Sealed {}
    #[diagnostic::do_not_recommend]
    impl<R: serde::de::DeserializeOwned> Sealed for R {}
}

/// A message on its way to a path, and the reply on its way back. Made by [`Runtime::ask`](crate::Runtime::ask) and
/// [`Route::ask`](crate::Route::ask). The path is resolved, and the message made, at once; nothing is sent before the first poll.
///
/// # Errors
/// [`PathAskError`], with the body wherever the message was not accepted: all that can be wrong with a path, and what
/// [`Ask`](crate::Ask) can say.
///
/// # Cancel safety, cost
/// As [`Ask`](crate::Ask).
#[must_use = "nothing is asked until the future is polled"]
pub struct PathAsk<'p, B, R> {
    path: &'p str,
    body: Option<B>,
    stage: Stage<R>,
}

enum Stage<R> {
    Failed(Option<Unsent>),
    /// The envelope's handler replies with an `R`.
    Asked(Asking<Arc<Actor>, R>),
    /// The envelope makes an `R` of its handler's reply.
    Converted(Asking<Arc<Actor>, Result<R, NoJson>>),
}

// Nothing in here is pinned.
impl<B, R> Unpin for PathAsk<'_, B, R> {}

impl<'p, B, R> PathAsk<'p, B, R> {
    /// The envelope replies with an `R` in this form: see `reply_form`.
    pub(crate) fn new(
        path: &'p str,
        body: Option<B>,
        asked: Result<(Arc<Actor>, Envelope, ReplyForm), Unsent>,
    ) -> Self {
        let stage = match asked {
            Ok((actor, envelope, ReplyForm::Itself)) => Stage::Asked(Asking::new(actor, envelope, true)),
            Ok((actor, envelope, _)) => Stage::Converted(Asking::new(actor, envelope, true)),
            Err(unsent) => Stage::Failed(Some(unsent)),
        };
        Self { path, body, stage }
    }

    /// Sets the deadline, as [`Ask::within`](crate::Ask::within).
    pub fn within(mut self, within: Duration) -> Self {
        match &mut self.stage {
            Stage::Asked(asking) => asking.within(within),
            Stage::Converted(asking) => asking.within(within),
            Stage::Failed(_) => {}
        }
        self
    }
}

impl<B: Send + 'static, R> Future for PathAsk<'_, B, R> {
    type Output = Result<R, PathAskError<B>>;

    /// # Panics
    /// If it is polled after it was ready.
    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Self::Output> {
        let Self { path, body, stage } = self.get_mut();
        let failed = match stage {
            Stage::Asked(asking) => match Pin::new(&mut *asking).poll(task) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(reply)) => return Poll::Ready(Ok(reply)),
                Poll::Ready(Err((envelope, failure))) => unanswered(asking.actor(), envelope, failure, body),
            },
            Stage::Converted(asking) => match Pin::new(&mut *asking).poll(task) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(Ok(reply))) => return Poll::Ready(Ok(reply)),
                Poll::Ready(Ok(Err(error))) => (None, PathAskFailure::Reply(error)),
                Poll::Ready(Err((envelope, failure))) => unanswered(asking.actor(), envelope, failure, body),
            },
            Stage::Failed(unsent) => {
                ready!(spend(task));
                match unsent.take() {
                    Some(unsent) => (body.take(), PathAskFailure::Path(unsent.count())),
                    None => panic!("an ask was polled after it was ready"),
                }
            }
        };
        let (body, failure) = failed;
        Poll::Ready(Err(PathAskError::new(body, path, failure)))
    }
}

/// What is left of an ask without a reply: the body, if the message was not accepted.
#[cold]
fn unanswered<B: Send + 'static>(
    actor: &Actor,
    envelope: Option<Envelope>,
    failure: AskFailure,
    body: &mut Option<B>,
) -> (Option<B>, PathAskFailure) {
    let body = envelope.and_then(|envelope| {
        take_back(actor, envelope, body);
        body.take()
    });
    (body, PathAskFailure::Ask(failure))
}

impl<B, R> fmt::Debug for PathAsk<'_, B, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PathAsk").field("path", &self.path).finish_non_exhaustive()
    }
}
