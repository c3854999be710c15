//! What is being handled: the handler's future, and the duty to say what becomes of its messages.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context as Task, Poll};

use mycelia_core::contain;
use tokio::time::Instant;
use tracing::{Level, Span};

use crate::actor::Actor;
use crate::ambient::Ambient;
use crate::context::Context;
use crate::current;
use crate::dead_letters::{DeadLetter, Reason};
use crate::envelope::{Envelope, Hands, InHand};
use crate::messages_in_hand::{MessageInHand, MessagesInHand};
use crate::metadata::Metadata;
use crate::observer::Timing;
use crate::run_loop::{End, Ended, polled};
use crate::slot::Fate;
use crate::space::{PlacedDyn, Space};
use crate::subsystem::Subsystem;

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

/// What few messages have.
struct Beside<'a> {
    span: Option<Span>,
    /// For its drop.
    _timing: Option<Timing<'a>>,
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
        let dressed = (most > 1 || !plain) && hands.is_dressed();
        let ambient = if dressed { begin(actor, &mut hands, &mut beside) } else { None };
        let until = (!plain).then(|| current::until(hands.asked_until()));
        let run = || {
            contain(|| {
                let Inside { state, cx, space } = { inside };
                let Some(state) = state else { unreachable!("messages are handled by a state only") };
                // SAFETY: as above; and the hands are kept until the future is gone.
                unsafe { hands.run(state, cx, space, task) }
            })
        };
        let poll = if ambient.is_none() { run() } else { current::inside(ambient, span(&beside), run) };
        drop(until);
        match poll {
            Ok(None) => Ok(Poll::Ready(Ok(handled(actor, hands)))),
            Ok(Some(placed)) => {
                actor.queue.wake_senders();
                Err(Waiting { placed: Some(placed), duty: Duty { actor, hands }, beside })
            }
            Err(text) => {
                panicked(actor, &hands, span(&beside), &text);
                fail(actor, hands, Fate::Panicked);
                Ok(Poll::Ready(Err(End::Failed(text))))
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
                panicked(self.duty.actor, &self.duty.hands, span(&self.beside), &text);
                self.duty.fail(Fate::Panicked);
                Err(End::Failed(text))
            }
        })
    }

    fn poll_handler(&mut self, task: &mut Task<'_>) -> Poll<Ended<()>> {
        let actor = self.duty.actor;
        if actor.is_killed() {
            return Poll::Ready(Ended::Killed);
        }
        let Some(placed) = &mut self.placed else { unreachable!("dropped at the end only") };
        let ambient = self.duty.hands.ambient();
        let _until = current::until(self.duty.hands.asked_until());
        let span = span(&self.beside);
        let poll = current::inside(ambient, span, || contain(|| placed.as_mut().poll(task)));
        polled(actor, poll)
    }

    /// Ends the handler's future, whose drop may panic.
    fn drop_future(&mut self) {
        let placed = self.placed.take();
        let ambient = self.duty.hands.ambient();
        current::inside(ambient, span(&self.beside), || self.duty.actor.drop_contained(placed));
    }
}

fn span<'a>(beside: &'a Option<Box<Beside<'_>>>) -> Option<&'a Span> {
    beside.as_ref()?.span.as_ref()
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

/// What a handler is called with: the metadata of its messages, as the parent of all that it sends. And what goes beside it.
#[cold]
fn begin<'a>(actor: &'a Actor, hands: &mut Hands, beside: &mut Option<Box<Beside<'a>>>) -> Option<Ambient> {
    // First: the stamp goes with the metadata that is replaced.
    let timing = Timing::begin(actor, hands);
    let message_type = hands.iter().next().map_or("", |hand| hand.kind().message_type());
    let (ambient, span) = match hands.single_mut() {
        Some(hand) => {
            let begun = hand.metadata().map(|metadata| metadata.handled_by(actor, message_type));
            let (metadata, span) = begun.map_or((None, None), |(metadata, span)| (Some(metadata), span));
            hand.set_metadata(metadata.as_ref());
            (metadata.map(Ambient::One), span)
        }
        None => {
            let now = Instant::now();
            let in_hand = hands.begin_each(|hand| begin_one(actor, hand, message_type, now));
            let span = in_hand.as_ref().and_then(|in_hand| batch_span(actor, message_type, in_hand));
            (in_hand.map(Ambient::Batch), span)
        }
    };
    if span.is_some() || timing.is_some() {
        *beside = Some(Box::new(Beside { span, _timing: timing }));
    }
    ambient
}

