//! The pool that messages travel in.

use mycelia_pool::{Exhaustion, Pool};

use crate::envelope::Slots;

/// What the message pool has done so far.
pub type PoolStats = mycelia_pool::Stats;

/// The settings of a runtime's message pool: slots of 128 bytes, one per message on its way.
///
/// By default it grows with the messages on their way, which the mailboxes' capacities bound, and gives back by itself what a burst
/// has left.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct MessagePool {
    capacity: usize,
    warm: usize,
    exhaustion: Exhaustion,
    keep: usize,
    no_trim: bool,
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

    /// Keeps at least this many slots, once made, when the pool gives memory back by itself: see
    /// [`Pool`](mycelia_pool::Pool#memory). What [`warm`](Self::warm) made stays anyway.
    ///
    /// ```
    /// # use mycelia_actors::{MessagePool, Runtime};
    /// let runtime = Runtime::builder().messages(MessagePool::default().keep(100_000)).build();
    /// ```
    pub fn keep(mut self, slots: usize) -> Self {
        self.keep = slots;
        self
    }

    /// Never gives memory back by itself, but only when [`Runtime::trim`](crate::Runtime::trim) is called.
    ///
    /// ```
    /// # use mycelia_actors::{MessagePool, Runtime};
    /// let runtime = Runtime::builder().messages(MessagePool::default().no_trim()).build();
    /// ```
    pub fn no_trim(mut self) -> Self {
        self.no_trim = true;
        self
    }

    pub(crate) fn build(self) -> Slots {
        let builder = Pool::builder().capacity(self.capacity).warm(self.warm).exhaustion(self.exhaustion);
        let builder = builder.keep(self.keep);
        if self.no_trim { builder.no_trim() } else { builder }.build()
    }
}

impl Default for MessagePool {
    fn default() -> Self {
        Self { capacity: usize::MAX, warm: 0, exhaustion: Exhaustion::Grow, keep: 0, no_trim: false }
    }
}
