//! The pool that messages travel in.

use mycelia_pool::{Exhaustion, Pool};

use crate::envelope::Slots;

/// What the message pool has done so far.
pub type PoolStats = mycelia_pool::Stats;

/// The settings of a runtime's message pool: slots of 128 bytes, one per message on its way.
///
/// By default it grows with the messages on their way, which the mailboxes' capacities bound.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct MessagePool {
    capacity: usize,
    warm: usize,
    exhaustion: Exhaustion,
}

impl MessagePool {
    /// A pool made for this many messages on their way at once; beyond that it grows, unless
    /// [`fail_when_exhausted`](Self::fail_when_exhausted).
    pub fn capacity(slots: usize) -> Self {
        Self { capacity: slots, ..Self::default() }
    }

    /// Makes this many slots beforehand, of 128 bytes each.
    ///
    /// # Panics
    /// The runtime's builder, as every collection does, if so much memory cannot be described or had.
    pub fn warm(mut self, slots: usize) -> Self {
        self.warm = slots;
        self
    }

    /// Gives messages back to their senders while all slots up to the capacity are in use. Costs a lock per message: see
    /// [`Exhaustion::Fail`].
    pub fn fail_when_exhausted(mut self) -> Self {
        self.exhaustion = Exhaustion::Fail;
        self
    }

    pub(crate) fn build(self) -> Slots {
        Pool::builder().capacity(self.capacity).warm(self.warm).exhaustion(self.exhaustion).build()
    }
}

impl Default for MessagePool {
    fn default() -> Self {
        Self { capacity: usize::MAX, warm: 0, exhaustion: Exhaustion::Grow }
    }
}
