//! What everybody shares of one subsystem: its queue, its requests, its numbers, its life.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::Arc;

use mycelia_core::contain;
use mycelia_core::seeded::bug;
use mycelia_core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use mycelia_pool::Exhausted;
use mycelia_queue::{Channel, PushError, Pushed};

use crate::current;
use crate::cycle::Waits;
use crate::dead_letters::{DeadLetter, Reason};
use crate::envelope::Envelope;
use crate::error::{Refusal, TellError};
use crate::handler::Handler;
use crate::ledger::{Ledger, Stats};
use crate::life_event::{LifeEvent, Lifecycle};
use crate::lifecycle::Life;
use crate::name::Name;
use crate::observer;
use crate::shared::Shared;
use crate::slot::Fate;
use crate::subsystem::Subsystem;
use crate::table::{Handling, Itself, TableOf};
use crate::tell::Told;

/// Requests to a subsystem. They are seen before each poll of a handler, however full the mailbox is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Request {
    Kill = 1,
    StopNow = 2,
    /// A child has failed for good.
    ChildFailed = 4,
    Restart = 8,
    /// Somebody that it watches has ended.
    Notice = 16,
    /// Stands until it is taken back, or the subsystem is to end.
    Suspend = 32,
    /// It is closed to outside, and to say when it has nothing to do. Stands to the end.
    Drain = 64,
}

/// What the run loop does next, before any message.
pub(crate) enum Asked {
    /// This.
    To(Request),
    /// Handle a message that has no place in the mailbox.
    Handle(Envelope),
}

/// The requests that stand, and say nothing of what to do next.
const STANDING: u8 = Request::Suspend as u8 | Request::Drain as u8;
/// The requests that lead to another state.
const RESTARTS: u8 = Request::ChildFailed as u8 | Request::Restart as u8;

/// One subsystem, as seen from outside of its task.
///
/// In this order, for senders look at the first three with every message, and the loop writes the last two: a cache line apart.
#[repr(C)]
pub(crate) struct Actor {
    pub(crate) queue: Channel<Envelope>,
    pub(crate) runtime: Arc<Shared>,
    /// The next message is to be timed, for whoever observes the runtime.
    pub(crate) wants_sample: AtomicBool,
    /// Until one is.
    pub(crate) batches_left: AtomicU8,
    requests: AtomicU8,
    /// Has, or had, children.
    pub(crate) has_children: AtomicBool,
    /// Where the runtime's list has it. 32 bits: more subsystems fit into no memory.
    pub(crate) place: AtomicU32,
    pub(crate) name: Name,
    pub(crate) life: Life,
    /// Whom its handler waits for.
    pub(crate) waits: Waits,
    pub(crate) ledger: Ledger,
}

/// The queue of an actor, borrowed or owned like the actor.
pub(crate) struct QueueOf<A>(pub(crate) A);

impl<A: Deref<Target = Actor>> Deref for QueueOf<A> {
    type Target = Channel<Envelope>;

    fn deref(&self) -> &Self::Target {
        &self.0.queue
    }
}

// With its reference counts and malloc's own word 240 bytes: so an actor and the task of a small state, which tokio
// aligns to 128, share 640 bytes without a gap.
#[cfg(all(not(mycelia_loom), target_pointer_width = "64"))]
const _: () = assert!(size_of::<Actor>() <= 216);

impl Actor {
    pub(crate) fn new(queue: Channel<Envelope>, name: Name, runtime: Arc<Shared>) -> Self {
        Self {
            queue,
            requests: AtomicU8::new(0),
            wants_sample: AtomicBool::new(runtime.observed().is_some()),
            batches_left: AtomicU8::new(0),
            has_children: AtomicBool::new(false),
            ledger: Ledger::default(),
            life: Life::default(),
            waits: Waits::default(),
            name,
            place: AtomicU32::new(u32::MAX),
            runtime,
        }
    }

