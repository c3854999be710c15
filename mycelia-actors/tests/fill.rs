//! How parameters and JSON fill messages, and what is said where they do not.
#![cfg(not(mycelia_loom))]

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

use mycelia_actors::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Replies with its message, as `Debug` writes it.
struct Form;

impl<T: Debug + Send + 'static> Handler<T> for Form {
    type Reply = String;
    async fn handle(&mut self, message: T, _: &mut Context<Self>) -> String {
        format!("{message:?}")
    }
}

macro_rules! one_field {
    ($($name:ident: $type:ty,)*) => {$(
        #[derive(Debug, Serialize, Deserialize)]
        struct $name { n: $type }
    )*};
}

one_field! {
    AnI8: i8, AnI16: i16, AnI32: i32, AnI64: i64, AnI128: i128, AU8: u8, AU16: u16, AU32: u32, AU64: u64, AU128: u128,
    AnIsize: isize, AUsize: usize, AnF32: f32, AnF64: f64, ABool: bool, AChar: char, AText: String,
    AnOption: Option<u32>, ANewtype: Meters, AUnit: (), AList: Vec<u32>, AnEnum: Colour, Bytes: bytes::Bytes,
}

#[derive(Debug, Serialize, Deserialize)]
struct Meters(u32);

#[derive(Debug, Serialize, Deserialize)]
enum Colour {
    Red,
    #[serde(rename = "deep blue")]
    Blue,
    Grey(u8),
    Mixed {
        red: u8,
    },
}

#[derive(Debug, Serialize, Deserialize)]
struct Move(u32, i32);

#[derive(Debug, Serialize, Deserialize)]
struct Ping;

#[derive(Debug, Serialize, Deserialize)]
struct Outer {
    id: u32,
    name: String,
    at: Point,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(rename = "colour", default = "red")]
    paint: Colour,
    note: Option<String>,
}

fn red() -> Colour {
    Colour::Red
}

