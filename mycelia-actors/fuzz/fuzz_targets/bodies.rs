//! Whatever is sent to whatever path becomes the message that serde_json makes of the parameters and the body taken together,
//! or an error that can be shown and has the body in it.
#![no_main]

mod kitchen;

use std::collections::BTreeMap;
use std::fmt::Debug;

use kitchen::{Command, Flat, Kitchen, Loose, Order, Pair, Table, Tree};
use libfuzzer_sys::fuzz_target;
use mycelia_actors::prelude::*;
use mycelia_actors::{BodyFault, PathAskFailure};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

struct World {
    tokio: tokio::runtime::Runtime,
    runtime: Runtime,
}

thread_local! {
    static WORLD: World = {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let runtime = Runtime::builder().tokio(tokio.handle().clone()).build();
        runtime.spawn("kitchen", Kitchen).unwrap();
        World { tokio, runtime }
    };
}

/// How a body is sent.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    None,
    Value,
    Json,
    PlusJson,
    Other,
}

/// The pattern of a route, by its names: text, or a number where the message has one.
enum Param {
    Text(&'static str),
    U32(&'static str),
}

use Param::{Text, U32};

fuzz_target!(|data: &[u8]| {
    let [choice, form, rest @ ..] = data else { return };
    let form =
        [Form::Json, Form::Json, Form::Value, Form::PlusJson, Form::None, Form::Other][usize::from(form % 6)];
    // Up to the first line's end: what is in the path. Then the body.
    let (line, body) = rest.split_at(rest.iter().position(|byte| *byte == b'\n').unwrap_or(0));
    let line = String::from_utf8_lossy(line);
    let body = body.strip_prefix(b"\n").unwrap_or(body);
    let (one, two) = line.split_once(' ').unwrap_or((&line, "x"));
    WORLD.with(|world| match choice % 15 {
        0 => Trial { world, path: "order".to_owned(), form, body }.check::<Order>(&[], &[]),
        1 => Trial { world, path: format!("order/{one}"), form, body }.check::<Order>(&[U32("id")], &[one]),
        2 | 3 => Trial { world, path: format!("order/{one}/{two}"), form, body }
            .check::<Order>(&[U32("id"), Text("name")], &[one, two]),
        4 => Trial { world, path: "value".to_owned(), form, body }.check::<Value>(&[], &[]),
        5 => Trial { world, path: "tree".to_owned(), form, body }.check::<Tree>(&[], &[]),
        6 => Trial { world, path: "command".to_owned(), form, body }.check::<Command>(&[], &[]),
        7 => Trial { world, path: "loose".to_owned(), form, body }.check::<Loose>(&[], &[]),
        8 => Trial { world, path: "table".to_owned(), form, body }.check::<Table>(&[], &[]),
        9 => Trial { world, path: "pair".to_owned(), form, body }.check::<Pair>(&[], &[]),
        10 => Trial { world, path: format!("pair/{one}/{two}"), form, body }.check_pair(one, two),
        11 => Trial { world, path: "flat".to_owned(), form, body }.check::<Flat>(&[], &[]),
        12 => Trial { world, path: format!("flat/{one}"), form, body }.check::<Flat>(&[Text("key")], &[one]),
        13 => Trial { world, path: format!("map/{line}"), form, body }
            .check::<BTreeMap<String, String>>(&[Text("all")], &[&line]),
        _ => Trial { world, path: format!("raw/{line}"), form, body }.check_raw(&line),
    });
});

struct Trial<'a> {
    world: &'a World,
    path: String,
    form: Form,
    body: &'a [u8],
}

impl Trial<'_> {
    /// Asks with the body in its form. What comes back must be the same.
    fn ask<M: DeserializeOwned + Send + 'static>(&self) -> Result<M, PathAskFailure> {
        let raw = |kind: &str| RawBody::new(kind, self.body.to_vec());
        match self.form {
            Form::None => self.ask_with(()),
            Form::Value => self.ask_with(self.value().unwrap_or_default()),
            Form::Json => self.ask_with(raw("application/json; charset=utf-8")),
            Form::PlusJson => self.ask_with(raw("application/x+json")),
            Form::Other => self.ask_with(raw("text/plain")),
        }
    }

    fn ask_with<M, B>(&self, body: B) -> Result<M, PathAskFailure>
    where
        M: DeserializeOwned + Send + 'static,
        B: Clone + Debug + PartialEq + Send + 'static,
    {
        let path = format!("kitchen://{}", self.path);
        let asked = self.world.tokio.block_on(self.world.runtime.ask::<M, _>(&path, body.clone()));
        asked.map_err(|error| {
            assert_eq!(error.body.as_ref(), Some(&body), "it comes back");
            assert!(error.to_string().starts_with(&format!("`{path}` did not reply: ")));
            assert!(!format!("{error:?}").is_empty());
            error.failure
        })
    }

    fn value(&self) -> Option<Value> {
        serde_json::from_slice(self.body).ok()
    }

    /// The body as a route takes it; `Err` if it takes none of the kind.
    fn taken(&self) -> Result<Option<Value>, ()> {
        let value = match self.form {
            Form::None => return Ok(None),
            Form::Other => return Err(()),
            Form::Value => self.value().unwrap_or_default(),
            Form::Json | Form::PlusJson => self.value().ok_or(())?,
        };
        if depth(&value) > 64 { Err(()) } else { Ok(Some(value).filter(|value| !value.is_null())) }
    }

    /// What serde_json makes of parameters and body.
    fn expected<M: DeserializeOwned>(&self, params: &[Param], values: &[&str]) -> Option<M> {
        let body = self.taken().ok()?;
        if params.is_empty() {
            // A message without parameters and body has no fields at all; one value would be null.
            let nothing = || serde_json::from_value(Value::Object(Map::new())).ok();
            return match body {
                Some(body) => serde_json::from_value(body).ok(),
                None => serde_json::from_value(Value::Null).ok().or_else(nothing),
            };
        }
        let mut fields = match body {
            None => Map::new(),
            Some(Value::Object(fields)) => fields,
            Some(_) => return None,
        };
        for (param, value) in params.iter().zip(values) {
            let (name, value) = match param {
                U32(name) => (name, Value::from(decoded(value)?.parse::<u32>().ok()?)),
                Text(name) => (name, Value::from(decoded(value)?)),
            };
            // In the path and in the body: refused.
            if fields.insert((*name).to_owned(), value).is_some() {
                return None;
            }
        }
        serde_json::from_value(Value::Object(fields)).ok()
    }

    fn check<M>(&self, params: &[Param], values: &[&str])
    where
        M: DeserializeOwned + Clone + Debug + PartialEq + Send + 'static,
    {
        let asked = self.ask::<M>();
        if self.leads_elsewhere(&asked, values) {
            return;
        }
        let expected = self.expected::<M>(params, values);
        assert_eq!(asked.as_ref().ok(), expected.as_ref(), "{:?}", asked.as_ref().err());
        self.well_said(&asked);
    }

    fn check_pair(&self, one: &str, two: &str) {
        let asked = self.ask::<Pair>();
        if self.leads_elsewhere(&asked, &[one, two]) {
            return;
        }
        let pair = || {
            let (one, two) = (decoded(one)?, decoded(two)?);
            // The other pattern, `pair/{a}-/x{b}`, comes first.
            let inner = one.strip_suffix('-').zip(two.strip_prefix('x'));
            let inner = inner.filter(|(one, two)| !one.is_empty() && !two.is_empty());
            let (one, two) = inner.unwrap_or((&one, &two));
            Some(Pair(one.parse().ok()?, two.to_owned()))
        };
        let expected = if self.taken() == Ok(None) { pair() } else { None };
        assert_eq!(asked.as_ref().ok(), expected.as_ref(), "{:?}", asked.as_ref().err());
        self.well_said(&asked);
    }

    fn check_raw(&self, rest: &str) {
        let asked = self.ask::<Option<RawBody>>();
        if is_bad_path(&format!("raw/{rest}")) {
            assert!(matches!(asked, Err(PathAskFailure::Path(PathFailure::BadPath(_)))));
            return;
        }
        match (self.form, asked) {
            (Form::None, Ok(None)) => {}
            (Form::Value, Ok(None)) => assert_eq!(self.value().unwrap_or_default(), Value::Null),
            (Form::Value, Ok(Some(raw))) => {
                assert_eq!(raw.bytes, self.value().unwrap_or_default().to_string());
            }
            (Form::Value, Err(_)) => assert!(depth(&self.value().unwrap()) > 64),
            (_, Ok(Some(raw))) => assert_eq!(raw.bytes, self.body),
            (_, other) => panic!("{other:?}"),
        }
    }

    /// True if the path is none, or that of another route.
    fn leads_elsewhere<M: Debug>(&self, asked: &Result<M, PathAskFailure>, values: &[&str]) -> bool {
        let rest = self.path.starts_with("map/");
        let bad = is_bad_path(&self.path);
        let elsewhere = bad || (!rest && values.iter().any(|value| value.contains('/')));
        if bad {
            assert!(matches!(asked, Err(PathAskFailure::Path(PathFailure::BadPath(_)))), "{asked:?}");
        }
        elsewhere
    }

    fn well_said<M: Debug>(&self, asked: &Result<M, PathAskFailure>) {
        let Err(failure) = asked else { return };
        let PathAskFailure::Path(PathFailure::Body { pattern, fault }) = failure else { panic!("{failure}") };
        assert!(failure.to_string().starts_with(&format!("route `{pattern}`: ")));
        match fault {
            BodyFault::NotJson { .. } => assert!(self.form == Form::Other),
            BodyFault::Unreadable(_) => assert!(self.value().is_none()),
            // Text that is no JSON may be too deep as well.
            BodyFault::TooDeep => assert!(self.value().is_none_or(|value| depth(&value) > 64)),
            BodyFault::Mismatch(text) => assert!(!text.is_empty()),
            other => panic!("{other}"),
        }
    }
}

fn decoded(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(Into::into)
}

/// Whether a path breaks a rule; in the two that have a rest, no slash may be encoded.
fn is_bad_path(path: &str) -> bool {
    let is_encoded = |text: &str| {
        text.split('%').skip(1).all(|part| part.len() >= 2 && part.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit))
    };
    let is_segment = |segment: &str| {
        is_encoded(segment)
            && decoded(segment).is_some_and(|text| {
                !matches!(&*text, "" | "." | "..") && !text.chars().any(char::is_control)
            })
    };
    let has_rest = path.starts_with("map/") || path.starts_with("raw/");
    path.len() > 2048
        || path.chars().any(char::is_control)
        || path.split('/').count() > 32
        || !path.split('/').all(is_segment)
        || has_rest && path.to_ascii_lowercase().contains("%2f")
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
