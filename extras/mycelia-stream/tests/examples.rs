//! Cases with inputs and expected outputs: those of this crate (`cases.json`, same form), and those beside the specification, where
//! they are (`../shared/stream/examples.json` beside the project, or the file that `MYCELIA_STREAM_EXAMPLES` names).

#![cfg(feature = "quickjs")]

use std::path::PathBuf;

use mycelia_stream::{
    Config, CountersSnapshot, EvaluationError, Evaluator, Limits, Metadata, Processor, Record, Tree,
    UnsTopic, Value,
};
use serde::Deserialize;
use serde_json::Value as Json;

#[derive(Deserialize)]
struct Cases {
    flow: Vec<Flow>,
    static_detection: Vec<Detection>,
    js: Vec<Script>,
    security: Vec<Security>,
    syntax: Vec<Syntax>,
    config: Vec<Configured>,
    flatten: Vec<Flatten>,
    uns_topic: Vec<Topic>,
}

#[derive(Deserialize)]
struct Flow {
    name: String,
    config: Json,
    steps: Vec<Step>,
    gauges_after: Option<Gauges>,
}

#[derive(Deserialize)]
struct Step {
    r#in: Vec<Input>,
    out: Vec<Output>,
    counters: Option<serde_json::Map<String, Json>>,
}

#[derive(Deserialize)]
struct Input {
    topic: Option<String>,
    payload: String,
    #[serde(default)]
    metadata: serde_json::Map<String, Json>,
}

#[derive(Deserialize)]
struct Output {
    topic: String,
    payload: Option<Json>,
    raw: Option<String>,
    #[serde(default)]
    metadata: Option<serde_json::Map<String, Json>>,
    value_match: Option<Json>,
}

#[derive(Deserialize)]
struct Gauges {
    active_mappings: u64,
    active_variables: u64,
}

#[derive(Deserialize)]
struct Detection {
    sources: Vec<String>,
    expr: String,
    ok: bool,
    r#static: Option<bool>,
    deps: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Script {
    name: String,
    sources: Vec<String>,
    evals: Vec<Evaluation>,
}

#[derive(Deserialize)]
struct Evaluation {
    expr: String,
    vars: Option<serde_json::Map<String, Json>>,
    expect: Expected,
}

#[derive(Deserialize)]
struct Expected {
    value: Option<Json>,
    #[serde(default)]
    error: bool,
    kind: Option<String>,
    #[serde(default)]
    not_serialisable: bool,
}

#[derive(Deserialize)]
struct Security {
    expr: String,
    rejected: bool,
    value: Option<Json>,
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Syntax {
    expr: String,
    valid: bool,
}

#[derive(Deserialize)]
struct Configured {
    name: String,
    config: Json,
    valid: bool,
}

#[derive(Deserialize)]
struct Flatten {
    name: String,
    mapping: Json,
    flat: serde_json::Map<String, Json>,
}

#[derive(Deserialize)]
struct Topic {
    topic: String,
    valid: bool,
}

/// What the specification decides otherwise than the ancestor, and the examples have all the same: dependencies are looked for in
/// functions and behind `...` as well.
const OTHERWISE: [&str; 2] = ["() => press", "[...press]"];

/// Those of the specification are only there where its folder is.
fn all_cases() -> Vec<Cases> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/stream/examples.json");
    let examples = std::env::var_os("MYCELIA_STREAM_EXAMPLES").map_or(beside, PathBuf::from);
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cases.json");
    let mut files = vec![own];
    if examples.exists() {
        files.push(examples);
    } else {
        println!("no examples beside the project: only the crate's own");
    }
    files
        .iter()
        .map(|file| {
            let text = std::fs::read_to_string(file).unwrap();
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
        })
        .collect()
}

/// All that is wrong, not only the first.
fn check<C>(
    cases: impl IntoIterator<Item = C>,
    name: impl Fn(&C) -> String,
    check: impl Fn(&C) -> Result<(), String>,
) {
    let cases: Vec<C> = cases.into_iter().collect();
    assert!(!cases.is_empty());
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| check(case).err().map(|error| format!("{}: {error}", name(case))))
        .collect();
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// As the form says: numbers may differ by one part in 10^12.
fn alike(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
        }
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| alike(a, b)))
        }
        _ => a == b,
    }
}

