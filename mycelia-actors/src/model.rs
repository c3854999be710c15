//! The crate's inner parts, opened for loom scenes: they run the real code.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll, Waker};

use mycelia_core::sync::atomic::{AtomicU64, Ordering};

use crate::actor::{Actor, Request};
use crate::batch::{Batch, Filled};
use crate::config::Configure;
use crate::context::Context;
use crate::cycle::{self, Ending, For};
use crate::drain::quiet::{first_busy, is_quiet};
use crate::envelope::{Asker, Envelope, Promise, Slots};
use crate::error::AskFailure;
use crate::handler::Handler;
use crate::pace::Pace;
use crate::runtime::Runtime;
use crate::slot::Fate;
use crate::subsystem::Subsystem;
use crate::table::{Handling, Itself, TableOf};

/// A message pool with one slot to begin with, so that a freed slot is used again.
#[derive(Clone)]
pub struct Pool(Slots);

impl Pool {
    /// A warm one.
    #[must_use]
    pub fn new() -> Self {
        Self(Slots::builder().warm(1).build())
    }

    /// The two halves of an ask; the asker's first waker does nothing.
    #[must_use]
    pub fn ask(&self) -> (Answer, Asking) {
        let task = Task::from_waker(Waker::noop());
        let Ok((promise, asker)) = Promise::new(&self.0, &task, 1) else { unreachable!("the pool grows") };
        (Answer(promise), Asking(Some(asker)))
    }

    /// A message that is an ask, in an envelope.
    #[must_use]
    pub fn message(&self, message: Box<u32>) -> (Message, Asking) {
        let Ok(envelope) = Envelope::new(&self.0, TABLE, message) else { unreachable!("it grows") };
        let asker = envelope.ask(&Task::from_waker(Waker::noop()), 1);
        (Message(envelope), Asking(Some(asker)))
    }

    /// What the sweeper does to an ask whose deadline has passed.
    pub fn expire(&self) {
        let mut wakes = Vec::new();
        let look = |slot: &crate::slot::MessageSlot| {
            wakes.extend(slot.open_word().and_then(|word| slot.end_open(word, Fate::Deadline)));
            slot.open_word().is_some()
        };
        // SAFETY: nobody ever holds a `&mut` to a slot.
        unsafe { self.0.visit_noted(look) };
        wakes.into_iter().for_each(crate::slot::Wake::now);
    }
}

impl Default for Pool {
    fn default() -> Self {
        Self::new()
    }
}

struct Nobody;
impl Subsystem for Nobody {}
impl Handler<Box<u32>> for Nobody {
    type Reply = Box<u32>;
    async fn handle(&mut self, message: Box<u32>, _: &mut Context<Self>) -> Box<u32> {
        message
    }
}

const TABLE: &TableOf<Nobody, Box<u32>> = Handling::<Nobody, Box<u32>, Itself>::TABLE;

/// The half that answers. Dropping it is an answer too.
pub struct Answer(Promise<Box<u32>>);

impl Answer {
    /// Replies.
    pub fn reply(self, reply: u32) {
        self.0.keep(Box::new(reply));
    }
}

/// A message on its way.
pub struct Message(Envelope);

impl Message {
    /// Pushed out of a full mailbox.
    pub fn evict(self) {
        self.0.lose(Fate::Evicted);
    }
}

/// The half that waits.
pub struct Asking(Option<Asker<Box<u32>>>);

impl Future for Asking {
    type Output = Result<u32, AskFailure>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Self::Output> {
        Asker::poll_marked(&mut self.0, &mut None, task)
            .map(|outcome| outcome.map(|reply| *reply).map_err(failure))
    }
}

impl Asking {
    /// True if it was ended because its asker would have waited for itself.
    #[must_use]
    pub fn was_a_circle(mut self) -> bool {
        let poll = Asker::poll_marked(&mut self.0, &mut None, &mut Task::from_waker(Waker::noop()));
        matches!(poll, Poll::Ready(Err(Fate::Cycle)))
    }
}

fn failure(fate: Fate) -> AskFailure {
    match fate {
        Fate::Evicted => AskFailure::Evicted,
        Fate::Deadline => AskFailure::Deadline(<_>::default()),
        _ => AskFailure::Unanswered,
    }
}

/// A subsystem's mailbox, and the run loop's end of it.
pub struct Inbox {
    batch: Batch,
    actor: Arc<Actor>,
    runtime: Runtime,
}

/// The senders' end.
#[derive(Clone)]
pub struct Outside(Arc<Actor>);

/// What woke the run loop.
#[derive(Debug, PartialEq, Eq)]
pub enum Woken {
    /// A message.
    Message,
    /// A request.
    Request,
    /// The end.
    Closed,
}

/// A mailbox without a task.
#[must_use]
pub fn mailbox() -> (Outside, Inbox) {
    mailbox_of(&Runtime::new(), None)
}

/// Some of them, in one runtime.
#[must_use]
pub fn neighbours<const N: usize>() -> [(Outside, Inbox); N] {
    let runtime = Runtime::new();
    std::array::from_fn(|_| mailbox_of(&runtime, None))
}

/// The mailboxes of a parent and its child.
#[must_use]
pub fn family() -> [(Outside, Inbox); 2] {
    let runtime = Runtime::new();
    let parent = mailbox_of(&runtime, None);
    let child = mailbox_of(&runtime, Some(&parent.0));
    [parent, child]
}

