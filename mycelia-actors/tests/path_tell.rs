//! `tell` by path: where it goes, and how the body comes back.
#![cfg(not(mycelia_loom))]

mod desk;
mod subsystems;

use mycelia_actors::prelude::*;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use desk::{List, Note, Wait, busy, desk, full_desk, note, open_desk, text};
use subsystems::accounted;

#[tokio::test]
async fn messages_by_path_and_by_address_are_handled_in_one_order() {
    let runtime = Runtime::new();
    let (address, gate) = desk(&runtime, 100, OverflowPolicy::Error);
    for id in (0..100).step_by(5) {
        let path = |id: u64| format!("desk://notes/{id}");
        assert_eq!(address.tell(note(id)).unwrap(), Told::Queued);
        assert_eq!(runtime.tell("desk://notes", note(id + 1)).unwrap(), Told::Queued);
        assert_eq!(runtime.tell(&path(id + 2), text(id + 2)).unwrap(), Told::Queued);
        let body = RawBody::json(text(id + 3).to_string());
        assert_eq!(runtime.tell(&path(id + 3), body).unwrap(), Told::Queued);
        let body = json!({"id": id + 4, "text": format!("note {}", id + 4)});
        assert_eq!(runtime.tell("desk://notes", body).unwrap(), Told::Queued);
    }
    gate.open();
    assert_eq!(address.ask(List).await.unwrap(), (0..100).collect::<Vec<_>>());
    accounted(&address);
}

/// Cannot be read.
#[derive(Serialize)]
struct Sealed(String);

impl<'de> Deserialize<'de> for Sealed {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("it was read"))
    }
}

struct Vault;
impl Subsystem for Vault {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Sealed>("in");
        routes.on::<Sealed>("in/{name}");
    }
}

impl Handler<Sealed> for Vault {
    type Reply = usize;
    async fn handle(&mut self, sealed: Sealed, _: &mut Context<Self>) -> usize {
        sealed.0.as_ptr().addr()
    }
}

#[tokio::test]
async fn a_typed_body_moves_and_is_not_read_again() {
    let runtime = Runtime::new();
    runtime.spawn("vault", Vault).unwrap();
    let sealed = Sealed("where it is, it stays".to_owned());
    let place = sealed.0.as_ptr().addr();
    assert_eq!(runtime.ask::<usize, _>("vault://in", sealed).await.unwrap(), place);
    let error = runtime.tell("vault://in", json!("x")).unwrap_err();
    assert_eq!(error.to_string(), "`vault://in`: route `in`: it was read");
}

#[tokio::test]
async fn a_typed_body_may_not_disagree_with_the_parameters_of_its_path() {
    let runtime = Runtime::new();
    let address = open_desk(&runtime);
    let error = runtime.tell("desk://notes/7", note(7)).unwrap_err();
    assert_eq!(error.body, note(7));
    assert_eq!(
        error.to_string(),
        "`desk://notes/7`: route `notes/{id}` takes its parameters, and beside them nothing (`()`) or a JSON \
         object (`Value`, `RawBody`), which cannot contradict them; the body is a `path_tell::desk::Note`"
    );
    let error = runtime.tell("desk://notes", "note 7").unwrap_err();
    assert_eq!(error.body, "note 7");
    assert_eq!(
        error.to_string(),
        "`desk://notes`: route `notes` takes a `path_tell::desk::Note`, or JSON that makes one (`Value`, `RawBody::json(text)`); the body is a `&str`"
    );
    assert_eq!((address.stats().sent, runtime.path_stats().bad_body), (0, 2));
}

fn is_full(failure: &PathFailure) -> bool {
    matches!(failure, PathFailure::Refused(Refusal::Full { capacity: 1 }))
}

#[tokio::test]
async fn a_full_mailbox_gives_every_kind_of_body_back() {
    let runtime = Runtime::new();
    let (address, gate) = full_desk(&runtime, OverflowPolicy::Error).await;
    let error = runtime.tell("desk://notes", note(2)).unwrap_err();
    assert!(error.body == note(2) && is_full(&error.failure));
    assert_eq!(
        error.without_body().to_string(),
        "`desk://notes`: its mailbox is full (1 messages)",
        "as the typed lane says it"
    );
    let error = runtime.tell("desk://notes/3", text(3)).unwrap_err();
    assert!(error.body == text(3) && is_full(&error.failure));
    let raw = RawBody::json(text(4).to_string());
    let error = runtime.tell("desk://notes/4", raw.clone()).unwrap_err();
    assert!(error.body == raw && is_full(&error.failure));
    assert!(is_full(&runtime.tell("desk://list", ()).unwrap_err().failure));
    assert_eq!(address.stats().returned, 4);
    gate.open();
    assert_eq!(address.ask(List).await.unwrap(), [1]);
    accounted(&address);
}