fn pairs(map: &serde_json::Map<String, Json>) -> Metadata {
    map.iter().map(|(key, value)| (key.as_str(), value.as_str().unwrap())).collect()
}

fn flow(case: &Flow) -> Result<(), String> {
    let mut processor = Processor::from_text(&case.config.to_string()).map_err(|error| error.to_string())?;
    let counters = processor.counters();
    for (number, step) in case.steps.iter().enumerate() {
        let before = counters.snapshot();
        let records: Vec<Record> = step.r#in.iter().map(record).collect();
        let outputs = processor.process(&records);
        outputs_are(&outputs, &step.out).map_err(|error| format!("step {number}: {error}"))?;
        if let Some(expected) = &step.counters {
            counted(&before, &counters.snapshot(), expected)
                .map_err(|error| format!("step {number}: {error}"))?;
        }
    }
    if let Some(gauges) = &case.gauges_after {
        let now = counters.snapshot();
        let found = (now.active_mappings, now.active_variables);
        ensure(found == (gauges.active_mappings, gauges.active_variables), || format!("gauges: {found:?}"))?;
    }
    Ok(())
}

fn record(input: &Input) -> Record {
    let mut record = Record::new("", input.payload.clone());
    record.topic = input.topic.as_deref().map(Into::into);
    record.metadata = pairs(&input.metadata);
    record
}

/// The expected outputs are a set in which one may be twice; those of a later message come later.
fn outputs_are(outputs: &[Record], expected: &[Output]) -> Result<(), String> {
    ensure(outputs.len() == expected.len(), || format!("{} outputs: {outputs:?}", outputs.len()))?;
    let mut left: Vec<&Record> = outputs.iter().collect();
    for output in expected {
        let place = left.iter().position(|found| output_is(found, output));
        let place = place.ok_or_else(|| format!("{} is not among {left:?}", output.topic))?;
        left.remove(place);
    }
    Ok(())
}

fn output_is(found: &Record, expected: &Output) -> bool {
    let payload: Json = serde_json::from_slice(&found.payload).expect("outputs are JSON");
    if found.topic.as_deref() != Some(&*expected.topic) {
        return false;
    }
    if let Some(raw) = &expected.raw {
        // The ancestor escapes these, which means the same.
        let raw = raw.replace("\\u003c", "<").replace("\\u003e", ">").replace("\\u0026", "&");
        let number = payload["value"].is_number();
        if !number && found.payload != raw.as_bytes() {
            return false;
        }
    }
    let mut payload_due = expected.payload.clone().unwrap_or(Json::Null);
    if let Some(rule) = &expected.value_match {
        let least = rule["greater_than"].as_f64();
        let holds = match rule["type"].as_str() {
            Some("number") => {
                payload["value"].as_f64().is_some_and(|value| least.is_none_or(|least| value > least))
            }
            Some("string") => payload["value"].is_string(),
            _ => true,
        };
        if !holds {
            return false;
        }
        payload_due["value"] = payload["value"].clone();
    }
    if !alike(&payload, &payload_due) {
        return false;
    }
    expected.metadata.as_ref().is_none_or(|expected| {
        let mut found: Vec<_> = found.metadata.iter().collect();
        let mut expected: Vec<_> =
            expected.iter().map(|(key, value)| (key.as_str(), value.as_str().unwrap())).collect();
        found.sort_unstable();
        expected.sort_unstable();
        found == expected
    })
}

