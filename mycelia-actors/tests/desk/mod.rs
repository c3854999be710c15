//! A subsystem that several tests reach by path.
#![allow(dead_code, reason = "each test uses some of it")]

use std::pin::{Pin, pin};
use std::task::{Context as Task, Poll, Waker};

use mycelia_actors::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::subsystems::Gate;

/// Something to be written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    pub(crate) id: u64,
    pub(crate) text: String,
}

pub(crate) fn note(id: u64) -> Note {
    Note { id, text: format!("note {id}") }
}

/// The body that makes a [`Note`] of the path `notes/{id}`.
pub(crate) fn text(id: u64) -> Value {
    json!({"text": format!("note {id}")})
}

/// Makes the handler wait at the gate.
#[derive(Serialize, Deserialize)]
pub(crate) struct Wait;

/// Asks for the numbers of all notes.
#[derive(Serialize, Deserialize)]
pub(crate) struct List;

/// Makes the handler panic.
#[derive(Serialize, Deserialize)]
pub(crate) struct Trip;

/// Takes notes, and none before its gate is open.
pub(crate) struct Desk {
    notes: Vec<u64>,
    gate: Gate,
}

impl Subsystem for Desk {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Note>("notes");
        routes.on::<Note>("notes/{id}");
        routes.on::<List>("list");
        routes.on::<Trip>("trip");
    }
}

impl Handler<Note> for Desk {
    type Reply = u64;
    async fn handle(&mut self, note: Note, _: &mut Context<Self>) -> u64 {
        self.gate.pass().await;
        assert_eq!(note.text, format!("note {}", note.id));
        self.notes.push(note.id);
        note.id
    }
}

impl Handler<List> for Desk {
    type Reply = Vec<u64>;
    async fn handle(&mut self, _: List, _: &mut Context<Self>) -> Vec<u64> {
        self.gate.pass().await;
        self.notes.clone()
    }
}

impl Handler<Trip> for Desk {
    type Reply = ();
    async fn handle(&mut self, _: Trip, _: &mut Context<Self>) {
        self.gate.pass().await;
        panic!("tripped on purpose");
    }
}

impl Handler<Wait> for Desk {
    type Reply = ();
    async fn handle(&mut self, _: Wait, _: &mut Context<Self>) {
        self.gate.pass().await;
    }
}

/// Spawns a desk called `desk`.
pub(crate) fn desk(runtime: &Runtime, capacity: usize, policy: OverflowPolicy) -> (Address<Desk>, Gate) {
    let gate = Gate::default();
    let mailbox = Mailbox::bounded(capacity).overflow(policy);
    let desk = Desk { notes: Vec::new(), gate: gate.clone() };
    (runtime.configure("desk").mailbox(mailbox).spawn(desk).unwrap(), gate)
}

/// Spawns a desk with an open gate.
pub(crate) fn open_desk(runtime: &Runtime) -> Address<Desk> {
    let (desk, gate) = desk(runtime, 8, OverflowPolicy::Error);
    gate.open();
    desk
}

/// Spawns a desk with a full mailbox of 1, whose handler waits at the gate. The message in the mailbox is note 1.
pub(crate) async fn full_desk(runtime: &Runtime, policy: OverflowPolicy) -> (Address<Desk>, Gate) {
    let (address, gate) = desk(runtime, 1, policy);
    busy(&address).await;
    address.tell(note(1)).unwrap();
    (address, gate)
}

/// Returns when the handler waits at the gate, with an empty mailbox.
pub(crate) async fn busy(address: &Address<Desk>) {
    address.tell(Wait).unwrap();
    while address.stats().in_hand == 0 || address.stats().queued > 0 {
        tokio::task::yield_now().await;
    }
}

/// Returns when so many senders are in line.
pub(crate) async fn in_line(address: &Address<Desk>, senders: u64) {
    while address.stats().waiting < senders {
        tokio::task::yield_now().await;
    }
}

/// Polls a future once, with nobody to be woken.
pub(crate) fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Task::from_waker(Waker::noop()))
}

/// What a future says at its first poll.
pub(crate) fn at_once<F: Future>(future: F) -> F::Output {
    match poll_once(pin!(future)) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}
