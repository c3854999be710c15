//! The queue with waiting on both sides.
#![cfg(not(mycelia_loom))]

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use mycelia_queue::{Channel, OverflowPolicy, PushError, Pushed, SendError};

/// Counts its wake-ups.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Bell {
    fn rings(&self) -> usize {
        self.0.swap(0, Ordering::SeqCst)
    }
}

/// A large queue; small where every step is slow.
const BURST: u32 = if cfg!(miri) { 2_000 } else { 100_000 };

fn poll<F: Future + Unpin>(future: &mut F, bell: &Arc<Bell>) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(&Waker::from(Arc::clone(bell))))
}

fn receive<T>(channel: &Channel<T>, bell: &Arc<Bell>, limit: usize) -> Poll<Vec<T>> {
    let mut batch = VecDeque::new();
    let waker = Waker::from(Arc::clone(bell));
    channel.poll_recv_many(&mut Context::from_waker(&waker), &mut batch, limit).map(|_| batch.into())
}

fn full(policy: OverflowPolicy) -> Channel<u32> {
    let channel = Channel::new(2, policy);
    channel.push(1).unwrap();
    channel.push(2).unwrap();
    channel
}

#[test]
fn the_receiver_is_woken_on_the_edge_only() {
    let (channel, bell) = (Channel::new(8, OverflowPolicy::Error), Arc::default());
    channel.push(0).unwrap();
    assert_eq!(receive(&channel, &bell, 8), Poll::Ready(vec![0]));
    assert_eq!(bell.rings(), 0, "nobody waited");
    assert_eq!(receive(&channel, &bell, 8), Poll::Pending);
    (1..4).for_each(|item| assert_eq!(channel.push(item), Ok(Pushed::Queued)));
    assert_eq!(bell.rings(), 1, "one wake-up for three items");
    assert_eq!(receive(&channel, &bell, 2), Poll::Ready(vec![1, 2]));
    channel.push(4).unwrap();
    assert_eq!(bell.rings(), 0);
    assert_eq!(receive(&channel, &bell, 8), Poll::Ready(vec![3, 4]));
}

#[test]
fn senders_wait_and_are_let_in_in_order_under_every_policy() {
    for policy in [OverflowPolicy::DropOldest, OverflowPolicy::DropNewest, OverflowPolicy::Error] {
        let channel = full(policy);
        let bells: [Arc<Bell>; 3] = Default::default();
        let mut sends = [channel.send(3), channel.send(4), channel.send(5)];
        for (send, bell) in sends.iter_mut().zip(&bells) {
            assert!(poll(send, bell).is_pending());
        }
        assert_eq!(receive(&channel, &bells[0], 2), Poll::Ready(vec![1, 2]));
        assert_eq!(bells.each_ref().map(|bell| bell.rings()), [1, 1, 0], "as many as there was room for");
        assert_eq!(poll(&mut sends[2], &bells[2]), Poll::Pending);
        assert_eq!(poll(&mut sends[0], &bells[0]), Poll::Ready(Ok(())));
        assert_eq!(receive(&channel, &bells[0], 9), Poll::Ready(vec![3, 4]));
        assert_eq!(poll(&mut sends[1], &bells[1]), Poll::Ready(Ok(())));
        assert_eq!(poll(&mut sends[2], &bells[2]), Poll::Ready(Ok(())));
        assert_eq!(receive(&channel, &bells[0], 9), Poll::Ready(vec![5]));
    }
}

#[test]
fn while_senders_wait_a_push_finds_the_queue_full() {
    let (channel, bell) = (full(OverflowPolicy::DropOldest), Arc::default());
    let mut send = channel.send(3);
    assert!(poll(&mut send, &bell).is_pending());
    assert_eq!(channel.push(4), Ok(Pushed::Evicted(1)));
    assert_eq!(receive(&channel, &bell, 1), Poll::Ready(vec![2]));
    assert_eq!(channel.push(5), Ok(Pushed::Evicted(4)), "the freed room went to the sender");
    assert_eq!(receive(&channel, &bell, 9), Poll::Ready(vec![3, 5]));
}

