//! Two or three threads, two or three steps, every order in which they can meet. Run by `cargo loom`.
#![cfg(mycelia_loom)]

use loom::future::block_on;
use loom::sync::Arc;
use loom::thread;
use mycelia_core::seeded::scene_fails_with;
use mycelia_queue::{BoundedQueue, Channel, OverflowPolicy, Pushed};
use std::collections::VecDeque;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

#[test]
fn a_push_wakes_the_receiver_that_just_found_nothing() {
    loom::model(|| {
        let channel = Arc::new(Channel::new(1, OverflowPolicy::Error));
        let sender = Arc::clone(&channel);
        let thread = thread::spawn(move || sender.push(1).unwrap());
        // Waits, if need be, and must be woken.
        assert_eq!(block_on(channel.recv()), Some(1));
        thread.join().unwrap();
    });
}

#[test]
fn twin_going_idle_in_two_steps_loses_the_wake_up() {
    assert!(scene_fails_with("going idle in two steps", "a_push_wakes_the_receiver_that_just_found_nothing"));
}

#[test]
fn two_evictions_take_one_item_each() {
    loom::model(|| {
        let channel = Arc::new(Channel::new(1, OverflowPolicy::DropOldest));
        channel.push(1).unwrap();
        let sender = Arc::clone(&channel);
        let thread = thread::spawn(move || sender.push(2).unwrap());
        let third = channel.push(3).unwrap();
        let second = thread.join().unwrap();
        assert!(channel.len() <= 1, "more than the capacity");
        // Each item has one fate: evicted once, or popped once.
        let mut fates: Vec<_> = [second, third]
            .into_iter()
            .filter_map(|pushed| match pushed {
                Pushed::Evicted(item) => Some(item),
                Pushed::Queued | Pushed::Discarded(_) => None,
            })
            .collect();
        fates.extend(channel.drain());
        fates.sort_unstable();
        assert_eq!(fates, [1, 2, 3]);
    });
}

#[test]
fn twin_evicting_in_two_steps_overfills_the_queue() {
    assert!(scene_fails_with("evicting in two steps", "two_evictions_take_one_item_each"));
}

#[test]
fn an_item_is_evicted_or_popped_but_not_both() {
    loom::model(|| {
        let queue = Arc::new(BoundedQueue::new(1, OverflowPolicy::DropOldest));
        queue.push(1).unwrap();
        let sender = Arc::clone(&queue);
        let thread = thread::spawn(move || sender.push(2).unwrap());
        let popped = queue.pop();
        match thread.join().unwrap() {
            Pushed::Evicted(item) => assert_eq!((item, popped), (1, Some(2))),
            Pushed::Queued => assert_eq!((popped, queue.pop()), (Some(1), Some(2))),
            Pushed::Discarded(_) => unreachable!("the policy is to evict"),
        }
    });
}

#[test]
fn twin_an_eviction_in_two_steps_beside_a_pop() {
    assert!(scene_fails_with(
        "a bounded queue that evicts in two steps",
        "an_item_is_evicted_or_popped_but_not_both"
    ));
}

#[test]
fn a_push_beside_a_close_is_refused_or_received() {
    loom::model(|| {
        let channel = Arc::new(Channel::new(2, OverflowPolicy::Error));
        let sender = Arc::clone(&channel);
        let thread = thread::spawn(move || sender.push(1).is_ok());
        channel.close();
        let mut received = 0;
        while block_on(channel.recv()).is_some() {
            received += 1;
        }
        // Accepted means received: the receiver saw the end only after the last accepted item.
        assert_eq!(thread.join().unwrap(), received == 1);
    });
}

#[test]
fn twin_looking_for_the_close_beforehand_strands_an_item() {
    assert!(scene_fails_with(
        "closed or not, looked at beforehand",
        "a_push_beside_a_close_is_refused_or_received"
    ));
}

#[test]
fn a_sender_that_gets_in_line_while_room_is_freed_is_let_in() {
    loom::model(|| {
        let channel = Arc::new(Channel::new(1, OverflowPolicy::Error));
        channel.push(1).unwrap();
        let sender = Arc::clone(&channel);
        let thread = thread::spawn(move || block_on(sender.send(2)).unwrap());
        let mut batch = VecDeque::new();
        assert_eq!(block_on(std::future::poll_fn(|cx| channel.poll_recv_many(cx, &mut batch, 8))), 1);
        assert_eq!((batch.pop_front(), block_on(channel.recv())), (Some(1), Some(2)));
        thread.join().unwrap();
    });
}

