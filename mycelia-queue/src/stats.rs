//! What became of the items so far.

/// A snapshot of a queue's numbers, all for the same moment.
///
/// Every item that was pushed is in exactly one of these, so the numbers add up:
///
/// ```text
/// pushed = popped + evicted + discarded + refused + len
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Items that met their first fate: taken in, discarded or refused.
    pub pushed: u64,
    /// Items taken out by the receiving side.
    pub popped: u64,
    /// Items pushed out by newer ones (`DropOldest`).
    pub evicted: u64,
    /// Items that did not fit and were dropped (`DropNewest`).
    pub discarded: u64,
    /// Items that were given back inside an error: full, or closed.
    pub refused: u64,
    /// Items in the queue.
    pub len: usize,
    /// Items of senders that wait for room; these are not pushed yet.
    pub waiting: usize,
    /// Items the queue holds at most.
    pub capacity: usize,
    /// Items the queue's memory has room for at the moment.
    pub allocated: usize,
}
