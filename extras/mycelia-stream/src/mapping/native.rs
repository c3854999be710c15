//! Expressions of the common subset, evaluated without an engine.
//!
//! A tree is walked; each step does what JavaScript does (ECMA-262, whose sections are named in `value.rs`), or says that it is
//! [beyond](Fault::Beyond) it: then the whole expression is evaluated anew by the engine. Nothing in the subset has effects, so this
//! cannot be seen from outside. `tests/agreement.rs` runs random expressions through both.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use oxc_syntax::operator::{BinaryOperator, LogicalOperator, UnaryOperator};

use super::function::Function;
use super::meter::{Exceeded, Meter};
use super::method::Method;
use super::names::is_inherited;
use super::value::{Value, compare, primitive_text, text_number, to_u32};

/// One expression.
#[derive(Debug)]
pub(crate) enum Code {
    Constant(Value),
    /// By the index of its alias.
    Variable(usize),
    Unary(UnaryOperator, Box<Code>),
    Binary(BinaryOperator, Box<[Code; 2]>),
    Logical(LogicalOperator, Box<[Code; 2]>),
    Conditional(Box<[Code; 3]>),
    /// The texts of all parts, one behind the other.
    Template(Box<[Code]>),
    Sequence(Box<[Code]>),
    Array(Box<[Code]>),
    Member {
        object: Box<Code>,
        key: Box<str>,
        is_optional: bool,
    },
    Index {
        object: Box<Code>,
        key: Box<Code>,
        is_optional: bool,
    },
    /// What is left out from here on where something optional is not there.
    Chain(Box<Code>),
    Call(Function, Box<[Code]>),
    Method {
        object: Box<Code>,
        method: Method,
        is_optional: bool,
        arguments: Box<[Code]>,
    },
}

/// Why there is no value.
#[derive(Debug)]
pub(crate) enum Fault {
    /// A TypeError.
    Thrown(Box<str>),
    /// The engine has to do it.
    Beyond,
    /// Something optional was not there: the chain is over.
    Short,
    /// A limit.
    Exceeded(Exceeded),
}

impl From<Exceeded> for Fault {
    fn from(exceeded: Exceeded) -> Self {
        Self::Exceeded(exceeded)
    }
}

/// What an evaluation has to do with.
pub(crate) struct Scope<'a> {
    /// The values of all aliases.
    pub(crate) values: &'a [Value],
    pub(crate) meter: Meter,
    /// Space for texts.
    pub(crate) text: &'a mut String,
}

type Evaluated = Result<Value, Fault>;

impl Code {
    pub(crate) fn evaluate(&self, scope: &mut Scope<'_>) -> Evaluated {
        match self {
            Self::Constant(value) => Ok(value.clone()),
            Self::Variable(index) => Ok(scope.values[*index].clone()),
            Self::Unary(operator, operand) => {
                let operand = operand.evaluate(scope)?;
                unary(*operator, &operand, &mut scope.meter)
            }
            Self::Binary(operator, operands) => {
                let [left, right] = &**operands;
                let left = left.evaluate(scope)?;
                let right = right.evaluate(scope)?;
                binary(*operator, left, right, &mut scope.meter)
            }
            Self::Logical(operator, operands) => {
                let [left, right] = &**operands;
                let left = left.evaluate(scope)?;
                let goes_on = match operator {
                    LogicalOperator::And => left.truth(),
                    LogicalOperator::Or => !left.truth(),
                    LogicalOperator::Coalesce => left.is_nullish(),
                };
                if goes_on { right.evaluate(scope) } else { Ok(left) }
            }
            Self::Conditional(parts) => {
                let [condition, yes, no] = &**parts;
                if condition.evaluate(scope)?.truth() { yes } else { no }.evaluate(scope)
            }
            Self::Template(parts) => template(parts, scope),
            Self::Sequence(codes) => codes.iter().try_fold(Value::Undefined, |_, code| code.evaluate(scope)),
            Self::Array(codes) => {
                scope.meter.make(codes.len() * size_of::<Value>())?;
                Ok(Value::Array(codes.iter().map(|code| code.evaluate(scope)).collect::<Result<_, _>>()?))
            }
            Self::Member { object, key, is_optional } => {
                let object = object.evaluate(scope)?;
                member(&object, key, *is_optional, &mut scope.meter)
            }
            Self::Index { object, key, is_optional } => {
                let object = object.evaluate(scope)?;
                if *is_optional && object.is_nullish() {
                    return Err(Fault::Short);
                }
                let key = key.evaluate(scope)?;
                index(&object, &key, &mut scope.meter)
            }
            Self::Chain(code) => match code.evaluate(scope) {
                Err(Fault::Short) => Ok(Value::Undefined),
                done => done,
            },
            Self::Call(function, arguments) => function.call(arguments, scope),
            Self::Method { object, method, is_optional, arguments } => {
                let object = object.evaluate(scope)?;
                if *is_optional && object.is_nullish() {
                    return Err(Fault::Short);
                }
                method.call(&object, arguments, scope)
            }
        }
    }
}

