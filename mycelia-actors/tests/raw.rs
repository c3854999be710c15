//! Raw routes and the fallback: the request as it came in.
#![cfg(not(mycelia_loom))]

mod subsystems;

use mycelia_actors::BodyFault;
use mycelia_actors::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use subsystems::accounted;

#[derive(Serialize, Deserialize)]
struct Get {
    id: u64,
}

struct Gateway;
impl Subsystem for Gateway {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Get>("users/{id}");
        routes.raw("files/{owner}/{*path}");
        routes.raw("upload");
        routes.fallback();
    }
}

impl Handler<Get> for Gateway {
    type Reply = u64;
    async fn handle(&mut self, get: Get, _: &mut Context<Self>) -> u64 {
        get.id
    }
}

/// Tells what it was given.
impl Handler<Request> for Gateway {
    type Reply = Value;
    async fn handle(&mut self, request: Request, cx: &mut Context<Self>) -> Value {
        let params: Vec<_> = request.params().collect();
        assert_eq!(request.params().len(), params.len());
        assert!(params.iter().all(|(name, value)| request.param(name) == Some(value)));
        let headers: Vec<_> = request.headers().collect();
        assert!(headers.iter().all(|(name, value)| request.header(&name.to_uppercase()) == Some(value)));
        let caller = request.caller().map(Principal::name);
        assert_eq!(caller, cx.metadata().as_ref().and_then(Metadata::caller).map(Principal::name));
        let body = match request.body() {
            RequestBody::Json(value) => json!({"json": value}),
            RequestBody::Raw(raw) => json!({"kind": raw.content_type, "bytes": raw.bytes.to_vec()}),
            RequestBody::None => Value::Null,
            _ => panic!("a new kind of body"),
        };
        json!({"path": request.path(), "params": params, "headers": headers, "caller": caller, "body": body})
    }
}

fn gateway() -> (Runtime, Address<Gateway>) {
    let runtime = Runtime::new();
    let address = runtime.spawn("gateway", Gateway).unwrap();
    (runtime, address)
}

#[tokio::test]
async fn a_raw_route_is_given_path_parameters_and_every_kind_of_body() {
    let (runtime, address) = gateway();
    let request = |params: Value, path: &str, body: Value| json!({"path": path, "params": params, "headers": [], "caller": null, "body": body});
    let params = json!([["owner", "a%20b"], ["path", "x/y.txt"]]);
    let file = "gateway://files/a%20b/x/y.txt";
    let ask = async |body: Value| runtime.ask::<Value, _>(file, body).await.unwrap();
    let path = "files/a%20b/x/y.txt";
    assert_eq!(runtime.ask::<Value, _>(file, ()).await.unwrap(), request(params.clone(), path, Value::Null));
    assert_eq!(ask(json!([1])).await, request(params.clone(), path, json!({"json": [1]})));
    assert_eq!(ask(Value::Null).await, request(params.clone(), path, Value::Null), "null is none");
    let bytes = RawBody::new("image/png", vec![0_u8, 255]);
    let seen: Value = runtime.ask(file, bytes).await.unwrap();
    assert_eq!(seen, request(params, path, json!({"kind": "image/png", "bytes": [0, 255]})));
    // Bytes that say they are JSON are not read, and need not be.
    let seen: Value = runtime.ask("gateway://upload", RawBody::json("[1,")).await.unwrap();
    assert_eq!(
        seen,
        request(json!([]), "upload", json!({"kind": "application/json", "bytes": [91, 49, 44]}))
    );
    accounted(&address);
}

#[tokio::test]
async fn the_fallback_takes_every_other_path_and_no_bad_one() {
    let (runtime, _) = gateway();
    for path in ["users", "users/7/8", "files", "files/x", "anything at all", "a/b/{c}", "日本"] {
        let seen: Value = runtime.ask(&format!("gateway://{path}"), json!(1)).await.unwrap();
        assert_eq!((&seen["path"], &seen["params"]), (&json!(path), &json!([["path", path]])));
    }
    assert_eq!(runtime.ask::<u64, _>("gateway://users/7", ()).await.unwrap(), 7);
    // A path that has a route does not fall through where its parameters do not fit.
    let error = runtime.ask::<Value, _>("gateway://users/x", ()).await.unwrap_err();
    assert!(error.to_string().ends_with("parameter `id` is `x`, which is no u64"));
    for path in ["", "/users", "users/", "a//b", "a/../b", "a\n", &"a/".repeat(40), &"x".repeat(3000)] {
        let error = runtime.tell(&format!("gateway://{path}"), json!(1)).unwrap_err();
        assert!(matches!(error.failure, PathFailure::BadPath(_)), "{error}");
    }
}

