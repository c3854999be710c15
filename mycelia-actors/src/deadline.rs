//! Deadlines of asks: a number in the slot, and sweepers that look at the slots with asks while any are out.
//!
//! An ask writes how long it may take, and does not look at the clock. The sweeper, when it first sees the ask, adds the
//! time of that moment: so a deadline is never early, and late by at most the time between two sweeps, which depends on
//! the shortest deadline that is out (1/250 of it, and at least 4 ms). When no ask is out the sweeper sleeps until it is
//! woken. A timer per ask would cost about as much as the ask itself.
//!
//! ```text
//!  63  62          48 47                                            0
//! ┌───┬──────────────┬───────────────────────────────────────────────┐
//! │ u │ sweeper      │ milliseconds: how long (u), or since the epoch │   0: no deadline
//! └───┴──────────────┴───────────────────────────────────────────────┘
//! ```
//!
//! Which sweepers there are, and why more than one, is said in `sweeper`.

use std::cell::Cell;
use std::ptr;
use std::sync::Arc;
use std::task::Context as Task;
use std::time::Duration;

use mycelia_core::Counter;
use mycelia_core::sync::Mutex;
use mycelia_core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::runtime::{Handle, Id, RuntimeFlavor};
use tokio::task;
use tokio::time::Instant;

use crate::shared::Shared;
use crate::sweeper::{self, Sweeper};

/// Marks a deadline that is still a duration.
pub(crate) const UNSTAMPED: u64 = 1 << 63;
/// The bits of a deadline that hold a time, or a duration: 8 900 years in milliseconds.
pub(crate) const TIME: u64 = (1 << SWEEPER_SHIFT) - 1;
pub(crate) const SWEEPER_SHIFT: u32 = 48;
/// A duration that never ends.
pub(crate) const LONGEST: u64 = 1 << 46;
pub(crate) const SHORTEST_PERIOD: u64 = 4;
pub(crate) const ASLEEP: u64 = u64::MAX;
/// How long before its runtime the epoch may be: no clock of a tokio is to begin before it.
const BEFORE: Duration = Duration::from_secs(1 << 25);

fn millis(within: Duration) -> u64 {
    let part = u64::from(within.subsec_nanos().div_ceil(1_000_000));
    within.as_secs().saturating_mul(1000).saturating_add(part).min(LONGEST)
}

/// How long the sweeper may sleep for the sake of a deadline of this length.
#[inline]
pub(crate) fn period(millis: u64) -> u64 {
    (millis / 250).max(SHORTEST_PERIOD)
}

/// The number of the sweeper that this deadline is in the care of.
#[inline]
pub(crate) fn number(deadline: u64) -> u16 {
    (deadline >> SWEEPER_SHIFT) as u16 & (u16::MAX >> 1)
}

/// The sweepers of a runtime, shared with those who ask.
pub(crate) struct Deadlines {
    /// Changes whenever a sweeper begins to look less often: what threads know of it is out of date then. No two runtimes ever have
    /// the same.
    stamp: AtomicU64,
    /// On a thread of its own: number 0.
    pub(crate) real: Arc<Sweeper>,
    /// On tokios whose clocks may be paused, from number 1 on.
    pub(crate) tokios: Mutex<Vec<Option<Arc<Sweeper>>>>,
    pub(crate) ended: AtomicBool,
    pub(crate) sweeps: Counter,
    /// From when the times in the slots are counted.
    pub(crate) epoch: Instant,
}

/// What a thread knows of the last asks that it polled.
struct Known {
    /// Tasks of the tokio that it was in: another task may be one of another tokio. Each has its place by its waker.
    tasks: [Cell<Polled>; TASKS],
    tokio: Cell<Option<Id>>,
    /// It is a worker of a tokio with several, and has no other tokio.
    works: Cell<bool>,
    /// Which sweeper was in charge, that it looks at least this often, and the stamp as long as which this holds.
    number: Cell<u16>,
    period: Cell<u64>,
    stamp: Cell<u64>,
}

/// A task: its id (a `block_on` has none), and the waker it had.
#[derive(Clone, Copy)]
struct Polled(Option<task::Id>, *const ());

const TASKS: usize = 16;
/// No waker has this address; wakers that do nothing have none, and are looked up each time.
const NO_TASK: Polled = Polled(None, ptr::without_provenance(1));

