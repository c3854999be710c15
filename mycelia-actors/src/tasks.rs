//! The side tasks of one subsystem: which are running, how they are told to end, and what became of them.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context as Task, Poll, Wake, Waker};

use foldhash::fast::FixedState;
use mycelia_core::sync::Mutex;
use mycelia_core::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use mycelia_core::{Counter, drop_waker, wake_all};
use slab::Slab;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::actor::Actor;
use crate::budget::within_budget;
use crate::current::{self, SideTask};
use crate::side_task::{self, AtStop, SideTaskKind, SideTaskStats};
use crate::table::Kind;

/// A handle to a side task: a timer, a pipe, or an attached stream. Dropping the handle changes nothing.
///
/// A side task runs until it is done, it is cancelled through its handle, or its subsystem ends or restarts.
#[derive(Clone)]
pub struct TaskHandle(pub(crate) Arc<Entry>);

impl TaskHandle {
    /// Ends the side task at its next await. Messages that it has sent stay in the mailbox. Returns at once.
    pub fn cancel(&self) {
        self.0.tell(Signal::Cancel, EndOfTask::Cancelled);
    }

    /// True if the side task is done, or was cancelled.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.is_settled()
    }

    /// Says how a stop of the subsystem treats this side task: see [`AtStop`].
    ///
    /// ```
    /// # use mycelia_actors::prelude::*;
    /// # use mycelia_actors::AtStop;
    /// # struct Meter;
    /// # impl Subsystem for Meter {}
    /// # #[derive(Clone)]
    /// # struct Flush;
    /// # impl Handler<Flush> for Meter {
    /// #     type Reply = ();
    /// #     async fn handle(&mut self, _: Flush, _: &mut Context<Self>) {}
    /// # }
    /// # fn example(cx: &Context<Meter>) {
    /// // Still flushes while accepted messages are handled.
    /// cx.send_every(std::time::Duration::from_secs(1), Flush).at_stop(AtStop::Keep);
    /// # }
    /// ```
    pub fn at_stop(self, at_stop: AtStop) -> Self {
        // Relaxed: read by the subsystem's own task, which runs this, or by the drain, which looks again.
        self.0.at_stop.store(at_stop as u8, Ordering::Relaxed);
        self
    }

    /// Keeps the messages of this side task across restarts: one that is in the mailbox when the subsystem restarts is handled by the
    /// next state, and does not expire. The side task itself ends with the state that started it, all the same.
    ///
    /// Applies to messages that are sent after this call.
    pub fn across_restarts(self) -> Self {
        // Relaxed: as in `at_stop`.
        self.0.across_restarts.store(true, Ordering::Relaxed);
        self
    }
}

impl fmt::Debug for TaskHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHandle")
            .field("kind", &self.0.kind)
            .field("is_finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}

/// Side tasks of one subsystem that are in line for capacity at once.
const MOST_IN_LINE: usize = 64;

/// What a side task was told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
#[repr(u8)]
pub(crate) enum Signal {
    GoOn,
    /// To end as soon as it has no message in hand.
    WindDown,
    /// To end.
    Cancel,
}

/// How a side task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum EndOfTask {
    Finished,
    Panicked,
    Cancelled,
    Abandoned,
}

/// Something outside of a side task that the side task waits for.
pub(crate) trait Awaited: Send + Sync {
    /// True until it has come.
    fn is_awaited(&self) -> bool;
}

/// Waits for something. While a side task does so, a stop does not wait for the side task.
pub(crate) async fn awaited<T>(
    what: impl FnOnce() -> Arc<dyn Awaited>,
    future: impl Future<Output = T>,
) -> T {
    let (mut future, mut what, mut _mark) = (pin!(future), Some(what), None);
    poll_fn(|task| {
        let poll = future.as_mut().poll(task);
        if poll.is_pending()
            && let Some(side_task) = what.take().and_then(|what| Some((current::side_task()?, what)))
        {
            let (SideTask { actor, entry }, what) = side_task;
            entry.set_awaits(Some(what()));
            actor.settled_something();
            _mark = Some(Mark(entry));
        }
        poll
    })
    .await
}

/// A side task waits for something; until this is dropped.
struct Mark(Arc<Entry>);

impl Drop for Mark {
    fn drop(&mut self) {
        self.0.set_awaits(None);
    }
}

