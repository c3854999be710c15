//! What is being handled: the handler's future, and the duty to say what becomes of its messages.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context as Task, Poll};

use crate::actor::Actor;
use crate::context::Context;
use crate::dead_letters::{DeadLetter, Reason};
use crate::envelope::{Envelope, Hands};
use crate::error::panic_text;
use crate::run_loop::{End, Ended, polled};
use crate::slot::Fate;
use crate::space::{PlacedDyn, Space};
use crate::subsystem::Subsystem;

/// What the handlers of a subsystem borrow.
pub(crate) struct Inside<S: Subsystem> {
    pub(crate) state: S,
    pub(crate) cx: Context<S>,
    pub(crate) space: Space,
}

/// What became of a message, or of several handled at once, at the first poll of their handler.
pub(crate) enum First<'a> {
    /// Settled, this many.
    Done(usize),
    /// The handler waits for something.
    Pending(Handling<'a>),
    /// Failed, and with it the state.
    Ended(End),
}

/// Takes a message into hand, and those after it that it may be handled together with, and polls their handler once.
///
/// Most handlers are done then, and nothing of this outlives the call.
#[inline]
pub(crate) fn start<'a, S: Subsystem>(
    actor: &'a Actor,
    inside: &'a mut Inside<S>,
    first: Envelope,
    later: &mut VecDeque<Envelope>,
    task: &mut Task<'_>,
) -> First<'a> {
    let Some(first) = wanted(actor, first) else { return First::Done(0) };
    // SAFETY: this mailbox is read by the loop of an `S`, so only envelopes for an `S` are put into it.
    let most = unsafe { first.batch::<S>() };
    let hands = if most <= 1 { Hands::one(first) } else { neighbours::<S>(actor, first, later, most) };
    let poll = catch_unwind(AssertUnwindSafe(|| {
        let Inside { state, cx, space } = { inside };
        // SAFETY: as above; and the hands are kept until the future is gone.
        unsafe { hands.run(state, cx, space, task) }
    }));
    match poll {
        Ok(None) => First::Done(handled(actor, hands)),
        Ok(Some(placed)) => {
            actor.queue.wake_senders();
            First::Pending(Handling { placed: Some(placed), duty: Duty { actor, hands }, polled: true })
        }
        Err(panic) => {
            fail(actor, hands, Fate::Panicked);
            First::Ended(End::Panicked(panic_text(&*panic)))
        }
    }
}

/// Messages whose handler waits for something. Ready when their fate is settled, with how many they were.
pub(crate) struct Handling<'a> {
    /// Goes before the duty, whose slots it uses.
    placed: Option<PlacedDyn<'a>>,
    duty: Duty<'a>,
    /// The handler was polled in this very poll of the task.
    polled: bool,
}

impl Handling<'_> {
    fn poll_handler(&mut self, task: &mut Task<'_>) -> Poll<Ended<()>> {
        let Some(placed) = &mut self.placed else {
            unreachable!("a handler that was done is not polled again")
        };
        if self.duty.actor.is_killed() {
            return Poll::Ready(Ended::Killed);
        }
        polled(self.duty.actor, catch_unwind(AssertUnwindSafe(|| placed.as_mut().poll(task))))
    }

    /// Ends the handler's future, whose drop may panic.
    fn drop_future(&mut self) {
        let placed = self.placed.take();
        if catch_unwind(AssertUnwindSafe(|| drop(placed))).is_err() {
            self.duty.actor.ledger.drop_panics.add(1);
        }
    }
}

impl Future for Handling<'_> {
    type Output = Result<usize, End>;

    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if std::mem::take(&mut this.polled) {
            return Poll::Pending;
        }
        let Poll::Ready(ended) = this.poll_handler(task) else { return Poll::Pending };
        this.drop_future();
        Poll::Ready(match ended {
            Ended::Done(()) => Ok(handled(this.duty.actor, this.duty.hands.take())),
            Ended::Killed => {
                this.duty.fail(Fate::Killed);
                Err(End::Killed)
            }
            Ended::Panicked(text) => {
                this.duty.fail(Fate::Panicked);
                Err(End::Panicked(text))
            }
        })
    }
}

/// The message, if somebody wants it handled.
#[inline]
fn wanted(actor: &Actor, envelope: Envelope) -> Option<Envelope> {
    actor.ledger.begun.add_owned(1);
    if envelope.is_over() {
        actor.ledger.expired.add_owned(1);
        actor.lose(envelope, Reason::Expired, Fate::Deadline);
        return None;
    }
    tracing::trace!(subsystem = %actor.name, message = envelope.message_type(), "handling");
    Some(envelope)
}

/// A message with those of its type that come right after it, `most` at the most.
#[cold]
fn neighbours<S: Subsystem>(
    actor: &Actor,
    first: Envelope,
    later: &mut VecDeque<Envelope>,
    most: usize,
) -> Hands {
    let mut batch = vec![first];
    // SAFETY: as in `Handling::begin`.
    while batch.len() < most && later.front().is_some_and(|next| unsafe { next.is_like::<S>(&batch[0]) }) {
        batch.extend(later.pop_front().and_then(|next| wanted(actor, next)));
    }
    Hands::many(batch)
}

/// The messages in hand, whose fate is counted and told exactly once.
struct Duty<'a> {
    actor: &'a Actor,
    hands: Hands,
}

impl Duty<'_> {
    fn fail(&mut self, fate: Fate) {
        fail(self.actor, self.hands.take(), fate);
    }
}

impl Drop for Duty<'_> {
    /// The task is being dropped in the middle of a message: tokio has gone.
    fn drop(&mut self) {
        self.fail(Fate::Killed);
    }
}

/// The handler has returned. How many messages it was given.
#[inline]
fn handled(actor: &Actor, hands: Hands) -> usize {
    let count = hands.count();
    // Counted first: who has the reply finds the message handled.
    actor.ledger.handled.add_owned(count as u64);
    hands.for_each(|in_hand| {
        // A reply that nobody waits for any more is dropped in here.
        if catch_unwind(AssertUnwindSafe(|| in_hand.reply())).is_err() {
            actor.ledger.drop_panics.add(1);
        }
    });
    count
}

#[cold]
fn fail(actor: &Actor, hands: Hands, fate: Fate) {
    actor.ledger.failed.add_owned(hands.count() as u64);
    hands.for_each(|in_hand| {
        if actor.runtime.dead_letters.is_watched() {
            let letter = DeadLetter::new(actor.name.clone(), in_hand.message_type(), Reason::Failed, None);
            actor.runtime.dead_letters.publish(letter);
        }
        in_hand.end(fate);
    });
}
