//! What is wrong with a configuration is told with its field, its line and its column.

use mycelia_stream::{Config, ConfigFault, ExpressionFault, Node, Processor};

/// A configuration whose line 6, and what follows, is this.
fn text(rest: &str) -> String {
    format!("mode: timeseries\nmodel:\n  name: pump\n  version: v1\noutput_topic: out\n{rest}")
}

fn told(text: &str) -> String {
    Processor::from_text(text).err().expect("it is refused").to_string()
}

#[test]
fn each_fault_is_told_with_its_place() {
    let sources = "sources:\n  press: in.press\n";
    for (text, expected) in [
        (
            "mode: other".to_owned(),
            "invalid configuration: mode (line 1, column 7): the mode `other` is not supported; `timeseries` is the only one",
        ),
        (
            "mode: ''".to_owned(),
            "invalid configuration: mode (line 1, column 7): the mode is missing; `timeseries` is the only one",
        ),
        (
            "mode: timeseries\n".to_owned(),
            "invalid configuration: output_topic (line 1, column 1): the output topic is missing",
        ),
        (
            "output_topic: a\nmodel:\n  version: v1\n".to_owned(),
            "invalid configuration: model.name (line 3, column 3): the name of the model is missing",
        ),
        (text(""), "invalid configuration: sources (line 1, column 1): at least one source is needed"),
        (
            text("sources:\n  a-b: in\n"),
            "invalid configuration: sources.a-b (line 7, column 3): an alias is an identifier of JavaScript: a letter, `_` or `$`, \
             then these and digits, and no reserved word",
        ),
        (
            text("sources: { ok: a, Math: in }\n"),
            "invalid configuration: sources.Math (line 6, column 19): an alias must not be the name of a built-in",
        ),
        (
            text(&format!("{sources}mapping:\n  a: press + 1\n  motor:\n    rpm: press +\n")),
            "invalid configuration: mapping.motor.rpm (line 11, column 17): failed to pre-compile expressions: syntax error: the \
             expression ends before it is complete",
        ),
        (
            text(&format!("{sources}mapping:\n  a: |\n    press +\n      * 2\n")),
            "invalid configuration: mapping.a (line 11, column 7): failed to pre-compile expressions: syntax error: Unexpected token",
        ),
        (
            text(&format!("{sources}mapping: {{ 'a b': '1' }}\n")),
            "invalid configuration: mapping.a b (line 8, column 12): failed to analyze mappings: a topic has no ' ' in it, but \
             letters, digits, `-` and `_`, and dots between segments",
        ),
        (
            text(&format!("{sources}limits: {{ time_ms: 0 }}\n")),
            "invalid configuration: limits.time_ms (line 8, column 20): the limit must be from 1 to 86400000",
        ),
        (
            text(&format!("{sources}mapping: {{ a: \"import('x')\" }}")),
            "invalid configuration: mapping.a (line 8, column 16): failed to pre-compile expressions: `import()` is not allowed",
        ),
    ] {
        assert_eq!(told(&text), expected, "{text}");
    }
}

#[test]
fn what_cannot_be_read_is_told_with_its_place() {
    for (text, field, position) in [
        ("mode: [timeseries]", "mode", (1, 7)),
        ("model: { name: a, version: b, color: c }", "model.color", (1, 31)),
        ("sorces: {}", "sorces", (1, 1)),
        ("mapping:\n  a:\n    - 1\n", "mapping.a", (3, 5)),
        ("mapping:\n  a: null\n", "mapping.a", (2, 6)),
        ("mapping: press", "mapping", (1, 10)),
        ("limits: { time_ms: soon }", "limits.time_ms", (1, 20)),
        ("sources:\n  a: b\n  a: c\n", "sources", (3, 3)),
        ("mode: 'timeseries", "", (1, 7)),
        ("{\"mode\": \"timeseries\",}}", "", (1, 24)),
    ] {
        let error = Config::parse(text).expect_err(text);
        assert!(matches!(error.fault(), ConfigFault::Format(_)), "{error}");
        assert_eq!((&*error.field().join("."), error.position()), (field, Some(position)), "{text}: {error}");
        assert!(!error.fault().to_string().contains(" line "), "{error}");
    }
}

