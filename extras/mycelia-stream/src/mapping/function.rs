//! The global functions that are evaluated natively.

use super::native::{Code, Fault, Scope, number_of, power, text_of};
use super::value::{Value, decimal_prefix, radix_number, to_integer, to_u32, trim};

/// A global function, or one of `Math` or `Number`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Function {
    /// Of one number.
    One(fn(f64) -> f64),
    /// Of two.
    Two(fn(f64, f64) -> f64),
    /// Of one number, whether it is so.
    Is(fn(f64) -> bool),
    /// Of one value, whether it is a number, and so.
    IsNumber(fn(f64) -> bool),
    Max,
    Min,
    Number,
    String,
    Boolean,
    ParseInt,
    ParseFloat,
    IsArray,
}

impl Function {
    /// A function without an owner.
    pub(crate) fn global(name: &str) -> Option<Self> {
        Some(match name {
            "Number" => Self::Number,
            "String" => Self::String,
            "Boolean" => Self::Boolean,
            "parseInt" => Self::ParseInt,
            "parseFloat" => Self::ParseFloat,
            "isNaN" => Self::Is(f64::is_nan),
            "isFinite" => Self::Is(f64::is_finite),
            _ => return None,
        })
    }

    /// A function of one of the global objects.
    pub(crate) fn of(owner: &str, name: &str) -> Option<Self> {
        Some(match (owner, name) {
            ("Math", "abs") => Self::One(f64::abs),
            ("Math", "acos") => Self::One(f64::acos),
            ("Math", "asin") => Self::One(f64::asin),
            ("Math", "atan") => Self::One(f64::atan),
            ("Math", "atan2") => Self::Two(f64::atan2),
            ("Math", "cbrt") => Self::One(f64::cbrt),
            ("Math", "ceil") => Self::One(f64::ceil),
            ("Math", "cos") => Self::One(f64::cos),
            ("Math", "cosh") => Self::One(f64::cosh),
            ("Math", "exp") => Self::One(f64::exp),
            ("Math", "expm1") => Self::One(f64::exp_m1),
            ("Math", "floor") => Self::One(f64::floor),
            ("Math", "fround") => Self::One(|number| f64::from(number as f32)),
            ("Math", "log") => Self::One(f64::ln),
            ("Math", "log10") => Self::One(f64::log10),
            ("Math", "log1p") => Self::One(f64::ln_1p),
            ("Math", "log2") => Self::One(f64::log2),
            ("Math", "max") => Self::Max,
            ("Math", "min") => Self::Min,
            ("Math", "pow") => Self::Two(power),
            ("Math", "round") => Self::One(round),
            ("Math", "sign") => Self::One(|number| if number == 0.0 { number } else { number.signum() }),
            ("Math", "sin") => Self::One(f64::sin),
            ("Math", "sinh") => Self::One(f64::sinh),
            ("Math", "sqrt") => Self::One(f64::sqrt),
            ("Math", "tan") => Self::One(f64::tan),
            ("Math", "tanh") => Self::One(f64::tanh),
            ("Math", "trunc") => Self::One(f64::trunc),
            ("Number", "isFinite") => Self::IsNumber(f64::is_finite),
            ("Number", "isInteger") => Self::IsNumber(is_integer),
            ("Number", "isNaN") => Self::IsNumber(f64::is_nan),
            ("Number", "isSafeInteger") => {
                Self::IsNumber(|number| is_integer(number) && number.abs() <= MAX_SAFE_INTEGER)
            }
            ("Number", "parseFloat") => Self::ParseFloat,
            ("Number", "parseInt") => Self::ParseInt,
            ("Array", "isArray") => Self::IsArray,
            _ => return None,
        })
    }

    pub(crate) fn call(self, arguments: &[Code], scope: &mut Scope<'_>) -> Result<Value, Fault> {
        let mut arguments = arguments.iter();
        let mut next = |scope: &mut Scope<'_>| match arguments.next() {
            Some(code) => code.evaluate(scope).map(Some),
            None => Ok(None),
        };
        let first = next(scope)?;
        let value = match self {
            Self::One(function) => function(number(first, scope)?).into(),
            Self::Is(function) => function(number(first, scope)?).into(),
            Self::Two(function) => {
                let second = next(scope)?;
                function(number(first, scope)?, number(second, scope)?).into()
            }
            Self::IsNumber(function) => {
                matches!(first, Some(Value::Number(number)) if function(number)).into()
            }
            Self::Max | Self::Min => {
                let mut most = if matches!(self, Self::Max) { f64::NEG_INFINITY } else { f64::INFINITY };
                let mut argument = first;
                while let Some(value) = argument {
                    most =
                        if matches!(self, Self::Max) { max } else { min }(most, number(Some(value), scope)?);
                    argument = next(scope)?;
                }
                return Ok(most.into());
            }
            Self::Number => first.map_or(Ok(0.0), |value| number_of(&value, &mut scope.meter))?.into(),
            Self::String => match first {
                Some(Value::String(text)) => Value::String(text),
                Some(value) => Value::from(&*text_of(&value, &mut scope.meter)?),
                None => Value::from(""),
            },
            Self::Boolean => first.is_some_and(|value| value.truth()).into(),
            Self::ParseInt => {
                let radix = next(scope)?;
                let first = first.unwrap_or(Value::Undefined);
                let text = text_of(&first, &mut scope.meter)?;
                scope.meter.read(text.len())?;
                let radix = radix.map_or(Ok(0.0), |value| number_of(&value, &mut scope.meter))?;
                parse_int(&text, to_u32(radix) as i32).into()
            }
            Self::ParseFloat => {
                let first = first.unwrap_or(Value::Undefined);
                let text = text_of(&first, &mut scope.meter)?;
                scope.meter.read(text.len())?;
                decimal_prefix(trim(&text)).map_or(f64::NAN, |(number, _)| number).into()
            }
            Self::IsArray => matches!(first, Some(Value::Array(_))).into(),
        };
        // What else there is, is evaluated all the same: it may throw.
        while next(scope)?.is_some() {}
        Ok(value)
    }
}

