//! No code of a user runs under the queue's locks: wakers and items that call back, and that panic.
#![cfg(not(mycelia_loom))]

mod hooked;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use hooked::{Call, OnDrop, play, waker};
use mycelia_queue::{BoundedQueue, Channel, OverflowPolicy};

type Numbers = Arc<Channel<u32>>;

/// Uses all that a channel has.
fn use_it(channel: &Channel<u32>) {
    let _ = (channel.len(), channel.stats(), channel.is_idle(), format!("{channel:?}"));
    channel.wake_senders();
    let _ = channel.push(100);
    let task = &mut Context::from_waker(Waker::noop());
    let _ = pin!(channel.send(101)).poll(task);
    let _ = channel.is_waiting(0);
}

fn receive(channel: &Channel<u32>, waker: &Waker) -> Poll<usize> {
    channel.poll_recv_many(&mut Context::from_waker(waker), &mut VecDeque::new(), 1)
}

#[test]
fn a_receivers_waker_may_use_the_channel() {
    for end in 0..3 {
        play("receiver", move || {
            let channel: Numbers = Arc::new(Channel::new(8, OverflowPolicy::Error));
            let own = Arc::clone(&channel);
            // A few times: a receiver that finds something does not wait.
            let times = AtomicUsize::new(0);
            let (first, calls) = waker(move |_| {
                let _ = (own.len(), own.stats(), own.is_idle());
                if times.fetch_add(1, Ordering::Relaxed) < 3 {
                    use_it(&own);
                }
            });
            // What the hook has pushed is taken; then the receiver waits.
            while receive(&channel, &first).is_ready() {}
            channel.push(1).unwrap();
            while receive(&channel, &first).is_ready() {}
            channel.wake_receiver();
            while receive(&channel, Waker::noop()).is_ready() {}
            while receive(&channel, &first).is_ready() {}
            channel.register_receiver(Waker::noop());
            channel.register_receiver(&first);
            match end {
                0 => channel.forget_receiver(),
                1 => channel.close(),
                _ => assert!(channel.close_if_idle()),
            }
            drop(first);
            calls.assert_all();
        });
    }
}

#[test]
fn a_senders_waker_may_use_the_channel() {
    play("senders", || {
        let channel: Numbers = Arc::new(Channel::new(1, OverflowPolicy::Error));
        let own = Arc::clone(&channel);
        let (hooked, calls) = waker(move |_| use_it(&own));
        let (other, others) = waker({
            let own = Arc::clone(&channel);
            move |_| use_it(&own)
        });
        channel.push(0).unwrap();
        let mut sends: Vec<_> = (0..6).map(|number| channel.send(number)).collect();
        let mut poll =
            |at: usize, waker: &Waker| Pin::new(&mut sends[at]).poll(&mut Context::from_waker(waker));
        (0..6).for_each(|at| assert!(poll(at, &hooked).is_pending()));
        // Another waker, and back.
        assert!(poll(1, &other).is_pending());
        assert!(poll(1, &hooked).is_pending());
        // Let in and woken; let in by a drain; gives up; refused by a close to outside; by a close.
        assert!(receive(&channel, Waker::noop()).is_ready());
        assert_eq!(poll(0, &hooked), Poll::Ready(Ok(())));
        drop(channel.drain());
        drop(sends.pop());
        channel.close_to_outside();
        channel.close();
        drop((sends, hooked, other));
        calls.assert_all();
        assert!(others.of(Call::Clone) > 0 && others.of(Call::Drop) > 0);
    });
}

#[test]
fn items_may_use_the_channel_when_they_are_dropped() {
    for policy in [OverflowPolicy::DropOldest, OverflowPolicy::DropNewest, OverflowPolicy::Error] {
        play("items", move || {
            let channel = Arc::new(Channel::<OnDrop>::new(1, policy));
            let queue = Arc::new(BoundedQueue::<OnDrop>::new(1, policy));
            let item = || {
                let (channel, queue) = (Arc::clone(&channel), Arc::clone(&queue));
                OnDrop::new(move || {
                    let _ = (channel.stats(), queue.stats(), channel.pop_now(), queue.pop());
                    drop((channel.push(OnDrop(None)), queue.push(OnDrop(None))));
                })
            };
            for _ in 0..3 {
                drop((channel.push(item()), queue.push(item())));
            }
            let many = || [item(), item(), item()].into();
            channel.push_many(&mut many());
            queue.push_many(&mut many());
            let mut send = channel.send(item());
            assert!(Pin::new(&mut send).poll(&mut Context::from_waker(Waker::noop())).is_pending());
            drop(send);
            drop((channel.drain(), queue.pop()));
            channel.close();
            queue.close();
            drop((channel.push(item()), queue.push(item())));
        });
    }
}

trait PopNow<T> {
    fn pop_now(&self) -> Option<T>;
}

impl<T> PopNow<T> for Channel<T> {
    fn pop_now(&self) -> Option<T> {
        let mut batch = VecDeque::new();
        let _ = self.poll_recv_many(&mut Context::from_waker(Waker::noop()), &mut batch, 1);
        batch.pop_front()
    }
}

/// A waker that panics leaves the channel as it is without the panic; only the task whose waker that is may see it.
#[test]
fn a_waker_that_panics_leaves_nothing_half_done() {
    play("panics", || {
        for bad in [Call::Clone, Call::Wake, Call::Drop] {
            let channel: Numbers = Arc::new(Channel::new(1, OverflowPolicy::Error));
            let (cracked, calls) = waker(move |call| assert_ne!(call, bad, "on purpose"));
            let own = |work: &mut dyn FnMut()| _ = catch_unwind(AssertUnwindSafe(work));
            // Its own task may see the panic.
            own(&mut || _ = receive(&channel, &cracked));
            // Others do not.
            channel.push(1).unwrap();
            channel.wake_receiver();
            channel.forget_receiver();
            let mut send = channel.send(2);
            own(&mut || _ = Pin::new(&mut send).poll(&mut Context::from_waker(&cracked)));
            assert_eq!(channel.pop_now(), Some(1));
            drop(send);
            let _ = channel.pop_now();
            assert!(receive(&channel, Waker::noop()).is_pending());
            channel.push(3).unwrap();
            assert_eq!(channel.pop_now(), Some(3));
            assert!(calls.of(bad) > 0, "{bad:?}");
            std::mem::forget(cracked);
        }
    });
}

/// A receiver that is polled inside of its own wake-up, as by an executor that runs a task where it is woken.
#[test]
fn a_wake_up_may_run_the_receiver() {
    play("inline", || {
        let channel: Numbers = Arc::new(Channel::new(8, OverflowPolicy::Error));
        let got = Arc::new(std::sync::Mutex::new(Vec::new()));
        let (own, list) = (Arc::clone(&channel), Arc::clone(&got));
        let (other, others) = waker(|_| {});
        let (inline, _) = waker(move |call| {
            if call == Call::Wake {
                list.lock().unwrap().extend(own.pop_now());
                // It waits again, with another waker.
                assert!(receive(&own, &other).is_pending());
            }
        });
        assert!(receive(&channel, &inline).is_pending());
        channel.push(1).unwrap();
        assert_eq!(*got.lock().unwrap(), [1]);
        channel.push(2).unwrap();
        assert_eq!(others.of(Call::Wake), 1, "the waker that was registered last");
    });
}
