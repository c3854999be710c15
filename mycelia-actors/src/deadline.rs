//! Deadlines of asks: a number in the slot, and one task that looks at all slots while asks are out.
//!
//! An ask writes how long it may take, and does not look at the clock. The sweeper, when it first sees the ask, adds the
//! time of that moment: so a deadline is never early, and late by at most the time between two sweeps, which depends on
//! the shortest deadline that is out (1/250 of it, and at least 4 ms). When no ask is out the sweeper sleeps until it is
//! woken. A timer per ask would cost about as much as the ask itself.
//!
//! A sweep looks at every slot that the pool has made, in use or not: some nanoseconds each.

use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use mycelia_core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use mycelia_core::{Counter, wake_all};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::envelope::Slots;
use crate::shared::Shared;
use crate::slot::{Fate, MessageSlot, Wake};

/// Marks a deadline that is still a duration.
const UNSTAMPED: u64 = 1 << 63;
/// Over 8 million years in milliseconds: a deadline that never comes.
const LONGEST: u64 = 1 << 58;
const SHORTEST_PERIOD: u64 = 4;
const ASLEEP: u64 = u64::MAX;
/// How long a tokio that goes away may take to drop its tasks.
const LAST_MOMENT: Duration = Duration::from_millis(20);
/// Sweeps without an ask before the sweeper goes to sleep.
const QUIET_SWEEPS: u32 = 3;

/// A deadline this long from when the sweeper first sees it. Parts of a millisecond count as one.
#[inline]
pub(crate) fn unstamped(within: Duration) -> u64 {
    UNSTAMPED | millis(within)
}

fn millis(within: Duration) -> u64 {
    let part = u64::from(within.subsec_nanos().div_ceil(1_000_000));
    within.as_secs().saturating_mul(1000).saturating_add(part).min(LONGEST)
}

/// How long the sweeper may sleep for the sake of a deadline of this length.
fn period(millis: u64) -> u64 {
    (millis / 250).max(SHORTEST_PERIOD)
}

/// The sweeper's state, shared with those who ask.
pub(crate) struct Deadlines {
    /// Milliseconds between sweeps, or `ASLEEP`.
    period: AtomicU64,
    running: AtomicBool,
    ended: AtomicBool,
    wake: Notify,
    sweeps: Counter,
    /// From when the times in the slots are counted.
    epoch: OnceLock<Instant>,
}

impl Deadlines {
    pub(crate) fn new() -> Self {
        Self {
            period: AtomicU64::new(ASLEEP),
            running: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            wake: Notify::new(),
            sweeps: Counter::new(),
            epoch: OnceLock::new(),
        }
    }

    /// How long the ask with this deadline in its slot, of this runtime, still has.
    #[cold]
    pub(crate) fn left(&self, deadline: u64) -> Duration {
        let now = || self.epoch.get().map_or(0, |&epoch| elapsed(epoch));
        // The sweeper has not seen it yet, so it has most of its time left.
        let within = deadline & !UNSTAMPED;
        Duration::from_millis(if deadline == within { deadline.saturating_sub(now()) } else { within })
    }

    /// To be called after an ask was put into its slot: sees to it that the sweeper looks often enough.
    #[inline]
    pub(crate) fn ask_is_out(&self, shared: &Arc<Shared>, within: Duration) {
        // Most asks find a sweeper that is quick enough. The division is by a constant.
        let wanted = period(millis(within));
        // Relaxed: the sweeper that falls asleep at this moment looks once more afterwards, see `run`.
        if self.period.load(Ordering::Relaxed) > wanted {
            self.hurry(shared, wanted);
        }
    }

    #[cold]
    fn hurry(&self, shared: &Arc<Shared>, wanted: u64) {
        self.period.fetch_min(wanted, Ordering::SeqCst);
        if !self.running.swap(true, Ordering::SeqCst) {
            let sweeper = Sweeper { shared: Arc::clone(shared), left: false, heirs: 0 };
            if let Some(tokio) = shared.any_tokio() {
                drop(tokio.spawn(sweeper.run()));
            }
        }
        self.wake.notify_one();
    }

    /// The sweeper wants to end. False if an ask has come in between that counts on it.
    fn leave(&self) -> bool {
        // SeqCst, here and in `hurry`: either an ask sees that nobody runs, or this sees the ask's period.
        self.running.store(false, Ordering::SeqCst);
        self.period.load(Ordering::SeqCst) == ASLEEP || self.running.swap(true, Ordering::SeqCst)
    }

    pub(crate) fn sweeps(&self) -> u64 {
        self.sweeps.get()
    }

    /// The runtime is gone: the sweeper ends as soon as no ask is out.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.wake.notify_one();
    }
}

struct Sweeper {
    shared: Arc<Shared>,
    /// It has ended by itself, and may have a successor.
    left: bool,
    /// How many before it were dropped by their tokios, and never ran.
    heirs: usize,
}

/// What a sweep found.
struct Found {
    /// The period that the shortest deadline wants, if any ask is out.
    period: Option<u64>,
    /// The next deadline, in milliseconds since the epoch.
    next: u64,
}

