//! What is being handled: the handler's future, and the duty to say what becomes of its messages.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context as Task, Poll};

use mycelia_core::contain;
use tracing::{Level, Span};

use crate::actor::Actor;
use crate::context::Context;
use crate::current;
use crate::dead_letters::{DeadLetter, Reason};
use crate::envelope::{Envelope, Hands};
use crate::metadata::{self, Metadata};
use crate::observer::Timing;
use crate::run_loop::{End, Ended, polled};
use crate::slot::Fate;
use crate::space::{PlacedDyn, Space};
use crate::subsystem::Subsystem;
use crate::table::Kind;

/// What the handlers of a subsystem borrow.
pub(crate) struct Inside<S: Subsystem> {
    /// Absent between an old state and the next.
    pub(crate) state: Option<S>,
    pub(crate) cx: Context<S>,
    pub(crate) space: Space,
}

/// One message being handled, or several at once. Ready when their fate is settled, with how many they were.
///
/// Most handlers are done at the first poll, and then nothing but this has been moved.
pub(crate) enum Handling<'a, S: Subsystem> {
    /// Not begun.
    New(New<'a, S>),
    /// The handler waits for something.
    Waiting(Waiting<'a>),
    /// Settled.
    Over,
}

/// A message to be handled, with those after it that it may be handled together with.
pub(crate) struct New<'a, S: Subsystem> {
    pub(crate) actor: &'a Actor,
    pub(crate) inside: &'a mut Inside<S>,
    pub(crate) first: Envelope,
    pub(crate) later: &'a mut VecDeque<Envelope>,
}

/// A handler's future.
pub(crate) struct Waiting<'a> {
    /// Goes before the duty, whose slots it uses.
    placed: Option<PlacedDyn<'a>>,
    duty: Duty<'a>,
    beside: Option<Box<Beside<'a>>>,
}

/// What few messages have. (Those with metadata are not timed.)
enum Beside<'a> {
    Span(Span),
    /// For its drop.
    Timing(#[expect(dead_code)] Timing<'a>),
}

impl<S: Subsystem> Future for Handling<'_, S> {
    type Output = Result<usize, End>;

    #[inline]
    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        match std::mem::replace(this, Self::Over) {
            Self::New(new) => {
                new.start(task).map_err(|waiting| *this = Self::Waiting(waiting)).unwrap_or(Poll::Pending)
            }
            Self::Waiting(mut waiting) => {
                let poll = waiting.poll(task);
                if poll.is_pending() {
                    *this = Self::Waiting(waiting);
                }
                poll
            }
            Self::Over => unreachable!("a handler that was done is not polled again"),
        }
    }
}

impl<'a, S: Subsystem> New<'a, S> {
    /// Takes the message into hand, and polls its handler for the first time. `Err` if it was not done then.
    #[inline]
    fn start(self, task: &mut Task<'_>) -> Result<Poll<Result<usize, End>>, Waiting<'a>> {
        let Self { actor, inside, first, later } = self;
        let plain = first.is_plain();
        let Some(first) = taken(actor, first, plain) else { return Ok(Poll::Ready(Ok(1))) };
        // SAFETY: this mailbox is read by the loop of an `S`, so only envelopes for an `S` are put into it.
        let most = unsafe { first.batch::<S>() };
        let hands = if most <= 1 { Hands::one(first) } else { neighbours::<S>(actor, first, later, most) };
        let (mut hands, mut beside) = (hands, None);
        // Most messages are plain; this spares them the questions.
        let metadata = (!plain).then(|| hands.metadata()).flatten();
        let metadata = metadata.map(|metadata| begin_with(actor, &mut hands, &metadata, &mut beside));
        if !plain && hands.stamp().is_some() {
            beside = Timing::begin(actor, &hands).map(|timing| Box::new(Beside::Timing(timing)));
        }
        let until = (!plain).then(|| current::until(hands.asked_until()));
        let run = || {
            contain(|| {
                let Inside { state, cx, space } = { inside };
                let Some(state) = state else { unreachable!("messages are handled by a state only") };
                // SAFETY: as above; and the hands are kept until the future is gone.
                unsafe { hands.run(state, cx, space, task) }
            })
        };
        let poll = if metadata.is_none() { run() } else { metadata::inside(metadata, span(&beside), run) };
        drop(until);
        match poll {
            Ok(None) => Ok(Poll::Ready(Ok(handled(actor, hands)))),
            Ok(Some(placed)) => {
                actor.queue.wake_senders();
                Err(Waiting { placed: Some(placed), duty: Duty { actor, hands }, beside })
            }
            Err(text) => {
                fail(actor, hands, Fate::Panicked);
                Ok(Poll::Ready(Err(End::Panicked(text))))
            }
        }
    }
}

impl Waiting<'_> {
    fn poll(&mut self, task: &mut Task<'_>) -> Poll<Result<usize, End>> {
        let Poll::Ready(ended) = self.poll_handler(task) else { return Poll::Pending };
        self.drop_future();
        Poll::Ready(match ended {
            Ended::Done(()) => Ok(handled(self.duty.actor, self.duty.hands.take())),
            Ended::Killed => {
                self.duty.fail(Fate::Killed);
                Err(End::Killed)
            }
            Ended::Panicked(text) => {
                self.duty.fail(Fate::Panicked);
                Err(End::Panicked(text))
            }
        })
    }

