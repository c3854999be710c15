//! `ask` by path: what is asked for, and every way in which it can end.
#![cfg(not(mycelia_loom))]

mod desk;
mod subsystems;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use mycelia_actors::PathAskFailure;
use mycelia_actors::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use desk::{List, Trip, busy, full_desk, note, open_desk, poll_once, text};
use subsystems::accounted;

#[derive(Serialize, Deserialize)]
struct GetUser {
    id: u64,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct PutUser {
    id: u64,
    name: String,
}

struct Users;

impl Handler<GetUser> for Users {
    type Reply = Option<PutUser>;
    async fn handle(&mut self, GetUser { id }: GetUser, _cx: &mut Context<Self>) -> Option<PutUser> {
        Some(PutUser { id, name: "Ada".to_owned() })
    }
}

impl Handler<PutUser> for Users {
    type Reply = PutUser;
    async fn handle(&mut self, user: PutUser, _cx: &mut Context<Self>) -> PutUser {
        user
    }
}

impl Subsystem for Users {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<GetUser>("users/{id}");
        routes.on::<PutUser>("users");
        routes.on::<PutUser>("users/{id}/name");
    }
}

#[tokio::test]
async fn parameters_and_bodies_make_messages_and_replies_come_in_three_forms() {
    let runtime = Runtime::new();
    runtime.spawn("api", Users).unwrap();
    let ada = PutUser { id: 7, name: "Ada".to_owned() };
    let user: Option<PutUser> = runtime.ask("api://users/7", ()).await.unwrap();
    assert_eq!(user, Some(ada.clone()));
    let user: Value = runtime.ask("api://users/7", ()).await.unwrap();
    assert_eq!(user, json!({"id": 7, "name": "Ada"}));
    let user: RawBody = runtime.ask("api://users/7", ()).await.unwrap();
    assert_eq!(user, RawBody::json(r#"{"id":7,"name":"Ada"}"#));

    let user: PutUser = runtime.ask("api://users", ada.clone()).await.unwrap();
    assert_eq!(user, ada);
    let user: PutUser = runtime.ask("api://users", json!({"id": 7, "name": "Ada"})).await.unwrap();
    assert_eq!(user, ada);
    let user: PutUser = runtime.ask("api://users/7/name", json!({"name": "Ada"})).await.unwrap();
    assert_eq!(user, ada);
    let body = RawBody::json(r#"{"name": "Ada"}"#);
    let user: PutUser = runtime.ask("api://users/7/name", body).await.unwrap();
    assert_eq!(user, ada);
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let runtime = Runtime::new();
    runtime.spawn("api", Users).unwrap();
    let text = async |path: &str, body: Value| {
        let error = runtime.ask::<PutUser, _>(path, body.clone()).await.unwrap_err();
        assert_eq!(error.body, Some(body), "{error}");
        error.to_string()
    };
    for (path, body, expected) in [
        ("users", json!(null), "`users` did not reply: it names no subsystem: a path reads `name://path`"),
        ("apo://users", json!(null), "there is no subsystem `apo`"),
        ("api://user", json!(null), "no route for `user`; the nearest pattern is `users`"),
        ("api://users//", json!(null), "has an empty segment"),
        (
            "api://users",
            json!({"id": "x", "name": 1}),
            "route `users`: field `id`: invalid type: string \"x\", expected u64",
        ),
        ("api://users", json!({"id": 1}), "route `users`: missing field `name`"),
        (
            "api://users/x/name",
            json!({"name": "Ada"}),
            "route `users/{id}/name`: parameter `id` is `x`, which is no u64",
        ),
        (
            "api://users/7/name",
            json!({"name": 5}),
            "field `name`: invalid type: integer `5`, expected a string",
        ),
        ("api://users/7/name", json!({"id": 8, "name": "x"}), "`id` is in the path and in the body, too"),
        ("api://users/7/name", json!([1]), "the body must be an object"),
        (
            "api://users/7",
            json!(null),
            "replies with a `core::option::Option<path_ask::PutUser>`, or that as JSON (`Value`, `RawBody`); a `path_ask::PutUser` was asked for",
        ),
    ] {
        let text = text(path, body).await;
        assert!(text.contains(expected), "{text}\n{expected}");
    }
    let ada = PutUser { id: 7, name: "Ada".to_owned() };
    let error = runtime.ask::<PutUser, _>("api://users/7/name", ada.clone()).await.unwrap_err();
    assert_eq!(error.body.as_ref(), Some(&ada));
    assert!(error.to_string().contains("the body is a `path_ask::PutUser`"), "{error}");
}

/// The failure of an ask that was sent, or waited for room.
fn of_ask(failure: &PathAskFailure) -> AskFailure {
    match failure {
        PathAskFailure::Ask(failure) => failure.clone(),
        other => panic!("{other:?}"),
    }
}

// Time is paused: it passes when everybody waits for ever.
#[tokio::test(start_paused = true)]
async fn an_ask_ends_at_its_deadline_and_after_five_seconds_without_one() {
    let runtime = Runtime::new();
    let (address, gate) = desk::desk(&runtime, 8, OverflowPolicy::Error);
    busy(&address).await;
    for (within, expected) in [
        (None, Duration::from_secs(5)),
        (Some(Duration::from_millis(20)), Duration::from_millis(20)),
        (Some(Duration::from_secs(60)), Duration::from_secs(60)),
    ] {
        let ask = runtime.ask::<Vec<u64>, _>("desk://list", List);
        let ask = match within {
            Some(within) => ask.within(within),
            None => ask,
        };
        let began = tokio::time::Instant::now();
        let error = ask.await.unwrap_err();
        let took = began.elapsed();
        assert!(error.body.is_none() && of_ask(&error.failure) == AskFailure::Deadline(expected));
        let latest = expected + (expected / 100).max(Duration::from_millis(10));
        assert!(took >= expected && took <= latest, "{expected:?} took {took:?}");
        // As JSON, too.
        let error = runtime.ask::<Value, _>("desk://list", ()).within(expected).await.unwrap_err();
        assert_eq!(of_ask(&error.failure), AskFailure::Deadline(expected));
    }
    gate.open();
    assert_eq!(address.ask(List).await.unwrap(), [0; 0]);
    assert_eq!(address.stats().expired, 6);
    accounted(&address);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_covers_waiting_for_room_and_gives_every_kind_of_body_back() {
    let runtime = Runtime::new();
    let (address, gate) = full_desk(&runtime, OverflowPolicy::DropOldest).await;
    let soon = Duration::from_millis(50);
    let error = runtime.ask::<u64, _>("desk://notes", note(2)).within(soon).await.unwrap_err();
    assert_eq!((error.body, of_ask(&error.failure)), (Some(note(2)), AskFailure::Deadline(soon)));
    let error = runtime.ask::<u64, _>("desk://notes/3", text(3)).within(soon).await.unwrap_err();
    assert_eq!((error.body, of_ask(&error.failure)), (Some(text(3)), AskFailure::Deadline(soon)));
    let error = runtime.ask::<Value, _>("desk://notes", note(4)).within(soon).await.unwrap_err();
    assert_eq!((error.body, of_ask(&error.failure)), (Some(note(4)), AskFailure::Deadline(soon)));
    let error = runtime.ask::<RawBody, _>("desk://list", ()).within(soon).await.unwrap_err();
    assert_eq!((error.body, of_ask(&error.failure)), (Some(()), AskFailure::Deadline(soon)));
    assert_eq!((address.stats().waiting, address.stats().returned), (0, 4));
    gate.open();
    assert_eq!(address.ask(List).await.unwrap(), [1]);
    accounted(&address);
}

#[tokio::test]
async fn an_ask_waits_for_room_and_gets_its_reply() {
    let runtime = Runtime::new();
    let (address, gate) = full_desk(&runtime, OverflowPolicy::Error).await;
    let mut itself = runtime.ask::<u64, _>("desk://notes", note(2));
    let mut json = runtime.ask::<Value, _>("desk://notes/3", text(3));
    let mut raw = runtime.ask::<RawBody, _>("desk://notes/4", text(4));
    assert!(poll_once(Pin::new(&mut itself)).is_pending());
    assert!(poll_once(Pin::new(&mut json)).is_pending());
    assert!(poll_once(Pin::new(&mut raw)).is_pending());
    assert_eq!(address.stats().waiting, 3);
    gate.open();
    assert_eq!(itself.await.unwrap(), 2);
    assert_eq!(json.await.unwrap(), json!(3));
    assert_eq!(raw.await.unwrap(), RawBody::json("4"));
    assert_eq!(address.ask(List).await.unwrap(), [1, 2, 3, 4]);
    accounted(&address);
}

#[tokio::test]
async fn a_handler_that_panics_is_told_to_its_asker() {
    let runtime = Runtime::new();
    for _ in 0..2 {
        let address = open_desk(&runtime);
        let error = runtime.ask::<(), _>("desk://trip", Trip).await.unwrap_err();
        assert!(error.body.is_none() && of_ask(&error.failure) == AskFailure::Panicked);
        assert_eq!(error.to_string(), "`desk://trip` did not reply: its handler panicked");
        address.ended().await;
        assert_eq!(address.stats().failed, 1);
        accounted(&address);
        let address = open_desk(&runtime);
        let error = runtime.ask::<Value, _>("desk://trip", ()).await.unwrap_err();
        assert_eq!(of_ask(&error.failure), AskFailure::Panicked);
        address.ended().await;
    }
    assert_eq!(runtime.pool_stats().in_use, 0);
}

#[tokio::test]
async fn an_exhausted_pool_gives_every_kind_of_body_back() {
    let messages = MessagePool::capacity(2).fail_when_exhausted();
    let runtime = Runtime::builder().messages(messages).build();
    let (address, gate) = full_desk(&runtime, OverflowPolicy::Error).await;
    let failure = |failure: PathAskFailure| match failure {
        PathAskFailure::Path(PathFailure::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    let exhausted = Refusal::PoolExhausted { capacity: 2 };
    let error = runtime.ask::<u64, _>("desk://notes", note(2)).await.unwrap_err();
    assert_eq!((error.body, failure(error.failure)), (Some(note(2)), exhausted.clone()));
    let error = runtime.ask::<u64, _>("desk://notes/3", text(3)).await.unwrap_err();
    assert_eq!((error.body, failure(error.failure)), (Some(text(3)), exhausted.clone()));
    let raw = RawBody::json(text(4).to_string());
    let error = runtime.ask::<Value, _>("desk://notes/4", raw.clone()).await.unwrap_err();
    assert_eq!((error.body, failure(error.failure)), (Some(raw), exhausted));
    assert_eq!(address.stats().returned, 3);
    gate.open();
    address.stop();
    address.ended().await;
    accounted(&address);
    assert_eq!(runtime.pool_stats().in_use, 0);
}

#[tokio::test]
async fn a_stop_gives_the_body_back_before_and_while_it_waits_for_room() {
    let runtime = Runtime::new();
    let (address, gate) = full_desk(&runtime, OverflowPolicy::Error).await;
    let mut waiting = runtime.ask::<u64, _>("desk://notes", note(2));
    assert!(poll_once(Pin::new(&mut waiting)).is_pending());
    address.stop();
    let stopped = AskFailure::Refused(Refusal::Stopped);
    let error = waiting.await.unwrap_err();
    assert_eq!((error.body, of_ask(&error.failure)), (Some(note(2)), stopped.clone()));
    let error = runtime.ask::<Value, _>("desk://notes/3", text(3)).await.unwrap_err();
    assert_eq!((error.body, of_ask(&error.failure)), (Some(text(3)), stopped));
    gate.open();
    address.ended().await;
    accounted(&address);
}

#[tokio::test]
async fn whoever_ends_an_ask_says_why_at_once() {
    let runtime = Runtime::new();
    let (address, gate) = desk::desk(&runtime, 1, OverflowPolicy::DropOldest);
    busy(&address).await;
    let mut evicted = runtime.ask::<Value, _>("desk://notes", note(1));
    assert!(poll_once(Pin::new(&mut evicted)).is_pending());
    assert_eq!(runtime.tell("desk://notes", note(2)).unwrap(), Told::Evicted);
    let error = evicted.await.unwrap_err();
    assert!(error.body.is_none() && of_ask(&error.failure) == AskFailure::Evicted);
    address.kill();
    gate.open();
    address.ended().await;

    let (address, _gate) = desk::desk(&runtime, 8, OverflowPolicy::Error);
    let mut in_hand = runtime.ask::<u64, _>("desk://notes", note(1));
    let mut queued = runtime.ask::<u64, _>("desk://notes", note(2));
    assert!(poll_once(Pin::new(&mut in_hand)).is_pending());
    assert!(poll_once(Pin::new(&mut queued)).is_pending());
    while address.stats().in_hand == 0 {
        tokio::task::yield_now().await;
    }
    address.kill();
    assert_eq!(of_ask(&in_hand.await.unwrap_err().failure), AskFailure::Killed);
    assert_eq!(of_ask(&queued.await.unwrap_err().failure), AskFailure::Undelivered);
    address.ended().await;
    accounted(&address);
    assert_eq!(runtime.pool_stats().in_use, 0);
}

#[tokio::test]
async fn a_dropped_ask_is_not_handled_if_it_was_not_begun_and_never_sent_if_it_was_not_polled() {
    let runtime = Runtime::new();
    let (address, gate) = desk::desk(&runtime, 8, OverflowPolicy::Error);
    busy(&address).await;
    drop(runtime.ask::<u64, _>("desk://notes", note(1)));
    assert_eq!(address.stats().sent, 1);
    let mut dropped = runtime.ask::<Value, _>("desk://notes", note(2));
    assert!(poll_once(Pin::new(&mut dropped)).is_pending());
    drop(dropped);
    gate.open();
    assert_eq!(address.ask(List).await.unwrap(), [0; 0]);
    assert_eq!((address.stats().sent, address.stats().expired), (3, 1));
    accounted(&address);
    assert_eq!(runtime.pool_stats().in_use, 0);
}

#[tokio::test]
async fn an_ask_for_another_reply_is_not_sent() {
    let runtime = Runtime::new();
    let address = open_desk(&runtime);
    let error = runtime.ask::<String, _>("desk://notes", note(1)).await.unwrap_err();
    assert_eq!(error.body, Some(note(1)));
    assert_eq!(
        error.to_string(),
        "`desk://notes` did not reply: route `notes` replies with a `u64`, or that as JSON (`Value`, `RawBody`); a `alloc::string::String` \
         was asked for"
    );
    assert_eq!((address.stats().sent, runtime.path_stats().bad_body), (0, 1));
}

/// Is a map whose keys cannot be those of a JSON object.
struct Atlas;
impl Subsystem for Atlas {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<List>("places");
        routes.on::<Trip>("heights");
    }
}

impl Handler<List> for Atlas {
    type Reply = BTreeMap<(u8, u8), String>;
    async fn handle(&mut self, _: List, _: &mut Context<Self>) -> Self::Reply {
        BTreeMap::from([((1, 2), "here".to_owned())])
    }
}

impl Handler<Trip> for Atlas {
    type Reply = f64;
    async fn handle(&mut self, _: Trip, _: &mut Context<Self>) -> f64 {
        f64::NAN
    }
}

#[tokio::test]
async fn a_reply_that_is_no_json_is_an_error_to_those_who_asked_for_json() {
    let runtime = Runtime::new();
    let address = runtime.spawn("atlas", Atlas).unwrap();
    let places: BTreeMap<(u8, u8), String> = runtime.ask("atlas://places", ()).await.unwrap();
    assert_eq!(places[&(1, 2)], "here");
    for error in [
        runtime.ask::<Value, _>("atlas://places", List).await.unwrap_err(),
        runtime.ask::<RawBody, _>("atlas://places", List).await.unwrap_err(),
    ] {
        assert!(error.body.is_none(), "it was handled");
        assert_eq!(
            error.to_string(),
            "`atlas://places` did not reply: the reply is no JSON: key must be a string"
        );
    }
    assert_eq!(address.stats().handled, 3);
    accounted(&address);
    // serde_json writes what is no number as null.
    assert_eq!(runtime.ask::<Value, _>("atlas://heights", ()).await.unwrap(), Value::Null);
}

#[tokio::test]
async fn asks_by_path_may_move_to_other_tasks() {
    let runtime = Runtime::new();
    open_desk(&runtime);
    let asks: Vec<_> = (0..8).map(|id| runtime.ask::<u64, _>("desk://notes", note(id))).collect();
    assert_eq!(format!("{:?}", asks[0]), "PathAsk { path: \"desk://notes\", .. }");
    let asks: Vec<_> = asks.into_iter().map(tokio::spawn).collect();
    for (id, ask) in asks.into_iter().enumerate() {
        assert_eq!(ask.await.unwrap().unwrap(), id as u64);
    }
}

/// Asks other subsystems, or itself, by path.
struct Relay;
impl Subsystem for Relay {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Forward>("forward");
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Forward(Vec<String>);

impl Handler<Forward> for Relay {
    type Reply = Result<u64, String>;
    async fn handle(&mut self, Forward(mut hops): Forward, cx: &mut Context<Self>) -> Self::Reply {
        let Some(next) = hops.pop() else {
            return cx.paths().ask("desk://notes/7", text(7)).await.map_err(|error| error.to_string());
        };
        let forward = Forward(hops);
        let kept = forward.clone();
        match cx.paths().ask::<Self::Reply, _>(&next, forward).await {
            Ok(reply) => reply,
            Err(error) => {
                assert_eq!(error.body, Some(kept));
                Err(error.to_string())
            }
        }
    }
}

#[tokio::test]
async fn handlers_ask_on_by_path_and_one_that_asks_itself_gets_the_body_back() {
    let runtime = Runtime::new();
    open_desk(&runtime);
    let one = runtime.spawn("one", Relay).unwrap();
    runtime.spawn("two", Relay).unwrap();
    let forward = |hops: &[&str]| Forward(hops.iter().map(|hop| (*hop).to_owned()).collect());
    let reply: Result<u64, String> = runtime.ask("one://forward", forward(&["two://forward"])).await.unwrap();
    assert_eq!(reply, Ok(7));
    let reply: Result<u64, String> = runtime.ask("one://forward", forward(&["one://forward"])).await.unwrap();
    assert_eq!(
        reply,
        Err("`one://forward` did not reply: the asker would wait for itself: `one` -> `one`".to_owned())
    );
    accounted(&one);
}

/// Tells how many were handled at once.
struct Crowd;
impl Subsystem for Crowd {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<List>("list");
    }
}

impl Handler<List> for Crowd {
    type Reply = (usize, usize);
    const BATCH: usize = 8;

    async fn handle(&mut self, list: List, cx: &mut Context<Self>) -> (usize, usize) {
        self.handle_batch(vec![list], cx).await[0]
    }

    async fn handle_batch(&mut self, lists: Vec<List>, _: &mut Context<Self>) -> Vec<(usize, usize)> {
        (0..lists.len()).map(|at| (at, lists.len())).collect()
    }
}

#[tokio::test]
async fn asks_for_all_forms_of_the_reply_are_handled_in_one_batch() {
    let runtime = Runtime::new();
    let crowd = runtime.spawn("crowd", Crowd).unwrap();
    let path = "crowd://list";
    let (first, second, third) = tokio::join!(
        runtime.ask::<(usize, usize), _>(path, ()),
        crowd.ask(List),
        runtime.ask::<(usize, usize), _>(path, List),
    );
    assert_eq!((first.unwrap(), second.unwrap(), third.unwrap()), ((0, 3), (1, 3), (2, 3)));
    let (first, second, third, fourth) = tokio::join!(
        runtime.ask::<Value, _>(path, ()),
        runtime.ask::<Value, _>(path, List),
        runtime.ask::<RawBody, _>(path, ()),
        crowd.ask(List),
    );
    assert_eq!((first.unwrap(), second.unwrap()), (json!([0, 4]), json!([1, 4])));
    assert_eq!((third.unwrap(), fourth.unwrap()), (RawBody::json("[2,4]"), (3, 4)));
    accounted(&crowd);
}

/// Cannot be written without a panic.
#[derive(Debug, Deserialize)]
struct Touchy;
impl Serialize for Touchy {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("touchy on purpose")
    }
}

struct Prince;
impl Subsystem for Prince {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<List>("pea");
    }
}

impl Handler<List> for Prince {
    type Reply = Touchy;
    async fn handle(&mut self, _: List, _: &mut Context<Self>) -> Touchy {
        Touchy
    }
}

#[tokio::test]
async fn a_reply_that_panics_when_it_is_written_costs_its_asker_the_reply_and_the_subsystem_nothing() {
    let runtime = Runtime::new();
    let prince = runtime.spawn("prince", Prince).unwrap();
    for error in [
        runtime.ask::<Value, _>("prince://pea", List).await.unwrap_err(),
        runtime.ask::<RawBody, _>("prince://pea", List).await.unwrap_err(),
    ] {
        assert!(matches!(&error.failure, PathAskFailure::Reply(_)), "{error}");
        assert!(error.to_string().contains("touchy on purpose"), "{error}");
    }
    let _: Touchy = runtime.ask("prince://pea", List).await.unwrap();
    assert_eq!((prince.stats().handled, prince.stats().failed), (3, 0));
    accounted(&prince);
}
