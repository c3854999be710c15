//! The outputs of a batch, a part at a time.

use std::time::{Duration, Instant};

use crate::counters::TIMED;
use crate::processor::{Message, Processor};
use crate::record::Record;

/// The outputs of a batch, in parts of about a MiB of payloads: see [`Processor::parts`].
///
/// No part is empty, and each is made when it is asked for. Whoever drops it before its end leaves the rest of the batch alone: what is
/// left is neither remembered nor evaluated nor counted.
#[must_use = "it does nothing until it is iterated over"]
pub struct Parts<'p> {
    processor: &'p mut Processor,
    records: &'p [Record],
    /// The record that is next.
    next: usize,
    /// The one that the last part ended in.
    message: Option<Message>,
    /// So many bytes of payloads are a part.
    full: usize,
    is_over: bool,
    is_timed: bool,
    /// Until the last part.
    took: Duration,
}

/// Bytes of payloads; a part is larger by one payload at most.
pub(crate) const FULL: usize = 1 << 20;

impl<'p> Parts<'p> {
    pub(crate) fn new(processor: &'p mut Processor, records: &'p [Record], full: usize) -> Self {
        // Batches that are at least as large as those between two small ones that are timed always are.
        let is_timed = records.len() as u64 >= TIMED || processor.counters.batches.is_due();
        processor.outbox.clear();
        Self {
            processor,
            records,
            next: 0,
            message: None,
            full,
            is_over: false,
            is_timed,
            took: Duration::ZERO,
        }
    }

    /// Works until a part is full, or all is done.
    fn work(&mut self) {
        while let Some(record) = self.records.get(self.next) {
            let Some(mut message) = self.message.take().or_else(|| self.processor.accept(record)) else {
                self.next += 1;
                continue;
            };
            if !self.processor.evaluate(self.next, &mut message, self.full) {
                self.message = Some(message);
                return;
            }
            self.next += 1;
        }
        self.is_over = true;
    }
}

impl Iterator for Parts<'_> {
    type Item = Vec<Record>;

    fn next(&mut self) -> Option<Vec<Record>> {
        if self.is_over {
            return None;
        }
        let began = self.is_timed.then(Instant::now);
        self.work();
        let outputs = self.processor.take_outputs(self.records);
        if let Some(began) = began {
            self.took += began.elapsed();
        }
        if self.is_over {
            self.processor.end_batch(self.is_timed.then_some(self.took));
        }
        (!outputs.is_empty()).then_some(outputs)
    }
}
