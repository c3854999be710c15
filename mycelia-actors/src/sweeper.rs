//! Sweepers: each looks at the asks in its care while any are out, and ends those whose time is over.
//!
//! | number | runs on | in the care of |
//! |---|---|---|
//! | 0 | a thread of its own | every ask, but those of tokios whose clock is paused |
//! | 1 … | a tokio of one thread | the asks polled there: the only one while its clock is paused |
//!
//! So no limit of time depends on a tokio that may be blocked, gone, or driven by no thread; and in tests with a paused clock
//! time passes as that clock says. Both may try to end an ask: that is one exchange.
//!
//! A sweep costs some nanoseconds for each ask that is out, or was at the last sweep; how many slots the pool has is no matter.

use std::sync::{Arc, Barrier};
use std::thread::{self, Thread};
use std::time::Duration;

use mycelia_core::sync::Mutex;
use mycelia_core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use mycelia_core::wake_all;
use tokio::runtime::{Handle, Id};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::deadline::{
    ASLEEP, Deadlines, LONGEST, SHORTEST_PERIOD, SWEEPER_SHIFT, TIME, UNSTAMPED, elapsed, number, period,
};
use crate::shared::Shared;
use crate::slot::{Fate, MessageSlot, Wake};

/// Sweeps that find less to do, before the sweeper looks less often or goes to sleep: waking it costs more than some sweeps.
const QUIET_SWEEPS: u32 = 16;
/// How long the thread sleeps before it ends. The next ask starts another.
const IDLE: Duration = Duration::from_secs(10);

/// What a sweeper shares with those who ask.
pub(crate) struct Sweeper {
    pub(crate) number: u16,
    tokio: Option<Id>,
    /// The clock of its tokio is paused, as of its last look.
    pub(crate) is_paused: AtomicBool,
    /// Milliseconds between sweeps, or `ASLEEP`.
    period: AtomicU64,
    running: AtomicBool,
    notify: Notify,
    thread: Mutex<Option<Thread>>,
}

/// What a sweep found.
struct Found {
    /// The period that the shortest deadline wants; `ASLEEP`, if no ask is out.
    period: u64,
    /// The next deadline, in milliseconds since the epoch.
    next: u64,
}

/// When to look again.
enum Next {
    In(Duration),
    WhenWoken,
    Never,
}

impl Sweeper {
    pub(crate) fn new(number: u16) -> Self {
        Self {
            number,
            tokio: None,
            is_paused: AtomicBool::new(false),
            period: AtomicU64::new(ASLEEP),
            running: AtomicBool::new(false),
            notify: Notify::new(),
            thread: Mutex::new(None),
        }
    }

    /// One that runs on this tokio.
    pub(crate) fn on(number: u16, tokio: &Handle, is_paused: bool) -> Self {
        let (tokio, is_paused) = (Some(tokio.id()), AtomicBool::new(is_paused));
        Self { tokio, is_paused, running: AtomicBool::new(true), ..Self::new(number) }
    }

    pub(crate) fn is_on(&self, tokio: &Handle) -> bool {
        self.tokio == Some(tokio.id())
    }

    /// Sees to it that it looks this often. True if it has to be started.
    pub(crate) fn hurry(&self, wanted: u64) -> bool {
        // SeqCst, here and in `leave`: either this sees that it does not run, or it sees this period.
        if self.period.fetch_min(wanted, Ordering::SeqCst) <= wanted && self.running.load(Ordering::SeqCst) {
            return false;
        }
        let starts = !self.running.swap(true, Ordering::SeqCst);
        self.wake();
        starts
    }

    pub(crate) fn wake(&self) {
        self.notify.notify_one();
        if let Some(thread) = &*self.thread.lock() {
            thread.unpark();
        }
    }

    /// It wants to end. False if an ask has come in between that counts on it.
    fn leave(&self) -> bool {
        self.running.store(false, Ordering::SeqCst);
        self.period.load(Ordering::SeqCst) == ASLEEP || self.running.swap(true, Ordering::SeqCst)
    }

