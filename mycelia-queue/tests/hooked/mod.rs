//! Wakers that call back, for tests of what runs under a lock; and a watchdog that makes a deadlock a failure.
#![allow(dead_code, reason = "each test uses some of it")]

use std::cell::Cell;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::task::{RawWaker, RawWakerVTable, Waker};
use std::thread;
use std::time::Duration;

/// A call of a waker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Clone,
    Wake,
    Drop,
}

/// The calls of a waker that were made so far.
#[derive(Default)]
pub(crate) struct Calls([AtomicUsize; 3]);

impl Calls {
    pub(crate) fn of(&self, call: Call) -> usize {
        self.0[call as usize].load(Ordering::SeqCst)
    }

    /// Fails unless the waker was cloned, woken and dropped.
    pub(crate) fn assert_all(&self) {
        for call in [Call::Clone, Call::Wake, Call::Drop] {
            assert!(self.of(call) > 0, "the waker never saw {call:?}");
        }
    }
}

struct Hooked {
    calls: Arc<Calls>,
    hook: Box<dyn Fn(Call) + Send + Sync>,
}

thread_local! {
    /// A hook runs: what it does to wakers itself calls no hook.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Runs code of a user, once on a stack.
pub(crate) fn once(hook: impl FnOnce()) {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            INSIDE.set(false);
        }
    }
    if !INSIDE.replace(true) {
        let _reset = Reset;
        hook();
    }
}

impl Hooked {
    fn call(&self, call: Call) {
        self.calls.0[call as usize].fetch_add(1, Ordering::SeqCst);
        once(|| (self.hook)(call));
    }
}

/// A waker that runs this with every call.
pub(crate) fn waker(hook: impl Fn(Call) + Send + Sync + 'static) -> (Waker, Arc<Calls>) {
    let calls = Arc::new(Calls::default());
    let hooked = Arc::new(Hooked { calls: Arc::clone(&calls), hook: Box::new(hook) });
    // SAFETY: the table below treats the pointer as one count of the `Arc`, which is `Send` and `Sync`.
    (unsafe { Waker::from_raw(raw(hooked)) }, calls)
}

fn raw(hooked: Arc<Hooked>) -> RawWaker {
    static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_one);
    RawWaker::new(Arc::into_raw(hooked).cast(), &TABLE)
}

unsafe fn clone(hooked: *const ()) -> RawWaker {
    let hooked = hooked.cast::<Hooked>();
    // SAFETY: the caller's waker has a count.
    unsafe { &*hooked }.call(Call::Clone);
    // SAFETY: as above; the new count is the new waker's.
    unsafe {
        Arc::increment_strong_count(hooked);
        raw(Arc::from_raw(hooked))
    }
}

unsafe fn wake(hooked: *const ()) {
    // SAFETY: the waker's own count, given up here.
    unsafe { Arc::from_raw(hooked.cast::<Hooked>()) }.call(Call::Wake);
}

unsafe fn wake_by_ref(hooked: *const ()) {
    // SAFETY: the caller's waker has a count.
    unsafe { &*hooked.cast::<Hooked>() }.call(Call::Wake);
}

unsafe fn drop_one(hooked: *const ()) {
    // SAFETY: the waker's own count, given up here.
    unsafe { Arc::from_raw(hooked.cast::<Hooked>()) }.call(Call::Drop);
}

/// A value that runs something when it is dropped.
pub(crate) struct OnDrop(pub(crate) Option<Box<dyn FnOnce() + Send + Sync>>);

impl OnDrop {
    pub(crate) fn new(hook: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(hook)))
    }
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        if let Some(hook) = self.0.take() {
            once(hook);
        }
    }
}

/// Long enough for the slowest machine: only a deadlock takes longer.
const WATCHDOG: Duration = Duration::from_secs(60);

/// Plays a scene on a thread of its own. A scene that does not end fails.
pub(crate) fn play(name: &str, scene: impl FnOnce() + Send + 'static) {
    let (done, is_done) = channel::<()>();
    let thread = thread::spawn(move || {
        let _done = done;
        scene();
    });
    match is_done.recv_timeout(WATCHDOG) {
        Err(RecvTimeoutError::Timeout) => panic!("`{name}` hangs: code of the user runs under a lock"),
        Ok(()) | Err(RecvTimeoutError::Disconnected) => {
            thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
    }
}