fn mailbox_of(runtime: &Runtime, parent: Option<&Outside>) -> (Outside, Inbox) {
    let configured = parent
        .map_or_else(|| Configure::new(runtime.shared(), None), |parent| Configure::child(&parent.0, None));
    let Ok(actor) = configured.register::<Nobody>(None) else { unreachable!("nothing is wrong") };
    let batch = Batch::new(Arc::clone(&actor));
    (Outside(Arc::clone(&actor)), Inbox { batch, actor, runtime: runtime.clone() })
}

impl Outside {
    /// Hands a message over.
    #[must_use]
    pub fn tell(&self) -> bool {
        crate::tell::tell(&self.0, Box::new(1), Actor::envelope::<Nobody, Box<u32>>).is_ok()
    }

    /// Makes a request.
    pub fn kill(&self) {
        self.0.request(Request::Kill);
    }

    /// Makes requests.
    pub fn suspend(&self) {
        self.0.request(Request::Suspend);
    }

    /// Takes the one back.
    pub fn resume(&self) {
        self.0.resume();
    }

    /// Closes the mailbox.
    pub fn stop(&self) {
        self.0.close();
    }
}

impl Outside {
    /// What its handler does to ask another: the message is out, but in no mailbox. And whether it would wait for itself.
    #[must_use]
    pub fn begin_to_ask(&self, other: &Self) -> (Message, Asking, bool) {
        let slots = &self.0.runtime.slots;
        let Ok(envelope) = Envelope::new(slots, TABLE, Box::new(1)) else { unreachable!("it grows") };
        let asker = envelope.ask(&Task::from_waker(Waker::noop()), 1);
        let (_, cycle) = cycle::begin(&self.0, &other.0, For::Reply(envelope.slot_number()));
        (Message(envelope), Asking(Some(asker)), cycle.is_some())
    }

    /// What its loop does to end this child, while this lasts.
    pub fn end_child<T>(&self, child: &Self, meanwhile: impl FnOnce() -> T) -> T {
        let ending = Ending::begin(&self.0);
        ending.break_circles(std::slice::from_ref(&child.0));
        meanwhile()
    }

    /// What its handler does when it has heard of the end of its ask.
    pub fn end_asking(&self) {
        self.0.waits.forget();
    }
}

impl Outside {
    /// True if its whole runtime has nothing left to do, as a shutdown finds out.
    #[must_use]
    pub fn is_all_quiet(&self) -> bool {
        is_quiet(&self.0.runtime, None, true, &mut None)
    }
}

/// True if these have nothing left to do, as a stop of all of them finds out.
#[must_use]
pub fn are_quiet(all: &[&Outside]) -> bool {
    let all: Vec<_> = all.iter().map(|one| Arc::clone(&one.0)).collect();
    first_busy(&all, None).is_none()
}

impl Inbox {
    /// What makes another mailbox in the same runtime.
    #[must_use]
    pub fn spawns(&self) -> impl Fn() -> (Outside, Self) + use<> {
        let runtime = self.runtime.clone();
        move || mailbox_of(&runtime, None)
    }

    /// Handles a message, if there is one: this is what its handler does.
    pub fn handle(&mut self, task: &mut Task<'_>, handler: impl FnOnce()) -> bool {
        if self.poll(task) != Poll::Ready(Woken::Message) {
            return false;
        }
        let ledger = &self.actor.ledger;
        ledger.begun.add_owned(1);
        self.batch.taken.clear();
        handler();
        ledger.handled.publish_owned(1);
        true
    }

    /// Waits as the run loop does.
    pub fn poll(&mut self, task: &mut Task<'_>) -> Poll<Woken> {
        self.batch.poll_fill(task, 1).map(|filled| match filled {
            Filled::Messages => Woken::Message,
            Filled::Request => Woken::Request,
            Filled::Closed => Woken::Closed,
        })
    }

    /// Waits as a suspended run loop does.
    pub fn poll_resumed(&mut self) -> Poll<()> {
        if self.actor.is_suspended() { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Says whom requests wake.
    pub fn register(&self, task: &Task<'_>) {
        self.actor.queue.register_receiver(task.waker());
    }
}

/// A sweeper's pace, and the stamp that changes when it looks less often.
pub struct Pacing {
    pace: Pace,
    stamp: AtomicU64,
}

/// What a thread knows of a sweeper that it has hurried.
pub struct KnownPace {
    period: u64,
    stamp: u64,
}

impl Pacing {
    /// A sweeper that runs, and looks this often.
    #[must_use]
    pub fn new(period: u64) -> Self {
        let pace = Pace::new(true);
        pace.hurry(period);
        Self { pace, stamp: AtomicU64::new(0) }
    }

    /// Hurries it as an ask does.
    #[must_use]
    pub fn hurry(&self, period: u64) -> KnownPace {
        let stamp = self.stamp.load(Ordering::SeqCst);
        self.pace.hurry(period);
        KnownPace { period, stamp }
    }

    /// Adapts it to what a sweep has found, after enough quiet ones.
    pub fn adapt(&self, found: u64) {
        self.pace.adapt(self.pace.period(), found, true, || {
            self.stamp.fetch_add(1, Ordering::SeqCst);
        });
    }

    /// True if what is known is either right or out of date.
    #[must_use]
    pub fn keeps(&self, known: &KnownPace) -> bool {
        self.stamp.load(Ordering::SeqCst) != known.stamp || self.pace.period() <= known.period
    }

    /// Ends it if no ask counts on it. True if it has ended.
    #[must_use]
    pub fn leave(&self) -> bool {
        self.pace.leave()
    }

    /// Starts it if it does not run. True if the caller has to start it.
    #[must_use]
    pub fn start(&self) -> bool {
        !self.pace.is_running() && self.pace.claim()
    }
}
