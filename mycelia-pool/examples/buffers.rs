//! Buffers that keep their memory: made by one thread, dropped by another, used again by the first.
//!
//! ```text
//! cargo run -p mycelia-pool --example buffers
//! ```

use std::error::Error;
use std::sync::mpsc;
use std::thread;

use mycelia_pool::Pool;

fn main() -> Result<(), Box<dyn Error>> {
    let buffers: Pool<Vec<u8>> = Pool::builder().warm(64).build();
    let (sender, receiver) = mpsc::sync_channel(32);

    let reader = thread::spawn(move || {
        let mut bytes = 0;
        for buffer in receiver {
            let buffer: mycelia_pool::Guard<Vec<u8>> = buffer;
            bytes += buffer.len();
            // Dropped here: emptied, its memory kept, and on its way back to the other thread.
        }
        bytes
    });

    for number in 0..100_000 {
        let mut buffer = buffers.acquire()?;
        buffer.extend_from_slice(format!("line {number}\n").as_bytes());
        sender.send(buffer)?;
    }
    drop(sender);

    let bytes = reader.join().map_err(|_| "the reader panicked")?;
    let stats = buffers.stats();
    println!("{bytes} bytes through {} buffers; {:.2} % reused", stats.created, 100.0 * stats.reuse_rate());
    assert_eq!(stats.in_use, 0);
    Ok(())
}
