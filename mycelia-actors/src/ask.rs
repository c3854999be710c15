//! Sending a message and awaiting its reply.

use std::fmt;
use std::pin::Pin;
use std::task::{Context as Task, Poll, ready};
use std::time::Duration;

use crate::actor::Actor;
use crate::asking::{Asking, count};
use crate::budget::spend;
use crate::error::{AskError, AskFailure, Refusal, TellError};
use crate::tell::Enveloping;

/// A message on its way and the reply on its way back. Made by [`Address::ask`](crate::Address::ask) and
/// [`Address::try_ask`](crate::Address::try_ask). Nothing is sent before the first poll.
///
/// # Errors
/// [`AskError`], with the message wherever it was not accepted. An ask ends in exactly one way, and whoever ends it wakes
/// the asker at once.
///
/// # Cancel safety
/// Dropping the future is a cancel: a message that has not been taken up by then is not handled (and counted as
/// *expired*); one in hand is handled to its end, and only the reply is dropped.
///
/// # Cost
/// No allocation once the message pool is warm, for messages and replies of up to 64 bytes (and an alignment of 16).
#[must_use = "nothing is asked until the future is polled"]
pub struct Ask<'a, M, R> {
    stage: Stage<'a, M, R>,
}

enum Stage<'a, M, R> {
    /// The envelope is of this message.
    Asked(Asking<&'a Actor, R>),
    /// There was no slot for it.
    Refused(Refused<'a, M>),
}

struct Refused<'a, M> {
    actor: &'a Actor,
    refused: Option<(M, Refusal)>,
    /// Its end is to be counted.
    counts: bool,
}

// Nothing in here is pinned: the message is in its slot.
impl<M, R> Unpin for Ask<'_, M, R> {}

impl<'a, M, R> Ask<'a, M, R> {
    /// The envelopes are for handlers that reply with an `R`.
    #[inline]
    pub(crate) fn new(actor: &'a Actor, message: M, envelop: Enveloping<M>, waits: bool) -> Self {
        let stage = match envelop(actor, message) {
            Ok(envelope) => Stage::Asked(Asking::new(actor, envelope, waits)),
            Err(refused) => Stage::Refused(Refused { actor, refused: Some(refused), counts: true }),
        };
        Self { stage }
    }

    /// Sets the deadline, counted from the first poll: 5 seconds if this is not called.
    ///
    /// It covers waiting for room as well as the reply. Never early, and at most 10 ms or 1 % late, whatever becomes of any tokio:
    /// a thread of the runtime's own, which sleeps while no ask is out, looks at the time. (In a tokio whose clock is paused, for tests,
    /// that clock counts.) [`Duration::MAX`] is for ever.
    pub fn within(mut self, within: Duration) -> Self {
        if let Stage::Asked(asking) = &mut self.stage {
            asking.within(within);
        }
        self
    }
}

impl<M, R> Ask<'_, M, R> {
    /// As [`Asking::is_a_part`].
    pub(crate) fn part(mut self) -> Self {
        match &mut self.stage {
            Stage::Asked(asking) => asking.is_a_part(),
            Stage::Refused(refused) => refused.counts = false,
        }
        self
    }
}

impl<M, R> Future for Ask<'_, M, R> {
    type Output = Result<R, AskError<M>>;

    /// # Panics
    /// If it is polled after it was ready.
    #[inline]
    fn poll(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Self::Output> {
        match &mut self.stage {
            Stage::Asked(asking) => Pin::new(&mut *asking).poll(task).map_err(|(envelope, failure)| {
                // SAFETY: this is the envelope of this ask's message.
                let message = envelope.map(|envelope| unsafe { envelope.into_message() });
                AskError { message, subsystem: asking.actor().name.clone(), failure }
            }),
            Stage::Refused(Refused { actor, refused, counts }) => {
                ready!(spend(task));
                let Some((message, refusal)) = refused.take() else {
                    panic!("an ask was polled after it was ready")
                };
                let TellError { message, subsystem, refusal } = actor.give_back(message, refusal);
                let failure = AskFailure::Refused(refusal);
                if *counts {
                    count(actor, (&failure).into());
                }
                Poll::Ready(Err(AskError { message: Some(message), subsystem, failure }))
            }
        }
    }
}

impl<M, R> fmt::Debug for Ask<'_, M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let actor = match &self.stage {
            Stage::Asked(asking) => asking.actor(),
            Stage::Refused(refused) => refused.actor,
        };
        f.debug_struct("Ask").field("subsystem", &actor.name).finish_non_exhaustive()
    }
}
