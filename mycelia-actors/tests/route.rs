//! [`Route`]: a path resolved once, and what it does when its target has gone.
#![cfg(not(mycelia_loom))]

mod desk;
mod subsystems;

use std::pin::Pin;
use std::time::Duration;

use mycelia_actors::PathAskFailure;
use mycelia_actors::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use desk::{List, Note, busy, desk, full_desk, in_line, note, open_desk, poll_once, text};
use subsystems::accounted;

#[tokio::test]
async fn a_route_has_the_same_verbs_as_its_path() {
    let runtime = Runtime::new();
    let address = open_desk(&runtime);
    let (notes, seven) = (runtime.route("desk://notes").unwrap(), runtime.route("desk://notes/7").unwrap());
    assert_eq!((seven.path(), seven.name()), ("desk://notes/7", address.name()));
    assert_eq!(format!("{seven:?}"), "Route(\"desk://notes/7\")");
    assert_eq!(notes.tell(note(1)).unwrap(), Told::Queued);
    assert_eq!(seven.tell(text(7)).unwrap(), Told::Queued);
    notes.send(note(2)).await.unwrap();
    seven.send(RawBody::json(text(7).to_string())).await.unwrap();
    assert_eq!(notes.ask::<u64, _>(note(3)).await.unwrap(), 3);
    assert_eq!(seven.ask::<Value, _>(text(7)).await.unwrap(), json!(7));
    assert_eq!(seven.ask::<RawBody, _>(text(7)).await.unwrap(), RawBody::json("7"));
    assert_eq!(address.ask(List).await.unwrap(), [1, 7, 2, 7, 3, 7, 7]);
    accounted(&address);
}

#[tokio::test]
async fn a_path_that_leads_nowhere_has_no_route() {
    let runtime = Runtime::new();
    open_desk(&runtime);
    for (path, text) in [
        ("notes", "`notes`: it names no subsystem: a path reads `name://path`"),
        ("disk://notes", "`disk://notes`: there is no subsystem `disk`"),
        ("desk://note", "`desk://note`: no route for `note`; the nearest pattern is `notes`"),
    ] {
        assert_eq!(runtime.route(path).unwrap_err().to_string(), text);
    }
    // The parameters are read when there is a message.
    let route = runtime.route("desk://notes/seven").unwrap();
    let error = route.tell(text(7)).unwrap_err();
    assert_eq!(error.body, text(7));
    assert_eq!(
        error.to_string(),
        "`desk://notes/seven`: route `notes/{id}`: parameter `id` is `seven`, which is no u64"
    );
}

#[tokio::test]
async fn what_is_not_accepted_comes_back() {
    let runtime = Runtime::new();
    let (address, gate) = full_desk(&runtime, OverflowPolicy::Error).await;
    let (notes, three) = (runtime.route("desk://notes").unwrap(), runtime.route("desk://notes/3").unwrap());
    let is_full = |failure| matches!(failure, PathFailure::Refused(Refusal::Full { capacity: 1 }));
    let error = notes.tell(note(2)).unwrap_err();
    assert!(error.body == note(2) && is_full(error.failure));
    let error = three.tell(text(3)).unwrap_err();
    assert!(error.body == text(3) && is_full(error.failure));
    let error = three.tell(note(3)).unwrap_err();
    assert!(error.body == note(3) && matches!(error.failure, PathFailure::BodyType { .. }));
    let error = notes.ask::<String, _>(note(3)).await.unwrap_err();
    assert!(error.body == Some(note(3)));
    assert!(matches!(error.failure, PathAskFailure::Path(PathFailure::ReplyType { .. })));
    let mut send = notes.send(note(4));
    let mut ask = three.ask::<u64, _>(text(3));
    assert!(poll_once(Pin::new(&mut send)).is_pending());
    assert!(poll_once(Pin::new(&mut ask)).is_pending());
    in_line(&address, 2).await;
    address.stop();
    assert_eq!(send.await.unwrap_err().body, note(4));
    assert_eq!(ask.await.unwrap_err().body, Some(text(3)));
    gate.open();
    address.ended().await;
    accounted(&address);
}

#[tokio::test(start_paused = true)]
async fn an_ask_through_a_route_has_a_deadline() {
    let runtime = Runtime::new();
    let (address, _gate) = desk(&runtime, 8, OverflowPolicy::Error);
    busy(&address).await;
    let route = runtime.route("desk://list").unwrap();
    let within = Duration::from_millis(70);
    let error = route.ask::<Vec<u64>, _>(()).within(within).await.unwrap_err();
    assert!(matches!(error.failure, PathAskFailure::Ask(AskFailure::Deadline(it)) if it == within));
}

