//! actix, on one arbiter and on two.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix::dev::SendError;
use actix::{
    Actor, ActorContext, Addr, Arbiter, ArbiterHandle, Context, Handler, Message, MessageResult, System,
};
use tokio::task::yield_now;

use crate::contender::{Address, CAPACITY, Contender};
use crate::contenders::directory::Directory;
use crate::message::{Ask, AskReport, Item, Link, Stop, Token};
use crate::tally::{Report, Tally};

/// Actors of actix on its own threads: `Actix<1>` keeps senders and actors on one arbiter, `Actix<2>` puts every
/// other actor, beginning with the first, on a second one.
#[derive(Clone, Debug, Default)]
pub struct Actix<const ARBITERS: usize> {
    second: Option<ArbiterHandle>,
    spawned: Arc<AtomicUsize>,
}

/// The actor.
#[derive(Debug)]
pub struct Counter {
    tally: Tally,
    next: Option<Addr<Counter>>,
}

impl Counter {
    fn start_bounded(tally: Tally, cx: &mut Context<Self>) -> Self {
        cx.set_mailbox_capacity(CAPACITY);
        Self { tally, next: None }
    }
}

impl Actor for Counter {
    type Context = Context<Self>;
}

impl Message for Item {
    type Result = ();
}

impl Message for Ask {
    type Result = u64;
}

impl Message for Token {
    type Result = ();
}

impl<A> Message for Link<A> {
    type Result = ();
}

impl Message for AskReport {
    type Result = Report;
}

impl Message for Stop {
    type Result = ();
}

impl Handler<Item> for Counter {
    type Result = ();

    fn handle(&mut self, item: Item, _: &mut Context<Self>) {
        self.tally.add(item.number);
    }
}

impl Handler<Ask> for Counter {
    type Result = u64;

    fn handle(&mut self, Ask(item): Ask, _: &mut Context<Self>) -> u64 {
        self.tally.add(item.number);
        self.tally.sum()
    }
}

impl Handler<Token> for Counter {
    type Result = ();

    fn handle(&mut self, token: Token, _: &mut Context<Self>) {
        self.tally.add(token.hop);
        match (token.next(), &self.next) {
            // A handler of actix is not async and cannot wait; one token finds room everywhere.
            (Some(token), Some(next)) => next.try_send(token).expect("there is room"),
            _ => self.tally.finish(),
        }
    }
}

impl Handler<Link<Addr<Counter>>> for Counter {
    type Result = ();

    fn handle(&mut self, Link(next): Link<Addr<Counter>>, _: &mut Context<Self>) {
        self.next = Some(next);
    }
}

impl Handler<AskReport> for Counter {
    type Result = MessageResult<AskReport>;

    fn handle(&mut self, _: AskReport, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.tally.report())
    }
}

impl Handler<Stop> for Counter {
    type Result = ();

    fn handle(&mut self, _: Stop, cx: &mut Context<Self>) {
        cx.stop();
    }
}

impl Address for Addr<Counter> {
    async fn tell(&self, item: Item) {
        match self.try_send(item) {
            // Sender and actors share a thread. Left alone, the sender fills all mailboxes first: with a hundred
            // actors that is more than the caches hold, and twice as slow.
            Ok(()) if item.turn.is_multiple_of(CAPACITY as u64) => yield_now().await,
            Ok(()) => {}
            // Nothing in actix waits for room alone: `send` also waits until its message is handled.
            Err(SendError::Full(item)) => self.send(item).await.expect("the actor lives"),
            Err(SendError::Closed(_)) => panic!("the actor lives"),
        }
    }

    async fn ask(&self, item: Item) -> u64 {
        self.send(Ask(item)).await.expect("the actor answers")
    }

    async fn pass(&self, token: Token) {
        self.try_send(token).expect("there is room");
    }

    async fn link(&self, next: Self) {
        self.send(Link(next)).await.expect("the actor answers");
    }

    async fn report(&self) -> Report {
        self.send(AskReport).await.expect("the actor answers")
    }

    async fn stop(&self) {
        self.do_send(Stop);
    }
}

impl<const ARBITERS: usize> Contender for Actix<ARBITERS> {
    const NAME: &'static str = if ARBITERS == 1 { "actix" } else { "actix-2arbiters" };
    const PACKAGE: &'static str = "actix";
    type Address = Addr<Counter>;
    type Paths = Directory<Self::Address>;

    fn notes() -> &'static str {
        if ARBITERS == 1 {
            "senders and actors share one arbiter, that is one thread: no message ever crosses threads, and the second \
             core is idle; mailbox capacity 1024; a tell is try_send, and when that finds the mailbox full send().await, \
             which waits until the mailbox is drained; a sender yields after 1024 messages, for else it fills all \
             mailboxes of a scene before an actor runs (half as fast); its handlers are not async"
        } else {
            "as actix, but every other actor, beginning with the first, is on a second arbiter: each hop of the ring \
             and each ask crosses threads, and mostly has to wake the other one"
        }
    }

    fn run<S, F, T>(scene: S) -> T
    where
        S: FnOnce(Self) -> F + Send + 'static,
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let system = System::new();
        let second = (ARBITERS > 1).then(Arbiter::new);
        let actix = Self { second: second.as_ref().map(Arbiter::handle), spawned: Arc::default() };
        let outcome = system.block_on(async move { actix_rt::spawn(scene(actix)).await });
        if let Some(second) = second {
            second.stop();
            second.join().expect("no actor panics");
        }
        outcome.expect("the scene does not panic")
    }

    async fn spawn(&self, tally: Tally) -> Addr<Counter> {
        let first = self.spawned.fetch_add(1, Ordering::Relaxed) % 2 == 1;
        match &self.second {
            Some(second) if !first => {
                Counter::start_in_arbiter(second, |cx| Counter::start_bounded(tally, cx))
            }
            _ => Counter::create(|cx| Counter::start_bounded(tally, cx)),
        }
    }

    fn sender<F>(&self, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        actix_rt::spawn(work);
    }
}
