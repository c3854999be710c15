//! Errors, one type for each operation.

use std::error::Error;
use std::fmt;

use crate::path::{MAX_BYTES, MAX_SEGMENTS};

/// The rule that a path breaks. Positions are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// There is nothing.
    #[error("it is empty")]
    Empty,
    /// A segment is empty: two slashes in a row, or one at the beginning or the end.
    #[error("it has an empty segment at byte {at} (no slash at the beginning, at the end, or twice)")]
    EmptySegment {
        /// Where the segment would be.
        at: usize,
    },
    /// The path begins with a slash, in a table that is not [rooted](crate::Router::rooted).
    #[error("it begins with a slash: leave out the leading slash")]
    LeadingSlash,
    /// The path does not begin with a slash, in a table that is [rooted](crate::Router::rooted).
    #[error("it does not begin with a slash, as every path and pattern of a rooted table does")]
    NoLeadingSlash,
    /// A segment is `.`, as it is or percent-encoded.
    #[error("it has a `.` segment at byte {at}")]
    Dot {
        /// The byte where the segment begins.
        at: usize,
    },
    /// A segment is `..`, as it is or percent-encoded.
    #[error("it has a `..` segment at byte {at}")]
    Parent {
        /// Where the segment begins.
        at: usize,
    },
    /// There is a `%` that encodes no byte.
    #[error("`%` at byte {at} is not followed by two hexadecimal digits (a literal `%` is written `%25`)")]
    Encoding {
        /// The byte where the `%` stands.
        at: usize,
    },
    /// The path is not UTF-8 when it is percent-decoded.
    #[error("it is not UTF-8 when it is percent-decoded, from byte {at} on")]
    NotUtf8 {
        /// The byte where the first one that fits no character is written.
        at: usize,
    },
    /// There is a `%2F` where the pattern has `{*rest}`, in which it could be taken for a separator.
    #[error(
        "it has an encoded slash at byte {at}, in what the pattern takes as `{{*rest}}`; only a `{{name}}` segment may have one"
    )]
    EncodedSlash {
        /// The byte where the slash is written.
        at: usize,
    },
    /// There is a control character, as it is or percent-encoded.
    #[error("it has the control character {character:?} at byte {at}")]
    Control {
        /// Where it is.
        at: usize,
        /// Which one.
        character: char,
    },
    /// It has more than [`MAX_BYTES`] bytes.
    #[error("it is {bytes} bytes long, and the limit is {MAX_BYTES}")]
    TooLong {
        /// How many it has.
        bytes: usize,
    },
    /// It has more than [`MAX_SEGMENTS`] segments.
    #[error("it has {segments} segments, and the limit is {MAX_SEGMENTS}")]
    TooManySegments {
        /// How many it has.
        segments: usize,
    },
}

/// A text that is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad pattern `{pattern}`: {kind}")]
pub struct PatternError {
    pattern: Box<str>,
    kind: PatternErrorKind,
}

impl PatternError {
    pub(crate) fn new(pattern: &str, kind: PatternErrorKind) -> Self {
        Self { pattern: pattern.into(), kind }
    }

    /// The text.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// What is wrong with it.
    pub fn kind(&self) -> &PatternErrorKind {
        &self.kind
    }
}