#[derive(Debug, Serialize, Deserialize)]
struct Point {
    x: f64,
    y: f64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Flat {
    id: u32,
    #[serde(flatten)]
    rest: HashMap<String, Value>,
}

#[derive(Debug, Serialize, Deserialize)]
struct FlatPoint {
    name: String,
    #[serde(flatten)]
    at: Point,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Strict {
    id: u32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Command {
    Start { name: String },
    StopNow,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(try_from = "u32")]
#[serde(into = "u32")]
#[derive(Clone)]
struct Even(u32);

impl TryFrom<u32> for Even {
    type Error = String;
    fn try_from(number: u32) -> Result<Self, String> {
        if number.is_multiple_of(2) { Ok(Self(number)) } else { Err(format!("{number} is odd")) }
    }
}

impl From<Even> for u32 {
    fn from(Even(number): Even) -> u32 {
        number
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Wrapped(Outer);

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Ordered {
    user_id: u32,
    #[serde(skip)]
    #[expect(dead_code, reason = "shown by `Debug`")]
    skipped: Option<u32>,
    #[serde(default, deserialize_with = "twice")]
    doubled: u32,
    last: Even,
}

fn twice<'de, D: serde::Deserializer<'de>>(number: D) -> Result<u32, D::Error> {
    u32::deserialize(number).map(|number| 2 * number)
}

#[derive(Debug, Serialize, Deserialize)]
struct Alias {
    #[serde(alias = "z")]
    a: u32,
    c: u32,
}

/// Reads fields by name, and from a sequence the other way round.
#[derive(Debug, Serialize)]
struct Place {
    lat: u32,
    lon: u32,
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: serde::Deserializer<'de>>(place: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Place;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a place")
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Place, A::Error> {
                let (lon, lat) = (seq.next_element()?.unwrap_or(0), seq.next_element()?.unwrap_or(0));
                Ok(Place { lat, lon })
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Place, A::Error> {
                let mut place = Place { lat: 0, lon: 0 };
                while let Some(name) = map.next_key::<String>()? {
                    *if name == "lat" { &mut place.lat } else { &mut place.lon } = map.next_value()?;
                }
                Ok(place)
            }
        }
        place.deserialize_struct("Place", &["lat", "lon"], Visitor)
    }
}

#[derive(Debug, Serialize)]
struct ByName(u32);

impl<'de> Deserialize<'de> for ByName {
    fn deserialize<D: serde::Deserializer<'de>>(by_name: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = ByName;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a name")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<ByName, A::Error> {
                let (_, number) = map.next_entry::<String, u32>()?.unwrap_or_default();
                Ok(ByName(number))
            }
        }
        by_name.deserialize_struct("ByName", &["n"], Visitor)
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Defaults {
    #[serde(default)]
    id: u32,
    name: Option<String>,
}

impl Subsystem for Form {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<AnI8>("i8/{n}");
        routes.on::<AnI16>("i16/{n}");
        routes.on::<AnI32>("i32/{n}");
        routes.on::<AnI64>("i64/{n}");
        routes.on::<AnI128>("i128/{n}");
        routes.on::<AnIsize>("isize/{n}");
        routes.on::<AU8>("u8/{n}");
        routes.on::<AU16>("u16/{n}");
        routes.on::<AU32>("u32/{n}");
        routes.on::<AU64>("u64/{n}");
        routes.on::<AU128>("u128/{n}");
        routes.on::<AUsize>("usize/{n}");
        routes.on::<AnF32>("f32/{n}");
        routes.on::<AnF64>("f64/{n}");
        routes.on::<ABool>("bool/{n}");
        routes.on::<AChar>("char/{n}");
        routes.on::<AText>("text/{n}");
        routes.on::<AText>("files/{*n}");
        routes.on::<AText>("reports/q{n}.pdf");
        routes.on::<Bytes>("bytes/{n}");
        routes.on::<AnOption>("option/{n}");
        routes.on::<AnOption>("option");
        routes.on::<ANewtype>("newtype/{n}");
        routes.on::<AUnit>("unit/{n}");
        routes.on::<AList>("list/{n}");
        routes.on::<AnEnum>("enum/{n}");

        routes.on::<Meters>("meters/{n}");
        routes.on::<Meters>("meters");
        routes.on::<Meters>("meters/{n}/{m}");
        routes.on::<u64>("number/{n}");
        routes.on::<String>("string/{n}");
        routes.on::<Colour>("colour/{n}");
        routes.on::<Colour>("colour");
        routes.on::<Even>("even/{n}");
        routes.on::<Move>("x/{x}/y/{y}");
        routes.on::<Move>("x/{x}");
        routes.on::<Move>("x/{x}/y/{y}/z/{z}");
        routes.on::<(u8, String, bool)>("three/{a}/{b}/{c}");
        routes.on::<Vec<String>>("vec/{a}/{b}/{c}");
        routes.on::<Ping>("ping");
        routes.on::<Ping>("ping/{whatever}");
        routes.on::<BTreeMap<String, String>>("map/{b}/{a}");
        routes.on::<BTreeMap<String, u8>>("numbers/{b}/{a}");
        routes.on::<BTreeMap<u8, u8>>("table");
        routes.on::<Option<Meters>>("perhaps");

        routes.on::<Outer>("outer");
        routes.on::<Outer>("outer/{id}");
        routes.on::<Outer>("outer/{id}/{name}");
        routes.on::<Wrapped>("wrapped/{id}");
        routes.on::<Flat>("flat/{id}");
        routes.on::<FlatPoint>("point/{name}");
        routes.on::<FlatPoint>("point/{name}/{x}");
        routes.on::<Strict>("strict/{id}");
        routes.on::<Strict>("strict/{id}/{more}");
        routes.on::<Command>("command");
        routes.on::<Command>("command/{kind}");
        routes.on::<Command>("command/{kind}/{name}");
        routes.on::<Defaults>("defaults");
        routes.on::<Ordered>("ordered/{userId}/{doubled}/{last}");
        routes.on::<Ordered>("mixed/{last}/{userId}/{doubled}");
        routes.on::<Ordered>("short/{userId}/{last}");
        routes.on::<Alias>("alias/{a}/{c}");
        routes.on::<Alias>("alias/{z}/x/{c}");
        routes.on::<Alias>("alias/{a}/{z}/{c}");
        routes.on::<Place>("place/{lat}/{lon}");
        routes.on::<ByName>("by_name/{n}");
    }
}

fn form() -> Runtime {
    let runtime = Runtime::new();
    runtime.spawn("form", Form).unwrap();
    runtime
}

/// What a path alone makes, or why it makes nothing (without the path, which is known).
async fn by_path(runtime: &Runtime, path: &str) -> Result<String, String> {
    let path = format!("form://{path}");
    let prefix = format!("`{path}` did not reply: ");
    runtime.ask(&path, ()).await.map_err(|error| error.to_string().replace(&prefix, ""))
}

/// The same with a body.
async fn with(runtime: &Runtime, path: &str, body: Value) -> Result<String, String> {
    let path = format!("form://{path}");
    let prefix = format!("`{path}` did not reply: ");
    let raw = RawBody::json(body.to_string());
    let from_raw = runtime.ask::<String, _>(&path, raw).await.map_err(|error| error.to_string());
    let from_value = runtime.ask(&path, body).await.map_err(|error| error.to_string());
    assert_eq!(from_raw, from_value, "a value, and its text");
    from_value.map_err(|error| error.replace(&prefix, ""))
}

#[track_caller]
fn made(outcome: Result<String, String>, expected: &str) {
    assert_eq!(outcome.as_deref(), Ok(expected));
}

#[track_caller]
fn failed(outcome: Result<String, String>, expected: &str) {
    assert_eq!(outcome.as_deref().map_err(String::as_str), Err(expected));
}

#[tokio::test]
async fn integers_of_every_width_fill_up_to_their_limits_and_not_beyond() {
    let runtime = form();
    for (kind, least, below, most, beyond) in [
        ("i8", "-128", "-129", "127", "128"),
        ("i16", "-32768", "-32769", "32767", "32768"),
        ("i32", "-2147483648", "-2147483649", "2147483647", "2147483648"),
        ("i64", "-9223372036854775808", "-9223372036854775809", "9223372036854775807", "9223372036854775808"),
        ("u8", "0", "-1", "255", "256"),
        ("u16", "0", "-1", "65535", "65536"),
        ("u32", "0", "-1", "4294967295", "4294967296"),
        ("u64", "0", "-1", "18446744073709551615", "18446744073709551616"),
        (
            "i128",
            "-170141183460469231731687303715884105728",
            "-170141183460469231731687303715884105729",
            "170141183460469231731687303715884105727",
            "170141183460469231731687303715884105728",
        ),
        (
            "u128",
            "0",
            "-1",
            "340282366920938463463374607431768211455",
            "340282366920938463463374607431768211456",
        ),
    ] {
        for good in [least, most] {
            let text = by_path(&runtime, &format!("{kind}/{good}")).await.unwrap();
            assert!(text.ends_with(&format!("{{ n: {good} }}")), "{text}");
        }
        for bad in [below, beyond, "x", "1.0", "1e3", "0x10", " 1", "1_000", "%78", "%2531", "١"] {
            failed(
                by_path(&runtime, &format!("{kind}/{bad}")).await,
                &format!("route `{kind}/{{n}}`: parameter `n` is `{bad}`, which is no {kind}"),
            );
        }
    }
    made(by_path(&runtime, "isize/-5").await, "AnIsize { n: -5 }");
    // `%35` is `5`, whatever it fills.
    made(by_path(&runtime, "isize/%2D%35").await, "AnIsize { n: -5 }");
    made(by_path(&runtime, "f64/%31.5").await, "AnF64 { n: 1.5 }");
    made(by_path(&runtime, "f32/1%2e5").await, "AnF32 { n: 1.5 }");
    made(by_path(&runtime, "bool/tru%65").await, "ABool { n: true }");
    made(by_path(&runtime, "usize/5").await, "AUsize { n: 5 }");
    // As `str::parse` has it.
    made(by_path(&runtime, "u8/007").await, "AU8 { n: 7 }");
    made(by_path(&runtime, "u8/+7").await, "AU8 { n: 7 }");
}

#[tokio::test]
async fn floats_and_bools_and_chars_are_read_as_rust_reads_them() {
    let runtime = form();
    made(by_path(&runtime, "f64/-1.5e300").await, "AnF64 { n: -1.5e300 }");
    made(by_path(&runtime, "f64/7").await, "AnF64 { n: 7.0 }");
    made(by_path(&runtime, "f32/0.1").await, "AnF32 { n: 0.1 }");
    failed(by_path(&runtime, "f64/1,5").await, "route `f64/{n}`: parameter `n` is `1,5`, which is no f64");
    made(by_path(&runtime, "bool/true").await, "ABool { n: true }");
    made(by_path(&runtime, "bool/false").await, "ABool { n: false }");
    for bad in ["1", "True", "yes"] {
        failed(
            by_path(&runtime, &format!("bool/{bad}")).await,
            &format!("route `bool/{{n}}`: parameter `n` is `{bad}`, which is no bool"),
        );
    }
    made(by_path(&runtime, "char/x").await, "AChar { n: 'x' }");
    made(by_path(&runtime, "char/é").await, "AChar { n: 'é' }");
    made(by_path(&runtime, "char/%C3%A9").await, "AChar { n: 'é' }");
    failed(
        by_path(&runtime, "char/xy").await,
        "route `char/{n}`: parameter `n` is `xy`: invalid value: string \"xy\", expected a character",
    );
}

#[tokio::test]
async fn a_float_in_a_path_is_a_number() {
    let runtime = form();
    for bad in ["NaN", "nan", "inf", "-infinity", "1e999"] {
        let outcome = by_path(&runtime, &format!("f64/{bad}")).await;
        assert!(outcome.is_err(), "{bad} makes {outcome:?}");
    }
}

#[tokio::test]
async fn text_is_percent_decoded_and_must_be_utf_8_then() {
    let runtime = form();
    made(by_path(&runtime, "text/plain").await, "AText { n: \"plain\" }");
    made(by_path(&runtime, "text/a%20b%2Fc").await, "AText { n: \"a b/c\" }");
    made(by_path(&runtime, "text/caf%C3%A9").await, "AText { n: \"café\" }");
    made(by_path(&runtime, "text/日本").await, "AText { n: \"日本\" }");
    made(by_path(&runtime, "text/%25").await, "AText { n: \"%\" }");
    made(by_path(&runtime, "text/+").await, "AText { n: \"+\" }");
    // Once.
    made(by_path(&runtime, "text/%252e%252E").await, "AText { n: \"%2e%2E\" }");
    for bad in [
        "text/100%",
        "text/%zz+",
        "text/%2e%2E",
        "text/%2e",
        "text/%00",
        "files/a%2Fb",
        "files/x/%2e%2e/admin",
    ] {
        let error = runtime.ask::<String, _>(&format!("form://{bad}"), ()).await.unwrap_err();
        assert!(matches!(error.failure, PathAskFailure::Path(PathFailure::BadPath(_))), "{error}");
    }
    made(by_path(&runtime, "files/a/b%20c/d").await, "AText { n: \"a/b c/d\" }");
    made(by_path(&runtime, "reports/q3.pdf").await, "AText { n: \"3\" }");
    made(by_path(&runtime, "bytes/%41b").await, "Bytes { n: b\"Ab\" }");
    for (bad, at) in [("%ff", 5), ("a%C3", 6), ("%C3%28", 5)] {
        failed(
            by_path(&runtime, &format!("text/{bad}")).await,
            &format!("it is not UTF-8 when it is percent-decoded, from byte {at} on"),
        );
    }
}

#[tokio::test]
async fn options_newtypes_and_enums_take_what_is_in_them() {
    let runtime = form();
    made(by_path(&runtime, "option/7").await, "AnOption { n: Some(7) }");
    made(by_path(&runtime, "option").await, "AnOption { n: None }");
    made(with(&runtime, "option", json!({})).await, "AnOption { n: None }");
    made(with(&runtime, "option", json!({"n": null})).await, "AnOption { n: None }");
    failed(by_path(&runtime, "option/x").await, "route `option/{n}`: parameter `n` is `x`, which is no u32");
    made(by_path(&runtime, "newtype/7").await, "ANewtype { n: Meters(7) }");
    made(by_path(&runtime, "enum/Red").await, "AnEnum { n: Red }");
    made(by_path(&runtime, "enum/deep%20blue").await, "AnEnum { n: Blue }");
    failed(
        by_path(&runtime, "enum/red").await,
        "route `enum/{n}`: parameter `n` is `red`: unknown variant `red`, expected one of `Red`, `deep blue`, `Grey`, `Mixed`",
    );
    failed(
        by_path(&runtime, "enum/Grey").await,
        "route `enum/{n}`: parameter `n` is `Grey`: invalid type: unit variant, expected newtype variant",
    );
    failed(
        by_path(&runtime, "unit/x").await,
        "route `unit/{n}`: parameter `n` is `x`: invalid type: string \"x\", expected unit",
    );
    failed(
        by_path(&runtime, "list/x").await,
        "route `list/{n}`: parameter `n` is `x`: invalid type: string \"x\", expected a sequence",
    );
}

#[tokio::test]
async fn a_message_that_is_one_value_takes_the_only_parameter_or_the_body() {
    let runtime = form();
    made(by_path(&runtime, "meters/7").await, "Meters(7)");
    made(with(&runtime, "meters", json!(7)).await, "Meters(7)");
    made(by_path(&runtime, "number/7").await, "7");
    made(by_path(&runtime, "string/a%20b").await, "\"a b\"");
    made(by_path(&runtime, "colour/Red").await, "Red");
    made(with(&runtime, "colour", json!("Red")).await, "Red");
    made(with(&runtime, "colour", json!({"Grey": 7})).await, "Grey(7)");
    made(with(&runtime, "colour", json!({"Mixed": {"red": 7}})).await, "Mixed { red: 7 }");
    made(by_path(&runtime, "even/8").await, "Even(8)");
    failed(by_path(&runtime, "even/7").await, "route `even/{n}`: 7 is odd");
    failed(by_path(&runtime, "meters").await, "route `meters`: there is no body");
    let several = "one value is wanted, and there are several: give the message named fields";
    failed(by_path(&runtime, "meters/7/8").await, &format!("route `meters/{{n}}/{{m}}`: {several}"));
    failed(with(&runtime, "meters/7", json!({"m": 8})).await, &format!("route `meters/{{n}}`: {several}"));
    made(by_path(&runtime, "perhaps").await, "None");
    made(with(&runtime, "perhaps", Value::Null).await, "None");
    made(with(&runtime, "perhaps", json!(7)).await, "Some(Meters(7))");
}

#[tokio::test]
async fn a_parameter_that_is_right_is_not_blamed() {
    failed(by_path(&form(), "wrapped/7").await, "route `wrapped/{id}`: missing field `name`");
}

#[tokio::test]
async fn tuples_take_parameters_by_position() {
    let runtime = form();
    made(by_path(&runtime, "x/1/y/-2").await, "Move(1, -2)");
    failed(by_path(&runtime, "x/1/y/z").await, "route `x/{x}/y/{y}`: parameter `y` is `z`, which is no i32");
    failed(
        by_path(&runtime, "x/1").await,
        "route `x/{x}`: invalid length 1, expected tuple struct Move with 2 elements",
    );
    made(by_path(&runtime, "three/7/a%20b/true").await, "(7, \"a b\", true)");
    made(by_path(&runtime, "vec/7/a%20b/true").await, "[\"7\", \"a b\", \"true\"]");
    failed(
        with(&runtime, "x/1/y/2", json!({"z": 3})).await,
        "route `x/{x}/y/{y}`: one value is wanted, and there are several: give the message named fields",
    );
}

#[tokio::test]
async fn a_tuple_takes_all_parameters() {
    let outcome = by_path(&form(), "x/1/y/2/z/3").await;
    assert!(outcome.is_err(), "{outcome:?}");
}

#[tokio::test]
async fn a_null_beside_parameters_is_no_body_for_every_message() {
    let runtime = form();
    made(with(&runtime, "u8/7", Value::Null).await, "AU8 { n: 7 }");
    made(with(&runtime, "meters/7", Value::Null).await, "Meters(7)");
    made(with(&runtime, "x/1/y/2", Value::Null).await, "Move(1, 2)");
}

#[tokio::test]
async fn unit_structs_take_nothing() {
    let runtime = form();
    made(by_path(&runtime, "ping").await, "Ping");
    made(with(&runtime, "ping", Value::Null).await, "Ping");
    made(by_path(&runtime, "ping/pong").await, "Ping");
    failed(
        with(&runtime, "ping", json!({})).await,
        "route `ping`: invalid type: map, expected unit struct Ping",
    );
}

#[tokio::test]
async fn maps_take_parameters_by_name_beside_the_fields_of_the_body() {
    let runtime = form();
    made(by_path(&runtime, "map/1/x%20y").await, r#"{"a": "x y", "b": "1"}"#);
    made(with(&runtime, "map/1/2", json!({"c": "3"})).await, r#"{"a": "2", "b": "1", "c": "3"}"#);
    made(by_path(&runtime, "numbers/1/2").await, r#"{"a": 2, "b": 1}"#);
    failed(
        by_path(&runtime, "numbers/1/300").await,
        "route `numbers/{b}/{a}`: parameter `a` is `300`, which is no u8",
    );
    failed(
        with(&runtime, "map/1/2", json!({"c": 3})).await,
        "route `map/{b}/{a}`: field `c`: invalid type: integer `3`, expected a string",
    );
    made(with(&runtime, "table", json!({"1": 2, "3": 4})).await, "{1: 2, 3: 4}");
    made(by_path(&runtime, "table").await, "{}");
}

#[tokio::test]
async fn structs_take_fields_from_the_path_and_from_a_nested_body() {
    let runtime = form();
    let point = json!({"x": 1, "y": 2.5});
    let expected =
        "Outer { id: 7, name: \"Ada\", at: Point { x: 1.0, y: 2.5 }, tags: [], paint: Red, note: None }";
    made(with(&runtime, "outer", json!({"id": 7, "name": "Ada", "at": point})).await, expected);
    made(with(&runtime, "outer/7", json!({"name": "Ada", "at": point})).await, expected);
    made(with(&runtime, "outer/7/Ada", json!({"at": point})).await, expected);
    made(
        with(
            &runtime,
            "outer/7/A%64a",
            json!({"at": point, "tags": ["a", "b"], "colour": {"Grey": 1}, "note": "n", "unknown": [{}]}),
        )
        .await,
        "Outer { id: 7, name: \"Ada\", at: Point { x: 1.0, y: 2.5 }, tags: [\"a\", \"b\"], paint: Grey(1), \
         note: Some(\"n\") }",
    );
    made(
        with(&runtime, "wrapped/7", json!({"name": "Ada", "at": point})).await,
        "Wrapped(Outer { id: 7, name: \"Ada\", at: Point { x: 1.0, y: 2.5 }, tags: [], paint: Red, note: None })",
    );
    made(by_path(&runtime, "defaults").await, "Defaults { id: 0, name: None }");
    made(with(&runtime, "defaults", json!({})).await, "Defaults { id: 0, name: None }");
}

#[tokio::test]
async fn what_is_wrong_with_a_field_is_said_with_the_way_to_it() {
    let runtime = form();
    let point = json!({"x": 1, "y": 2});
    for (path, body, text) in [
        (
            "outer/7/Ada",
            json!({"at": {"x": 1, "y": "2"}}),
            "field `at.y`: invalid type: string \"2\", expected f64",
        ),
        ("outer/7/Ada", json!({"at": {"x": 1}}), "field `at`: missing field `y`"),
        ("outer/7/Ada", json!({"at": 5}), "field `at`: invalid type: integer `5`, expected struct Point"),
        (
            "outer/7/Ada",
            json!({"at": point, "tags": ["a", 5]}),
            "field `tags[1]`: invalid type: integer `5`, expected a string",
        ),
        (
            "outer/7/Ada",
            json!({"at": point, "colour": "red"}),
            "field `colour`: unknown variant `red`, expected one of `Red`, `deep blue`, `Grey`, `Mixed`",
        ),
        (
            "outer/7/Ada",
            json!({"at": point, "colour": {"Grey": 256}}),
            "field `colour.Grey`: invalid value: integer `256`, expected u8",
        ),
        (
            "outer/7/Ada",
            json!({"at": point, "note": 5}),
            "field `note`: invalid type: integer `5`, expected a string",
        ),
        ("outer/7/Ada", json!({}), "missing field `at`"),
        ("outer/7/Ada", json!([7]), "beside parameters, the body must be an object"),
        ("outer/7/Ada", json!("x"), "beside parameters, the body must be an object"),
        ("outer/x/Ada", json!({"at": point}), "parameter `id` is `x`, which is no u32"),
        ("outer/%78/Ada", json!({"at": point}), "parameter `id` is `%78`, which is no u32"),
    ] {
        failed(with(&runtime, path, body).await, &format!("route `outer/{{id}}/{{name}}`: {text}"));
    }
    failed(by_path(&runtime, "outer").await, "route `outer`: missing field `id`");
    failed(
        with(&runtime, "outer", json!([])).await,
        "route `outer`: invalid length 0, expected struct Outer with 6 elements",
    );
    failed(
        with(&runtime, "outer", json!(5)).await,
        "route `outer`: invalid type: integer `5`, expected struct Outer",
    );
}

#[tokio::test]
async fn a_field_in_the_path_and_in_the_body_is_an_error_also_where_they_agree() {
    let runtime = form();
    for id in [7, 8] {
        let error = with(&runtime, "strict/7", json!({"id": id})).await.unwrap_err();
        assert!(error.ends_with("`id` is in the path and in the body, too"), "{error}");
    }
}

#[tokio::test]
async fn a_field_that_is_there_twice_is_named_once() {
    let error = with(&form(), "strict/7", json!({"id": 7})).await.unwrap_err();
    assert_eq!(error, "route `strict/{id}`: `id` is in the path and in the body, too");
}

#[tokio::test]
async fn the_order_of_parameters_does_not_matter_to_a_struct() {
    let runtime = form();
    let expected = "Ordered { user_id: 1, skipped: None, doubled: 4, last: Even(6) }";
    made(by_path(&runtime, "ordered/1/2/6").await, expected);
    made(by_path(&runtime, "mixed/6/1/2").await, expected);
    made(with(&runtime, "short/1/6", json!({"doubled": 2})).await, expected);
    made(
        by_path(&runtime, "short/1/6").await,
        "Ordered { user_id: 1, skipped: None, doubled: 0, last: Even(6) }",
    );
    for (path, pattern) in [
        ("ordered/1/2/7", "ordered/{userId}/{doubled}/{last}"),
        ("mixed/7/1/2", "mixed/{last}/{userId}/{doubled}"),
    ] {
        failed(
            by_path(&runtime, path).await,
            &format!("route `{pattern}`: parameter `last` is `7`: 7 is odd"),
        );
    }
    failed(
        by_path(&runtime, "ordered/x/2/6").await,
        "route `ordered/{userId}/{doubled}/{last}`: parameter `userId` is `x`, which is no u32",
    );
    failed(
        by_path(&runtime, "ordered/1/x/6").await,
        "route `ordered/{userId}/{doubled}/{last}`: parameter `doubled` is `x`, which is no u32",
    );
}

#[tokio::test]
async fn a_field_with_several_names_takes_any_but_not_two() {
    let runtime = form();
    made(by_path(&runtime, "alias/1/2").await, "Alias { a: 1, c: 2 }");
    made(by_path(&runtime, "alias/1/x/2").await, "Alias { a: 1, c: 2 }");
    failed(by_path(&runtime, "alias/1/2/3").await, "route `alias/{a}/{z}/{c}`: duplicate field `a`");
}

#[tokio::test]
async fn a_type_that_reads_no_sequence_is_filled_by_name() {
    made(by_path(&form(), "by_name/7").await, "ByName(7)");
}

#[tokio::test]
async fn a_type_that_reads_a_sequence_in_another_order_is_filled_by_name() {
    made(by_path(&form(), "place/1/2").await, "Place { lat: 1, lon: 2 }");
}

#[tokio::test]
async fn unknown_fields_are_errors_to_those_who_say_so() {
    let runtime = form();
    made(by_path(&runtime, "strict/7").await, "Strict { id: 7 }");
    failed(
        with(&runtime, "strict/7", json!({"more": 1})).await,
        "route `strict/{id}`: field `more`: unknown field `more`, expected `id`",
    );
    failed(
        by_path(&runtime, "strict/7/8").await,
        "route `strict/{id}/{more}`: field `more`: unknown field `more`, expected `id`",
    );
}

#[tokio::test]
async fn what_serde_buffers_takes_parameters_as_text() {
    let runtime = form();
    made(
        with(&runtime, "flat/7", json!({"b": [1]})).await,
        "Flat { id: 7, rest: {\"b\": Array [Number(1)]} }",
    );
    made(
        with(&runtime, "point/here", json!({"x": 1, "y": 2})).await,
        "FlatPoint { name: \"here\", at: Point { x: 1.0, y: 2.0 } }",
    );
    made(with(&runtime, "command", json!({"kind": "start", "name": "x"})).await, "Start { name: \"x\" }");
    made(by_path(&runtime, "command/start/x%20y").await, "Start { name: \"x y\" }");
    made(by_path(&runtime, "command/stop_now").await, "StopNow");
    failed(
        by_path(&runtime, "command/go").await,
        "route `command/{kind}`: parameter `kind` is `go`: unknown variant `go`, expected `start` or `stop_now`",
    );
}

#[tokio::test]
async fn a_null_without_parameters_is_no_body_for_a_struct() {
    made(with(&form(), "defaults", Value::Null).await, "Defaults { id: 0, name: None }");
}

#[tokio::test]
async fn an_error_shows_no_more_of_a_value_than_can_be_read() {
    let long = "x".repeat(500_000);
    let error = with(&form(), "outer", json!({"id": long})).await.unwrap_err();
    assert!(error.len() < 1000, "{} bytes", error.len());
}
