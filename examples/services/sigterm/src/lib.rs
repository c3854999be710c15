//! A small order service over HTTP, which a SIGTERM ends without losing an order. How it ends is in `examples/sigterm/main.rs`.
//!
//! ```text
//!                    ask: Place           pipe: ask Charge, then Paid
//!  POST /orders ──▶ http ──────▶ orders ◀──────────────────────▶ bank ──▶ table `charges`
//!       201      ◀──┐               │ send: Book, with the duty to reply
//!                   └─── reply ── books ──▶ table `orders`
//! ```
//!
//! The dangerous moment is between the two tables: the charge is made, and its row is not yet written. The order is then in a pipe of
//! `orders`, or in its mailbox, or in that of `books`; a shutdown of the runtime waits for all of these.

pub mod bank;
pub mod books;
pub mod database;
pub mod http;
pub mod order;
pub mod orders;
