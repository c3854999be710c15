//! The methods of texts, arrays and numbers that are evaluated natively.

use std::borrow::Cow;
use std::sync::Arc;

use super::function::integer;
use super::meter::Meter;
use super::native::{Code, Fault, Scope, array_text, is_strictly, text_of, unit, units};
use super::value::{Value, is_space};

/// A method, of a text unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// Of arrays too.
    At,
    CharAt,
    CharCodeAt,
    /// Of arrays too.
    Concat,
    EndsWith,
    /// Of arrays too.
    Includes,
    /// Of arrays too.
    IndexOf,
    /// Of arrays.
    Join,
    LastIndexOf,
    PadEnd,
    PadStart,
    Repeat,
    Replace,
    ReplaceAll,
    /// Of arrays too.
    Slice,
    Split,
    StartsWith,
    Substr,
    Substring,
    /// Of numbers.
    ToFixed,
    ToLowerCase,
    /// Of texts, numbers, truths and arrays.
    ToString,
    ToUpperCase,
    Trim,
    TrimEnd,
    TrimStart,
}

impl Method {
    /// By its name, and with how many arguments at most.
    pub(crate) fn named(name: &str) -> Option<(Self, usize)> {
        Some(match name {
            "at" => (Self::At, 1),
            "charAt" => (Self::CharAt, 1),
            "charCodeAt" => (Self::CharCodeAt, 1),
            "concat" => (Self::Concat, usize::MAX),
            "endsWith" => (Self::EndsWith, 1),
            "includes" => (Self::Includes, 1),
            "indexOf" => (Self::IndexOf, 1),
            "join" => (Self::Join, 1),
            "lastIndexOf" => (Self::LastIndexOf, 1),
            "padEnd" => (Self::PadEnd, 2),
            "padStart" => (Self::PadStart, 2),
            "repeat" => (Self::Repeat, 1),
            "replace" => (Self::Replace, 2),
            "replaceAll" => (Self::ReplaceAll, 2),
            "slice" => (Self::Slice, 2),
            "split" => (Self::Split, 1),
            "startsWith" => (Self::StartsWith, 1),
            "substr" => (Self::Substr, 2),
            "substring" => (Self::Substring, 2),
            "toFixed" => (Self::ToFixed, 1),
            "toLowerCase" => (Self::ToLowerCase, 0),
            "toString" => (Self::ToString, 0),
            "toUpperCase" => (Self::ToUpperCase, 0),
            "trim" => (Self::Trim, 0),
            "trimEnd" => (Self::TrimEnd, 0),
            "trimStart" => (Self::TrimStart, 0),
            _ => return None,
        })
    }

    pub(crate) fn call(
        self,
        object: &Value,
        arguments: &[Code],
        scope: &mut Scope<'_>,
    ) -> Result<Value, Fault> {
        let arguments: Arguments =
            arguments.iter().map(|code| code.evaluate(scope)).collect::<Result<_, _>>()?;
        match object {
            Value::String(text) => self.of_text(text, &arguments, scope),
            Value::Array(items) => self.of_array(items, &arguments, scope),
            Value::Number(number) => match self {
                Self::ToString => Ok(Value::from(&*text_of(object, &mut scope.meter)?)),
                Self::ToFixed => to_fixed(*number, integer(arguments.first(), scope)?.unwrap_or(0.0)),
                _ => Err(Fault::Beyond),
            },
            Value::Bool(_) if self == Self::ToString => Ok(Value::from(&*text_of(object, &mut scope.meter)?)),
            _ => Err(Fault::Beyond),
        }
    }

