//! Random operations against std's `VecDeque` and plain counts.
#![cfg(not(mycelia_loom))]

use std::collections::{HashSet, VecDeque};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use mycelia_queue::{Channel, OverflowPolicy, PushError, Pushed, Rest, Send, SendError};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Push(Side),
    PushMany(Side, usize),
    /// Makes a send, and does not poll it.
    Send(Side),
    Poll(usize),
    Cancel(usize),
    Drop(usize),
    Receive(usize),
    CloseToOutside,
    Close,
}

type Sending<'a> = Send<&'a Channel<u64>, u64>;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Side {
    Outside,
    Inside,
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![3 => Just(Side::Outside), 2 => Just(Side::Inside)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => side().prop_map(Step::Push),
        2 => (side(), 0_usize..12).prop_map(|(from, count)| Step::PushMany(from, count)),
        6 => side().prop_map(Step::Send),
        8 => any::<usize>().prop_map(Step::Poll),
        2 => any::<usize>().prop_map(Step::Cancel),
        1 => any::<usize>().prop_map(Step::Drop),
        6 => (1_usize..8).prop_map(Step::Receive),
        1 => Just(Step::CloseToOutside),
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
    /// To outside at least.
    closed: bool,
    shut: bool,
    /// Refused at a close, of which their senders have not heard.
    unheard: HashSet<u64>,
    evicted: u64,
    discarded: u64,
    refused: u64,
    popped: u64,
}

impl Model {
    fn is_closed(&self, from: Side) -> bool {
        match from {
            Side::Outside => self.closed,
            Side::Inside => self.shut,
        }
    }

    fn push(&mut self, from: Side, item: u64) -> Result<Pushed<u64>, PushError<u64>> {
        if self.is_closed(from) {
            self.refused += 1;
            return Err(PushError::Closed { item });
        }
        if self.queue.len() < self.capacity && self.line.is_empty() {
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

    /// The first poll of a send.
    fn start(&mut self, from: Side, item: u64) -> Poll<Result<(), SendError<u64>>> {
        if self.is_closed(from) || self.capacity == 0 {
            self.refused += 1;
            return Poll::Ready(Err(SendError(item)));
        }
        if self.queue.len() < self.capacity && self.line.is_empty() {
            self.queue.push_back(item);
            return Poll::Ready(Ok(()));
        }
        self.line.push_back(item);
        Poll::Pending
    }

    /// A later poll.
    fn poll(&mut self, item: u64) -> Poll<Result<(), SendError<u64>>> {
        if self.line.contains(&item) {
            Poll::Pending
        } else if self.unheard.remove(&item) {
            Poll::Ready(Err(SendError(item)))
        } else {
            Poll::Ready(Ok(()))
        }
    }

    /// A send that is given up. True if its item comes back.
    fn give_up(&mut self, item: u64, has_begun: bool) -> bool {
        if let Some(place) = self.line.iter().position(|&other| other == item) {
            self.line.remove(place);
            return true;
        }
        if self.unheard.remove(&item) {
            // Its sender has not heard of the refusal: so it was never sent.
            self.refused -= 1;
            return true;
        }
        !has_begun
    }

    fn close(&mut self, shut: bool) {
        self.closed = true;
        self.shut |= shut;
        self.refused += self.line.len() as u64;
        self.unheard.extend(self.line.drain(..));
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
            queue: VecDeque::new(), line: VecDeque::new(), capacity, policy, closed: false, shut: false, unheard: HashSet::new(),
            evicted: 0, discarded: 0, refused: 0, popped: 0,
        };
        let mut sends: Vec<(Side, u64, Sending<'_>)> = Vec::new();
        let mut next = 0;
        let mut item = || { next += 1; next };
        for step in steps {
            match step {
                Step::Push(from) => {
                    let item = item();
                    let pushed = match from {
                        Side::Outside => channel.push(item),
                        Side::Inside => channel.push_inside(item),
                    };
                    prop_assert_eq!(pushed, model.push(from, item));
                }
                Step::PushMany(from, count) => {
                    let mut batch: VecDeque<u64> = (0..count).map(|_| item()).collect();
                    let mut back = VecDeque::new();
                    for &item in &batch {
                        match model.push(from, item) {
                            Ok(Pushed::Queued) => {}
                            Ok(Pushed::Evicted(item) | Pushed::Discarded(item)) => back.push_back(item),
                            Err(error) => back.push_back(error.into_item()),
                        }
                    }
                    let pushed = match from {
                        Side::Outside => channel.push_many(&mut batch),
                        Side::Inside => channel.push_many_inside(&mut batch),
                    };
                    prop_assert_eq!(&batch, &back);
                    prop_assert!(back.is_empty() == (pushed.rest == Rest::None) || pushed.rest == Rest::Closed);
                }
                Step::Send(from) => {
                    let item = item();
                    let send = match from {
                        Side::Outside => Send::to(&channel, item),
                        Side::Inside => Send::to_inside(&channel, item),
                    };
                    sends.push((from, item, send));
                }
                Step::Poll(index) if !sends.is_empty() => {
                    let index = index % sends.len();
                    let (from, item, send) = &mut sends[index];
                    let has_begun = send.place().is_some();
                    let poll = Pin::new(&mut *send).poll(cx);
                    let lets_others_run = poll.is_pending() && send.place().is_none();
                    if !lets_others_run {
                        prop_assert_eq!(&poll, &if has_begun { model.poll(*item) } else { model.start(*from, *item) });
                    }
                    if poll.is_ready() {
                        drop(sends.swap_remove(index));
                    }
                }
                Step::Cancel(index) if !sends.is_empty() => {
                    let (_, item, send) = sends.swap_remove(index % sends.len());
                    let comes_back = model.give_up(item, send.place().is_some());
                    prop_assert_eq!(send.cancel(), comes_back.then_some(item));
                }
                Step::Drop(index) if !sends.is_empty() => {
                    let (_, item, send) = sends.swap_remove(index % sends.len());
                    model.give_up(item, send.place().is_some());
                    drop(send);
                }
                Step::Poll(_) | Step::Cancel(_) | Step::Drop(_) => {}
                Step::Receive(limit) => {
                    let mut batch = VecDeque::new();
                    let poll = channel.poll_recv_many(cx, &mut batch, limit);
                    let count = model.queue.len().min(limit);
                    prop_assert_eq!(batch, model.queue.drain(..count).collect::<VecDeque<_>>());
                    prop_assert_eq!(poll, if count == 0 && !model.shut { Poll::Pending } else { Poll::Ready(count) });
                    model.popped += count as u64;
                    model.let_in();
                }
                Step::CloseToOutside => {
                    let is_busy = channel.close_to_outside();
                    prop_assert!(!(is_busy && model.closed));
                    if !model.closed {
                        model.close(false);
                    }
                }
                Step::Close => {
                    channel.close();
                    model.close(true);
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
