//! Handlers that take queued neighbours together.
#![cfg(not(mycelia_loom))]

mod subsystems;

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use mycelia_actors::prelude::*;
use mycelia_actors::{Ask, AskFailure};
use subsystems::{Gate, accounted};

/// Writes down which rows came together.
#[derive(Default)]
struct Table {
    statements: Vec<Vec<u32>>,
    gate: Gate,
}
impl Subsystem for Table {}

struct Insert(u32);
impl Handler<Insert> for Table {
    type Reply = u32;
    const BATCH: usize = 3;

    async fn handle(&mut self, row: Insert, cx: &mut Context<Self>) -> u32 {
        self.handle_batch(vec![row], cx).await[0]
    }

    /// Replies with the rows times ten; one that is 99 panics, and one that is 88 is forgotten.
    async fn handle_batch(&mut self, rows: Vec<Insert>, _: &mut Context<Self>) -> Vec<u32> {
        let rows: Vec<u32> = rows.into_iter().map(|Insert(row)| row).collect();
        self.statements.push(rows.clone());
        self.gate.pass().await;
        assert!(!rows.contains(&99));
        rows.into_iter().filter(|&row| row != 88).map(|row| row * 10).collect()
    }
}

/// Not a batch: comes between.
struct Statements;
impl Handler<Statements> for Table {
    type Reply = Vec<Vec<u32>>;
    async fn handle(&mut self, _: Statements, _: &mut Context<Self>) -> Vec<Vec<u32>> {
        self.statements.clone()
    }
}

/// Polls an ask once, so that its message is in the mailbox.
async fn send(ask: &mut Ask<'_, Insert, u32>) {
    let mut ask = Pin::new(ask);
    let sent = poll_fn(|task| Poll::Ready(ask.as_mut().poll(task).is_pending())).await;
    assert!(sent);
}

fn open() -> Gate {
    let gate = Gate::default();
    gate.open();
    gate
}

fn table(runtime: &Runtime, gate: &Gate) -> Address<Table> {
    let gate = gate.clone();
    let make = move || Table { statements: Vec::new(), gate: gate.clone() };
    runtime.configure("table").spawn_with(make).unwrap()
}

// One thread: nothing is handled before the test awaits.
#[tokio::test]
async fn neighbours_of_one_type_come_together_and_in_order() {
    let runtime = Runtime::new();
    let table = table(&runtime, &open());
    table.tell_many((1..=4).map(Insert)).unwrap();
    table.tell(Statements).unwrap();
    table.tell(Insert(5)).unwrap();
    assert_eq!(table.ask(Statements).await.unwrap(), [vec![1, 2, 3], vec![4], vec![5]]);
    assert_eq!(table.stats().handled, 7);
    accounted(&table);
}

#[tokio::test]
async fn each_asker_gets_its_own_reply_and_those_who_left_are_skipped() {
    let runtime = Runtime::new();
    let table = table(&runtime, &open());
    let [mut first, mut second, mut third] = [1, 2, 3].map(|row| table.ask(Insert(row)));
    for ask in [&mut first, &mut second, &mut third] {
        send(ask).await;
    }
    drop(second);
    assert_eq!((first.await.unwrap(), third.await.unwrap()), (10, 30));
    assert_eq!(table.ask(Statements).await.unwrap().concat(), [1, 3]);
    let stats = table.stats();
    assert_eq!((stats.handled, stats.expired), (3, 1));
    accounted(&table);
}

#[tokio::test]
async fn a_panic_or_a_forgotten_reply_fails_the_batch_and_nothing_behind_it() {
    for bad in [99, 88] {
        let runtime = Runtime::new();
        let letters = runtime.dead_letters(8);
        let table = table(&runtime, &open());
        table.tell(Insert(1)).unwrap();
        let mut asking = table.ask(Insert(bad));
        send(&mut asking).await;
        table.tell_many([2, 3].map(Insert)).unwrap();
        assert_eq!(asking.await.unwrap_err().failure, AskFailure::Panicked);
        assert_eq!(table.ask(Statements).await.unwrap(), [[3]], "the new state goes on with the rest");
        let stats = table.stats();
        assert_eq!((stats.failed, stats.handled, stats.restarts), (3, 2, 1));
        accounted(&table);
        assert_eq!(letters.drain().count(), 3);
    }
}

#[tokio::test]
async fn a_kill_fails_the_batch_in_hand_and_the_rest_is_undelivered() {
    let runtime = Runtime::new();
    let table = table(&runtime, &Gate::default());
    table.tell_many((1..=5).map(Insert)).unwrap();
    while table.stats().in_hand == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(table.stats().in_hand, 3);
    table.kill();
    table.ended().await;
    let stats = table.stats();
    assert_eq!((stats.failed, stats.undelivered), (3, 2));
    accounted(&table);
    assert_eq!(runtime.pool_stats().in_use, 0);
}

/// Leaves `handle_batch` as it is.
struct Adder(u32);
impl Subsystem for Adder {}
impl Handler<Insert> for Adder {
    type Reply = u32;
    const BATCH: usize = 64;
    async fn handle(&mut self, Insert(n): Insert, _: &mut Context<Self>) -> u32 {
        self.0 += n;
        self.0
    }
}

#[tokio::test]
async fn by_default_a_batch_is_handled_one_by_one() {
    let runtime = Runtime::new();
    let adder = runtime.spawn_unnamed(Adder(0)).unwrap();
    adder.tell_many((1..=99).map(Insert)).unwrap();
    assert_eq!(adder.ask(Insert(1)).await.unwrap(), 99 * 100 / 2 + 1);
    assert_eq!(adder.stats().handled, 100);
}