/// What is JavaScript to the author is something else to YAML.
#[test]
fn expressions_that_want_quotes_are_told_so() {
    for (expression, problem) in [
        ("a ? 1 : 2", "`: ` cannot be here"),
        ("!a", "`!a` is a tag to YAML"),
        ("!a + 3", "`!a` is a tag to YAML"),
        ("`${a}`", "unexpected character"),
        ("\"t\" + a", "trailing content"),
        ("*a", "unknown value"),
        ("@a", "unexpected character"),
        ("> a", "block scalar"),
    ] {
        let error =
            Config::parse(&format!("mapping:\n  x: {expression}\n")).expect_err(expression).to_string();
        assert!(
            error.contains(problem) && error.ends_with("quote it ('…'), or write it below a |"),
            "{error}"
        );
    }
    for (text, problem) in [
        (
            "mapping:\n  x:\n  y: 1\n",
            "there is no expression here, and nothing that stands further to the right below",
        ),
        ("mapping: { x: [a] }", "a list is no expression (in YAML, an array is quoted: '[a, b]')"),
        ("mapping: [a]", "fields are expected, each `name: value`"),
        ("model: 3", "fields are expected, each `name: value`"),
        ("output_topic: {}", "a text is expected"),
        ("sources: { a: }", "a text is expected"),
        ("limits: { time_ms: -1 }", "a whole number is expected, such as 5000"),
    ] {
        let error = Config::parse(text).expect_err(text);
        assert_eq!(error.fault().to_string(), problem, "{text}");
    }
}

/// A mistake is told where it is in the text, if the text has that line as it is.
#[test]
fn mistakes_in_expressions_have_their_own_place() {
    let sources = "sources: { press: in.press }\n";
    for (mapping, line, column, rest) in [
        ("  a: press +* 2\n", 8, 13, "Unexpected token"),
        ("  a: 'press +* 2'\n", 8, 14, "Unexpected token"),
        ("  a: \"press +* 2\"\n", 8, 14, "Unexpected token"),
        ("  ä: 1\n", 8, 3, "'ä'"),
        ("  a: '\"ä\" +* 2'\n", 8, 12, "Unexpected token"),
        ("  a: |\n    press +\n      1 +*\n    2\n", 10, 10, "Unexpected token"),
        ("  a: |\n\n    press\n      +*\n    2\n", 11, 8, "Unexpected token"),
        ("  a: |-\n\n\n    press +* 2", 11, 12, "Unexpected token"),
        ("  a: return press\n", 8, 6, "called: `(() => { … })()`"),
        ("  a: const b = 1; b\n", 8, 19, "called: `(() => { … })()`"),
        ("  a: |\n\n    press +\n    * *\n    * *\n    * *\n", 11, 5, "Unexpected token"),
        ("  a: press + switch1 * * 2\n", 8, 24, "Unexpected token"),
        ("  a: do_x +* 2\n", 8, 12, "Unexpected token"),
        // Here it has not.
        ("  a: >\n    press +\n    +* 2\n", 9, 5, "Unexpected token (at 1:10 of it)"),
        ("  a: press\n    +* 2\n", 8, 6, "Unexpected token (at 1:8 of it)"),
        ("  a: \"press\\x20+* 2\"\n", 8, 6, "Unexpected token (at 1:8 of it)"),
    ] {
        let text = text(&format!("{sources}mapping:\n{mapping}"));
        let error = Processor::from_text(&text).err().expect(mapping);
        assert_eq!(error.position(), Some((line, column)), "{mapping}: {error}");
        assert!(
            error.to_string().contains(rest) && error.to_string().contains("(at") == rest.contains("(at"),
            "{error}"
        );
    }
}

#[test]
fn all_expressions_that_are_wrong_are_told() {
    let text = text("sources: { press: in.press }\nmapping: { a: press +, b: press, c: '' }\n");
    let error = Processor::from_text(&text).err().unwrap();
    let [other] = error.others() else { panic!("{:?}", error.others()) };
    assert_eq!((error.position(), other.position()), (Some((7, 22)), Some((7, 37))));
    assert_eq!((&*error.field().join("."), &*other.field().join(".")), ("mapping.a", "mapping.c"));
}

