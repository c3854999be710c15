//! Mycelia beside its peers: every scene written once, every contender in it.
//!
//! ```text
//! cargo run --release -p mycelia-benches --bin versus
//! ```
//!
//! A [`scene`] is one thing to measure, a [`contender`] one library (or one channel) that can play it. Scenes are
//! generic over the contender and dispatched statically; a library without [`paths`] plays the scenes by path with a
//! [`directory`](contenders::directory) written by hand. A [`series`] plays a scene with all contenders in turn, over and
//! over, on a fresh runtime each time, and keeps the [`statistics`].
//!
//! [`against`] plays another build of the program in turn with this one, process by process.
//!
//! The binaries `queue` and `pool` measure those two crates by themselves, on bare threads, and `router` the third beside
//! other routers.
//!
//! What makes a figure count:
//! * handlers run: each adds a message's number to a [`tally`], and the actors' own account must equal what was
//!   sent, or the program fails;
//! * nothing is lost, mailboxes hold [1024](contender::CAPACITY) messages and senders wait, where the library can;
//! * the clock stops when the last message was handled, not when it was sent (see [`latch`]);
//! * heap requests are counted in a pass of their own, never in a timed run ([`allocations`]).

pub mod scene;
pub mod scenes;

pub mod contender;
pub mod contenders;
pub mod paths;

pub mod failure;
pub mod latch;
pub mod message;
pub mod tally;
pub mod workers;

pub mod allocations;
pub mod cost;
pub mod meter;
pub mod processor;
pub mod resident;
pub mod series;
pub mod statistics;

pub mod against;
pub mod arguments;
pub mod json;
pub mod table;
pub mod versions;
