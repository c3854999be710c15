//! One side task, as its subsystem sees it: what it was told, whether a stop waits for it, and what wakes it.

use std::sync::{Arc, Weak};
use std::task::{Context as Task, Waker};

use mycelia_core::sync::Mutex;
use mycelia_core::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use mycelia_core::{drop_waker, wake_all};
use slab::Slab;
use tokio::time::Instant;

use crate::actor::Actor;
use crate::awaited::{Alarm, Awaits};
use crate::current;
use crate::metadata::Metadata;
use crate::side_task::{self, AtStop, SideTaskKind};
use crate::table::Kind;

/// What a side task was told.
#[derive(Clone, Copy, PartialEq, Eq)]
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
pub(crate) enum EndOfTask {
    Finished,
    Panicked,
    Cancelled,
    Abandoned,
}

/// In the byte that a side task is told: a `Signal` is below this bit, which says that the side task counts as cancelled if it does not
/// come to its own end. One byte, so that the task which sees the one sees the other.
const CANCELLED: u8 = 4;

/// One side task, as its subsystem, its handle and itself know it.
pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(crate) kind: SideTaskKind,
    type_name: fn() -> &'static str,
    since: Instant,
    /// What it was started with, but for the deadline.
    pub(crate) metadata: Option<Metadata>,
    /// The number of the state that started it.
    pub(crate) state: u64,
    actor: Weak<Actor>,
    across_restarts: AtomicBool,
    told: AtomicU8,
    /// Its end was counted.
    settled: AtomicBool,
    standing: Mutex<Standing>,
}

/// Whether a stop waits for a side task, and why.
struct Standing {
    at_stop: AtStop,
    /// Of its task of tokio, until that is woken.
    waker: Option<Waker>,
    /// Woken since its last poll began.
    is_woken: bool,
    /// It waits, and nothing can wake it but what a stop does not wait for.
    rests: bool,
    is_over: bool,
    /// A stop waits for it: counted in `Open`.
    is_open: bool,
    /// All that it waits for and a stop does not.
    awaits: Slab<Awaits>,
}

impl Entry {
    pub(crate) fn new(
        actor: &Arc<Actor>,
        id: u64,
        kind: SideTaskKind,
        type_name: fn() -> &'static str,
        at_stop: AtStop,
    ) -> Self {
        let told = if kind == SideTaskKind::Pipe { 0 } else { CANCELLED };
        let standing = Standing {
            at_stop,
            waker: None,
            is_woken: false,
            rests: false,
            is_over: false,
            is_open: false,
            awaits: Slab::new(),
        };
        let entry = Self {
            id,
            kind,
            type_name,
            since: Instant::now(),
            metadata: current::metadata().map(Metadata::without_deadline),
            state: actor.ledger.rare().restarts.get(),
            actor: Arc::downgrade(actor),
            across_restarts: AtomicBool::new(false),
            told: AtomicU8::new(told),
            settled: AtomicBool::new(false),
            standing: Mutex::new(standing),
        };
        entry.change(|_| ());
        entry
    }

    /// Tells it to end, and whether it counts as cancelled then, or else as abandoned. The first to say so is right.
    pub(crate) fn tell(&self, signal: Signal, is_cancelled: bool) {
        let next = |told: u8| {
            let end = if told & !CANCELLED == Signal::GoOn as u8 {
                u8::from(is_cancelled) * CANCELLED
            } else {
                told & CANCELLED
            };
            Some((told & !CANCELLED).max(signal as u8) | end)
        };
        // Release, with the Acquire in `signal_now`, for what was done before it was told.
        let _ = self.told.fetch_update(Ordering::Release, Ordering::Relaxed, next);
        self.ring();
    }

    /// Polls it again: a stop waits for it until then.
    pub(crate) fn ring(&self) {
        let waker = self.change(|standing| {
            (standing.is_woken, standing.rests) = (true, false);
            // Taken, not cloned: the side task leaves its waker again when it is polled.
            standing.waker.take()
        });
        wake_all(waker);
    }

    /// A poll of its task begins. What it was told; the waker is woken at the next change.
    pub(crate) fn begin_poll(&self, task: &Task<'_>) -> Signal {
        let new = task.waker().clone();
        let old = self.change(|standing| {
            (standing.is_woken, standing.rests) = (false, false);
            standing.waker.replace(new)
        });
        drop_waker(old);
        self.signal_now()
    }

