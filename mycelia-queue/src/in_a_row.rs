//! How often in a row something was ready at once.

// Not the doorway's: a model need not explore a count on which nothing depends but whose turn it is.
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::task::Context;

const AT_MOST: u8 = 128;

/// Lets others run: after 128 futures in a row that were ready at once, the next wakes itself and waits once, so that a task in which
/// everything is ready does not keep its thread. For a queue that knows no executor and its budgets.
///
/// Two threads that count at the same time may lose a count.
#[derive(Debug, Default)]
pub(crate) struct InARow(AtomicU8);

impl InARow {
    /// True if it is time to wait once; the task will be polled again.
    #[inline]
    pub(crate) fn is_over(&self, cx: &Context<'_>) -> bool {
        let is_over = self.0.load(Relaxed) >= AT_MOST;
        if is_over {
            self.0.store(0, Relaxed);
            cx.waker().wake_by_ref();
        }
        is_over
    }

    /// Counts a future that was ready at once; one that was not ends the row.
    #[inline]
    pub(crate) fn count(&self, was_ready: bool) {
        let count = if was_ready { self.0.load(Relaxed).saturating_add(1) } else { 0 };
        self.0.store(count, Relaxed);
    }
}
