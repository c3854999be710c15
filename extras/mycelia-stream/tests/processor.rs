//! What the processor does beside what the cases say.

#![cfg(feature = "quickjs")]

use std::time::Duration;

use mycelia_stream::{Config, Doubt, EvaluationError, Evaluator, Limits, Metadata, Node, Processor, Record};

fn config(sources: &[(&str, &str)], mapping: &[(&str, &str)]) -> Config {
    let mut config = Config { output_topic: "out".to_owned(), ..Config::default() };
    config.model.name = "m".to_owned();
    config.model.version = "v1".to_owned();
    config.sources = sources.iter().map(|&(alias, topic)| (alias.to_owned(), topic.to_owned())).collect();
    config.mapping = mapping.iter().map(|&(path, text)| (path.to_owned(), Node::from(text))).collect();
    config
}

fn record(topic: &str, value: &str) -> Record {
    Record::new(topic, format!("{{\"value\":{value},\"timestamp_ms\":1}}"))
}

fn values(outputs: &[Record]) -> Vec<(String, String)> {
    outputs
        .iter()
        .map(|record| {
            let payload: serde_json::Value = serde_json::from_slice(&record.payload).unwrap();
            let path = record.topic.as_deref().unwrap().strip_prefix("out._m_v1.").unwrap();
            (path.to_owned(), payload["value"].to_string())
        })
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|&(path, value)| (path.to_owned(), value.to_owned())).collect()
}

const AB: [(&str, &str); 2] = [("a", "in.a"), ("b", "in.b")];

#[test]
fn outputs_come_in_the_order_of_the_configuration_static_ones_first() {
    let mapping = [("z", "b + a"), ("y", "1"), ("x", "a"), ("w", "'s'"), ("v", "a + b"), ("u", "b")];
    let mut processor = Processor::new(&config(&AB, &mapping)).unwrap();
    let outputs = processor.process(&[record("in.b", "1"), record("in.a", "2"), record("in.b", "3")]);
    let expected = [
        ("y", "1"),
        ("w", "\"s\""),
        ("u", "1"), //
        ("y", "1"),
        ("w", "\"s\""),
        ("z", "3"),
        ("x", "2"),
        ("v", "3"), //
        ("y", "1"),
        ("w", "\"s\""),
        ("z", "5"),
        ("v", "5"),
        ("u", "3"),
    ];
    assert_eq!(values(&outputs), pairs(&expected));
}

#[test]
fn a_static_result_is_found_out_once_if_it_is_always_the_same() {
    let mapping = [
        ("fixed", "[1, 2].map(n => n * 2)"),
        ("clock", "Date.now()"),
        ("date", "new Date()"),
        ("called", "Date()"),
        ("chance", "Math.random()"),
        ("hidden", "this['Ma' + 'th']['ran' + 'dom']()"),
        ("far", "new Date(0).constructor.now()"),
        ("given", "new Date(86400000)"),
        ("native", "1 + 1"),
    ];
    let mut processor = Processor::new(&config(&AB, &mapping)).unwrap();
    let fixed: Vec<_> =
        processor.mappings().filter(|mapping| mapping.is_fixed).map(|mapping| mapping.path).collect();
    assert_eq!(fixed, ["fixed", "given", "native"]);
    let outputs = processor.process(&vec![record("in.a", "1"); 3]);
    let chances: std::collections::BTreeSet<_> =
        values(&outputs).into_iter().filter(|(path, _)| path == "chance").map(|(_, value)| value).collect();
    assert_eq!(chances.len(), 3);
}

#[test]
fn what_will_not_work_is_a_warning() {
    let mapping =
        [("bad", "presz + 1"), ("none", "null"), ("good", "1"), ("x.y", "1"), ("later", "press + other")];
    let sources = [("press", "in.a"), ("b", "in.b"), ("own", "out._m_v1.good"), ("B", "in.#")];
    let mut config = config(&sources, &mapping);
    let below = [("y".to_owned(), Node::from("2"))].into_iter().collect();
    config.mapping.insert("x".to_owned(), Node::Branch(below));
    let mut processor = Processor::new(&config).unwrap();
    let warned: Vec<_> = processor.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warned,
        [
            "mapping.x.y: there is another mapping of this path; this one is used, for it comes later",
            "mapping.bad: `presz` is neither a source nor a name that expressions have; did you mean `press`?",
            "mapping.none: it fails for every message: the result is null, which is no value",
            "mapping.later: `other` is neither a source nor a name that expressions have",
            "sources.b: no mapping uses it",
            "sources.own: no mapping uses it",
            "sources.own: the mapping `good` puts out this topic: outputs come back only if somebody sends them",
            "sources.B: no mapping uses it",
            "sources.B: topics are compared as they are: there are no wildcards",
        ]
    );
    // The later one of two is used; what fails is counted by mapping as well.
    assert_eq!(values(&processor.process(&[record("in.b", "1")])), pairs(&[("good", "1"), ("x.y", "2")]));
    let failures: Vec<_> = processor.mappings().map(|mapping| (mapping.path, mapping.failures)).collect();
    assert_eq!(failures, [("bad", 1), ("none", 1), ("good", 0), ("x.y", 0), ("later", 0)]);
    let told = processor.mappings().find_map(|mapping| mapping.last_error).unwrap().to_string();
    assert_eq!(told, "ReferenceError: presz is not defined");
}