    fn of_text(self, text: &Arc<str>, arguments: &[Value], scope: &mut Scope<'_>) -> Result<Value, Fault> {
        scope.meter.read(text.len())?;
        let first = arguments.first();
        Ok(match self {
            Self::At | Self::CharAt | Self::CharCodeAt => {
                let at = integer(first, scope)?.unwrap_or(0.0);
                return self.one_unit(text, at, &mut scope.meter);
            }
            Self::Concat => {
                let mut all = String::from(&**text);
                for argument in arguments {
                    let more = text_of(argument, &mut scope.meter)?;
                    scope.meter.make(all.len().saturating_add(more.len()))?;
                    all.push_str(&more);
                }
                Value::from(&*all)
            }
            Self::StartsWith => text.starts_with(&*argument_text(first, scope)?).into(),
            Self::EndsWith => text.ends_with(&*argument_text(first, scope)?).into(),
            Self::Includes => text.contains(&*argument_text(first, scope)?).into(),
            Self::IndexOf => {
                let at = text.find(&*argument_text(first, scope)?);
                place(text, at, &mut scope.meter)?
            }
            Self::LastIndexOf => {
                let at = text.rfind(&*argument_text(first, scope)?);
                place(text, at, &mut scope.meter)?
            }
            Self::PadEnd | Self::PadStart => return self.pad(text, arguments, scope),
            Self::Repeat => {
                let times = integer(first, scope)?.unwrap_or(0.0);
                // Too often is an error of the engine's.
                if !(0.0..1e9).contains(&times) {
                    return Err(Fault::Beyond);
                }
                scope.meter.make(text.len().saturating_mul(times as usize))?;
                Value::from(&*text.repeat(times as usize))
            }
            Self::Replace | Self::ReplaceAll => return self.replace(text, arguments, scope),
            Self::Slice | Self::Substr | Self::Substring => {
                let length = units(text, &mut scope.meter)?;
                let (from, to) = self.range(length, arguments, scope)?;
                return part(text, from, to, &mut scope.meter);
            }
            Self::Split => return split(text, arguments, scope),
            Self::ToLowerCase => cased(text, str::to_ascii_lowercase, str::to_lowercase, &mut scope.meter)?,
            Self::ToUpperCase => cased(text, str::to_ascii_uppercase, str::to_uppercase, &mut scope.meter)?,
            Self::ToString => Value::String(Arc::clone(text)),
            Self::Trim => Value::from(text.trim_matches(is_space)),
            Self::TrimEnd => Value::from(text.trim_end_matches(is_space)),
            Self::TrimStart => Value::from(text.trim_start_matches(is_space)),
            Self::Join | Self::ToFixed => return Err(Fault::Beyond),
        })
    }

    fn of_array(
        self,
        items: &Arc<[Value]>,
        arguments: &[Value],
        scope: &mut Scope<'_>,
    ) -> Result<Value, Fault> {
        scope.meter.read(size_of_val(&**items))?;
        let first = arguments.first();
        Ok(match self {
            Self::At => {
                let at = integer(first, scope)?.unwrap_or(0.0);
                let at = if at < 0.0 { items.len() as f64 + at } else { at };
                let item = if at < 0.0 { None } else { items.get(at as usize) };
                item.cloned().unwrap_or(Value::Undefined)
            }
            Self::Concat => {
                let mut all = items.to_vec();
                for argument in arguments {
                    match argument {
                        Value::Array(more) => all.extend(more.iter().cloned()),
                        one => all.push(one.clone()),
                    }
                    scope.meter.make(size_of_val(&*all))?;
                }
                Value::Array(all.into())
            }
            Self::Includes | Self::IndexOf => {
                let sought = first.unwrap_or(&Value::Undefined);
                let is_nan = |value: &Value| matches!(value, Value::Number(number) if number.is_nan());
                let mut found = None;
                for (index, item) in items.iter().enumerate() {
                    let is_it = is_strictly(item, sought, &mut scope.meter)?
                        || self == Self::Includes && is_nan(item) && is_nan(sought);
                    if is_it {
                        found = Some(index);
                        break;
                    }
                }
                match self {
                    Self::Includes => found.is_some().into(),
                    _ => found.map_or(-1.0, |index| index as f64).into(),
                }
            }
            Self::Join => {
                let between = match first {
                    None | Some(Value::Undefined) => Cow::Borrowed(","),
                    Some(between) => text_of(between, &mut scope.meter)?,
                };
                Value::from(&*array_text(items, &between, &mut scope.meter)?)
            }
            Self::Slice => {
                let (from, to) = self.range(items.len(), arguments, scope)?;
                scope.meter.make(size_of_val(&items[from..to]))?;
                Value::Array(items[from..to].into())
            }
            Self::ToString => Value::from(&*array_text(items, ",", &mut scope.meter)?),
            _ => return Err(Fault::Beyond),
        })
    }

