//! A message to a path as it came in, for handlers that read it themselves.

use mycelia_router::{Params, Principal};
use serde_json::Value;

use crate::body::{BodyFault, BodyRef, RawBody};
use crate::current;
use crate::metadata::Metadata;

/// A message to a path as it came in: what the handlers of [raw routes](crate::Routes::raw) and of the
/// [fallback](crate::Routes::fallback) are given.
#[derive(Clone, Debug)]
pub struct Request {
    path: Box<str>,
    params: Vec<(Box<str>, Box<str>)>,
    body: RequestBody,
    metadata: Option<Metadata>,
}

/// The body of a [`Request`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RequestBody {
    /// There is none.
    None,
    /// A JSON value.
    Json(Value),
    /// Bytes.
    Raw(RawBody),
}

impl Request {
    /// Copies what it needs; shares bytes.
    pub(crate) fn new(params: &Params<'_, '_>, body: &BodyRef<'_>, max: usize) -> Result<Self, BodyFault> {
        let body = match body {
            BodyRef::Json(value) => {
                crate::body::check(value, max)?;
                RequestBody::Json((*value).clone())
            }
            BodyRef::Raw(raw) if raw.bytes.len() > max => return Err(BodyFault::TooLarge { max }),
            BodyRef::Raw(raw) => RequestBody::Raw((*raw).clone()),
            BodyRef::None | BodyRef::Typed(..) => RequestBody::None,
        };
        let path = params.path_normalized().into();
        let params = params.iter_normalized().map(|(name, value)| (name.into(), value.into())).collect();
        Ok(Self { path, params, body, metadata: current::metadata() })
    }

    /// The path, without the subsystem's name, in its normal form: letters, digits and `-._~` are never percent-encoded in it, and
    /// all else is as it was sent.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The value of a parameter, as it is in [`path`](Self::path): `me` for `%6De`, but `a%20b` for `a%20b`, which
    /// [`decode`](crate::decode) decodes. In a fallback, `path` is all of it.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params().find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    /// All parameters, from left to right.
    pub fn params(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.params.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &RequestBody {
        &self.body
    }

    /// The body, to keep.
    #[must_use]
    pub fn into_body(self) -> RequestBody {
        self.body
    }

    /// A header, by its name without regard to case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.metadata.as_ref().and_then(|metadata| metadata.header(name))
    }

    /// All headers.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.metadata.iter().flat_map(Metadata::headers)
    }

    /// Who asks, if that is known.
    #[must_use]
    pub fn caller(&self) -> Option<&Principal> {
        self.metadata.as_ref().and_then(Metadata::caller)
    }
}