/// One side task, as its subsystem, its handle and itself know it.
pub(crate) struct Entry {
    id: u64,
    pub(crate) kind: SideTaskKind,
    type_name: fn() -> &'static str,
    since: Instant,
    /// The number of the state that started it.
    pub(crate) state: u64,
    at_stop: AtomicU8,
    across_restarts: AtomicBool,
    signal: AtomicU8,
    /// The end that counts if it does not come to its own.
    end: AtomicU8,
    /// Its end was counted.
    settled: AtomicBool,
    waker: Mutex<Option<Waker>>,
    /// While there is such a thing a stop does not wait for the side task.
    awaits: Mutex<Option<Arc<dyn Awaited>>>,
    /// It waits, and nothing can wake it: it will never have a message.
    stuck: AtomicBool,
}

impl Entry {
    /// Tells it to end, and how that counts. The first to say how is right.
    fn tell(&self, signal: Signal, end: EndOfTask) {
        // Release, with the Acquire in `signal`: the task that sees the signal sees how its end counts.
        if self.signal.fetch_max(signal as u8, Ordering::AcqRel) == Signal::GoOn as u8 {
            self.end.store(end as u8, Ordering::Release);
        }
        self.wake();
    }

    fn wake(&self) {
        // Taken, not cloned: the side task leaves its waker again when it is polled.
        let waker = self.waker.lock().take();
        wake_all(waker);
    }

    /// What it was told. The waker is woken at the next change.
    pub(crate) fn signal(&self, task: &Task<'_>) -> Signal {
        let is_known = self.waker.lock().as_ref().is_some_and(|own| own.will_wake(task.waker()));
        if !is_known {
            let new = task.waker().clone();
            let old = self.waker.lock().replace(new);
            drop_waker(old);
        }
        self.signal_now()
    }

    /// What it was told.
    pub(crate) fn signal_now(&self) -> Signal {
        // Acquire: with the Release in `tell`.
        match self.signal.load(Ordering::Acquire) {
            0 => Signal::GoOn,
            1 => Signal::WindDown,
            _ => Signal::Cancel,
        }
    }

    /// How it counts if it is cut off now.
    pub(crate) fn end_if_cut_off(&self) -> EndOfTask {
        // Acquire: with the Release in `tell`.
        match self.end.load(Ordering::Acquire) {
            end if end == EndOfTask::Cancelled as u8 => EndOfTask::Cancelled,
            _ => EndOfTask::Abandoned,
        }
    }

    pub(crate) fn is_settled(&self) -> bool {
        // Acquire: with the Release in `settle`, for what the task has done.
        self.settled.load(Ordering::Acquire)
    }

    pub(crate) fn keeps_messages(&self) -> bool {
        self.across_restarts.load(Ordering::Relaxed)
    }

    fn at_stop(&self) -> AtStop {
        match self.at_stop.load(Ordering::Relaxed) {
            at_stop if at_stop == AtStop::Wait as u8 => AtStop::Wait,
            at_stop if at_stop == AtStop::Keep as u8 => AtStop::Keep,
            _ => AtStop::End,
        }
    }

    /// True if a stop waits for it now.
    fn holds_up(&self) -> bool {
        self.at_stop() == AtStop::Wait
            && !self.stuck.load(Ordering::Relaxed)
            && !self.awaited().is_some_and(|thing| thing.is_awaited())
    }

    /// What it waits for. A copy, so that no other lock is taken below this one, and the last owner drops it outside.
    fn awaited(&self) -> Option<Arc<dyn Awaited>> {
        self.awaits.lock().clone()
    }

    /// Says whether nothing can wake it. True if that is new.
    pub(crate) fn set_stuck(&self, stuck: bool) -> bool {
        // Relaxed: a stop that waits for it is told, and looks again.
        self.stuck.swap(stuck, Ordering::Relaxed) != stuck
    }

    /// Says what it waits for, or that it waits no more.
    pub(crate) fn set_awaits(&self, awaits: Option<Arc<dyn Awaited>>) {
        let old = std::mem::replace(&mut *self.awaits.lock(), awaits);
        drop(old);
    }

    pub(crate) fn type_name(&self) -> &'static str {
        (self.type_name)()
    }

    pub(crate) fn message_kind(&self) -> Kind {
        Kind::named(self.type_name)
    }

    fn describe(&self) -> side_task::SideTask {
        side_task::SideTask { kind: self.kind, type_name: self.type_name(), age: self.since.elapsed() }
    }
}

