#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

#[doc(hidden)]
pub mod seeded;
pub mod sync;

mod counter;
mod overflow;
mod panics;
mod patience;
mod wake;

pub use counter::Counter;
pub use overflow::OverflowPolicy;
pub use panics::contain;
pub use patience::Patience;
pub use wake::{drop_waker, wake_all};