#[test]
fn twin_getting_in_line_in_two_steps_waits_for_ever() {
    assert!(scene_fails_with(
        "getting in line in two steps",
        "a_sender_that_gets_in_line_while_room_is_freed_is_let_in"
    ));
}

#[test]
fn a_sender_let_in_above_low_water_is_woken_before_the_receiver_waits_for_it() {
    loom::model(|| {
        let channel = Arc::new(Channel::with_low_water(2, OverflowPolicy::Error, 0));
        channel.push(1).unwrap();
        channel.push(2).unwrap();
        let sender = Arc::clone(&channel);
        let thread = thread::spawn(move || block_on(sender.send(3)).unwrap());
        let mut batch = VecDeque::new();
        assert_eq!(block_on(std::future::poll_fn(|cx| channel.poll_recv_many(cx, &mut batch, 1))), 1);
        channel.wake_senders();
        thread.join().unwrap();
        assert_eq!(channel.drain(), [2, 3]);
    });
}

#[test]
fn twin_senders_that_were_let_in_and_forgotten_wait_for_ever() {
    assert!(scene_fails_with(
        "senders that were let in are forgotten",
        "a_sender_let_in_above_low_water_is_woken_before_the_receiver_waits_for_it"
    ));
}

#[test]
fn a_cancelled_send_is_in_the_queue_or_given_back() {
    loom::model(|| {
        let channel = Arc::new(Channel::new(1, OverflowPolicy::Error));
        channel.push(1).unwrap();
        let receiver = Arc::clone(&channel);
        let thread = thread::spawn(move || block_on(receiver.recv()));
        let cancelled = {
            let mut send = channel.send(2);
            let poll = pin!(&mut send).poll(&mut Context::from_waker(Waker::noop()));
            match poll {
                Poll::Ready(sent) => sent.map(|()| None).unwrap(),
                Poll::Pending => send.cancel(),
            }
        };
        let other = {
            let mut send = channel.send(3);
            let poll = pin!(&mut send).poll(&mut Context::from_waker(Waker::noop()));
            (poll.is_pending(), send.cancel())
        };
        assert_eq!(thread.join().unwrap(), Some(1));
        // Cancelled or in the queue, never both and never neither; and nobody else's item was touched.
        let mut left = channel.drain();
        left.extend(cancelled);
        left.extend(other.1);
        left.make_contiguous().sort_unstable();
        assert_eq!(left, [2, 3]);
        assert_eq!(channel.stats().waiting, 0);
    });
}

#[test]
fn twin_a_sender_that_gives_up_and_stays_in_line_is_a_ghost() {
    assert!(scene_fails_with(
        "a sender that gives up stays in line",
        "a_cancelled_send_is_in_the_queue_or_given_back"
    ));
}

#[test]
fn a_waiting_sender_is_refused_when_the_channel_closes() {
    loom::model(|| {
        let channel = Arc::new(Channel::new(1, OverflowPolicy::Error));
        channel.push(1).unwrap();
        let sender = Arc::clone(&channel);
        let thread = thread::spawn(move || block_on(sender.send(2)).is_err());
        channel.close();
        // The room that is freed now is nobody's any more.
        assert_eq!((block_on(channel.recv()), block_on(channel.recv())), (Some(1), None));
        assert!(thread.join().unwrap());
    });
}

#[test]
fn twin_a_close_that_forgets_the_line_leaves_a_sender_waiting() {
    assert!(scene_fails_with(
        "a close that forgets the line",
        "a_waiting_sender_is_refused_when_the_channel_closes"
    ));
}

