//! Once warm, messages by path ask the allocator for nothing, metadata for what its text says, and events twice if somebody
//! gets them.
#![cfg(not(mycelia_loom))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use mycelia_actors::TraceParent;
use mycelia_actors::prelude::*;
use serde::{Deserialize, Serialize};

/// Counts the requests of each thread. All that these tests do is done on their own.
struct Counting;

thread_local! {
    static REQUESTS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    REQUESTS.set(REQUESTS.get() + 1);
}

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// 40 bytes, of five parameters.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Point {
    x: i64,
    y: f64,
    z: u32,
    up: bool,
    side: Side,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Side {
    Left,
    Right,
}

struct Sum(u64);
impl Subsystem for Sum {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Point>("points/{x}/{y}/{z}/{up}/{side}.json");
        routes.on::<Point>("points");
        routes.on::<u64>("add/{n}");
        routes.on::<(u32, u32)>("move/{x}/{y}");
        routes.on::<u64>("guarded/{n}").scope("sum:add");
    }
}

impl Handler<Point> for Sum {
    type Reply = Point;
    async fn handle(&mut self, point: Point, _: &mut Context<Self>) -> Point {
        self.0 += u64::from(point.z);
        point
    }
}

impl Handler<u64> for Sum {
    type Reply = u64;
    async fn handle(&mut self, number: u64, _: &mut Context<Self>) -> u64 {
        self.0 += number;
        self.0
    }
}

impl Handler<(u32, u32)> for Sum {
    type Reply = u64;
    async fn handle(&mut self, (x, y): (u32, u32), _: &mut Context<Self>) -> u64 {
        self.0 += u64::from(x * y);
        self.0
    }
}

const MESSAGES: u64 = 10_000;
const POINT: &str = "sum://points/-5/2.5/7/true/left.json";

/// How many requests a thousand messages make, once warm: the second of two rounds, until the last of them is handled.
async fn requests(runtime: &Runtime, mut one: impl AsyncFnMut(u64)) -> u64 {
    let sum = runtime.route("sum://add/0").unwrap();
    let mut made = 0;
    for _ in 0..2 {
        let before = REQUESTS.get();
        for n in 0..MESSAGES {
            one(n).await;
            // So that the mailbox never fills: a refused message costs its error.
            if n % 32 == 0 {
                tokio::task::yield_now().await;
            }
        }
        sum.ask::<u64, _>(()).await.unwrap();
        made = REQUESTS.get() - before;
    }
    made
}

fn sum() -> Runtime {
    let runtime = Runtime::new();
    runtime.spawn("sum", Sum(0)).unwrap();
    runtime
}

#[tokio::test]
async fn tells_by_path_ask_for_nothing() {
    let runtime = sum();
    let by_parameter = requests(&runtime, async |_| assert!(runtime.tell("sum://add/7", ()).is_ok()));
    assert_eq!(by_parameter.await, 0, "one parameter");
    let all_kinds = requests(&runtime, async |_| assert!(runtime.tell(POINT, ()).is_ok()));
    assert_eq!(all_kinds.await, 0, "five parameters");
    let by_position = requests(&runtime, async |_| assert!(runtime.tell("sum://move/3/4", ()).is_ok()));
    assert_eq!(by_position.await, 0, "by position");
    let point = Point { x: 1, y: 2.0, z: 3, up: false, side: Side::Right };
    let typed = requests(&runtime, async |_| assert!(runtime.tell("sum://points", point).is_ok()));
    assert_eq!(typed.await, 0, "a typed body");
}

#[tokio::test]
async fn sends_and_asks_by_path_ask_for_nothing() {
    let runtime = sum();
    let sends = requests(&runtime, async |_| runtime.send(POINT, ()).await.unwrap());
    assert_eq!(sends.await, 0, "sends");
    let asks = requests(&runtime, async |_| {
        assert_eq!(runtime.ask::<Point, _>(POINT, ()).await.unwrap().x, -5);
    });
    assert_eq!(asks.await, 0, "asks");
    let point = Point { x: 1, y: 2.0, z: 3, up: false, side: Side::Right };
    let typed = requests(&runtime, async |_| {
        runtime.ask::<Point, _>("sum://points", point).await.unwrap();
    });
    assert_eq!(typed.await, 0, "asks with a typed body");
    let json = requests(&runtime, async |_| {
        runtime.ask::<serde_json::Value, _>("sum://add/1", ()).await.unwrap();
    });
    assert_eq!(json.await, 0, "asks for a number as JSON");
}

