//! Waiting for a future in a thread that has no async runtime.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use crate::deadline;

/// Wakes a thread. It says so in a flag of its own, because code that is polled may park the thread as well (a channel of std's does
/// while it waits), and would then take the one token that a parked thread is woken by.
struct Unpark {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Release, with the Acquire in `block_on`: what was done before the wake-up is seen by the poll after it.
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let unpark = Arc::new(Unpark { thread: thread::current(), woken: AtomicBool::new(false) });
    let waker = Waker::from(Arc::clone(&unpark));
    let _blocked = deadline::blocked();
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        // Acquire, with the Release in `wake_by_ref`.
        while !unpark.woken.swap(false, Ordering::Acquire) {
            thread::park();
        }
    }
}

#[cfg(all(test, not(mycelia_loom)))]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_wake_up_is_heard_though_the_future_parks_the_thread() {
        let mut polls = 0;
        block_on(std::future::poll_fn(|task| {
            polls += 1;
            if polls == 2 {
                return Poll::Ready(());
            }
            task.waker().wake_by_ref();
            // Takes the token, as a channel does that waits.
            thread::park();
            let (sender, receiver) = mpsc::channel();
            let late = thread::spawn(move || sender.send(()));
            receiver.recv().unwrap();
            late.join().unwrap().unwrap();
            Poll::Pending
        }));
        assert_eq!(polls, 2);
    }
}
