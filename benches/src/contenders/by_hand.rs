//! An actor written by hand: a task that loops over a channel. Shared by the channels that take part.

use std::ops::ControlFlow;

use tokio::sync::oneshot;

use crate::contender::Address;
use crate::message::{Item, Token};
use crate::tally::{Report, Tally};

/// The sending half of a bounded channel of messages to an actor.
pub trait Channel: Clone + Send + Sync + 'static {
    /// Puts a message in, waiting for room.
    fn put(&self, message: Message<Self>) -> impl Future<Output = ()> + Send;
}

/// All that a hand-written actor understands.
#[derive(Debug)]
pub enum Message<A> {
    /// A tell.
    Item(Item),
    /// An ask, and where its answer goes.
    Ask(Item, oneshot::Sender<u64>),
    /// A token to count and pass on.
    Token(Token),
    /// Who is next in the ring, and whom to tell that it was noted.
    Link(A, oneshot::Sender<()>),
    /// A question for what was handled.
    Report(oneshot::Sender<Report>),
    /// The end.
    Stop,
}

/// The actor.
#[derive(Debug)]
pub struct Counter<A> {
    tally: Tally,
    next: Option<A>,
}

impl<A: Address> Counter<A> {
    /// An actor that is not linked to another.
    pub fn new(tally: Tally) -> Self {
        Self { tally, next: None }
    }

    /// Handles one message; breaks at the last. An asker who went away is no concern of the actor.
    #[inline]
    pub async fn handle(&mut self, message: Message<A>) -> ControlFlow<()> {
        match message {
            Message::Item(item) => self.tally.add(item.number),
            Message::Ask(item, reply) => {
                self.tally.add(item.number);
                let _ = reply.send(self.tally.sum());
            }
            Message::Token(token) => {
                self.tally.add(token.hop);
                match (token.next(), &self.next) {
                    (Some(token), Some(next)) => next.pass(token).await,
                    _ => self.tally.finish(),
                }
            }
            Message::Link(next, reply) => {
                self.next = Some(next);
                let _ = reply.send(());
            }
            Message::Report(reply) => {
                let _ = reply.send(self.tally.report());
            }
            Message::Stop => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }
}

impl<C: Channel> Address for C {
    async fn tell(&self, item: Item) {
        self.put(Message::Item(item)).await;
    }

    async fn ask(&self, item: Item) -> u64 {
        let (reply, answer) = oneshot::channel();
        self.put(Message::Ask(item, reply)).await;
        answer.await.expect("the actor answers")
    }

    async fn pass(&self, token: Token) {
        self.put(Message::Token(token)).await;
    }

    async fn link(&self, next: Self) {
        let (reply, answer) = oneshot::channel();
        self.put(Message::Link(next, reply)).await;
        answer.await.expect("the actor answers");
    }

    async fn report(&self) -> Report {
        let (reply, answer) = oneshot::channel();
        self.put(Message::Report(reply)).await;
        answer.await.expect("the actor answers")
    }

    async fn stop(&self) {
        self.put(Message::Stop).await;
    }
}