    /// `at`, `charAt`, `charCodeAt` (22.1.3.1 to 22.1.3.3).
    fn one_unit(self, text: &str, at: f64, meter: &mut Meter) -> Result<Value, Fault> {
        let length = units(text, meter)? as f64;
        let at = if at < 0.0 && self == Self::At { length + at } else { at };
        let is_in = (0.0..length).contains(&at);
        Ok(match self {
            Self::CharCodeAt if !is_in => f64::NAN.into(),
            Self::CharCodeAt if text.is_ascii() => f64::from(text.as_bytes()[at as usize]).into(),
            Self::CharCodeAt => text.encode_utf16().nth(at as usize).map_or(f64::NAN, f64::from).into(),
            Self::At if !is_in => Value::Undefined,
            _ if !is_in => Value::from(""),
            _ => unit(text, at as usize, meter)?.map_or(Value::Undefined, |one| Value::from(&*one)),
        })
    }

    /// From where to where `slice`, `substring` and `substr` take (22.1.3.22, 22.1.3.25, B.2.2.1, 23.1.3.28).
    fn range(
        self,
        length: usize,
        arguments: &[Value],
        scope: &mut Scope<'_>,
    ) -> Result<(usize, usize), Fault> {
        let length = length as f64;
        let from = integer(arguments.first(), scope)?.unwrap_or(0.0);
        let to = integer(arguments.get(1), scope)?;
        let from_end = |at: f64| if at < 0.0 { (length + at).max(0.0) } else { at.min(length) };
        let (from, to) = match self {
            Self::Substring => {
                let (from, to) = (from.clamp(0.0, length), to.unwrap_or(length).clamp(0.0, length));
                (from.min(to), from.max(to))
            }
            Self::Substr => {
                let from = from_end(from);
                (from, (from + to.unwrap_or(length).max(0.0)).min(length))
            }
            _ => (from_end(from), from_end(to.unwrap_or(length))),
        };
        Ok((from as usize, to.max(from) as usize))
    }

    /// `padStart`, `padEnd` (22.1.3.17).
    fn pad(self, text: &Arc<str>, arguments: &[Value], scope: &mut Scope<'_>) -> Result<Value, Fault> {
        let length = integer(arguments.first(), scope)?.unwrap_or(0.0);
        let filler = match arguments.get(1) {
            None | Some(Value::Undefined) => Cow::Borrowed(" "),
            Some(filler) => text_of(filler, &mut scope.meter)?,
        };
        let missing = length - units(text, &mut scope.meter)? as f64;
        if missing <= 0.0 || filler.is_empty() {
            return Ok(Value::String(Arc::clone(text)));
        }
        // Half a pair at its end, or a length that is an error.
        if !filler.is_ascii() || missing > 1e9 {
            return Err(Fault::Beyond);
        }
        let missing = missing as usize;
        scope.meter.make(text.len().saturating_add(missing))?;
        let filler: String = filler.chars().cycle().take(missing).collect();
        Ok(match self {
            Self::PadStart => Value::from(&*(filler + text)),
            _ => Value::from(&*([text, &*filler].concat())),
        })
    }

