//! A thread's own stock of free slots.

use mycelia_core::Counter;
use mycelia_core::seeded::bug;
use mycelia_core::sync::atomic::{AtomicU64, Ordering};
use mycelia_core::sync::{Mutex, UnsafeCell};

use crate::depot::{Depot, Magazine, ROUNDS, empty_magazine};
use crate::slot::FreeSlot;

/// The cache of one thread number. Padded, so that two threads' caches never share a cache line.
#[repr(align(128))]
pub(crate) struct Cache<T> {
    stock: UnsafeCell<Stock<T>>,
    /// Written by the owner only.
    pub(crate) acquired: Counter,
    /// Written by the owner only. `Release` after the slot is in the cache, for `Shared::all_returned`, which reads
    /// it with `Acquire`: who has seen a release counted has seen the last of its touches of the pool.
    released: AtomicU64,
}

/// Two magazines, so that a thread which acquires and releases around a boundary does not trade at every step.
pub(crate) struct Stock<T> {
    loaded: Magazine<T>,
    spare: Magazine<T>,
    /// The flush that this cache has already taken part in.
    pub(crate) flushed: u64,
}

// SAFETY: `stock` is only reached through `Cache::stock`, whose callers run on the one thread that owns the cache's
// number; the lock around the free numbers orders one owner's accesses before the next one's.
unsafe impl<T: Send> Sync for Cache<T> {}

impl<T> Cache<T> {
    pub(crate) fn new() -> Self {
        Self {
            stock: UnsafeCell::new(Stock { loaded: empty_magazine(), spare: empty_magazine(), flushed: 0 }),
            acquired: Counter::new(),
            released: AtomicU64::new(0),
        }
    }

    /// Lends the stock.
    ///
    /// # Safety
    /// The calling thread owns the number of this cache, and `work` does not come back here.
    #[inline(always)]
    pub(crate) unsafe fn stock<R>(&self, work: impl FnOnce(&mut Stock<T>) -> R) -> R {
        // SAFETY: one thread, not re-entered (the caller's promise): the only reference.
        self.stock.with_mut(|stock| work(unsafe { &mut *stock }))
    }

    /// The count with the release that is under way.
    #[inline]
    pub(crate) fn next_release(&self) -> u64 {
        // Relaxed: only this thread writes it.
        self.released.load(Ordering::Relaxed) + 1
    }

    /// Counts a release, as the releasing thread's last touch of the pool.
    #[inline]
    pub(crate) fn count_release(&self, count: u64) {
        self.released.store(count, Ordering::Release);
    }

    pub(crate) fn released(&self) -> u64 {
        self.released.load(Ordering::Acquire)
    }
}

impl<T> Stock<T> {
    /// A free slot, unless both magazines are empty.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<FreeSlot<T>> {
        if self.loaded.is_empty() {
            std::mem::swap(&mut self.loaded, &mut self.spare);
        }
        self.loaded.pop()
    }

    /// Puts a slot back, unless both magazines are full.
    #[inline]
    pub(crate) fn put(&mut self, slot: FreeSlot<T>) -> Result<(), FreeSlot<T>> {
        if self.loaded.len() >= ROUNDS {
            if !self.spare.is_empty() {
                return Err(slot);
            }
            std::mem::swap(&mut self.loaded, &mut self.spare);
        }
        self.loaded.push(slot);
        Ok(())
    }

    /// Both magazines are empty: fills one from the depot. False if the depot has no free slot.
    pub(crate) fn refill(&mut self, depot: &Mutex<Depot<T>>) -> bool {
        if bug("the depot looked at and traded with in two steps") {
            let found = depot.lock().has_free();
            let traded = depot.lock().fill(&mut self.loaded);
            assert_eq!(found, traded, "somebody else took it");
            return traded;
        }
        depot.lock().fill(&mut self.loaded)
    }

    /// Both magazines are full: leaves one at the depot.
    pub(crate) fn unload(&mut self, depot: &mut Depot<T>) {
        depot.unload(&mut self.spare);
        std::mem::swap(&mut self.loaded, &mut self.spare);
    }

    /// Leaves everything at the depot.
    pub(crate) fn flush(&mut self, depot: &mut Depot<T>) {
        depot.absorb(&mut self.loaded);
        depot.absorb(&mut self.spare);
    }
}

/// In a model: fails if some thread is still at it when the cache goes.
#[cfg(mycelia_loom)]
impl<T> Drop for Cache<T> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stock.with_mut(|_| ());
        }
    }
}