#[test]
fn a_comment_that_eats_joined_lines_is_a_warning() {
    for (mapping, is_warned) in [
        ("  a: >\n    press // half\n    / 2\n", true),
        ("  a: press // half\n    / 2\n", true),
        ("  a: |\n    press // half\n    / 2\n", false),
        ("  a: press // half\n", false),
        ("  a: >\n    press // half\n", false),
        ("  a: >\n    '//' +\n    press\n", false),
        ("  a: press\n    + 1 // add\n", false),
        ("  a: press // the press\n    + press\n", true),
        ("  a: 'press // it''s'\n", false),
        ("  a: &x press // one\n  b: *x\n", false),
    ] {
        let text = text(&format!("sources: {{ press: in.press }}\nmapping:\n{mapping}"));
        let processor = Processor::from_text(&text).unwrap();
        let warned: Vec<_> = processor.warnings().iter().map(|warning| warning.problem()).collect();
        let due = "YAML has joined its lines, and what follows `//` is a comment; | keeps lines";
        assert_eq!(warned, if is_warned { vec![due] } else { vec![] }, "{mapping}");
    }
}

#[test]
#[cfg(feature = "quickjs")]
fn warnings_have_a_place() {
    let text = text("sources: { press: in.press }\nmapping:\n  motor:\n    rpm: presss / 4\n  x: press\n");
    let processor = Processor::from_text(&text).unwrap();
    let [warning] = processor.warnings() else { panic!("{:?}", processor.warnings()) };
    assert_eq!(
        warning.to_string(),
        "mapping.motor.rpm (line 9, column 10): `presss` is neither a source nor a name that expressions have; did you mean `press`?"
    );
    assert_eq!((warning.position(), warning.field().len()), (Some((9, 10)), 3));
}

#[test]
fn json_is_read_too() {
    let text = "{\n\t\"model\": {\"name\": \"a\", \"version\": \"b\"},\n\t\"output_topic\": \"o\",\n\t\"sources\": {\"p\": \"\\u00fc\\/\\ud83d\\ude00\"},\n\t\"mapping\": {\"x\": \"p +\"}\n}";
    let config = Config::parse(text).unwrap();
    assert_eq!(config.sources["p"], "ü/😀");
    assert_eq!(config.mapping["x"], Node::from("p +"));
    let error = Processor::from_text(text).err().unwrap();
    assert_eq!((error.field().join("."), error.position()), ("mapping.x".to_owned(), Some((5, 23))));
    assert!(
        matches!(error.fault(), ConfigFault::Expression(inner) if inner.fault == ExpressionFault::Incomplete)
    );
    // And written, and read again, by any format.
    let written = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&written).unwrap(), config);
    assert_eq!(Config::parse(&written).unwrap(), config);
}

#[test]
fn texts_stay_texts() {
    let config =
        Config::parse("mapping: { a: on, b: yes, c: '42', d: 42, e: 0.5, f: true, g: ~x, h: \"\\u0041\" }")
            .unwrap();
    let found: Vec<_> = config.mapping.values().cloned().collect();
    assert_eq!(found, ["on", "yes", "42", "42", "0.5", "true", "~x", "A"].map(Node::from));
}

#[test]
fn a_large_configuration_is_read() {
    let mut text = text("sources:\n");
    for index in 0..1000 {
        text.push_str(&format!("  s{index}: in.{index}\n"));
    }
    text.push_str("mapping:\n");
    for index in 0..10_000 {
        text.push_str(&format!("  m{index}: s{} + {index}\n", index % 1000));
    }
    assert_eq!(Processor::from_text(&text).unwrap().mappings().count(), 10_000);
    text = text.replace("m9999: s999 +", "m9999: s999 ++");
    let error = Processor::from_text(&text).err().unwrap();
    assert_eq!((error.field().join("."), error.position()), ("mapping.m9999".to_owned(), Some((11_007, 18))));
}