/// One message of a batch.
fn begin_one(actor: &Actor, hand: &InHand, message_type: &'static str, now: Instant) -> MessageInHand {
    let begun = hand.metadata().map(|metadata| metadata.handled_by(actor, message_type));
    let (metadata, span) = begun.map_or((None, None), |(metadata, span)| (Some(metadata), span));
    let asked = match hand.asked_until() {
        0 => None,
        deadline => now.checked_add(actor.runtime.deadlines.left(deadline)),
    };
    let deadline = metadata.as_ref().and_then(Metadata::deadline).into_iter().chain(asked).min();
    MessageInHand { metadata, span, deadline }
}

/// The span of a batch, if any of its messages has one: it follows from these.
fn batch_span(actor: &Actor, message_type: &'static str, in_hand: &MessagesInHand) -> Option<Span> {
    let mut spans = in_hand.each().iter().filter_map(|message| message.span.as_ref()).peekable();
    spans.peek()?;
    let messages = in_hand.each().len();
    let span = tracing::info_span!("handle_batch", subsystem = %actor.name, message_type, messages);
    spans.for_each(|one| {
        span.follows_from(one);
    });
    Some(span)
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
    while batch.len() < most && later.front().is_some_and(|next| joins::<S>(&batch[0], next)) {
        batch.extend(later.pop_front().and_then(|next| {
            let plain = next.is_plain();
            taken(actor, next, plain)
        }));
    }
    Hands::many(batch)
}

/// True if the messages that were taken one by one are a batch, which has room for another.
pub(crate) fn takes_more<S: Subsystem>(taken: &VecDeque<Envelope>, most: usize) -> bool {
    let (Some(first), Some(last)) = (taken.front(), taken.back()) else { return false };
    // SAFETY: as in `New::start`.
    taken.len() < most.min(unsafe { first.batch::<S>() }) && joins::<S>(first, last)
}

/// True if two neighbours are handled together.
///
/// A batch with callers has the rights that all of them hold; they must be neither widened nor lost by a message that has no caller.
#[inline]
fn joins<S: Subsystem>(first: &Envelope, next: &Envelope) -> bool {
    // SAFETY: as in `New::start`.
    unsafe { next.is_like::<S>(first) && next.has_caller() == first.has_caller() }
}

/// One event names no more traces than this: each message of a batch has a dead letter, which names its own.
const MOST_TRACES: usize = 16;

/// Says which messages a handler has panicked with, and in which traces.
#[cold]
fn panicked(actor: &Actor, hands: &Hands, span: Option<&Span>, text: &str) {
    let message_type = hands.iter().next().map(|hand| hand.kind().message_type());
    let mut traces: Vec<String> = Vec::new();
    for id in hands.iter().filter_map(|hand| hand.metadata()?.trace_text()) {
        if traces.len() == MOST_TRACES {
            traces.push("…".to_owned());
            break;
        } else if !traces.contains(&id) {
            traces.push(id);
        }
    }
    let trace_id = (!traces.is_empty()).then(|| traces.join(","));
    let messages = Some(hands.count()).filter(|&count| count > 1);
    let tell = || {
        let subsystem = &actor.name;
        let trace_id = trace_id.as_ref().map(tracing::field::display);
        tracing::error!(%subsystem, message_type, messages, trace_id, %text, "panicked");
    };
    span.map_or_else(tell, |span| span.in_scope(tell));
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

/// Fails the last message taken as if its handler had panicked; of a batch, all.
pub(crate) fn fail_on_purpose<S: Subsystem>(actor: &Actor, taken: &mut VecDeque<Envelope>) {
    let joins = taken.front().zip(taken.back()).is_some_and(|(first, last)| joins::<S>(first, last));
    let from = if joins { 0 } else { taken.len() - 1 };
    taken.drain(from..).for_each(|envelope| fail_one_on_purpose(actor, envelope));
}

fn fail_one_on_purpose(actor: &Actor, envelope: Envelope) {
    actor.ledger.begun.add_owned(1);
    let (message, in_hand) = envelope.take();
    let hands = Hands::One(in_hand);
    panicked(actor, &hands, None, "a fault on purpose");
    fail(actor, hands, Fate::Panicked);
    actor.drop_contained(message);
}

#[cold]
fn fail(actor: &Actor, hands: Hands, fate: Fate) {
    actor.waits.forget();
    actor.ledger.rare().failed.publish_owned(hands.count() as u64);
    hands.for_each(|in_hand| {
        if actor.runtime.wants_letters() {
            let letter = DeadLetter::new(actor.name.clone(), in_hand.kind(), Reason::Failed, None);
            actor.runtime.deliver(letter.with_metadata(in_hand.metadata()));
        }
        // A waker of the asker's that panics is the asker's affair.
        let _ = contain(|| in_hand.end(fate));
    });
}
