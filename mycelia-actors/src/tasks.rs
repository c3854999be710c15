//! The side tasks of one subsystem: which are running, how they are told to end, and what became of them.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context as Task, Poll, Waker};

use foldhash::fast::FixedState;
use mycelia_core::sync::Mutex;
use mycelia_core::{Counter, drop_waker, wake_all};
use slab::Slab;
use tokio::sync::Semaphore;

use crate::actor::Actor;
use crate::budget::within_budget;
use crate::side_task::{self, AtStop, SideTaskKind, SideTaskStats};
use crate::task_entry::{EndOfTask, Entry, Signal};

/// A handle to a side task: a timer, a pipe, or an attached stream. Dropping the handle changes nothing.
///
/// A side task runs until it is done, it is cancelled through its handle, or its subsystem ends or restarts.
#[derive(Clone)]
pub struct TaskHandle(pub(crate) Arc<Entry>);

impl TaskHandle {
    /// Ends the side task at its next await. Messages that it has sent stay in the mailbox. Returns at once.
    pub fn cancel(&self) {
        self.0.tell(Signal::Cancel, true);
    }

    /// True if the side task is done, or was cancelled.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.is_settled()
    }

    /// Says how a stop of the subsystem treats this side task: see [`AtStop`]. Applies at once, also while the subsystem is stopping.
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
        if let Some(actor) = self.0.set_at_stop(at_stop) {
            actor.ledger.rare().tasks.sort(&self.0);
            actor.settled_something();
        }
        self
    }

    /// Keeps the messages of this side task across restarts: one that is in the mailbox when the subsystem restarts is handled by the
    /// next state, and does not expire. The side task itself ends with the state that started it, all the same.
    ///
    /// Applies to messages that are sent after this call.
    pub fn across_restarts(self) -> Self {
        self.0.keep_messages();
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

/// The side tasks of one subsystem.
#[derive(Default)]
pub(crate) struct Tasks {
    running: Mutex<Running>,
    /// Side tasks in line for capacity. Made with the first one.
    line: OnceLock<Arc<Semaphore>>,
    /// Side tasks that were looked at one by one.
    #[cfg(test)]
    looks: Counter,
    /// At a stop: how many messages must have begun before one of a kept side task goes in beside others.
    kept_until: Counter,
    started: Counter,
    finished: Counter,
    panicked: Counter,
    cancelled: Counter,
    abandoned: Counter,
}

#[derive(Default)]
struct Running {
    /// Those that a stop is to tell that they end.
    to_end: ById,
    others: ById,
    /// To be woken when none is left.
    gone: Option<Waker>,
    /// To be woken when the subsystem is stopping.
    stopping: Slab<Waker>,
}

type ById = HashMap<u64, Arc<Entry>, FixedState>;

impl Running {
    fn len(&self) -> usize {
        self.to_end.len() + self.others.len()
    }

    fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.to_end.values().chain(self.others.values())
    }

    fn remove(&mut self, id: u64) -> Option<Arc<Entry>> {
        let all = if self.to_end.contains_key(&id) { &mut self.to_end } else { &mut self.others };
        let entry = all.remove(&id);
        if all.capacity() > 64 && all.len() * 4 < all.capacity() {
            all.shrink_to(all.len() * 2);
        }
        entry
    }

    fn put(&mut self, entry: Arc<Entry>) {
        let all = if entry.at_stop() == AtStop::End { &mut self.to_end } else { &mut self.others };
        all.insert(entry.id, entry);
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

    /// True if the next message of a kept side task may go in, now that this subsystem is stopping: behind a message of others, but not
    /// behind another one of kept side tasks, or where the loop is at rest and the stop goes on all the same. For if it were never at rest,
    /// the stop would wait for what it does not wait for.
    pub(crate) fn lets_kept_in(&self, actor: &Actor, has_waited: bool) -> bool {
        let (stats, begun) = (actor.stats(), actor.ledger.begun.get());
        let goes = if actor.queue.is_idle() {
            has_waited
        } else {
            stats.queued > 0 && begun >= self.kept_until.get()
        };
        if goes {
            self.kept_until.raise(begun + stats.queued + 1);
        }
        goes
    }

    /// Notes a side task of this actor, whose tasks these are, that is about to start.
    pub(crate) fn add(
        &self,
        actor: &Arc<Actor>,
        kind: SideTaskKind,
        type_name: fn() -> &'static str,
        at_stop: AtStop,
    ) -> Arc<Entry> {
        let mut running = self.running.lock();
        let entry = Arc::new(Entry::new(actor, self.started.get(), kind, type_name, at_stop));
        self.started.add(1);
        running.put(Arc::clone(&entry));
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
        // Under the lock, so that ends and what is running add up in `stats`.
        if !entry.set_settled() {
            return false;
        }
        counter.add(1);
        running.remove(entry.id);
        let gone = if running.len() == 0 { running.gone.take() } else { None };
        drop(running);
        wake_all(gone);
        true
    }

    /// What a stop does with it has changed.
    fn sort(&self, entry: &Entry) {
        let mut running = self.running.lock();
        if let Some(entry) = running.remove(entry.id) {
            running.put(entry);
        }
    }

    /// Tells all of them to end. Pipes count as abandoned then, unless the subsystem was stopped and need not wait for them; all others
    /// as cancelled.
    pub(crate) fn end_all(&self, stopped: bool) {
        for entry in self.left() {
            let kept = stopped && entry.at_stop() != AtStop::Wait;
            entry.tell(Signal::Cancel, kept || entry.kind != SideTaskKind::Pipe);
        }
    }

    /// Tells those that end when a stop begins to do so, each once. Costs a lock if there are none.
    pub(crate) fn begin_stop(&self) {
        let told: Vec<_> = {
            let mut running = self.running.lock();
            let to_end = std::mem::take(&mut running.to_end);
            running.others.extend(to_end.iter().map(|(id, entry)| (*id, Arc::clone(entry))));
            to_end.into_values().collect()
        };
        self.looks_at(told).iter().for_each(|entry| entry.tell(Signal::WindDown, true));
    }

    /// True if none is running.
    pub(crate) fn is_empty(&self) -> bool {
        self.running.lock().len() == 0
    }

    /// Ready when none is left.
    pub(crate) fn poll_gone(&self, task: &Task<'_>) -> Poll<()> {
        let waker = task.waker().clone();
        let mut running = self.running.lock();
        if running.len() == 0 {
            return Poll::Ready(());
        }
        let old = running.gone.replace(waker);
        drop(running);
        drop_waker(old);
        Poll::Pending
    }

    fn looks_at(&self, entries: Vec<Arc<Entry>>) -> Vec<Arc<Entry>> {
        #[cfg(test)]
        self.looks.add(entries.len() as u64);
        entries
    }

    /// Those that are left.
    pub(crate) fn left(&self) -> Vec<Arc<Entry>> {
        let left: Vec<_> = self.running.lock().entries().cloned().collect();
        self.looks_at(left)
    }

    /// Those that are running and that a stop waits for, described.
    pub(crate) fn waited_for(&self) -> Vec<side_task::SideTask> {
        let left = self.left();
        left.iter().filter(|entry| entry.at_stop() == AtStop::Wait).map(|entry| entry.describe()).collect()
    }

    /// True if any is about to be woken by something that has come, for which a stop did not wait. Walks all of them: to be asked where
    /// nothing else is left to do.
    pub(crate) fn are_due(&self) -> bool {
        self.left().iter().any(|entry| entry.is_due())
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
            running: running.len() as u64,
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

#[cfg(all(test, not(mycelia_loom)))]
mod tests {
    use tokio::sync::watch;

    use crate::prelude::*;
    use crate::side_task::AtStop;

    struct Desk;
    impl Subsystem for Desk {}

    #[derive(Clone)]
    struct Note;
    impl Handler<Note> for Desk {
        type Reply = ();
        async fn handle(&mut self, _: Note, _: &mut Context<Self>) {}
    }

    struct Start(u64, watch::Receiver<bool>);
    impl Handler<Start> for Desk {
        type Reply = Address<Desk>;
        async fn handle(&mut self, Start(many, go): Start, cx: &mut Context<Self>) -> Address<Desk> {
            for _ in 0..many {
                let mut go = go.clone();
                cx.pipe(async move {
                    let _ = go.wait_for(|go| *go).await;
                    Note
                });
                cx.send_every(std::time::Duration::from_secs(3600), Note).at_stop(AtStop::Keep);
            }
            cx.spawn(Desk).unwrap()
        }
    }

    /// Each is looked at a few times, however many messages, ends and starts of others there are meanwhile.
    #[tokio::test(start_paused = true)]
    #[cfg_attr(miri, ignore = "thousands of side tasks take miri minutes")]
    async fn a_stop_takes_steps_for_each_side_task_and_not_for_each_two() {
        for has_child in [false, true] {
            let runtime = Runtime::new();
            let many = 1000;
            let desk = runtime.spawn("desk", Desk).unwrap();
            let (go, is_go) = watch::channel(false);
            let child = desk.ask(Start(many, is_go.clone())).await.unwrap();
            if has_child {
                child.ask(Start(many, is_go)).await.unwrap();
            } else {
                child.stop();
                child.ended().await;
            }
            desk.stop();
            tokio::task::yield_now().await;
            go.send_replace(true);
            desk.ended().await;
            assert_eq!(desk.stats().handled, 1 + many);
            let looks = desk.actor().ledger.rare().tasks.looks.get();
            assert!(looks <= 8 * many, "{looks} looks at {} side tasks", 2 * many);
        }
    }
}