impl Sweeper {
    async fn run(mut self) {
        self.heirs = 0;
        let shared = Arc::clone(&self.shared);
        let deadlines = &shared.deadlines;
        let epoch = *deadlines.epoch.get_or_init(Instant::now);
        let mut quiet = 0;
        loop {
            deadlines.sweeps.add_owned(1);
            let found = sweep(&shared.slots, epoch);
            match found.period {
                Some(period) => {
                    quiet = 0;
                    deadlines.period.store(period, Ordering::Relaxed);
                }
                None => quiet += 1,
            }
            let ended = deadlines.ended.load(Ordering::Acquire);
            if quiet >= QUIET_SWEEPS || (ended && quiet > 0) {
                // An ask that came after the sweep and before this store saw an awake sweeper, and did not wake it. But
                // it has written its slot before; so a sweep after the store sees it, and each later ask sees the store.
                deadlines.period.store(ASLEEP, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(SHORTEST_PERIOD)).await;
                if sweep(&shared.slots, epoch).period.is_none() {
                    if deadlines.ended.load(Ordering::Acquire) {
                        self.left = deadlines.leave();
                        if self.left {
                            return;
                        }
                    } else {
                        deadlines.wake.notified().await;
                    }
                }
                quiet = 0;
                continue;
            }
            let period = deadlines.period.load(Ordering::Relaxed).min(LONGEST);
            let until_next = found.next.saturating_sub(elapsed(epoch)).max(1);
            let sleep = Duration::from_millis(period.min(until_next));
            let _ = tokio::time::timeout(sleep, deadlines.wake.notified()).await;
        }
    }
}

impl Drop for Sweeper {
    /// Dropped by tokio, perhaps before it ran: another tokio goes on with it, if there is one.
    ///
    /// If there is none, the subsystems end with their tokio too, and tell their askers. That takes a moment, after which nobody
    /// looks at the asks that are left, if there are any.
    fn drop(&mut self) {
        if self.left {
            return;
        }
        let shared = Arc::clone(&self.shared);
        if let Some(tokio) = shared.tokios().into_iter().flatten().nth(self.heirs) {
            let heir = Self { shared, left: false, heirs: self.heirs + 1 };
            drop(tokio.spawn(heir.run()));
            return;
        }
        shared.deadlines.period.store(ASLEEP, Ordering::SeqCst);
        shared.deadlines.running.store(false, Ordering::SeqCst);
        if !any_open(&shared.slots) {
            // Whoever asks from now on sees that nobody runs.
            return;
        }
        let last = Arc::clone(&shared);
        let wait = move || {
            thread::sleep(LAST_MOMENT);
            end_all(&last);
        };
        if thread::Builder::new().name("mycelia".into()).spawn(wait).is_err() {
            end_all(&shared);
        }
    }
}

fn any_open(slots: &Slots) -> bool {
    let mut open = false;
    // SAFETY: as in `sweep`.
    unsafe { slots.visit(|slot: &MessageSlot| open |= slot.open_word().is_some()) };
    open
}

/// Ends what is open, unless somebody looks after it again.
fn end_all(shared: &Shared) {
    if shared.deadlines.running.load(Ordering::SeqCst) {
        return;
    }
    let mut wakes = Vec::new();
    let end = |slot: &MessageSlot| {
        wakes.extend(slot.open_word().and_then(|word| slot.end_open(word, Fate::Unanswered)));
    };
    // SAFETY: as in `sweep`.
    unsafe { shared.slots.visit(end) };
    wake_all(wakes.into_iter().filter_map(Wake::into_waker));
}

fn elapsed(epoch: Instant) -> u64 {
    epoch.elapsed().as_millis() as u64
}

fn sweep(slots: &Slots, epoch: Instant) -> Found {
    let mut found = Found { period: None, next: u64::MAX };
    let mut wakes = Vec::new();
    let look = |slot: &MessageSlot| {
        let Some(word) = slot.open_word() else { return };
        // Relaxed: `open_word` has acquired it. It may be a later ask's by now; then the word is another one too.
        let deadline = slot.deadline.load(Ordering::Relaxed);
        let now = elapsed(epoch);
        let stamped = if deadline & UNSTAMPED != 0 {
            let within = deadline & !UNSTAMPED;
            // One more, for the part of a millisecond that `now` lacks.
            let stamped = now + within + 1;
            let wanted = period(within);
            found.period = Some(found.period.map_or(wanted, |shortest| shortest.min(wanted)));
            // Acquire, with the Release in `open`: whoever finds a later ask's number here finds its word, too.
            let exchange =
                |from, to| slot.deadline.compare_exchange(from, to, Ordering::Acquire, Ordering::Relaxed);
            if exchange(deadline, stamped).is_ok() && slot.open_word() != Some(word) {
                // Another ask of the same length came into the slot meanwhile: its time begins later.
                let _ = exchange(stamped, deadline);
            }
            stamped
        } else {
            // Its own share of lateness is used up by the first look; the sleep is as long as until it is due.
            found.period = Some(found.period.unwrap_or(LONGEST));
            deadline
        };
        let ended = (stamped <= now).then(|| slot.end_open(word, Fate::Deadline)).flatten();
        if ended.is_none() {
            found.next = found.next.min(stamped);
        }
        wakes.extend(ended);
    };
    // SAFETY: nobody ever holds a `&mut` to a slot: `Guard`s of slots are only dereferenced to `&`, and they do not
    // recycle.
    unsafe { slots.visit(look) };
    wake_all(wakes.into_iter().filter_map(Wake::into_waker));
    found
}
