//! An envelope on its way, and the reply on its way back: what every ask does, whatever its message is.

use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context as Task, Poll, ready};
use std::time::Duration;

use mycelia_queue::Send as Line;
use tokio::time::Instant;

use crate::actor::{Actor, QueueOf};
use crate::ask_stats::AskEnd;
use crate::budget::within_budget;
use crate::current;
use crate::cycle::{self, For, Mark};
use crate::envelope::{Asker, Envelope};
use crate::error::{AskFailure, Refusal};
use crate::posting::line_inside;
use crate::slot::Fate;
use crate::tell::refusal;

/// The deadline of an ask that names none.
pub(crate) const DEFAULT_DEADLINE: Duration = Duration::from_secs(5);

/// Ready with the reply, or with the reason why there is none; the envelope is inside if it was not accepted. `A` is the actor,
/// borrowed or owned.
///
/// The stages are fields of their own, not an enum: a poll reads just what the step before has written.
pub(crate) struct Asking<A: Deref<Target = Actor>, R> {
    actor: A,
    within: Duration,
    waits: bool,
    /// Its end is to be counted.
    counts: bool,
    /// That the handler which polls this waits. (Goes before the asker, as in `poll_marked`.)
    mark: Option<Mark>,
    /// Before the first poll.
    envelope: Option<Envelope>,
    /// From then on. (Goes before the line: who is gone hears nothing of the end.)
    asker: Option<Asker<R>>,
    /// In line for room in the mailbox.
    line: Option<Line<QueueOf<A>, Envelope>>,
}

/// Why there is no reply.
type Failed = (Option<Envelope>, AskFailure);

// Nothing in here is pinned: the message is in its slot.
impl<A: Deref<Target = Actor>, R> Unpin for Asking<A, R> {}

impl<A: Deref<Target = Actor> + Clone, R> Asking<A, R> {
    /// The envelope is for a handler that replies with an `R`.
    #[inline]
    pub(crate) fn new(actor: A, envelope: Envelope, waits: bool) -> Self {
        let envelope = Some(envelope);
        let counts = actor.runtime.observed().is_some();
        Self { actor, within: DEFAULT_DEADLINE, waits, counts, mark: None, envelope, asker: None, line: None }
    }

    /// Another ask, which this is a part of, is counted.
    pub(crate) fn is_a_part(&mut self) {
        self.counts = false;
    }

    pub(crate) fn within(&mut self, within: Duration) {
        self.within = within;
    }

    pub(crate) fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The message goes back: its asker first, then its envelope.
    fn refused(&mut self, envelope: Envelope, failure: AskFailure) -> Failed {
        self.count((&failure).into());
        self.mark = None;
        self.asker = None;
        (Some(envelope), failure)
    }

    /// The same, for a reason that the queue knows nothing of.
    #[cold]
    fn give_back(&mut self, envelope: Envelope, failure: AskFailure) -> Failed {
        self.actor.ledger.rare().returned.add(1);
        self.refused(envelope, failure)
    }

    #[inline]
    fn start(&mut self, envelope: Envelope, task: &mut Task<'_>) -> Result<(), Failed> {
        if let Some(left) = time_left(&envelope) {
            self.within = self.within.min(left);
            if left.is_zero() {
                return Err(self.give_back(envelope, AskFailure::Deadline(left)));
            }
        }
        let runtime = &self.actor.runtime;
        let deadline = runtime.deadlines.within(runtime, task, self.within);
        self.asker = Some(envelope.ask(task, deadline));
        match cycle::wait_for(&self.actor, For::Reply(envelope.slot_number())) {
            Ok(mark) => self.mark = mark,
            Err(cycle) => return Err(self.give_back(envelope, AskFailure::Cycle(cycle))),
        }
        let sent = if self.waits {
            self.actor.queue.try_send(envelope).map_err(refusal)
        } else {
            self.actor.push(envelope).map(|_| ()).map_err(refusal)
        };
        match sent {
            Ok(()) => {}
            Err((envelope, Refusal::Full { .. })) if self.waits => {
                self.actor.found_full(0);
                self.line = Some(Line::to(QueueOf(self.actor.clone()), envelope));
            }
            // (Without waiting, `push` has seen to it.)
            Err((envelope, Refusal::Stopped)) if self.waits && self.actor.is_sent_from_inside() => {
                self.line = Some(line_inside(self.actor.clone(), envelope));
            }
            Err((envelope, refusal)) => {
                return Err(self.refused(envelope, AskFailure::Refused(refusal)));
            }
        }
        self.actor.runtime.deadlines.ask_is_out(&self.actor.runtime, deadline);
        Ok(())
    }

