//! What comes in and what goes out.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::payload::{self, PayloadError};

/// One message of a topic. Cloning it copies no text: three reference counts at most.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it belongs (the metadata `umh_topic`). A record without a topic is dropped, and counted as that.
    pub topic: Option<Arc<str>>,
    /// A JSON object with `value` and `timestamp_ms`.
    ///
    /// Those of outputs share one buffer for each part of a batch, which is freed with the last of them.
    pub payload: Bytes,
    /// All other metadata: every output has that of the record which brought it about.
    pub metadata: Metadata,
}

impl Record {
    /// A record without further metadata.
    pub fn new(topic: impl Into<Arc<str>>, payload: impl Into<Bytes>) -> Self {
        Self { topic: Some(topic.into()), payload: payload.into(), metadata: Metadata::default() }
    }

    /// Reads the payload, and forgets it: a processor only counts what it refuses.
    ///
    /// # Errors
    /// If a processor would refuse it: this is why.
    ///
    /// ```
    /// use mycelia_stream::Record;
    ///
    /// let late = Record::new("in.press", r#"{"value": 3, "timestamp_ms": 0}"#);
    /// assert!(late.check().unwrap_err().to_string().starts_with("`timestamp_ms` is 0"));
    /// ```
    pub fn check(&self) -> Result<(), PayloadError> {
        payload::read(&self.payload).map(drop)
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("topic", &self.topic)
            .field("payload", &String::from_utf8_lossy(&self.payload))
            .field("metadata", &self.metadata)
            .finish()
    }
}

/// Keys and values, in their order, shared by whoever has a copy. Without any it is one word.
///
/// The key `umh_topic` is left out: that is [`Record::topic`].
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Metadata(Option<Arc<[Pair]>>);

/// The key of the topic, which is no further metadata.
pub(crate) const TOPIC: &str = "umh_topic";

/// A key and its value.
type Pair = (Box<str>, Box<str>);

impl Metadata {
    /// The pairs, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|pairs| pairs.iter()).map(|(key, value)| (&**key, &**value))
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find_map(|(found, value)| (found == key).then_some(value))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl<K: Into<Box<str>>, V: Into<Box<str>>> FromIterator<(K, V)> for Metadata {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let pairs = pairs.into_iter().map(|(key, value)| (key.into(), value.into()));
        let pairs: Arc<[Pair]> = pairs.filter(|(key, _): &Pair| &**key != TOPIC).collect();
        Self((!pairs.is_empty()).then_some(pairs))
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
