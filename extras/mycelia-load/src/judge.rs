//! Whether a run reached what its scenario asks for.

use serde::{Deserialize, Serialize};

use crate::latency::Latency;
use crate::report::{Figures, Sample};
use crate::scenario::Pass;

/// Shorter runs say nothing about times, unless they have so many messages.
const LONG_ENOUGH: f64 = 20.0;
const MESSAGES_ENOUGH: u64 = 100_000;
/// Shorter runs say nothing about the growth of memory.
const LONG_ENOUGH_FOR_MEMORY: f64 = 300.0;

/// What the throughput is judged by at a time: seconds, and messages that were due.
const SHORTEST: f64 = 0.09;
const FEWEST: f64 = 100.0;
/// A line through a few seconds would be noise by the hour.
const LEAST_FOR_A_LINE: f64 = 60.0;

/// One criterion, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Judgement {
    pub(crate) criterion: String,
    pub(crate) limit: f64,
    /// `limit` is the least, not the most.
    pub(crate) at_least: bool,
    pub(crate) value: Option<f64>,
    pub(crate) verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    Passed,
    Failed,
    /// The run was too short to tell.
    TooShort,
    /// The system does not say.
    Unknown,
}

impl Verdict {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "FAILED",
            Self::TooShort => "not judged: needs 20 s or 100 000 messages; memory 300 s",
            Self::Unknown => "not judged: cannot be measured here",
        }
    }
}