fn template(parts: &[Code], scope: &mut Scope<'_>) -> Evaluated {
    // A part may be a template too: it takes a text of its own then.
    let mut text = std::mem::take(scope.text);
    text.clear();
    let done = parts.iter().try_for_each(|part| match part {
        Code::Constant(Value::String(constant)) => {
            text.push_str(constant);
            Ok(scope.meter.make(constant.len())?)
        }
        _ => {
            let value = part.evaluate(scope)?;
            append(&mut text, &value, &mut scope.meter)
        }
    });
    let done = done.map(|()| Value::from(&*text));
    *scope.text = text;
    done
}

/// `ToString` (7.1.17), behind a text.
fn append(text: &mut String, value: &Value, meter: &mut Meter) -> Result<(), Fault> {
    if let Value::Number(number) = value {
        let mut buffer = ryu_js::Buffer::new();
        let digits = buffer.format(*number);
        meter.make(digits.len())?;
        text.push_str(digits);
    } else {
        let more = text_of(value, meter)?;
        meter.make(more.len())?;
        text.push_str(&more);
    }
    Ok(())
}

/// `ToString` (7.1.17).
pub(crate) fn text_of<'v>(value: &'v Value, meter: &mut Meter) -> Result<Cow<'v, str>, Fault> {
    match value {
        Value::Array(items) => array_text(items, ",", meter).map(Cow::Owned),
        // What these would do is another matter than what they are here: no functions.
        Value::Object(object) if object.contains_key("toString") || object.contains_key("valueOf") => {
            Err(Fault::Beyond)
        }
        Value::Object(_) => Ok("[object Object]".into()),
        _ => Ok(primitive_text(value).expect("it is primitive")),
    }
}

/// `Array.prototype.join` (23.1.3.18).
pub(crate) fn array_text(items: &[Value], between: &str, meter: &mut Meter) -> Result<String, Fault> {
    meter.make(items.len().saturating_mul(between.len()))?;
    let mut text = String::new();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            text.push_str(between);
        }
        if !item.is_nullish() {
            append(&mut text, item, meter)?;
        }
    }
    Ok(text)
}

/// `ToNumber` (7.1.4).
pub(crate) fn number_of(value: &Value, meter: &mut Meter) -> Result<f64, Fault> {
    Ok(match value {
        Value::Number(number) => *number,
        Value::Undefined => f64::NAN,
        Value::Null | Value::Bool(false) => 0.0,
        Value::Bool(true) => 1.0,
        Value::String(text) => {
            meter.read(text.len())?;
            text_number(text)
        }
        Value::Array(_) | Value::Object(_) => text_number(&text_of(value, meter)?),
    })
}

/// `ToPrimitive` (7.1.1) without a preference: arrays and objects become texts.
fn primitive(value: Value, meter: &mut Meter) -> Evaluated {
    match value {
        Value::Array(_) | Value::Object(_) => Ok(Value::String(text_of(&value, meter)?.into())),
        _ => Ok(value),
    }
}

