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
}

impl Verdict {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "FAILED",
            Self::TooShort => "not judged: too short a run",
        }
    }
}

/// The criteria that the scenario has.
pub(crate) fn judge(
    pass: &Pass,
    rates_changed: f64,
    seconds: f64,
    figures: &Figures,
    latency: &Latency,
) -> Vec<Judgement> {
    let can_tell = seconds >= LONG_ENOUGH || latency.count >= MESSAGES_ENOUGH;
    let can_tell_memory = seconds >= LONG_ENOUGH_FOR_MEMORY;
    let judged = |criterion: &str, limit: Option<f64>, at_least, value: Option<f64>, can_tell| {
        limit.map(|limit| Judgement {
            criterion: criterion.to_owned(),
            limit,
            at_least,
            value,
            verdict: match value {
                Some(value) if can_tell => {
                    let holds = if at_least { value >= limit } else { value <= limit };
                    if holds { Verdict::Passed } else { Verdict::Failed }
                }
                _ => Verdict::TooShort,
            },
        })
    };
    let at_rate = |limit: Option<f64>| limit.map(|limit| limit * rates_changed);
    let least = |criterion, limit, value| judged(criterion, limit, true, Some(value), can_tell);
    let most = |criterion, limit, value, can_tell| judged(criterion, limit, false, value, can_tell);
    [
        least("throughput, messages/s", at_rate(pass.throughput), figures.throughput),
        least("queue operations/s", at_rate(pass.queue_operations), figures.queue_operations),
        most("steadiness, deviation", pass.steadiness, figures.steadiness, can_tell),
        most("p95 latency, ms", pass.p95_ms, Some(latency.p95), can_tell),
        most("memory growth, MB/h", pass.memory_mb_per_hour, figures.memory_mb_per_hour, can_tell_memory),
        most("CPU, % of a core", pass.cpu_percent, Some(figures.cpu_percent), can_tell),
        most("loss, share", pass.loss, Some(figures.loss), true),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The standard deviation of what was handled as a share of what was due; or, where that is not known, of the mean throughput.
pub(crate) fn steadiness(samples: &[Sample]) -> Option<f64> {
    let seconds: f64 = samples.iter().map(|sample| sample.seconds).sum();
    let mean = samples.iter().map(|sample| sample.handled).sum::<u64>() as f64 / seconds;
    let share = |sample: &Sample| sample.handled as f64 / sample.due.unwrap_or(mean * sample.seconds);
    // A short rest at the end says nothing.
    let longest = samples.iter().map(|sample| sample.seconds).fold(0.0, f64::max);
    let is_whole = |sample: &&Sample| sample.seconds > longest / 2.0 && sample.due != Some(0.0);
    deviation(samples.iter().filter(is_whole).map(share))
}

fn deviation(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    if values.len() < 5 {
        return None;
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (count - 1.0)).sqrt())
}

/// How much a line through the memory of the samples rises in an hour, without the first fifth.
pub(crate) fn memory_mb_per_hour(samples: &[Sample]) -> Option<f64> {
    let end = samples.last()?.at;
    if end < LEAST_FOR_A_LINE {
        return None;
    }
    let begin = end / 5.0;
    let points: Vec<_> =
        samples.iter().filter(|one| one.at >= begin).map(|one| (one.at / 3600.0, one.memory_mb)).collect();
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
        assert!((steadiness(&samples).unwrap() - 0.2357).abs() < 1e-3);
    }

    #[test]
    fn short_runs_are_judged_by_their_losses_only() {
        let pass = Pass { throughput: Some(1000.0), p95_ms: Some(1.0), loss: Some(0.0), ..Pass::default() };
        let figures = Figures { throughput: 999.0, loss: 0.1, ..Figures::default() };
        let latency = Latency { p95: 0.5, count: 10, ..Latency::default() };
        let verdicts = |seconds, rates_changed| -> Vec<Verdict> {
            judge(&pass, rates_changed, seconds, &figures, &latency).iter().map(|one| one.verdict).collect()
        };
        use Verdict::{Failed, Passed, TooShort};
        assert_eq!(verdicts(1.0, 1.0), [TooShort, TooShort, Failed]);
        assert_eq!(verdicts(60.0, 1.0), [Failed, Passed, Failed]);
        assert_eq!(verdicts(60.0, 0.9), [Passed, Passed, Failed]);
    }
}