/// The criteria that the scenario has. Those that go with rates change with them, or are left out if there were no rates.
pub(crate) fn judge(
    pass: &Pass,
    rates_changed: Option<f64>,
    seconds: f64,
    figures: &Figures,
    latency: &Latency,
) -> Vec<Judgement> {
    let is_long = seconds >= LONG_ENOUGH || latency.count >= MESSAGES_ENOUGH;
    let is_long_for_memory = seconds >= LONG_ENOUGH_FOR_MEMORY;
    let at_rate = |limit: Option<f64>| Some(limit? * rates_changed?);
    // Where nothing was handled there are no times, and that is no success.
    let p95 = if latency.count > 0 { latency.p95 } else { f64::INFINITY };
    let is_sampled = is_long && figures.steadiness.is_some();
    let at_least =
        |criterion: &str, limit: Option<f64>, value| judged(criterion, limit, true, Some(value), is_long);
    let at_most = |criterion: &str, limit: Option<f64>, value, can_tell| {
        judged(criterion, limit, false, value, can_tell)
    };
    [
        at_least("throughput, messages/s", at_rate(pass.throughput), figures.throughput),
        at_least("queue operations/s", at_rate(pass.queue_operations), figures.queue_operations),
        at_most("steadiness, deviation", pass.steadiness, figures.steadiness, is_sampled),
        at_most("p95 latency, ms", pass.p95_ms, Some(p95), is_long),
        at_most(
            "memory growth, MB/h",
            pass.memory_mb_per_hour,
            figures.memory_mb_per_hour,
            is_long_for_memory,
        ),
        at_most("CPU, % of a core", pass.cpu_percent, figures.cpu_percent, is_long),
        at_most("loss, share", pass.loss, Some(figures.loss), true),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn judged(
    criterion: &str,
    limit: Option<f64>,
    at_least: bool,
    value: Option<f64>,
    can_tell: bool,
) -> Option<Judgement> {
    let limit = limit?;
    let verdict = match value {
        _ if !can_tell => Verdict::TooShort,
        None => Verdict::Unknown,
        Some(value) if if at_least { value >= limit } else { value <= limit } => Verdict::Passed,
        Some(_) => Verdict::Failed,
    };
    // JSON has no infinity.
    let value = value.filter(|value| value.is_finite());
    Some(Judgement { criterion: criterion.to_owned(), limit, at_least, value, verdict })
}

/// How far what was handled is from what was due, as a share of that (the root of the mean square); or, where nothing was due at any
/// time, from the mean throughput. Samples are taken together until they are long enough to tell; `None` if these are too few.
pub(crate) fn steadiness(samples: &[Sample]) -> Option<f64> {
    let seconds: f64 = samples.iter().map(|sample| sample.seconds).sum();
    let mean = samples.iter().map(|sample| sample.handled).sum::<u64>() as f64 / seconds;
    let mut shares = Vec::new();
    let (mut time, mut due, mut handled) = (0.0, 0.0, 0.0);
    for sample in samples {
        time += sample.seconds;
        due += sample.due.unwrap_or(mean * sample.seconds);
        handled += sample.handled as f64;
        if time >= SHORTEST && due >= FEWEST {
            shares.push(handled / due);
            (time, due, handled) = (0.0, 0.0, 0.0);
        }
    }
    if shares.len() < 5 {
        return None;
    }
    let squares: f64 = shares.iter().map(|share| (share - 1.0).powi(2)).sum();
    Some((squares / shares.len() as f64).sqrt())
}

/// How much a line through the memory of the samples rises in an hour, without the first fifth.
pub(crate) fn memory_mb_per_hour(samples: &[Sample]) -> Option<f64> {
    let end = samples.last()?.at;
    if end < LEAST_FOR_A_LINE {
        return None;
    }
    let begin = end / 5.0;
    let points: Vec<_> = samples
        .iter()
        .filter(|one| one.at >= begin && one.memory_mb > 0.0)
        .map(|one| (one.at / 3600.0, one.memory_mb))
        .collect();
    if points.len() < 5 {
        return None;
    }
    let count = points.len() as f64;
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
    let xy: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let xx: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    Some(xy / xx)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: f64, handled: u64, memory_mb: f64) -> Sample {
        let latency = Latency::default();
        let due = Some(100.0);
        let (phase, offered, lost, queued, cpu_percent) = (0, 100, 0, 0, 1.0);
        Sample {
            at,
            seconds: 1.0,
            phase,
            due,
            offered,
            handled,
            lost,
            queued,
            latency,
            memory_mb,
            cpu_percent,
        }
    }

    #[test]
    fn memory_that_grows_by_a_megabyte_a_minute_grows_by_60_an_hour() {
        let samples: Vec<_> =
            (0..120).map(|second| sample(f64::from(second), 100, f64::from(second) / 60.0)).collect();
        assert!((memory_mb_per_hour(&samples).unwrap() - 60.0).abs() < 1e-9);
        let steps: Vec<_> = (0..100)
            .map(|second| sample(f64::from(second), 100, if second < 10 { 1.0 } else { 9.0 }))
            .collect();
        assert_eq!(memory_mb_per_hour(&steps).unwrap(), 0.0, "what happens in the beginning is no growth");
        assert_eq!(memory_mb_per_hour(&samples[..3]), None);
    }

    #[test]
    fn what_is_always_as_due_is_steady() {
        let mut samples: Vec<_> = (0..10).map(|second| sample(f64::from(second), 100, 1.0)).collect();
        assert_eq!(steadiness(&samples), Some(0.0));
        (samples[3].handled, samples[4].handled) = (50, 150);
        assert!((steadiness(&samples).unwrap() - 0.2236).abs() < 1e-3);
        samples.iter_mut().for_each(|sample| sample.handled = 50);
        assert_eq!(steadiness(&samples), Some(0.5), "half of what is due is not steady");
    }

    #[test]
    fn a_stall_does_not_hide_unsteadiness() {
        let mut samples: Vec<_> = (0..20).map(|second| sample(f64::from(second), 60, 1.0)).collect();
        samples[10].seconds = 5.0;
        assert!((steadiness(&samples).unwrap() - 0.4).abs() < 1e-9);
    }

    #[test]
    fn few_messages_a_second_are_taken_together() {
        let mut samples: Vec<_> = (0..400).map(|second| sample(f64::from(second), 3, 1.0)).collect();
        for (second, sample) in samples.iter_mut().enumerate() {
            (sample.due, sample.handled) = (Some(3.0), if second % 2 == 0 { 2 } else { 4 });
        }
        assert!(steadiness(&samples).unwrap() < 0.02);
    }

    fn verdicts(seconds: f64, rates_changed: Option<f64>, figures: Figures, count: u64) -> Vec<Verdict> {
        let pass = Pass {
            throughput: Some(1000.0),
            p95_ms: Some(1.0),
            cpu_percent: Some(50.0),
            loss: Some(0.0),
            ..Pass::default()
        };
        let latency = Latency { p95: 0.5, count, ..Latency::default() };
        judge(&pass, rates_changed, seconds, &figures, &latency).iter().map(|one| one.verdict).collect()
    }

    #[test]
    fn short_runs_are_judged_by_their_losses_only() {
        use Verdict::{Failed, Passed, TooShort};
        let figures = Figures { throughput: 999.0, loss: 0.1, cpu_percent: Some(1.0), ..Figures::default() };
        assert_eq!(verdicts(1.0, Some(1.0), figures, 10), [TooShort, TooShort, TooShort, Failed]);
        assert_eq!(verdicts(60.0, Some(1.0), figures, 10), [Failed, Passed, Passed, Failed]);
        assert_eq!(verdicts(60.0, Some(0.9), figures, 10), [Passed, Passed, Passed, Failed]);
        assert_eq!(verdicts(60.0, None, figures, 10), [Passed, Passed, Failed], "there were no rates before");
    }

    #[test]
    fn what_was_not_measured_does_not_pass() {
        use Verdict::{Failed, Passed, Unknown};
        let figures = Figures { throughput: 2000.0, ..Figures::default() };
        assert_eq!(verdicts(60.0, Some(1.0), figures, 0), [Passed, Failed, Unknown, Passed]);
    }
}