#[test]
fn a_name_that_is_known_is_no_warning() {
    let expressions = [
        "process",
        "globalThis",
        "typeof require",
        "[Math, JSON, BigInt, Uint8Array, InternalError].length",
        "(function () { return arguments.length })()",
        "(x => x + 1)(1)",
        "(y = 1, y + 1)",
        "a.unknown",
        "({ q: 1 }).q",
        "(() => { var z = 1; return z })()",
        "typeof nothing === 'undefined' ? 1 : 2",
        "delete nothing && typeof (nothing)",
        "(() => { with ({ z: 1 }) return z + y })()",
        "(() => { try { a() } catch (e) { return e.name } })()",
    ];
    for expression in expressions {
        let expression = Evaluator::new(["a"], Limits::default()).compile(expression).unwrap();
        assert_eq!(expression.doubts(), [], "{expression:?}");
    }
    let mut evaluator = Evaluator::new(["a"], Limits::default());
    let unknown =
        |names: &[&str]| names.iter().map(|name| Doubt::UnknownName((*name).to_owned())).collect::<Vec<_>>();
    for (expression, doubts) in [
        ("`${b}` + (c => c + d)(() => e) + a.f", unknown(&["b", "d", "e"])),
        ("a = 5", vec![Doubt::Assignment("a".to_owned())]),
        ("a++ + f", vec![unknown(&["f"])[0].clone(), Doubt::Assignment("a".to_owned())]),
        ("(() => a)", vec![Doubt::Function]),
        ("(() => { a = 1 })()", vec![Doubt::Assignment("a".to_owned())]),
    ] {
        assert_eq!(evaluator.compile(expression).unwrap().doubts(), doubts, "{expression}");
    }
}

#[test]
fn many_outputs_come_in_parts() {
    let mapping = [("one", "a.repeat(300000)"), ("two", "'2'"), ("three", "a.repeat(300000)"), ("four", "b")];
    let batch: Vec<Record> = (0..5)
        .flat_map(|number| [record("in.a", &format!("\"{number}\"")), record("in.b", "1"), record("no", "1")])
        .collect();
    let mut whole = Processor::new(&config(&AB, &mapping)).unwrap();
    let expected = whole.process(&batch);
    assert_eq!(expected.len(), 5 * 3 + 5 * 2);

    let mut processor = Processor::new(&config(&AB, &mapping)).unwrap();
    let parts: Vec<Vec<Record>> = processor.parts(&batch).collect();
    let bytes = |part: &[Record]| part.iter().map(|record| record.payload.len()).sum::<usize>();
    let largest = 300_100;
    assert!(parts.len() > 2 && parts.iter().all(|part| !part.is_empty()), "{}", parts.len());
    assert!(parts.iter().all(|part| bytes(part) < (1 << 20) + largest));
    assert_eq!(parts.concat(), expected);
    // They are one batch, and each message is counted once.
    let (counted, expected) = (processor.counters().snapshot(), whole.counters().snapshot());
    assert_eq!(counted.counts(), expected.counts());
    assert_eq!((counted.message_processing_time.count, counted.batch_processing_time.count), (10, 1));
    assert_eq!(counted.javascript_execution_time.count, expected.javascript_execution_time.count);
    assert_eq!(counted.active_variables, 2);
    assert_eq!(processor.parts(&[record("no", "1")]).count(), 0);
}

/// Each record that was begun is one of the three, and no other is remembered.
#[test]
fn whoever_drops_parts_leaves_the_rest_alone() {
    let mapping =
        [("x", "a.repeat(600000)"), ("y", "a.repeat(600000)"), ("z", "[a, b].join()"), ("w", "b + b")];
    let mut processor = Processor::new(&config(&AB, &mapping)).unwrap();
    let batch =
        [record("in.b", "\"1\""), record("in.a", "\"2\""), record("in.b", "\"left\""), record("no", "1")];
    drop(processor.parts(&batch));
    assert_eq!(processor.counters().snapshot().batch_processing_time.count, 0);
    assert_eq!(processor.parts(&batch).next().unwrap().len(), 3);
    let counted = processor.counters().snapshot();
    let counts = [counted.messages_processed, counted.messages_dropped, counted.outputs_generated];
    assert_eq!((counts, counted.batch_processing_time.count, counted.active_variables), ([2, 0, 3], 1, 2));
    // What was made of it is not put out later, and the last value is not known.
    let outputs = processor.process(&[record("in.a", "\"\"")]);
    let short: Vec<_> = values(&outputs).into_iter().skip(2).collect();
    assert_eq!(short, pairs(&[("z", "\",1\"")]));

    // A part that ends with a record leaves the next one alone as well.
    let mapping = [("x", "a.repeat(1100000)"), ("z", "b + a")];
    let mut processor = Processor::new(&config(&AB, &mapping)).unwrap();
    processor.process(&[record("in.b", "\"1\"")]);
    let batch = [record("in.a", "\"2\""), record("in.b", "\"left\"")];
    assert_eq!(processor.parts(&batch).next().unwrap().len(), 1);
    assert_eq!(
        values(&processor.process(&[record("in.a", "\"3\"")]))[1],
        ("z".to_owned(), "\"13\"".to_owned())
    );
}

