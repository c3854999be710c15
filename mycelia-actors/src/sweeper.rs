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
use mycelia_core::sync::atomic::{AtomicBool, Ordering};
use mycelia_core::wake_all;
use tokio::runtime::{Handle, Id};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::deadline::{
    ASLEEP, Deadlines, LONGEST, SHORTEST_PERIOD, SWEEPER_SHIFT, TIME, UNSTAMPED, elapsed, number, period,
};
use crate::pace::Pace;
use crate::shared::Shared;
use crate::slot::{Fate, MessageSlot, Wake};

/// Sweeps that find less to do, before the sweeper looks less often or goes to sleep: waking it costs more than some sweeps.
const QUIET_SWEEPS: u32 = 16;
/// Sweeps that follow soon after the period has risen, not counting those for which one before has left something to look at again.
const LAST_SWEEPS: u32 = 2;
/// How long the thread sleeps before it ends. The next ask starts another.
const IDLE: Duration = Duration::from_secs(10);

/// What a sweeper shares with those who ask.
pub(crate) struct Sweeper {
    pub(crate) number: u16,
    tokio: Option<Id>,
    /// The clock of its tokio is paused, as of its last look.
    pub(crate) is_paused: AtomicBool,
    pub(crate) pace: Pace,
    notify: Notify,
    thread: Mutex<Option<Thread>>,
}

/// What a sweep found.
struct Found {
    /// The period that the shortest deadline wants; `ASLEEP`, if no ask is out.
    period: u64,
    /// The next deadline, in milliseconds since the epoch.
    next: u64,
    /// No sweep before has left a slot to look at once more.
    is_clear: bool,
}

/// What a sweeper knows of its own sweeps.
#[derive(Default)]
struct Row {
    /// How many in a row have found less to do than before.
    quiet: u32,
    /// How many more are to come soon.
    last: u32,
}

