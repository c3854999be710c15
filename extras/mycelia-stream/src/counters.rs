//! What the processor counts, by the names that dashboards of the ancestor know.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mycelia_actors::{Figure, Figures};
use mycelia_core::Counter;
use serde::Serialize;

/// The counts of one processor. Reading them from any thread disturbs nobody; only the processor writes.
#[derive(Debug, Default)]
pub struct Counters {
    pub(crate) processed: Counter,
    pub(crate) errored: Counter,
    pub(crate) dropped: Counter,
    pub(crate) javascript_errors: Counter,
    pub(crate) outputs: Counter,
    pub(crate) invalid: Counter,
    pub(crate) undelivered: Counter,
    pub(crate) evaluations: Timer,
    pub(crate) batches: Timer,
    pub(crate) messages: Timer,
    /// Set, not added to.
    pub(crate) mappings: Counter,
    pub(crate) variables: Counter,
}

/// How often something was done, and how long some of it took.
#[derive(Debug)]
pub(crate) struct Timer {
    count: Counter,
    /// Nanoseconds.
    times: Mutex<Histogram<u64>>,
}

impl Default for Timer {
    fn default() -> Self {
        Self { count: Counter::new(), times: Mutex::new(Histogram::new(2).expect("two digits are fine")) }
    }
}

/// One in so many is timed.
pub(crate) const TIMED: u64 = 64;

impl Timer {
    /// Whether the next one is to be timed.
    pub(crate) fn is_due(&self) -> bool {
        self.count.get().is_multiple_of(TIMED)
    }

    pub(crate) fn count(&self, times: u64) {
        self.count.add_owned(times);
    }

    /// Of one that is counted as well.
    pub(crate) fn record(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1);
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        // It grows with what comes.
        let _ = times.record(nanos);
    }

    /// Of one that began then, if that was noted.
    pub(crate) fn record_since(&self, began: Option<Instant>) {
        if let Some(began) = began {
            self.record(began.elapsed());
        }
    }

    fn snapshot(&self) -> TimerSnapshot {
        let count = self.count.get();
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        TimerSnapshot {
            count,
            timed: times.len(),
            mean_ns: times.mean(),
            p50_ns: times.value_at_quantile(0.5),
            p95_ns: times.value_at_quantile(0.95),
            p99_ns: times.value_at_quantile(0.99),
            max_ns: times.max(),
        }
    }
}

/// What was counted until now.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CountersSnapshot {
    /// Messages of sources that came to an output.
    pub messages_processed: u64,
    /// Payloads that are none, and mappings that failed: one message can count several times, and as processed as well.
    pub messages_errored: u64,
    /// Messages without a topic, of a topic that is no source, or without any output.
    pub messages_dropped: u64,
    /// Evaluations that threw, hit a limit, or resulted in `null` or `undefined`.
    pub javascript_errors: u64,
    /// Records made.
    pub outputs_generated: u64,
    /// Payloads that are none.
    pub invalid_data_type: u64,
    /// Outputs that nobody took: see [`StreamProcessor`](crate::StreamProcessor).
    pub outputs_undelivered: u64,
    /// Evaluations, one for each mapping that runs; one whose result is known already counts too.
    pub javascript_execution_time: TimerSnapshot,
    /// Batches.
    pub batch_processing_time: TimerSnapshot,
    /// Messages that came to an output.
    pub message_processing_time: TimerSnapshot,
    /// Mappings of the configuration.
    pub active_mappings: u64,
    /// Aliases that have a value.
    pub active_variables: u64,
}

impl CountersSnapshot {
    /// The counts that are no times, by their names.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, u64); 7] {
        [
            ("messages_processed", self.messages_processed),
            ("messages_errored", self.messages_errored),
            ("messages_dropped", self.messages_dropped),
            ("javascript_errors", self.javascript_errors),
            ("outputs_generated", self.outputs_generated),
            ("invalid_data_type", self.invalid_data_type),
            ("outputs_undelivered", self.outputs_undelivered),
        ]
    }
}

/// How often something was done, and how long it took, to two digits: of messages and their evaluations one in 64 is timed, of small
/// batches one in 64. A message that fills a part ([`Parts`](crate::Parts)) is not.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TimerSnapshot {
    /// How often.
    pub count: u64,
    /// How many of those were timed.
    pub timed: u64,
    /// The mean of those, in nanoseconds, as all that follow.
    pub mean_ns: f64,
    /// Half of them took no longer.
    pub p50_ns: u64,
    /// 95 of a hundred took no longer.
    pub p95_ns: u64,
    /// 99 of a hundred took no longer.
    pub p99_ns: u64,
    /// The longest.
    pub max_ns: u64,
}

impl Counters {
    /// That of [`CountersSnapshot`] alone: a load.
    #[must_use]
    pub fn messages_errored(&self) -> u64 {
        self.errored.get()
    }

    /// That of [`CountersSnapshot`] alone: a load.
    #[must_use]
    pub fn messages_dropped(&self) -> u64 {
        self.dropped.get()
    }

    /// That of [`CountersSnapshot`] alone: a load.
    #[must_use]
    pub fn invalid_data_type(&self) -> u64 {
        self.invalid.get()
    }

    /// What was counted until now. A batch under way is in it as far as it got.
    #[must_use]
    pub fn snapshot(&self) -> CountersSnapshot {
        CountersSnapshot {
            messages_processed: self.processed.get(),
            messages_errored: self.errored.get(),
            messages_dropped: self.dropped.get(),
            javascript_errors: self.javascript_errors.get(),
            outputs_generated: self.outputs.get(),
            invalid_data_type: self.invalid.get(),
            outputs_undelivered: self.undelivered.get(),
            javascript_execution_time: self.evaluations.snapshot(),
            batch_processing_time: self.batches.snapshot(),
            message_processing_time: self.messages.snapshot(),
            active_mappings: self.mappings.get(),
            active_variables: self.variables.get(),
        }
    }
}

/// Counts, and of times the mean of those that were timed.
impl Figures for Counters {
    fn figures(&self) -> Vec<Figure> {
        let counted = self.snapshot();
        let timed = [
            ("javascript_executions", counted.javascript_execution_time.count),
            ("batches_processed", counted.batch_processing_time.count),
        ];
        let counts = counted.counts().into_iter().chain(timed);
        let mut figures: Vec<_> = counts.map(|(name, count)| Figure::counter(name, count as f64)).collect();
        for (name, measured) in [
            ("active_mappings", counted.active_mappings as f64),
            ("active_variables", counted.active_variables as f64),
            ("javascript_execution_time_ns", counted.javascript_execution_time.mean_ns),
            ("message_processing_time_ns", counted.message_processing_time.mean_ns),
            ("batch_processing_time_ns", counted.batch_processing_time.mean_ns),
        ] {
            figures.push(Figure::gauge(name, measured));
        }
        figures
    }
}

/// Sets what only its owner writes.
pub(crate) fn set(gauge: &Counter, value: usize) {
    gauge.add_owned((value as u64).wrapping_sub(gauge.get()));
}
