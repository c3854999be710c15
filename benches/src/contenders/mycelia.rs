//! Mycelia.

use std::sync::Arc;

use mycelia_actors::prelude::*;

use crate::contender::{Address as _, Contender};
use crate::message::{Ask, AskReport, Item, Link, Token};
use crate::tally::{Report, Tally};

/// Subsystems of Mycelia, unnamed, with the default mailbox.
#[derive(Clone)]
pub struct Mycelia(Arc<Runtime>);

impl Default for Mycelia {
    fn default() -> Self {
        Self(Arc::new(Runtime::new()))
    }
}

/// The subsystem.
pub struct Counter {
    tally: Tally,
    next: Option<Address<Counter>>,
}

impl Subsystem for Counter {}

impl Handler<Item> for Counter {
    type Reply = ();

    async fn handle(&mut self, item: Item, _: &mut Context<Self>) {
        self.tally.add(item.number);
    }
}

impl Handler<Ask> for Counter {
    type Reply = u64;

    async fn handle(&mut self, Ask(item): Ask, _: &mut Context<Self>) -> u64 {
        self.tally.add(item.number);
        self.tally.sum()
    }
}

impl Handler<Token> for Counter {
    type Reply = ();

    async fn handle(&mut self, token: Token, _: &mut Context<Self>) {
        self.tally.add(token.hop);
        match (token.next(), &self.next) {
            (Some(token), Some(next)) => next.pass(token).await,
            _ => self.tally.finish(),
        }
    }
}

impl Handler<Link<Address<Counter>>> for Counter {
    type Reply = ();

    async fn handle(&mut self, Link(next): Link<Address<Counter>>, _: &mut Context<Self>) {
        self.next = Some(next);
    }
}

impl Handler<AskReport> for Counter {
    type Reply = Report;

    async fn handle(&mut self, _: AskReport, _: &mut Context<Self>) -> Report {
        self.tally.report()
    }
}

impl crate::contender::Address for Address<Counter> {
    async fn tell(&self, item: Item) {
        self.send(item).await.expect("the subsystem lives");
    }

    async fn ask(&self, item: Item) -> u64 {
        self.ask(Ask(item)).await.expect("the subsystem answers")
    }

    async fn pass(&self, token: Token) {
        self.send(token).await.expect("the subsystem lives");
    }

    async fn link(&self, next: Self) {
        self.ask(Link(next)).await.expect("the subsystem answers");
    }

    async fn report(&self) -> Report {
        self.ask(AskReport).await.expect("the subsystem answers")
    }

    async fn stop(&self) {
        self.stop();
    }
}

impl Contender for Mycelia {
    const NAME: &'static str = "mycelia";
    const PACKAGE: &'static str = "mycelia-actors";
    type Address = Address<Counter>;

    fn notes() -> &'static str {
        "the default mailbox (1024, policy Error); a tell is send(..).await, which waits for room; every ask has its \
         default deadline of 5 s; panics are contained, the ledger is kept"
    }

    async fn end(self) {
        self.0.shutdown().await.expect("every subsystem ends");
    }

    async fn spawn(&self, tally: Tally) -> Address<Counter> {
        self.0.spawn_unnamed(Counter { tally, next: None }).expect("the subsystem can be spawned")
    }
}
