//! What one evaluation may use up.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Limits of one evaluation. Hitting one is an error of that mapping and that message only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Milliseconds of the wall clock, at least 1. By default 5 000.
    ///
    /// It is looked at between steps: a built-in function of the language is not interrupted (the longest are kept short by other means).
    pub time_ms: u64,
    /// Bytes, at least 65 536. By default 16 777 216 (16 MiB).
    pub memory_bytes: usize,
    /// Bytes of the stack for calls of the expression's own, at least 16 384 and at most 1 048 576. By default 262 144 (256 KiB).
    pub stack_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time_ms: 5000, memory_bytes: 16 << 20, stack_bytes: 256 << 10 }
    }
}

impl Limits {
    pub(crate) fn time(&self) -> Duration {
        Duration::from_millis(self.time_ms)
    }
}