    /// Waits in line. Ready when there is nothing more to wait for, with the failure if there is one.
    #[cold]
    fn poll_line(&mut self, task: &mut Task<'_>) -> Poll<Result<(), Failed>> {
        let Some(line) = &mut self.line else { return Poll::Ready(Ok(())) };
        match Pin::new(line).poll(task) {
            // As in `Posting::wait`.
            Poll::Ready(Err(error)) if self.actor.is_sent_from_inside() => {
                self.line = Some(line_inside(self.actor.clone(), error.0));
                self.poll_line(task)
            }
            Poll::Ready(Ok(())) => {
                self.line = None;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => {
                Poll::Ready(Err(self.refused(error.0, AskFailure::Refused(Refusal::Stopped))))
            }
            Poll::Pending => Asker::poll_marked(&mut self.asker, &mut self.mark, task).map(|outcome| {
                let failure = failure(&self.actor, outcome.err().unwrap_or(Fate::Unanswered), self.within);
                // If it was let in at this very moment, it will expire in the mailbox.
                let envelope = self.line.take().and_then(Line::cancel);
                if envelope.is_some() {
                    self.actor.ledger.rare().returned.add(1);
                }
                self.count((&failure).into());
                Err((envelope, failure))
            }),
        }
    }
}

/// How long whatever is sent now may take: no longer than the message in hand, and than the metadata says.
#[inline]
pub(crate) fn time_left(envelope: &Envelope) -> Option<Duration> {
    let metadata = envelope.metadata().and_then(|metadata| metadata.time_left());
    metadata.into_iter().chain(left_in_hand()).min()
}

/// How long the messages in hand still have. An ask is counted as its own runtime counts, whoever is asked next.
#[inline]
pub(crate) fn left_in_hand() -> Option<Duration> {
    let asked = match current::deadline() {
        0 => None,
        deadline => current::with_actor(|own| Some(own?.runtime.deadlines.left(deadline))),
    };
    if !current::has_metadata() {
        return asked;
    }
    let left = |deadline: Instant| deadline.saturating_duration_since(Instant::now());
    asked.into_iter().chain(current::ambient_deadline().map(left)).min()
}

/// The failure that the fate of a message means which was sent to this subsystem.
pub(crate) fn failure(actor: &Actor, fate: Fate, within: Duration) -> AskFailure {
    match fate {
        Fate::Panicked => AskFailure::Panicked,
        Fate::Killed => AskFailure::Killed,
        Fate::Evicted => AskFailure::Evicted,
        Fate::Discarded => AskFailure::Discarded,
        Fate::Undelivered => AskFailure::Undelivered,
        Fate::Deadline => AskFailure::Deadline(within),
        Fate::Cycle => AskFailure::Cycle(cycle::told(actor)),
        Fate::Unanswered | Fate::Replied | Fate::Cancelled => AskFailure::Unanswered,
    }
}

impl<A: Deref<Target = Actor> + Clone, R> Future for Asking<A, R> {
    type Output = Result<R, Failed>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.envelope.is_some() {
            // An ask that waits is ready later; one that is refused is ready at once.
            let started = within_budget(task, |task| {
                let started = this.envelope.take().map_or(Ok(()), |envelope| this.start(envelope, task));
                started.map_or_else(|failed| Poll::Ready(Some(failed)), |()| Poll::Ready(None))
            });
            if let Some(failed) = ready!(started) {
                return Poll::Ready(Err(failed));
            }
            // The asker has this very waker already.
            if this.line.is_none() {
                return Poll::Pending;
            }
        }
        if this.line.is_some() {
            match this.poll_line(task) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(failed)) => return Poll::Ready(Err(failed)),
                Poll::Pending => return Poll::Pending,
            }
        }
        let outcome = Asker::poll_marked(&mut this.asker, &mut this.mark, task);
        if this.counts && outcome.is_ready() {
            this.count(if let Poll::Ready(Err(fate)) = outcome { fate.into() } else { AskEnd::Replied });
        }
        outcome.map_err(|fate| (None, failure(&this.actor, fate, this.within)))
    }
}

impl<A: Deref<Target = Actor>, R> Drop for Asking<A, R> {
    fn drop(&mut self) {
        if self.counts && self.asker.is_some() {
            self.count(AskEnd::Cancelled);
        }
    }
}

impl<A: Deref<Target = Actor>, R> Asking<A, R> {
    #[cold]
    fn count(&self, end: AskEnd) {
        if self.counts {
            count(&self.actor, end);
        }
    }
}

/// Counts how an ask ended, if somebody observes the runtime.
#[cold]
pub(crate) fn count(actor: &Actor, end: AskEnd) {
    if actor.runtime.observed().is_none() {
    } else if actor.is_gone() {
        actor.runtime.registry.lock().ended.1.count(end);
    } else {
        actor.ledger.rare().asks.count(end);
    }
}
