//! Parameters: slices of the path.

use std::any::type_name;
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::encoding::{normal, written_length, written_length_at_end};
use crate::error::{DecodeError, ParamError};
use crate::path::{Cursor, Segments, Text};
use crate::pattern::{ParamSlot, Pattern};

/// The parameters of a [`Match`](crate::Match), by name and by position. They are slices of the path, cut when they are asked
/// for, and neither decoded nor copied: `get`, `at` and `iter` give what is written, `%6De` where the path has that; `parse` and
/// `decode` what it stands for.
///
/// ```
/// use mycelia_router::Router;
///
/// let mut router = Router::new();
/// router.insert("users/{id}/{file}.json", ())?;
/// let hit = router.at("users/7/caf%C3%A9.json")?;
/// let params = hit.params();
/// assert_eq!(params.get("id"), Some("7"));
/// assert_eq!(params.parse::<u32>("id")?, 7);
/// assert_eq!(params.at(1), Some("caf%C3%A9"));
/// assert_eq!(params.decode("file")?.as_deref(), Some("café"));
/// assert_eq!(params.iter().collect::<Vec<_>>(), [("id", "7"), ("file", "caf%C3%A9")]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct Params<'r, 'p> {
    pattern: &'r Pattern,
    path: &'p str,
    segments: Segments,
}

impl<'r, 'p> Params<'r, 'p> {
    #[inline]
    pub(crate) fn new(pattern: &'r Pattern, path: &'p str, segments: Segments) -> Self {
        Self { pattern, path, segments }
    }

    /// The value of the parameter `name`. Cost: a comparison with each name before it.
    #[inline]
    pub fn get(&self, name: &str) -> Option<&'p str> {
        self.pattern.slots().iter().find(|slot| *slot.name == *name).map(|slot| self.value(slot))
    }

    /// The value of the parameter at `index`, counted from 0 on the left.
    #[inline]
    pub fn at(&self, index: usize) -> Option<&'p str> {
        self.pattern.slots().get(index).map(|slot| self.value(slot))
    }

    /// The name of the parameter at `index`.
    #[inline]
    pub fn name(&self, index: usize) -> Option<&'r str> {
        self.pattern.slots().get(index).map(|slot| &*slot.name)
    }

    /// The value of the parameter `name`, percent-decoded, read as a `V`.
    ///
    /// # Errors
    /// [`ParamError`] names the parameter, and its value.
    pub fn parse<V>(&self, name: &str) -> Result<V, ParamError>
    where
        V: FromStr<Err: fmt::Display>,
    {
        let missing = || ParamError::Missing { name: name.into(), pattern: self.pattern.as_str().into() };
        let value = self.get(name).ok_or_else(missing)?;
        let decoded = match self.segments.is_encoded() {
            true => percent_decode_str(value).decode_utf8_lossy(),
            false => Cow::Borrowed(value),
        };
        decoded.parse().map_err(|reason: V::Err| ParamError::Invalid {
            name: name.into(),
            value: value.into(),
            expected: type_name::<V>(),
            reason: reason.to_string().into(),
        })
    }

    /// The value of the parameter `name`, percent-decoded once; allocates only where something is encoded. Where that was a
    /// `%2F`, the result has a slash in it (`..%2Fa` is `../a`): look at it again before it becomes a file name.
    ///
    /// # Errors
    /// None: a path whose parameters are no UTF-8 is refused before.
    pub fn decode(&self, name: &str) -> Result<Option<Cow<'p, str>>, DecodeError> {
        self.get(name).map(|value| decode(name, value)).transpose()
    }

    /// The same, with a copy of the path.
    pub fn to_owned(&self) -> OwnedParams<'r> {
        OwnedParams { pattern: self.pattern, path: self.path.into(), segments: self.segments }
    }

    /// Names and values, from left to right.
    #[inline]
    pub fn iter(&self) -> ParamsIter<'r, 'p> {
        let slots = self.pattern.slots().iter();
        let encoded = self.segments.is_encoded();
        ParamsIter { path: self.path, slots, cursor: self.segments.cursor(), passed: 0, encoded }
    }

    /// Iterates over names and values, from left to right, as they are in the [normalized](crate::normalize) path: `me` where it
    /// has `%6De`. Allocates only where something changes.
    pub fn iter_normalized(&self) -> impl ExactSizeIterator<Item = (&'r str, Cow<'p, str>)> + use<'r, 'p> {
        let params = *self;
        self.iter().map(move |(name, value)| (name, params.normal(value)))
    }

    /// Returns the path, [normalized](crate::normalize). Allocates only where something changes.
    pub fn path_normalized(&self) -> Cow<'p, str> {
        self.normal(self.path)
    }

    #[inline]
    fn normal(&self, text: &'p str) -> Cow<'p, str> {
        match self.segments.is_encoded() {
            true => normal(text),
            false => Cow::Borrowed(text),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.pattern.slots().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The path.
    pub fn path(&self) -> &'p str {
        self.path
    }

    /// The pattern that took the path.
    pub fn pattern(&self) -> &'r Pattern {
        self.pattern
    }

    #[inline]
    fn value(&self, slot: &ParamSlot) -> &'p str {
        let segment = self.segments.range(self.path, usize::from(slot.segment));
        value(self.path, slot, segment, self.segments.is_encoded())
    }
}

