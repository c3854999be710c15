//! Without QuickJS, what is beyond the native subset is refused by name.
#![cfg(not(feature = "quickjs"))]

use mycelia_stream::{ConfigFault, EvaluationError, Evaluator, ExpressionFault, Limits, Processor, Value};

#[test]
fn the_subset_works_and_the_rest_is_refused() {
    let mut evaluator = Evaluator::new(["a"], Limits::default());
    let double = evaluator.compile("a * 2 + `${a}`.length").unwrap();
    assert_eq!(evaluator.evaluate_with(&double, [("a", 3.0.into())]), Ok(Value::Number(7.0)));
    for beyond in ["[a].map(x => x)", "new Date(a)", "JSON.stringify(a)"] {
        assert_eq!(evaluator.compile(beyond).unwrap_err().fault, ExpressionFault::NeedsEngine, "{beyond}");
    }
    let unknown = ExpressionFault::UnknownName { name: "nobody".to_owned() };
    assert_eq!(evaluator.compile("nobody / 2").unwrap_err().fault, unknown);
    // A rare case of what is in the subset.
    let half = evaluator.compile("a[0]").unwrap();
    assert_eq!(evaluator.evaluate_with(&half, [("a", "😀".into())]), Err(EvaluationError::NeedsEngine));
}

#[test]
fn the_configuration_says_which_mapping() {
    let text = "{ model: { name: m, version: v }, output_topic: o, sources: { a: in }, mapping: { x: { y: new Date(a) } } }";
    let error = Processor::from_text(text).err().unwrap();
    assert_eq!((error.field().join("."), error.position()), ("mapping.x.y".to_owned(), Some((1, 91))));
    assert!(
        matches!(error.fault(), ConfigFault::Expression(inner) if inner.fault == ExpressionFault::NeedsEngine)
    );
}
