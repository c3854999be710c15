//! Sending a message and awaiting its reply.

use std::fmt;
use std::pin::Pin;
use std::task::{Context as Task, Poll};
use std::time::Duration;

use mycelia_queue::{Pushed, Send as Line};

use crate::actor::Actor;
use crate::current;
use crate::dead_letters::Reason;
use crate::deadline;
use crate::envelope::{Asker, Envelope};
use crate::error::{AskError, AskFailure, Refusal};
use crate::slot::Fate;
use crate::tell::{Enveloping, refusal};

/// The deadline of an ask that names none.
pub(crate) const DEFAULT_DEADLINE: Duration = Duration::from_secs(5);

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
    actor: &'a Actor,
    within: Duration,
    waits: bool,
    stage: Stage<'a, M, R>,
}

enum Stage<'a, M, R> {
    New(Envelope),
    /// There was no slot for it.
    Refused(M, Refusal),
    /// In line for room in the mailbox.
    InLine(Option<Asker<R>>, Line<'a, Envelope>),
    Sent(Option<Asker<R>>),
    Done,
}

// Nothing in here is pinned: the message is in its slot.
impl<M, R> Unpin for Ask<'_, M, R> {}

impl<'a, M, R> Ask<'a, M, R> {
    /// The envelopes are for handlers that reply with an `R`.
    #[inline]
    pub(crate) fn new(actor: &'a Actor, message: M, envelop: Enveloping<M>, waits: bool) -> Self {
        let stage = match envelop(actor, message) {
            Ok(envelope) => Stage::New(envelope),
            Err((message, refusal)) => Stage::Refused(message, refusal),
        };
        Self { actor, within: DEFAULT_DEADLINE, waits, stage }
    }

    /// Sets the deadline, counted from the first poll: 5 seconds if this is not called.
    ///
    /// It covers waiting for room as well as the reply. Never early, and at most 10 ms or 1 % late. [`Duration::MAX`] is
    /// for ever.
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    fn error(&self, message: Option<M>, failure: AskFailure) -> AskError<M> {
        AskError { message, subsystem: self.actor.name.clone(), failure }
    }

    /// The message goes back: its asker first, then its envelope.
    fn refuse(&self, asker: Option<Asker<R>>, envelope: Envelope, failure: AskFailure) -> AskError<M> {
        drop(asker);
        // SAFETY: the callers pass the envelope of this ask's message.
        self.error(Some(unsafe { envelope.into_message() }), failure)
    }

    #[inline]
    fn start(&mut self, envelope: Envelope, task: &mut Task<'_>) -> Result<Stage<'a, M, R>, AskError<M>> {
        if current::is(self.actor) {
            self.actor.ledger.rare().returned.add(1);
            return Err(self.refuse(None, envelope, AskFailure::Cycle));
        }
        let asker = Some(envelope.ask(task, deadline::unstamped(self.within)));
        let stage = if self.waits {
            match self.actor.queue.try_send(envelope).map_err(refusal) {
                Ok(()) => Stage::Sent(asker),
                Err((envelope, Refusal::Full { .. })) => {
                    Stage::InLine(asker, self.actor.queue.send(envelope))
                }
                Err((envelope, refusal)) => {
                    return Err(self.refuse(asker, envelope, AskFailure::Refused(refusal)));
                }
            }
        } else {
            match self.actor.queue.push(envelope) {
                Ok(Pushed::Queued) => {}
                Ok(Pushed::Evicted(oldest)) => self.actor.lose(oldest, Reason::Evicted, Fate::Evicted),
                Ok(Pushed::Discarded(newest)) => self.actor.lose(newest, Reason::Discarded, Fate::Discarded),
                Err(error) => {
                    let (envelope, refusal) = refusal(error);
                    return Err(self.refuse(asker, envelope, AskFailure::Refused(refusal)));
                }
            }
            Stage::Sent(asker)
        };
        self.actor.runtime.deadlines.ask_is_out(&self.actor.runtime, self.within);
        Ok(stage)
    }
}

/// The failure that the fate of a sent message means.
pub(crate) fn failure(fate: Fate, within: Duration) -> AskFailure {
    match fate {
        Fate::Panicked => AskFailure::Panicked,
        Fate::Killed => AskFailure::Killed,
        Fate::Evicted => AskFailure::Evicted,
        Fate::Discarded => AskFailure::Discarded,
        Fate::Undelivered => AskFailure::Undelivered,
        Fate::Deadline => AskFailure::Deadline(within),
        Fate::Unanswered | Fate::Replied | Fate::Cancelled => AskFailure::Unanswered,
    }
}

impl<M, R> Future for Ask<'_, M, R> {
    type Output = Result<R, AskError<M>>;

    /// # Panics
    /// If it is polled after it was ready.
    fn poll(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Self::Output> {
        loop {
            match std::mem::replace(&mut self.stage, Stage::Done) {
                Stage::New(envelope) => match self.start(envelope, task) {
                    // The asker has this very waker already.
                    Ok(stage @ Stage::Sent(_)) => {
                        self.stage = stage;
                        return Poll::Pending;
                    }
                    Ok(stage) => self.stage = stage,
                    Err(error) => return Poll::Ready(Err(error)),
                },
                Stage::Refused(message, refusal) => {
                    self.actor.ledger.rare().returned.add(1);
                    return Poll::Ready(Err(self.error(Some(message), AskFailure::Refused(refusal))));
                }
                Stage::InLine(mut asker, mut line) => match Pin::new(&mut line).poll(task) {
                    Poll::Ready(Ok(())) => self.stage = Stage::Sent(asker),
                    Poll::Ready(Err(error)) => {
                        let failure = AskFailure::Refused(Refusal::Stopped);
                        return Poll::Ready(Err(self.refuse(asker, error.0, failure)));
                    }
                    Poll::Pending => match Asker::poll(&mut asker, task) {
                        Poll::Pending => {
                            self.stage = Stage::InLine(asker, line);
                            return Poll::Pending;
                        }
                        Poll::Ready(outcome) => {
                            let failure = failure(outcome.err().unwrap_or(Fate::Unanswered), self.within);
                            let Some(envelope) = line.cancel() else {
                                // Let in at this very moment; it will expire in the mailbox.
                                return Poll::Ready(Err(self.error(None, failure)));
                            };
                            self.actor.ledger.rare().returned.add(1);
                            return Poll::Ready(Err(self.refuse(None, envelope, failure)));
                        }
                    },
                },
                Stage::Sent(mut asker) => match Asker::poll(&mut asker, task) {
                    Poll::Pending => {
                        self.stage = Stage::Sent(asker);
                        return Poll::Pending;
                    }
                    Poll::Ready(outcome) => {
                        return Poll::Ready(
                            outcome.map_err(|fate| self.error(None, failure(fate, self.within))),
                        );
                    }
                },
                Stage::Done => panic!("an ask was polled after it was ready"),
            }
        }
    }
}

impl<M, R> fmt::Debug for Ask<'_, M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask")
            .field("subsystem", &self.actor.name)
            .field("within", &self.within)
            .finish_non_exhaustive()
    }
}
