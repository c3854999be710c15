//! JavaScript values, and how they become one another.
//!
//! Section numbers are those of ECMA-262.

use std::borrow::Cow;
use std::sync::Arc;

use foldhash::fast::RandomState;
use indexmap::IndexMap;

/// What a source sent, or an expression results in. Cloning it copies no text.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a source that nothing came from yet.
    Undefined,
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// Any number.
    Number(f64),
    /// A text, of whole code points: half a surrogate pair is none.
    String(Arc<str>),
    /// Values in a row.
    Array(Arc<[Value]>),
    /// Values by their keys.
    Object(Arc<Object>),
}

/// The keys of an object, in the order they came in.
pub type Object = IndexMap<Box<str>, Value, RandomState>;

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self::Number(number.into())
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

/// How deep a result may be nested: what reads it has to follow.
pub(crate) const DEEPEST: usize = 128;
pub(crate) const TOO_DEEP: &str = "nested too deeply, or in itself";

impl Value {
    /// What in it JSON cannot say, if anything: `undefined` inside of it becomes `null`.
    pub(crate) fn unserialisable(&self, depth: usize) -> Option<&'static str> {
        match self {
            _ if depth > DEEPEST => Some(TOO_DEEP),
            Self::Number(number) => (!number.is_finite()).then_some("no finite number"),
            Self::Array(items) => items.iter().find_map(|item| item.unserialisable(depth + 1)),
            Self::Object(fields) => fields.values().find_map(|field| field.unserialisable(depth + 1)),
            _ => None,
        }
    }

    pub(crate) fn is_nullish(&self) -> bool {
        matches!(self, Self::Undefined | Self::Null)
    }

    /// `typeof` (13.5.3).
    pub(crate) fn type_of(&self) -> &'static str {
        match self {
            Self::Undefined => "undefined",
            Self::Null | Self::Array(_) | Self::Object(_) => "object",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::String(_) => "string",
        }
    }

    /// `ToBoolean` (7.1.2).
    pub(crate) fn truth(&self) -> bool {
        match self {
            Self::Undefined | Self::Null => false,
            Self::Bool(truth) => *truth,
            Self::Number(number) => *number != 0.0 && !number.is_nan(),
            Self::String(text) => !text.is_empty(),
            Self::Array(_) | Self::Object(_) => true,
        }
    }
}

/// `Number::toString` (6.1.6.1.20): the shortest digits that read as the same number.
pub(crate) fn number_text(number: f64) -> Box<str> {
    let mut buffer = ryu_js::Buffer::new();
    buffer.format(number).into()
}

/// `StringToNumber` (7.1.4.1.1). Not a number: NaN.
pub(crate) fn text_number(text: &str) -> f64 {
    let text = trim(text);
    if text.is_empty() {
        return 0.0;
    }
    let radix = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => Some(16),
        [b'0', b'o' | b'O', ..] => Some(8),
        [b'0', b'b' | b'B', ..] => Some(2),
        _ => None,
    };
    if let Some(radix) = radix {
        let digits = &text[2..];
        return if !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix)) {
            radix_number(digits, radix)
        } else {
            f64::NAN
        };
    }
    match decimal_prefix(text) {
        Some((number, "")) => number,
        _ => f64::NAN,
    }
}

/// The number that a text begins with, and what comes after it.
pub(crate) fn decimal_prefix(text: &str) -> Option<(f64, &str)> {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let sign = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    if let Some(rest) = text[sign..].strip_prefix("Infinity") {
        return Some((if bytes[0] == b'-' { f64::NEG_INFINITY } else { f64::INFINITY }, rest));
    }
    let whole = digits(sign);
    let mut end = sign + whole;
    if bytes.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        if whole + fraction > 0 {
            end += 1 + fraction;
        }
    }
    if end == sign {
        return None;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// Digits of a base, as the nearest number (if they fit into 128 bits; else nearly).
pub(crate) fn radix_number(digits: &str, radix: u32) -> f64 {
    if let Ok(number) = u128::from_str_radix(digits, radix) {
        return number as f64;
    }
    let value =
        |sum: f64, digit: char| sum * f64::from(radix) + f64::from(digit.to_digit(radix).unwrap_or(0));
    digits.chars().fold(0.0, value)
}

/// `ToInt32` and `ToUint32` (7.1.6): modulo 2^32.
pub(crate) fn to_u32(number: f64) -> u32 {
    if number.abs() < 9.0e15 {
        return number as i64 as u32;
    }
    if !number.is_finite() {
        return 0;
    }
    number.trunc().rem_euclid(4_294_967_296.0) as u32
}

/// `ToIntegerOrInfinity` (7.1.5).
pub(crate) fn to_integer(number: f64) -> f64 {
    if number.is_nan() { 0.0 } else { number.trunc() + 0.0 }
}

/// `WhiteSpace` and `LineTerminator` (12.2, 12.3).
pub(crate) fn is_space(c: char) -> bool {
    match c {
        '\u{feff}' => true,
        '\u{85}' => false,
        _ => c.is_whitespace(),
    }
}

pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// How texts are ordered: by their UTF-16 units.
pub(crate) fn compare(a: &str, b: &str) -> std::cmp::Ordering {
    if a.is_ascii() || b.is_ascii() { a.cmp(b) } else { a.encode_utf16().cmp(b.encode_utf16()) }
}

/// `ToString` (7.1.17) of what is neither array nor object.
pub(crate) fn primitive_text(value: &Value) -> Option<Cow<'_, str>> {
    Some(match value {
        Value::Undefined => "undefined".into(),
        Value::Null => "null".into(),
        Value::Bool(true) => "true".into(),
        Value::Bool(false) => "false".into(),
        Value::Number(number) => String::from(number_text(*number)).into(),
        Value::String(text) => (&**text).into(),
        Value::Array(_) | Value::Object(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_numbers() {
        for (text, number) in [
            ("", 0.0),
            (" \n\u{feff}", 0.0),
            (" 42 ", 42.0),
            ("-1.5e3", -1500.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("+7", 7.0),
            ("0x1F", 31.0),
            ("0b101", 5.0),
            ("0o17", 15.0),
            ("Infinity", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("1e1000", f64::INFINITY),
        ] {
            assert_eq!(text_number(text), number, "{text:?}");
        }
        for text in [
            "abc", "1x", "0x", "-0x1", "infinity", "inf", "nan", "1e", "e1", ".", "+", "1 2", "1_0",
            "\u{85}1",
        ] {
            assert!(text_number(text).is_nan(), "{text:?}");
        }
    }

    #[test]
    fn numbers_wrap_to_32_bits() {
        for (number, bits) in [
            (-1.0, u32::MAX),
            (1.9, 1),
            (4_294_967_296.0, 0),
            (1e20, 1_661_992_960),
            (-1e20, 2_632_974_336),
            (f64::NAN, 0),
            (f64::INFINITY, 0),
            (-2_147_483_649.0, 0x7fff_ffff),
        ] {
            assert_eq!(to_u32(number), bits, "{number}");
        }
    }
}
