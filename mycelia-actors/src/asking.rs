//! An envelope on its way, and the reply on its way back: what every ask does, whatever its message is.

use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context as Task, Poll};
use std::time::Duration;

use mycelia_queue::Send as Line;

use crate::actor::{Actor, QueueOf};
use crate::current;
use crate::deadline;
use crate::envelope::{Asker, Envelope};
use crate::error::{AskFailure, Refusal};
use crate::slot::Fate;
use crate::tell::refusal;

/// The deadline of an ask that names none.
pub(crate) const DEFAULT_DEADLINE: Duration = Duration::from_secs(5);

/// Ready with the reply, or with the reason why there is none; the envelope is inside if it was not accepted. `A` is the actor,
/// borrowed or owned.
pub(crate) struct Asking<A: Deref<Target = Actor>, R> {
    actor: A,
    within: Duration,
    waits: bool,
    stage: Stage<A, R>,
}

enum Stage<A: Deref<Target = Actor>, R> {
    New(Envelope),
    /// In line for room in the mailbox.
    InLine(Option<Asker<R>>, Line<QueueOf<A>, Envelope>),
    Sent(Option<Asker<R>>),
    Done,
}

/// Why there is no reply.
type Failed = (Option<Envelope>, AskFailure);

// Nothing in here is pinned: the message is in its slot.
impl<A: Deref<Target = Actor>, R> Unpin for Asking<A, R> {}

impl<A: Deref<Target = Actor> + Clone, R> Asking<A, R> {
    /// The envelope is for a handler that replies with an `R`.
    #[inline]
    pub(crate) fn new(actor: A, envelope: Envelope, waits: bool) -> Self {
        Self { actor, within: DEFAULT_DEADLINE, waits, stage: Stage::New(envelope) }
    }

    pub(crate) fn within(&mut self, within: Duration) {
        self.within = within;
    }

    pub(crate) fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The message goes back: its asker first, then its envelope.
    fn refused(asker: Option<Asker<R>>, envelope: Envelope, refusal: Refusal) -> Failed {
        drop(asker);
        (Some(envelope), AskFailure::Refused(refusal))
    }

    #[inline]
    fn start(&mut self, envelope: Envelope, task: &mut Task<'_>) -> Result<Stage<A, R>, Failed> {
        if current::is(&self.actor) {
            self.actor.ledger.rare().returned.add(1);
            return Err((Some(envelope), AskFailure::Cycle));
        }
        if let Some(left) = envelope.metadata().and_then(|metadata| metadata.time_left()) {
            self.within = self.within.min(left);
            if left.is_zero() {
                self.actor.ledger.rare().returned.add(1);
                return Err((Some(envelope), AskFailure::Deadline(left)));
            }
        }
        let asker = Some(envelope.ask(task, deadline::unstamped(self.within)));
        let stage = if self.waits {
            match self.actor.queue.try_send(envelope).map_err(refusal) {
                Ok(()) => Stage::Sent(asker),
                Err((envelope, Refusal::Full { .. })) => {
                    Stage::InLine(asker, Line::to(QueueOf(self.actor.clone()), envelope))
                }
                Err((envelope, refusal)) => return Err(Self::refused(asker, envelope, refusal)),
            }
        } else {
            if let Err(error) = self.actor.push(envelope) {
                let (envelope, refusal) = refusal(error);
                return Err(Self::refused(asker, envelope, refusal));
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

impl<A: Deref<Target = Actor> + Clone, R> Future for Asking<A, R> {
    type Output = Result<R, Failed>;

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
                    Err(failed) => return Poll::Ready(Err(failed)),
                },
                Stage::InLine(mut asker, mut line) => match Pin::new(&mut line).poll(task) {
                    Poll::Ready(Ok(())) => self.stage = Stage::Sent(asker),
                    Poll::Ready(Err(error)) => {
                        return Poll::Ready(Err(Self::refused(asker, error.0, Refusal::Stopped)));
                    }
                    Poll::Pending => match Asker::poll(&mut asker, task) {
                        Poll::Pending => {
                            self.stage = Stage::InLine(asker, line);
                            return Poll::Pending;
                        }
                        Poll::Ready(outcome) => {
                            let failure = failure(outcome.err().unwrap_or(Fate::Unanswered), self.within);
                            // If it was let in at this very moment, it will expire in the mailbox.
                            let envelope = line.cancel();
                            if envelope.is_some() {
                                self.actor.ledger.rare().returned.add(1);
                            }
                            return Poll::Ready(Err((envelope, failure)));
                        }
                    },
                },
                Stage::Sent(mut asker) => match Asker::poll(&mut asker, task) {
                    Poll::Pending => {
                        self.stage = Stage::Sent(asker);
                        return Poll::Pending;
                    }
                    Poll::Ready(outcome) => {
                        return Poll::Ready(outcome.map_err(|fate| (None, failure(fate, self.within))));
                    }
                },
                Stage::Done => panic!("an ask was polled after it was ready"),
            }
        }
    }
}