    /// Looks once. `quiet` is how often in a row it has found less to do than before.
    fn step(&self, shared: &Shared, quiet: &mut u32) -> Next {
        let deadlines = &shared.deadlines;
        deadlines.sweeps.add(1);
        let found = self.sweep(shared);
        let period = self.period.load(Ordering::Relaxed);
        let has_ended = deadlines.ended.load(Ordering::Acquire);
        if found.period == ASLEEP && period == ASLEEP {
            *quiet = 0;
            return if has_ended && self.leave() { Next::Never } else { Next::WhenWoken };
        }
        *quiet = if found.period > period { *quiet + 1 } else { 0 };
        if found.period <= period {
            // An ask that has hurried it since the sweep has woken it, too.
            self.period.store(found.period, Ordering::Relaxed);
        } else if *quiet >= QUIET_SWEEPS || found.period == ASLEEP && has_ended {
            // An ask that came after the sweep and before this store saw a sweeper that looks often, and did not wake it. But it has
            // written its slot before; so the next sweep, which is soon, sees it, and each later ask sees the new stamp.
            self.period.store(found.period, Ordering::SeqCst);
            deadlines.forget_what_is_known();
            *quiet = 0;
            return Next::In(Duration::from_millis(SHORTEST_PERIOD));
        }
        let period = self.period.load(Ordering::Relaxed).min(LONGEST);
        let until_next = found.next.saturating_sub(elapsed(deadlines.epoch)).max(1);
        Next::In(Duration::from_millis(period.min(until_next)))
    }

    fn sweep(&self, shared: &Shared) -> Found {
        let mut found = Found { period: ASLEEP, next: u64::MAX };
        let mut wakes = Vec::new();
        let epoch = shared.deadlines.epoch;
        let paused = if self.number == 0 { paused(&shared.deadlines) } else { Vec::new() };
        let is_own = |sweeper| {
            if self.number == 0 { !paused.contains(&sweeper) } else { sweeper == self.number }
        };
        let begun = elapsed(epoch);
        let look = |slot: &MessageSlot| {
            let Some(word) = slot.open_word() else { return false };
            // Relaxed: `open_word` has acquired it. It may be a later ask's by now; then the word is another one too.
            let deadline = slot.deadline.load(Ordering::Relaxed);
            if !is_own(number(deadline)) {
                return true;
            }
            let until = if deadline & UNSTAMPED != 0 {
                let within = deadline & TIME;
                found.period = found.period.min(period(within));
                stamp(slot, word, deadline, elapsed(epoch) + within + 1)
            } else {
                // Its own share of lateness is used up by the first look; the sleep is as long as until it is due.
                found.period = found.period.min(LONGEST);
                deadline & TIME
            };
            let ended = (until <= begun).then(|| slot.end_open(word, Fate::Deadline)).flatten();
            if ended.is_none() {
                found.next = found.next.min(until);
            }
            let is_open = ended.is_none();
            wakes.extend(ended);
            is_open
        };
        // SAFETY: nobody ever holds a `&mut` to a slot: `Guard`s of slots are only dereferenced to `&`, and they do not
        // recycle.
        unsafe { shared.slots.visit_noted(look) };
        wake_all(wakes.into_iter().filter_map(Wake::into_waker));
        found
    }
}

/// Turns a duration into a time, which is returned. (The caller adds one millisecond, for the part of one that the clock lacks.)
fn stamp(slot: &MessageSlot, word: u64, deadline: u64, until: u64) -> u64 {
    let stamped = u64::from(number(deadline)) << SWEEPER_SHIFT | until;
    // Acquire, with the Release in `open`: whoever finds a later ask's number here finds its word, too.
    let exchange = |from, to| slot.deadline.compare_exchange(from, to, Ordering::Acquire, Ordering::Relaxed);
    if exchange(deadline, stamped).is_ok() && slot.open_word() != Some(word) {
        // Another ask of the same length came into the slot meanwhile: its time begins later.
        let _ = exchange(stamped, deadline);
    }
    until
}

