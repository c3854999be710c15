//! How often a sweeper looks: a word between it and the threads that ask.

use mycelia_core::seeded::bug;
use mycelia_core::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

use crate::deadline::ASLEEP;

/// How often a sweeper looks, and whether it runs.
///
/// ```text
///                 hurry: lower only                      raise: only from what it was,
///   a thread ─────────────────────────▶ period ◀───────────────────────────────────── the sweeper
///   stamp, then period                                   period, then stamp
/// ```
///
/// A thread reads the stamp, then hurries the sweeper, and may rely on that period for as long as the stamp is the same. So a new stamp
/// has to follow each rise.
pub(crate) struct Pace {
    /// Milliseconds between two sweeps at most, or `ASLEEP`.
    period: AtomicU64,
    is_running: AtomicBool,
}

impl Pace {
    pub(crate) fn new(is_running: bool) -> Self {
        Self { period: AtomicU64::new(ASLEEP), is_running: AtomicBool::new(is_running) }
    }

    /// Lowers the period to this. True if it was longer, so that the sweeper is to be woken.
    pub(crate) fn hurry(&self, wanted: u64) -> bool {
        // Acquire: with the Release of the stamp; Release: with the Acquire in `period`. And see the fence in `is_running`.
        self.period.fetch_min(wanted, Ordering::AcqRel) > wanted
    }

    pub(crate) fn period(&self) -> u64 {
        // Acquire: with the Release in `hurry`.
        self.period.load(Ordering::Acquire)
    }

    /// Adapts the period, which was this before a sweep, to what the sweep has found. A rise needs `may_rise`, is put off if a thread has
    /// hurried the sweeper meanwhile, and is followed by `forget`, which changes the stamp. True after a rise.
    pub(crate) fn adapt(&self, was: u64, found: u64, may_rise: bool, forget: impl FnOnce()) -> bool {
        if found <= was {
            if bug("a found period that overwrites a hurry") {
                self.period.store(found, Ordering::Release);
            }
            self.hurry(found);
            return false;
        }
        // AcqRel: as in `hurry`. Relaxed: nothing is done if it fails.
        let rises =
            may_rise && self.period.compare_exchange(was, found, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if rises && !bug("a rise that is not told") {
            forget();
        }
        rises
    }

    /// To be called after [`hurry`](Self::hurry).
    pub(crate) fn is_running(&self) -> bool {
        // SeqCst: orders the period that was stored before this look; the partner is the fence in `end`.
        fence(Ordering::SeqCst);
        // Acquire: with the Release in `claim`.
        self.is_running.load(Ordering::Acquire)
    }

    /// True for one of the callers that find it not running: it has to start the sweeper.
    pub(crate) fn claim(&self) -> bool {
        // AcqRel: one caller goes on from where the last sweeper has ended.
        !self.is_running.swap(true, Ordering::AcqRel)
    }

    /// The sweeper has ended, or could not be started. True if asks may be out that count on it.
    pub(crate) fn end(&self) -> bool {
        // Release: with the Acquire in `claim`.
        self.is_running.store(false, Ordering::Release);
        // SeqCst: orders that before the look at the period; the partner is the fence in `is_running`.
        fence(Ordering::SeqCst);
        self.period() != ASLEEP
    }

    /// The sweeper wants to end. False if an ask has come in between that counts on it.
    pub(crate) fn leave(&self) -> bool {
        if bug("a sweeper that leaves without a look back") {
            self.is_running.store(false, Ordering::Release);
            return true;
        }
        !self.end() || !self.claim()
    }
}