#[test]
fn a_dropped_send_leaves_no_trace() {
    let (channel, bell) = (full(OverflowPolicy::Error), Arc::default());
    let before = channel.stats();
    let mut first = channel.send(3);
    let mut second = channel.send(4);
    let mut third = channel.send(5);
    assert!(poll(&mut first, &bell).is_pending());
    assert!(poll(&mut second, &bell).is_pending());
    assert!(poll(&mut third, &bell).is_pending());
    assert_eq!(channel.stats().waiting, 3);
    drop(second);
    assert_eq!(first.cancel(), Some(3));
    assert_eq!(channel.stats().waiting, 1);
    drop(third);
    assert_eq!(channel.stats(), before);
    assert_eq!(receive(&channel, &bell, 9), Poll::Ready(vec![1, 2]));
}

#[test]
fn a_send_that_was_let_in_cannot_be_cancelled_any_more() {
    let (channel, bell) = (full(OverflowPolicy::Error), Arc::default());
    let mut send = channel.send(3);
    assert!(poll(&mut send, &bell).is_pending());
    assert_eq!(receive(&channel, &bell, 1), Poll::Ready(vec![1]));
    assert_eq!(send.cancel(), None);
    assert_eq!(receive(&channel, &bell, 9), Poll::Ready(vec![2, 3]));
}

#[test]
fn closing_gives_waiting_senders_their_items_back() {
    let (channel, bell) = (full(OverflowPolicy::Error), Arc::default());
    let mut send = channel.send(3);
    assert!(poll(&mut send, &bell).is_pending());
    channel.close();
    assert_eq!(bell.rings(), 1);
    assert_eq!(poll(&mut send, &bell), Poll::Ready(Err(SendError(3))));
    assert_eq!(poll(&mut channel.send(4), &bell), Poll::Ready(Err(SendError(4))));
    assert_eq!(channel.push(5), Err(PushError::Closed { item: 5 }));
    assert_eq!(receive(&channel, &bell, 9), Poll::Ready(vec![1, 2]));
    assert_eq!(receive(&channel, &bell, 9), Poll::Ready(vec![]), "the end");
    let stats = channel.stats();
    assert_eq!((stats.pushed, stats.popped, stats.refused), (5, 2, 3));
}

#[test]
fn closing_wakes_a_receiver_that_waits() {
    let (channel, bell) = (Channel::<u32>::new(1, OverflowPolicy::Error), Arc::default());
    assert!(receive(&channel, &bell, 1).is_pending());
    channel.close();
    assert_eq!(bell.rings(), 1);
}

#[test]
fn a_send_polled_with_another_waker_wakes_that_one() {
    let (channel, [old, new]) = (full(OverflowPolicy::Error), <[Arc<Bell>; 2]>::default());
    let mut send = channel.send(3);
    assert!(poll(&mut send, &old).is_pending());
    assert!(poll(&mut send, &new).is_pending());
    assert!(receive(&channel, &old, 1).is_ready());
    assert_eq!((old.rings(), new.rings()), (0, 1));
}

#[test]
fn more_senders_than_are_woken_in_one_turn_all_get_in() {
    let (channel, bell) = (Channel::new(100, OverflowPolicy::Error), Arc::default());
    (0..100).for_each(|item| assert!(channel.push(item).is_ok()));
    let mut sends: Vec<_> = (100..200).map(|item| channel.send(item)).collect();
    sends.iter_mut().for_each(|send| assert!(poll(send, &bell).is_pending()));
    assert_eq!(receive(&channel, &bell, 100), Poll::Ready((0..100).collect()));
    assert_eq!(bell.rings(), 100);
    assert_eq!(receive(&channel, &bell, 100), Poll::Ready((100..200).collect()));
}

#[test]
fn a_channel_without_capacity_sends_nothing_rather_than_waiting_for_ever() {
    let (channel, bell) = (Channel::new(0, OverflowPolicy::Error), Arc::default());
    assert_eq!(poll(&mut channel.send(1), &bell), Poll::Ready(Err(SendError(1))));
}

#[test]
fn memory_of_a_burst_is_given_back_when_the_receiver_finds_nothing() {
    let (channel, bell) = (Channel::new(BURST as usize, OverflowPolicy::Error), Arc::default());
    (0..BURST).for_each(|item| assert!(channel.push(item).is_ok()));
    assert_eq!(receive(&channel, &bell, usize::MAX).map(|all| all.len()), Poll::Ready(BURST as usize));
    assert_eq!(channel.stats().allocated, BURST as usize);
    assert!(receive(&channel, &bell, 1).is_pending());
    assert_eq!(channel.stats().allocated, 0);
}

