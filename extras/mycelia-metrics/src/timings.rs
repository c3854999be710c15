//! What is heard of single messages: histograms of how long they waited and how long they took.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use dashmap::DashMap;
use foldhash::fast::RandomState;
use hdrhistogram::Histogram;
use mycelia_actors::{Observer, Sample};
use tokio::time::Instant;

/// How long a window of recent times is; there are two, so that one is whole.
const WINDOW: Duration = Duration::from_secs(5);
/// Types of messages that are told apart in one subsystem.
const MOST_TYPES: usize = 20;
/// All others.
const OTHER_TYPES: &str = "(other types)";
/// Subsystems (and types of those without names) that have times of their own, of 20 to 110 KB.
const MOST_LABELS: usize = 400;
/// The times of all others, who would wait for one another at a single one.
const OTHERS: usize = 16;
/// In nanoseconds. Longer times count as this.
const LONGEST: u64 = 24 * 3600 * 1_000_000_000;

/// The times of all subsystems, by name or, without one, by type (which has `::` in it, and so is no name). Memory is bounded, whether
/// anybody looks or not: whoever comes when there are too many is one of the others.
#[derive(Default)]
pub(crate) struct Timings {
    by_label: DashMap<Box<str>, Arc<Mutex<Times>>, RandomState>,
    others: [Mutex<Times>; OTHERS],
}

/// Listens for as long as the timings are there.
pub(crate) struct Listener(pub(crate) Weak<Timings>);

impl Observer for Listener {
    fn sampled(&self, sample: &Sample<'_>) {
        if let Some(timings) = self.0.upgrade() {
            timings.record(sample);
        }
    }
}

impl Timings {
    fn record(&self, sample: &Sample<'_>) {
        let name = sample.subsystem;
        let Some(label) = name.as_given().or(name.as_type()) else { return };
        if let Some(times) = self.of(label) {
            lock(&times).record(sample);
        } else if self.by_label.len() < MOST_LABELS {
            let times = Arc::clone(&self.by_label.entry(label.into()).or_default());
            lock(&times).record(sample);
        } else {
            lock(self.other(label)).record(sample);
        }
    }

    fn other(&self, label: &str) -> &Mutex<Times> {
        &self.others[self.by_label.hasher().hash_one(label) as usize % OTHERS]
    }

    fn of(&self, label: &str) -> Option<Arc<Mutex<Times>>> {
        self.by_label.get(label).map(|times| Arc::clone(&times))
    }

    /// Looks at the times of one label, if there are any.
    pub(crate) fn look<T>(&self, label: &str, look: impl FnOnce(&mut Times) -> T) -> Option<T> {
        self.of(label).map(|times| look(&mut lock(&times)))
    }

    /// Those that are not there any more are others from now on.
    pub(crate) fn retain(&self, is_there: impl Fn(&str) -> bool) {
        let mut gone = Vec::new();
        self.by_label.retain(|label, times| {
            let stays = is_there(label);
            if !stays {
                gone.push((self.other(label), Arc::clone(times)));
            }
            stays
        });
        for (other, times) in gone {
            lock(other).absorb(&mut lock(&times));
        }
    }

    /// How many of this many labels cannot have times of their own.
    pub(crate) fn missing_of(&self, labels: usize) -> u64 {
        labels.saturating_sub(MOST_LABELS) as u64
    }

    /// How long messages to all subsystems waited lately, and how long they took.
    pub(crate) fn lately(&self) -> [Histogram<u64>; 2] {
        let mut both = [histogram(), histogram()];
        let mut add_lately = |times: &mut Times| {
            let [waited, took] = &mut both;
            add(waited, &times.waited.lately());
            add(took, &times.took.lately());
        };
        // Not under the map's locks, which samples wait for.
        let all: Vec<_> = self.by_label.iter().map(|entry| Arc::clone(entry.value())).collect();
        all.iter().for_each(|times| add_lately(&mut lock(times)));
        self.others.iter().for_each(|times| add_lately(&mut lock(times)));
        both
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
    by_type: HashMap<&'static str, Histogram<u64>, RandomState>,
}

impl Times {
    fn record(&mut self, sample: &Sample<'_>) {
        let now = Instant::now();
        let count = sample.stands_for;
        self.waited.record(now, sample.waited, count);
        self.took.record(now, sample.took, count);
        let is_told_apart = self.by_type.len() < MOST_TYPES || self.by_type.contains_key(sample.message_type);
        let message_type = if is_told_apart { sample.message_type } else { OTHER_TYPES };
        record(self.by_type.entry(message_type).or_insert_with(histogram), sample.took, count);
    }

    /// How long messages of each type took, since the beginning.
    pub(crate) fn by_type(&self) -> impl Iterator<Item = (&'static str, &Histogram<u64>)> {
        self.by_type.iter().map(|(name, times)| (*name, times))
    }

    fn absorb(&mut self, other: &mut Self) {
        self.waited.absorb(&mut other.waited);
        self.took.absorb(&mut other.took);
    }
}

/// An empty one of two digits, which grows as large as need be: some kilobytes.
fn histogram() -> Histogram<u64> {
    Histogram::new(2).expect("two digits are fine")
}

fn record(histogram: &mut Histogram<u64>, time: Duration, count: u64) {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(LONGEST).clamp(1, LONGEST);
    // One that grows takes every time up to the longest.
    let _ = histogram.record_n(nanos, count);
}

fn add(sum: &mut Histogram<u64>, more: &Histogram<u64>) {
    // It grows as well.
    let _ = sum.add(more);
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
        Self { all: histogram(), windows: [histogram(), histogram()], began: Instant::now(), newer: 0 }
    }
}

impl Recent {
    fn record(&mut self, now: Instant, time: Duration, count: u64) {
        self.turn(now);
        for histogram in [&mut self.all, &mut self.windows[self.newer]] {
            record(histogram, time, count);
        }
    }

    fn absorb(&mut self, other: &mut Self) {
        self.turn(Instant::now());
        add(&mut self.all, &other.all);
        add(&mut self.windows[self.newer], &other.lately());
    }

    fn turn(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.began);
        if age < WINDOW {
            return;
        }
        self.newer = 1 - self.newer;
        self.windows[self.newer].reset();
        self.began += WINDOW;
        if age >= 2 * WINDOW {
            self.windows[1 - self.newer].reset();
            self.began = now;
        }
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
        add(&mut both, other);
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
