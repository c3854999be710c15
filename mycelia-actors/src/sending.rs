//! Handing a message over, waiting for room.

use std::fmt;
use std::pin::Pin;
use std::task::{Context as Task, Poll, ready};

use crate::actor::Actor;
use crate::budget::spend;
use crate::error::{Refusal, TellError};
use crate::posting::Posting;
use crate::tell::Enveloping;

/// A message on its way into a mailbox. Made by [`Address::send`](crate::Address::send) and
/// [`Recipient::send`](crate::Recipient::send). The message moves into a slot of the pool at once, but nothing is sent
/// before the first poll.
///
/// # Errors
/// [`TellError`], with the message: stopped (also while waiting), the message pool is exhausted, the deadline of the message in
/// hand (or of the metadata) passes first, or this code runs inside a handler that would wait for itself.
///
/// # Cancel safety
/// Dropping the future while it is in line leaves no trace: the message is dropped, and was never sent. But if its room has
/// come (of which the future may not have heard yet, see [`Mailbox`](crate::Mailbox)), the message is sent, and stays so.
///
/// # Cost
/// No allocation once the message pool is warm, for messages of up to 64 bytes (and an alignment of 16).
#[must_use = "nothing is sent until the future is polled"]
pub struct Sending<'a, M> {
    stage: Stage<'a, M>,
}

enum Stage<'a, M> {
    /// The envelope is of this message.
    Posted(Posting<&'a Actor>),
    /// There was no slot for it.
    Refused(&'a Actor, Option<(M, Refusal)>),
}

// Nothing in here is pinned: the message is in its slot.
impl<M> Unpin for Sending<'_, M> {}

impl<'a, M> Sending<'a, M> {
    #[inline]
    pub(crate) fn new(actor: &'a Actor, message: M, envelop: Enveloping<M>) -> Self {
        let stage = match envelop(actor, message) {
            Ok(envelope) => Stage::Posted(Posting::new(actor, envelope)),
            Err(refused) => Stage::Refused(actor, Some(refused)),
        };
        Self { stage }
    }
}

impl<M> Future for Sending<'_, M> {
    type Output = Result<(), TellError<M>>;

    /// # Panics
    /// If it is polled after it was ready.
    #[inline]
    fn poll(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Self::Output> {
        match &mut self.stage {
            Stage::Posted(posting) => Pin::new(&mut *posting).poll(task).map_err(|(envelope, refusal)| {
                // SAFETY: this is the envelope of this message.
                unsafe { posting.actor().refused(envelope, refusal) }
            }),
            Stage::Refused(actor, refused) => {
                ready!(spend(task));
                match refused.take() {
                    Some((message, refusal)) => Poll::Ready(Err(actor.give_back(message, refusal))),
                    None => panic!("a send was polled after it was ready"),
                }
            }
        }
    }
}

impl<M> fmt::Debug for Sending<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let actor = match &self.stage {
            Stage::Posted(posting) => posting.actor(),
            Stage::Refused(actor, _) => actor,
        };
        f.debug_struct("Sending").field("subsystem", &actor.name).finish_non_exhaustive()
    }
}
