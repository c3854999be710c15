//! Every limit, hit.
#![cfg(feature = "quickjs")]

use std::time::{Duration, Instant};

use mycelia_stream::{
    Config, ConfigFault, EvaluationError, Evaluator, ExpressionFault, Limits, Node, Processor, Record, Value,
};

const LIMITS: Limits = Limits { time_ms: 100, memory_bytes: 16 << 20, stack_bytes: 256 << 10 };

fn evaluate(expression: &str, press: impl Into<Value>, limits: Limits) -> Result<Value, EvaluationError> {
    let mut evaluator = Evaluator::new(["press"], limits);
    let compiled = evaluator.compile(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
    let result = evaluator.evaluate_with(&compiled, [("press", press.into())]);
    // Whatever happened, it goes on.
    let next = evaluator.compile("(() => press + 1)()").unwrap();
    assert_eq!(evaluator.evaluate_with(&next, [("press", 1.0.into())]), Ok(2.0.into()), "after {expression}");
    result
}

#[test]
fn time() {
    let over = Err(EvaluationError::Time { milliseconds: 100 });
    for expression in [
        "(() => { for (;;); })()",
        "(() => { for (;;) try { for (;;); } catch {} })()",
        "(() => { try { for (;;); } finally { for (;;); } })()",
        "[1].map(function again() { return [1].map(() => { for (;;); }) })",
        "/^(a+)+$/.test('a'.repeat(40) + 'b')",
        "'a'.repeat(40).replace(/(a*)*$/, '') + /(a+)+b/.exec('a'.repeat(40))",
        "[...(function* () { for (;;) yield* [] })()]",
        "new Set(Array(4e9)).size",
        "({ get a() { for (;;); } })",
        "({ valueOf() { for (;;); } }) * 2",
        "JSON.stringify({ toJSON() { for (;;); } })",
        "(() => { let x = []; for (let i = 0; i < 34; i++) x = [x, x]; return x.flat(Infinity) })()",
        "Array(1000).fill(Array(1e6)).flat()",
        "Array.prototype.concat.apply([], Array(60000).fill(Array(1e6)))",
        // In a job, after the result.
        "(Promise.resolve().then(() => { for (;;); }), press)",
        "[3, 1, 2].sort(() => { for (;;); })",
        "({ *[Symbol.iterator]() { for (;;) yield 1 } }) && Array.from({ [Symbol.iterator]: () => ({ next: () => ({ done: false }) }) }, () => { for (;;); })",
    ] {
        let began = Instant::now();
        assert_eq!(evaluate(expression, 1.0, LIMITS), over, "{expression}");
        // Generous, for a machine that does other things too; without a limit it were forever.
        assert!(began.elapsed() < Duration::from_secs(5), "{expression}: {:?}", began.elapsed());
    }
    let least = Limits { time_ms: 1, ..LIMITS };
    assert_eq!(
        evaluate("(() => { for (;;); })()", 1.0, least),
        Err(EvaluationError::Time { milliseconds: 1 })
    );
}

/// What no clock is looked at in is kept short.
#[test]
fn long_walks() {
    for expression in [
        "Array(4e9).indexOf(1)",
        "Array(4e9).includes(1)",
        "Array(4e9).join()",
        "Array(4e9).reverse()",
        "Array(4e9).fill(1)",
        "Array(4e9).sort()",
        "Array(4e9).forEach(x => x)",
        "Array(4e9).shift()",
        "`${Array(4e9)}`",
        "[Array(4e9)].flat()",
        "[[Array(4e9)]] + ''",
        "[].concat(Array(4e9))",
        "[].concat({ length: 2 ** 53, [Symbol.isConcatSpreadable]: true })",
        "Array.prototype.indexOf.call({ length: 2 ** 53 }, 1)",
        "Array.prototype.lastIndexOf.call({ get length() { return 2 ** 53 } }, 1)",
        "Array.prototype.includes.call({ length: { valueOf: () => 2 ** 53 } }, 1)",
        "(() => { const a = [1]; a.length = 4e9; return a.indexOf(2) })()",
        "JSON.stringify(1, Array(4e9))",
        "[[Array(4e9)]].flat(2)",
        "[1].flatMap(() => Array(4e9))",
        "[].concat(new (class { get length() { return 2 ** 53 - 1 } get [Symbol.isConcatSpreadable]() { return true } })())",
        "[].indexOf.call(Array(100).fill().reduce(o => Object.create(o), { length: 9 }), 1)",
        "String.raw({ raw: { length: 4e9 } })",
        r"'\u0301\u0316'.repeat(2e5).normalize()",
        "(() => 'a'.repeat(2e6).indexOf(['a'.repeat(1e5) + 'b']))()",
        "String.prototype.lastIndexOf.call(['a'.repeat(2e6)], 'a'.repeat(1e5) + 'b')",
        "(() => 'ab'.repeat(2e6).indexOf('b'.repeat(1e6)))()",
        "(() => 'ab'.repeat(2e6).split('b'.repeat(1e6)))()",
        "Array(4e9).values().drop(4e9 - 1)",
        "new Set([1]).union(new Set([2]))",
        r"'\u0301\u0316'.repeat(2e5).localeCompare('x')",
        r"'x'.localeCompare('\u0301\u0316'.repeat(2e5))",
        "new RegExp('a|'.repeat(2e6))",
        "RegExp('a|'.repeat(2e6), 'u')",
        "/a/.constructor('a|'.repeat(2e6))",
        "/a/.compile('a|'.repeat(2e6))",
        "'a'.match('a|'.repeat(2e6))",
        "'a'.matchAll('a|'.repeat(2e6))",
        "'a'.search(['a|'.repeat(2e6)])",
        "new RegExp({ [Symbol.match]: true, source: 'a|'.repeat(2e6), flags: '' })",
        "'a'.match({ [Symbol.match]: undefined, toString: () => 'a|'.repeat(2e5) })",
        "'a'.search({ [Symbol.search]: null, toString: () => 'a|'.repeat(2e5) })",
        "/a/[Symbol.split].call({ constructor: undefined, flags: '', toString: () => 'a|'.repeat(2e5) }, 'x')",
        "/a/[Symbol.matchAll].call({ constructor: undefined, flags: '', toString: () => 'a|'.repeat(2e5) }, 'x')",
        "'ab'.repeat(2e6).indexOf({ [Symbol.match]: 1, toString: () => 'b'.repeat(1e6) })",
        "'ab'.repeat(2e6).split({ [Symbol.split]: undefined, toString: () => 'b'.repeat(1e6) })",
    ] {
        let began = Instant::now();
        assert!(matches!(evaluate(expression, 1.0, LIMITS), Err(EvaluationError::Thrown(_))), "{expression}");
        assert!(began.elapsed() < Duration::from_secs(5), "{expression}: {:?}", began.elapsed());
    }
}

#[test]
fn memory() {
    let over = Err(EvaluationError::Memory { bytes: 16 << 20 });
    for expression in [
        "(() => { const a = []; for (;;) a.push(a) })()",
        "(() => { let a = 'x'; for (;;) a += a })()",
        "Array.from({ length: 1e8 })",
        "[...Array(1e8)]",
        "new Uint8Array(1e9)",
        "Array(4e9)",
        "({ a: [Array(2 ** 31)] })",
        "Array(2 ** 31 - 1)",
        // Natively.
        "'x'.repeat(1e8)",
        "'x'.padStart(1e8)",
        "'x'.repeat(9e6) + 'x'.repeat(9e6)",
        "`${'x'.repeat(9e6)}${'x'.repeat(9e6)}`",
        "'x'.repeat(4e6).replaceAll('x', 'xxxxxxxxxxxxx')",
        "'x'.repeat(4e6).split('')",
        "[1, 2, 3].join('x'.repeat(6e6))",
    ] {
        // As long as it needs.
        let limits = Limits { time_ms: 60_000, ..LIMITS };
        assert_eq!(evaluate(expression, 1.0, limits), over, "{expression}");
    }
    // Where not even an error fits in.
    let result = evaluate("new Map(Array.from({ length: 1e6 }, (_, i) => [i, {}]))", 1.0, Limits::default());
    let told = result.unwrap_err().to_string();
    assert!(told.contains("no memory") || told.contains("more memory"), "{told}");
    // Of numbers, whose texts are longer than they are.
    let numbers: Value = serde_json::from_str(&format!("[{}1e20]", "1e20,".repeat(4000))).unwrap();
    let little = Limits { memory_bytes: 65_536, ..LIMITS };
    for expression in
        ["String(press).length", "press.join().length", "(press + '').length", "`${press}`.length"]
    {
        let over = Err(EvaluationError::Memory { bytes: 65_536 });
        let mut evaluator = Evaluator::new(["press"], little);
        let compiled = evaluator.compile(expression).unwrap();
        assert_eq!(evaluator.evaluate_with(&compiled, [("press", numbers.clone())]), over, "{expression}");
    }
    // A result that is small, and large as text: each of its parts counts.
    let shared = "(() => { let a = [1]; for (let i = 0; i < 40; i++) a = [a, a]; return a })()";
    let result = evaluate(shared, 1.0, LIMITS);
    assert!(
        matches!(result, Err(EvaluationError::Memory { .. } | EvaluationError::Time { .. })),
        "{result:?}"
    );
}

/// Objects that hold one another are not counted against those that come later, of this expression or of another.
#[test]
fn garbage() {
    for (memory_bytes, others) in [(65_536, 0), (131_072, 100), (1 << 20, 1000)] {
        let mut evaluator = Evaluator::new(["press"], Limits { memory_bytes, ..LIMITS });
        for other in 0..others {
            let text = format!("(() => {{ const a = {other}; return [{}] }})()", "a, ".repeat(100));
            evaluator.compile(&text).unwrap();
        }
        let cycle = evaluator
            .compile("(() => { const f = n => n > 0 ? n * f(n - 1) : 1; return f(press) })()")
            .unwrap();
        // It would not tell us.
        let silent = "(() => { try { const a = {}; a.a = a; a.b = [press].concat(Array(200).fill(press)); return 6 } catch { return 0 } })()";
        let silent = evaluator.compile(silent).unwrap();
        for _ in 0..6000 {
            assert_eq!(evaluator.evaluate_with(&silent, [("press", 3.into())]), Ok(6.into()));
        }
        let class = evaluator.compile("(() => { class A {} ; return new A() && { press } })()").unwrap();
        for _ in 0..30_000 {
            assert_eq!(evaluator.evaluate_with(&cycle, [("press", 3.into())]), Ok(6.into()));
        }
        for _ in 0..100 {
            assert!(evaluator.evaluate_with(&class, [("press", 3.into())]).is_ok());
        }
    }
}

/// Both evaluators have the same.
#[test]
fn the_depth_of_a_result() {
    let deep = |levels: usize| format!("{}press{}", "[".repeat(levels), "]".repeat(levels));
    for levels in [128, 129, 200] {
        let native = evaluate(&deep(levels), 1.0, LIMITS);
        let engine = evaluate(&format!("(() => {})()", deep(levels)), 1.0, LIMITS);
        assert_eq!(native, engine, "{levels}");
        assert_eq!(native.is_ok(), levels <= 128);
    }
}

#[test]
fn stack() {
    let over = Err(EvaluationError::Stack { bytes: 256 << 10 });
    for expression in [
        "(function f() { return f() })()",
        "(function f(n) { return [n].map(f) })(1)",
        "(() => { const f = () => f(); return f() })()",
    ] {
        assert_eq!(evaluate(expression, 1.0, LIMITS), over, "{expression}");
    }
}

#[test]
fn the_length_of_an_expression() {
    let mut evaluator = Evaluator::new(["press"], LIMITS);
    let long = |length: usize| format!("{}1", " ".repeat(length - 1));
    assert!(evaluator.compile(&long(65_536)).is_ok());
    let error = evaluator.compile(&long(65_537)).unwrap_err();
    assert_eq!(error.fault, ExpressionFault::TooLong { length: 65_537, longest: 65_536 });
}

/// The parser calls itself for each level, and so does whoever walks its tree.
#[test]
fn the_depth_of_an_expression() {
    let mut evaluator = Evaluator::new(["press"], LIMITS);
    for (open, middle, close) in [
        ("(", "1", ")"),
        ("[", "1", "]"),
        ("-", "1", ""),
        ("!", "1", ""),
        ("~", "press", ""),
        ("1+", "1", ""),
        ("", "1", "+1"),
        ("1?1:", "1", ""),
        ("1?", "1", ":1"),
        ("2**", "1", ""),
        ("press.a&&", "1", ""),
        ("{a:", "1", "}"),
        ("x=>", "1", ""),
        ("`${", "1", "}`"),
        ("f(", "1", ")"),
        ("new ", "f", ""),
        ("", "a", ".b"),
        ("", "a", "[0]"),
        ("", "a", "()"),
        ("", "a", "``"),
        ("a=", "1", ""),
        ("1,", "1", ""),
        ("typeof ", "1", ""),
        ("()=>{if(1)", "1", "}"),
        ("(function(){return ", "1", "})"),
        ("class extends ", "a", "{}"),
    ] {
        let times = 65_500 / (open.len() + close.len());
        let text = format!("{}{middle}{}", open.repeat(times), close.repeat(times));
        // Compiled or refused: nothing falls over. What is compiled can be evaluated.
        if let Ok(compiled) = evaluator.compile(&text) {
            let _ = evaluator.evaluate_with(&compiled, []);
        }
    }
}

fn config(mapping: impl IntoIterator<Item = (String, &'static str)>) -> Config {
    let mut config = Config { output_topic: "out".to_owned(), limits: LIMITS, ..Config::default() };
    config.model.name = "m".to_owned();
    config.model.version = "v1".to_owned();
    config.sources.insert("press".to_owned(), "in.press".to_owned());
    config.mapping = mapping.into_iter().map(|(path, text)| (path, Node::from(text))).collect();
    config
}

#[test]
fn the_number_of_mappings() {
    let many = |count: usize| config((0..count).map(|index| (format!("m{index}"), "press + 1")));
    assert!(Processor::new(&many(10_000)).is_ok());
    let error = Processor::new(&many(10_001)).err().unwrap();
    assert_eq!(error.fault(), &ConfigFault::TooManyMappings { mappings: 10_001, most: 10_000 });
}

#[test]
fn a_limit_is_an_error_of_its_mapping_only() {
    let mut config = config(
        [
            ("before", "press + 1"),
            ("endless", "(() => { for (;;) press; })()"),
            ("large", "(() => { const a = []; for (;;) a.push(press) })()"),
            ("deep", "(function f() { return f(press) })()"),
            ("after", "(() => press + 2)()"),
        ]
        .map(|(path, text)| (path.to_owned(), text)),
    );
    config.limits.time_ms = 1000;
    let mut processor = Processor::new(&config).unwrap();
    let outputs = processor.process(&[Record::new("in.press", r#"{"value":1,"timestamp_ms":2}"#)]);
    let payloads: Vec<_> = outputs.iter().map(|record| String::from_utf8_lossy(&record.payload)).collect();
    assert_eq!(payloads, [r#"{"value":2,"timestamp_ms":2}"#, r#"{"value":3,"timestamp_ms":2}"#]);
    let counters = processor.counters().snapshot();
    assert_eq!(
        (counters.javascript_errors, counters.messages_errored, counters.messages_processed),
        (3, 3, 1)
    );
}

#[test]
fn limits_have_limits() {
    for (limits, field) in [
        (Limits { time_ms: 0, ..LIMITS }, "time_ms"),
        (Limits { time_ms: u64::MAX, ..LIMITS }, "time_ms"),
        (Limits { memory_bytes: 1000, ..LIMITS }, "memory_bytes"),
        (Limits { stack_bytes: 1000, ..LIMITS }, "stack_bytes"),
        (Limits { stack_bytes: 1 << 30, ..LIMITS }, "stack_bytes"),
    ] {
        let error = Processor::new(&Config { limits, ..config([]) }).err().unwrap();
        assert_eq!(error.field(), ["limits", field]);
    }
}
