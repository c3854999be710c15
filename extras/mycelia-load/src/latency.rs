//! Histograms of times, and what is told of them.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Longer times count as this: an hour, in nanoseconds.
const LONGEST: u64 = 3600 * 1_000_000_000;

/// An empty one, right to 1 %, for times in nanoseconds.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 2).expect("the bounds are fine")
}

pub(crate) fn record(histogram: &mut Histogram<u64>, nanos: u64) {
    histogram.saturating_record(nanos.max(1));
}

pub(crate) fn add(sum: &mut Histogram<u64>, more: &Histogram<u64>) {
    sum.add(more).expect("all have the same bounds");
}

/// Times in milliseconds, right to 1 %.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) count: u64,
    pub(crate) mean: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

impl Latency {
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e6;
        Self {
            count: histogram.len(),
            mean: histogram.mean() / 1e6,
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            max: histogram.max() as f64 / 1e6,
        }
    }
}

/// Milliseconds by quantile, up to where there is but one message above: the shape of the tail.
pub(crate) fn curve(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    // Nine steps for each nine: 0, 0.1, …, 0.9, 0.91, …, 0.99, 0.991, …
    let steps = (0..7).flat_map(|nines| {
        let above = 10_f64.powi(-nines);
        (0..9).map(move |step| 1.0 - above * (1.0 - f64::from(step) / 10.0))
    });
    let steps = steps.take_while(|quantile| (1.0 - quantile) * histogram.len() as f64 >= 1.0);
    steps.map(|quantile| (quantile, histogram.value_at_quantile(quantile) as f64 / 1e6)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_in_milliseconds_and_the_curve_ends_with_its_messages() {
        let mut times = histogram();
        (1..=1000).for_each(|millis| record(&mut times, millis * 1_000_000));
        let latency = Latency::of(&times);
        for (got, expected) in
            [(latency.p50, 500.0), (latency.p95, 950.0), (latency.p999, 999.0), (latency.mean, 500.5)]
        {
            assert!((got / expected - 1.0).abs() < 0.01, "{got} {expected}");
        }
        let curve = curve(&times);
        assert!(curve.iter().all(|(quantile, _)| *quantile <= 0.9991));
        assert!(curve.is_sorted_by_key(|(_, millis)| *millis) && curve.len() > 20);
        record(&mut times, u64::MAX);
        assert!(Latency::of(&times).max >= 3_500_000.0);
    }
}
