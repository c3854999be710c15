//! Mycelia, on two workers and on one thread.

mod by_path;

use std::future::Future;

use mycelia_actors::prelude::*;

use crate::contender::{Address as _, Contender};
use crate::message::{Ask, AskReport, GetUser, Item, Link, Token};
use crate::paths::{GUARDED, PATTERNS, RIGHT};
use crate::tally::{Report, Tally};
use crate::workers::{run_on_one_thread, run_on_two_workers};

pub use by_path::ByPath;

/// Subsystems of Mycelia, unnamed, with the default mailbox. `Mycelia<1>` is what to compare actix on one arbiter with.
#[derive(Clone)]
pub struct Mycelia<const WORKERS: usize>(Runtime);

impl<const WORKERS: usize> Default for Mycelia<WORKERS> {
    fn default() -> Self {
        Self(Runtime::new())
    }
}

/// The subsystem.
pub struct Counter {
    tally: Tally,
    next: Option<Address<Counter>>,
}

impl Subsystem for Counter {
    fn routes(routes: &mut Routes<Self>) {
        for pattern in PATTERNS {
            routes.on::<GetUser>(pattern);
        }
        routes.on::<GetUser>(GUARDED).scope(RIGHT);
    }
}

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

impl Handler<GetUser> for Counter {
    type Reply = u64;

    async fn handle(&mut self, user: GetUser, _: &mut Context<Self>) -> u64 {
        self.tally.add(user.id);
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

impl<const WORKERS: usize> Contender for Mycelia<WORKERS> {
    const NAME: &'static str = if WORKERS == 1 { "mycelia-1thread" } else { "mycelia" };
    const PACKAGE: &'static str = "mycelia-actors";
    const KNOWS_CALLERS: bool = true;
    type Address = Address<Counter>;
    type Paths = ByPath;

    fn notes() -> &'static str {
        if WORKERS == 1 {
            "as mycelia, but on tokio's scheduler for one thread: like actix on one arbiter, nothing ever crosses threads"
        } else {
            "the default mailbox (1024, policy Error); a tell is send(..).await, which waits for room, by address, by \
             path and by route; every ask has its default deadline of 5 s; panics are contained, the ledger is kept"
        }
    }

    fn run<S, F, T>(scene: S) -> T
    where
        S: FnOnce(Self) -> F + Send + 'static,
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let play = async {
            let contender = Self::default();
            let outcome = scene(contender.clone()).await;
            contender.end().await;
            outcome
        };
        if WORKERS == 1 { run_on_one_thread(play) } else { run_on_two_workers(play) }
    }

    async fn end(self) {
        self.0.shutdown().await.expect("every subsystem ends");
    }

    async fn spawn(&self, tally: Tally) -> Address<Counter> {
        self.0.spawn_unnamed(Counter { tally, next: None }).expect("the subsystem can be spawned")
    }
}
