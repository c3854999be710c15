//! `send` by path: waiting for room, giving up, and what comes back.
#![cfg(not(mycelia_loom))]

mod desk;
mod subsystems;

use std::pin::Pin;

use mycelia_actors::prelude::*;
use serde::{Deserialize, Serialize};

use desk::{List, at_once, desk, full_desk, in_line, note, open_desk, poll_once, text};
use subsystems::accounted;

const ALL: [OverflowPolicy; 3] =
    [OverflowPolicy::DropOldest, OverflowPolicy::DropNewest, OverflowPolicy::Error];

#[tokio::test]
async fn a_send_waits_for_room_under_every_policy() {
    for policy in ALL {
        let runtime = Runtime::new();
        let (address, gate) = full_desk(&runtime, policy).await;
        let sender = runtime.clone();
        let sending = tokio::spawn(async move {
            sender.send("desk://notes", note(2)).await.unwrap();
            sender.send("desk://notes/3", text(3)).await.unwrap();
        });
        in_line(&address, 1).await;
        gate.open();
        sending.await.unwrap();
        assert_eq!(address.ask(List).await.unwrap(), [1, 2, 3]);
        accounted(&address);
    }
}

#[tokio::test]
async fn senders_by_path_and_by_address_stand_in_one_line() {
    let runtime = Runtime::new();
    let (address, gate) = full_desk(&runtime, OverflowPolicy::Error).await;
    let mut by_path = runtime.send("desk://notes", note(2));
    let mut by_address = address.send(note(3));
    let mut by_body = runtime.send("desk://notes/4", text(4));
    assert!(poll_once(Pin::new(&mut by_path)).is_pending());
    assert!(poll_once(Pin::new(&mut by_address)).is_pending());
    assert!(poll_once(Pin::new(&mut by_body)).is_pending());
    assert_eq!(address.stats().waiting, 3);
    gate.open();
    by_body.await.unwrap();
    by_address.await.unwrap();
    by_path.await.unwrap();
    assert_eq!(address.ask(List).await.unwrap(), [1, 2, 3, 4]);
    accounted(&address);
}

#[tokio::test]
async fn a_send_that_is_dropped_leaves_no_trace() {
    let runtime = Runtime::new();
    let (address, gate) = full_desk(&runtime, OverflowPolicy::Error).await;
    let before = address.stats().sent;
    drop(runtime.send("desk://notes", note(2)));
    let mut waiting = runtime.send("desk://notes", note(3));
    assert!(poll_once(Pin::new(&mut waiting)).is_pending());
    drop(waiting);
    let mut waiting = runtime.send("desk://notes/4", text(4));
    assert!(poll_once(Pin::new(&mut waiting)).is_pending());
    drop(waiting);
    assert_eq!((address.stats().sent, address.stats().waiting), (before, 0));
    gate.open();
    assert_eq!(address.ask(List).await.unwrap(), [1]);
    accounted(&address);
    runtime.shutdown().await.unwrap();
    assert_eq!(runtime.pool_stats().in_use, 0);
}

#[tokio::test]
async fn a_waiting_send_gets_its_body_back_when_the_subsystem_stops() {
    let runtime = Runtime::new();
    let (address, gate) = full_desk(&runtime, OverflowPolicy::Error).await;
    let mut typed = runtime.send("desk://notes", note(2));
    let mut read = runtime.send("desk://notes/3", text(3));
    assert!(poll_once(Pin::new(&mut typed)).is_pending());
    assert!(poll_once(Pin::new(&mut read)).is_pending());
    address.stop();
    let error = typed.await.unwrap_err();
    assert!(error.body == note(2) && matches!(error.failure, PathFailure::Refused(Refusal::Stopped)));
    assert_eq!(error.to_string(), "`desk://notes`: it is stopping, or has ended");
    let error = read.await.unwrap_err();
    assert!(error.body == text(3) && matches!(error.failure, PathFailure::Refused(Refusal::Stopped)));
    gate.open();
    assert!(matches!(address.ended().await, Exit::Stopped));
    assert_eq!((address.stats().handled, address.stats().returned), (2, 2));
    accounted(&address);
}

#[tokio::test]
async fn a_waiting_send_gets_its_body_back_when_the_subsystem_is_killed() {
    let runtime = Runtime::new();
    let (address, _gate) = full_desk(&runtime, OverflowPolicy::Error).await;
    let mut typed = runtime.send("desk://notes", note(2));
    assert!(poll_once(Pin::new(&mut typed)).is_pending());
    address.kill();
    assert_eq!(typed.await.unwrap_err().body, note(2));
    address.ended().await;
    assert_eq!((address.stats().undelivered, address.stats().failed), (1, 1));
    accounted(&address);
    assert_eq!(runtime.pool_stats().in_use, 0);
}

#[tokio::test]
async fn the_path_is_resolved_at_once_and_nothing_sent_before_the_first_poll() {
    let runtime = Runtime::new();
    let too_early = runtime.send("desk://notes", note(1));
    let address = open_desk(&runtime);
    let error = too_early.await.unwrap_err();
    assert_eq!((error.body, error.failure.to_string()), (note(1), "there is no subsystem `desk`".to_owned()));
    let first = runtime.send("desk://notes", note(1));
    let second = runtime.send("desk://notes", note(2));
    assert_eq!(address.stats().sent, 0);
    second.await.unwrap();
    first.await.unwrap();
    assert_eq!(address.ask(List).await.unwrap(), [2, 1]);
}

