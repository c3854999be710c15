//! The queue that never waits: policies, batches, closing, memory.
#![cfg(not(mycelia_loom))]

use std::collections::VecDeque;

use mycelia_queue::{BoundedQueue, OverflowPolicy, PushError, Pushed, PushedMany, Rest};

fn full(policy: OverflowPolicy) -> BoundedQueue<u32> {
    let queue = BoundedQueue::new(3, policy);
    (1..=3).for_each(|item| assert_eq!(queue.push(item), Ok(Pushed::Queued)));
    queue
}

fn content(queue: &BoundedQueue<u32>) -> Vec<u32> {
    let mut all = VecDeque::new();
    queue.pop_many(&mut all, usize::MAX);
    all.into()
}

#[test]
fn drop_oldest_gives_the_oldest_back() {
    let queue = full(OverflowPolicy::DropOldest);
    assert_eq!(queue.push(4), Ok(Pushed::Evicted(1)));
    assert_eq!(content(&queue), [2, 3, 4]);
}

#[test]
fn drop_newest_gives_the_newest_back() {
    let queue = full(OverflowPolicy::DropNewest);
    assert_eq!(queue.push(4), Ok(Pushed::Discarded(4)));
    assert_eq!(content(&queue), [1, 2, 3]);
}

#[test]
fn error_says_how_much_there_is_room_for() {
    let queue = full(OverflowPolicy::Error);
    let error = queue.push(4).unwrap_err();
    assert_eq!(error.to_string(), "queue full: 3 items are waiting");
    assert_eq!(error, PushError::Full { item: 4, capacity: 3 });
    assert_eq!(error.into_item(), 4);
    assert_eq!(content(&queue), [1, 2, 3]);
}

#[test]
fn a_capacity_of_zero_is_always_full() {
    for (policy, expected) in [
        (OverflowPolicy::DropOldest, Ok(Pushed::Discarded(1))),
        (OverflowPolicy::DropNewest, Ok(Pushed::Discarded(1))),
        (OverflowPolicy::Error, Err(PushError::Full { item: 1, capacity: 0 })),
    ] {
        let queue = BoundedQueue::new(0, policy);
        assert_eq!(queue.push(1), expected);
        let mut batch = VecDeque::from([1, 2]);
        assert_eq!(queue.push_many(&mut batch).queued, 0);
        assert_eq!((batch.len(), queue.pop()), (2, None));
    }
}

#[test]
fn a_batch_beyond_the_capacity_evicts_its_own_beginning() {
    let queue = full(OverflowPolicy::DropOldest);
    let mut batch: VecDeque<u32> = (4..=8).collect();
    assert_eq!(queue.push_many(&mut batch), PushedMany { queued: 5, rest: Rest::Evicted });
    assert_eq!(batch, [1, 2, 3, 4, 5]);
    assert_eq!(content(&queue), [6, 7, 8]);
}

#[test]
fn a_batch_that_half_fits_comes_half_back() {
    for (policy, rest) in [(OverflowPolicy::DropNewest, Rest::Discarded), (OverflowPolicy::Error, Rest::Full)]
    {
        let queue = full(policy);
        queue.pop();
        let mut batch = VecDeque::from([4, 5, 6]);
        assert_eq!(queue.push_many(&mut batch), PushedMany { queued: 1, rest });
        assert_eq!(batch, [5, 6]);
        assert_eq!(content(&queue), [2, 3, 4]);
    }
}

#[test]
fn a_closed_queue_refuses_and_can_be_emptied() {
    let queue = full(OverflowPolicy::DropOldest);
    queue.close();
    assert!(queue.is_closed());
    assert_eq!(queue.push(4), Err(PushError::Closed { item: 4 }));
    let mut batch = VecDeque::from([5, 6]);
    assert_eq!(queue.push_many(&mut batch), PushedMany { queued: 0, rest: Rest::Closed });
    assert_eq!((batch.len(), queue.len()), (2, 3));
    assert_eq!(content(&queue), [1, 2, 3]);
}

#[test]
fn memory_comes_with_the_first_item_and_never_exceeds_the_capacity() {
    let queue = BoundedQueue::new(1000, OverflowPolicy::Error);
    assert_eq!(queue.stats().allocated, 0);
    queue.push(0).unwrap();
    assert_eq!(queue.stats().allocated, 4);
    (1..1000).for_each(|item| assert!(queue.push(item).is_ok()));
    assert_eq!(queue.stats().allocated, 1000);
}

#[test]
fn an_error_shows_itself_without_its_item_being_debug() {
    struct Opaque;
    let queue = BoundedQueue::new(0, OverflowPolicy::Error);
    assert_eq!(format!("{:?}", queue.push(Opaque).err().unwrap()), "Full { capacity: 0, .. }");
}
