//! The scenes, one file each. Every one is written once, for any [`Contender`](crate::contender::Contender).
//!
//! All have the same shape: actors are spawned, a first part of the work warms them up, the meter starts when they
//! are idle, and stops when the last message has been *handled*. Then the actors say what they handled.

pub mod ask;
pub mod memory;
pub mod path_ask;
pub mod path_tell;
pub mod ring101;
pub mod route_tell;
pub mod spawn;
pub mod tell_1to1;
pub mod tell_4to1;
pub mod tell_rr100;
