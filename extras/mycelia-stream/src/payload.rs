//! The JSON of records: `{"value": …, "timestamp_ms": …}`.

use std::borrow::Cow;
use std::fmt;
use std::io;

use foldhash::fast::RandomState;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::ser::Formatter;

use crate::mapping::{Object, Value};

/// What a payload says.
#[derive(Debug, PartialEq)]
pub(crate) struct Reading {
    pub(crate) value: Value,
    pub(crate) timestamp_ms: i64,
}

/// Why a payload is none: see [`Record::check`](crate::Record::check).
#[derive(Debug)]
pub struct PayloadError(serde_json::Error);

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_eof() && (self.0.line(), self.0.column()) == (1, 0) {
            return f.write_str("it is empty");
        }
        // Payloads are lines, but for those that somebody wrote by hand.
        f.write_str(&self.0.to_string().replace(" at line 1 column", " at column"))
    }
}

impl std::error::Error for PayloadError {}

/// Reads a payload, whose values are at most 126 levels deep.
///
/// Texts may have halves of surrogate pairs and bytes that are no UTF-8; U+FFFD is in their place then.
pub(crate) fn read(payload: &[u8]) -> Result<Reading, PayloadError> {
    serde_json::from_slice(payload).or_else(|error| {
        let text = String::from_utf8_lossy(payload);
        match repair_escapes(&text) {
            Cow::Borrowed(_) if matches!(text, Cow::Borrowed(_)) => Err(PayloadError(error)),
            repaired => serde_json::from_str(&repaired).map_err(PayloadError),
        }
    })
}

impl<'de> Deserialize<'de> for Reading {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ReadingVisitor)
    }
}

struct ReadingVisitor;

impl<'de> Visitor<'de> for ReadingVisitor {
    type Value = Reading;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `value` and `timestamp_ms`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Reading, A::Error> {
        // Of two with the same key, the last one counts.
        let (mut value, mut timestamp_ms) = (Value::Undefined, None);
        while let Some(key) = map.next_key()? {
            match key {
                Key::Value => value = map.next_value()?,
                Key::Timestamp => timestamp_ms = Some(map.next_value::<Timestamp>()?.0),
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        match (value, timestamp_ms) {
            (Value::Undefined, _) => Err(de::Error::missing_field("value")),
            (Value::Null, _) => Err(de::Error::custom("`value` is null")),
            (_, None) => Err(de::Error::missing_field("timestamp_ms")),
            (_, Some(0)) => Err(de::Error::custom("`timestamp_ms` is 0")),
            (value, Some(timestamp_ms)) => Ok(Reading { value, timestamp_ms }),
        }
    }
}

struct Timestamp(i64);

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TimestampVisitor;

        impl Visitor<'_> for TimestampVisitor {
            type Value = Timestamp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`timestamp_ms` as an integer of 64 bits without point or exponent")
            }

            fn visit_i64<E>(self, number: i64) -> Result<Timestamp, E> {
                Ok(Timestamp(number))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Timestamp, E> {
                match i64::try_from(number) {
                    Ok(number) => Ok(Timestamp(number)),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Unsigned(number), &self)),
                }
            }
        }

        deserializer.deserialize_i64(TimestampVisitor)
    }
}

enum Key {
    Value,
    Timestamp,
    Other,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl Visitor<'_> for KeyVisitor {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E>(self, key: &str) -> Result<Key, E> {
                Ok(match key {
                    "value" => Key::Value,
                    "timestamp_ms" => Key::Timestamp,
                    _ => Key::Other,
                })
            }
        }

        deserializer.deserialize_identifier(KeyVisitor)
    }
}

/// From any format. Numbers become the nearest `f64`; of two fields with the same key, the last one counts.
impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;

        impl<'de> Visitor<'de> for ValueVisitor {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any JSON")
            }

            fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
                Ok(truth.into())
            }

            fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
                Ok((number as f64).into())
            }

            fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
                Ok((number as f64).into())
            }

            fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
                Ok(number.into())
            }

            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(text.into())
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Value::Array(items.into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                let mut fields = Object::with_hasher(RandomState::default());
                while let Some((key, value)) = map.next_entry::<Box<str>, Value>()? {
                    fields.insert(key, value);
                }
                Ok(Value::Object(fields.into()))
            }
        }

        deserializer.deserialize_any(ValueVisitor)
    }
}

