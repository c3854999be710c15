//! Patterns: their grammar, and the order in which they are preferred.

use std::cmp::{Ordering, Reverse};
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use crate::encoding::{self, DATA_SLASH, decode_into};
use crate::error::{PathError, PatternError, PatternErrorKind};
use crate::notation;
use crate::path::{MAX_BYTES, MAX_SEGMENTS, check_segment};
use crate::principal::{Denied, Principal};
use crate::scope::Scope;

/// Which paths a route takes, and the right it asks for.
///
/// ```text
///   users               a literal segment: the same text
///   {id}                a parameter: one segment, at least one byte
///   v{major}.json       a parameter with literal text around it, at least one byte between
///   {*path}             the rest: one segment or more; last only
///   v{*path}            the rest, with literal text before it, at least one byte between that and the next slash
///   {{ }}               literal braces
/// ```
///
/// A name is one or more characters other than braces, `*`, `:`, `?`, `+`, `/` and control characters, once in a pattern. There are
/// no regular expressions. Limits are those of paths: no empty segment, no `.` or `..`, no control characters, at most
/// [`MAX_BYTES`](crate::MAX_BYTES) and [`MAX_SEGMENTS`](crate::MAX_SEGMENTS). A pattern with a slash at its beginning is for a
/// [rooted](crate::Router::rooted) table, and for no other.
///
/// Literal text is percent-decoded as paths are: `a%20b` and `a b` are one pattern, and both take the paths `a%20b` and `a b`.
/// A literal `%` is written `%25`, and a literal slash that does not separate `%2F`.
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
    rooted: bool,
}

/// What one segment of a path must be, decoded. The names of parameters are not part of it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    Literal(Box<str>),
    Param { prefix: Box<str>, suffix: Box<str> },
    Rest { prefix: Box<str> },
}

/// Where a parameter is in a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParamSlot {
    pub(crate) name: Box<str>,
    /// In which segment: that before the slash of a rooted pattern counts.
    pub(crate) segment: u8,
    /// How many bytes of the segment, decoded, stand before it.
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

    /// Returns whether the pattern begins with a slash, and is for a [rooted](crate::Router::rooted) table.
    pub fn is_rooted(&self) -> bool {
        self.rooted
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

    /// The one path it takes that has nothing encoded, where it has no parameters. None also where each of its paths has: the
    /// text of this one would pass for another path, encoded.
    pub(crate) fn literal_path(&self) -> Option<String> {
        let texts = self.segments.iter().map(|segment| match segment {
            Segment::Literal(text) if !text.bytes().any(|byte| matches!(byte, b'%' | DATA_SLASH)) => {
                Some(&**text)
            }
            _ => None,
        });
        let relative = texts.collect::<Option<Vec<_>>>()?.join("/");
        Some(if self.rooted { format!("/{relative}") } else { relative })
    }

    /// Whether it takes all the rest of a path.
    pub(crate) fn takes_rest(&self) -> bool {
        matches!(self.segments.last(), Some(Segment::Rest { .. }))
    }

    /// Which of two is looked at first, whatever their parameters are called; `Equal` is a conflict.
    pub(crate) fn by_preference(&self, other: &Self) -> Ordering {
        self.segments.iter().map(Segment::rank).cmp(other.segments.iter().map(Segment::rank))
    }
}

