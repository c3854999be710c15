//! What goes wrong while it works, told once, and no more than somebody reads.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

use mycelia_stream::{Processor, Record};

/// Lines, payloads, topics and mappings that are told one by one.
const MOST: u64 = 10;

/// Failures after which mappings are looked at again, at the latest.
const MOST_BETWEEN: u64 = 10_000;

/// What was told.
#[derive(Default)]
pub(crate) struct Told {
    malformed: u64,
    /// Refused payloads that were looked for.
    refused: u64,
    /// Mappings are looked at again when there are more failures than these: it doubles each time, for there may be many mappings.
    next_look: u64,
    /// Mappings that have failed.
    failed: BTreeSet<String>,
    /// Topics that no source has.
    topics: BTreeSet<Arc<str>>,
    /// Drops when topics were last looked at.
    dropped: u64,
}

impl Told {
    /// Lines that are no records.
    pub(crate) fn malformed(&self) -> u64 {
        self.malformed
    }

    pub(crate) fn of_line(&mut self, number: u64, error: &str) {
        self.malformed += 1;
        if self.malformed <= MOST {
            tell(&format!("line {number} is no record: {error}"));
        } else if self.malformed == MOST + 1 {
            tell("more lines are no records; they are only counted");
        }
    }

    /// Looks at what became of a batch, whose records are from the lines of these numbers.
    pub(crate) fn look(&mut self, processor: &Processor, batch: &[Record], numbers: &[u64]) {
        let counters = processor.counters();
        if self.refused <= MOST && counters.invalid_data_type() > self.refused {
            self.of_payloads(batch, numbers);
        }
        if self.topics.len() as u64 <= MOST && counters.messages_dropped() > self.dropped {
            self.dropped = counters.messages_dropped();
            self.of_topics(processor, batch, numbers);
        }
        let failures = counters.messages_errored() - counters.invalid_data_type();
        if failures > self.next_look {
            self.next_look = failures + failures.min(MOST_BETWEEN);
            self.of_mappings(processor);
        }
    }

    fn of_payloads(&mut self, batch: &[Record], numbers: &[u64]) {
        for (record, number) in batch.iter().zip(numbers).filter(|(record, _)| record.topic.is_some()) {
            let Err(error) = record.check() else { continue };
            self.refused += 1;
            if self.refused > MOST {
                return tell("more payloads are refused; they are only counted");
            }
            tell(&format!("line {number}: the payload is refused: {error}"));
        }
    }

    fn of_topics(&mut self, processor: &Processor, batch: &[Record], numbers: &[u64]) {
        for (record, number) in batch.iter().zip(numbers) {
            let Some(topic) = record.topic.as_ref().filter(|topic| !processor.is_source(topic)) else {
                continue;
            };
            if self.topics.insert(Arc::clone(topic)) {
                if self.topics.len() as u64 > MOST {
                    return tell("more topics are those of no source; their records are only counted");
                }
                tell(&format!("line {number}: no source has the topic `{topic}`; its records are dropped"));
            }
        }
    }

    fn of_mappings(&mut self, processor: &Processor) {
        for mapping in processor.mappings().filter(|mapping| !mapping.is_fixed) {
            let Some(error) = mapping.last_error else { continue };
            if (self.failed.len() as u64) < MOST && self.failed.insert(mapping.path.to_owned()) {
                tell(&format!("mapping {} fails: {error}", mapping.path));
            }
        }
    }
}

fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
