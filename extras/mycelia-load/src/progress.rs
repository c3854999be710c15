//! A bar and a line while a run goes on.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

use crate::plan::Plan;
use crate::report::Sample;

/// Where nobody watches a bar, a line every so many seconds.
const LINE_EVERY: f64 = 10.0;

/// A bar on a terminal; elsewhere lines. On standard error both.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    next_line: f64,
}

impl Progress {
    pub(crate) fn new(plan: &Plan) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style =
                ProgressStyle::with_template("{bar:30.cyan} {percent:>3} %  {elapsed} of {duration}  {msg}");
            ProgressBar::new(plan.messages()).with_style(style.expect("the template is fine"))
        });
        Self { bar, next_line: LINE_EVERY }
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
        match &self.bar {
            Some(bar) => {
                bar.set_position(offered);
                bar.set_message(line);
            }
            None if sample.at >= self.next_line => {
                eprintln!("{:>6.0} s  {line}", sample.at);
                self.next_line = sample.at + LINE_EVERY;
            }
            None => {}
        }
    }

    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
