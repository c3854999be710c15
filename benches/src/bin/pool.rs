//! What a pooled value costs: mycelia-pool beside the allocator and beside a list behind a lock.
//!
//! ```text
//! cargo run --release -p mycelia-benches --bin pool
//! ```
//!
//! One operation is one value of 112 bytes, taken, written, read and given back: by the same thread, or by another one, to
//! which batches of 64 are handed over. A million a run; the sum is checked. Medians of 9 interleaved runs.

use std::hint::black_box;
use std::ops::DerefMut;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Instant;

use mycelia_benches::statistics::Spread;
use mycelia_pool::{Guard, Pool, Recycle};

const VALUES: u64 = 1_000_000;
const BATCH: usize = 64;
const RUNS: usize = 9;

#[derive(Default)]
struct Value([u64; 14]);

impl Recycle for Value {
    fn recycle(&mut self) {}
}

/// Where values come from. They go back when they are dropped.
trait Source: Send + Sync + 'static {
    type Item: DerefMut<Target = Value> + Send + 'static;
    fn take(self: &Arc<Self>) -> Self::Item;
}

impl Source for Pool<Value> {
    type Item = Guard<Value>;

    fn take(self: &Arc<Self>) -> Guard<Value> {
        self.acquire().expect("the pool grows")
    }
}

struct Allocator;

impl Source for Allocator {
    type Item = Box<Value>;

    fn take(self: &Arc<Self>) -> Box<Value> {
        Box::default()
    }
}

/// The obvious pool. Its values keep their place, as those of the others do.
#[derive(Default)]
#[expect(clippy::vec_box, reason = "a value that moved at every use would cost more")]
struct LockedList(Mutex<Vec<Box<Value>>>);

struct Listed {
    value: Option<Box<Value>>,
    home: Arc<LockedList>,
}

impl Source for LockedList {
    type Item = Listed;

    fn take(self: &Arc<Self>) -> Listed {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Listed { value: Some(free.unwrap_or_default()), home: Arc::clone(self) }
    }
}

impl std::ops::Deref for Listed {
    type Target = Value;

    fn deref(&self) -> &Value {
        self.value.as_ref().expect("there until the drop")
    }
}

impl DerefMut for Listed {
    fn deref_mut(&mut self) -> &mut Value {
        self.value.as_mut().expect("there until the drop")
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.home.0.lock().unwrap_or_else(PoisonError::into_inner).extend(self.value.take());
    }
}

fn fill<S: Source>(source: &Arc<S>, number: u64) -> S::Item {
    let mut item = source.take();
    item.0[0] = number;
    // Else the compiler finds out that a box which is dropped at once need not be made.
    black_box(&mut *item);
    item
}

/// Nanoseconds per value that stays on one thread.
fn at_home<S: Source>(source: &Arc<S>) -> f64 {
    let began = Instant::now();
    let sum: u64 = (0..VALUES).map(|number| fill(source, number).0[0]).sum();
    assert_eq!(sum, (0..VALUES).sum::<u64>());
    began.elapsed().as_nanos() as f64 / VALUES as f64
}

/// Nanoseconds per value that is dropped by another thread.
fn abroad<S: Source>(source: &Arc<S>) -> f64 {
    let began = Instant::now();
    let (sender, receiver) = mpsc::sync_channel::<Vec<S::Item>>(4);
    let reader = thread::spawn(move || receiver.iter().flatten().map(|item| item.0[0]).sum::<u64>());
    for first in (0..VALUES).step_by(BATCH) {
        let numbers = first..(first + BATCH as u64).min(VALUES);
        sender.send(numbers.map(|number| fill(source, number)).collect()).expect("the reader reads");
    }
    drop(sender);
    assert_eq!(reader.join().expect("the reader returns"), (0..VALUES).sum::<u64>());
    began.elapsed().as_nanos() as f64 / VALUES as f64
}

fn main() {
    let (pool, allocator, list) =
        (Arc::new(Pool::new()), Arc::new(Allocator), Arc::new(LockedList::default()));
    for (scene, abroad_too) in [("by the same thread", false), ("by another thread", true)] {
        let mut costs = [const { Vec::new() }; 3];
        for run in 0..=RUNS {
            let cost = if abroad_too {
                [abroad(&pool), abroad(&allocator), abroad(&list)]
            } else {
                [at_home(&pool), at_home(&allocator), at_home(&list)]
            };
            // The first one warms up.
            if run > 0 {
                costs.iter_mut().zip(cost).for_each(|(costs, cost)| costs.push(cost));
            }
        }
        println!("taken by one thread, given back {scene}: ns per value, {RUNS} runs");
        for (name, costs) in ["mycelia-pool", "allocator", "list and lock"].iter().zip(costs) {
            let Spread { median, min, max } = Spread::of(costs);
            println!("  {name:<16}{median:>8.1}   ({min:.1} to {max:.1})");
        }
    }
}