/// A constant of a global object.
pub(crate) fn constant(owner: &str, name: &str) -> Option<f64> {
    use std::f64::consts;
    Some(match (owner, name) {
        ("Math", "E") => consts::E,
        ("Math", "LN10") => consts::LN_10,
        ("Math", "LN2") => consts::LN_2,
        ("Math", "LOG10E") => consts::LOG10_E,
        ("Math", "LOG2E") => consts::LOG2_E,
        ("Math", "PI") => consts::PI,
        ("Math", "SQRT1_2") => consts::FRAC_1_SQRT_2,
        ("Math", "SQRT2") => consts::SQRT_2,
        ("Number", "EPSILON") => f64::EPSILON,
        ("Number", "MAX_SAFE_INTEGER") => MAX_SAFE_INTEGER,
        ("Number", "MAX_VALUE") => f64::MAX,
        ("Number", "MIN_SAFE_INTEGER") => -MAX_SAFE_INTEGER,
        ("Number", "MIN_VALUE") => 5e-324,
        ("Number", "NEGATIVE_INFINITY") => f64::NEG_INFINITY,
        ("Number", "NaN") => f64::NAN,
        ("Number", "POSITIVE_INFINITY") => f64::INFINITY,
        _ => return None,
    })
}

const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;

fn number(value: Option<Value>, scope: &mut Scope<'_>) -> Result<f64, Fault> {
    value.map_or(Ok(f64::NAN), |value| number_of(&value, &mut scope.meter))
}

fn is_integer(number: f64) -> bool {
    number.is_finite() && number.fract() == 0.0
}

/// `Math.max` of two (21.3.2.24): NaN wins, and 0 is more than -0.
fn max(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == b {
        if a.is_sign_negative() { b } else { a }
    } else if a > b {
        a
    } else {
        b
    }
}

fn min(a: f64, b: f64) -> f64 {
    -max(-a, -b)
}

/// `Math.round` (21.3.2.28): halves go up, and what becomes 0 keeps its sign.
fn round(number: f64) -> f64 {
    let floor = number.floor();
    if number - floor >= 0.5 { (floor + 1.0).copysign(number) } else { floor }
}

/// `parseInt` (19.2.5).
fn parse_int(text: &str, radix: i32) -> f64 {
    let text = trim(text);
    let (is_negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let (radix, digits) = match (radix, hex) {
        (0 | 16, Some(digits)) => (16, digits),
        (0, None) => (10, digits),
        (2..=36, _) => (radix as u32, digits),
        _ => return f64::NAN,
    };
    let end = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
    let digits = &digits[..end];
    let number = match (digits, radix) {
        ("", _) => return f64::NAN,
        (_, 10) => digits.parse().unwrap_or(f64::NAN),
        _ => radix_number(digits, radix),
    };
    if is_negative { -number } else { number }
}

/// `ToIntegerOrInfinity` (7.1.5) of an argument, if there is one.
pub(super) fn integer(value: Option<&Value>, scope: &mut Scope<'_>) -> Result<Option<f64>, Fault> {
    match value {
        None | Some(Value::Undefined) => Ok(None),
        Some(value) => Ok(Some(to_integer(number_of(value, &mut scope.meter)?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_go_up() {
        for (number, rounded) in [
            (2.5, 3.0),
            (-2.5, -2.0),
            (0.499_999_999_999_999_94, 0.0),
            (4_503_599_627_370_497.0, 4_503_599_627_370_497.0),
        ] {
            assert_eq!(round(number), rounded);
        }
        assert!(
            round(-0.2).is_sign_negative()
                && round(-0.0).is_sign_negative()
                && round(-0.5).is_sign_negative()
        );
        assert!(round(f64::NAN).is_nan() && round(f64::NEG_INFINITY) == f64::NEG_INFINITY);
    }

    #[test]
    fn integers_are_read_from_the_front() {
        for (text, radix, number) in [
            ("42px", 10, 42.0),
            (" -0x1f", 0, -31.0),
            ("0x1f", 10, 0.0),
            ("z", 36, 35.0),
            ("101", 2, 5.0),
            ("123456789012345678901", 0, 123_456_789_012_345_680_000.0),
            ("1e3", 0, 1.0),
        ] {
            assert_eq!(parse_int(text, radix), number, "{text}");
        }
        for (text, radix) in [("", 0), ("px", 0), ("1", 1), ("1", 37), ("2", 2), ("0x", 16)] {
            assert!(parse_int(text, radix).is_nan(), "{text}");
        }
    }
}