#[test]
fn another_configuration_keeps_the_values_of_sources_that_stay() {
    let mut processor = Processor::new(&config(&AB, &[("sum", "a + b")])).unwrap();
    processor.process(&[record("in.a", "1"), record("in.b", "2")]);

    let refused = processor.reconfigure(&config(&AB, &[("sum", "a +")])).unwrap_err();
    assert_eq!(refused.field(), ["mapping", "sum"]);
    assert_eq!(values(&processor.process(&[record("in.b", "3")])), pairs(&[("sum", "4")]));
    let counted = processor.counters().snapshot();
    assert_eq!((counted.active_mappings, counted.active_variables, counted.outputs_generated), (1, 2, 2));

    // `a` stays, `b` is another topic now, `c` is new.
    let next =
        config(&[("c", "in.c"), ("b", "in.other"), ("a", "in.a")], &[("two", "a + c"), ("b", "a + b")]);
    processor.reconfigure(&next).unwrap();
    let counted = processor.counters().snapshot();
    assert_eq!((counted.active_mappings, counted.active_variables, counted.outputs_generated), (2, 1, 2));
    let outputs = processor.process(&[record("in.b", "9"), record("in.c", "10"), record("in.other", "5")]);
    assert_eq!(values(&outputs), pairs(&[("two", "11"), ("b", "6")]));
    assert_eq!(processor.counters().snapshot().outputs_generated, 4);
}

#[test]
fn metadata_is_shared_not_changed() {
    let mut processor = Processor::new(&config(&AB, &[("x", "a")])).unwrap();
    let mut input = record("in.a", "1");
    input.metadata =
        [("k", "v"), ("umh_topic", "in.a"), ("umh_topic_of_old", "x")].into_iter().collect::<Metadata>();
    assert_eq!(input.metadata.iter().count(), 2, "the topic is the record's");
    let outputs = processor.process(std::slice::from_ref(&input));
    assert_eq!(outputs[0].metadata, input.metadata);
    assert_eq!(outputs[0].metadata.get("k"), Some("v"));
    assert_eq!(outputs[0].metadata.get("none"), None);
}

#[test]
fn an_expression_of_another_evaluator_is_refused() {
    let (mut one, mut other) =
        (Evaluator::new(["a"], Limits::default()), Evaluator::new(["a"], Limits::default()));
    let expression = one.compile("a + 1").unwrap();
    assert_eq!(other.evaluate_with(&expression, [("a", 1.0.into())]), Err(EvaluationError::AnotherEvaluator));
    assert_eq!(one.evaluate_with(&expression, [("a", 1.0.into())]), Ok(2.0.into()));
}

#[test]
fn an_engine_that_is_spoilt_is_replaced() {
    // Jobs of promises that never end stay behind in the engine.
    let mapping = [("endless", "((async () => { for (;;) await a })(), a)"), ("after", "(() => a + 1)()")];
    let mut config = config(&AB, &mapping);
    config.limits.time_ms = 50;
    let mut processor = Processor::new(&config).unwrap();
    for _ in 0..5 {
        assert_eq!(
            values(&processor.process(&[record("in.a", "1")])),
            pairs(&[("endless", "1"), ("after", "2")])
        );
    }
}

#[test]
fn batches_and_evaluations_are_counted_and_some_are_timed() {
    let mut processor = Processor::new(&config(&AB, &[("x", "a"), ("y", "1")])).unwrap();
    for _ in 0..130 {
        processor.process(&[record("in.a", "1")]);
    }
    processor.process(&[]);
    let counted = processor.counters().snapshot();
    let counts = [
        (&counted.batch_processing_time, 131, 3),
        (&counted.message_processing_time, 130, 3),
        (&counted.javascript_execution_time, 260, 6),
    ];
    for (timer, count, timed) in counts {
        assert_eq!((timer.count, timer.timed), (count, timed));
        assert!(timer.max_ns > 0 && Duration::from_nanos(timer.p50_ns) < Duration::from_secs(1));
    }
}

/// A source has its own list: what depends on others is not even looked at.
#[test]
fn the_number_of_mappings_does_not_matter_to_those_that_run() {
    let sources: Vec<(String, String)> =
        (0..1000).map(|index| (format!("s{index}"), format!("in.{index}"))).collect();
    let mut config = config(&[], &[]);
    config.sources = sources.into_iter().collect();
    config.mapping = (0..10_000)
        .map(|index| (format!("m{index}"), Node::Expression(format!("s{} + {index}", index % 1000))))
        .collect();
    let mut processor = Processor::new(&config).unwrap();
    let outputs = processor.process(&[record("in.7", "1")]);
    assert_eq!(outputs.len(), 10);
    assert_eq!(processor.counters().snapshot().javascript_execution_time.count, 10);
}
