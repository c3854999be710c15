//! Percent-encoding: which text a path stands for.
//!
//! ```text
//!   as written    users/%6De    a%2Fb    caf%C3%A9      what parameters are slices of
//!   decoded       users/me      a␁b      café           what patterns are compared with: ␁ (U+0001) is a slash that is data
//! ```
//!
//! A control character is refused in any path, so U+0001 is free to stand for the slash that separates nothing.

use std::borrow::Cow;

use crate::error::PathError;
use crate::path::{self, MAX_BYTES, Segments};

/// Stands in decoded text for a slash that was written `%2F`.
pub(crate) const DATA_SLASH: u8 = 1;

/// Room for the longest path, decoded.
pub(crate) type Buffer = [u8; MAX_BYTES];

pub(crate) const EMPTY: Buffer = [0; MAX_BYTES];

/// Writes `text` as one segment of a path, so that a parameter gives it back unchanged: each byte other than letters, digits and
/// `-._~` becomes `%XX`.
///
/// Three kinds of text cannot be a segment: the empty text, `.` and `..`, and text with a control character. A path with the
/// result in it is then refused by every router, with the [`PathError`] that says why; the result never means another segment.
///
/// Cost: one pass; it allocates only where something has to be encoded.
///
/// ```
/// use mycelia_router::{Router, encode_segment};
///
/// let mut router = Router::new();
/// router.insert("files/{name}", ())?;
/// let path = format!("files/{}", encode_segment("50% of a/b"));
/// assert_eq!(path, "files/50%25%20of%20a%2Fb");
/// assert_eq!(router.at(&path)?.params().decode("name")?.as_deref(), Some("50% of a/b"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn encode_segment(text: &str) -> Cow<'_, str> {
    // The dots of `.` and `..` too, lest what passes the path on takes them for a step.
    let stays = |byte| is_unreserved(byte) && !matches!(text, "." | "..");
    if text.bytes().all(stays) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        if stays(byte) {
            encoded.push(char::from(byte));
        } else {
            push_encoded(&mut encoded, byte);
        }
    }
    Cow::Owned(encoded)
}

/// Checks a path, and decodes each `%XX` that stands for an unreserved character (a letter, a digit, `-`, `.`, `_` or `~`), as
/// every router reads it: `users/%6De` becomes `users/me`. Other bytes stay encoded, with hexadecimal digits in upper case.
///
/// The path has no slash at its beginning, unless it is for a [rooted](crate::Router::rooted) router.
///
/// Cost: a few passes; it allocates only where something changes.
///
/// # Errors
/// [`PathError`]: the path breaks a rule, whatever the router.
///
/// ```
/// use mycelia_router::normalize;
///
/// assert_eq!(normalize("users/%6De/a%2fb")?, "users/me/a%2Fb");
/// assert!(normalize("users/%2e%2e").is_err());
/// # Ok::<(), mycelia_router::PathError>(())
/// ```
pub fn normalize(path: &str) -> Result<Cow<'_, str>, PathError> {
    if Segments::of(path).is_some() {
        return Ok(Cow::Borrowed(path));
    }
    let mut buffer = EMPTY;
    path::check(path, path.starts_with('/'), &mut buffer)?;
    Ok(normal(path))
}

/// The normal form of `text`, which is well encoded.
pub(crate) fn normal(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let (mut normal, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(sign) = rest.find('%')
        && let Some(byte) = encoded_byte(rest.as_bytes(), sign)
    {
        normal.push_str(&rest[..sign]);
        if is_unreserved(byte) {
            normal.push(char::from(byte));
        } else {
            push_encoded(&mut normal, byte);
        }
        rest = &rest[sign + 3..];
    }
    normal.push_str(rest);
    Cow::Owned(normal)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn push_encoded(text: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    text.push('%');
    text.push(char::from(DIGITS[usize::from(byte >> 4)]));
    text.push(char::from(DIGITS[usize::from(byte & 15)]));
}

/// The byte that the `%XX` at `at` stands for, if it is one.
fn encoded_byte(text: &[u8], at: usize) -> Option<u8> {
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    u8::try_from(digit(at + 1)? << 4 | digit(at + 2)?).ok()
}

/// Decodes `text`, at most [`MAX_BYTES`] of it, once. Positions in errors are counted from `base`.
pub(crate) fn decode_into<'b>(text: &str, base: usize, buffer: &'b mut Buffer) -> Result<&'b str, PathError> {
    let bytes = text.as_bytes();
    let (mut at, mut length) = (0, 0);
    while let Some(&written) = bytes.get(at) {
        let byte = match written {
            b'%' => encoded_byte(bytes, at).ok_or(PathError::Encoding { at: base + at })?,
            _ => written,
        };
        buffer[length] = match byte {
            DATA_SLASH => {
                return Err(PathError::Control { at: base + at, character: char::from(DATA_SLASH) });
            }
            b'/' if written == b'%' => DATA_SLASH,
            _ => byte,
        };
        at += width(written);
        length += 1;
    }
    let written_at = |index| base + written_length(text, index);
    let decoded = std::str::from_utf8(&buffer[..length])
        .map_err(|error| PathError::NotUtf8 { at: written_at(error.valid_up_to()) })?;
    let is_refused = |character: char| character.is_control() && character != char::from(DATA_SLASH);
    match decoded.char_indices().find(|(_, character)| is_refused(*character)) {
        Some((index, character)) => Err(PathError::Control { at: written_at(index), character }),
        None => Ok(decoded),
    }
}

/// How many bytes a decoded byte takes where its first one is `written`.
fn width(written: u8) -> usize {
    if written == b'%' { 3 } else { 1 }
}

/// How many bytes the first `decoded` bytes take in `text`, which is well encoded.
pub(crate) fn written_length(text: &str, decoded: usize) -> usize {
    (0..decoded).fold(0, |at, _| at + width(text.as_bytes()[at]))
}

/// How many bytes the last `decoded` bytes take in `text`, which is well encoded: a `%` three bytes before an end begins a `%XX`.
pub(crate) fn written_length_at_end(text: &str, decoded: usize) -> usize {
    let bytes = text.as_bytes();
    (0..decoded).fold(0, |behind, _| {
        let end = bytes.len() - behind;
        behind + if end >= 3 { width(bytes[end - 3]) } else { 1 }
    })
}

/// Where the first `%2F` in `text` is, which is well encoded.
pub(crate) fn find_encoded_slash(text: &str) -> Option<usize> {
    text.match_indices('%').map(|(at, _)| at).find(|at| encoded_byte(text.as_bytes(), *at) == Some(b'/'))
}