impl Segment {
    /// Literals by text; then parameters, first those with more literal text before, then behind; then the rest, first with more
    /// literal text before it.
    fn rank(&self) -> (u8, Reverse<usize>, Reverse<usize>, &str, &str) {
        match self {
            Self::Literal(text) => (0, Reverse(0), Reverse(0), text, ""),
            Self::Param { prefix, suffix } => {
                (1, Reverse(prefix.len()), Reverse(suffix.len()), prefix, suffix)
            }
            Self::Rest { prefix } => (2, Reverse(prefix.len()), Reverse(0), prefix, ""),
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
    check_limits(text)?;
    let rooted = text.starts_with('/');
    let mut slots: Vec<ParamSlot> = Vec::new();
    let mut segments = Vec::new();
    let mut at = usize::from(rooted);
    // Of the root, nothing is left.
    for piece in text[at..].split('/').filter(|_| text != "/") {
        if matches!(segments.last(), Some(Segment::Rest { .. })) {
            return Err(PatternErrorKind::RestNotLast { at: at - 1 });
        }
        let parsed = parse_segment(piece, at)?;
        if let Some((name, name_at)) = parsed.name {
            check_name(text, name, name_at)?;
            if slots.iter().any(|slot| *slot.name == *name) {
                return Err(PatternErrorKind::NameTwice { at: name_at, name: name.into() });
            }
            let length =
                |text: &str| u16::try_from(text.len()).expect("a pattern is at most 2048 bytes long");
            let (before, behind, rest) = match &parsed.segment {
                Segment::Param { prefix, suffix } => (length(prefix), length(suffix), false),
                Segment::Rest { prefix } => (length(prefix), 0, true),
                Segment::Literal(_) => unreachable!("a literal has no name"),
            };
            let segment = segments.len() + usize::from(rooted);
            let segment = u8::try_from(segment).expect("a pattern has at most 32 segments");
            slots.push(ParamSlot { name: name.into(), segment, before, behind, rest });
        }
        segments.push(parsed.segment);
        at += piece.len() + 1;
    }
    Ok(Pattern { text: text.into(), segments: segments.into(), slots: slots.into(), scope: None, rooted })
}

fn check_limits(text: &str) -> Result<(), PathError> {
    if text.is_empty() {
        return Err(PathError::Empty);
    }
    if text.len() > MAX_BYTES {
        return Err(PathError::TooLong { bytes: text.len() });
    }
    if let Some((at, character)) = text.char_indices().find(|(_, character)| character.is_control()) {
        return Err(PathError::Control { at, character });
    }
    match text.strip_prefix('/').unwrap_or(text).split('/').count() {
        segments if segments > MAX_SEGMENTS => Err(PathError::TooManySegments { segments }),
        _ => Ok(()),
    }
}

fn check_name(pattern: &str, name: &str, at: usize) -> Result<(), PatternErrorKind> {
    if name.is_empty() {
        return Err(PatternErrorKind::NoName { at });
    }
    if let Some(instead) = notation::instead_of(pattern, name, at) {
        return Err(PatternErrorKind::OtherNotation { at, name: name.into(), instead: instead.into() });
    }
    match name.contains(['{', '*', ':', '?', '+']) {
        true => Err(PatternErrorKind::BadName { at, name: name.into() }),
        false => Ok(()),
    }
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
    let position = |rest: &str| base + piece.len() - rest.len();
    while let Some(brace) = rest.find(['{', '}']) {
        push_decoded(&mut literal, &rest[..brace], position(rest))?;
        let at = position(rest) + brace;
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
    push_decoded(&mut literal, rest, position(rest))?;
    let (Some(prefix), Some((name, at))) = (before, name) else {
        check_segment(&literal, base)?;
        return Ok(Parsed { segment: Segment::Literal(literal.into()), name: None });
    };
    let prefix = prefix.into();
    match name.strip_prefix('*') {
        Some(_) if !literal.is_empty() => Err(PatternErrorKind::RestWithText { at: at - 1 }),
        Some(name) => Ok(Parsed { segment: Segment::Rest { prefix }, name: Some((name, at + 1)) }),
        None => {
            Ok(Parsed { segment: Segment::Param { prefix, suffix: literal.into() }, name: Some((name, at)) })
        }
    }
}

/// Decodes literal text, which begins at byte `base` of its pattern.
fn push_decoded(literal: &mut String, text: &str, base: usize) -> Result<(), PathError> {
    if text.contains('%') {
        let mut buffer = encoding::EMPTY;
        literal.push_str(decode_into(text, base, &mut buffer)?);
    } else {
        literal.push_str(text);
    }
    Ok(())
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