#[tokio::test]
async fn a_request_is_as_it_was_sent_but_for_letters_that_need_no_encoding() {
    let (runtime, _) = gateway();
    let seen: Value = runtime.ask("gateway://files/%61d%61/x%20%2e/%c3%a9", ()).await.unwrap();
    assert_eq!(seen["path"], "files/ada/x%20./%C3%A9");
    assert_eq!(seen["params"], json!([["owner", "ada"], ["path", "x%20./%C3%A9"]]));
    let seen: Value = runtime.ask("gateway://files/a%2fb/x", ()).await.unwrap();
    assert_eq!(seen["params"], json!([["owner", "a%2Fb"], ["path", "x"]]));
    assert_eq!(mycelia_actors::decode("owner", "a%2Fb").unwrap(), "a/b");
    let seen: Value = runtime.ask("gateway://%65lse/caf%C3%A9", ()).await.unwrap();
    assert_eq!(seen["params"], json!([["path", "else/caf%C3%A9"]]));
    // In the rest, and in what the fallback takes, a slash would pass for a separator.
    for path in ["files/ada/a%2Fb", "else/a%2Fb", "users%2F7", "users/7%2F/8"] {
        let error = runtime.tell(&format!("gateway://{path}"), ()).unwrap_err();
        assert!(matches!(error.failure, PathFailure::BadPath(_)), "{error}");
        assert!(error.to_string().contains("it has an encoded slash"), "{error}");
    }
}

#[tokio::test]
async fn headers_and_caller_come_with_the_message() {
    let (runtime, _) = gateway();
    let metadata = Metadata::new()
        .with_header("Accept", "text/plain")
        .unwrap()
        .with_header("x-shop", "7")
        .unwrap()
        .with_caller(Principal::new("ada", ["files:read"]).unwrap());
    let ask = metadata.in_scope(|| runtime.ask::<Value, _>("gateway://upload", ()));
    let seen = ask.await.unwrap();
    assert_eq!(seen["headers"], json!([["Accept", "text/plain"], ["x-shop", "7"]]));
    assert_eq!(seen["caller"], "ada");
    let seen: Value = runtime.ask("gateway://upload", ()).await.unwrap();
    assert_eq!((&seen["headers"], &seen["caller"]), (&json!([]), &Value::Null));
}

#[tokio::test]
async fn a_typed_body_is_refused_by_a_raw_route_and_comes_back() {
    let (runtime, address) = gateway();
    for path in ["gateway://upload", "gateway://files/a/b", "gateway://else"] {
        let error = runtime.tell(path, "text".to_owned()).unwrap_err();
        assert_eq!(error.body, "text");
        let expected = BodyFault::NotRaw { got: "alloc::string::String" };
        assert!(matches!(error.failure, PathFailure::Body { fault, .. } if fault == expected));
    }
    assert_eq!((address.stats().sent, runtime.path_stats().bad_body), (0, 3));
}

#[tokio::test]
async fn what_a_raw_route_takes_is_said_as_it_is() {
    let (runtime, _) = gateway();
    for (path, pattern) in [("gateway://upload", "upload"), ("gateway://files/a/b", "files/{owner}/{*path}")]
    {
        assert_eq!(
            runtime.tell(path, 7_u8).unwrap_err().failure.to_string(),
            format!(
                "route `{pattern}`: a raw route takes no body, a JSON value, or a `RawBody`; the body is a `u8`"
            )
        );
    }
}

/// Hands requests on.
struct Proxy;
impl Subsystem for Proxy {
    fn routes(routes: &mut Routes<Self>) {
        routes.fallback();
    }
}

impl Handler<Request> for Proxy {
    type Reply = Result<Value, String>;
    async fn handle(&mut self, request: Request, cx: &mut Context<Self>) -> Result<Value, String> {
        let path = format!("gateway://{}", request.path());
        let paths = cx.paths();
        let asked = match request.into_body() {
            RequestBody::Raw(raw) => paths.ask(&path, raw).await.map_err(|error| error.to_string()),
            RequestBody::Json(value) => paths.ask(&path, value).await.map_err(|error| error.to_string()),
            _ => paths.ask(&path, ()).await.map_err(|error| error.to_string()),
        };
        asked.map(|seen: Value| seen["body"].clone())
    }
}

#[tokio::test]
async fn a_request_can_be_handed_on_by_its_parts() {
    let (runtime, _) = gateway();
    runtime.spawn("proxy", Proxy).unwrap();
    let seen: Result<Value, String> = runtime.ask("proxy://upload", json!({"a": 1})).await.unwrap();
    assert_eq!(seen, Ok(json!({"json": {"a": 1}})));
    let seen: Result<Value, String> = runtime.ask("proxy://upload", RawBody::new("a/b", "c")).await.unwrap();
    assert_eq!(seen, Ok(json!({"kind": "a/b", "bytes": [99]})));
    let seen: Result<Value, String> = runtime.ask("proxy://a/b", ()).await.unwrap();
    assert_eq!(seen, Ok(Value::Null));
}

#[tokio::test]
async fn a_message_that_is_a_raw_body_moves() {
    struct Upload;
    impl Subsystem for Upload {
        fn routes(routes: &mut Routes<Self>) {
            routes.on::<RawBody>("upload");
        }
    }
    impl Handler<RawBody> for Upload {
        type Reply = usize;
        async fn handle(&mut self, body: RawBody, _: &mut Context<Self>) -> usize {
            body.bytes.len()
        }
    }
    let runtime = Runtime::new();
    runtime.spawn("upload", Upload).unwrap();
    let body = RawBody::new("text/plain", "seven");
    assert_eq!(runtime.ask::<usize, _>("upload://upload", body).await.unwrap(), 5);
}
