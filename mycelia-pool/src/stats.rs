//! What a pool has done so far.

/// A snapshot of a pool's counters.
///
/// Taken while other threads acquire and release, the numbers are each exact for some recent moment, not all for
/// the same one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Slots made so far, and still there.
    pub created: u64,
    /// Acquisitions so far.
    pub acquired: u64,
    /// Acquisitions less the slots that were made on demand, each of which counts as new once, used yet or not. What
    /// `warm` made counts as reused from the first time on.
    pub reused: u64,
    /// Slots out at the moment.
    pub in_use: u64,
    /// The most slots seen out at once. Exact for [`Exhaustion::Fail`](crate::Exhaustion::Fail); otherwise looked at
    /// when a thread's cache trades with the depot, and up to 64 slots per thread too low.
    pub high_water: u64,
    /// The most slots that were out lately: looked at as `high_water` is, and halved every 30 seconds. The pool keeps twice as many.
    pub mark: u64,
    /// Slots that the pool has given back by itself so far.
    pub trimmed: u64,
}

impl Stats {
    /// The share of acquisitions that made no slot, from 0 to 1; 0 before the first.
    #[must_use]
    pub fn reuse_rate(&self) -> f64 {
        if self.acquired == 0 { 0.0 } else { self.reused as f64 / self.acquired as f64 }
    }
}