/// Keys are sorted by their bytes. What JSON cannot say is `null`.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Undefined | Self::Null => serializer.serialize_unit(),
            Self::Bool(truth) => serializer.serialize_bool(*truth),
            Self::Number(number) => serializer.serialize_f64(*number),
            Self::String(text) => serializer.serialize_str(text),
            Self::Array(items) => serializer.collect_seq(&**items),
            Self::Object(fields) => {
                let mut sorted: Vec<_> = fields.iter().collect();
                sorted.sort_unstable_by_key(|(key, _)| *key);
                let mut map = serializer.serialize_map(Some(sorted.len()))?;
                for (key, value) in sorted {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

/// Writes the JSON of a value: shortest numbers, no spaces, the separators U+2028 and U+2029 escaped.
pub(crate) fn write_value(out: &mut Vec<u8>, value: &Value) {
    if let Value::Number(number) = value {
        return write_number(out, *number);
    }
    let mut serializer = serde_json::Serializer::with_formatter(out, Text);
    value.serialize(&mut serializer).expect("a vector takes everything, and all keys are texts");
}

fn write_number(out: &mut Vec<u8>, number: f64) {
    // Whole numbers up to where the shortest digits are not all of them. (What is larger is as `i64` no longer the same.)
    let whole = number as i64;
    if whole as f64 == number && whole.unsigned_abs() < 1 << 53 {
        if whole == 0 && number.is_sign_negative() {
            out.push(b'-');
        }
        out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
    } else {
        out.extend_from_slice(ryu_js::Buffer::new().format(number).as_bytes());
    }
}

struct Text;

impl Formatter for Text {
    fn write_f64<W: io::Write + ?Sized>(&mut self, writer: &mut W, number: f64) -> io::Result<()> {
        let mut text = Vec::new();
        write_number(&mut text, number);
        writer.write_all(&text)
    }

    fn write_string_fragment<W: io::Write + ?Sized>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        let mut rest = text;
        while let Some(at) = rest.find(['\u{2028}', '\u{2029}']) {
            let (before, separator) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            writer.write_all(if separator.starts_with('\u{2028}') { b"\\u2028" } else { b"\\u2029" })?;
            rest = &separator['\u{2028}'.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

/// Writes `\ufffd` over escapes that are one half of a surrogate pair without the other.
fn repair_escapes(text: &str) -> Cow<'_, str> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut repaired = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = text[at..].find('\\') {
        at += found;
        match unit(at) {
            Some(0xd800..=0xdbff) if matches!(unit(at + 6), Some(0xdc00..=0xdfff)) => at += 12,
            Some(0xd800..=0xdfff) => {
                repaired.push_str(&text[copied..at]);
                repaired.push_str("\\ufffd");
                at += 6;
                copied = at;
            }
            // Over what is escaped.
            _ => at += 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    repaired.push_str(&text[copied..]);
    Cow::Owned(repaired)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_read() {
        for (payload, expected, timestamp_ms) in [
            (r#"{"value":25.5,"timestamp_ms":1}"#, Value::Number(25.5), 1),
            (r#"{"timestamp_ms":-7,"x":[{}],"value":"a"}"#, Value::from("a"), -7),
            (" {\"value\":false ,\n\"timestamp_ms\" :9223372036854775807}\t", Value::Bool(false), i64::MAX),
            (r#"{"value":1,"value":2,"timestamp_ms":3,"timestamp_ms":4}"#, Value::Number(2.0), 4),
            (r#"{"value":9007199254740993,"timestamp_ms":1}"#, Value::Number(9_007_199_254_740_992.0), 1),
            (r#"{"value":0.30000000000000004,"timestamp_ms":1}"#, Value::Number(0.300_000_000_000_000_04), 1),
            (r#"{"value":"","timestamp_ms":1}"#, Value::from(""), 1),
            (r#"{"value":"\ud83d\ude00","timestamp_ms":1}"#, Value::from("😀"), 1),
            (r#"{"value":"a\ud83dx\\ud83d","timestamp_ms":1}"#, Value::from("a\u{fffd}x\\ud83d"), 1),
            (
                r#"{"value":"\udc00\ud800\ud800","timestamp_ms":1}"#,
                Value::from("\u{fffd}\u{fffd}\u{fffd}"),
                1,
            ),
        ] {
            assert_eq!(
                read(payload.as_bytes()).unwrap(),
                Reading { value: expected, timestamp_ms },
                "{payload}"
            );
        }
        assert_eq!(
            read(b"{\"value\":\"a\xffb\",\"timestamp_ms\":1}").unwrap(),
            Reading { value: Value::from("a\u{fffd}b"), timestamp_ms: 1 }
        );
    }

    #[test]
    fn what_is_no_payload_is_refused_with_a_reason() {
        for (payload, reason) in [
            ("", "it is empty"),
            ("{", "EOF while parsing an object at column 1"),
            ("null", "invalid type: null, expected an object with `value` and `timestamp_ms`"),
            ("1", "invalid type: integer `1`"),
            ("[]", "invalid type: sequence"),
            ("{}", "missing field `value`"),
            (r#"{"value":1}"#, "missing field `timestamp_ms`"),
            (r#"{"timestamp_ms":1}"#, "missing field `value`"),
            (r#"{"value":null,"timestamp_ms":1}"#, "`value` is null"),
            (r#"{"value":1,"timestamp_ms":0}"#, "`timestamp_ms` is 0"),
            (r#"{"value":1,"timestamp_ms":-0}"#, "floating point `-0.0`"),
            (
                r#"{"value":1,"timestamp_ms":1.5}"#,
                "floating point `1.5`, expected `timestamp_ms` as an integer",
            ),
            (r#"{"value":1,"timestamp_ms":1.0}"#, "without point or exponent"),
            (r#"{"value":1,"timestamp_ms":1e3}"#, "without point or exponent"),
            (r#"{"value":1,"timestamp_ms":"1"}"#, "invalid type: string \"1\", expected `timestamp_ms`"),
            (r#"{"value":1,"timestamp_ms":null}"#, "invalid type: null, expected `timestamp_ms`"),
            (
                r#"{"value":1,"timestamp_ms":9223372036854775808}"#,
                "`9223372036854775808`, expected `timestamp_ms`",
            ),
            (r#"{"value":1e400,"timestamp_ms":1}"#, "number out of range"),
            (r#"{"VALUE":1,"timestamp_ms":1}"#, "missing field `value`"),
            (r#"{"value":1,"timestamp_ms":1} x"#, "trailing characters"),
            (r#"{"value":1,"timestamp_ms":1"#, "EOF"),
            (r#"{"value":01,"timestamp_ms":1}"#, "invalid number"),
            (r#"{"value":"\ud800","timestamp_ms":1} x"#, "trailing characters"),
        ] {
            let refused = read(payload.as_bytes()).expect_err(payload).to_string();
            assert!(refused.contains(reason), "{payload}: {refused}");
        }
        assert!(read(b"{\"value\":1\xff,\"timestamp_ms\":1}").is_err());
    }

    #[test]
    fn values_are_written_as_the_ancestor_writes_them() {
        for (value, expected) in [
            (Value::Number(51.0), "51"),
            (Value::Number(-0.0), "-0"),
            (Value::Number(0.0), "0"),
            (Value::Number(1e20), "100000000000000000000"),
            (Value::Number(1e21), "1e+21"),
            (Value::Number(2.55e-8), "2.55e-8"),
            (Value::Number(0.000_001), "0.000001"),
            (Value::Number(1.267_650_600_228_229_4e30), "1.2676506002282294e+30"),
            (Value::Number(9_007_199_254_740_991.0), "9007199254740991"),
            (Value::from("<a&b>\n\"\\\u{1}\u{2028}x\u{2029}"), r#""<a&b>\n\"\\\u0001\u2028x\u2029""#),
            (Value::Array([Value::Undefined, 1.0.into(), true.into()].into()), "[null,1,true]"),
        ] {
            let mut out = Vec::new();
            write_value(&mut out, &value);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
        let sorted: Value = serde_json::from_str(r#"{"b":1,"a":{"z":0,"é":0,"Z":0}}"#).unwrap();
        let mut out = Vec::new();
        write_value(&mut out, &sorted);
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"a":{"Z":0,"z":0,"é":0},"b":1}"#);
    }
}
