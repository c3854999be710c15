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

/// Drops a waker, even if its own drop panics. To be called outside of every lock: the drop is code of a user.
///
/// Such a panic has been printed by the panic hook, and goes no further.
#[inline]
pub fn drop_waker(waker: Option<Waker>) {
    if let Some(waker) = waker {
        let _ = contain(|| drop(waker));
    }
}
