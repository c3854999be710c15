//! What a pass measures: time, or heap requests. Never both at once.

use std::time::{Duration, Instant};

use crate::allocations;
use crate::cost::Cost;
use crate::processor::processor_time;

/// What to measure in a run of a scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Nanoseconds per operation, on the clock and of processor time.
    Time,
    /// Heap requests per operation, in a pass of its own.
    Allocations,
}

/// A measurement under way. Made when the scene is warm and all its actors are idle.
#[derive(Debug)]
pub enum Meter {
    /// Started at this moment, at which the process had used so much processor time.
    Time(Instant, Duration),
    /// Counting heap requests.
    Allocations,
}

impl Meter {
    /// Starts measuring.
    pub fn start(pass: Pass) -> Self {
        match pass {
            Pass::Time => {
                let used = processor_time();
                Self::Time(Instant::now(), used)
            }
            Pass::Allocations => {
                allocations::start_counting();
                Self::Allocations
            }
        }
    }

    /// Stops measuring and shares the result out over `operations`.
    pub fn stop(self, operations: u64) -> Cost {
        let share = |nanoseconds: u128| nanoseconds as f64 / operations as f64;
        match self {
            Self::Time(began, used) => {
                let ns = share(began.elapsed().as_nanos());
                let cpu_ns = share((processor_time() - used).as_nanos());
                Cost { ns, cpu_ns, ..Cost::default() }
            }
            Self::Allocations => {
                let requests = allocations::stop_counting();
                Cost { allocations: requests as f64 / operations as f64, ..Cost::default() }
            }
        }
    }
}