#[tokio::test]
async fn the_drop_policies_say_what_happened() {
    for (policy, told, left) in
        [(OverflowPolicy::DropOldest, Told::Evicted, [3]), (OverflowPolicy::DropNewest, Told::Discarded, [1])]
    {
        let runtime = Runtime::new();
        let letters = runtime.dead_letters(8);
        let (address, gate) = full_desk(&runtime, policy).await;
        assert_eq!(runtime.tell("desk://notes", note(2)).unwrap(), told);
        assert_eq!(runtime.tell("desk://notes/3", text(3)).unwrap(), told);
        gate.open();
        assert_eq!(address.ask(List).await.unwrap(), left);
        let lost: Vec<_> = letters.drain().map(|letter| letter.take_message::<Note>().unwrap().id).collect();
        assert_eq!(lost, if told == Told::Evicted { [1, 2] } else { [2, 3] });
        accounted(&address);
    }
}

#[tokio::test]
async fn a_subsystem_that_stops_gives_the_body_back_until_its_name_is_gone() {
    let runtime = Runtime::new();
    let (address, gate) = desk(&runtime, 8, OverflowPolicy::DropOldest);
    busy(&address).await;
    address.stop();
    for error in [
        runtime.tell("desk://notes", note(1)).map_err(|error| (error.body, error.failure)),
        runtime.tell("desk://notes/1", text(1)).map_err(|error| {
            assert_eq!(error.body, text(1));
            (note(1), error.failure)
        }),
    ] {
        let (body, failure) = error.unwrap_err();
        assert_eq!(body, note(1));
        assert!(matches!(failure, PathFailure::Refused(Refusal::Stopped)));
    }
    gate.open();
    address.ended().await;
    let error = runtime.tell("desk://notes", note(2)).unwrap_err();
    assert_eq!(error.body, note(2));
    assert_eq!(error.to_string(), "`desk://notes`: there is no subsystem `desk`");
    assert_eq!(address.stats().returned, 2);
    accounted(&address);
}

#[tokio::test]
async fn an_exhausted_pool_gives_the_body_back() {
    let messages = MessagePool::capacity(2).fail_when_exhausted();
    let runtime = Runtime::builder().messages(messages).build();
    let (address, gate) = full_desk(&runtime, OverflowPolicy::Error).await;
    let is_exhausted =
        |failure| matches!(failure, PathFailure::Refused(Refusal::PoolExhausted { capacity: 2 }));
    let error = runtime.tell("desk://notes", note(2)).unwrap_err();
    assert!(error.body == note(2) && is_exhausted(error.failure));
    let error = runtime.tell("desk://notes/3", text(3)).unwrap_err();
    assert!(error.body == text(3) && is_exhausted(error.failure));
    assert_eq!(address.stats().returned, 2);
    gate.open();
    address.stop();
    address.ended().await;
    accounted(&address);
    assert_eq!(runtime.pool_stats().in_use, 0);
}

#[tokio::test]
async fn a_path_that_leads_nowhere_is_an_error_with_the_body_inside() {
    let runtime = Runtime::new();
    let address = open_desk(&runtime);
    for (path, text) in [
        ("", "``: it names no subsystem: a path reads `name://path`"),
        ("notes", "`notes`: it names no subsystem: a path reads `name://path`"),
        ("desk:/notes", "`desk:/notes`: it names no subsystem: a path reads `name://path`"),
        ("disk://notes", "`disk://notes`: there is no subsystem `disk`"),
        ("Desk://notes", "`Desk://notes`: there is no subsystem `Desk`"),
        ("desk://", "`desk://`: it is empty"),
        ("desk://note", "`desk://note`: no route for `note`; the nearest pattern is `notes`"),
        (
            "desk://notes/1/2",
            "`desk://notes/1/2`: no route for `notes/1/2`; the nearest pattern is `notes/{id}`",
        ),
        ("desk:///notes", "`desk:///notes`: it begins with a slash: leave out the leading slash"),
        ("desk:///", "`desk:///`: it begins with a slash: leave out the leading slash"),
        ("desk://notes/%2E.", "`desk://notes/%2E.`: it has a `..` segment at byte 6"),
        (
            "desk://notes/5%",
            "`desk://notes/5%`: `%` at byte 7 is not followed by two hexadecimal digits (a literal `%` is written `%25`)",
        ),
        ("desk://not%65", "`desk://not%65`: no route for `not%65`; the nearest pattern is `notes`"),
        ("desk://notes/..", "`desk://notes/..`: it has a `..` segment at byte 6"),
        ("desk://notes/\n", "`desk://notes/\n`: it has the control character '\\n' at byte 6"),
        (
            "desk://desk://notes",
            "`desk://desk://notes`: it has an empty segment at byte 6 (no slash at the beginning, at the end, or twice)",
        ),
    ] {
        let error = runtime.tell(path, note(1)).unwrap_err();
        assert_eq!((error.to_string().as_str(), &error.body, &*error.path), (text, &note(1), path));
    }
    assert_eq!(address.stats().sent, 0);
}

#[tokio::test]
async fn a_path_that_begins_behind_the_name_names_no_subsystem() {
    let error = Runtime::new().tell("://notes", ()).unwrap_err();
    assert_eq!(error.to_string(), "`://notes`: it names no subsystem: a path reads `name://path`");
}