fn counted(
    before: &CountersSnapshot,
    after: &CountersSnapshot,
    expected: &serde_json::Map<String, Json>,
) -> Result<(), String> {
    let count = |snapshot: &CountersSnapshot, name: &str| {
        let snapshot = serde_json::to_value(snapshot).unwrap();
        snapshot[name].as_u64().or_else(|| snapshot[name]["count"].as_u64())
    };
    for name in [
        "messages_processed",
        "messages_errored",
        "messages_dropped",
        "javascript_errors",
        "outputs_generated",
        "invalid_data_type",
        "javascript_execution_time",
        "batch_processing_time",
        "message_processing_time",
    ] {
        let grown = count(after, name).unwrap() - count(before, name).unwrap();
        let due = expected.get(name).map_or(0, |due| due.as_u64().unwrap());
        ensure(grown == due, || format!("{name} grew by {grown}, not by {due}"))?;
    }
    Ok(())
}

#[test]
fn flows() {
    let cases = all_cases().into_iter().flat_map(|cases| cases.flow);
    check(cases, |case| case.name.clone(), flow);
}

#[test]
fn dependencies() {
    let cases = all_cases().into_iter().flat_map(|cases| cases.static_detection);
    let cases = cases.filter(|case| !OTHERWISE.contains(&&*case.expr) || !case.r#static.unwrap_or(false));
    check(
        cases,
        |case| case.expr.clone(),
        |case| {
            let mut evaluator = Evaluator::new(case.sources.iter().map(String::as_str), Limits::default());
            match evaluator.compile(&case.expr) {
                Err(error) => ensure(!case.ok, || error.to_string()),
                Ok(expression) => {
                    ensure(case.ok, || "it is accepted".to_owned())?;
                    let mut found: Vec<_> =
                        expression.dependencies().iter().map(|&index| case.sources[index].clone()).collect();
                    found.sort();
                    let mut due = case.deps.clone().unwrap_or_default();
                    due.sort();
                    ensure(found == due, || format!("depends on {found:?}"))?;
                    ensure(case.r#static == Some(expression.is_static()), || {
                        format!("static: {}", expression.is_static())
                    })
                }
            }
        },
    );
}

#[test]
fn scripts() {
    let cases = all_cases().into_iter().flat_map(|cases| cases.js);
    check(
        cases,
        |case| case.name.clone(),
        |case| {
            let mut evaluator = Evaluator::new(case.sources.iter().map(String::as_str), Limits::default());
            case.evals.iter().try_for_each(|evaluation| script(&mut evaluator, evaluation))
        },
    );
}

fn script(evaluator: &mut Evaluator, Evaluation { expr, vars, expect }: &Evaluation) -> Result<(), String> {
    let expression = match evaluator.compile(expr) {
        Ok(expression) => expression,
        Err(error) => {
            return ensure(expect.error && expect.kind.as_deref() == Some("syntax"), || error.to_string());
        }
    };
    let vars: Vec<(&str, Value)> = vars
        .iter()
        .flatten()
        .map(|(name, value)| (name.as_str(), serde_json::from_value(value.clone()).unwrap()))
        .collect();
    let result = evaluator.evaluate_with(&expression, vars);
    let told = format!("{expr}: {result:?}");
    match (result, expect) {
        (Ok(found), Expected { value: Some(due), .. }) => {
            ensure(alike(&serde_json::to_value(&found).unwrap(), due), || told)
        }
        (Err(EvaluationError::NotSerialisable(_)), Expected { not_serialisable: true, .. }) => Ok(()),
        (Err(error), Expected { error: true, kind, .. }) => {
            let is_due = match kind.as_deref() {
                Some("no_value") => matches!(error, EvaluationError::NoValue(_)),
                Some("unknown_variable") => matches!(error, EvaluationError::UnknownVariable(_)),
                Some("timeout") => matches!(error, EvaluationError::Time { .. }),
                Some("syntax") => false,
                _ => !error_is_of_result(&error),
            };
            ensure(is_due, || told)
        }
        _ => Err(told),
    }
}

