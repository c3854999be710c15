//! What differs between two runs.
//!
//! Each run is cut into ten blocks of samples, and those of one are paired with those of the other: the phases of a scenario are no noise.
//! A difference is more than noise if it is over 1 %, and the mean of the differences, as shares, is more than four standard errors from 0 (a paired t).
//! Four, not three, for one second is not independent of the next. That is the noise within the runs; of a machine that was busier the
//! other day it knows nothing. Losses are counted, not sampled: where there were none, one is a difference.

use std::fmt::Write;

use serde_json::to_value;

use crate::report::{Report, Sample};
use crate::scenario::Scenario;
use crate::text::figure;

const BLOCKS: usize = 10;
const ERRORS: f64 = 4.0;
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
        of: |run| run.figures.cpu_percent,
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
    for (what, a, b) in unlike(a, b) {
        let _ = writeln!(text, "not the same load: {what}: {a}, then {b}");
    }
    if !text.is_empty() {
        text.push('\n');
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

/// What else differs than what came of it.
fn unlike(a: &Report, b: &Report) -> Vec<(&'static str, String, String)> {
    let settings = |run: &Report| {
        let Scenario { seed, senders, workers, subsystems, bodies, handlers, .. } = &run.scenario;
        let paces: Vec<_> = run.phases.iter().map(|phase| (phase.messages, phase.rate)).collect();
        [
            ("seed", to_value(seed)),
            ("senders", to_value(senders)),
            ("workers", to_value(workers)),
            ("subsystems", to_value(subsystems)),
            ("bodies", to_value(bodies)),
            ("handlers", to_value(handlers)),
            ("messages and rates of the phases", to_value(paces)),
            ("was cut short", to_value(&run.cut_short)),
            ("had a dashboard", to_value(run.has_dashboard)),
            ("cores", to_value(run.machine.cores)),
            ("build", to_value(&run.machine.profile)),
        ]
        .map(|(what, value)| (what, value.unwrap_or_default().to_string()))
    };
    let both = settings(a).into_iter().zip(settings(b));
    both.filter(|(a, b)| a != b).map(|((what, a), (_, b))| (what, a, b)).collect()
}

impl Measure {
    fn difference(&self, a: &Report, b: &Report) -> Difference {
        let Some(sampled) = self.sampled else { return Difference::Unknown };
        let (Some(value_a), Some(value_b)) = ((self.of)(a), (self.of)(b)) else { return Difference::Unknown };
        let by = value_b - value_a;
        let is_first_or_last_loss =
            self.name.starts_with("loss") && by != 0.0 && (value_a == 0.0 || value_b == 0.0);
        let is_noise = || {
            let (a, b) = (blocks(&a.samples, sampled)?, blocks(&b.samples, sampled)?);
            // As shares: ten percent of a quiet phase are as good as ten of a busy one.
            let share = |(a, b): (&f64, &f64)| if a == b { 0.0 } else { 2.0 * (b - a) / (a.abs() + b.abs()) };
            let differences: Vec<f64> = a.iter().zip(&b).map(share).collect();
            let count = BLOCKS as f64;
            let mean = differences.iter().sum::<f64>() / count;
            let squares: f64 = differences.iter().map(|one| (one - mean).powi(2)).sum();
            let error = (squares / (count - 1.0) / count).sqrt();
            // The whole and its samples must agree on the direction.
            Some(mean.abs() <= ERRORS * error || mean * by <= 0.0)
        };
        match if is_first_or_last_loss { Some(false) } else { is_noise() } {
            None => Difference::Unknown,
            Some(is_noise) if is_noise || by.abs() <= SMALLEST * value_a.abs() => Difference::Noise,
            Some(_) if (by > 0.0) == self.more_is_better => Difference::Better,
            Some(_) => Difference::Worse,
        }
    }
}

/// The means of blocks of samples; `None` if there are too few. Of those that are left over the first are left out.
fn blocks(samples: &[Sample], sampled: fn(&Sample) -> f64) -> Option<Vec<f64>> {
    let length = samples.len() / BLOCKS;
    let mean = |block: &[Sample]| block.iter().map(sampled).sum::<f64>() / length as f64;
    (length > 0).then(|| samples[samples.len() - length * BLOCKS..].chunks(length).map(mean).collect())
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
            let handled: u64 = run.samples.iter().map(|sample| sample.handled).sum();
            run.figures.throughput = handled as f64 / 60.0;
            run
        };
        // Two phases.
        let even = run(|second| if second < 30 { 1000 } else { 10_000 } + second * 7 % 10);
        let less = run(|second| if second < 30 { 900 } else { 9000 } + second * 5 % 10);
        let wild = run(|second| 10_000 + second * 7919 % 1000 * 10);
        let calm = run(|second| 14_000 + second * 7 % 10);
        assert_eq!(throughput.difference(&even, &less), Difference::Worse);
        assert_eq!(throughput.difference(&less, &even), Difference::Better);
        assert_eq!(throughput.difference(&calm, &wild), Difference::Noise);
        assert_eq!(throughput.difference(&even, &even), Difference::Noise);
        let mut short = even.clone();
        short.samples.truncate(9);
        assert_eq!(throughput.difference(&even, &short), Difference::Unknown);
    }

    #[test]
    fn the_first_loss_is_a_difference() {
        let loss = MEASURES.iter().find(|measure| measure.name == "loss, share").unwrap();
        let (none, mut one) = (report(), report());
        one.figures.loss = 1e-6;
        assert_eq!(loss.difference(&none, &one), Difference::Worse);
        assert_eq!(loss.difference(&one, &none), Difference::Better);
    }

    #[test]
    fn other_loads_are_not_compared_in_silence() {
        let (one, mut other) = (report(), report());
        assert!(!compare(&one, &other).contains("not the same load"));
        other.scenario.about = "in other words".to_owned();
        assert!(!compare(&one, &other).contains("not the same load"));
        other.scenario.seed += 1;
        assert!(compare(&one, &other).contains("not the same load: seed: 0, then 1"));
    }
}
