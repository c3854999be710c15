//! The native evaluator and QuickJS agree: random expressions of the subset, over random values, evaluated by both. An expression inside
//! of a function that is called at once is not in the subset, so it goes to the engine.
#![cfg(feature = "quickjs")]

use std::cell::RefCell;

use mycelia_stream::{EvaluationError, Evaluator, Limits, Value};
use proptest::prelude::*;

thread_local! {
    /// An engine takes milliseconds to make.
    static EVALUATOR: RefCell<(Evaluator, u64)> = RefCell::new((new_evaluator(), 0));
}

fn new_evaluator() -> Evaluator {
    Evaluator::new(["a", "b", "c"], Limits::default())
}

/// The JSON of the result, or what became of it: natively, and by the engine.
fn both(expression: &str, values: &[(&str, Value)]) -> [String; 2] {
    [expression.to_owned(), format!("(() => ({expression}))()")].map(|text| {
        EVALUATOR.with_borrow_mut(|(evaluator, compiled_before)| {
            // It keeps all that it ever compiled.
            *compiled_before += 1;
            if *compiled_before % 2000 == 0 {
                *evaluator = new_evaluator();
            }
            let compiled = evaluator.compile(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            match evaluator.evaluate_with(&compiled, values.iter().cloned()) {
                Ok(value) => serde_json::to_string(&value).unwrap(),
                Err(EvaluationError::NotSerialisable(_)) => "not serialisable".to_owned(),
                Err(EvaluationError::NoValue(what)) => what.to_owned(),
                Err(EvaluationError::Thrown(_)) => "thrown".to_owned(),
                Err(other) => panic!("{text}: {other}"),
            }
        })
    })
}

#[test]
fn what_prototypes_have_is_left_to_the_engine() {
    let mut evaluator = Evaluator::new(["a"], Limits::default());
    let owners = ["Object", "Array", "String", "Number", "Boolean"];
    let listed = owners.map(|owner| format!("...Object.getOwnPropertyNames({owner}.prototype)")).join(",");
    let listed = evaluator.compile(&format!("[{listed}]")).unwrap();
    let Value::Array(names) = evaluator.evaluate_with(&listed, []).unwrap() else { panic!() };
    assert!(names.len() > 80, "{names:?}");
    let values = [
        serde_json::from_str("{}").unwrap(),
        serde_json::from_str("[7]").unwrap(),
        Value::from("x"),
        Value::from(1.0),
        Value::from(true),
    ];
    for name in names.iter() {
        let Value::String(name) = name else { panic!() };
        for value in &values {
            for expression in [format!("typeof a.{name}"), format!("typeof a[b + '{name}']")] {
                let [native, engine] = both(&expression, &[("a", value.clone()), ("b", Value::from(""))]);
                assert_eq!(native, engine, "{expression} of {value:?}");
            }
        }
    }
}

/// Names that the engine has are no slips of the finger.
#[test]
fn global_names_are_known() {
    let mut evaluator = Evaluator::new(["a"], Limits::default());
    let listed = evaluator.compile("Object.getOwnPropertyNames(this)").unwrap();
    let Value::Array(names) = evaluator.evaluate_with(&listed, []).unwrap() else { panic!() };
    assert!(names.len() > 80, "{names:?}");
    for name in names.iter() {
        let Value::String(name) = name else { panic!() };
        let expression = evaluator.compile(&format!("this[a] + this.{name}")).unwrap();
        assert_eq!(expression.doubts(), []);
        if ["import", "undefined"].contains(&&**name) {
            continue;
        }
        let expression = evaluator.compile(name).unwrap();
        assert_eq!(expression.doubts(), [], "{name}");
    }
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(0.0),
        Just(-0.0),
        Just(0.5),
        Just(-2.5),
        Just(1e21),
        Just(1e-7),
        Just(2_147_483_648.0),
        Just(-4_294_967_297.5),
        Just(9_007_199_254_740_993.0),
        Just(f64::MAX),
        (-20i32..20).prop_map(f64::from),
        (-1000i32..1000).prop_map(|hundredths| f64::from(hundredths) / 100.0),
        any::<f64>().prop_filter("JSON has finite numbers", |number| number.is_finite()),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just(" 12 ".to_owned()),
        Just("0x1f".to_owned()),
        Just("-1.5e3px".to_owned()),
        Just("Infinity".to_owned()),
        Just("😀é".to_owned()),
        Just("ßÅ\u{feff}".to_owned()),
        "[a-c]{0,4}",
        "[0-9.,-]{0,4}",
        "[aA-C ,é😀]{0,6}",
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => number().prop_map(Value::from),
        3 => text().prop_map(|text| Value::from(&*text)),
        1 => any::<bool>().prop_map(Value::from),
    ];
    let inner = prop_oneof![4 => leaf.clone(), 1 => Just(Value::Null)];
    inner.clone().prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| Value::Array(items.into())),
            prop::collection::vec(("[a-c]|length|toString|0", inner), 0..3).prop_map(|fields| {
                Value::Object(std::sync::Arc::new(
                    fields.into_iter().map(|(key, value)| (key.into_boxed_str(), value)).collect(),
                ))
            }),
        ]
    })
}