fn unary(operator: UnaryOperator, operand: &Value, meter: &mut Meter) -> Evaluated {
    Ok(match operator {
        UnaryOperator::UnaryPlus => number_of(operand, meter)?.into(),
        UnaryOperator::UnaryNegation => (-number_of(operand, meter)?).into(),
        UnaryOperator::LogicalNot => (!operand.truth()).into(),
        UnaryOperator::BitwiseNot => f64::from(!to_u32(number_of(operand, meter)?) as i32).into(),
        UnaryOperator::Typeof => operand.type_of().into(),
        UnaryOperator::Void => Value::Undefined,
        UnaryOperator::Delete => return Err(Fault::Beyond),
    })
}

fn binary(operator: BinaryOperator, left: Value, right: Value, meter: &mut Meter) -> Evaluated {
    use BinaryOperator as Op;
    Ok(match operator {
        Op::Addition => return add(left, right, meter),
        Op::StrictEquality => is_strictly(&left, &right, meter)?.into(),
        Op::StrictInequality => (!is_strictly(&left, &right, meter)?).into(),
        Op::Equality => is_loosely(left, right, meter)?.into(),
        Op::Inequality => (!is_loosely(left, right, meter)?).into(),
        Op::LessThan => order(left, right, meter)?.is_some_and(Ordering::is_lt).into(),
        Op::GreaterThan => order(left, right, meter)?.is_some_and(Ordering::is_gt).into(),
        Op::LessEqualThan => order(left, right, meter)?.is_some_and(Ordering::is_le).into(),
        Op::GreaterEqualThan => order(left, right, meter)?.is_some_and(Ordering::is_ge).into(),
        Op::In | Op::Instanceof => return Err(Fault::Beyond),
        _ => arithmetic(operator, number_of(&left, meter)?, number_of(&right, meter)?)?.into(),
    })
}

fn arithmetic(operator: BinaryOperator, a: f64, b: f64) -> Result<f64, Fault> {
    use BinaryOperator as Op;
    let shift = || to_u32(b) & 31;
    Ok(match operator {
        Op::Subtraction => a - b,
        Op::Multiplication => a * b,
        Op::Division => a / b,
        Op::Remainder => a % b,
        Op::Exponential => power(a, b),
        Op::ShiftLeft => f64::from((to_u32(a) << shift()) as i32),
        Op::ShiftRight => f64::from((to_u32(a) as i32) >> shift()),
        Op::ShiftRightZeroFill => f64::from(to_u32(a) >> shift()),
        Op::BitwiseOR => f64::from((to_u32(a) | to_u32(b)) as i32),
        Op::BitwiseXOR => f64::from((to_u32(a) ^ to_u32(b)) as i32),
        Op::BitwiseAnd => f64::from((to_u32(a) & to_u32(b)) as i32),
        _ => return Err(Fault::Beyond),
    })
}

/// `+` (13.15.3): of two numbers their sum, with a text both texts.
fn add(left: Value, right: Value, meter: &mut Meter) -> Evaluated {
    if let (Value::Number(a), Value::Number(b)) = (&left, &right) {
        return Ok((a + b).into());
    }
    let (left, right) = (primitive(left, meter)?, primitive(right, meter)?);
    if !matches!(left, Value::String(_)) && !matches!(right, Value::String(_)) {
        return Ok((number_of(&left, meter)? + number_of(&right, meter)?).into());
    }
    let (a, b) = (text_of(&left, meter)?, text_of(&right, meter)?);
    meter.make(a.len() + b.len())?;
    Ok(Value::String(Arc::from([a, b].concat())))
}

/// `**` and `Math.pow` (6.1.6.1.3), which differ from C where C has 1.
pub(crate) fn power(base: f64, exponent: f64) -> f64 {
    if !exponent.is_finite() && base.abs() == 1.0 { f64::NAN } else { base.powf(exponent) }
}

/// `===` (7.2.15).
pub(crate) fn is_strictly(left: &Value, right: &Value, meter: &mut Meter) -> Result<bool, Fault> {
    Ok(match (left, right) {
        (Value::String(a), Value::String(b)) => {
            meter.read(a.len().min(b.len()))?;
            a == b
        }
        // The same, not alike.
        (Value::Array(a), Value::Array(b)) => Arc::ptr_eq(a, b),
        (Value::Object(a), Value::Object(b)) => Arc::ptr_eq(a, b),
        _ => left == right,
    })
}

