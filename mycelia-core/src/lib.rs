//! Words that every Mycelia crate shares, and nothing else: no runtime, no queue, no pool.
//!
//! * [`sync`]: the one doorway to atomics, locks and cells, std's or (in models) loom's.
//! * [`OverflowPolicy`]: what a bounded queue does with one item too many.
//! * [`Counter`]: a number that one thread writes and any thread reads.
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

pub use counter::Counter;
pub use overflow::OverflowPolicy;