#[tokio::test]
async fn what_is_wrong_with_a_path_comes_with_the_body() {
    let runtime = Runtime::new();
    let address = open_desk(&runtime);
    for path in ["notes", "disk://notes", "desk://nothing", "desk://notes/x"] {
        assert_eq!(runtime.send(path, text(1)).await.unwrap_err().body, text(1));
        assert_eq!(runtime.send(path, note(1)).await.unwrap_err().body, note(1));
    }
    assert_eq!(address.stats().sent, 0);
}

#[tokio::test]
async fn an_exhausted_pool_gives_the_body_back() {
    let messages = MessagePool::capacity(2).fail_when_exhausted();
    let runtime = Runtime::builder().messages(messages).build();
    let (address, gate) = full_desk(&runtime, OverflowPolicy::Error).await;
    let error = runtime.send("desk://notes", note(2)).await.unwrap_err();
    assert_eq!(error.body, note(2));
    assert_eq!(error.to_string(), "`desk://notes`: all 2 slots of the message pool are in use");
    assert_eq!(runtime.send("desk://notes/3", text(3)).await.unwrap_err().body, text(3));
    assert_eq!(address.stats().returned, 2);
    gate.open();
    address.stop();
    address.ended().await;
    accounted(&address);
}

#[tokio::test]
async fn a_send_without_a_slot_that_is_dropped_was_never_sent() {
    let messages = MessagePool::capacity(2).fail_when_exhausted();
    let runtime = Runtime::builder().messages(messages).build();
    let (address, _gate) = full_desk(&runtime, OverflowPolicy::Error).await;
    drop(address.send(note(2)));
    assert_eq!((address.stats().sent, address.stats().returned), (2, 0), "by address");
    drop(runtime.send("desk://notes", note(2)));
    assert_eq!((address.stats().sent, address.stats().returned), (2, 0), "by path");
}

struct Narcissus;
impl Subsystem for Narcissus {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Look>("look");
        routes.on::<Glance>("glance/{times}");
    }
}

#[derive(Serialize, Deserialize)]
struct Look;
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Glance {
    times: u64,
}

impl Handler<Look> for Narcissus {
    type Reply = Vec<String>;
    async fn handle(&mut self, _: Look, cx: &mut Context<Self>) -> Vec<String> {
        let paths = cx.paths();
        paths.send("narcissus://glance/1", ()).await.unwrap();
        let send = paths.send("narcissus://glance/2", ()).await.unwrap_err().to_string();
        let tell = paths.tell("narcissus://glance/3", ()).unwrap_err().to_string();
        let ask = paths.ask::<u64, _>("narcissus://glance/4", ()).await.unwrap_err().to_string();
        vec![send, tell, ask]
    }
}

impl Handler<Glance> for Narcissus {
    type Reply = u64;
    async fn handle(&mut self, Glance { times }: Glance, _: &mut Context<Self>) -> u64 {
        times
    }
}

#[tokio::test]
async fn a_subsystem_that_sends_to_its_own_full_mailbox_by_path_gets_an_error() {
    let runtime = Runtime::new();
    let address = runtime.configure("narcissus").mailbox(Mailbox::bounded(1)).spawn(Narcissus).unwrap();
    let errors: Vec<String> = runtime.ask("narcissus://look", ()).await.unwrap();
    assert_eq!(
        errors,
        [
            "`narcissus://glance/2`: the sender would wait for itself: `narcissus` -> `narcissus`",
            "`narcissus://glance/3`: its mailbox is full (1 messages)",
            "`narcissus://glance/4` did not reply: the asker would wait for itself: `narcissus` -> `narcissus`",
        ]
    );
    runtime.shutdown().await.unwrap();
    assert_eq!((address.stats().handled, address.stats().returned), (2, 3));
    accounted(&address);
}

#[tokio::test]
async fn a_send_may_move_to_another_task() {
    let runtime = Runtime::new();
    let (address, gate) = desk(&runtime, 1, OverflowPolicy::Error);
    gate.open();
    let sends = [runtime.send("desk://notes", note(1)), runtime.send("desk://notes", note(2))];
    for send in sends {
        assert_eq!(format!("{send:?}"), "PathSending { path: \"desk://notes\", .. }");
        tokio::spawn(send).await.unwrap().unwrap();
    }
    assert_eq!(address.ask(List).await.unwrap(), [1, 2]);
}

#[tokio::test]
async fn a_send_that_finds_room_does_not_wait() {
    let runtime = Runtime::new();
    let address = open_desk(&runtime);
    at_once(runtime.send("desk://notes", note(1))).unwrap();
    assert_eq!(address.ask(List).await.unwrap(), [1]);
}

#[tokio::test]
#[should_panic = "a send was polled after it was ready"]
async fn a_send_is_not_polled_again() {
    let runtime = Runtime::new();
    open_desk(&runtime);
    let mut send = runtime.send("desk://notes", note(1));
    let _ = poll_once(Pin::new(&mut send));
    let _ = poll_once(Pin::new(&mut send));
}
