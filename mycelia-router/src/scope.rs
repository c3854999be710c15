//! Scopes: named rights.

use std::fmt;
use std::str::FromStr;

/// A named right: parts of letters, digits, `_`, `-` and `.`, with `:` between, as in `users:write`. At most 256 bytes.
///
/// ```
/// use mycelia_router::Scope;
///
/// let scope: Scope = "users:write".parse()?;
/// assert!("users:*".parse::<Scope>().is_err()); // a wildcard is for who holds rights, not for what a route requires
/// # Ok::<(), mycelia_router::ScopeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(Box<str>);

/// How many bytes a scope has at most.
const MAX_SCOPE: usize = 256;

/// A text that is no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no scope: it must be parts of letters, digits, `_`, `-` and `.` with `:` between, at most 256 bytes"
)]
pub struct ScopeError {
    /// The text, at most its first 100 characters.
    pub text: Box<str>,
}

impl ScopeError {
    pub(crate) fn new(text: &str) -> Self {
        Self { text: text.chars().take(100).collect() }
    }
}

impl Scope {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        match well_formed(text) {
            true => Ok(Self(text.into())),
            false => Err(ScopeError::new(text)),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(crate) fn well_formed(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
    };
    text.len() <= MAX_SCOPE && text.split(':').all(part)
}
