//! What is always ready lets others run.
#![cfg(not(mycelia_loom))]

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Wake, Waker};

use mycelia_queue::{Channel, OverflowPolicy};

struct Count(AtomicU32);
impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// How often a future has to be polled; each time but the last it has woken itself.
fn polls(future: impl Future) -> u32 {
    let count = Arc::new(Count(AtomicU32::new(0)));
    let waker = Waker::from(Arc::clone(&count));
    let mut future = pin!(future);
    let mut polls = 1;
    while future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
        assert_eq!(count.0.load(Ordering::SeqCst), polls, "it sleeps");
        polls += 1;
    }
    polls
}

#[test]
fn sends_and_receives_that_are_always_ready_wait_once_in_128() {
    let channel = Channel::new(1000, OverflowPolicy::Error);
    let sends = polls(async {
        for n in 0..1000 {
            channel.send(n).await.unwrap();
        }
    });
    assert_eq!(sends, 1 + 1000 / 129, "{sends}");
    let receives = polls(async {
        for n in 0..1000 {
            assert_eq!(channel.recv().await, Some(n), "none is lost, and all are in order");
        }
    });
    assert_eq!(receives, 1 + 1000 / 129, "{receives}");
}

#[test]
fn a_closed_channel_is_always_ready_too() {
    let channel = Channel::new(1, OverflowPolicy::Error);
    channel.close();
    let refused = polls(async {
        for n in 0..1000 {
            channel.send(n).await.unwrap_err();
        }
    });
    assert_eq!(refused, 1 + 1000 / 129, "{refused}");
    let ends = polls(async {
        for _ in 0..1000 {
            assert_eq!(channel.recv().await, None);
        }
    });
    assert_eq!(ends, 1 + 1000 / 129, "{ends}");
}
