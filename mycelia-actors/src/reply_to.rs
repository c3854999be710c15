//! A reply that may come later, from somewhere else.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::actor::Actor;
use crate::ask::failure;
use crate::deadline;
use crate::envelope::{Asker, Promise};
use crate::error::{AskError, AskFailure, Refusal};
use crate::sending::Sending;
use crate::slot::Fate;
use crate::tell::Enveloping;

/// The duty to reply, as a value: inside a message, or kept for later, moved to another task, or forwarded.
///
/// Dropping it tells the asker so ([`AskFailure::Unanswered`]). Made by
/// [`Address::ask_with`](crate::Address::ask_with).
pub struct ReplyTo<R: Send + 'static> {
    promise: Promise<R>,
    /// Keeps the message pool alive, wherever this goes.
    _actor: Arc<Actor>,
}

impl<R: Send + 'static> ReplyTo<R> {
    /// Replies. If the asker has gone, the reply is dropped.
    pub fn reply(self, reply: R) {
        self.promise.keep(reply);
    }

    /// True if nobody waits for the reply any more: its deadline has passed, or the asker has gone.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.promise.is_over()
    }
}

impl<R: Send + 'static> fmt::Debug for ReplyTo<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyTo").field("is_over", &self.is_over()).finish()
    }
}

pub(crate) async fn ask_with<M: Send, R: Send + 'static>(
    actor: &Arc<Actor>,
    within: Duration,
    make: impl FnOnce(ReplyTo<R>) -> M,
    envelop: Enveloping<M>,
) -> Result<R, AskError<M>> {
    let error = |message, failure| AskError { message, subsystem: actor.name.clone(), failure };
    let pool = &actor.runtime.slots;
    let opened = poll_fn(|task| Poll::Ready(Promise::new(pool, task, deadline::unstamped(within)))).await;
    let (promise, asker) = opened.map_err(|exhausted| {
        error(None, AskFailure::Refused(Refusal::PoolExhausted { capacity: exhausted.capacity }))
    })?;
    let mut asker = Some(asker);
    let message = make(ReplyTo { promise, _actor: Arc::clone(actor) });
    actor.runtime.deadlines.ask_is_out(&actor.runtime, within);
    let mut sending = Sending::new(actor, message, envelop);
    let mut sent = false;
    poll_fn(|task| {
        if !sent {
            match Pin::new(&mut sending).poll(task) {
                Poll::Ready(Err(refused)) => {
                    let failure = AskFailure::Refused(refused.refusal);
                    return Poll::Ready(Err(error(Some(refused.message), failure)));
                }
                Poll::Ready(Ok(())) => sent = true,
                Poll::Pending => {}
            }
        }
        Asker::poll(&mut asker, task)
            .map(|outcome| outcome.map_err(|fate: Fate| error(None, failure(fate, within))))
    })
    .await
}
