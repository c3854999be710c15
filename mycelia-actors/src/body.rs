//! What is sent to a path beside the path.

use std::any::{Any, TypeId, type_name};
use std::io;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::path_error::PathFailure;

/// How many bytes a body has at most, if the runtime's builder is not told otherwise.
pub(crate) const MAX_BODY: usize = 1024 * 1024;
/// How deep JSON is nested at most.
pub(crate) const MAX_DEPTH: usize = 64;

/// A body as it came in: bytes, and what they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawBody {
    /// A media type; `application/json`, or one that ends in `+json`, is read as JSON.
    pub content_type: String,
    /// The bytes, shared and not copied.
    pub bytes: Bytes,
}

impl RawBody {
    /// Bytes of that media type.
    pub fn new(content_type: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        Self { content_type: content_type.into(), bytes: bytes.into() }
    }

    /// JSON text.
    pub fn json(text: impl Into<Bytes>) -> Self {
        Self::new("application/json", text)
    }

    pub(crate) fn is_json(&self) -> bool {
        let kind = self.content_type.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/json") || kind.to_ascii_lowercase().ends_with("+json")
    }
}

/// A body of a type that only the caller knows, until the route has looked at it.
pub(crate) enum BodyRef<'a> {
    None,
    Json(&'a Value),
    Raw(&'a RawBody),
    /// An `Option` of the caller's type, to be taken out of.
    Typed(&'a mut dyn Any, &'static str),
}

/// True if a body of this type is a message itself.
pub(crate) fn is_typed<B: 'static>() -> bool {
    let id = TypeId::of::<B>();
    id != TypeId::of::<()>() && id != TypeId::of::<Value>() && id != TypeId::of::<RawBody>()
}

impl<'a> BodyRef<'a> {
    pub(crate) fn of<B: 'static>(body: &'a mut Option<B>) -> Self {
        let any: &'a mut dyn Any = body;
        if is_typed::<B>() {
            return Self::Typed(any, type_name::<B>());
        }
        let any: &'a dyn Any = any;
        match (any.downcast_ref::<Option<Value>>(), any.downcast_ref::<Option<RawBody>>()) {
            (Some(Some(Value::Null)), _) => Self::None,
            (Some(Some(value)), _) => Self::Json(value),
            (_, Some(Some(raw))) => Self::Raw(raw),
            _ => Self::None,
        }
    }
}

/// Reads the JSON in a raw body.
pub(crate) fn parse(raw: &RawBody, max: usize) -> Result<Value, BodyFault> {
    if raw.bytes.len() > max {
        return Err(BodyFault::TooLarge { max });
    }
    if !raw.is_json() {
        return Err(BodyFault::NotJson { content_type: raw.content_type.chars().take(100).collect() });
    }
    if depth_of_text(&raw.bytes) > MAX_DEPTH {
        return Err(BodyFault::TooDeep);
    }
    serde_json::from_slice(&raw.bytes).map_err(|error| BodyFault::Unreadable(error.to_string().into()))
}

/// How deep a JSON text is nested, if it is one.
fn depth_of_text(text: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Checks the limits of a JSON value: how deep it is, and how long its text would be.
pub(crate) fn check(value: &Value, max: usize) -> Result<(), BodyFault> {
    if is_deeper(value, MAX_DEPTH) {
        return Err(BodyFault::TooDeep);
    }
    serde_json::to_writer(Room(max), value).map_err(|_| BodyFault::TooLarge { max })
}

fn is_deeper(value: &Value, than: usize) -> bool {
    match value {
        Value::Array(_) | Value::Object(_) if than == 0 => true,
        Value::Array(items) => items.iter().any(|item| is_deeper(item, than - 1)),
        Value::Object(fields) => fields.values().any(|field| is_deeper(field, than - 1)),
        _ => false,
    }
}

/// Takes so many bytes, and keeps none.
struct Room(usize);

impl io::Write for Room {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is wrong with a body, or with a parameter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyFault {
    /// It is too long.
    #[error("the body is longer than {max} bytes")]
    TooLarge {
        /// How many bytes it may have.
        max: usize,
    },
    /// It is nested too deeply.
    #[error("the body is nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// It is no JSON text.
    #[error("the body is no JSON: {0}")]
    Unreadable(Box<str>),
    /// It is something else than JSON, which only a raw route takes.
    #[error("the body is `{content_type}`; this route takes JSON")]
    NotJson {
        /// What it says it is.
        content_type: Box<str>,
    },
    /// It is a value of some type; a raw route takes what came in.
    #[error("a raw route takes no body, a JSON value, or a `RawBody`; the body is a `{got}`")]
    NotRaw {
        /// The type of the body.
        got: &'static str,
    },
    /// It does not make the message: a parameter or a field is missing, or of another type.
    #[error("{0}")]
    Mismatch(Box<str>),
}

impl BodyFault {
    pub(crate) fn at(self, pattern: &str) -> PathFailure {
        PathFailure::Body { pattern: pattern.into(), fault: self }
    }
}
