//! Scenes of the pool and the queue, which need no runtime.

use std::collections::VecDeque;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use mycelia_pool::{Pool, Recycle};
use mycelia_queue::{BoundedQueue, Channel, OverflowPolicy};

const CAPACITY: usize = 1024;
const BATCH: u64 = 64;

/// A value of two cache lines, as a slot of a message is.
#[derive(Default)]
struct Value([u64; 14]);

impl Recycle for Value {
    fn recycle(&mut self) {}
}

fn verify(sum: u64, operations: u64) -> Result<(), String> {
    let sent = (0..operations).sum::<u64>();
    if sum == sent { Ok(()) } else { Err(format!("what arrived adds up to {sum}, not {sent}")) }
}

/// Plays one value taken from a pool, written, read and given back.
pub(crate) fn pool(operations: u64) -> Result<(), String> {
    let pool = Pool::<Value>::new();
    let take = |number| {
        let mut value = pool.acquire().expect("the pool grows");
        value.0[0] = number;
        black_box(&mut *value).0[0]
    };
    verify((0..operations).map(take).sum(), operations)
}

/// Plays 64 items pushed one by one, then popped together.
pub(crate) fn queue(operations: u64) -> Result<(), String> {
    let queue = BoundedQueue::new(CAPACITY, OverflowPolicy::Error);
    let (mut batch, mut sum) = (VecDeque::new(), 0);
    for first in (0..operations).step_by(BATCH as usize) {
        for number in first..operations.min(first + BATCH) {
            queue.push(number).map_err(|_| "the queue was full")?;
        }
        queue.pop_many(&mut batch, CAPACITY);
        sum += batch.drain(..).sum::<u64>();
    }
    verify(sum, operations)
}

/// Polls a future that is ready at once, or after it has let others run.
#[inline(always)]
fn ready<F: Future>(future: F, task: &mut Context<'_>) -> Result<F::Output, String> {
    let mut future = pin!(future);
    let mut lets_others_run = false;
    loop {
        match future.as_mut().poll(task) {
            Poll::Ready(output) => return Ok(output),
            Poll::Pending if lets_others_run => return Err("a send or a receive had to wait".into()),
            Poll::Pending => lets_others_run = true,
        }
    }
}

/// Plays 64 items sent by the waiting form one by one, then received one by one.
pub(crate) fn channel(operations: u64) -> Result<(), String> {
    let channel = Channel::new(CAPACITY, OverflowPolicy::Error);
    let (mut task, mut sum) = (Context::from_waker(Waker::noop()), 0);
    for first in (0..operations).step_by(BATCH as usize) {
        let batch = first..operations.min(first + BATCH);
        for number in batch.clone() {
            ready(channel.send(number), &mut task)?.map_err(|_| "a send was refused")?;
        }
        for _ in batch {
            sum += ready(channel.recv(), &mut task)?.ok_or("the channel was closed")?;
        }
    }
    verify(sum, operations)
}