/// The waker of a side task: its clones are counted, so one that has none left while it waits is known to be stuck.
pub(crate) struct Alarm(pub(crate) Arc<Entry>);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.wake();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.wake();
    }
}

/// The side tasks of one subsystem.
#[derive(Default)]
pub(crate) struct Tasks {
    running: Mutex<Running>,
    /// Side tasks in line for capacity. Made with the first one.
    line: OnceLock<Arc<Semaphore>>,
    started: Counter,
    finished: Counter,
    panicked: Counter,
    cancelled: Counter,
    abandoned: Counter,
}

#[derive(Default)]
struct Running {
    by_id: HashMap<u64, Arc<Entry>, FixedState>,
    next_id: u64,
    /// To be woken when none is left.
    gone: Option<Waker>,
    /// To be woken when the subsystem is stopping.
    stopping: Slab<Waker>,
}

impl Running {
    fn remove(&mut self, id: u64) -> Option<Waker> {
        self.by_id.remove(&id);
        if self.by_id.capacity() > 64 && self.by_id.len() * 4 < self.by_id.capacity() {
            let keep = self.by_id.len() * 2;
            self.by_id.shrink_to(keep);
        }
        if self.by_id.is_empty() { self.gone.take() } else { None }
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Tasks {
    /// So many side tasks may be in line for capacity at once, each with its message in a slot. All others keep theirs themselves: a
    /// burst of timers does not make the message pool grow.
    pub(crate) fn line(&self) -> Arc<Semaphore> {
        Arc::clone(self.line.get_or_init(|| Arc::new(Semaphore::new(MOST_IN_LINE))))
    }

    /// Notes a side task that is about to start.
    pub(crate) fn add(
        &self,
        kind: SideTaskKind,
        type_name: fn() -> &'static str,
        at_stop: AtStop,
        state: u64,
    ) -> Arc<Entry> {
        let since = Instant::now();
        let mut running = self.running.lock();
        self.started.add(1);
        let id = running.next_id;
        running.next_id += 1;
        let cut_off = if kind == SideTaskKind::Pipe { EndOfTask::Abandoned } else { EndOfTask::Cancelled };
        let entry = Arc::new(Entry {
            id,
            kind,
            type_name,
            since,
            state,
            at_stop: AtomicU8::new(at_stop as u8),
            across_restarts: AtomicBool::new(false),
            signal: AtomicU8::new(Signal::GoOn as u8),
            end: AtomicU8::new(cut_off as u8),
            settled: AtomicBool::new(false),
            waker: Mutex::new(None),
            awaits: Mutex::new(None),
            stuck: AtomicBool::new(false),
        });
        running.by_id.insert(id, Arc::clone(&entry));
        entry
    }

    /// Counts the end of a side task, once. True if it was not counted before.
    pub(crate) fn settle(&self, entry: &Entry, end: EndOfTask) -> bool {
        let counter = match end {
            EndOfTask::Finished => &self.finished,
            EndOfTask::Panicked => &self.panicked,
            EndOfTask::Cancelled => &self.cancelled,
            EndOfTask::Abandoned => &self.abandoned,
        };
        let mut running = self.running.lock();
        // Release, with the Acquire in `is_settled`. Under the lock, so that ends and what is running add up in `stats`.
        if entry.settled.swap(true, Ordering::AcqRel) {
            return false;
        }
        counter.add(1);
        let gone = running.remove(entry.id);
        drop(running);
        wake_all(gone);
        true
    }

    /// Tells all of them to end. Pipes count as abandoned then, unless the subsystem was stopped and need not wait for them; all others
    /// as cancelled.
    pub(crate) fn end_all(&self, stopped: bool) {
        for entry in self.left() {
            let kept = stopped && entry.at_stop() != AtStop::Wait;
            let end = if entry.kind == SideTaskKind::Pipe && !kept {
                EndOfTask::Abandoned
            } else {
                EndOfTask::Cancelled
            };
            entry.tell(Signal::Cancel, end);
        }
    }

    /// Cancels those that end when a stop begins.
    pub(crate) fn begin_stop(&self) {
        let entries: Vec<_> = {
            let running = self.running.lock();
            running.by_id.values().filter(|entry| entry.at_stop() == AtStop::End).cloned().collect()
        };
        entries.iter().for_each(|entry| entry.tell(Signal::WindDown, EndOfTask::Cancelled));
    }

    /// True if none is running.
    pub(crate) fn is_empty(&self) -> bool {
        self.running.lock().by_id.is_empty()
    }

    /// Ready when none is left.
    pub(crate) fn poll_gone(&self, task: &Task<'_>) -> Poll<()> {
        let waker = task.waker().clone();
        let mut running = self.running.lock();
        if running.by_id.is_empty() {
            return Poll::Ready(());
        }
        let old = running.gone.replace(waker);
        drop(running);
        drop_waker(old);
        Poll::Pending
    }

    /// Those that are left.
    pub(crate) fn left(&self) -> Vec<Arc<Entry>> {
        self.running.lock().by_id.values().cloned().collect()
    }

    /// Those that are running and hold a stop up, described.
    pub(crate) fn waited_for(&self) -> Vec<side_task::SideTask> {
        let left = self.left();
        left.iter().filter(|entry| entry.at_stop() == AtStop::Wait).map(|entry| entry.describe()).collect()
    }

    /// True if a stop waits for any.
    pub(crate) fn hold_up(&self) -> bool {
        // Asked outside of the lock: what they wait for has locks of its own.
        self.left().iter().any(|entry| entry.holds_up())
    }

    /// How many have ended, or do not hold a stop up: equal to `started` if a stop need not wait.
    pub(crate) fn ended_or_kept(&self) -> u64 {
        let (ended, left) = {
            let running = self.running.lock();
            let left: Vec<_> = running.by_id.values().cloned().collect();
            (self.ended(), left)
        };
        ended + left.iter().filter(|entry| !entry.holds_up()).count() as u64
    }

    pub(crate) fn started(&self) -> u64 {
        self.started.get()
    }

    fn ended(&self) -> u64 {
        self.finished.get() + self.panicked.get() + self.cancelled.get() + self.abandoned.get()
    }

    /// Leaves a waker at this place for the moment when the subsystem is stopping; unless `is_stopping` says that it is.
    fn poll_stopping(
        &self,
        place: &mut Option<usize>,
        task: &Task<'_>,
        is_stopping: impl FnOnce() -> bool,
    ) -> Poll<()> {
        let waker = task.waker().clone();
        let mut running = self.running.lock();
        if is_stopping() {
            drop(running);
            return Poll::Ready(());
        }
        let old = match place.and_then(|place| running.stopping.get_mut(place)) {
            Some(old) => Some(std::mem::replace(old, waker)),
            None => {
                *place = Some(running.stopping.insert(waker));
                None
            }
        };
        drop(running);
        drop_waker(old);
        Poll::Pending
    }

    fn leave_stopping(&self, place: usize) {
        let mut running = self.running.lock();
        let old = running.stopping.try_remove(place);
        if running.stopping.is_empty() {
            running.stopping = Slab::new();
        }
        drop(running);
        drop_waker(old);
    }

    /// The subsystem is stopping.
    pub(crate) fn announce_stopping(&self) {
        let wakers = std::mem::take(&mut self.running.lock().stopping);
        wake_all(wakers.into_iter().map(|(_, waker)| waker));
    }

    pub(crate) fn stats(&self) -> SideTaskStats {
        let running = self.running.lock();
        SideTaskStats {
            started: self.started.get(),
            finished: self.finished.get(),
            panicked: self.panicked.get(),
            cancelled: self.cancelled.get(),
            abandoned: self.abandoned.get(),
            running: running.by_id.len() as u64,
        }
    }
}

/// A future that is ready as soon as the subsystem is stopping. Made by [`Context::stopping`](crate::Context::stopping).
#[must_use = "a future does nothing until it is polled"]
pub struct Stopping {
    actor: Arc<Actor>,
    place: Option<usize>,
}

impl Stopping {
    pub(crate) fn new(actor: &Arc<Actor>) -> Self {
        Self { actor: Arc::clone(actor), place: None }
    }
}

impl Future for Stopping {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<()> {
        let Self { actor, place } = &mut *self;
        within_budget(task, |task| {
            actor.ledger.rare().tasks.poll_stopping(place, task, || actor.queue.is_closed())
        })
    }
}

impl Drop for Stopping {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.actor.ledger.rare().tasks.leave_stopping(place);
        }
    }
}

impl fmt::Debug for Stopping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopping").field("subsystem", &self.actor.name).finish()
    }
}
