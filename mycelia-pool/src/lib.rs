#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! [`Pool`] lends values behind a [`Guard`], which gives them back when dropped. [`Builder`] sets the limits,
//! [`Recycle`] says how a value is made clean, [`Stats`] tells what happened, [`Exhausted`] is the one error.
//! How it works, with drawings and prior work, is on the page [`design`].

#[doc = include_str!("../DESIGN.md")]
pub mod design {}

mod builder;
mod error;
mod guard;
mod out;
mod pool;
mod recycle;
mod stats;

mod cache;
mod depot;
mod fence;
mod noted;
mod orphans;
mod shared;
mod slab;
mod slot;
mod thread;
mod tune;
mod turn;

pub use builder::{Builder, Exhaustion};
pub use error::Exhausted;
pub use guard::Guard;
pub use out::Out;
pub use pool::Pool;
pub use recycle::Recycle;
pub use stats::Stats;
