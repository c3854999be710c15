//! Patterns: their grammar, and the order in which they are preferred.

use std::cmp::{Ordering, Reverse};
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use crate::error::{PatternError, PatternErrorKind};
use crate::path;
use crate::principal::{Denied, Principal};
use crate::scope::Scope;

/// Which paths a route takes, and the right it asks for.
///
/// ```text
///   users               a literal segment: the same text
///   {id}                a parameter: one segment, at least one byte
///   v{major}.json       a parameter with literal text around it, at least one byte between
///   {*path}             the rest: one segment or more; last only
///   {{ }}               literal braces
/// ```
///
/// A name is one or more characters other than braces, `*`, `:`, `/` and control characters, once in a pattern. There are no regular
/// expressions. Limits are those
/// of paths: no empty segment, no `..`, no control characters, at most [`MAX_BYTES`](crate::MAX_BYTES) and
/// [`MAX_SEGMENTS`](crate::MAX_SEGMENTS).
///
/// ```
/// use mycelia_router::Pattern;
///
/// let pattern: Pattern = "users/{id}/files/{*path}".parse()?;
/// assert_eq!(pattern.names().collect::<Vec<_>>(), ["id", "path"]);
/// assert!("users/{id".parse::<Pattern>().is_err());
/// # Ok::<(), mycelia_router::PatternError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Pattern {
    text: Box<str>,
    segments: Box<[Segment]>,
    slots: Box<[ParamSlot]>,
    scope: Option<Scope>,
}

/// What one segment of a path must be. The names of parameters are not part of it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    Literal(Box<str>),
    Param { prefix: Box<str>, suffix: Box<str> },
    Rest,
}

/// Where a parameter is in a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParamSlot {
    pub(crate) name: Box<str>,
    /// In which segment.
    pub(crate) segment: u8,
    /// How many bytes of the segment stand before it.
    pub(crate) before: u16,
    /// And behind it.
    pub(crate) behind: u16,
    /// Whether it goes on to the end of the path.
    pub(crate) rest: bool,
}

impl Pattern {
    /// The pattern that requires `scope` of whoever asks.
    #[must_use]
    pub fn requiring(self, scope: Scope) -> Self {
        Self { scope: Some(scope), ..self }
    }

    /// The text it was made from.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of its parameters, from left to right.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.slots.iter().map(|slot| &*slot.name)
    }

    /// The right it requires, if any.
    pub fn scope(&self) -> Option<&Scope> {
        self.scope.as_ref()
    }

    /// Whether `principal` may use a route with this pattern: it requires no scope, or one that is held. Nobody holds nothing.
    ///
    /// Cost: one comparison where no scope is required, else [`Principal::holds`].
    ///
    /// # Errors
    /// [`Denied`] names the pattern, the scope and who asked.
    #[inline]
    pub fn permit(&self, principal: Option<&Principal>) -> Result<(), Denied> {
        match &self.scope {
            Some(scope) if !principal.is_some_and(|principal| principal.holds(scope)) => Err(Denied {
                pattern: self.text.clone(),
                scope: scope.clone(),
                principal: principal.map(|principal| principal.name().into()),
            }),
            _ => Ok(()),
        }
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(crate) fn slots(&self) -> &[ParamSlot] {
        &self.slots
    }

    /// The one path it takes, where it has no parameters.
    pub(crate) fn literal_path(&self) -> Option<String> {
        let texts = self.segments.iter().map(|segment| match segment {
            Segment::Literal(text) => Some(&**text),
            _ => None,
        });
        Some(texts.collect::<Option<Vec<_>>>()?.join("/"))
    }

    /// Which of two is looked at first, whatever their parameters are called; `Equal` is a conflict.
    pub(crate) fn by_preference(&self, other: &Self) -> Ordering {
        self.segments.iter().map(Segment::rank).cmp(other.segments.iter().map(Segment::rank))
    }
}

impl Segment {
    /// Literals by text; then parameters, first those with more literal text before, then behind; then the rest.
    fn rank(&self) -> (u8, Reverse<usize>, Reverse<usize>, &str, &str) {
        match self {
            Self::Literal(text) => (0, Reverse(0), Reverse(0), text, ""),
            Self::Param { prefix, suffix } => {
                (1, Reverse(prefix.len()), Reverse(suffix.len()), prefix, suffix)
            }
            Self::Rest => (2, Reverse(0), Reverse(0), "", ""),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)?;
        self.scope.iter().try_for_each(|scope| write!(f, " requiring {scope}"))
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        parse(text).map_err(|kind| PatternError::new(text, kind))
    }
}

impl TryFrom<&str> for Pattern {
    type Error = PatternError;

    fn try_from(text: &str) -> Result<Self, PatternError> {
        text.parse()
    }
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        text.parse()
    }
}

impl From<Infallible> for PatternError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

