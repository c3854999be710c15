//! Counts the steps of a lookup, in this crate's tests only: a bound on cost is asserted on steps, never on time.

/// One node visited, one parameter shape tried, or one edge compared.
#[inline(always)]
pub(crate) fn step() {
    #[cfg(test)]
    counted::STEPS.with(|steps| steps.set(steps.get() + 1));
}

#[cfg(test)]
pub(crate) use counted::steps_of;

#[cfg(test)]
mod counted {
    use std::cell::Cell;

    thread_local! {
        pub(super) static STEPS: Cell<usize> = const { Cell::new(0) };
    }

    /// How many steps `work` took on this thread.
    pub(crate) fn steps_of<R>(work: impl FnOnce() -> R) -> (usize, R) {
        STEPS.with(|steps| steps.set(0));
        let result = work();
        (STEPS.with(Cell::get), result)
    }
}