/// Texts of expressions in the subset.
fn expression() -> impl Strategy<Value = String> {
    let literal = prop_oneof![
        3 => Just("a".to_owned()),
        3 => Just("b".to_owned()),
        2 => Just("c".to_owned()),
        2 => number().prop_map(|number| format!("({number:e})")),
        2 => text().prop_map(|text| serde_json::to_string(&text).unwrap()),
        1 => prop::sample::select(vec!["true", "false", "null", "undefined", "NaN", "Infinity", "Math.PI", "[]", "Number.EPSILON"])
            .prop_map(str::to_owned),
    ];
    literal.prop_recursive(4, 24, 4, |inner| {
        let one = inner.clone();
        let two = (inner.clone(), inner.clone());
        let three = (inner.clone(), inner.clone(), inner.clone());
        let binary = prop::sample::select(vec![
            "+", "+", "+", "-", "*", "/", "%", "**", "==", "!=", "===", "!==", "<", ">", "<=", ">=", "&&",
            "||", "&", "|", "^", "<<", ">>", ">>>", ",",
        ]);
        let function = prop::sample::select(vec![
            "Math.abs",
            "Math.ceil",
            "Math.floor",
            "Math.round",
            "Math.trunc",
            "Math.sign",
            "Math.sqrt",
            "Math.cbrt",
            "Math.exp",
            "Math.log",
            "Math.log2",
            "Math.log10",
            "Math.log1p",
            "Math.expm1",
            "Math.sin",
            "Math.cos",
            "Math.tan",
            "Math.asin",
            "Math.acos",
            "Math.atan",
            "Math.sinh",
            "Math.cosh",
            "Math.tanh",
            "Math.fround",
            "Number",
            "String",
            "Boolean",
            "parseInt",
            "parseFloat",
            "isNaN",
            "isFinite",
            "Number.isInteger",
            "Number.isNaN",
            "Number.isFinite",
            "Number.isSafeInteger",
            "Array.isArray",
            "Math.max",
            "Math.min",
        ]);
        let function_of_two = prop::sample::select(vec![
            "Math.pow",
            "Math.atan2",
            "Math.max",
            "Math.min",
            "parseInt",
            "Number",
            "isNaN",
        ]);
        let method = prop::sample::select(vec![
            "at",
            "charAt",
            "charCodeAt",
            "concat",
            "endsWith",
            "includes",
            "indexOf",
            "join",
            "lastIndexOf",
            "padEnd",
            "padStart",
            "repeat",
            "slice",
            "split",
            "startsWith",
            "substr",
            "substring",
            "toFixed",
        ]);
        let method_of_none = prop::sample::select(vec![
            "toLowerCase",
            "toUpperCase",
            "toString",
            "trim",
            "trimEnd",
            "trimStart",
            "join",
            "slice",
            "charAt",
            "at",
        ]);
        let method_of_two = prop::sample::select(vec![
            "slice",
            "substr",
            "substring",
            "replace",
            "replaceAll",
            "concat",
            "padStart",
            "padEnd",
        ]);
        let key = prop::sample::select(vec!["length", "a", "b", "toString", "constructor"]);
        prop_oneof![
            6 => (binary, two.clone()).prop_map(|(operator, (a, b))| format!("(({a}) {operator} ({b}))")),
            1 => two.clone().prop_map(|(a, b)| format!("(({a}) ?? ({b}))")),
            2 => (prop::sample::select(vec!["-", "+", "!", "~", "typeof ", "void "]), one.clone())
                .prop_map(|(operator, a)| format!("({operator}({a}))")),
            2 => three.prop_map(|(a, b, c)| format!("(({a}) ? ({b}) : ({c}))")),
            2 => two.clone().prop_map(|(a, b)| format!("`${{{a}}}x${{{b}}}`")),
            1 => two.clone().prop_map(|(a, b)| format!("[{a}, {b}]")),
            2 => (function, one.clone()).prop_map(|(name, a)| format!("{name}({a})")),
            1 => (function_of_two, two.clone()).prop_map(|(name, (a, b))| format!("{name}({a}, {b})")),
            3 => (method, two.clone()).prop_map(|(name, (a, b))| format!("({a}).{name}({b})")),
            2 => (method_of_none, one.clone()).prop_map(|(name, a)| format!("({a}).{name}()")),
            1 => (method_of_two, (inner.clone(), inner.clone(), inner.clone()))
                .prop_map(|(name, (a, b, c))| format!("({a}).{name}({b}, {c})")),
            1 => (key.clone(), one.clone()).prop_map(|(key, a)| format!("({a}).{key}")),
            1 => (key, one).prop_map(|(key, a)| format!("({a})?.{key}?.{key}")),
            1 => two.prop_map(|(a, b)| format!("({a})[{b}]")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_come_to_the_same(expression in expression(), a in value(), b in value(), c in value()) {
        let values = [("a", a), ("b", b), ("c", c)];
        let values: Vec<_> = values.into_iter().filter(|(_, value)| *value != Value::Null).collect();
        let [native, engine] = both(&expression, &values);
        prop_assert_eq!(native, engine, "{}", expression);
    }
}
