//! What is heard of single messages: histograms of how long they waited and how long they took.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dashmap::DashMap;
use foldhash::fast::RandomState;
use hdrhistogram::Histogram;
use mycelia_actors::{Observer, Sample};
use tokio::time::Instant;

/// How long a window of recent times is; there are two, so that one is whole.
const WINDOW: Duration = Duration::from_secs(5);
/// Types of messages that are told apart in one subsystem.
const MOST_TYPES: usize = 50;
/// Subsystems (and types of those without names) whose messages are timed.
const MOST_LABELS: usize = 10_000;
/// In nanoseconds. Longer times count as this.
const LONGEST: u64 = 24 * 3600 * 1_000_000_000;

/// The times of all subsystems, by name or, without one, by type (which has `::` in it, and so is no name).
#[derive(Clone, Default)]
pub(crate) struct Timings {
    by_label: Arc<DashMap<Box<str>, Arc<Mutex<Times>>, RandomState>>,
}

impl Observer for Timings {
    fn sampled(&self, sample: &Sample<'_>) {
        let name = sample.subsystem;
        let Some(label) = name.as_given().or(name.as_type()) else { return };
        if let Some(times) = self.of(label) {
            return lock(&times).record(sample);
        }
        if self.by_label.len() < MOST_LABELS {
            let times = Arc::clone(&self.by_label.entry(label.into()).or_default());
            lock(&times).record(sample);
        }
    }
}

impl Timings {
    fn of(&self, label: &str) -> Option<Arc<Mutex<Times>>> {
        self.by_label.get(label).map(|times| Arc::clone(&times))
    }

    /// Looks at the times of one label, if there are any.
    pub(crate) fn look<T>(&self, label: &str, look: impl FnOnce(&mut Times) -> T) -> Option<T> {
        self.of(label).map(|times| look(&mut lock(&times)))
    }

    /// Forgets whom nobody asks for any more.
    pub(crate) fn retain(&self, is_there: impl Fn(&str) -> bool) {
        self.by_label.retain(|label, _| is_there(label));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The times of one subsystem, or of all without names of one type.
#[derive(Default)]
pub(crate) struct Times {
    pub(crate) waited: Recent,
    pub(crate) took: Recent,
    by_type: HashMap<&'static str, Recent, RandomState>,
}

impl Times {
    fn record(&mut self, sample: &Sample<'_>) {
        let now = Instant::now();
        let count = sample.stands_for;
        self.waited.record(now, sample.waited, count);
        self.took.record(now, sample.took, count);
        if self.by_type.len() < MOST_TYPES || self.by_type.contains_key(sample.message_type) {
            self.by_type.entry(sample.message_type).or_default().record(now, sample.took, count);
        }
    }

    /// How long messages of each type took.
    pub(crate) fn by_type(&mut self) -> impl Iterator<Item = (&'static str, &mut Recent)> {
        self.by_type.iter_mut().map(|(name, times)| (*name, times))
    }
}

/// Times since the beginning, and lately.
pub(crate) struct Recent {
    all: Histogram<u64>,
    windows: [Histogram<u64>; 2],
    /// When the newer window began, and which it is.
    began: Instant,
    newer: usize,
}

impl Default for Recent {
    fn default() -> Self {
        // Two digits, as large as need be: some kilobytes.
        let histogram = || Histogram::new(2).expect("two digits are fine");
        Self { all: histogram(), windows: [histogram(), histogram()], began: Instant::now(), newer: 0 }
    }
}

impl Recent {
    fn record(&mut self, now: Instant, time: Duration, count: u64) {
        self.turn(now);
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(LONGEST).clamp(1, LONGEST);
        for histogram in [&mut self.all, &mut self.windows[self.newer]] {
            // A histogram that grows takes every time up to the longest.
            let _ = histogram.record_n(nanos, count);
        }
    }

    fn turn(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.began);
        if age < WINDOW {
            return;
        }
        self.newer = 1 - self.newer;
        self.windows[self.newer].reset();
        if age >= 2 * WINDOW {
            self.windows[1 - self.newer].reset();
        }
        self.began = now;
    }

    /// Since the beginning.
    pub(crate) fn all(&self) -> &Histogram<u64> {
        &self.all
    }

    /// Of the last 5 to 10 seconds.
    pub(crate) fn lately(&mut self) -> Histogram<u64> {
        self.turn(Instant::now());
        let [one, other] = &self.windows;
        let mut both = one.clone();
        // It grows as well.
        let _ = both.add(other);
        both
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_long_ago_is_not_lately() {
        let mut times = Recent::default();
        times.record(Instant::now(), Duration::from_millis(3), 10);
        assert_eq!((times.all().len(), times.lately().len()), (10, 10));
        tokio::time::advance(WINDOW).await;
        times.record(Instant::now(), Duration::from_millis(5), 1);
        assert_eq!((times.all().len(), times.lately().len()), (11, 11));
        tokio::time::advance(WINDOW).await;
        assert_eq!((times.all().len(), times.lately().len()), (11, 1));
        tokio::time::advance(WINDOW).await;
        assert_eq!((times.all().len(), times.lately().len()), (11, 0));
    }

    #[test]
    fn the_longest_and_the_shortest_times_are_kept() {
        let mut times = Recent::default();
        for time in [Duration::ZERO, Duration::MAX] {
            times.record(Instant::now(), time, 1);
        }
        assert_eq!(times.all().len(), 2);
        assert!(times.all().max() >= LONGEST / 100 * 99);
    }
}
