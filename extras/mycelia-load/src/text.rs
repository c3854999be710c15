//! Reports for a terminal.

use std::fmt::{self, Display, Write};

use crate::judge::{Judgement, Verdict};
use crate::latency::Latency;
use crate::plan::{Changes, Plan};
use crate::report::{PhaseReport, Report};
use crate::scenario::Scenario;

pub(crate) fn list() -> String {
    let line = |scenario: Scenario| format!("{:<10} {}\n", scenario.name, scenario.about);
    let length = |scenario: &Scenario| {
        let plan = Plan::new(scenario, &Changes { scale: 1.0, ..Changes::default() });
        plan.ok().map(|plan| match plan.seconds() {
            Some(seconds) => format!("{:<10} {} messages in {seconds} s\n", "", thousands(plan.messages())),
            None => format!("{:<10} {} messages\n", "", thousands(plan.messages())),
        })
    };
    Scenario::shipped()
        .map(|one| length(&one).into_iter().fold(line(one), |text, more| text + &more))
        .collect()
}

pub(crate) fn report(report: &Report) -> String {
    Text(report).to_string()
}

/// Why a run did not pass; empty if it did.
pub(crate) fn reasons(report: &Report) -> Vec<String> {
    let mut reasons = Vec::new();
    reasons.extend(report.cut_short.clone());
    for check in report.checks.iter().filter(|check| !check.holds()) {
        reasons.push(format!(
            "the ledger does not add up: {}: {} and {}",
            check.what, check.counts[0], check.counts[1]
        ));
    }
    for one in report.judgements.iter().filter(|one| one.verdict == Verdict::Failed) {
        reasons.push(format!("{}: {}, {}", one.criterion, figure(one.value), limit(one)));
    }
    reasons
}

pub(crate) fn limit(one: &Judgement) -> String {
    format!("at {} {}", if one.at_least { "least" } else { "most" }, figure(Some(one.limit)))
}

/// A phase in words.
pub(crate) fn phase(number: usize, phase: &PhaseReport) -> String {
    let rate = phase.rate.map_or("full speed".to_owned(), |rate| format!("{}/s", figure(Some(rate))));
    format!("phase {}, {rate}", number + 1)
}

/// Three digits that matter, or all before the point.
pub(crate) fn figure(value: Option<f64>) -> String {
    let Some(value) = value else { return "-".to_owned() };
    let digits = match value.abs() {
        large if large.round() >= 1000.0 => {
            let sign = if value < 0.0 { "-" } else { "" };
            return sign.to_owned() + &thousands(large.round() as u64);
        }
        large if large >= 100.0 => 0,
        large if large >= 10.0 => 1,
        large if large >= 1.0 => 2,
        _ => 4,
    };
    let shown = format!("{value:.digits$}");
    let shown = if digits > 0 { shown.trim_end_matches('0').trim_end_matches('.') } else { &shown };
    if shown == "-0" { "0".to_owned() } else { shown.to_owned() }
}

pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group));
    groups.collect::<Vec<_>>().join(" ")
}

struct Text<'a>(&'a Report);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { scenario, figures, machine, ledger, .. } = self.0;
        writeln!(f, "{}: {}\nrun {}", scenario.name, scenario.about, self.0.command)?;
        let (seconds, seed, scale) = (self.0.seconds, scenario.seed, self.0.scale);
        let sent = thousands(ledger.sent);
        writeln!(
            f,
            "{sent} messages in {seconds:.1} s; seed {seed}, scale {scale}; {} cores, {}\n",
            machine.cores, machine.system
        )?;

        writeln!(
            f,
            "{:<28}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}",
            "ms after they were due", "p50", "p90", "p95", "p99", "p99.9", "max"
        )?;
        times(f, "handled", &self.0.latency)?;
        times(f, "handed over", &self.0.late)?;
        if self.0.phases.len() > 1 {
            for (number, one) in self.0.phases.iter().enumerate() {
                times(f, &format!("  {}", phase(number, one)), &one.latency)?;
            }
        }
        let [first, last, highest] = figures.memory_mb;
        writeln!(
            f,
            "\n{:<28}{} messages/s, {} queue operations/s",
            "throughput",
            figure(Some(figures.throughput)),
            figure(Some(figures.queue_operations))
        )?;
        writeln!(f, "{:<28}{}", "its deviation", figure(figures.steadiness))?;
        writeln!(
            f,
            "{:<28}{first:.1} MB, then {last:.1}, at most {highest:.1}; {} MB/h",
            "memory",
            figure(figures.memory_mb_per_hour)
        )?;
        writeln!(f, "{:<28}{} % of a core", "CPU", figure(figures.cpu_percent))?;
        writeln!(
            f,
            "{:<28}{} % of the messages were not handled",
            "loss",
            figure(Some(figures.loss * 100.0))
        )?;
        writeln!(f, "{:<28}{ledger}", "ledger")?;
        let holding = self.0.checks.iter().filter(|check| check.holds()).count();
        writeln!(f, "{:<28}{holding} of {} hold\n", "checks of the ledger", self.0.checks.len())?;

        for one in &self.0.judgements {
            writeln!(
                f,
                "{:<28}{:<18}{:>10}  {}",
                one.criterion,
                limit(one),
                figure(one.value),
                one.verdict.as_str()
            )?;
        }
        let reasons = reasons(self.0);
        if reasons.is_empty() {
            let open = self.0.judgements.iter().filter(|one| one.verdict != Verdict::Passed).count();
            let of = self.0.judgements.len();
            let open =
                if open == 0 { String::new() } else { format!(" ({open} of {of} criteria not judged)") };
            return writeln!(f, "\npassed{open}");
        }
        writeln!(f, "\nFAILED")?;
        reasons.iter().try_for_each(|reason| writeln!(f, "  {reason}"))
    }
}

fn times(f: &mut impl Write, what: &str, times: &Latency) -> fmt::Result {
    let columns: String = quantiles(times).iter().map(|time| format!("{time:>9}")).collect();
    writeln!(f, "{what:<28}{columns}")
}

/// p50, p90, p95, p99, p99.9 and the longest.
pub(crate) fn quantiles(times: &Latency) -> [String; 6] {
    let Latency { count, p50, p90, p95, p99, p999, max, .. } = *times;
    [p50, p90, p95, p99, p999, max].map(|time| match time {
        _ if count == 0 => "-".to_owned(),
        long if long >= 1000.0 => format!("{long:.0}"),
        short => format!("{short:.3}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_digits_that_matter() {
        let figures = [0.0, -1e-9, -1500.0, 0.01234, 1.0, 1.2345, 12.345, 50.0, 100.0, 999.9, 1e6];
        let shown = figures.map(|value| figure(Some(value)));
        assert_eq!(
            shown,
            ["0", "0", "-1 500", "0.0123", "1", "1.23", "12.3", "50", "100", "1 000", "1 000 000"]
        );
        assert_eq!(figure(None), "-");
    }

    #[test]
    fn the_list_says_what_each_is() {
        let list = list();
        assert!(list.contains("burst") && list.contains("1 218 000 messages in 300 s"), "{list}");
    }
}