#[tokio::test]
async fn a_path_that_is_too_long_is_told_its_own_length() {
    let runtime = Runtime::new();
    open_desk(&runtime);
    let error = runtime.tell(&format!("desk://{}", "a".repeat(5000)), ()).unwrap_err();
    assert!(error.failure.to_string().contains("it is 5000 bytes long"), "{}", error.failure);
}

#[tokio::test]
async fn an_error_does_not_keep_more_of_a_path_than_a_path_may_have() {
    let runtime = Runtime::new();
    let error = runtime.tell(&format!("{}://notes", "a".repeat(1_000_000)), ()).unwrap_err();
    assert!(error.to_string().len() < 5000, "{} bytes", error.to_string().len());
}

struct Clerk;
impl Subsystem for Clerk {}
struct Pass(u64);
impl Handler<Pass> for Clerk {
    type Reply = ();
    async fn handle(&mut self, Pass(id): Pass, cx: &mut Context<Self>) {
        cx.paths().tell(&format!("desk://notes/{id}"), text(id)).unwrap();
    }
}

#[tokio::test]
async fn a_handler_tells_by_path() {
    let runtime = Runtime::new();
    let address = open_desk(&runtime);
    let clerk = runtime.spawn_unnamed(Clerk).unwrap();
    clerk.ask(Pass(5)).await.unwrap();
    assert_eq!(address.ask(List).await.unwrap(), [5]);
}

#[tokio::test]
async fn paths_keep_no_subsystem_alive() {
    let runtime = Runtime::new();
    let (address, _gate) = desk(&runtime, 8, OverflowPolicy::Error);
    let paths = runtime.paths();
    paths.tell("desk://notes", note(1)).unwrap();
    drop(runtime);
    assert!(matches!(address.ended().await, Exit::Killed));
    let error = paths.tell("desk://notes", note(2)).unwrap_err();
    assert!(matches!(error.failure, PathFailure::NoSubsystem(name) if &*name == "desk"));
    assert!(paths.routes().is_empty());
}

#[tokio::test]
async fn errors_fit_a_box_whatever_the_body_is() {
    /// Neither `Sync`, nor to be shown.
    struct Odd(std::cell::Cell<u8>);
    fn fails(runtime: &Runtime) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let odd = Odd(std::cell::Cell::new(1));
        runtime.tell("desk://notes", odd).map_err(|error| {
            assert_eq!(error.body.0.get(), 1);
            error.without_body()
        })?;
        Ok(())
    }
    let error = fails(&Runtime::new()).unwrap_err();
    assert_eq!(error.to_string(), "`desk://notes`: there is no subsystem `desk`");
}

#[tokio::test]
async fn a_message_that_stands_for_a_body_is_still_read_from_one() {
    struct Echo;
    impl Subsystem for Echo {
        fn routes(routes: &mut Routes<Self>) {
            routes.on::<Value>("value");
            routes.on::<()>("unit");
            routes.on::<Option<u64>>("option");
        }
    }
    impl<T: Send + 'static> Handler<T> for Echo {
        type Reply = T;
        async fn handle(&mut self, message: T, _: &mut Context<Self>) -> T {
            message
        }
    }
    let runtime = Runtime::new();
    runtime.spawn("echo", Echo).unwrap();
    let value: Value = runtime.ask("echo://value", json!([1, null])).await.unwrap();
    assert_eq!(value, json!([1, null]));
    let value: Value = runtime.ask("echo://value", RawBody::json("[1,null]")).await.unwrap();
    assert_eq!(value, json!([1, null]));
    let value: Value = runtime.ask("echo://value", ()).await.unwrap();
    assert_eq!(value, Value::Null);
    let _: () = runtime.ask("echo://unit", ()).await.unwrap();
    let option: Option<u64> = runtime.ask("echo://option", ()).await.unwrap();
    assert_eq!(option, None);
    let option: Option<u64> = runtime.ask("echo://option", Some(7_u64)).await.unwrap();
    assert_eq!(option, Some(7));
    let option: Option<u64> = runtime.ask("echo://option", json!(8)).await.unwrap();
    assert_eq!(option, Some(8));
}

#[tokio::test]
async fn a_name_without_routes_takes_no_path() {
    let runtime = Runtime::new();
    runtime.spawn("clerk", Clerk).unwrap();
    let error = runtime.tell("clerk://pass", ()).unwrap_err();
    assert_eq!(error.to_string(), "`clerk://pass`: no route for `pass`");
    // `Wait` is handled by desks, but no path leads to it.
    let address = open_desk(&runtime);
    assert!(runtime.tell("desk://wait", Wait).is_err());
    address.ask(Wait).await.unwrap();
}

#[tokio::test]
async fn names_may_have_every_letter_and_some_signs() {
    let runtime = Runtime::new();
    for name in ["büro-1.2_b", "日本", "7"] {
        let vault = runtime.spawn(name, Vault).unwrap();
        runtime.tell(&format!("{name}://in"), Sealed(String::new())).unwrap();
        vault.stop();
        vault.ended().await;
        assert_eq!(vault.stats().handled, 1);
    }
}
