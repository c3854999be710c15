//! Waking many.

use std::task::Waker;

use crate::panics::contain;

/// Wakes each, even if one of them panics: a broken waker is no reason for others to wait for ever.
///
/// Such a panic has been printed by the panic hook, and goes no further.
pub fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        let _ = contain(|| waker.wake());
    }
}