/// What is wrong with a pattern. Positions are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternErrorKind {
    /// It breaks a rule for paths.
    #[error("{0}")]
    Path(#[from] PathError),
    /// A `{` without its `}`.
    #[error("`{{` at byte {at} is never closed (a literal brace is written twice)")]
    Unclosed {
        /// Where it is.
        at: usize,
    },
    /// A `}` without its `{`.
    #[error("`}}` at byte {at} closes nothing (a literal brace is written twice)")]
    Unopened {
        /// Where it is.
        at: usize,
    },
    /// A parameter without a name.
    #[error("the parameter at byte {at} has no name")]
    NoName {
        /// Where the name would be.
        at: usize,
    },
    /// A name with `{`, `*` or `:` in it.
    #[error(
        "`{name}` at byte {at} is no name for a parameter (one segment is `{{name}}`, the rest `{{*name}}`; there are no regular expressions)"
    )]
    BadName {
        /// Where it is.
        at: usize,
        /// The name.
        name: Box<str>,
    },
    /// Two parameters of one name.
    #[error("a second parameter is called `{name}`, at byte {at}")]
    NameTwice {
        /// Where the second one is.
        at: usize,
        /// The name.
        name: Box<str>,
    },
    /// Two parameters in one segment.
    #[error("a second parameter in one segment, at byte {at}")]
    TwoInSegment {
        /// Where the second one is.
        at: usize,
    },
    /// Something behind `{*rest}`.
    #[error("something follows `{{*…}}`, at byte {at}")]
    RestNotLast {
        /// Where it begins.
        at: usize,
    },
    /// Literal text behind a `{*rest}` in its segment.
    #[error("text follows `{{*…}}`, at byte {at}, in its segment")]
    RestWithText {
        /// Where the parameter is.
        at: usize,
    },
    /// A parameter in another router's notation: `{id?}`, `{id+}`, `{id...}`.
    #[error("`{{{name}}}` at byte {at} is another router's notation: {instead}")]
    OtherNotation {
        /// The byte where the name begins.
        at: usize,
        /// The text between the braces.
        name: Box<str>,
        /// The patterns to write instead.
        instead: Box<str>,
    },
}

/// A route that was not inserted, with its value.
#[derive(Clone, PartialEq, Eq)]
pub struct InsertError<T> {
    /// The value, back.
    pub value: T,
    /// Why.
    pub reason: Refusal,
}

/// Why a route was not inserted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The pattern is none.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// Another pattern takes the same paths.
    #[error("pattern `{pattern}` conflicts with `{with}`: both take the same paths")]
    Conflict {
        /// The pattern that was refused.
        pattern: Box<str>,
        /// The pattern that is in the way.
        with: Box<str>,
    },
    /// The router has a policy, and the pattern says not who may use it.
    #[error("pattern `{pattern}` requires no scope, and the router's policy is that every route does")]
    NoScope {
        /// The pattern that was refused.
        pattern: Box<str>,
    },
}

impl<T> fmt::Debug for InsertError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InsertError").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for InsertError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl<T> Error for InsertError<T> {}

/// A path without a route: a [`Miss`](crate::Miss) that borrows nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AtError {
    /// The path breaks a rule.
    #[error("bad path `{path}`: {reason}")]
    Path {
        /// The path, at most its first 100 characters.
        path: Box<str>,
        /// The rule.
        reason: PathError,
    },
    /// No pattern takes the path.
    #[error("no route for `{path}`{}", Nearest(.nearest.as_deref()))]
    NoRoute {
        /// The path.
        path: Box<str>,
        /// The pattern that is most like it, if any is.
        nearest: Option<Box<str>>,
    },
}

/// How an error names the nearest pattern.
struct Nearest<'a>(Option<&'a str>);

impl fmt::Display for Nearest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|pattern| write!(f, "; the nearest pattern is `{pattern}`"))
    }
}

/// A parameter that could not be read as what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParamError {
    /// The pattern has no parameter of that name.
    #[error("pattern `{pattern}` has no parameter `{name}`")]
    Missing {
        /// The name.
        name: Box<str>,
        /// The pattern.
        pattern: Box<str>,
    },
    /// Its value is not of that type.
    #[error("parameter `{name}` is `{value}`, which is no {expected}: {reason}")]
    Invalid {
        /// Its name.
        name: Box<str>,
        /// Its value.
        value: Box<str>,
        /// The type.
        expected: &'static str,
        /// What the type says.
        reason: Box<str>,
    },
}

/// A parameter that is no UTF-8 when percent-decoded. No value of a [`Match`](crate::Match) is one: a router refuses its path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parameter `{name}` is `{value}`, which is no UTF-8 when decoded")]
pub struct DecodeError {
    /// Its name.
    pub name: Box<str>,
    /// Its value, as it is in the path.
    pub value: Box<str>,
}
