//! Words that every Mycelia crate shares, and nothing else: no runtime, no queue, no pool.
//!
//! * [`sync`]: the one doorway to atomics, locks and cells, std's or (in models) loom's.
//! * [`OverflowPolicy`]: what a bounded queue does with one item too many.
//! * [`Counter`]: a number that one thread writes and any thread reads.
//! * [`wake_all`]: wakes each of many, whatever the others do.
//!
//! ```
//! use mycelia_core::{Counter, OverflowPolicy};
//!
//! let lost = Counter::new();
//! lost.add(1);
//! assert_eq!(lost.get(), 1);
//! assert_eq!(OverflowPolicy::default(), OverflowPolicy::Error);
//! ```
#![forbid(unsafe_code)]

#[doc(hidden)]
pub mod seeded;
pub mod sync;

mod counter;
mod overflow;
mod wake;

pub use counter::Counter;
pub use overflow::OverflowPolicy;
pub use wake::wake_all;