#[test]
fn a_channel_that_closes_to_outside_refuses_its_line_and_takes_what_is_sent_inside() {
    loom::model(|| {
        let channel = Arc::new(Channel::new(1, OverflowPolicy::Error));
        channel.push(1).unwrap();
        let sender = Arc::clone(&channel);
        let outside = thread::spawn(move || block_on(sender.send(2)).is_ok());
        channel.close_to_outside();
        let mut received = vec![block_on(channel.recv()).unwrap()];
        assert!(channel.push(3).is_err(), "from outside");
        channel.push_inside(3).unwrap();
        received.extend(channel.drain());
        assert!(!outside.join().unwrap(), "there was no room before the close");
        assert_eq!(received, [1, 3]);
    });
}

#[test]
fn twin_a_close_to_outside_that_forgets_the_line_leaves_a_sender_waiting() {
    assert!(scene_fails_with(
        "a close to outside that forgets the line",
        "a_channel_that_closes_to_outside_refuses_its_line_and_takes_what_is_sent_inside"
    ));
}

#[test]
fn what_is_sent_inside_beside_the_close_of_an_idle_channel_is_refused_or_received() {
    loom::model(|| {
        let channel = Arc::new(Channel::new(2, OverflowPolicy::Error));
        let mut batch = VecDeque::new();
        let mut receive =
            |limit| channel.poll_recv_many(&mut Context::from_waker(Waker::noop()), &mut batch, limit);
        assert!(receive(1).is_pending());
        channel.close_to_outside();
        let sender = Arc::clone(&channel);
        let inside = thread::spawn(move || sender.push_inside(1).is_ok());
        let mut received = 0;
        while !channel.close_if_idle() {
            received += usize::from(receive(1).is_ready());
        }
        assert_eq!(inside.join().unwrap(), received == 1);
        assert!(channel.is_empty(), "it was closed while an item was in it");
    });
}

#[test]
fn twin_an_idle_channel_that_is_closed_in_two_steps_strands_an_item() {
    assert!(scene_fails_with(
        "idle or not, looked at beforehand",
        "what_is_sent_inside_beside_the_close_of_an_idle_channel_is_refused_or_received"
    ));
}

#[test]
fn a_receiver_is_woken_for_other_reasons_too() {
    loom::model(|| {
        let channel = Arc::new(Channel::<u32>::new(1, OverflowPolicy::Error));
        let told = Arc::new(loom::sync::atomic::AtomicBool::new(false));
        let (other, tell) = (Arc::clone(&channel), Arc::clone(&told));
        let thread = thread::spawn(move || {
            tell.store(true, loom::sync::atomic::Ordering::Release);
            other.wake_receiver();
        });
        let mut batch = VecDeque::new();
        block_on(std::future::poll_fn(|cx| {
            channel.register_receiver(cx.waker());
            if told.load(loom::sync::atomic::Ordering::Acquire) {
                return Poll::Ready(());
            }
            assert!(channel.poll_recv_many(cx, &mut batch, 1).is_pending());
            Poll::Pending
        }));
        thread.join().unwrap();
        channel.forget_receiver();
    });
}

#[test]
fn twin_a_receiver_that_is_about_to_wait_is_not_woken() {
    assert!(scene_fails_with(
        "a receiver that is awake is not woken",
        "a_receiver_is_woken_for_other_reasons_too"
    ));
}

/// The second of them finds the waker with the first, who wakes once more.
#[test]
fn a_receiver_that_is_woken_for_two_reasons_at_once_sees_both() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let channel = Arc::new(Channel::<u32>::new(1, OverflowPolicy::Error));
        let told = Arc::new(loom::sync::atomic::AtomicUsize::new(0));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (other, tell) = (Arc::clone(&channel), Arc::clone(&told));
                thread::spawn(move || {
                    tell.fetch_add(1, loom::sync::atomic::Ordering::AcqRel);
                    other.wake_receiver();
                })
            })
            .collect();
        let mut is_registered = false;
        block_on(std::future::poll_fn(|cx| {
            // Once: it stays registered.
            if !std::mem::replace(&mut is_registered, true) {
                channel.register_receiver(cx.waker());
            }
            if told.load(loom::sync::atomic::Ordering::Acquire) == 2 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        channel.forget_receiver();
    });
}

#[test]
fn twin_a_waker_that_is_lent_and_not_woken_again_loses_a_wake_up() {
    assert!(scene_fails_with(
        "a waker that is lent is not woken again",
        "a_receiver_that_is_woken_for_two_reasons_at_once_sees_both"
    ));
}
