//! What a pass measures: time, or heap requests. Never both at once.

use std::time::Instant;

use crate::allocations;

/// What to measure in a run of a scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Nanoseconds per operation.
    Time,
    /// Heap requests per operation, in a pass of its own.
    Allocations,
}

/// A measurement under way. Made when the scene is warm and all its actors are idle.
#[derive(Debug)]
pub enum Meter {
    /// Started at this moment.
    Time(Instant),
    /// Counting heap requests.
    Allocations,
}

impl Meter {
    /// Starts measuring.
    pub fn start(pass: Pass) -> Self {
        match pass {
            Pass::Time => Self::Time(Instant::now()),
            Pass::Allocations => {
                allocations::start_counting();
                Self::Allocations
            }
        }
    }

    /// Stops measuring and shares the result out over `operations`.
    pub fn stop(self, operations: u64) -> f64 {
        let measured = match self {
            Self::Time(began) => began.elapsed().as_nanos() as f64,
            Self::Allocations => allocations::stop_counting() as f64,
        };
        measured / operations as f64
    }
}
