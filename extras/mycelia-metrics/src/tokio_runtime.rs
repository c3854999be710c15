//! Tokio's own figures, as far as it gives them on stable.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

/// The tokio runtime in which the metrics were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TokioRuntime {
    /// Worker threads.
    pub workers: u64,
    /// Tasks that have not ended: subsystems and others.
    pub alive_tasks: u64,
    /// Tasks that wait for any worker.
    pub global_queue: u64,
    /// How long its workers have been busy, added up, in seconds.
    pub busy_seconds: f64,
    /// How often its workers have gone to sleep.
    pub parks: u64,
}

impl TokioRuntime {
    pub(crate) fn of(tokio: &Handle) -> Self {
        let metrics = tokio.metrics();
        let workers = metrics.num_workers();
        Self {
            workers: workers as u64,
            alive_tasks: metrics.num_alive_tasks() as u64,
            global_queue: metrics.global_queue_depth() as u64,
            busy_seconds: (0..workers)
                .map(|worker| metrics.worker_total_busy_duration(worker))
                .sum::<Duration>()
                .as_secs_f64(),
            parks: (0..workers).map(|worker| metrics.worker_park_count(worker)).sum(),
        }
    }
}
