//! A subsystem whose messages have something of everything that serde knows, and which gives each of them back.

use std::collections::BTreeMap;

use mycelia_actors::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) id: u32,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) at: Option<Point>,
    #[serde(rename = "tag-list", default)]
    pub(crate) tags: Vec<String>,
    #[serde(default)]
    pub(crate) paint: Colour,
    #[serde(default)]
    pub(crate) count: i8,
    #[serde(default)]
    pub(crate) letter: Option<char>,
    #[serde(default)]
    pub(crate) pairs: BTreeMap<String, (bool, u64)>,
    #[serde(alias = "weight", default)]
    pub(crate) mass: f32,
    #[serde(default)]
    pub(crate) rest: Value,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Point {
    x: f64,
    y: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) enum Colour {
    #[default]
    Red,
    Grey(u8),
    Mixed {
        red: u8,
        blue: Option<u16>,
    },
    Twice(i16, i32),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Tree {
    Leaf,
    Node(Vec<Tree>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Command {
    Start { name: String, n: Option<u8> },
    StopNow,
    Point(Point),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Loose {
    Number(i64),
    Text(String),
    Point(Point),
    Many(Vec<Loose>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Flat {
    pub(crate) key: String,
    #[serde(flatten)]
    pub(crate) rest: BTreeMap<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pair(pub(crate) i16, pub(crate) String);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Table(BTreeMap<u8, Vec<Option<f64>>>);

/// Gives everything back.
pub(crate) struct Kitchen;

impl Subsystem for Kitchen {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Order>("order");
        routes.on::<Order>("order/{id}");
        routes.on::<Order>("order/{id}/{name}");
        routes.on::<Value>("value");
        routes.on::<Tree>("tree");
        routes.on::<Command>("command");
        routes.on::<Loose>("loose");
        routes.on::<Table>("table");
        routes.on::<Pair>("pair");
        routes.on::<Pair>("pair/{a}-/x{b}");
        routes.on::<Pair>("pair/{a}/{b}");
        routes.on::<Flat>("flat");
        routes.on::<Flat>("flat/{key}");
        routes.on::<BTreeMap<String, String>>("map/{*all}");
        routes.raw("raw/{*all}");
    }
}

/// What it gives back.
pub(crate) trait Dish: Send + 'static {}
impl Dish for Order {}
impl Dish for Value {}
impl Dish for Tree {}
impl Dish for Command {}
impl Dish for Loose {}
impl Dish for Table {}
impl Dish for Pair {}
impl Dish for Flat {}
impl Dish for BTreeMap<String, String> {}

impl<M: Dish> Handler<M> for Kitchen {
    type Reply = M;
    async fn handle(&mut self, message: M, _: &mut Context<Self>) -> M {
        message
    }
}

/// Gives the body back as JSON.
impl Handler<Request> for Kitchen {
    type Reply = Option<RawBody>;
    async fn handle(&mut self, request: Request, _: &mut Context<Self>) -> Option<RawBody> {
        assert!(request.path().starts_with("raw/") && request.param("all").is_some());
        match request.into_body() {
            RequestBody::Raw(raw) => Some(raw),
            RequestBody::Json(value) => Some(RawBody::json(value.to_string())),
            _ => None,
        }
    }
}
