//! Tells the scene that its actors have handled everything, at the moment they have.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::failure::Failure;

/// Opens when its count is down to zero.
///
/// Scenes stop their clock here, and not on a last message that asks for an answer: xtra's mailbox is a heap
/// and may let that message overtake others.
#[derive(Debug)]
pub struct Latch {
    left: AtomicU64,
    opened: Notify,
}

impl Latch {
    /// A latch that has to be armed before use.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { left: AtomicU64::new(0), opened: Notify::new() })
    }

    /// Closes the latch until `count` calls of [`count_down`](Self::count_down).
    pub fn arm(&self, count: u64) {
        // Relaxed: the actors learn of it by the messages sent afterwards.
        self.left.store(count, Ordering::Relaxed);
    }

    /// One step done.
    pub fn count_down(&self) {
        // Relaxed: the count publishes nothing. What the actors did is read by messages to them.
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.opened.notify_one();
        }
    }

    /// Waits until the latch opens, a minute at most.
    pub async fn opened(&self) -> Result<(), Failure> {
        let waited = tokio::time::timeout(Duration::from_secs(60), self.opened.notified()).await;
        waited.map_err(|_| Failure::Stuck { missing: self.left.load(Ordering::Relaxed) })
    }
}
