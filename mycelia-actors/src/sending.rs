//! Handing a message over, waiting for room.

use std::fmt;
use std::pin::Pin;
use std::task::{Context as Task, Poll};

use mycelia_queue::{PushError, Send as Line};

use crate::actor::Actor;
use crate::current;
use crate::envelope::Envelope;
use crate::error::{Refusal, TellError};
use crate::tell::Enveloping;

/// A message on its way into a mailbox. Made by [`Address::send`](crate::Address::send) and
/// [`Recipient::send`](crate::Recipient::send). The message moves into a slot of the pool at once, but nothing is sent
/// before the first poll.
///
/// # Errors
/// [`TellError`], with the message: stopped (also while waiting), the message pool is exhausted, or this code runs inside
/// the subsystem itself and would wait for ever.
///
/// # Cancel safety
/// Dropping the future while it is in line leaves no trace: the message is dropped, and was never sent. But if its room has
/// come (of which the future may not have heard yet, see [`Mailbox`](crate::Mailbox)), the message is sent, and stays so.
///
/// # Cost
/// No allocation once the message pool is warm, for messages of up to 64 bytes (and an alignment of 16).
#[must_use = "nothing is sent until the future is polled"]
pub struct Sending<'a, M> {
    actor: &'a Actor,
    stage: Stage<'a, M>,
}

enum Stage<'a, M> {
    /// The envelope is of this message.
    New(Envelope),
    /// There was no slot for it.
    Refused(M, Refusal),
    InLine(Line<'a, Envelope>),
    Done,
}

// Nothing in here is pinned: the message is in its slot.
impl<M> Unpin for Sending<'_, M> {}

impl<'a, M> Sending<'a, M> {
    #[inline]
    pub(crate) fn new(actor: &'a Actor, message: M, envelop: Enveloping<M>) -> Self {
        let stage = match envelop(actor, message) {
            Ok(envelope) => Stage::New(envelope),
            Err((message, refusal)) => Stage::Refused(message, refusal),
        };
        Self { actor, stage }
    }

    #[cold]
    fn no_room(&mut self, error: PushError<Envelope>, task: &mut Task<'_>) -> Poll<Result<(), TellError<M>>> {
        let actor = self.actor;
        match error {
            // SAFETY: this is the envelope of this message.
            PushError::Closed { item } => Poll::Ready(Err(unsafe { actor.refused(item, Refusal::Stopped) })),
            PushError::Full { item, capacity } if current::is(actor) => {
                // SAFETY: as above.
                let message = unsafe { item.into_message() };
                Poll::Ready(Err(actor.give_back(message, Refusal::WaitsForItself { capacity })))
            }
            PushError::Full { item, .. } => self.wait(actor.queue.send(item), task),
        }
    }

    fn wait(&mut self, mut line: Line<'a, Envelope>, task: &mut Task<'_>) -> Poll<Result<(), TellError<M>>> {
        match Pin::new(&mut line).poll(task) {
            Poll::Pending => {
                self.stage = Stage::InLine(line);
                Poll::Pending
            }
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => {
                // SAFETY: this is the envelope of this message.
                Poll::Ready(Err(unsafe { self.actor.refused(error.0, Refusal::Stopped) }))
            }
        }
    }
}

impl<M> Future for Sending<'_, M> {
    type Output = Result<(), TellError<M>>;

    /// # Panics
    /// If it is polled after it was ready.
    #[inline]
    fn poll(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Self::Output> {
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::New(envelope) => match self.actor.queue.try_send(envelope) {
                Ok(()) => Poll::Ready(Ok(())),
                Err(error) => self.no_room(error, task),
            },
            Stage::InLine(line) => self.wait(line, task),
            Stage::Refused(message, refusal) => Poll::Ready(Err(self.actor.give_back(message, refusal))),
            Stage::Done => panic!("a send was polled after it was ready"),
        }
    }
}

impl<M> fmt::Debug for Sending<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").field("subsystem", &self.actor.name).finish_non_exhaustive()
    }
}
