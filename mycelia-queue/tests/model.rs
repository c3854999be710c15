//! Random operations against std's `VecDeque` and plain counts.
#![cfg(not(mycelia_loom))]

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use mycelia_queue::{Channel, OverflowPolicy, PushError, Pushed, Rest, Send};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Push,
    PushMany(usize),
    Send,
    Cancel(usize),
    Receive(usize),
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => Just(Step::Push),
        2 => (0_usize..12).prop_map(Step::PushMany),
        4 => Just(Step::Send),
        2 => any::<usize>().prop_map(Step::Cancel),
        6 => (1_usize..8).prop_map(Step::Receive),
        1 => Just(Step::Close),
    ]
}

fn policy() -> impl Strategy<Value = OverflowPolicy> {
    prop_oneof![
        Just(OverflowPolicy::DropOldest),
        Just(OverflowPolicy::DropNewest),
        Just(OverflowPolicy::Error)
    ]
}

/// What the channel is meant to be.
struct Model {
    queue: VecDeque<u64>,
    line: VecDeque<u64>,
    capacity: usize,
    policy: OverflowPolicy,
    closed: bool,
    evicted: u64,
    discarded: u64,
    refused: u64,
    popped: u64,
}

impl Model {
    fn push(&mut self, item: u64) -> Result<Pushed<u64>, PushError<u64>> {
        if self.closed {
            self.refused += 1;
            return Err(PushError::Closed { item });
        }
        if self.queue.len() < self.capacity {
            self.queue.push_back(item);
            return Ok(Pushed::Queued);
        }
        match self.policy {
            OverflowPolicy::DropOldest if self.capacity > 0 => {
                self.evicted += 1;
                self.queue.push_back(item);
                Ok(Pushed::Evicted(self.queue.pop_front().unwrap()))
            }
            OverflowPolicy::DropOldest | OverflowPolicy::DropNewest => {
                self.discarded += 1;
                Ok(Pushed::Discarded(item))
            }
            OverflowPolicy::Error => {
                self.refused += 1;
                Err(PushError::Full { item, capacity: self.capacity })
            }
        }
    }

    fn let_in(&mut self) {
        while self.queue.len() < self.capacity {
            let Some(item) = self.line.pop_front() else { break };
            self.queue.push_back(item);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 3 } else { 512 }, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn a_channel_is_a_bounded_deque_with_a_line(
        capacity in 0_usize..10,
        policy in policy(),
        steps in prop::collection::vec(step(), 0..if cfg!(miri) { 40 } else { 200 }),
    ) {
        let cx = &mut Context::from_waker(Waker::noop());
        let channel = Channel::new(capacity, policy);
        let mut model = Model {
            queue: VecDeque::new(), line: VecDeque::new(), capacity, policy, closed: false,
            evicted: 0, discarded: 0, refused: 0, popped: 0,
        };
        let mut sends: Vec<(u64, Send<&'_ Channel<u64>, u64>)> = Vec::new();
        let mut next = 0;
        let mut item = || { next += 1; next };
        for step in steps {
            match step {
                Step::Push => {
                    let item = item();
                    prop_assert_eq!(channel.push(item), model.push(item));
                }
                Step::PushMany(count) => {
                    let mut batch: VecDeque<u64> = (0..count).map(|_| item()).collect();
                    let mut back = VecDeque::new();
                    for &item in &batch {
                        match model.push(item) {
                            Ok(Pushed::Queued) => {}
                            Ok(Pushed::Evicted(item) | Pushed::Discarded(item)) => back.push_back(item),
                            Err(error) => back.push_back(error.into_item()),
                        }
                    }
                    let pushed = channel.push_many(&mut batch);
                    prop_assert_eq!(&batch, &back);
                    prop_assert!(back.is_empty() == (pushed.rest == Rest::None) || pushed.rest == Rest::Closed);
                }
                Step::Send => {
                    let item = item();
                    let mut send = channel.send(item);
                    match Pin::new(&mut send).poll(cx) {
                        Poll::Ready(Ok(())) => {
                            prop_assert!(!model.closed && model.queue.len() < capacity);
                            model.queue.push_back(item);
                        }
                        Poll::Ready(Err(error)) => {
                            prop_assert!(model.closed || capacity == 0);
                            prop_assert_eq!(error.0, item);
                            model.refused += 1;
                        }
                        Poll::Pending => {
                            prop_assert!(model.queue.len() == capacity);
                            model.line.push_back(item);
                            sends.push((item, send));
                        }
                    }
                }
                Step::Cancel(index) if !sends.is_empty() => {
                    let (item, send) = sends.swap_remove(index % sends.len());
                    let waits = model.line.iter().position(|&other| other == item);
                    let back = send.cancel();
                    if let Some(place) = waits {
                        model.line.remove(place);
                        prop_assert_eq!(back, Some(item));
                    } else if back.is_some() {
                        // Refused at the close, of which its sender has not heard: so it was never sent.
                        prop_assert!(model.closed);
                        model.refused -= 1;
                    }
                }
                Step::Cancel(_) => {}
                Step::Receive(limit) => {
                    let mut batch = VecDeque::new();
                    let poll = channel.poll_recv_many(cx, &mut batch, limit);
                    let count = model.queue.len().min(limit);
                    prop_assert_eq!(batch, model.queue.drain(..count).collect::<VecDeque<_>>());
                    prop_assert_eq!(poll, if count == 0 && !model.closed { Poll::Pending } else { Poll::Ready(count) });
                    model.popped += count as u64;
                    model.let_in();
                }
                Step::Close => {
                    channel.close();
                    model.closed = true;
                    model.refused += model.line.len() as u64;
                    model.line.clear();
                }
            }
            let stats = channel.stats();
            prop_assert_eq!(
                (stats.evicted, stats.discarded, stats.refused, stats.popped, stats.len, stats.waiting),
                (model.evicted, model.discarded, model.refused, model.popped, model.queue.len(), model.line.len()),
            );
            prop_assert_eq!(
                stats.pushed,
                stats.popped + stats.evicted + stats.discarded + stats.refused + stats.len as u64,
            );
            prop_assert!(stats.allocated <= capacity);
        }
    }
}
