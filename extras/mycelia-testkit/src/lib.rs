#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod probe;
mod simulation;

pub use mycelia_actors::Faults;
pub use probe::{Expectation, Probe, Received};
pub use simulation::Simulation;