#[tokio::test]
async fn routes_ask_for_nothing() {
    let runtime = sum();
    let (point, points) = (runtime.route(POINT).unwrap(), runtime.route("sum://points").unwrap());
    assert_eq!(requests(&runtime, async |_| assert!(point.tell(()).is_ok())).await, 0, "tells");
    assert_eq!(requests(&runtime, async |_| point.send(()).await.unwrap()).await, 0, "sends");
    let asks = requests(&runtime, async |_| {
        point.ask::<Point, _>(()).await.unwrap();
    });
    assert_eq!(asks.await, 0, "asks");
    let body = Point { x: 1, y: 2.0, z: 3, up: false, side: Side::Right };
    assert_eq!(requests(&runtime, async |_| assert!(points.tell(body).is_ok())).await, 0, "a typed body");
}

#[tokio::test]
async fn a_scope_costs_nothing_once_it_is_made() {
    let runtime = sum();
    let caller = Metadata::new().with_caller(Principal::new("ada", ["sum:*"]).unwrap());
    let caller = caller.with_header("language", "de").unwrap().with_timeout(Duration::from_secs(3600));
    let path = "sum://guarded/7";
    let tells = requests(&runtime, async |_| assert!(caller.in_scope(|| runtime.tell(path, ())).is_ok()));
    assert_eq!(tells.await, 0, "tells");
    let route = caller.in_scope(|| runtime.route(path).unwrap());
    let by_route = requests(&runtime, async |_| assert!(caller.in_scope(|| route.tell(())).is_ok()));
    assert_eq!(by_route.await, 0, "by a route");
    let asks = requests(&runtime, async |_| {
        caller.in_scope(|| runtime.ask::<u64, _>(path, ())).await.unwrap();
    });
    assert_eq!(asks.await, 0, "asks");
    // What is denied costs its error, which names path, pattern, scope and caller.
    let denied = Metadata::new().with_caller(Principal::new("eve", ["sum:read"]).unwrap());
    let refused = requests(&runtime, async |_| assert!(denied.in_scope(|| runtime.tell(path, ())).is_err()));
    assert_eq!(refused.await, 4 * MESSAGES, "denied");
}

#[tokio::test]
async fn a_refused_message_costs_the_path_in_its_error() {
    let runtime = sum();
    let address = runtime.configure("full").mailbox(Mailbox::bounded(1)).spawn(Sum(0)).unwrap();
    address.tell(1).unwrap();
    // Nothing is awaited, so that nothing is handled. The first one makes room for the counters.
    assert!(runtime.tell("full://add/7", ()).is_err());
    let before = REQUESTS.get();
    for _ in 0..MESSAGES {
        assert!(runtime.tell("full://add/7", ()).is_err());
    }
    assert_eq!(REQUESTS.get() - before, MESSAGES);
}

#[tokio::test]
async fn a_trace_costs_one_request_for_each_message_handled() {
    let runtime = sum();
    let mut metadata = Metadata::new().with_trace(TraceParent::new());
    for name in ["a", "b", "c"] {
        metadata = metadata.with_header(name, "value").unwrap();
    }
    let path = "sum://add/7";
    let tells = requests(&runtime, async |_| assert!(metadata.in_scope(|| runtime.tell(path, ())).is_ok()));
    assert_eq!(tells.await, MESSAGES);
}

#[test]
fn metadata_costs_two_requests_and_one_for_each_principal() {
    let requests = |make: &dyn Fn()| {
        let before = REQUESTS.get();
        make();
        REQUESTS.get() - before
    };
    assert_eq!(requests(&|| drop(Metadata::new())), 2);
    let (metadata, ada) = (Metadata::new(), Principal::new("ada", ["sum:add"]).unwrap());
    assert_eq!(requests(&|| drop(metadata.clone())), 0);
    let copied = requests(&|| drop(ada.clone()));
    assert_eq!(requests(&|| drop(Metadata::new().with_caller(ada.clone()))), 3 + copied);
    // A scope in the scope of another.
    let outer = Metadata::new().with_header("language", "de").unwrap();
    assert_eq!(requests(&|| outer.in_scope(|| metadata.in_scope(|| ()))), 1);
}

#[test]
fn an_event_asks_twice_for_all_who_get_it_and_for_nothing_if_nobody_does() {
    let runtime = Runtime::new();
    let bus = runtime.bus();
    let round = |got: usize| {
        let before = REQUESTS.get();
        for n in 0..MESSAGES {
            assert_eq!(bus.publish("points/7/moved", n).unwrap(), got);
        }
        REQUESTS.get() - before
    };
    round(0);
    assert_eq!(round(0), 0, "without subscribers");
    let _other_type = bus.subscribe::<String>("points/{*rest}", 10).unwrap();
    let _other_topic = bus.subscribe::<u64>("lines/{*rest}", 10).unwrap();
    // The first event after a change makes the list of subscribers.
    round(0);
    assert_eq!(round(0), 0, "with subscribers to something else");
    let subscribe = |_| bus.subscribe::<u64>("points/{n}/moved", 10).unwrap();
    let _subscribers: Vec<_> = (0..3).map(subscribe).collect();
    round(3);
    assert_eq!(round(3), 2 * MESSAGES, "with three of them, and full queues");
}
