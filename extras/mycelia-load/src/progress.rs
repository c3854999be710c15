//! A bar and a line while a run goes on.

use std::io::{IsTerminal, Write, stderr};

use indicatif::{ProgressBar, ProgressStyle};

use crate::plan::Plan;
use crate::report::Sample;
use crate::text::{figure, thousands};

/// Where nobody watches a bar, a line every so many seconds.
const LINE_EVERY: f64 = 10.0;

/// A bar on a terminal; elsewhere lines. On standard error both.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    /// The bar goes by time where that is known, else by messages.
    goes_by_time: bool,
    next_line: f64,
    seconds: Option<f64>,
}

impl Progress {
    pub(crate) fn new(name: &str, plan: &Plan) -> Self {
        let time = plan
            .seconds()
            .map_or("as fast as they go".to_owned(), |seconds| format!("in {} s", figure(Some(seconds))));
        say(&format!("{name}: {} messages {time}", thousands(plan.messages())));
        let length = plan.seconds().map_or(plan.messages(), |seconds| (seconds * 1e3) as u64);
        let bar = stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(
                "{bar:30.cyan} {percent:>3} %  {elapsed} of {duration}  {wide_msg}",
            );
            ProgressBar::new(length).with_style(style.expect("the template is fine"))
        });
        Self { bar, goes_by_time: plan.seconds().is_some(), next_line: LINE_EVERY, seconds: plan.seconds() }
    }

    pub(crate) fn show(&mut self, samples: &[Sample], offered: u64) {
        let Some(sample) = samples.last() else { return };
        let line = format!(
            "{:.0}/s  p95 {:.3} ms  queued {}  lost {}  {:.1} MB  CPU {:.0} %",
            sample.throughput(),
            sample.latency.p95,
            sample.queued,
            samples.iter().map(|sample| sample.lost).sum::<u64>(),
            sample.memory_mb,
            sample.cpu_percent,
        );
        if let Some(bar) = &self.bar {
            bar.set_position(if self.goes_by_time { (sample.at * 1e3) as u64 } else { offered });
            bar.set_message(line);
        } else if sample.at >= self.next_line {
            let of = self.seconds.map(|seconds| format!(" of {seconds:.0}")).unwrap_or_default();
            say(&format!("{:>6.0}{of} s  {line}", sample.at));
            self.next_line = sample.at + LINE_EVERY;
        }
    }

    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// On standard error, which may have been closed.
pub(crate) fn say(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}