/// The room left after a burst, when one item at a time has come this often since.
fn room_after(channel: &Channel<u32>, bell: &Arc<Bell>, quiet: u32) -> usize {
    (0..1000).for_each(|item| assert!(channel.push(item).is_ok()));
    assert!(receive(channel, bell, usize::MAX).is_ready());
    for _ in 0..quiet {
        assert!(receive(channel, bell, usize::MAX).is_pending());
        channel.push(1).unwrap();
        assert!(receive(channel, bell, usize::MAX).is_ready());
    }
    assert!(receive(channel, bell, usize::MAX).is_pending());
    channel.stats().allocated
}

#[test]
fn memory_of_a_small_burst_is_given_back_when_little_comes_after_it() {
    let (channel, bell) = (Channel::new(1000, OverflowPolicy::Error), Arc::default());
    assert_eq!(room_after(&channel, &bell, 0), 1000, "the next burst may come at once");
    assert_eq!(room_after(&channel, &bell, 1), 0);
}

#[test]
fn bursts_that_come_again_and_again_keep_their_memory() {
    let (channel, bell) = (Channel::new(1000, OverflowPolicy::Error), Arc::default());
    let given_back = (0..100).filter(|_| room_after(&channel, &bell, 1) == 0).count();
    // (More than once if somewhere a second goes by.)
    assert!((1..10).contains(&given_back), "{given_back} of a hundred times");
    // When they have stopped it goes all the same.
    assert!(room_after(&channel, &bell, 128) <= 4);
}

#[test]
fn a_sender_that_left_before_it_was_woken_leaves_its_turn_to_nobody() {
    let channel = Channel::with_low_water(2, OverflowPolicy::Error, 0);
    let bells: [Arc<Bell>; 4] = Default::default();
    let receiver = Arc::default();
    channel.push(0).unwrap();
    channel.push(0).unwrap();
    let mut sends: Vec<_> = (1..4).map(|item| channel.send(item)).collect();
    for (send, bell) in sends.iter_mut().zip(&bells) {
        assert!(poll(send, bell).is_pending());
    }
    // Two are let in, and not woken yet. The first learns of it by itself, and another takes its key.
    assert!(receive(&channel, &receiver, 2).is_ready());
    assert_eq!(poll(&mut sends[0], &bells[0]), Poll::Ready(Ok(())));
    let mut late = channel.send(4);
    assert!(poll(&mut late, &bells[3]).is_pending());
    channel.wake_senders();
    assert_eq!(bells.each_ref().map(|bell| bell.rings()), [0, 1, 0, 0]);
}

#[test]
fn a_forgotten_receiver_keeps_nothing_alive() {
    let (channel, bell) = (Channel::<u32>::new(1, OverflowPolicy::Error), Arc::<Bell>::default());
    assert!(receive(&channel, &bell, 1).is_pending());
    assert_eq!(Arc::strong_count(&bell), 2);
    channel.forget_receiver();
    assert_eq!(Arc::strong_count(&bell), 1);
}

#[test]
fn with_low_water_senders_are_let_in_at_once_and_woken_late() {
    let channel = Channel::with_low_water(4, OverflowPolicy::Error, 2);
    (0..4).for_each(|item| assert_eq!(channel.push(item), Ok(Pushed::Queued)));
    let (bells, receiver): ([Arc<Bell>; 3], Arc<Bell>) = Default::default();
    let mut sends = [channel.send(4), channel.send(5), channel.send(6)];
    for (send, bell) in sends.iter_mut().zip(&bells) {
        assert!(poll(send, bell).is_pending());
    }
    assert_eq!(receive(&channel, &receiver, 2), Poll::Ready(vec![0, 1]));
    assert_eq!((channel.len(), channel.stats().waiting), (4, 1), "let in");
    assert_eq!(bells.each_ref().map(|bell| bell.rings()), [0, 0, 0], "but not woken");
    assert_eq!(poll(&mut sends[0], &bells[0]), Poll::Ready(Ok(())), "who asks is told");
    assert_eq!(receive(&channel, &receiver, 3), Poll::Ready(vec![2, 3, 4]));
    assert_eq!(bells.each_ref().map(|bell| bell.rings()), [0, 1, 1], "two items are left");
    assert_eq!(receive(&channel, &receiver, 9), Poll::Ready(vec![5, 6]));
}

