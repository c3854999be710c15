//! How much a subsystem's mailbox holds, and what becomes of one message too many.

use mycelia_core::OverflowPolicy;

/// The settings of a mailbox: bounded, always.
///
/// The memory for the messages' places (8 bytes each) is taken with the first message, grows with the content up to the
/// capacity, and is given back after a burst. The messages themselves are in the runtime's pool.
///
/// The run loop takes up to a [`budget`](crate::Configure::budget) of messages out of it at a time, so that many more can be
/// waiting for their turn. Where the newest must overtake the rest, with `DropOldest`, set a small budget.
///
/// Freed room belongs to the senders that wait, in order: their messages go in at once. The senders themselves come back
/// when the mailbox is half empty, or all that was before theirs has been taken, or the handler awaits something; so a busy
/// subsystem trades with a sender once for hundreds of messages. (A handler that blocks its thread instead must not wait for
/// such a sender.)
///
/// ```
/// use mycelia_actors::prelude::*;
///
/// let newest_readings = Mailbox::bounded(4096).overflow(OverflowPolicy::DropOldest);
/// # let _ = newest_readings;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Mailbox {
    pub(crate) capacity: usize,
    pub(crate) policy: OverflowPolicy,
}

impl Mailbox {
    /// Room for `capacity` messages (2³² - 1 at the most), and the policy `Error`. A capacity of 0 is refused at spawn.
    pub fn bounded(capacity: usize) -> Self {
        Self { capacity, policy: OverflowPolicy::Error }
    }

    /// What `tell` does when the mailbox is full. `send` and `ask` wait for room under every policy.
    pub fn overflow(mut self, policy: OverflowPolicy) -> Self {
        self.policy = policy;
        self
    }
}

impl Default for Mailbox {
    /// Room for 1024 messages, and the policy `Error`.
    fn default() -> Self {
        Self::bounded(1024)
    }
}
