//! How long messages wait for their handler: from just before they are sent until the handler starts.

use std::sync::LazyLock;
use std::time::Instant;

use hdrhistogram::{CreationError, Histogram};

/// Nanoseconds since this program first asked: unlike an `Instant`, it can be written as JSON.
pub(crate) type Stamp = u64;

/// A minute, in nanoseconds; longer waits are recorded as this.
const LONGEST: u64 = 60_000_000_000;

/// What one subsystem has seen: every message counted, the stamped ones timed.
#[derive(Clone)]
pub(crate) struct Waits {
    pub(crate) handled: u64,
    /// In nanoseconds, to 3 digits.
    pub(crate) times: Histogram<u64>,
}

/// The time, for one message in 64. Asking the clock for each would cost about as much as sending it.
pub(crate) fn stamp(nth: u64) -> Option<Stamp> {
    nth.is_multiple_of(64).then(now)
}

fn now() -> Stamp {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_nanos() as u64
}

impl Waits {
    pub(crate) fn new() -> Result<Self, CreationError> {
        Ok(Self { handled: 0, times: Histogram::new_with_bounds(1, LONGEST, 3)? })
    }

    /// A handler's first line.
    pub(crate) fn note(&mut self, sent_at: Option<Stamp>) {
        if let Some(sent_at) = sent_at {
            self.times.saturating_record(now().saturating_sub(sent_at));
        }
        self.handled += 1;
    }
}