fn parse(text: &str) -> Result<Pattern, PatternErrorKind> {
    path::check(text)?;
    let mut slots: Vec<ParamSlot> = Vec::new();
    let mut segments = Vec::new();
    let mut at = 0;
    for piece in text.split('/') {
        if matches!(segments.last(), Some(Segment::Rest)) {
            return Err(PatternErrorKind::RestNotLast { at: at - 1 });
        }
        let parsed = parse_segment(piece, at)?;
        if let Some((name, name_at)) = parsed.name {
            if slots.iter().any(|slot| *slot.name == *name) {
                return Err(PatternErrorKind::NameTwice { at: name_at, name: name.into() });
            }
            let length =
                |text: &str| u16::try_from(text.len()).expect("a pattern is at most 2048 bytes long");
            let (before, behind) = match &parsed.segment {
                Segment::Param { prefix, suffix } => (length(prefix), length(suffix)),
                _ => (0, 0),
            };
            let segment = u8::try_from(segments.len()).expect("a pattern has at most 32 segments");
            let rest = parsed.segment == Segment::Rest;
            slots.push(ParamSlot { name: name.into(), segment, before, behind, rest });
        }
        segments.push(parsed.segment);
        at += piece.len() + 1;
    }
    Ok(Pattern { text: text.into(), segments: segments.into(), slots: slots.into(), scope: None })
}

/// One segment of a pattern, and the name of its parameter with the byte where that begins.
struct Parsed<'t> {
    segment: Segment,
    name: Option<(&'t str, usize)>,
}

/// Reads one segment, which begins at byte `base` of its pattern.
fn parse_segment(piece: &str, base: usize) -> Result<Parsed<'_>, PatternErrorKind> {
    let (mut before, mut name, mut literal) = (None, None, String::new());
    let mut rest = piece;
    while let Some(brace) = rest.find(['{', '}']) {
        let at = base + piece.len() - rest.len() + brace;
        literal.push_str(&rest[..brace]);
        let bytes = &rest.as_bytes()[brace..];
        if bytes.get(1) == Some(&bytes[0]) {
            literal.push(char::from(bytes[0]));
            rest = &rest[brace + 2..];
        } else if bytes[0] == b'}' {
            return Err(PatternErrorKind::Unopened { at });
        } else if name.is_some() {
            return Err(PatternErrorKind::TwoInSegment { at });
        } else {
            let inside = &rest[brace + 1..];
            let length = inside.find('}').ok_or(PatternErrorKind::Unclosed { at })?;
            name = Some((&inside[..length], at + 1));
            before = Some(std::mem::take(&mut literal));
            rest = &inside[length + 1..];
        }
    }
    literal.push_str(rest);
    let (Some(prefix), Some((name, at))) = (before, name) else {
        return Ok(Parsed { segment: Segment::Literal(literal.into()), name: None });
    };
    let (segment, name, at) = match name.strip_prefix('*') {
        Some(_) if !prefix.is_empty() || !literal.is_empty() => {
            return Err(PatternErrorKind::RestWithText { at: at - 1 });
        }
        Some(name) => (Segment::Rest, name, at + 1),
        None => (Segment::Param { prefix: prefix.into(), suffix: literal.into() }, name, at),
    };
    match name {
        "" => Err(PatternErrorKind::NoName { at }),
        _ if name.contains(['{', '*', ':']) => Err(PatternErrorKind::BadName { at, name: name.into() }),
        _ => Ok(Parsed { segment, name: Some((name, at)) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> PatternErrorKind {
        text.parse::<Pattern>().unwrap_err().kind().clone()
    }

    #[test]
    fn errors_say_where() {
        use PatternErrorKind::*;
        assert_eq!(error("users/{id"), Unclosed { at: 6 });
        assert_eq!(error("users/id}"), Unopened { at: 8 });
        assert_eq!(error("a/{x}-{y}"), TwoInSegment { at: 6 });
        assert_eq!(error("a/{}"), NoName { at: 3 });
        assert_eq!(error("a/{*}"), NoName { at: 4 });
        assert_eq!(error("a/{x*}"), BadName { at: 3, name: "x*".into() });
        assert_eq!(error("a/{x{y}"), BadName { at: 3, name: "x{y".into() });
        assert_eq!(error("a/{x}/b/{x}"), NameTwice { at: 9, name: "x".into() });
        assert_eq!(error("a/{*x}/b"), RestNotLast { at: 6 });
        assert_eq!(error("a/v{*x}"), RestWithText { at: 3 });
        assert_eq!(error("a/{*x}.gz"), RestWithText { at: 2 });
        assert_eq!(error("a//b"), Path(crate::PathError::EmptySegment { at: 2 }));
        assert_eq!(error("a/../b"), Path(crate::PathError::Parent { at: 2 }));
        assert_eq!(error(""), Path(crate::PathError::Empty));
    }

    #[test]
    fn braces_are_escaped_by_doubling() {
        let pattern: Pattern = "{{a}}/{{{b}}}".parse().unwrap();
        assert!(pattern.segments[0] == Segment::Literal("{a}".into()));
        assert!(pattern.segments[1] == Segment::Param { prefix: "{".into(), suffix: "}".into() });
        assert_eq!(pattern.literal_path(), None);
    }
}
