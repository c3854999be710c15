//! Lock or ring: mycelia-queue beside other bounded queues, on bare threads.
//!
//! ```text
//! cargo run --release -p mycelia-benches --bin queue
//! ```
//!
//! One operation is one item of a word, from `n` pushing threads to one that takes up to 64 at a time and adds them up; a
//! million items a run, capacity 1024. Who finds the queue full, or empty, gives its core to another thread. The sum is
//! checked. Medians of 9 interleaved runs.

use std::collections::VecDeque;
use std::thread;
use std::time::Instant;

use crossbeam_queue::ArrayQueue;
use mycelia_benches::statistics::Spread;
use mycelia_queue::{BoundedQueue, OverflowPolicy};

const CAPACITY: usize = 1024;
const BATCH: usize = 64;
const ITEMS: u64 = 1_000_000;
const RUNS: usize = 9;

/// A bounded queue, as a scene sees it.
trait Queue: Sync {
    fn try_push(&self, item: u64) -> bool;
    /// Moves up to `BATCH` items into an empty batch.
    fn take(&self, batch: &mut VecDeque<u64>);
}

/// One lock, batches, policies, statistics.
impl Queue for BoundedQueue<u64> {
    fn try_push(&self, item: u64) -> bool {
        self.push(item).is_ok()
    }

    fn take(&self, batch: &mut VecDeque<u64>) {
        self.pop_many(batch, BATCH);
    }
}

/// A ring of sequence numbers, without a lock (Dmitry Vyukov's).
impl Queue for ArrayQueue<u64> {
    fn try_push(&self, item: u64) -> bool {
        self.push(item).is_ok()
    }

    fn take(&self, batch: &mut VecDeque<u64>) {
        batch.extend(std::iter::from_fn(|| self.pop()).take(BATCH));
    }
}

struct Flume(flume::Sender<u64>, flume::Receiver<u64>);

impl Queue for Flume {
    fn try_push(&self, item: u64) -> bool {
        self.0.try_send(item).is_ok()
    }

    fn take(&self, batch: &mut VecDeque<u64>) {
        batch.extend(self.1.try_iter().take(BATCH));
    }
}

/// A name, and how to make it.
type Contender = (&'static str, fn() -> Box<dyn Queue>);

/// Nanoseconds per item.
fn play(queue: &dyn Queue, threads: u64) -> f64 {
    let began = Instant::now();
    let mut sum = 0;
    thread::scope(|scope| {
        for first in 0..threads {
            scope.spawn(move || {
                for item in (first..ITEMS).step_by(threads as usize) {
                    while !queue.try_push(item) {
                        thread::yield_now();
                    }
                }
            });
        }
        let (mut batch, mut taken) = (VecDeque::with_capacity(BATCH), 0);
        while taken < ITEMS {
            queue.take(&mut batch);
            if batch.is_empty() {
                thread::yield_now();
            }
            taken += batch.len() as u64;
            sum += batch.drain(..).sum::<u64>();
        }
    });
    let cost = began.elapsed().as_nanos() as f64 / ITEMS as f64;
    assert_eq!(sum, (0..ITEMS).sum::<u64>(), "every item was taken once");
    cost
}

fn main() {
    let queues: [Contender; 3] = [
        ("mycelia-queue", || Box::new(BoundedQueue::new(CAPACITY, OverflowPolicy::Error))),
        ("crossbeam ring", || Box::new(ArrayQueue::new(CAPACITY))),
        ("flume", || {
            let (sender, receiver) = flume::bounded(CAPACITY);
            Box::new(Flume(sender, receiver))
        }),
    ];
    for threads in [1, 4] {
        let mut costs = vec![Vec::new(); queues.len()];
        for run in 0..=RUNS {
            for ((_, make), costs) in queues.iter().zip(&mut costs) {
                let cost = play(&*make(), threads);
                // The first one warms up.
                if run > 0 {
                    costs.push(cost);
                }
            }
        }
        println!("{threads} to 1: ns per item, {RUNS} runs");
        for ((name, _), costs) in queues.iter().zip(costs) {
            let Spread { median, min, max } = Spread::of(costs);
            println!("  {name:<16}{median:>8.1}   ({min:.1} to {max:.1})");
        }
    }
}
