//! The service as its users run it: a process that gets requests and signals, and a database that is looked at from outside.
//!
//! On the first rung; `SIGTERM_RUNS=50` for the long one.

mod books;
mod client;
mod process;

mod beginning;
mod ending;
mod load;
