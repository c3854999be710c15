//! A fast sensor and a slow reader: the queue keeps the newest readings, and says what became of every other.
//!
//! ```text
//! cargo run -p mycelia-queue --example readings
//! ```

use std::error::Error;
use std::sync::Arc;
use std::thread;

use mycelia_queue::{BoundedQueue, OverflowPolicy, Pushed};

fn main() -> Result<(), Box<dyn Error>> {
    let readings = Arc::new(BoundedQueue::new(64, OverflowPolicy::DropOldest));
    let sensor = Arc::clone(&readings);
    let sensing = thread::spawn(move || {
        let mut unread = 0;
        for reading in 0..100_000_u32 {
            match sensor.push(reading) {
                Ok(Pushed::Queued) => {}
                Ok(Pushed::Evicted(_) | Pushed::Discarded(_)) => unread += 1,
                Err(error) => unreachable!("nobody closes the queue before the sensor does: {error}"),
            }
        }
        sensor.close();
        unread
    });

    let mut read = 0_u64;
    while !(readings.is_closed() && readings.is_empty()) {
        match readings.pop() {
            Some(_) => read += 1,
            None => thread::yield_now(),
        }
    }

    let unread: u64 = sensing.join().map_err(|_| "the sensor panicked")?;
    println!("{read} read, {unread} pushed out by newer ones");
    let stats = readings.stats();
    assert_eq!((stats.pushed, stats.popped, stats.evicted), (100_000, read, unread));
    Ok(())
}