/// When to look again.
enum Next {
    /// When others have run.
    AtOnce,
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
            pace: Pace::new(false),
            notify: Notify::new(),
            thread: Mutex::new(None),
        }
    }

    /// One that runs on this tokio.
    pub(crate) fn on(number: u16, tokio: &Handle, is_paused: bool) -> Self {
        let (tokio, is_paused) = (Some(tokio.id()), AtomicBool::new(is_paused));
        Self { tokio, is_paused, pace: Pace::new(true), ..Self::new(number) }
    }

    pub(crate) fn is_on(&self, tokio: &Handle) -> bool {
        self.tokio == Some(tokio.id())
    }

    /// Sees to it that it looks this often. False if it does not run.
    pub(crate) fn hurry(&self, wanted: u64) -> bool {
        if self.pace.hurry(wanted) {
            self.wake();
        }
        self.pace.is_running()
    }

    pub(crate) fn wake(&self) {
        self.notify.notify_one();
        if let Some(thread) = &*self.thread.lock() {
            thread.unpark();
        }
    }

    /// Looks once.
    fn step(&self, shared: &Shared, row: &mut Row) -> Next {
        let deadlines = &shared.deadlines;
        deadlines.sweeps.add(1);
        let found = self.sweep(shared);
        let period = self.pace.period();
        let has_ended = deadlines.ended.load(Ordering::Acquire);
        if found.is_clear {
            row.last = row.last.saturating_sub(1);
        }
        if found.period == ASLEEP && period == ASLEEP && row.last == 0 {
            row.quiet = 0;
            return if has_ended && self.pace.leave() { Next::Never } else { Next::WhenWoken };
        }
        row.quiet = if found.period > period { row.quiet + 1 } else { 0 };
        let may_rise = row.quiet >= QUIET_SWEEPS || found.period == ASLEEP && has_ended;
        if self.pace.adapt(period, found.period, may_rise, || deadlines.forget_what_is_known()) {
            // An ask that came after the sweep and before this saw a sweeper that looks often, and did not wake it. But it has
            // noted its slot before; so the last sweeps, which are soon, see it, and each later ask sees the new stamp.
            *row = Row { quiet: 0, last: LAST_SWEEPS };
        }
        // Relaxed: its own. What the last sweeps wait for takes real time, of which no clock that is paused may make hours.
        if row.last > 0 && self.is_paused.load(Ordering::Relaxed) {
            return Next::AtOnce;
        }
        // An ask that has hurried it since the sweep has woken it, too.
        let period = self.pace.period().min(if row.last > 0 { SHORTEST_PERIOD } else { LONGEST });
        let until_next = found.next.saturating_sub(elapsed(deadlines.epoch)).max(1);
        Next::In(Duration::from_millis(period.min(until_next)))
    }

    fn sweep(&self, shared: &Shared) -> Found {
        let mut found = Found { period: ASLEEP, next: u64::MAX, is_clear: true };
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
        let is_clear = unsafe { shared.slots.visit_noted(look) };
        found.is_clear = is_clear;
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

/// Starts number 0, by the caller that has claimed to: on a thread, or else on any tokio that there is.
#[cold]
pub(crate) fn start(shared: &Arc<Shared>) {
    let Deadlines { real, .. } = &shared.deadlines;
    if start_thread(shared) {
        return;
    }
    for tokio in shared.tokios() {
        start_on(shared, Arc::clone(real), &tokio);
        // A tokio that is gone has dropped it at once.
        if real.pace.is_running() || !real.pace.claim() {
            return;
        }
    }
    // Each later ask tries again.
    real.pace.end();
    shared.deadlines.forget_what_is_known();
}

/// False if the system has no thread to give.
fn start_thread(shared: &Arc<Shared>) -> bool {
    #[cfg(all(test, not(mycelia_loom)))]
    if tests::NO_THREADS.get() {
        return false;
    }
    let own = Arc::clone(shared);
    let thread = thread::Builder::new().name("mycelia-deadlines".into());
    // Not a channel: that would use up the token of whoever has unparked this thread meanwhile.
    let ready = Arc::new(Barrier::new(2));
    let is_ready = Arc::clone(&ready);
    let is_started = thread.spawn(move || run(&own, &ready)).is_ok();
    if is_started {
        // Some microseconds: then all is allocated that a warm runtime needs.
        is_ready.wait();
    }
    is_started
}

fn run(shared: &Arc<Shared>, ready: &Barrier) {
    let sweeper = Arc::clone(&shared.deadlines.real);
    *sweeper.thread.lock() = Some(thread::current());
    ready.wait();
    let mut row = Row::default();
    loop {
        match sweeper.step(shared, &mut row) {
            Next::AtOnce => thread::yield_now(),
            Next::In(pause) => thread::park_timeout(pause),
            Next::WhenWoken => {
                thread::park_timeout(IDLE);
                if sweeper.pace.period() == ASLEEP && sweeper.pace.leave() {
                    return;
                }
            }
            Next::Never => return,
        }
    }
}

/// Starts a sweeper on a tokio.
pub(crate) fn start_on(shared: &Arc<Shared>, sweeper: Arc<Sweeper>, tokio: &Handle) {
    let is_spawned = Arc::new(AtomicBool::new(false));
    let running =
        Running { shared: Arc::clone(shared), sweeper, is_spawned: Arc::clone(&is_spawned), has_left: false };
    drop(tokio.spawn(running.run()));
    // SeqCst: goes before the look of `start` whether it runs; the end of `Running` stores that and then loads this.
    is_spawned.store(true, Ordering::SeqCst);
}

/// A sweeper in a task of a tokio.
struct Running {
    shared: Arc<Shared>,
    sweeper: Arc<Sweeper>,
    /// `start_on` is over, which may be dropping it.
    is_spawned: Arc<AtomicBool>,
    /// By itself; another may run by now.
    has_left: bool,
}

impl Running {
    async fn run(mut self) {
        let Self { shared, sweeper, .. } = &self;
        let mut row = Row::default();
        loop {
            let is_paused = sweeper.number > 0 && is_paused();
            if sweeper.is_paused.swap(is_paused, Ordering::SeqCst) && !is_paused {
                // From now on the thread looks after these asks as well.
                shared.deadlines.forget_what_is_known();
                shared.deadlines.hurry_real(shared, SHORTEST_PERIOD);
            }
            match sweeper.step(shared, &mut row) {
                Next::AtOnce => tokio::task::yield_now().await,
                Next::In(pause) => drop(tokio::time::timeout(pause, sweeper.notify.notified()).await),
                Next::WhenWoken => sweeper.notify.notified().await,
                Next::Never => break,
            }
        }
        self.has_left = true;
    }
}

impl Drop for Running {
    /// It has ended, or its tokio has: number 0 takes over, on a thread or on another tokio if this is number 0.
    fn drop(&mut self) {
        let deadlines = &self.shared.deadlines;
        if let Some(place) = usize::from(self.sweeper.number).checked_sub(1) {
            let mut tokios = deadlines.tokios.lock();
            tokios[place] = None;
            while let Some(None) = tokios.last() {
                tokios.pop();
            }
            tokios.shrink_to(8);
        }
        let is_missed = !self.has_left && self.sweeper.pace.end();
        deadlines.forget_what_is_known();
        // Where `start` is still at it, that goes on with the next tokio.
        let is_tried = self.sweeper.number == 0 && !self.is_spawned.load(Ordering::SeqCst);
        if is_missed && !is_tried {
            deadlines.hurry_real(&self.shared, SHORTEST_PERIOD);
        }
    }
}

#[cfg(all(test, not(mycelia_loom)))]
mod tests {
    use std::cell::Cell;

    use tokio::runtime::{Builder, Runtime as Tokio};

    use super::{SHORTEST_PERIOD, Sweeper};
    use crate::runtime::Runtime;

    thread_local! {
        /// The system gives this thread no others.
        pub(super) static NO_THREADS: Cell<bool> = const { Cell::new(false) };
    }

    /// A tokio that is not driven.
    fn tokio() -> Tokio {
        Builder::new_current_thread().enable_time().build().unwrap()
    }

    fn hurry(runtime: &Runtime) {
        let shared = runtime.shared();
        shared.deadlines.hurry_real(shared, SHORTEST_PERIOD);
    }

    fn real(runtime: &Runtime) -> &Sweeper {
        &runtime.shared().deadlines.real
    }

    fn is_on_a_thread(runtime: &Runtime) -> bool {
        real(runtime).thread.lock().is_some()
    }

    #[test]
    fn a_sweeper_that_found_no_place_is_started_by_the_next_ask() {
        let runtime = Runtime::new();
        NO_THREADS.set(true);
        hurry(&runtime);
        assert!(!real(&runtime).pace.is_running());
        NO_THREADS.set(false);
        hurry(&runtime);
        assert!(real(&runtime).pace.is_running() && is_on_a_thread(&runtime));
    }

    #[test]
    fn a_sweeper_whose_tokio_goes_runs_elsewhere() {
        for threads_are_back in [true, false] {
            let (first, second) = (tokio(), tokio());
            let runtime = Runtime::new();
            // Where a subsystem would be spawned.
            second.block_on(async { runtime.shared().tokio().unwrap() });
            NO_THREADS.set(true);
            first.block_on(async { hurry(&runtime) });
            assert!(real(&runtime).pace.is_running() && !is_on_a_thread(&runtime));
            NO_THREADS.set(!threads_are_back);
            drop(first);
            assert!(real(&runtime).pace.is_running());
            assert_eq!(is_on_a_thread(&runtime), threads_are_back);
            drop(second);
            // Neither thread nor tokio is left; or it is on the thread.
            assert_eq!(real(&runtime).pace.is_running(), threads_are_back);
            NO_THREADS.set(false);
            hurry(&runtime);
            assert!(real(&runtime).pace.is_running() && is_on_a_thread(&runtime));
        }
    }
}
