//! Limits of bodies, and what counts as JSON.
#![cfg(not(mycelia_loom))]

use mycelia_actors::prelude::*;
use mycelia_actors::{BodyFault, PathAskFailure};
use serde_json::{Value, json};

const MIB: usize = 1024 * 1024;

struct Sink;
impl Subsystem for Sink {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Value>("json");
        routes.on::<Blob>("blob");
        routes.raw("raw");
    }
}

impl Handler<Value> for Sink {
    type Reply = Value;
    async fn handle(&mut self, value: Value, _: &mut Context<Self>) -> Value {
        value
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Blob(Vec<u8>);

impl Handler<Blob> for Sink {
    type Reply = usize;
    async fn handle(&mut self, blob: Blob, _: &mut Context<Self>) -> usize {
        blob.0.len()
    }
}

impl Handler<Request> for Sink {
    type Reply = usize;
    async fn handle(&mut self, request: Request, _: &mut Context<Self>) -> usize {
        match request.body() {
            RequestBody::Raw(raw) => raw.bytes.len(),
            _ => 0,
        }
    }
}

fn sink() -> Runtime {
    let runtime = Runtime::new();
    runtime.spawn("sink", Sink).unwrap();
    runtime
}

fn small_sink(bytes: usize) -> Runtime {
    let runtime = Runtime::builder().max_body(bytes).build();
    runtime.spawn("sink", Sink).unwrap();
    runtime
}

/// What a body makes, or what is wrong with it. It comes back whole.
async fn read<B: Clone + PartialEq + Send + 'static>(runtime: &Runtime, body: B) -> Result<Value, BodyFault> {
    fault(runtime.ask("sink://json", body.clone()).await, &body)
}

async fn raw(runtime: &Runtime, body: RawBody) -> Result<usize, BodyFault> {
    fault(runtime.ask("sink://raw", body.clone()).await, &body)
}

fn fault<R, B: PartialEq>(outcome: Result<R, PathAskError<B>>, body: &B) -> Result<R, BodyFault> {
    outcome.map_err(|error| {
        assert!(error.body.as_ref() == Some(body), "it comes back");
        match error.failure {
            PathAskFailure::Path(PathFailure::Body { fault, .. }) => fault,
            other => panic!("{other}"),
        }
    })
}

/// A JSON text of so many bytes.
fn text(bytes: usize) -> RawBody {
    RawBody::json(format!("\"{}\"", "x".repeat(bytes - 2)))
}

#[tokio::test]
async fn a_body_of_one_mebibyte_is_read_and_one_byte_more_is_not() {
    let runtime = sink();
    assert!(read(&runtime, text(MIB)).await.is_ok());
    assert_eq!(read(&runtime, text(MIB + 1)).await, Err(BodyFault::TooLarge { max: MIB }));
    assert!(read(&runtime, Value::String("x".repeat(MIB - 2))).await.is_ok());
    let longer = Value::String("x".repeat(MIB - 1));
    assert_eq!(read(&runtime, longer).await, Err(BodyFault::TooLarge { max: MIB }));
    let bytes = |length| RawBody::new("application/octet-stream", vec![0_u8; length]);
    assert_eq!(raw(&runtime, bytes(MIB)).await, Ok(MIB));
    assert_eq!(raw(&runtime, bytes(MIB + 1)).await, Err(BodyFault::TooLarge { max: MIB }));
    assert_eq!(BodyFault::TooLarge { max: MIB }.to_string(), "the body is longer than 1048576 bytes");
}

#[tokio::test]
async fn the_limit_is_the_runtimes_and_a_typed_body_has_none() {
    let runtime = small_sink(100);
    assert!(read(&runtime, text(100)).await.is_ok());
    assert_eq!(read(&runtime, text(101)).await, Err(BodyFault::TooLarge { max: 100 }));
    assert_eq!(
        raw(&runtime, RawBody::new("text/plain", "x".repeat(101))).await,
        Err(BodyFault::TooLarge { max: 100 })
    );
    assert_eq!(runtime.ask::<usize, _>("sink://blob", Blob(vec![0; 1000])).await.unwrap(), 1000);
    let larger = Runtime::builder().max_body(2 * MIB).build();
    larger.spawn("sink", Sink).unwrap();
    assert!(read(&larger, text(2 * MIB)).await.is_ok());
    // Whitespace counts in text; in a value there is none.
    let spacious = RawBody::json(format!("[{}]", " ".repeat(99)));
    assert_eq!(read(&runtime, spacious).await, Err(BodyFault::TooLarge { max: 100 }));
}

#[tokio::test]
async fn everything_in_a_value_counts() {
    let runtime = small_sink(100);
    for value in [
        json!(["x".repeat(50), "x".repeat(50)]),
        json!({"x".repeat(100): 1}),
        json!([[], [[], []], {}, {"a": {"b": [1, 2, 3, 4, 5, 6, 7, 8, 9, null, true, false]}}, [[[[[[]]]]]], vec![0; 20]]),
        Value::Array(vec![Value::Null; 60]),
        Value::Object((0..30).map(|n| (n.to_string(), Value::Null)).collect()),
    ] {
        assert!(value.to_string().len() > 100, "{value}");
        assert_eq!(read(&runtime, value).await, Err(BodyFault::TooLarge { max: 100 }));
    }
}

#[tokio::test]
async fn the_text_of_a_value_counts() {
    let runtime = small_sink(100);
    for value in [json!([u64::MAX, u64::MAX, u64::MAX, u64::MAX, u64::MAX, u64::MAX]), json!("\0".repeat(90))]
    {
        assert!(value.to_string().len() > 100);
        let outcome = read(&runtime, value.clone()).await;
        assert_eq!(outcome, Err(BodyFault::TooLarge { max: 100 }), "{} bytes", value.to_string().len());
    }
}

#[tokio::test]
async fn a_text_within_the_limit_is_not_too_long() {
    for text in ["7", "[1]", "[1,2,3]", "[[1],[2]]", "{}", "[]", "\"\""] {
        let runtime = small_sink(text.len());
        let outcome = read(&runtime, RawBody::json(text)).await;
        assert!(outcome.is_ok(), "{text} of {} bytes: {outcome:?}", text.len());
    }
}

/// `depth` arrays in one another.
fn nested(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

fn nested_value(depth: usize) -> Value {
    (1..depth).fold(json!([]), |inside, _| Value::Array(vec![inside]))
}

#[tokio::test]
async fn bodies_are_nested_sixty_four_deep_and_no_deeper() {
    let runtime = sink();
    assert_eq!(read(&runtime, nested_value(64)).await.unwrap().to_string(), nested(64));
    assert!(read(&runtime, RawBody::json(nested(64))).await.is_ok());
    assert_eq!(read(&runtime, nested_value(65)).await, Err(BodyFault::TooDeep));
    assert_eq!(read(&runtime, RawBody::json(nested(65))).await, Err(BodyFault::TooDeep));
    assert_eq!(read(&runtime, RawBody::json(nested(127))).await, Err(BodyFault::TooDeep));
    let objects = |depth| (0..depth).fold(json!(null), |inside, _| json!({"a": inside}));
    assert!(read(&runtime, objects(64)).await.is_ok());
    assert_eq!(read(&runtime, objects(65)).await, Err(BodyFault::TooDeep));
    assert_eq!(BodyFault::TooDeep.to_string(), "the body is nested more than 64 deep");
    assert_eq!(read(&runtime, nested_value(500)).await, Err(BodyFault::TooDeep));
    // A raw route is given a value only within the limit, and bytes as they are.
    let value = nested_value(65);
    assert_eq!(
        fault(runtime.ask::<usize, _>("sink://raw", value.clone()).await, &value),
        Err(BodyFault::TooDeep)
    );
    assert_eq!(raw(&runtime, RawBody::json(nested(1000))).await, Ok(2000));
}

#[tokio::test]
async fn text_that_is_nested_much_too_deep_is_too_deep() {
    assert_eq!(read(&sink(), RawBody::json(nested(200))).await, Err(BodyFault::TooDeep));
}

#[tokio::test]
async fn json_is_what_says_so() {
    let runtime = sink();
    for kind in [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=\"utf-8\"",
        " application/json ; q=1",
        "application/problem+json",
        "application/vnd.api+JSON; ext=x",
        "image/x+json",
    ] {
        assert_eq!(read(&runtime, RawBody::new(kind, "[1]")).await, Ok(json!([1])), "{kind}");
    }
    for kind in [
        "",
        "text/plain",
        "text/json",
        "application/jsonp",
        "application/json+xml",
        "json",
        "application/x-json",
    ] {
        let fault = read(&runtime, RawBody::new(kind, "[1]")).await.unwrap_err();
        assert_eq!(fault, BodyFault::NotJson { content_type: kind.into() });
        assert_eq!(fault.to_string(), format!("the body is `{kind}`; this route takes JSON"));
    }
    // A kind of any length is not shown whole.
    let BodyFault::NotJson { content_type } =
        read(&runtime, RawBody::new("é".repeat(10_000), "[1]")).await.unwrap_err()
    else {
        panic!("another fault")
    };
    assert_eq!(content_type.chars().count(), 100);
}

#[tokio::test]
async fn what_is_no_json_is_an_error_with_the_place() {
    let runtime = sink();
    for (bytes, place) in [
        (&b""[..], "line 1 column 0"),
        (b" ", "line 1 column 1"),
        (b"[1,", "line 1 column 3"),
        (b"[1]\n]", "line 2 column 1"),
        (b"{'a': 1}", "line 1 column 2"),
        (b"NaN", "line 1 column 1"),
        (b"1e999", "line 1 column 5"),
        (b"\"\xff\"", "line 1 column"),
        (b"\"\\ud800\"", "line 1 column 8"),
        (b"\xef\xbb\xbf[1]", "line 1 column 1"),
    ] {
        let fault = read(&runtime, RawBody::json(bytes)).await.unwrap_err();
        assert!(matches!(fault, BodyFault::Unreadable(_)));
        let text = fault.to_string();
        assert!(text.starts_with("the body is no JSON: ") && text.contains(place), "{text}");
    }
    let error = runtime.tell("sink://json", RawBody::json("[1,")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`sink://json`: route `json`: the body is no JSON: EOF while parsing a value at line 1 column 3"
    );
    assert_eq!(runtime.path_stats().bad_body, 11);
}

#[tokio::test]
async fn of_two_fields_of_one_name_the_last_counts_in_text_as_in_serde_json() {
    let body = RawBody::json(r#"{"a": 1, "b": 2, "a": 3}"#);
    assert_eq!(read(&sink(), body).await, Ok(json!({"a": 3, "b": 2})));
}

#[tokio::test]
async fn bytes_are_shared_and_not_copied() {
    struct Keeper;
    impl Subsystem for Keeper {
        fn routes(routes: &mut Routes<Self>) {
            routes.raw("keep");
        }
    }
    impl Handler<Request> for Keeper {
        type Reply = usize;
        async fn handle(&mut self, request: Request, _: &mut Context<Self>) -> usize {
            let RequestBody::Raw(raw) = request.into_body() else { panic!("no bytes") };
            raw.bytes.as_ptr().addr()
        }
    }
    let runtime = Runtime::new();
    runtime.spawn("keeper", Keeper).unwrap();
    let body = RawBody::new("application/octet-stream", vec![1_u8; 1000]);
    let place = body.bytes.as_ptr().addr();
    assert_eq!(runtime.ask::<usize, _>("keeper://keep", body).await.unwrap(), place);
}