/// The value of the parameter in this segment.
#[inline]
fn value<'p>(path: &'p str, slot: &ParamSlot, segment: Range<usize>, encoded: bool) -> &'p str {
    let end = if slot.rest { path.len() } else { segment.end };
    let (mut before, mut behind) = (usize::from(slot.before), usize::from(slot.behind));
    if encoded {
        (before, behind) = written_lengths(&path[segment.start..end], before, behind);
    }
    &path[segment.start + before..end - behind]
}

/// How many bytes so many decoded ones take at both ends.
#[cold]
fn written_lengths(text: &str, before: usize, behind: usize) -> (usize, usize) {
    (written_length(text, before), written_length_at_end(text, behind))
}

/// Percent-decodes a parameter's value, once, as [`Params::decode`] does. In a value that is not from a router's path, a `%` that
/// encodes nothing stays as it is.
///
/// # Errors
/// [`DecodeError`]: what comes out is no UTF-8. No value from a router's path is one.
pub fn decode<'p>(name: &str, value: &'p str) -> Result<Cow<'p, str>, DecodeError> {
    if !value.contains('%') {
        return Ok(Cow::Borrowed(value));
    }
    let bad = |_| DecodeError { name: name.into(), value: value.into() };
    percent_decode_str(value).decode_utf8().map_err(bad)
}

impl fmt::Debug for Params<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<'r, 'p> IntoIterator for &Params<'r, 'p> {
    type Item = (&'r str, &'p str);
    type IntoIter = ParamsIter<'r, 'p>;

    fn into_iter(self) -> ParamsIter<'r, 'p> {
        self.iter()
    }
}

/// Names and values of [`Params`], from left to right.
#[derive(Clone, Debug)]
pub struct ParamsIter<'r, 'p> {
    path: &'p str,
    slots: std::slice::Iter<'r, ParamSlot>,
    cursor: Cursor,
    /// How many segments the cursor has passed.
    passed: u8,
    /// Whether something in the path is percent-encoded.
    encoded: bool,
}

impl<'r, 'p> Iterator for ParamsIter<'r, 'p> {
    type Item = (&'r str, &'p str);

    // Small enough to keep what it returns in registers.
    #[inline(always)]
    fn next(&mut self) -> Option<(&'r str, &'p str)> {
        let slot = self.slots.next()?;
        let text = Text::new(self.path);
        for _ in self.passed..slot.segment {
            self.cursor.next(&text);
        }
        self.passed = slot.segment + 1;
        Some((&slot.name, value(self.path, slot, self.cursor.next(&text), self.encoded)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.slots.size_hint()
    }
}

impl ExactSizeIterator for ParamsIter<'_, '_> {}

/// [`Params`] that keep their own copy of the path.
///
/// ```
/// use mycelia_router::Router;
///
/// let mut router = Router::new();
/// router.insert("users/{id}", ())?;
/// let kept = { router.at(&format!("users/{}", 7))?.params().to_owned() };
/// assert_eq!(kept.params().get("id"), Some("7"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct OwnedParams<'r> {
    pattern: &'r Pattern,
    path: Box<str>,
    segments: Segments,
}

impl<'r> OwnedParams<'r> {
    /// The parameters.
    #[inline]
    pub fn params(&self) -> Params<'r, '_> {
        Params { pattern: self.pattern, path: &self.path, segments: self.segments }
    }
}
