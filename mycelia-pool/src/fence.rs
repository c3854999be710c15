//! A fence between two parties of which one pays for both.

#[cfg(mycelia_loom)]
use mycelia_core::sync::atomic::AtomicU64;
#[cfg(not(any(miri, mycelia_loom)))]
use mycelia_core::sync::atomic::compiler_fence;
use mycelia_core::sync::atomic::{Ordering, fence};
#[cfg(not(mycelia_loom))]
use std::time::{Duration, Instant};

/// An asymmetric fence: it costs the party that comes often nothing, and the party that comes seldom a millisecond.
///
/// Each party stores to its own location, and then loads that of the other. If the seldom party loads a millisecond after its
/// [`Passage`] has begun, at least one of the two loads sees the other party's store. Without a fence the often party's store may wait
/// in the buffer of its processor while its load goes ahead. But that store goes before that load in its thread, and so leaves the
/// buffer less than a microsecond after it: it needs no more instructions for that, and an interrupt does not hold it up.
#[derive(Default)]
pub(crate) struct Fence {
    /// A model has no time: here it is said to pass. What was stored before that has arrived after it.
    #[cfg(mycelia_loom)]
    milliseconds: AtomicU64,
}

/// The seldom party has made its store.
#[derive(Clone, Copy)]
pub(crate) struct Passage {
    #[cfg(not(mycelia_loom))]
    begun: Instant,
    #[cfg(mycelia_loom)]
    begun: u64,
}

impl Fence {
    /// Goes between the store and the load of the often party.
    #[inline(always)]
    pub(crate) fn often() {
        // SeqCst: the load must not go before the store; for the compiler only.
        #[cfg(not(any(miri, mycelia_loom)))]
        compiler_fence(Ordering::SeqCst);
        // Miri holds stores back for as long as it likes. The partner is the fence in `seldom`.
        #[cfg(miri)]
        fence(Ordering::SeqCst);
    }

    /// Goes after the store of the seldom party.
    pub(crate) fn seldom(&self) -> Passage {
        // SeqCst: the store goes before the look at the clock, and before the load that follows a millisecond later.
        fence(Ordering::SeqCst);
        Passage { begun: self.now() }
    }

    /// True if the load of the seldom party may follow.
    pub(crate) fn is_over(&self, passage: Passage) -> bool {
        #[cfg(not(mycelia_loom))]
        let is_over = self.now().duration_since(passage.begun) >= Duration::from_millis(1);
        #[cfg(mycelia_loom)]
        let is_over = self.now() > passage.begun;
        // SeqCst: the load must not go before the look at the clock.
        fence(Ordering::SeqCst);
        is_over
    }

    #[cfg(not(mycelia_loom))]
    fn now(&self) -> Instant {
        Instant::now()
    }

    #[cfg(mycelia_loom)]
    fn now(&self) -> u64 {
        // Acquire: with the Release in `pass`.
        self.milliseconds.load(Ordering::Acquire)
    }

    #[cfg(mycelia_loom)]
    pub(crate) fn pass(&self) {
        // AcqRel: publishes what the thread has stored before, and what came before an earlier one.
        self.milliseconds.fetch_add(1, Ordering::AcqRel);
    }
}