    /// A poll of its task has ended, and it is to wait. True if a stop does not wait for it: then the stop is to look again.
    pub(crate) fn end_poll(&self, alarm: &Arc<Alarm>) -> bool {
        self.change(|standing| {
            // Below the lock: a clone on another thread that is gone by now, and has woken it, has done so before, and was seen. (Others may
            // let go of the alarm later, without waking it: that is not seen.)
            let is_alone = Arc::strong_count(alarm) == 1;
            let awaits_beside = || standing.awaits.iter().any(|(_, awaits)| !awaits.is_direct);
            standing.rests = !standing.is_woken && (is_alone || awaits_beside());
            standing.rests && standing.at_stop == AtStop::Wait
        })
    }

    /// Says how a stop treats it. Its subsystem, which is to sort it anew.
    pub(crate) fn set_at_stop(&self, at_stop: AtStop) -> Option<Arc<Actor>> {
        self.change(|standing| standing.at_stop = at_stop);
        self.actor.upgrade()
    }

    /// Changes how it stands, and counts it if that opens or closes it.
    fn change<T>(&self, change: impl FnOnce(&mut Standing) -> T) -> T {
        // Its last owner may go here, and not below the lock.
        let actor = self.actor.upgrade();
        let mut standing = self.standing.lock();
        let done = change(&mut standing);
        let is_open = standing.at_stop == AtStop::Wait && !standing.rests && !standing.is_over;
        if let Some(actor) = actor.as_ref().filter(|_| is_open != standing.is_open) {
            standing.is_open = is_open;
            actor.ledger.rare().open.count(is_open);
        }
        drop(standing);
        done
    }

    /// It is over. Goes after all that its end has led to.
    pub(crate) fn close(&self) {
        let (waker, awaits) = self.change(|standing| {
            standing.is_over = true;
            (standing.waker.take(), std::mem::take(&mut standing.awaits))
        });
        drop_waker(waker);
        drop(awaits);
    }

    /// It waits for this from now on. Its place, for `await_no_more`.
    pub(crate) fn await_thing(&self, awaits: Awaits) -> usize {
        self.change(|standing| standing.awaits.insert(awaits))
    }

    /// It does not wait for it any more.
    pub(crate) fn await_no_more(&self, place: usize) {
        // It has an owner, which may be the last: dropped outside of the lock.
        drop(self.change(|standing| standing.awaits.try_remove(place)));
    }

    /// What it was told.
    pub(crate) fn signal_now(&self) -> Signal {
        // Acquire, with the Release in `tell`.
        match self.told.load(Ordering::Acquire) & !CANCELLED {
            0 => Signal::GoOn,
            1 => Signal::WindDown,
            _ => Signal::Cancel,
        }
    }

    /// How it counts if it is cut off now.
    pub(crate) fn end_if_cut_off(&self) -> EndOfTask {
        // Relaxed: the byte itself is all that is asked.
        let is_cancelled = self.told.load(Ordering::Relaxed) & CANCELLED != 0;
        if is_cancelled { EndOfTask::Cancelled } else { EndOfTask::Abandoned }
    }

    /// Its end is counted now. False if it was before.
    pub(crate) fn set_settled(&self) -> bool {
        // Release, with the Acquire in `is_settled`.
        !self.settled.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn is_settled(&self) -> bool {
        // Acquire: with the Release in `set_settled`, for what the task has done.
        self.settled.load(Ordering::Acquire)
    }

    pub(crate) fn keep_messages(&self) {
        // Relaxed: read by the side task with its next message.
        self.across_restarts.store(true, Ordering::Relaxed);
    }

    pub(crate) fn keeps_messages(&self) -> bool {
        self.across_restarts.load(Ordering::Relaxed)
    }

    pub(crate) fn at_stop(&self) -> AtStop {
        self.standing.lock().at_stop
    }

    /// True if something has come that it waits for, and it has not been woken yet.
    pub(crate) fn is_due(&self) -> bool {
        // Asked outside of the lock: what it waits for has locks of its own, and owners.
        let things: Vec<_> = {
            let standing = self.standing.lock();
            let waits = standing.rests && standing.at_stop == AtStop::Wait;
            let awaits = standing.awaits.iter().filter(|_| waits);
            awaits.map(|(_, awaits)| Arc::clone(&awaits.thing)).collect()
        };
        things.iter().any(|thing| !thing.is_awaited())
    }

    pub(crate) fn type_name(&self) -> &'static str {
        (self.type_name)()
    }

    /// As events name it.
    pub(crate) fn trace_id(&self) -> Option<String> {
        self.metadata.as_ref()?.trace_text()
    }

    pub(crate) fn message_kind(&self) -> Kind {
        Kind::named(self.type_name)
    }

    pub(crate) fn describe(&self) -> side_task::SideTask {
        side_task::SideTask { kind: self.kind, type_name: self.type_name(), age: self.since.elapsed() }
    }
}