impl Known {
    #[inline]
    fn place(&self, task: &Task<'_>) -> &Cell<Polled> {
        // The multiplier of Fibonacci hashing: its highest bits depend on all bits of the address.
        let hash = (task.waker().data().addr() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        &self.tasks[(hash >> 60) as usize % TASKS]
    }

    #[inline]
    fn has(&self, task: &Task<'_>) -> bool {
        let Polled(id, waker) = self.place(task).get();
        waker == task.waker().data() && id == task::try_id()
    }
}

thread_local! {
    static KNOWN: Known = const {
        Known {
            tasks: [const { Cell::new(NO_TASK) }; TASKS],
            tokio: Cell::new(None),
            works: Cell::new(false),
            number: Cell::new(0),
            period: Cell::new(0),
            stamp: Cell::new(0),
        }
    };
    /// The thread is blocked by what it polls, so for that no time passes but the real one.
    static BLOCKED: Cell<bool> = const { Cell::new(false) };
}

impl Deadlines {
    pub(crate) fn new() -> Self {
        let now = std::time::Instant::now();
        let halves = std::iter::successors(Some(BEFORE), |before| Some(*before / 2));
        let epoch = halves.take(64).find_map(|before| now.checked_sub(before)).unwrap_or(now);
        Self {
            stamp: AtomicU64::new(next_stamp()),
            real: Arc::new(Sweeper::new(0)),
            tokios: Mutex::new(Vec::new()),
            ended: AtomicBool::new(false),
            sweeps: Counter::new(),
            epoch: Instant::from_std(epoch),
        }
    }

    /// A deadline this long from when a sweeper first sees it, for an ask that is polled here. Parts of a millisecond count as one.
    #[inline]
    pub(crate) fn within(&self, shared: &Arc<Shared>, task: &Task<'_>, within: Duration) -> u64 {
        let number = KNOWN.with(|known| {
            // Relaxed: it is compared only; the numbers in `tokios` are looked up under their lock.
            let is_known = known.stamp.get() == self.stamp.load(Ordering::Relaxed)
                && (known.works.get() || known.has(task));
            if is_known { known.number.get() } else { self.find(shared, task, known) }
        });
        UNSTAMPED | u64::from(number) << SWEEPER_SHIFT | millis(within)
    }

    /// To be called after an ask was put into its slot with this deadline: sees to it that its sweeper looks often enough.
    #[inline]
    pub(crate) fn ask_is_out(&self, shared: &Arc<Shared>, deadline: u64) {
        // The division is by a constant.
        let wanted = period(deadline & TIME);
        let number = number(deadline);
        let is_known = KNOWN.with(|known| {
            // Relaxed: the sweeper that begins to look less often at this moment looks once more afterwards, see `Sweeper::step`.
            known.stamp.get() == self.stamp.load(Ordering::Relaxed)
                && known.number.get() == number
                && known.period.get() <= wanted
        });
        if !is_known {
            self.hurry(shared, number, wanted);
        }
    }

    /// Which sweeper is in charge of an ask that is polled here.
    #[cold]
    fn find(&self, shared: &Arc<Shared>, task: &Task<'_>, known: &Known) -> u16 {
        if BLOCKED.get() {
            return 0;
        }
        if known.works.get() {
            return 0;
        }
        let tokio = Handle::try_current().ok();
        let id = tokio.as_ref().map(Handle::id);
        if known.tokio.replace(id) != id {
            known.tasks.iter().for_each(|task| task.set(NO_TASK));
            known.stamp.set(0);
        }
        if !task.waker().data().is_null() {
            known.place(task).set(Polled(task::try_id(), task.waker().data()));
        }
        if known.stamp.get() != self.stamp.load(Ordering::Relaxed) {
            known.stamp.set(0);
            let flavor = tokio.as_ref().map(Handle::runtime_flavor);
            known.works.set(task::try_id().is_some() && flavor == Some(RuntimeFlavor::MultiThread));
            known.number.set(match tokio {
                // Only such a tokio can have its clock paused.
                Some(tokio) if flavor == Some(RuntimeFlavor::CurrentThread) => {
                    self.find_tokio(shared, &tokio)
                }
                _ => 0,
            });
        }
        known.number.get()
    }

