//! Pools that were dropped while guards were out.
//!
//! A guard is one pointer and keeps no reference count, so the last guard cannot know that it is the last. Instead
//! the memory of such a pool is kept here, and looked at again whenever a pool is built or dropped.

use std::ptr::NonNull;

use crate::shared::Shared;

/// Frees the pool now if all guards are back, and otherwise once they are.
///
/// # Safety
/// `shared` came from `Box::leak`, this is called once, and nobody acquires from it any more.
pub(crate) unsafe fn free_when_returned<T: Send + 'static>(shared: NonNull<Shared<T>>) {
    let orphan = Orphan(shared);
    if orphan.all_returned() {
        drop(orphan);
    } else {
        waiting::keep(Box::new(orphan));
    }
}

/// Frees every waiting pool whose guards are all back.
pub(crate) fn reap() {
    waiting::reap();
}

trait Waiting: Send {
    fn all_returned(&self) -> bool;
}

struct Orphan<T: Send>(NonNull<Shared<T>>);

// SAFETY: an orphan owns the pool, whose values are `Send`.
unsafe impl<T: Send> Send for Orphan<T> {}

impl<T: Send> Waiting for Orphan<T> {
    fn all_returned(&self) -> bool {
        // SAFETY: the memory is valid until this orphan is dropped.
        unsafe { self.0.as_ref() }.all_returned()
    }
}

impl<T: Send> Drop for Orphan<T> {
    fn drop(&mut self) {
        // SAFETY: dropped only when all guards are back and (`free_when_returned`) no handle is left. The last guard's
        // last touch is the count that `all_returned` has seen.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

#[cfg(not(mycelia_loom))]
mod waiting {
    use mycelia_core::contain;
    use mycelia_core::sync::Mutex;

    use super::Waiting;

    static WAITING: Mutex<Vec<Box<dyn Waiting>>> = Mutex::new(Vec::new());

    pub(super) fn keep(orphan: Box<dyn Waiting>) {
        WAITING.lock().push(orphan);
    }

    pub(super) fn reap() {
        // Frees outside the lock: a value's drop may drop another pool.
        let returned: Vec<_> = WAITING.lock().extract_if(.., |orphan| orphan.all_returned()).collect();
        // A panic is no affair of the pool that happens to be built or dropped; it has been printed by the panic hook.
        let _ = contain(|| drop(returned));
    }
}

/// In a model every guard is back before the pool is dropped; a story that breaks this fails.
#[cfg(mycelia_loom)]
mod waiting {
    use super::Waiting;

    pub(super) fn keep(orphan: Box<dyn Waiting>) {
        std::mem::forget(orphan);
        assert!(std::thread::panicking(), "a model dropped a pool with guards out");
    }

    pub(super) fn reap() {}
}
