//! What differs between two runs.
//!
//! Each run is cut into ten blocks of samples. A difference is more than noise if it is over 1 %, and the means of the blocks differ
//! by more than three standard errors (Welch's t). That is the noise within the runs; of a machine that was busier the other day it
//! knows nothing.

use std::fmt::Write;

use serde_json::to_value;

use crate::report::{Report, Sample};
use crate::text::figure;

const BLOCKS: usize = 10;
const ERRORS: f64 = 3.0;
const SMALLEST: f64 = 0.01;

/// Something that both runs have.
struct Measure {
    name: &'static str,
    more_is_better: bool,
    of: fn(&Report) -> Option<f64>,
    /// The same for a single sample, if that can be said.
    sampled: Option<fn(&Sample) -> f64>,
}

const MEASURES: [Measure; 9] = [
    Measure {
        name: "throughput, messages/s",
        more_is_better: true,
        of: |run| Some(run.figures.throughput),
        sampled: Some(Sample::throughput),
    },
    Measure {
        name: "latency p50, ms",
        more_is_better: false,
        of: |run| Some(run.latency.p50),
        sampled: Some(|one| one.latency.p50),
    },
    Measure {
        name: "latency p95, ms",
        more_is_better: false,
        of: |run| Some(run.latency.p95),
        sampled: Some(|one| one.latency.p95),
    },
    Measure {
        name: "latency p99, ms",
        more_is_better: false,
        of: |run| Some(run.latency.p99),
        sampled: Some(|one| one.latency.p99),
    },
    Measure {
        name: "latency max, ms",
        more_is_better: false,
        of: |run| Some(run.latency.max),
        sampled: None,
    },
    Measure {
        name: "loss, share",
        more_is_better: false,
        of: |run| Some(run.figures.loss),
        sampled: Some(|one| one.lost as f64 / (one.offered as f64).max(1.0)),
    },
    Measure {
        name: "CPU, % of a core",
        more_is_better: false,
        of: |run| Some(run.figures.cpu_percent),
        sampled: Some(|one| one.cpu_percent),
    },
    Measure {
        name: "memory at most, MB",
        more_is_better: false,
        of: |run| Some(run.figures.memory_mb[2]),
        sampled: None,
    },
    Measure {
        name: "memory growth, MB/h",
        more_is_better: false,
        of: |run| run.figures.memory_mb_per_hour,
        sampled: None,
    },
];

/// What is to be said of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Difference {
    Better,
    Worse,
    Noise,
    /// One value for a run, or too few samples.
    Unknown,
}

impl Difference {
    fn as_str(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Noise => "within the noise",
            Self::Unknown => "cannot tell from one run each",
        }
    }
}

pub(crate) fn compare(a: &Report, b: &Report) -> String {
    let mut text = String::new();
    if !are_alike(a, b) {
        text.push_str("These are not the same load: scenario, seed, scale or machine differ.\n\n");
    }
    // A `String` takes all.
    let _ = writeln!(text, "{:<26}{:>12}{:>12}{:>10}", "", "a", "b", "change");
    for measure in MEASURES {
        let [value_a, value_b] = [(measure.of)(a), (measure.of)(b)];
        let change =
            value_a.zip(value_b).filter(|(one, _)| *one != 0.0).map(|(one, other)| other / one - 1.0);
        let change_shown = change.map_or("-".to_owned(), |change| format!("{:+.1} %", change * 100.0));
        let (value_a, value_b) = (figure(value_a), figure(value_b));
        let said = measure.difference(a, b).as_str();
        let _ = writeln!(text, "{:<26}{value_a:>12}{value_b:>12}{change_shown:>10}  {said}", measure.name);
    }
    text
}

fn are_alike(a: &Report, b: &Report) -> bool {
    let load = |run: &Report| (to_value(&run.scenario).ok(), run.scale.to_bits(), run.machine.cores);
    let paces =
        |run: &Report| run.phases.iter().map(|phase| (phase.messages, phase.rate)).collect::<Vec<_>>();
    load(a) == load(b) && paces(a) == paces(b)
}

impl Measure {
    fn difference(&self, a: &Report, b: &Report) -> Difference {
        let blocks = |run: &Report| Some(Blocks::of(run.samples.iter().map(self.sampled?)));
        let (Some(Some(a)), Some(Some(b))) = (blocks(a), blocks(b)) else { return Difference::Unknown };
        let by = b.mean - a.mean;
        if by.abs() <= SMALLEST * a.mean.abs()
            || by.abs() <= ERRORS * (a.error.powi(2) + b.error.powi(2)).sqrt()
        {
            Difference::Noise
        } else if (by > 0.0) == self.more_is_better {
            Difference::Better
        } else {
            Difference::Worse
        }
    }
}

/// The means of blocks of samples: their mean, and its standard error.
#[derive(Clone, Copy)]
struct Blocks {
    mean: f64,
    error: f64,
}

impl Blocks {
    /// `None` if the samples are too few. What is over goes to the first blocks' beginning, and is not looked at.
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.collect();
        let length = values.len() / BLOCKS;
        if length == 0 {
            return None;
        }
        let whole = &values[values.len() - length * BLOCKS..];
        let means: Vec<f64> =
            whole.chunks(length).map(|block| block.iter().sum::<f64>() / length as f64).collect();
        let count = BLOCKS as f64;
        let mean = means.iter().sum::<f64>() / count;
        let squares: f64 = means.iter().map(|one| (one - mean).powi(2)).sum();
        Some(Self { mean, error: (squares / (count - 1.0) / count).sqrt() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::tests::report;

    #[test]
    fn a_difference_beyond_the_noise_is_told_from_one_within() {
        let throughput = &MEASURES[0];
        let run = |handled: fn(u64) -> u64| {
            let mut run = report();
            for (second, sample) in run.samples.iter_mut().enumerate() {
                sample.handled = handled(second as u64);
            }
            run
        };
        let even = run(|second| 1000 + second * 7 % 10);
        let less = run(|second| 900 + second * 7 % 10);
        let wild = run(|second| 500 + second * 7919 % 1000);
        assert_eq!(throughput.difference(&even, &less), Difference::Worse);
        assert_eq!(throughput.difference(&less, &even), Difference::Better);
        assert_eq!(throughput.difference(&even, &wild), Difference::Noise);
        assert_eq!(throughput.difference(&even, &even), Difference::Noise);
        let mut short = even.clone();
        short.samples.truncate(9);
        assert_eq!(throughput.difference(&even, &short), Difference::Unknown);
    }

    #[test]
    fn other_loads_are_not_compared_in_silence() {
        let (one, mut other) = (report(), report());
        assert!(!compare(&one, &other).contains("not the same load"));
        other.scenario.seed += 1;
        assert!(compare(&one, &other).contains("not the same load"));
    }
}
