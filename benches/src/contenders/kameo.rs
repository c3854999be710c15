//! kameo.

use std::convert::Infallible;

use kameo::Actor;
use kameo::actor::{ActorRef, Spawn};
use kameo::mailbox;
use kameo::message::{Context, Message};

use crate::contender::{Address, CAPACITY, Contender};
use crate::contenders::directory::Directory;
use crate::message::{Ask, AskReport, Item, Link, Token};
use crate::tally::{Report, Tally};

/// Actors of kameo, with bounded mailboxes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kameo;

/// The actor.
#[derive(Debug)]
pub struct Counter {
    tally: Tally,
    next: Option<ActorRef<Counter>>,
}

impl Actor for Counter {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(counter: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(counter)
    }
}

impl Message<Item> for Counter {
    type Reply = ();

    async fn handle(&mut self, item: Item, _: &mut Context<Self, ()>) {
        self.tally.add(item.number);
    }
}

impl Message<Ask> for Counter {
    type Reply = u64;

    async fn handle(&mut self, Ask(item): Ask, _: &mut Context<Self, u64>) -> u64 {
        self.tally.add(item.number);
        self.tally.sum()
    }
}

impl Message<Token> for Counter {
    type Reply = ();

    async fn handle(&mut self, token: Token, _: &mut Context<Self, ()>) {
        self.tally.add(token.hop);
        match (token.next(), &self.next) {
            (Some(token), Some(next)) => next.pass(token).await,
            _ => self.tally.finish(),
        }
    }
}

impl Message<Link<ActorRef<Counter>>> for Counter {
    type Reply = ();

    async fn handle(&mut self, Link(next): Link<ActorRef<Counter>>, _: &mut Context<Self, ()>) {
        self.next = Some(next);
    }
}

impl Message<AskReport> for Counter {
    type Reply = Result<Report, Infallible>;

    async fn handle(&mut self, _: AskReport, _: &mut Context<Self, Self::Reply>) -> Self::Reply {
        Ok(self.tally.report())
    }
}

impl Address for ActorRef<Counter> {
    async fn tell(&self, item: Item) {
        // `tell(..).await` would box the future of `send`: one more heap request, and nothing gained.
        self.tell(item).send().await.expect("the actor lives");
    }

    async fn ask(&self, item: Item) -> u64 {
        self.ask(Ask(item)).send().await.expect("the actor answers")
    }

    async fn pass(&self, token: Token) {
        self.tell(token).send().await.expect("the actor lives");
    }

    async fn link(&self, next: Self) {
        self.ask(Link(next)).send().await.expect("the actor answers");
    }

    async fn report(&self) -> Report {
        self.ask(AskReport).send().await.expect("the actor answers")
    }

    async fn stop(&self) {
        self.stop_gracefully().await.expect("the actor lives");
    }
}

impl Contender for Kameo {
    const NAME: &'static str = "kameo";
    const PACKAGE: &'static str = "kameo";
    type Address = ActorRef<Counter>;
    type Paths = Directory<Self::Address>;

    fn notes() -> &'static str {
        "mailbox::bounded(1024); tell(..).send().await and ask(..).send().await, which save the boxed future of \
         plain .await (one heap request more); built without its default features macros and tracing"
    }

    async fn spawn(&self, tally: Tally) -> ActorRef<Counter> {
        Counter::spawn_with_mailbox(Counter { tally, next: None }, mailbox::bounded(CAPACITY))
    }
}
