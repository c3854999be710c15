//! Counts the steps of a lookup, in this crate's tests only: a bound on cost is asserted on steps, never on time.

/// One node visited, one parameter shape tried, one edge looked up, or 64 bytes of the path looked at once more.
#[inline(always)]
pub(crate) fn step() {
    #[cfg(test)]
    counted::STEPS.with(|steps| steps.set(steps.get() + 1));
}

/// One edge compared: the one that was looked up, or, by chance, one whose hash is like it.
#[inline(always)]
pub(crate) fn comparison() {
    #[cfg(test)]
    counted::COMPARISONS.with(|comparisons| comparisons.set(comparisons.get() + 1));
}

#[cfg(test)]
pub(crate) use counted::{comparisons_of, steps_of};

#[cfg(test)]
mod counted {
    use std::cell::Cell;
    use std::thread::LocalKey;

    thread_local! {
        pub(super) static STEPS: Cell<usize> = const { Cell::new(0) };
        pub(super) static COMPARISONS: Cell<usize> = const { Cell::new(0) };
    }

    /// How many steps `work` took on this thread.
    pub(crate) fn steps_of<R>(work: impl FnOnce() -> R) -> (usize, R) {
        count_of(&STEPS, work)
    }

    /// How many edges `work` compared on this thread.
    pub(crate) fn comparisons_of<R>(work: impl FnOnce() -> R) -> (usize, R) {
        count_of(&COMPARISONS, work)
    }

    fn count_of<R>(counter: &'static LocalKey<Cell<usize>>, work: impl FnOnce() -> R) -> (usize, R) {
        counter.set(0);
        let result = work();
        (counter.get(), result)
    }
}