    fn poll_handler(&mut self, task: &mut Task<'_>) -> Poll<Ended<()>> {
        let actor = self.duty.actor;
        if actor.is_killed() {
            return Poll::Ready(Ended::Killed);
        }
        let Some(placed) = &mut self.placed else { unreachable!("dropped at the end only") };
        let metadata = self.duty.hands.metadata();
        let _until = current::until(self.duty.hands.asked_until());
        let span = span(&self.beside);
        let poll = metadata::inside(metadata, span, || contain(|| placed.as_mut().poll(task)));
        polled(actor, poll)
    }

    /// Ends the handler's future, whose drop may panic.
    fn drop_future(&mut self) {
        let placed = self.placed.take();
        let metadata = self.duty.hands.metadata();
        metadata::inside(metadata, span(&self.beside), || self.duty.actor.drop_contained(placed));
    }
}

fn span<'a>(beside: &'a Option<Box<Beside<'_>>>) -> Option<&'a Span> {
    match &**beside.as_ref()? {
        Beside::Span(span) => Some(span),
        Beside::Timing(_) => None,
    }
}

/// The message, if somebody wants it handled. Nobody has changed his mind about a plain one.
#[inline]
fn taken(actor: &Actor, envelope: Envelope, plain: bool) -> Option<Envelope> {
    actor.ledger.begun.add_owned(1);
    if plain && !tracing::level_enabled!(Level::TRACE) { Some(envelope) } else { wanted(actor, envelope) }
}

#[inline(never)]
fn wanted(actor: &Actor, envelope: Envelope) -> Option<Envelope> {
    if envelope.is_over() || envelope.metadata().is_some_and(|metadata| metadata.is_late()) {
        actor.ledger.rare().expired.publish_owned(1);
        actor.lose(envelope, Reason::Expired, Fate::Deadline);
        return None;
    }
    if envelope.state().is_some_and(|state| state != actor.ledger.rare().restarts.get()) {
        actor.ledger.rare().expired.publish_owned(1);
        actor.lose(envelope, Reason::OldState, Fate::Deadline);
        return None;
    }
    tracing::trace!(subsystem = %actor.name, message_type = envelope.kind().message_type(), "handling");
    Some(envelope)
}

/// The metadata that a handler runs with: that of its message, as the parent of all that it sends. And its span.
#[cold]
fn begin_with(
    actor: &Actor,
    hands: &mut Hands,
    metadata: &Metadata,
    beside: &mut Option<Box<Beside<'_>>>,
) -> Metadata {
    let (metadata, span) = metadata.handled_by(actor, hands.kind().map_or("", Kind::message_type));
    *beside = span.map(|span| Box::new(Beside::Span(span)));
    hands.set_metadata(metadata.clone());
    metadata
}

/// A message with those of its type that come right after it, `most` at the most.
#[cold]
fn neighbours<S: Subsystem>(
    actor: &Actor,
    first: Envelope,
    later: &mut VecDeque<Envelope>,
    most: usize,
) -> Hands {
    let joins = |first: &Envelope, next: &Envelope| {
        let alone = first.has_metadata() || next.has_metadata();
        // SAFETY: as in `New::start`.
        !alone && unsafe { next.is_like::<S>(first) }
    };
    let mut batch = vec![first];
    while batch.len() < most && later.front().is_some_and(|next| joins(&batch[0], next)) {
        batch.extend(later.pop_front().and_then(|next| taken(actor, next, false)));
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
    actor.waits.forget();
    // Counted first: who has the reply finds the message handled.
    actor.ledger.handled.publish_owned(count as u64);
    hands.for_each(|in_hand| {
        // A reply that nobody waits for any more is dropped in here.
        if contain(|| in_hand.reply()).is_err() {
            actor.ledger.rare().drop_panics.add(1);
        }
    });
    count
}

/// Loses a message as if it had been evicted.
pub(crate) fn drop_on_purpose(actor: &Actor, envelope: Envelope) {
    actor.ledger.begun.add_owned(1);
    actor.ledger.rare().dropped.publish_owned(1);
    actor.lose(envelope, Reason::Evicted, Fate::Evicted);
}

/// Fails a message as if its handler had panicked.
pub(crate) fn fail_on_purpose(actor: &Actor, envelope: Envelope) {
    actor.ledger.begun.add_owned(1);
    let (message, in_hand) = envelope.take();
    fail(actor, Hands::One(in_hand), Fate::Panicked);
    actor.drop_contained(message);
}

#[cold]
fn fail(actor: &Actor, hands: Hands, fate: Fate) {
    actor.waits.forget();
    actor.ledger.rare().failed.publish_owned(hands.count() as u64);
    hands.for_each(|in_hand| {
        if actor.runtime.wants_letters() {
            let letter = DeadLetter::new(actor.name.clone(), in_hand.kind(), Reason::Failed, None);
            actor.runtime.deliver(letter);
        }
        // A waker of the asker's that panics is the asker's affair.
        let _ = contain(|| in_hand.end(fate));
    });
}