/// Ends it, and waits until its name is free.
async fn end(address: &Address<impl Subsystem>) {
    address.stop();
    address.ended().await;
}

#[tokio::test]
async fn a_target_that_was_spawned_again_is_found_by_every_verb() {
    let runtime = Runtime::new();
    let first = open_desk(&runtime);
    let (notes, seven) = (runtime.route("desk://notes").unwrap(), runtime.route("desk://notes/7").unwrap());
    notes.tell(note(1)).unwrap();
    end(&first).await;
    let second = open_desk(&runtime);
    notes.tell(note(2)).unwrap();
    seven.tell(text(7)).unwrap();
    notes.send(note(3)).await.unwrap();
    assert_eq!(seven.ask::<u64, _>(text(7)).await.unwrap(), 7);
    assert_eq!(notes.ask::<Value, _>(note(4)).await.unwrap(), json!(4));
    assert_eq!(second.ask(List).await.unwrap(), [2, 7, 3, 7, 4]);
    assert_eq!(first.stats().handled, 1);
    accounted(&first);
    accounted(&second);
}

/// Another type for the same name.
struct Board;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Tack {
    id: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Card(u64);

impl Subsystem for Board {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Tack>("notes/{id}");
        routes.on::<Card>("notes");
    }
}

impl Handler<Tack> for Board {
    type Reply = String;
    async fn handle(&mut self, tack: Tack, _: &mut Context<Self>) -> String {
        format!("pinned {}", tack.id)
    }
}

impl Handler<Card> for Board {
    type Reply = u64;
    async fn handle(&mut self, Card(number): Card, _: &mut Context<Self>) -> u64 {
        number
    }
}

#[tokio::test]
async fn a_target_of_another_type_under_the_same_name_is_asked_for_its_own_routes() {
    let runtime = Runtime::new();
    let first = open_desk(&runtime);
    let (notes, seven) = (runtime.route("desk://notes").unwrap(), runtime.route("desk://notes/7").unwrap());
    end(&first).await;
    let board = runtime.spawn("desk", Board).unwrap();
    // A body that both take.
    seven.tell(text(7)).unwrap();
    seven.send(text(7)).await.unwrap();
    assert_eq!(seven.ask::<String, _>(text(7)).await.unwrap(), "pinned 7");
    let error = seven.ask::<u64, _>(text(7)).await.unwrap_err();
    assert!(matches!(error.failure, PathAskFailure::Path(PathFailure::ReplyType { .. })));
    // The message of the first does not fit the second.
    let error = notes.tell(note(1)).unwrap_err();
    assert!(error.body == note(1) && matches!(error.failure, PathFailure::BodyType { .. }), "{error}");
    let error = notes.send(note(1)).await.unwrap_err();
    assert!(error.body == note(1) && matches!(error.failure, PathFailure::BodyType { .. }), "{error}");
    let error = notes.ask::<u64, _>(note(1)).await.unwrap_err();
    assert_eq!(error.body, Some(note(1)));
    // That of the second does.
    notes.send(Card(1)).await.unwrap();
    assert_eq!(notes.ask::<u64, _>(Card(2)).await.unwrap(), 2);
    accounted(&board);
}

#[tokio::test]
async fn a_tell_looks_the_name_up_again_before_it_fails_for_another_reason() {
    let runtime = Runtime::new();
    let first = open_desk(&runtime);
    let notes = runtime.route("desk://notes").unwrap();
    end(&first).await;
    let board = runtime.spawn("desk", Board).unwrap();
    // `send` and `ask` do so.
    notes.send(Card(1)).await.unwrap();
    notes.tell(Card(2)).unwrap();
    end(&board).await;
    assert_eq!(board.stats().handled, 2);
    // And when nobody is there any more, that is what is wrong: not the body.
    let error = notes.tell(Card(3)).unwrap_err();
    assert!(matches!(error.failure, PathFailure::NoSubsystem(_)), "{error}");
}

#[tokio::test]
async fn a_message_for_the_new_target_has_no_fate_with_the_old_one() {
    let runtime = Runtime::new();
    let first = open_desk(&runtime);
    let notes = runtime.route("desk://notes").unwrap();
    end(&first).await;
    open_desk(&runtime);
    for id in 0..5 {
        notes.tell(note(id)).unwrap();
    }
    assert_eq!((first.stats().sent, first.stats().returned), (0, 0));
}

