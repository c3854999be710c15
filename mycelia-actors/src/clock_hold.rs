//! A paused clock, and a thread that its tokio does not know of.
//!
//! Tokio advances a paused clock as soon as it has nothing to do itself, unless a closure of `spawn_blocking` runs. A subsystem on a thread
//! of its own is work that tokio does not see: every timeout would be over before the subsystem had looked at its first message. So from
//! a wake-up of the subsystem until it waits again, such a closure waits, too.
//!
//! ```text
//!  wake ──▶ hold: a closure waits ──▶ thread polls ──▶ pending, and not woken meanwhile ──▶ the closure ends
//! ```
//!
//! Clocks are paused in tests only, and in tokios of one thread only; all others pay nothing, or a look at the clock a wake-up.

use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::task::{Context as Task, Poll, Wake, Waker};

use mycelia_core::contain;
use mycelia_core::sync::Mutex;
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::sweeper::is_paused;

/// Holds a paused clock while a thread has something to do.
pub(crate) struct ClockHold {
    tokio: Handle,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Of the thread.
    waker: Option<Waker>,
    /// The future was woken since its last poll began.
    is_woken: bool,
    /// The closure waits for the drop of this.
    hold: Option<mpsc::Sender<()>>,
    /// The future or the tokio is gone: nothing is held any more.
    is_over: bool,
}

impl ClockHold {
    /// A hold on the clock of this tokio, for work that begins now; `None`, if its clock cannot be paused.
    pub(crate) fn begin(tokio: &Handle) -> Option<Arc<Self>> {
        if tokio.runtime_flavor() != RuntimeFlavor::CurrentThread {
            return None;
        }
        let new = Arc::new(Self { tokio: tokio.clone(), state: Mutex::default() });
        new.hold();
        Some(new)
    }

    fn hold(&self) {
        let is_needed = {
            let state = self.state.lock();
            !state.is_over && state.hold.is_none()
        };
        // Where a thread ends, it has no tokio any more.
        let is_paused = || contain(|| is_paused_on(&self.tokio)).unwrap_or(false);
        if !is_needed || !is_paused() {
            return;
        }
        let (hold, released) = mpsc::channel();
        self.tokio.spawn_blocking(move || released.recv());
        let mut state = self.state.lock();
        // One that is not needed after all is dropped, and its closure ends.
        if !state.is_over && state.hold.is_none() {
            state.hold = Some(hold);
        }
    }

    fn begin_poll(&self, waker: &Waker) {
        let mut state = self.state.lock();
        state.is_woken = false;
        // The waker is tokio's own, and no code of a user.
        if !state.waker.as_ref().is_some_and(|old| old.will_wake(waker)) {
            state.waker = Some(waker.clone());
        }
    }

    /// The future waits, and the clock may go on; unless the future was woken meanwhile.
    fn end_poll(&self) {
        let mut state = self.state.lock();
        let hold = if state.is_woken { None } else { state.hold.take() };
        drop(state);
        drop(hold);
    }

    /// Lets the clock go on for ever: a tokio that goes away waits for its closures.
    pub(crate) fn end(&self) {
        let mut state = self.state.lock();
        state.is_over = true;
        let left = (state.hold.take(), state.waker.take());
        drop(state);
        drop(left);
    }
}

fn is_paused_on(tokio: &Handle) -> bool {
    let _inside = tokio.enter();
    is_paused()
}

impl Wake for ClockHold {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let waker = {
            let mut state = self.state.lock();
            state.is_woken = true;
            state.waker.clone()
        };
        // Before the thread, which lets go when it has nothing to do.
        self.hold();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

pin_project_lite::pin_project! {
    /// A future that holds the clock of a tokio while it is woken or polled.
    pub(crate) struct Holding<F> {
        clock: Ended,
        waker: Waker,
        #[pin]
        inner: F,
    }
}

/// Ends the hold when it is dropped.
struct Ended(Arc<ClockHold>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl<F> Holding<F> {
    pub(crate) fn new(clock: Arc<ClockHold>, inner: F) -> Self {
        Self { waker: Waker::from(Arc::clone(&clock)), clock: Ended(clock), inner }
    }
}

impl<F: Future<Output = ()>> Future for Holding<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<()> {
        let this = self.project();
        let clock = &this.clock.0;
        clock.begin_poll(task.waker());
        let poll = this.inner.poll(&mut Task::from_waker(this.waker));
        clock.end_poll();
        poll
    }
}