    fn find_tokio(&self, shared: &Arc<Shared>, tokio: &Handle) -> u16 {
        let find = |all: &[Option<Arc<Sweeper>>]| {
            all.iter().flatten().find(|one| one.is_on(tokio)).map(|one| one.number)
        };
        if let Some(number) = find(&self.tokios.lock()) {
            return number;
        }
        let is_paused = sweeper::is_paused();
        if !is_paused && !shared.has_subsystems_on(tokio) {
            // It need not have timers, without which its clock will not be paused either.
            return 0;
        }
        let mut all = self.tokios.lock();
        // Another thread may have been faster.
        if let Some(number) = find(&all) {
            return number;
        }
        let place = all.iter().position(Option::is_none).unwrap_or(all.len());
        let Some(number) = u16::try_from(place + 1).ok().filter(|number| number >> 15 == 0) else { return 0 };
        let sweeper = Arc::new(Sweeper::on(number, tokio, is_paused));
        if place == all.len() {
            all.push(None);
        }
        all[place] = Some(Arc::clone(&sweeper));
        drop(all);
        sweeper::start_on(shared, sweeper, tokio);
        number
    }

    #[cold]
    fn hurry(&self, shared: &Arc<Shared>, number: u16, wanted: u64) {
        // SeqCst: read before the sweepers are told, so that it is out of date if one of them begins to look less often after that.
        let stamp = self.stamp.load(Ordering::SeqCst);
        let on_tokio = self.on_tokio(number);
        let is_paused = on_tokio.as_ref().is_some_and(|sweeper| sweeper.is_paused.load(Ordering::SeqCst));
        // It does not run if its tokio has gone at this moment.
        let is_running = on_tokio.is_some_and(|sweeper| sweeper.hurry(wanted));
        if !is_paused || !is_running {
            self.hurry_real(shared, wanted);
        }
        KNOWN.with(|known| {
            if known.number.get() == number && !BLOCKED.get() {
                known.stamp.set(stamp);
                known.period.set(wanted);
            }
        });
    }

    /// The same for the thread.
    pub(crate) fn hurry_real(&self, shared: &Arc<Shared>, wanted: u64) {
        if !self.real.hurry(wanted) && self.real.pace.claim() {
            sweeper::start(shared);
        }
    }

    /// The sweeper of this number, if it is on a tokio.
    fn on_tokio(&self, number: u16) -> Option<Arc<Sweeper>> {
        self.tokios.lock().get(usize::from(number.checked_sub(1)?))?.clone()
    }

    /// A sweeper looks less often from now on, or is no more.
    pub(crate) fn forget_what_is_known(&self) {
        // SeqCst: after the sweeper's own store, before its next look. See `hurry`.
        self.stamp.store(next_stamp(), Ordering::SeqCst);
    }

    /// How long the ask with this deadline in its slot, of this runtime, still has.
    #[cold]
    pub(crate) fn left(&self, deadline: u64) -> Duration {
        let time = deadline & TIME;
        // If no sweeper has seen it yet, it has most of its time left.
        let left = if deadline & UNSTAMPED == 0 { time.saturating_sub(elapsed(self.epoch)) } else { time };
        Duration::from_millis(left)
    }

    pub(crate) fn sweeps(&self) -> u64 {
        self.sweeps.get()
    }

    /// The runtime is gone: the sweepers end as soon as no ask is out.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        let tokios: Vec<_> = self.tokios.lock().iter().flatten().cloned().collect();
        tokios.iter().for_each(|sweeper| sweeper.wake());
        self.real.wake();
    }
}

pub(crate) fn elapsed(epoch: Instant) -> u64 {
    epoch.elapsed().as_millis() as u64
}

fn next_stamp() -> u64 {
    // Of the library itself, and no part of a protocol: in models, too.
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    // Relaxed: only the number matters.
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// Says that this thread is blocked by the asks it polls until the guard is dropped: their limits are real time, also where a tokio
/// around them has its clock paused, which nobody would move on.
pub(crate) fn blocked() -> Blocked {
    KNOWN.with(|known| known.stamp.set(0));
    Blocked(BLOCKED.replace(true))
}

pub(crate) struct Blocked(bool);

impl Drop for Blocked {
    fn drop(&mut self) {
        BLOCKED.set(self.0);
    }
}
