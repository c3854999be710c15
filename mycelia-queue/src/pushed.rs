//! What became of an item that was pushed.

/// What a push did. An item that was lost is inside, so that it can be counted, reported or sent elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed<T> {
    /// The item is in the queue, and nothing was lost.
    Queued,
    /// The item is in the queue, and the oldest one, inside, was pushed out to make room (`DropOldest`).
    Evicted(T),
    /// The item, inside, did not fit and is not in the queue (`DropNewest`).
    Discarded(T),
}

/// What pushing many items at once did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushedMany {
    /// How many of the items went into the queue, counting those that were evicted again by later ones.
    pub queued: usize,
    /// What the items are that the batch holds now.
    pub rest: Rest,
}

/// What the items are that a batch holds after it was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// There are none: every item was queued.
    None,
    /// Items that were in the queue (or went through it), oldest first, pushed out by the batch (`DropOldest`).
    Evicted,
    /// Items of the batch that did not fit and are lost unless the caller keeps them (`DropNewest`).
    Discarded,
    /// Items of the batch that did not fit and are the caller's again (`Error`).
    Full,
    /// The whole batch, because the queue is closed.
    Closed,
}
