//! W3C trace context: the `traceparent` header.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::str::FromStr;

use crate::error::MetadataError;

/// Where in which trace something happens, as the W3C recommendation "Trace Context" writes it:
/// `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceParent {
    trace: u128,
    span: u64,
    flags: u8,
}

impl TraceParent {
    /// A new trace, which nobody has asked to be recorded.
    #[must_use]
    pub fn new() -> Self {
        Self { trace: u128::from(random()) << 64 | u128::from(random()), span: random(), flags: 0 }
    }

    /// The trace, as its 128 bits.
    #[must_use]
    pub fn trace_id(&self) -> u128 {
        self.trace
    }

    /// The span that caused what is sent with this, as its 64 bits.
    #[must_use]
    pub fn span_id(&self) -> u64 {
        self.span
    }

    /// Whether the trace is recorded.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 != 0
    }

    /// A new span in the same trace.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { span: random(), ..*self }
    }
}

impl Default for TraceParent {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags)
    }
}

impl FromStr for TraceParent {
    type Err = MetadataError;

    /// Takes later versions as the recommendation wants it: by the fields of version 00.
    fn from_str(text: &str) -> Result<Self, MetadataError> {
        parse(text).ok_or_else(|| MetadataError::TraceParent(text.chars().take(100).collect()))
    }
}

fn parse(text: &str) -> Option<TraceParent> {
    let mut fields = text.split('-');
    let mut hex = |length: usize| {
        let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        fields.next().filter(|field| field.len() == length && field.bytes().all(digit))
    };
    let (version, trace, span, flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
    let more = fields.next().is_some();
    let parent = TraceParent {
        trace: u128::from_str_radix(trace, 16).ok()?,
        span: u64::from_str_radix(span, 16).ok()?,
        // Only the first flag has a meaning; others are not passed on.
        flags: u8::from_str_radix(flags, 16).ok()? & 1,
    };
    let valid = version != "ff" && (version != "00" || !more) && parent.trace != 0 && parent.span != 0;
    valid.then_some(parent)
}

/// A number that is not 0, and not known beforehand.
fn random() -> u64 {
    // Seeded at random for each thread, and another one each time.
    RandomState::new().hash_one(0).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_read_is_written() {
        let parent: TraceParent = GOOD.parse().unwrap();
        assert_eq!(parent.to_string(), GOOD);
        assert!(parent.is_sampled());
        let child = parent.child();
        assert_eq!(child.trace_id(), parent.trace_id());
        assert_ne!(child.span_id(), parent.span_id());
        assert_eq!(child.to_string().parse::<TraceParent>().unwrap(), child);
        assert_ne!(TraceParent::new().trace_id(), TraceParent::new().trace_id());
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for bad in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert!(bad.parse::<TraceParent>().is_err(), "{bad}");
        }
        assert!(
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more".parse::<TraceParent>().is_ok()
        );
    }
}
