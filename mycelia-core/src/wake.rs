//! Waking many.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

/// Wakes each, even if one of them panics: a broken waker is no reason for others to wait for ever.
///
/// Such a panic has been printed by the panic hook, and goes no further.
pub fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
            // Its own drop may panic, too.
            std::mem::forget(panic);
        }
    }
}
