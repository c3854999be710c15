//! The outputs of a batch, a part at a time.

use std::time::{Duration, Instant};

use crate::counters::TIMED;
use crate::processor::{Message, Processor};
use crate::record::Record;

/// The outputs of a batch, in parts of about a MiB of payloads: see [`Processor::parts`].
///
/// No part is empty, and each is made when it is asked for. Whoever drops it before its end leaves the rest of the batch alone: records
/// that were not begun are neither remembered nor counted, and of the one that the last part ended in, the other mappings are not
/// evaluated.
#[must_use = "it does nothing until it is iterated over"]
pub struct Parts<'p> {
    processor: &'p mut Processor,
    records: &'p [Record],
    /// The record that is next, or under way.
    next: usize,
    /// The one that the last part ended in.
    message: Option<Message>,
    /// So many bytes of payloads are a part.
    full: usize,
    stage: Stage,
    is_timed: bool,
    /// Until the last part.
    took: Duration,
}

#[derive(PartialEq, Eq)]
enum Stage {
    New,
    UnderWay,
    Over,
}

/// Bytes of payloads; a part is larger by one payload at most.
pub(crate) const FULL: usize = 1 << 20;

impl<'p> Parts<'p> {
    pub(crate) fn new(processor: &'p mut Processor, records: &'p [Record], full: usize) -> Self {
        // Batches that are at least as large as those between two small ones that are timed always are.
        let is_timed = records.len() as u64 >= TIMED || processor.counters.batches.is_due();
        processor.outbox.clear();
        let stage = Stage::New;
        Self { processor, records, next: 0, message: None, full, stage, is_timed, took: Duration::ZERO }
    }

    /// Works until a part is full, or all is done: then it is true.
    fn work(&mut self) -> bool {
        while let Some(record) = self.records.get(self.next) {
            if self.message.is_none() {
                if self.processor.outbox.len() >= self.full {
                    return false;
                }
                self.message = self.processor.accept(record);
            }
            if let Some(message) = &mut self.message {
                if !self.processor.evaluate(self.next, message, self.full) {
                    return false;
                }
                self.processor.end_message(message);
                self.message = None;
            }
            self.next += 1;
        }
        true
    }

    fn end(&mut self) {
        self.stage = Stage::Over;
        self.processor.end_batch(self.is_timed.then_some(self.took));
    }
}

impl Iterator for Parts<'_> {
    type Item = Vec<Record>;

    fn next(&mut self) -> Option<Vec<Record>> {
        if self.stage == Stage::Over {
            return None;
        }
        self.stage = Stage::UnderWay;
        let began = self.is_timed.then(Instant::now);
        let is_over = self.work();
        let outputs = self.processor.take_outputs(self.records);
        if let Some(began) = began {
            self.took += began.elapsed();
        }
        if is_over {
            self.end();
        }
        (!outputs.is_empty()).then_some(outputs)
    }
}

impl Drop for Parts<'_> {
    fn drop(&mut self) {
        if self.stage == Stage::UnderWay {
            if let Some(message) = self.message.take() {
                self.processor.end_message(&message);
            }
            self.end();
        }
    }
}