    /// Puts a message into a slot.
    #[inline]
    pub(crate) fn envelope<S: Handler<M>, M: Send + 'static>(
        &self,
        message: M,
    ) -> Result<Envelope, (M, Refusal)> {
        self.envelope_with(Handling::<S, M, Itself>::TABLE, message)
    }

    /// The same with this table.
    #[inline]
    pub(crate) fn envelope_with<S: Subsystem, M: Send + 'static>(
        &self,
        table: &'static TableOf<S, M>,
        message: M,
    ) -> Result<Envelope, (M, Refusal)> {
        let envelope = Envelope::new(&self.runtime.slots, table, message)
            .map_err(|(message, Exhausted { capacity })| (message, Refusal::PoolExhausted { capacity }))?;
        // One question for both. Relaxed: which message is timed does not matter.
        if current::has_metadata() | self.wants_sample.load(Ordering::Relaxed) {
            self.dress(&envelope);
        }
        Ok(envelope)
    }

    /// What a message may carry beside itself: what the running code was sent with, and when it was sent.
    #[cold]
    fn dress(&self, envelope: &Envelope) {
        let stamp = observer::stamp(self);
        if let Some(metadata) = current::metadata() {
            envelope.set_metadata(metadata.stamped(stamp));
        } else if let Some(stamp) = stamp {
            envelope.set_stamp(stamp);
        }
    }

    /// Hands an envelope over without waiting. What it pushes out, and what the policy drops, is lost here.
    #[inline]
    pub(crate) fn push(&self, envelope: Envelope) -> Result<Told, PushError<Envelope>> {
        let pushed = match self.queue.push(envelope) {
            Err(PushError::Closed { item }) => self.push_inside(item),
            pushed => pushed,
        };
        match pushed {
            Ok(Pushed::Queued) => Ok(Told::Queued),
            Ok(Pushed::Evicted(oldest)) => {
                self.lose(oldest, Reason::Evicted, Fate::Evicted);
                self.found_full(1);
                Ok(Told::Evicted)
            }
            Ok(Pushed::Discarded(newest)) => {
                self.lose(newest, Reason::Discarded, Fate::Discarded);
                self.found_full(1);
                Ok(Told::Discarded)
            }
            Err(full @ PushError::Full { .. }) => {
                self.found_full(1);
                Err(full)
            }
            Err(closed) => Err(closed),
        }
    }

    /// A sender has found the mailbox full, and this many messages were refused. Tells it, if `Lifecycle` has a subscriber.
    #[cold]
    pub(crate) fn found_full(&self, refused: usize) {
        if self.runtime.bus.is_watched::<Lifecycle>() {
            self.ledger.rare().fullness.get_or_init(Box::default).found(self, refused as u64);
        }
    }

    /// The loop has taken a batch: tells it, if the mailbox was full and is below half.
    #[inline]
    pub(crate) fn look_whether_relieved(&self) {
        let fullness = self.ledger.rare_if_any().and_then(|rare| rare.fullness.get());
        if let Some(fullness) = fullness.filter(|fullness| fullness.is_full()) {
            fullness.look(self);
        }
    }

    /// The mailbox is closed: but perhaps to outside only, and this is sent from inside.
    #[cold]
    fn push_inside(&self, envelope: Envelope) -> Result<Pushed<Envelope>, PushError<Envelope>> {
        if self.is_sent_from_inside() {
            self.is_sent_again(1);
            self.queue.push_inside(envelope)
        } else {
            Err(PushError::Closed { item: envelope })
        }
    }

    /// True if the mailbox is closed to outside only, and the running code is inside: it belongs to a subsystem in the part of the
    /// forest that is being drained.
    #[cold]
    pub(crate) fn is_sent_from_inside(&self) -> bool {
        self.queue.is_open_inside()
            && current::with_origin(|origin| {
                let registry = || self.runtime.registry.lock();
                origin.is_some_and(|origin| {
                    Arc::ptr_eq(&origin.runtime, &self.runtime) && registry().is_inside(self, origin)
                })
            })
    }

    /// Takes so many messages that the queue has refused, and counted, out of the ledger, because they are sent again from inside.
    #[cold]
    pub(crate) fn is_sent_again(&self, messages: usize) {
        self.ledger.rare().again.add(messages as u64);
    }

    /// A message goes back to its sender for a reason that the queue knows nothing of.
    #[cold]
    pub(crate) fn give_back<M>(&self, message: M, refusal: Refusal) -> TellError<M> {
        self.ledger.rare().returned.add(1);
        TellError { message, subsystem: self.name.clone(), refusal }
    }

    /// A message that the queue has refused, and counted.
    ///
    /// # Safety
    /// The message is of type `M`.
    #[cold]
    pub(crate) unsafe fn refused<M>(&self, envelope: Envelope, refusal: Refusal) -> TellError<M> {
        // SAFETY: the caller's promise.
        let message = unsafe { envelope.into_message() };
        TellError { message, subsystem: self.name.clone(), refusal }
    }

    /// A message that will not be handled: counted by the caller, offered to dead letters here, its asker told.
    #[cold]
    pub(crate) fn lose(&self, envelope: Envelope, reason: Reason, fate: Fate) {
        let message_type = envelope.kind().message_type();
        let trace_id = || Some(tracing::field::display(envelope.metadata()?.trace_text()?));
        tracing::debug!(subsystem = %self.name, message_type, trace_id = trace_id(), %reason, "dead letter");
        if envelope.has_stamp() {
            // Where the oldest are pushed out, the first after each batch would never be handled.
            observer::want(self);
        }
        // Its drop is none of the business of whoever happens to push it out.
        let _nobody = current::has_metadata().then(|| current::with(None));
        let lost = contain(|| {
            if self.runtime.wants_letters() {
                let (kind, metadata) = (envelope.kind(), envelope.metadata());
                let (message, in_hand) = envelope.take();
                in_hand.end(fate);
                let letter = DeadLetter::new(self.name.clone(), kind, reason, Some(message));
                self.runtime.deliver(letter.with_metadata(metadata));
            } else {
                envelope.lose(fate);
            }
        });
        if lost.is_err() {
            self.ledger.rare().drop_panics.add(1);
        }
    }

    /// Drops something of the user's, which may panic.
    pub(crate) fn drop_contained<T>(&self, something: T) {
        if contain(|| drop(something)).is_err() {
            self.ledger.rare().drop_panics.add(1);
        }
    }

    /// Its `started` has run.
    pub(crate) fn set_started(&self) {
        self.runtime.announce_life(&self.name, || LifeEvent::Started);
        self.life.set_started();
    }

    /// Refuses later messages; the run loop ends when it has handled those it has.
    pub(crate) fn close(&self) {
        self.queue.close();
        self.announce_stopping();
    }

    /// Refuses later messages, if it has nothing to do at all, and neither children nor side tasks: then it ends. False otherwise.
    pub(crate) fn close_if_idle(&self) -> bool {
        let closed = self.queue.close_if_idle();
        if closed {
            self.announce_stopping();
        }
        closed
    }

    /// Refuses later messages from outside of the part of the forest that is being drained.
    pub(crate) fn close_to_outside(&self) {
        // Release: as in `request`. It goes first: a loop that finds nothing to do then sees that it is to say so.
        let others = self.requests.fetch_or(Request::Drain as u8, Ordering::Release);
        let is_busy = self.queue.close_to_outside();
        let side_tasks = self.ledger.rare_if_any().is_some_and(|rare| !rare.tasks.is_empty());
        // A loop that waits for messages has nothing to say, but for its side tasks. One that is suspended goes on now: it has notices, perhaps.
        if is_busy || side_tasks || others != 0 {
            self.queue.wake_receiver();
        }
        self.announce_stopping();
    }

    fn announce_stopping(&self) {
        if let Some(rare) = self.ledger.rare_if_any() {
            rare.tasks.announce_stopping();
        }
    }

    /// True if it ends with the last ones.
    pub(crate) fn ends_last(&self) -> bool {
        self.runtime.registry.lock().ends_last(self)
    }

    /// True if it is told to end by a drain: then it gets no other state.
    pub(crate) fn ends_in_a_drain(&self) -> bool {
        self.was_asked(Request::Drain) && self.has_to_end()
    }

    /// True if it was told to end, and is not just being drained.
    pub(crate) fn has_to_end(&self) -> bool {
        self.queue.is_closed() && !self.queue.is_open_inside()
    }

    /// Leaves a request without waking the loop, which the caller does afterwards.
    pub(crate) fn note(&self, request: Request) {
        // Release, with the Acquire in `take_request`; the wake-up comes after it, so the loop looks again.
        self.requests.fetch_or(request as u8, Ordering::Release);
    }

    pub(crate) fn request(&self, request: Request) {
        self.note(request);
        if bug("a request that wakes nobody") {
            return;
        }
        if matches!(request, Request::Kill | Request::StopNow) {
            self.close();
        }
        self.queue.wake_receiver();
    }

    /// Takes a suspension back.
    pub(crate) fn resume(&self) {
        // Release: as in `request`.
        self.requests.fetch_and(!(Request::Suspend as u8), Ordering::Release);
        if !bug("a resume that wakes nobody") {
            self.queue.wake_receiver();
        }
    }

    /// Tells it that a child of its has failed for good.
    pub(crate) fn fail(&self, why: Arc<str>) {
        *self.ledger.rare().failed_child.lock() = Some(why);
        self.request(Request::ChildFailed);
    }

    /// Why a child has failed for good.
    pub(crate) fn failed_child(&self) -> Arc<str> {
        self.ledger.rare().failed_child.lock().take().unwrap_or_default()
    }

    /// What was asked of a state that is no more.
    pub(crate) fn forget_restarts(&self) {
        // Relaxed: they are not obeyed.
        self.requests.fetch_and(!RESTARTS, Ordering::Relaxed);
    }

    /// The most urgent request. What leads to another state is then forgotten; the others stand. The loop has `taken` messages in
    /// its hands.
    #[inline]
    pub(crate) fn next_request(&self, taken: &VecDeque<Envelope>) -> Option<Asked> {
        if self.has_request() { self.take_request(taken.len()) } else { None }
    }

    #[cold]
    fn take_request(&self, taken: usize) -> Option<Asked> {
        let requests = self.requests.fetch_and(!RESTARTS, Ordering::Acquire);
        if requests & Request::Drain as u8 != 0
            && let Some(rare) = self.ledger.rare_if_any()
        {
            // Here, between two handlings: so a handler has said of a side task how it ends, before it is asked.
            rare.tasks.begin_stop();
        }
        let mut urgent =
            [Request::Kill, Request::StopNow, Request::ChildFailed, Request::Restart].into_iter();
        urgent
            .find(|&request| requests & request as u8 != 0)
            .or_else(|| self.is_suspended().then_some(Request::Suspend))
            .map(Asked::To)
            .or_else(|| self.due_notice(taken).map(Asked::Handle))
    }

    fn due_notice(&self, taken: usize) -> Option<Envelope> {
        if !self.was_asked(Request::Notice) {
            return None;
        }
        let mut notices = self.ledger.rare().notices.lock();
        let gone = self.queue.gone() - taken as u64;
        let (due, more) = notices.due(gone);
        if !more {
            // Release: under the lock, so that one which comes now sets it again.
            self.requests.fetch_and(!(Request::Notice as u8), Ordering::Release);
        }
        due
    }

    /// True while it is to handle nothing. (One that is stopped drains its mailbox, suspended or not.)
    pub(crate) fn is_suspended(&self) -> bool {
        let waits = STANDING | Request::Notice as u8;
        // Relaxed: as in `has_request`.
        let other = self.requests.load(Ordering::Relaxed) & !waits != 0;
        self.was_asked(Request::Suspend) && !other && !self.queue.is_closed()
    }

    /// True if a request may be waiting.
    #[inline]
    pub(crate) fn has_request(&self) -> bool {
        // Relaxed: a look; a request that comes later wakes the task.
        self.requests.load(Ordering::Relaxed) != 0
    }

    /// True if a request may be waiting that is not one of those which stand.
    pub(crate) fn has_urgent_request(&self) -> bool {
        // Relaxed: as in `has_request`.
        self.requests.load(Ordering::Relaxed) & !STANDING != 0
    }

    /// True once the subsystem has ended, and its name is free.
    #[inline]
    pub(crate) fn is_gone(&self) -> bool {
        // Relaxed: a look; whoever is late is told by the mailbox.
        self.place.load(Ordering::Relaxed) == u32::MAX
    }

    /// True once the subsystem was killed.
    #[inline]
    pub(crate) fn is_killed(&self) -> bool {
        self.was_asked(Request::Kill)
    }

    /// True while this request stands.
    #[inline]
    pub(crate) fn was_asked(&self, request: Request) -> bool {
        // Relaxed: as in `has_request`.
        self.requests.load(Ordering::Relaxed) & request as u8 != 0
    }

    pub(crate) fn stats(&self) -> Stats {
        self.ledger.stats(&self.queue.stats())
    }
}

impl Drop for Actor {
    /// Asks whose ends were counted while it was ending.
    fn drop(&mut self) {
        if self.ledger.rare_if_any().is_some() {
            self.runtime.registry.lock().ended.1 += self.ledger.take_asks();
        }
    }
}
