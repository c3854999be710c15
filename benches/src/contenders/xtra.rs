//! xtra.

use xtra::{Actor, Context, Handler, Mailbox};

use crate::contender::{Address, CAPACITY, Contender};
use crate::contenders::directory::Directory;
use crate::message::{Ask, AskReport, Item, Link, Stop, Token};
use crate::tally::{Report, Tally};

/// Actors of xtra, with bounded mailboxes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Xtra;

/// The actor.
#[derive(Debug)]
pub struct Counter {
    tally: Tally,
    next: Option<xtra::Address<Counter>>,
}

impl Actor for Counter {
    type Stop = ();

    async fn stopped(self) {}
}

impl Handler<Item> for Counter {
    type Return = ();

    async fn handle(&mut self, item: Item, _: &mut Context<Self>) {
        self.tally.add(item.number);
    }
}

impl Handler<Ask> for Counter {
    type Return = u64;

    async fn handle(&mut self, Ask(item): Ask, _: &mut Context<Self>) -> u64 {
        self.tally.add(item.number);
        self.tally.sum()
    }
}

impl Handler<Token> for Counter {
    type Return = ();

    async fn handle(&mut self, token: Token, _: &mut Context<Self>) {
        self.tally.add(token.hop);
        match (token.next(), &self.next) {
            (Some(token), Some(next)) => next.pass(token).await,
            _ => self.tally.finish(),
        }
    }
}

impl Handler<Link<xtra::Address<Counter>>> for Counter {
    type Return = ();

    async fn handle(&mut self, Link(next): Link<xtra::Address<Counter>>, _: &mut Context<Self>) {
        self.next = Some(next);
    }
}

impl Handler<AskReport> for Counter {
    type Return = Report;

    async fn handle(&mut self, _: AskReport, _: &mut Context<Self>) -> Report {
        self.tally.report()
    }
}

impl Handler<Stop> for Counter {
    type Return = ();

    async fn handle(&mut self, _: Stop, cx: &mut Context<Self>) {
        cx.stop_self();
    }
}

impl Address for xtra::Address<Counter> {
    async fn tell(&self, item: Item) {
        // Detached, it waits until the message is in the mailbox, not until it is handled.
        let _reply = self.send(item).detach().await.expect("the actor lives");
    }

    async fn ask(&self, item: Item) -> u64 {
        self.send(Ask(item)).await.expect("the actor answers")
    }

    async fn pass(&self, token: Token) {
        let _reply = self.send(token).detach().await.expect("the actor lives");
    }

    async fn link(&self, next: Self) {
        self.send(Link(next)).await.expect("the actor answers");
    }

    async fn report(&self) -> Report {
        self.send(AskReport).await.expect("the actor answers")
    }

    async fn stop(&self) {
        let _reply = self.send(Stop).detach().await.expect("the actor lives");
    }
}

impl Contender for Xtra {
    const NAME: &'static str = "xtra";
    const PACKAGE: &'static str = "xtra";
    type Address = xtra::Address<Counter>;
    type Paths = Directory<Self::Address>;

    fn notes() -> &'static str {
        "Mailbox::bounded(1024); a tell is send(..).detach().await, which makes a place for a reply all the same; \
         its mailbox is a heap by priority and does not keep the order of messages of one priority"
    }

    async fn spawn(&self, tally: Tally) -> xtra::Address<Counter> {
        xtra::spawn_tokio(Counter { tally, next: None }, Mailbox::bounded(CAPACITY))
    }
}
