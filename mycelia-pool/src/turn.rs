//! Turns: one thread at a time, but for what that thread calls itself.

use mycelia_core::sync::atomic::{AtomicUsize, Ordering};
use mycelia_core::sync::{Mutex, MutexGuard, thread_local};

#[cfg(not(mycelia_loom))]
thread_local! {
    /// Its address is the name of the thread.
    static THREAD: u8 = const { 0 };
}
#[cfg(mycelia_loom)]
thread_local! {
    static THREAD: u8 = 0;
}

/// A lock that code of a user runs below, which may come back here.
pub(crate) struct Turn {
    lock: Mutex<()>,
    /// The thread that has the lock; 0 if none has.
    holder: AtomicUsize,
}

/// A turn, until it is dropped.
pub(crate) struct MyTurn<'a> {
    holder: &'a AtomicUsize,
    _guard: MutexGuard<'a, ()>,
}

impl Turn {
    pub(crate) fn new() -> Self {
        Self { lock: Mutex::new(()), holder: AtomicUsize::new(0) }
    }

    /// Waits for the turn. `None`, at once, if this thread has it already (or is past its destructors).
    pub(crate) fn wait(&self) -> Option<MyTurn<'_>> {
        let own = THREAD.try_with(|thread| std::ptr::from_ref(thread).addr()).ok()?;
        // Relaxed, here and below: only this thread ever writes its own name, and takes it back.
        if self.holder.load(Ordering::Relaxed) == own {
            return None;
        }
        let guard = self.lock.lock();
        self.holder.store(own, Ordering::Relaxed);
        Some(MyTurn { holder: &self.holder, _guard: guard })
    }
}

impl Drop for MyTurn<'_> {
    fn drop(&mut self) {
        self.holder.store(0, Ordering::Relaxed);
    }
}
