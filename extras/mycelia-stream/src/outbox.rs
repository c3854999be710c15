//! What is made of records, until it is handed on.

use std::mem;
use std::sync::Arc;

use bytes::Bytes;

use crate::record::Record;

/// Payloads under way.
#[derive(Default)]
pub(crate) struct Outbox {
    /// All of them, one behind the other.
    payloads: Vec<u8>,
    outputs: Vec<Output>,
    /// What all payloads of one message end with.
    ending: Vec<u8>,
}

struct Output {
    /// Where its payload ends.
    end: usize,
    mapping: usize,
    /// The record that brought it about.
    record: usize,
}

/// Buffers that grew beyond so many bytes are given away, not copied and kept.
const KEPT: usize = 1 << 20;

impl Outbox {
    /// Bytes of all payloads.
    pub(crate) fn len(&self) -> usize {
        self.payloads.len()
    }

    /// From now on, payloads have this time.
    pub(crate) fn end_with(&mut self, timestamp_ms: i64) {
        self.ending.clear();
        self.ending.extend_from_slice(b",\"timestamp_ms\":");
        self.ending.extend_from_slice(itoa::Buffer::new().format(timestamp_ms).as_bytes());
        self.ending.push(b'}');
    }

    pub(crate) fn put(&mut self, record: usize, mapping: usize, write_value: impl FnOnce(&mut Vec<u8>)) {
        self.payloads.extend_from_slice(b"{\"value\":");
        write_value(&mut self.payloads);
        self.payloads.extend_from_slice(&self.ending);
        self.outputs.push(Output { end: self.payloads.len(), mapping, record });
    }

    /// All outputs, whose topics are those of their mappings.
    pub(crate) fn take<'t>(
        &mut self,
        records: &[Record],
        topic: impl Fn(usize) -> &'t Arc<str>,
    ) -> Vec<Record> {
        if self.outputs.is_empty() {
            return Vec::new();
        }
        let mut payloads = if self.payloads.len() > KEPT {
            Bytes::from(mem::take(&mut self.payloads))
        } else {
            Bytes::copy_from_slice(&self.payloads)
        };
        let mut from = 0;
        let record = |output: &Output| {
            // Not `slice`: what is left for the last one is not counted again, and a single one not at all.
            let payload = payloads.split_to(output.end - from);
            from = output.end;
            Record {
                topic: Some(Arc::clone(topic(output.mapping))),
                payload,
                metadata: records[output.record].metadata.clone(),
            }
        };
        let outputs = self.outputs.iter().map(record).collect();
        self.clear();
        self.outputs.shrink_to(KEPT / size_of::<Output>());
        outputs
    }

    /// Forgets what was not taken.
    pub(crate) fn clear(&mut self) {
        self.payloads.clear();
        self.outputs.clear();
    }
}
