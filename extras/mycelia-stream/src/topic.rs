//! Topics of an industrial unified namespace, checked.

use std::fmt;
use std::str::FromStr;

/// A topic by the grammar of the unified namespace (UNS):
///
/// ```text
/// umh.v1.corpA.plant-A.line4._pump_v1.motor.rpm
/// ├────┘ ├──────────────────┘ ├──────┘ ├────┘ └─ name
/// prefix location, 1..n levels contract virtual path, may be absent
/// ```
///
/// Segments are of `A-Z a-z 0-9 - _`, never empty, parted by dots. The contract is the first segment after the first level of the
/// location that begins with `_`; it has more than that, and is not the last. What comes after may begin with `_` too, levels of the
/// location may not.
///
/// The processor itself compares topics by their text, so sources need not be of this form; what it puts behind an output topic
/// (the path of a mapping) is checked segment by segment.
///
/// ```
/// use mycelia_stream::UnsTopic;
///
/// let topic: UnsTopic = "umh.v1.corpA.plant-A._raw.motor.rpm".parse()?;
/// assert_eq!(topic.location(), "corpA.plant-A");
/// assert_eq!(topic.contract(), "_raw");
/// assert_eq!(topic.virtual_path(), Some("motor"));
/// assert_eq!(topic.name(), "rpm");
/// # Ok::<(), mycelia_stream::TopicError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UnsTopic {
    text: String,
    /// Where the contract begins and ends.
    contract: (usize, usize),
    /// Where the name begins.
    name: usize,
}

/// What every topic begins with.
const PREFIX: &str = "umh.v1.";

impl UnsTopic {
    /// All of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Where it is: the levels between prefix and contract.
    #[must_use]
    pub fn location(&self) -> &str {
        &self.text[PREFIX.len()..self.contract.0 - 1]
    }

    /// What kind of data it is, with its `_`.
    #[must_use]
    pub fn contract(&self) -> &str {
        &self.text[self.contract.0..self.contract.1]
    }

    /// What is between contract and name.
    #[must_use]
    pub fn virtual_path(&self) -> Option<&str> {
        self.text.get(self.contract.1 + 1..self.name.saturating_sub(1))
    }

    /// The last segment.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.text[self.name..]
    }
}

impl fmt::Display for UnsTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for UnsTopic {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        check_path(text)?;
        let rest = text.strip_prefix(PREFIX).ok_or(TopicError::Prefix)?;
        let mut at = PREFIX.len();
        let mut contract = None;
        let mut name = at;
        for (index, segment) in rest.split('.').enumerate() {
            name = at;
            let end = at + segment.len();
            if contract.is_none() && segment.starts_with('_') {
                match index {
                    0 => return Err(TopicError::Location),
                    _ if segment.len() == 1 => return Err(TopicError::Contract),
                    _ => contract = Some((at, end)),
                }
            }
            at = end + 1;
        }
        let contract = contract.ok_or(TopicError::Contract)?;
        if name == contract.0 {
            return Err(TopicError::Name);
        }
        Ok(Self { text: text.to_owned(), contract, name })
    }
}

/// Checks segments, parted by dots, of what topics may have.
pub(crate) fn check_path(path: &str) -> Result<(), TopicError> {
    for segment in path.split('.') {
        if segment.is_empty() {
            return Err(TopicError::Empty);
        }
        if let Some(found) = segment.chars().find(|&c| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')) {
            return Err(TopicError::Character { found });
        }
    }
    Ok(())
}

/// Why a text is no topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicError {
    /// It does not begin as all topics do.
    #[error("a topic begins with `{PREFIX}`")]
    Prefix,
    /// There are two dots in a row, or one at an end.
    #[error("a segment of a topic is empty")]
    Empty,
    /// Letters, digits, `-` and `_` are fine.
    #[error("a topic has no {found:?} in it, but letters, digits, `-` and `_`, and dots between segments")]
    Character {
        /// The first that is not.
        found: char,
    },
    /// There is none, or it begins with `_`.
    #[error("a topic has a location of one level or more, none beginning with `_`, before its contract")]
    Location,
    /// There is none.
    #[error("a topic has a contract, such as `_raw`: `_` and at least one letter more")]
    Contract,
    /// Nothing comes after the contract.
    #[error("a topic has a name behind its contract")]
    Name,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_taken_apart() {
        for (text, location, contract, path, name) in [
            ("umh.v1.a._raw.x", "a", "_raw", None, "x"),
            ("umh.v1.a.b-1._raw.x.y.z", "a.b-1", "_raw", Some("x.y"), "z"),
            ("umh.v1.a._raw._x._y", "a", "_raw", Some("_x"), "_y"),
            ("umh.v1.a.__._", "a", "__", None, "_"),
        ] {
            let topic: UnsTopic = text.parse().unwrap();
            assert_eq!(
                (topic.location(), topic.contract(), topic.virtual_path(), topic.name(), topic.as_str()),
                (location, contract, path, name, text)
            );
        }
    }

    #[test]
    fn what_is_no_topic_is_told_why() {
        for (text, error) in [
            ("", TopicError::Empty),
            ("umh.v1", TopicError::Prefix),
            ("umh.v2.a._raw.x", TopicError::Prefix),
            ("UMH.v1.a._raw.x", TopicError::Prefix),
            ("umh.v1.a._raw.x.", TopicError::Empty),
            ("umh.v1..a._raw.x", TopicError::Empty),
            ("umh.v1.a b._raw.x", TopicError::Character { found: ' ' }),
            ("umh.v1.ä._raw.x", TopicError::Character { found: 'ä' }),
            ("umh.v1._raw.x", TopicError::Location),
            ("umh.v1._raw._x.y", TopicError::Location),
            ("umh.v1.a.x", TopicError::Contract),
            ("umh.v1.a._.x", TopicError::Contract),
            ("umh.v1.a._raw", TopicError::Name),
        ] {
            assert_eq!(text.parse::<UnsTopic>(), Err(error), "{text}");
        }
    }
}