    /// `replace`, `replaceAll` of a text by a text (22.1.3.19, 22.1.3.20).
    fn replace(self, text: &str, arguments: &[Value], scope: &mut Scope<'_>) -> Result<Value, Fault> {
        let sought = argument_text(arguments.first(), scope)?;
        let by = argument_text(arguments.get(1), scope)?;
        // `$&` and its like.
        if by.contains('$') {
            return Err(Fault::Beyond);
        }
        if self == Self::Replace {
            scope.meter.make(text.len().saturating_add(by.len()))?;
            return Ok(Value::from(&*text.replacen(&*sought, &by, 1)));
        }
        // Between the units of a pair, too.
        if sought.is_empty() && !text.is_ascii() {
            return Err(Fault::Beyond);
        }
        scope.meter.read(text.len())?;
        let times = text.matches(&*sought).count();
        scope.meter.make(text.len().saturating_add(times.saturating_mul(by.len())))?;
        Ok(Value::from(&*text.replace(&*sought, &by)))
    }
}

type Arguments = Vec<Value>;

/// `ToString` of an argument, or of none.
fn argument_text<'v>(argument: Option<&'v Value>, scope: &mut Scope<'_>) -> Result<Cow<'v, str>, Fault> {
    match argument {
        Some(argument) => text_of(argument, &mut scope.meter),
        None => Ok("undefined".into()),
    }
}

/// A byte as a place in UTF-16 units; -1 for none.
fn place(text: &str, at: Option<usize>, meter: &mut Meter) -> Result<Value, Fault> {
    Ok(at.map_or(Ok(-1.0), |at| units(&text[..at], meter).map(|units| units as f64))?.into())
}

/// From one UTF-16 unit to another: beyond us if that parts a pair.
fn part(text: &str, from: usize, to: usize, meter: &mut Meter) -> Result<Value, Fault> {
    meter.make(to - from)?;
    if text.is_ascii() {
        return Ok(Value::from(&text[from..to]));
    }
    let units: Vec<u16> = text.encode_utf16().skip(from).take(to - from).collect();
    String::from_utf16(&units).map(|part| Value::from(&*part)).map_err(|_| Fault::Beyond)
}

fn cased(
    text: &str,
    ascii: fn(&str) -> String,
    all: fn(&str) -> String,
    meter: &mut Meter,
) -> Result<Value, Fault> {
    // Some become three times as long.
    meter.make(text.len().saturating_mul(if text.is_ascii() { 1 } else { 3 }))?;
    Ok(Value::from(&*if text.is_ascii() { ascii(text) } else { all(text) }))
}

/// `split` by a text (22.1.3.23).
fn split(text: &Arc<str>, arguments: &[Value], scope: &mut Scope<'_>) -> Result<Value, Fault> {
    let between = match arguments.first() {
        None | Some(Value::Undefined) => return Ok(Value::Array([Value::String(Arc::clone(text))].into())),
        Some(between) => text_of(between, &mut scope.meter)?,
    };
    // Units, which may be halves of pairs.
    if between.is_empty() && !text.is_ascii() {
        return Err(Fault::Beyond);
    }
    let pieces = if between.is_empty() { text.len() } else { text.matches(&*between).count() + 1 };
    // A text of its own each, with its counts.
    scope.meter.make(text.len().saturating_add(pieces.saturating_mul(size_of::<Value>() + 32)))?;
    Ok(Value::Array(match &*between {
        "" => (0..text.len()).map(|at| Value::from(&text[at..=at])).collect(),
        between => text.split(between).map(Value::from).collect(),
    }))
}

/// `toFixed` (21.1.3.3): of two that are as near, the larger one.
fn to_fixed(number: f64, digits: f64) -> Result<Value, Fault> {
    // Other digits are an error, and larger numbers have an exponent.
    if !(0.0..=100.0).contains(&digits) || number.is_nan() || number.abs() >= 1e21 {
        return Err(Fault::Beyond);
    }
    let digits = digits as usize;
    let size = number.abs();
    // In between of two are those that end with a half of the last digit: with one binary digit more they are whole.
    let is_half = (size * 2f64.powi(digits as i32 + 1)).fract() == 0.0
        && format!("{size:.*}", digits + 1).ends_with('5');
    let text = format!("{:.*}", digits, if is_half { size.next_up() } else { size });
    let is_negative = number < 0.0;
    Ok(Value::from(&*if is_negative { format!("-{text}") } else { text }))
}