/// `==` (7.2.14).
fn is_loosely(left: Value, right: Value, meter: &mut Meter) -> Result<bool, Fault> {
    use Value::{Array, Null, Object, String, Undefined};
    Ok(match (&left, &right) {
        (Undefined | Null, _) | (_, Undefined | Null) => left.is_nullish() && right.is_nullish(),
        (Array(_) | Object(_), Array(_) | Object(_)) | (String(_), String(_)) => {
            is_strictly(&left, &right, meter)?
        }
        (Array(_) | Object(_), _) | (_, Array(_) | Object(_)) => {
            let (left, right) = (primitive(left, meter)?, primitive(right, meter)?);
            is_loosely(left, right, meter)?
        }
        _ => number_of(&left, meter)? == number_of(&right, meter)?,
    })
}

/// What `<` and its like go by (7.2.13). With a NaN there is no order.
fn order(left: Value, right: Value, meter: &mut Meter) -> Result<Option<Ordering>, Fault> {
    let (left, right) = (primitive(left, meter)?, primitive(right, meter)?);
    if let (Value::String(a), Value::String(b)) = (&left, &right) {
        meter.read(a.len().min(b.len()))?;
        return Ok(Some(compare(a, b)));
    }
    Ok(number_of(&left, meter)?.partial_cmp(&number_of(&right, meter)?))
}

/// `object.key`.
fn member(object: &Value, key: &str, is_optional: bool, meter: &mut Meter) -> Evaluated {
    match object {
        Value::Undefined | Value::Null if is_optional => return Err(Fault::Short),
        Value::Undefined | Value::Null => {
            let what = if matches!(object, Value::Null) { "null" } else { "undefined" };
            return Err(Fault::Thrown(format!("cannot read property '{key}' of {what}").into()));
        }
        Value::Object(object) => {
            if let Some(value) = object.get(key) {
                return Ok(value.clone());
            }
        }
        Value::Array(items) if key == "length" => return Ok((items.len() as f64).into()),
        Value::String(text) if key == "length" => return Ok((units(text, meter)? as f64).into()),
        _ => {}
    }
    if is_inherited(key) { Err(Fault::Beyond) } else { Ok(Value::Undefined) }
}

/// `object[key]`.
fn index(object: &Value, key: &Value, meter: &mut Meter) -> Evaluated {
    if let Some(at) = whole(key) {
        match object {
            Value::Array(items) => return Ok(items.get(at).cloned().unwrap_or(Value::Undefined)),
            Value::String(text) => {
                return Ok(unit(text, at, meter)?.map_or(Value::Undefined, |one| Value::from(&*one)));
            }
            _ => {}
        }
    }
    let key = text_of(key, meter)?;
    // "0" of an array, and other numbers as texts.
    if !matches!(object, Value::Object(_)) && key.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(Fault::Beyond);
    }
    meter.read(key.len())?;
    member(object, &key, false, meter)
}

/// A number that can be a place in an array or in a text.
fn whole(key: &Value) -> Option<usize> {
    match key {
        Value::Number(number) if *number >= 0.0 && number.fract() == 0.0 && *number < f64::from(u32::MAX) => {
            Some(*number as usize)
        }
        _ => None,
    }
}

/// How many UTF-16 units a text has.
pub(crate) fn units(text: &str, meter: &mut Meter) -> Result<usize, Fault> {
    meter.read(text.len())?;
    Ok(if text.is_ascii() { text.len() } else { text.encode_utf16().count() })
}

/// The UTF-16 unit at a place, as a text: none behind the end, beyond us if it is half a pair.
pub(crate) fn unit<'t>(text: &'t str, at: usize, meter: &mut Meter) -> Result<Option<Cow<'t, str>>, Fault> {
    meter.read(text.len())?;
    if text.is_ascii() {
        return Ok(text.get(at..=at).map(Cow::Borrowed));
    }
    match text.encode_utf16().nth(at) {
        None => Ok(None),
        Some(unit) => {
            char::from_u32(u32::from(unit)).map(|one| Some(String::from(one).into())).ok_or(Fault::Beyond)
        }
    }
}