#[tokio::test]
async fn a_tell_to_a_target_that_is_stopping_is_counted_once() {
    let runtime = Runtime::new();
    let (address, _gate) = desk(&runtime, 8, OverflowPolicy::Error);
    busy(&address).await;
    let notes = runtime.route("desk://notes").unwrap();
    address.stop();
    assert_eq!(notes.tell(note(1)).unwrap_err().body, note(1));
    assert_eq!((address.stats().sent, address.stats().returned), (2, 1));
}

#[tokio::test]
async fn the_name_is_looked_up_again_when_the_verb_is_called_and_not_later() {
    let runtime = Runtime::new();
    let first = open_desk(&runtime);
    let notes = runtime.route("desk://notes").unwrap();
    let (send, ask) = (notes.send(note(1)), notes.ask::<u64, _>(note(2)));
    end(&first).await;
    let second = open_desk(&runtime);
    let error = send.await.unwrap_err();
    assert!(error.body == note(1) && matches!(error.failure, PathFailure::Refused(Refusal::Stopped)));
    assert_eq!(ask.await.unwrap_err().body, Some(note(2)));
    assert_eq!((first.stats().returned, second.stats().sent), (2, 0));
}

#[tokio::test]
async fn a_target_that_ended_for_good_gives_every_kind_of_body_back() {
    let runtime = Runtime::new();
    let address = open_desk(&runtime);
    let (notes, seven) = (runtime.route("desk://notes").unwrap(), runtime.route("desk://notes/7").unwrap());
    end(&address).await;
    let is_gone =
        |failure: &PathFailure| matches!(failure, PathFailure::NoSubsystem(name) if &**name == "desk");
    let error = notes.tell(note(1)).unwrap_err();
    assert!(error.body == note(1) && is_gone(&error.failure));
    assert_eq!(error.to_string(), "`desk://notes`: there is no subsystem `desk`");
    let error = seven.tell(text(7)).unwrap_err();
    assert!(error.body == text(7) && is_gone(&error.failure));
    let error = notes.send(note(1)).await.unwrap_err();
    assert!(error.body == note(1) && is_gone(&error.failure));
    let error = notes.ask::<u64, _>(note(1)).await.unwrap_err();
    assert_eq!(error.body, Some(note(1)));
    drop((notes, seven));
    drop(address);
    assert_eq!(runtime.pool_stats().in_use, 0);
}

#[tokio::test]
async fn a_route_ends_with_its_runtime() {
    let runtime = Runtime::new();
    let address = open_desk(&runtime);
    let notes = runtime.route("desk://notes").unwrap();
    drop(runtime);
    address.ended().await;
    let error = notes.tell(note(1)).unwrap_err();
    assert!(matches!(error.failure, PathFailure::NoSubsystem(_)), "{error}");
}

#[tokio::test]
async fn a_restarted_target_is_the_same_target() {
    let runtime = Runtime::new();
    struct Picky(u64);
    impl Subsystem for Picky {
        fn routes(routes: &mut Routes<Self>) {
            routes.on::<Note>("notes");
        }
    }
    impl Handler<Note> for Picky {
        type Reply = u64;
        async fn handle(&mut self, note: Note, _: &mut Context<Self>) -> u64 {
            assert!(note.id > 0, "picky on purpose");
            self.0 += 1;
            self.0
        }
    }
    let picky = runtime.configure("picky").spawn_with(|| Picky(0)).unwrap();
    let notes = runtime.route("picky://notes").unwrap();
    assert_eq!(notes.ask::<u64, _>(note(1)).await.unwrap(), 1);
    let error = notes.ask::<u64, _>(note(0)).await.unwrap_err();
    assert!(matches!(error.failure, PathAskFailure::Ask(AskFailure::Panicked)));
    assert_eq!(notes.ask::<u64, _>(note(1)).await.unwrap(), 1);
    assert_eq!(picky.stats().restarts, 1);
    accounted(&picky);
}

#[tokio::test]
async fn clones_lead_to_the_same_place_from_any_thread() {
    let runtime = Runtime::new();
    let address = open_desk(&runtime);
    let seven = runtime.route("desk://notes/7").unwrap();
    let clone = seven.clone();
    drop(seven);
    let clone = std::thread::spawn(move || {
        clone.tell(text(7)).unwrap();
        clone
    });
    clone.join().unwrap().tell(text(7)).unwrap();
    assert_eq!(address.ask(List).await.unwrap(), [7, 7]);
}