#[test]
fn late_wakes_come_when_the_receiver_says_so_and_at_close() {
    for close in [false, true] {
        let channel = Channel::with_low_water(4, OverflowPolicy::Error, 0);
        (0..4).for_each(|item| assert_eq!(channel.push(item), Ok(Pushed::Queued)));
        let (bells, receiver): ([Arc<Bell>; 40], Arc<Bell>) =
            (std::array::from_fn(|_| Arc::default()), Arc::default());
        let mut sends: Vec<_> = (4..44).map(|item| channel.send(item)).collect();
        for (send, bell) in sends.iter_mut().zip(&bells) {
            assert!(poll(send, bell).is_pending());
        }
        assert_eq!(receive(&channel, &receiver, 3), Poll::Ready(vec![0, 1, 2]));
        let rings = || bells.iter().map(|bell| bell.rings()).sum::<usize>();
        assert_eq!(rings(), 0);
        if close {
            channel.close();
            assert_eq!(rings(), 40, "three were let in, the others refused");
        } else {
            channel.wake_senders();
            assert_eq!(rings(), 3);
            channel.wake_senders();
            assert_eq!(rings(), 0, "once is enough");
        }
        let polls = sends.iter_mut().zip(&bells).map(|(send, bell)| poll(send, bell));
        assert_eq!(polls.filter(|poll| *poll == Poll::Ready(Ok(()))).count(), 3);
    }
}

#[test]
fn a_let_in_sender_is_woken_when_all_before_it_have_been_taken() {
    let channel = Channel::with_low_water(4, OverflowPolicy::Error, 0);
    (0..4).for_each(|item| assert_eq!(channel.push(item), Ok(Pushed::Queued)));
    let (bell, receiver) = (Arc::<Bell>::default(), Arc::<Bell>::default());
    let mut send = channel.send(4);
    assert!(poll(&mut send, &bell).is_pending());
    // Others keep the queue above its low water.
    for item in 5..=9 {
        assert_eq!(bell.rings(), 0, "before item {item}");
        assert!(receive(&channel, &receiver, 1).is_ready());
        let _ = channel.push(item);
    }
    assert_eq!(bell.rings(), 1);
}

#[test]
fn senders_that_learn_the_outcome_by_themselves_leave_no_waker_behind() {
    let channel = Channel::with_low_water(4, OverflowPolicy::Error, 2);
    (0..4).for_each(|item| assert_eq!(channel.push(item), Ok(Pushed::Queued)));
    let (bell, receiver) = (Arc::<Bell>::default(), Arc::<Bell>::default());
    for item in 0..100 {
        let mut send = channel.send(item);
        assert!(poll(&mut send, &bell).is_pending());
        assert!(receive(&channel, &receiver, 1).is_ready());
        assert_eq!(poll(&mut send, &bell), Poll::Ready(Ok(())));
    }
    assert_eq!(Arc::strong_count(&bell), 1);
}

#[test]
fn draining_lets_waiting_senders_in() {
    let (channel, bell) = (full(OverflowPolicy::Error), Arc::default());
    let mut send = channel.send(3);
    assert!(poll(&mut send, &bell).is_pending());
    assert_eq!(channel.drain(), [1, 2]);
    assert_eq!(bell.rings(), 1);
    assert_eq!((poll(&mut send, &bell), channel.len()), (Poll::Ready(Ok(())), 1));
}

#[test]
fn a_waker_that_panics_takes_no_wake_up_from_others() {
    struct Cracked;
    impl Wake for Cracked {
        fn wake(self: Arc<Self>) {
            panic!("in the waker");
        }
    }
    let (channel, bell) = (full(OverflowPolicy::Error), Arc::default());
    let (mut first, mut second) = (channel.send(3), channel.send(4));
    let cracked = Waker::from(Arc::new(Cracked));
    assert!(Pin::new(&mut first).poll(&mut Context::from_waker(&cracked)).is_pending());
    assert!(poll(&mut second, &bell).is_pending());
    channel.close();
    assert_eq!(bell.rings(), 1);
}
