//! How many messages a second, and how steadily.

use std::time::{Duration, Instant};

/// How many messages were handled at which time.
pub(crate) struct Pace {
    start: Instant,
    looks: Vec<(Duration, u64)>,
}

/// The rates of the slices of a run, in messages a second.
#[derive(Debug, PartialEq)]
pub(crate) struct Slices {
    pub(crate) length: Duration,
    pub(crate) count: usize,
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Pace {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now(), looks: Vec::new() }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// So many messages have been handled by now.
    pub(crate) fn note(&mut self, handled: u64) {
        self.looks.push((self.start.elapsed(), handled));
    }

    /// In slices of a second, or of less if there would not be five. `None` if the run was too short for any.
    pub(crate) fn slices(&self) -> Option<Slices> {
        let &(last, _) = self.looks.last()?;
        let length =
            [1000, 100, 20].map(Duration::from_millis).into_iter().find(|length| last >= *length * 5)?;
        let mut rates = Vec::new();
        let mut from = (Duration::ZERO, 0);
        for &(at, handled) in &self.looks {
            // A look can be late: the rate is over the time that really passed. What is left at the end is no slice.
            if at - from.0 >= length {
                rates.push((handled - from.1) as f64 / (at - from.0).as_secs_f64());
                from = (at, handled);
            }
        }
        rates.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*rates.first()?, *rates.last()?);
        Some(Slices { length, count: rates.len(), min, median: rates[rates.len() / 2], max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(looks: &[(u64, u64)]) -> Pace {
        let looks = looks.iter().map(|&(at, handled)| (Duration::from_millis(at), handled)).collect();
        Pace { start: Instant::now(), looks }
    }

    #[test]
    fn slices_are_as_long_as_five_of_them_allow() {
        let looks: Vec<_> = (0..=60).map(|n| (n * 10, n * 20)).collect();
        let slices = pace(&looks).slices().unwrap();
        assert_eq!((slices.length, slices.count), (Duration::from_millis(100), 6));
        assert!((slices.min - 2000.0).abs() < 1e-6 && (slices.max - 2000.0).abs() < 1e-6);
    }

    #[test]
    fn a_late_look_makes_a_longer_slice_and_not_a_faster_one() {
        let slices = pace(&[(20, 20), (40, 40), (80, 80), (100, 100)]).slices().unwrap();
        assert_eq!(slices.count, 4);
        assert!((slices.max - 1000.0).abs() < 1e-6);
    }

    #[test]
    fn a_short_run_has_no_slices() {
        assert_eq!(pace(&[]).slices(), None);
        assert_eq!(pace(&[(0, 0), (10, 9)]).slices(), None);
    }
}
