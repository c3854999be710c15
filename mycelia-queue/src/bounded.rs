//! A bounded queue that never waits.

use std::collections::VecDeque;
use std::fmt;

use mycelia_core::OverflowPolicy;
use mycelia_core::seeded::bug;
use mycelia_core::sync::Mutex;

use crate::error::PushError;
use crate::pushed::{Pushed, PushedMany};
use crate::ring::Ring;
use crate::stats::Stats;

/// A bounded first-in first-out queue for any number of threads on both sides. Nothing here waits.
///
/// Memory is taken with the first item and grows with the content, by doubling, up to the capacity. A capacity of 0 is
/// a queue that is always full.
///
/// # Cost
/// Each method takes a lock for a few instructions; items are dropped outside of it.
///
/// ```
/// use mycelia_queue::{BoundedQueue, OverflowPolicy, Pushed};
///
/// let queue = BoundedQueue::new(2, OverflowPolicy::DropOldest);
/// queue.push("a")?;
/// queue.push("b")?;
/// assert_eq!(queue.push("c")?, Pushed::Evicted("a"));
/// assert_eq!((queue.pop(), queue.pop(), queue.pop()), (Some("b"), Some("c"), None));
/// # Ok::<(), mycelia_queue::PushError<&str>>(())
/// ```
pub struct BoundedQueue<T> {
    ring: Mutex<Ring<T>>,
}

impl<T> BoundedQueue<T> {
    /// A queue of at most `capacity` items (and 2³² - 1), and what becomes of one too many.
    #[must_use]
    pub fn new(capacity: usize, policy: OverflowPolicy) -> Self {
        Self { ring: Mutex::new(Ring::new(capacity, policy)) }
    }

    /// Pushes an item, by the policy if the queue is full.
    ///
    /// # Errors
    /// [`PushError::Full`] under the policy `Error`, [`PushError::Closed`] after [`close`](Self::close); the item is
    /// inside.
    pub fn push(&self, item: T) -> Result<Pushed<T>, PushError<T>> {
        if bug("a bounded queue that evicts in two steps") {
            let oldest = self.pop();
            self.ring.lock().accept(item);
            return Ok(oldest.map_or(Pushed::Queued, Pushed::Evicted));
        }
        self.ring.lock().push(item, false)
    }

    /// Pushes a whole batch in one step: nobody else's item comes between.
    ///
    /// Afterwards the batch holds what came back, if anything; [`PushedMany::rest`] says what that is.
    ///
    /// ```
    /// use mycelia_queue::{BoundedQueue, OverflowPolicy, Rest};
    ///
    /// let queue = BoundedQueue::new(2, OverflowPolicy::Error);
    /// let mut batch = [1, 2, 3].into();
    /// let pushed = queue.push_many(&mut batch);
    /// assert_eq!((pushed.queued, pushed.rest), (2, Rest::Full));
    /// assert_eq!(batch, [3]);
    /// ```
    pub fn push_many(&self, batch: &mut VecDeque<T>) -> PushedMany {
        self.ring.lock().push_many(batch, false)
    }

    /// Takes the oldest item. Also after `close`, until the queue is empty.
    pub fn pop(&self) -> Option<T> {
        self.ring.lock().pop()
    }

    /// Moves up to `limit` items, oldest first, to the end of `batch`. Returns how many.
    pub fn pop_many(&self, batch: &mut VecDeque<T>, limit: usize) -> usize {
        self.ring.lock().pop_many(batch, limit)
    }

    /// Refuses every later push. What is in the queue can still be taken.
    pub fn close(&self) {
        self.ring.lock().close();
    }

    /// True after [`close`](Self::close).
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.ring.lock().is_closed()
    }

    /// The number of items in the queue.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ring.lock().len()
    }

    /// True if no item is in the queue.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most items the queue can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.ring.lock().capacity()
    }

    /// What becomes of one item too many.
    #[must_use]
    pub fn policy(&self) -> OverflowPolicy {
        self.ring.lock().policy()
    }

    /// What became of all items so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.ring.lock().stats(0)
    }
}

impl<T> fmt::Debug for BoundedQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundedQueue").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