/// The numbers of the sweepers whose tokios have their clocks paused.
fn paused(deadlines: &Deadlines) -> Vec<u16> {
    let tokios = deadlines.tokios.lock();
    let paused = tokios.iter().flatten().filter(|one| one.is_paused.load(Ordering::SeqCst));
    paused.map(|one| one.number).collect()
}

/// True if the clock of the tokio that this runs in stands still.
pub(crate) fn is_paused() -> bool {
    let before = Instant::now();
    let real = std::time::Instant::now();
    // Until the real clock has moved: then the other has, too, unless it is paused.
    while std::time::Instant::now() == real {
        std::hint::spin_loop();
    }
    Instant::now() == before
}

/// Starts number 0, which was told to run.
#[cold]
pub(crate) fn start(shared: &Arc<Shared>) {
    let sweeper = Arc::clone(&shared.deadlines.real);
    let own = Arc::clone(shared);
    let thread = thread::Builder::new().name("mycelia-deadlines".into());
    // Not a channel: that would use up the token of whoever has unparked this thread meanwhile.
    let ready = Arc::new(Barrier::new(2));
    let is_ready = Arc::clone(&ready);
    if thread.spawn(move || run(&own, &ready)).is_ok() {
        // Some microseconds: then all is allocated that a warm runtime needs.
        is_ready.wait();
    } else if let Some(tokio) = shared.any_tokio() {
        start_on(shared, sweeper, &tokio);
    }
}

fn run(shared: &Arc<Shared>, ready: &Barrier) {
    let sweeper = Arc::clone(&shared.deadlines.real);
    *sweeper.thread.lock() = Some(thread::current());
    ready.wait();
    let mut quiet = 0;
    loop {
        match sweeper.step(shared, &mut quiet) {
            Next::In(pause) => thread::park_timeout(pause),
            Next::WhenWoken => {
                thread::park_timeout(IDLE);
                // Relaxed: a hint, `leave` looks again.
                if sweeper.period.load(Ordering::Relaxed) == ASLEEP && sweeper.leave() {
                    return;
                }
            }
            Next::Never => return,
        }
    }
}

/// Starts a sweeper on a tokio.
pub(crate) fn start_on(shared: &Arc<Shared>, sweeper: Arc<Sweeper>, tokio: &Handle) {
    let running = Running { shared: Arc::clone(shared), sweeper };
    drop(tokio.spawn(running.run()));
}

/// A sweeper in a task of a tokio.
struct Running {
    shared: Arc<Shared>,
    sweeper: Arc<Sweeper>,
}

impl Running {
    async fn run(self) {
        let Self { shared, sweeper } = &self;
        let mut quiet = 0;
        loop {
            let is_paused = sweeper.number > 0 && is_paused();
            if sweeper.is_paused.swap(is_paused, Ordering::SeqCst) && !is_paused {
                // From now on the thread looks after these asks as well.
                shared.deadlines.forget_what_is_known();
                shared.deadlines.hurry_real(shared, SHORTEST_PERIOD);
            }
            match sweeper.step(shared, &mut quiet) {
                Next::In(pause) => drop(tokio::time::timeout(pause, sweeper.notify.notified()).await),
                Next::WhenWoken => sweeper.notify.notified().await,
                Next::Never => return,
            }
        }
    }
}

impl Drop for Running {
    /// It has ended, or its tokio has: number 0 takes over.
    fn drop(&mut self) {
        let deadlines = &self.shared.deadlines;
        match usize::from(self.sweeper.number).checked_sub(1) {
            Some(place) => {
                let mut tokios = deadlines.tokios.lock();
                tokios[place] = None;
                while let Some(None) = tokios.last() {
                    tokios.pop();
                }
                tokios.shrink_to(8);
            }
            None => {
                self.sweeper.period.store(ASLEEP, Ordering::SeqCst);
                self.sweeper.running.store(false, Ordering::SeqCst);
            }
        }
        deadlines.forget_what_is_known();
        if self.sweeper.number > 0 && self.sweeper.period.load(Ordering::SeqCst) != ASLEEP {
            deadlines.hurry_real(&self.shared, SHORTEST_PERIOD);
        }
    }
}
