//! A number that counts events, for statistics.

use crate::seeded::bug;
use crate::sync::atomic::{AtomicU64, Ordering};

/// A count of events, read at any time from any thread.
///
/// Every access but those of [`publish_owned`](Self::publish_owned) and [`get_after`](Self::get_after) is `Relaxed`: a count says how
/// often something happened and publishes nothing else.
/// Reading costs a load. [`add`](Self::add) may be called from anywhere and costs an atomic read-modify-write;
/// [`add_owned`](Self::add_owned) costs a plain load and store, for a counter that one thread at a time writes.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// A counter at zero.
    #[must_use]
    pub fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// The count.
    #[inline]
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts `n` more, from any thread.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Counts `n` more on behalf of the only writer.
    ///
    /// Two writers at the same time would lose counts (but never do worse than that).
    #[inline]
    pub fn add_owned(&self, n: u64) {
        self.0.store(self.get().wrapping_add(n), Ordering::Relaxed);
    }

    /// Counts `n` more on behalf of the only writer, after what that did before: a thread that reads the new count with
    /// [`get_after`](Self::get_after) sees all of it. Costs the same as [`add_owned`](Self::add_owned) on x86.
    #[inline]
    pub fn publish_owned(&self, n: u64) {
        // Release, with the Acquire in `get_after`.
        let order = if bug("a count that publishes nothing") { Ordering::Relaxed } else { Ordering::Release };
        self.0.store(self.get().wrapping_add(n), order);
    }

    /// As [`publish_owned`](Self::publish_owned), from any thread.
    #[inline]
    pub fn publish(&self, n: u64) {
        // Release, with the Acquire in `get_after`.
        self.0.fetch_add(n, Ordering::Release);
    }

    /// The count; what was done before the [publication](Self::publish_owned) of its last change is seen from now on.
    #[inline]
    #[must_use]
    pub fn get_after(&self) -> u64 {
        // Acquire, with the Release in `publish_owned`.
        self.0.load(Ordering::Acquire)
    }

    /// Takes the count, and begins again at zero. A writer that [owns](Self::add_owned) it at the same time may put it back.
    #[must_use]
    pub fn take(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed)
    }

    /// Raises the count to `value`, if it is below; for high-water marks.
    pub fn raise(&self, value: u64) {
        self.0.fetch_max(value, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(mycelia_loom)))]
mod tests {
    use super::Counter;

    #[test]
    fn shared_adds_from_two_threads_lose_nothing() {
        let counter = Counter::new();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..1000).for_each(|_| counter.add(1)));
            }
        });
        assert_eq!(counter.get(), 2000);
    }

    #[test]
    fn a_count_that_is_taken_begins_again() {
        let counter = Counter::new();
        counter.add(3);
        assert_eq!(counter.take(), 3);
        counter.add(1);
        assert_eq!((counter.take(), counter.get()), (1, 0));
    }

    #[test]
    fn a_high_water_mark_only_rises() {
        let mark = Counter::new();
        mark.raise(7);
        mark.raise(3);
        assert_eq!(mark.get(), 7);
    }
}