fn error_is_of_result(error: &EvaluationError) -> bool {
    matches!(error, EvaluationError::NotSerialisable(_))
}

#[test]
fn sandbox() {
    let cases = all_cases().into_iter().flat_map(|cases| cases.security);
    check(
        cases,
        |case| case.expr.clone(),
        |case| {
            let mut evaluator = Evaluator::new(["press"], Limits::default());
            let compiled = evaluator.compile(&case.expr);
            let expression = match compiled {
                Ok(expression) => expression,
                Err(error) => return ensure(case.rejected, || error.to_string()),
            };
            let result = evaluator.evaluate_with(&expression, []);
            let told = format!("{result:?}");
            let not_serialisable = case
                .value
                .as_ref()
                .is_some_and(|value| value.get("not_serialisable") == Some(&Json::Bool(true)));
            match result {
                Err(EvaluationError::NotSerialisable(_)) => {
                    ensure(not_serialisable || case.rejected, || told)
                }
                Err(error) => {
                    ensure(case.rejected, || told)?;
                    let is_blocked = error.to_string().contains("disabled for security reasons");
                    ensure(is_blocked || case.reason.as_deref() != Some("disabled"), || error.to_string())
                }
                Ok(value) => {
                    ensure(!case.rejected && !not_serialisable, || told.clone())?;
                    let value = serde_json::to_value(&value).unwrap();
                    ensure(case.value.as_ref().is_none_or(|due| alike(&value, due)), || told)
                }
            }
        },
    );
}

#[test]
fn syntax() {
    let cases = all_cases().into_iter().flat_map(|cases| cases.syntax);
    check(
        cases,
        |case| case.expr.clone(),
        |case| {
            let compiled = Evaluator::new(["press"], Limits::default()).compile(&case.expr);
            ensure(compiled.is_ok() == case.valid, || format!("{compiled:?}"))
        },
    );
}

#[test]
fn configurations() {
    let cases = all_cases().into_iter().flat_map(|cases| cases.config);
    check(
        cases,
        |case| case.name.clone(),
        |case| {
            let made = Processor::from_text(&case.config.to_string());
            ensure(made.is_ok() == case.valid, || format!("{:?}", made.err()))?;
            // By any other format, too.
            let plain = serde_json::from_value::<Config>(case.config.clone());
            let made = plain.is_ok_and(|config| Processor::new(&config).is_ok());
            ensure(made == case.valid, || "plain serde is of another opinion".to_owned())
        },
    );
}

#[test]
fn trees() {
    let cases = all_cases().into_iter().flat_map(|cases| cases.flatten);
    check(
        cases,
        |case| case.name.clone(),
        |case| {
            let mapping: Tree =
                serde_json::from_value(case.mapping.clone()).map_err(|error| error.to_string())?;
            let mut config = Config { mapping, output_topic: "t".to_owned(), ..Config::default() };
            config.model.name = "m".to_owned();
            config.model.version = "v".to_owned();
            config.sources.insert("press".to_owned(), "t.press".to_owned());
            let processor = Processor::new(&config).map_err(|error| error.to_string())?;
            let found: Vec<(&str, &str)> =
                processor.mappings().map(|mapping| (mapping.path, mapping.expression)).collect();
            ensure(found.len() == case.flat.len(), || format!("{found:?}"))?;
            found.iter().try_for_each(|(path, expression)| {
                ensure(case.flat.get(*path).and_then(Json::as_str) == Some(expression), || {
                    format!("{path}: {expression}")
                })
            })
        },
    );
}

#[test]
fn topics() {
    let cases = all_cases().into_iter().flat_map(|cases| cases.uns_topic);
    check(
        cases,
        |case| case.topic.clone(),
        |case| {
            let parsed = case.topic.parse::<UnsTopic>();
            ensure(parsed.is_ok() == case.valid, || format!("{parsed:?}"))
        },
    );
}
