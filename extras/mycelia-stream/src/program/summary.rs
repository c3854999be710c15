//! What was counted, as text.

use std::fmt::Write;
use std::time::Duration;

use mycelia_stream::{Processor, TimerSnapshot};

pub(crate) fn summary(processor: &Processor, malformed: u64, took: Duration) -> String {
    let counted = processor.counters().snapshot();
    let mut text = String::new();
    for mapping in processor.mappings().filter(|mapping| mapping.failures > 0) {
        let times =
            if mapping.failures == 1 { "once".to_owned() } else { format!("{} times", mapping.failures) };
        let _ = write!(text, "mapping {} has failed {times}", mapping.path);
        if let Some(error) = mapping.last_error {
            let _ = write!(text, ", the last time: {error}");
        }
        text.push('\n');
    }
    let others = [
        ("malformed_lines", malformed),
        ("active_mappings", counted.active_mappings),
        ("active_variables", counted.active_variables),
    ];
    // Nobody else takes them here.
    let counts = counted.counts().into_iter().filter(|(name, _)| *name != "outputs_undelivered");
    for (name, count) in counts.chain(others) {
        let _ = writeln!(text, "{name:<26}{count:>12}");
    }
    for (name, timer) in [
        ("javascript_execution_time", &counted.javascript_execution_time),
        ("message_processing_time", &counted.message_processing_time),
        ("batch_processing_time", &counted.batch_processing_time),
    ] {
        let TimerSnapshot { count, timed, p50_ns, p95_ns, max_ns, .. } = timer;
        let _ = write!(text, "{name:<26}{count:>12}");
        if *timed > 0 {
            let [p50, p95, longest] = [p50_ns, p95_ns, max_ns].map(|nanos| Duration::from_nanos(*nanos));
            let _ = write!(text, "   p50 {p50:.1?}, p95 {p95:.1?}, longest {longest:.1?}, of {timed} timed");
        }
        text.push('\n');
    }
    let seconds = took.as_secs_f64();
    let _ = writeln!(text, "{:<26}{seconds:>12.3} s", "took");
    text
}
