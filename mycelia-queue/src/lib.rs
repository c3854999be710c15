#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! [`BoundedQueue`] never waits. [`Channel`] is the same queue with waiting on both sides: [`Send`] waits for room,
//! [`Channel::recv`] for items. [`Pushed`] and [`PushError`] say what became of an item, [`Stats`] what became of all.
//! How it works is on the page [`design`].
#![forbid(unsafe_code)]

#[doc = include_str!("../DESIGN.md")]
pub mod design {}

mod bounded;
mod channel;
mod error;
mod in_a_row;
mod pushed;
mod send;
mod stats;

mod ring;
mod wait;

pub use bounded::BoundedQueue;
pub use channel::Channel;
pub use error::{PushError, SendError};
pub use mycelia_core::OverflowPolicy;
pub use pushed::{Pushed, PushedMany, Rest};
pub use send::Send;
pub use stats::Stats;
