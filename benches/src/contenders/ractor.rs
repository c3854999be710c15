//! ractor.

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};

use crate::contender::{Address, CAPACITY, Contender};
use crate::contenders::directory::Directory;
use crate::message::{Item, Token};
use crate::tally::{Report, Tally};

/// Actors of ractor. Its mailboxes have no bound.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ractor;

/// The actor's behaviour; what it keeps is [`State`].
#[derive(Clone, Copy, Debug)]
pub struct Counter;

/// What the actor keeps.
#[derive(Debug)]
pub struct State {
    tally: Tally,
    next: Option<ActorRef<Message>>,
}

/// All that the actor understands: ractor has one message type for each actor.
#[derive(Debug)]
pub enum Message {
    /// A tell.
    Item(Item),
    /// An ask, and where its answer goes.
    Ask(Item, RpcReplyPort<u64>),
    /// A token to count and pass on.
    Token(Token),
    /// Who is next in the ring, and whom to tell that it was noted.
    Link(ActorRef<Message>, RpcReplyPort<()>),
    /// A question for what was handled.
    Report(RpcReplyPort<Report>),
}

impl Actor for Counter {
    type Msg = Message;
    type State = State;
    type Arguments = Tally;

    async fn pre_start(&self, _: ActorRef<Message>, tally: Tally) -> Result<State, ActorProcessingErr> {
        Ok(State { tally, next: None })
    }

    async fn handle(
        &self,
        _: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Item(item) => state.tally.add(item.number),
            Message::Ask(item, reply) => {
                state.tally.add(item.number);
                reply.send(state.tally.sum())?;
            }
            Message::Token(token) => {
                state.tally.add(token.hop);
                match (token.next(), &state.next) {
                    (Some(token), Some(next)) => next.pass(token).await,
                    _ => state.tally.finish(),
                }
            }
            Message::Link(next, reply) => {
                state.next = Some(next);
                reply.send(())?;
            }
            Message::Report(reply) => reply.send(state.tally.report())?,
        }
        Ok(())
    }
}

impl Address for ActorRef<Message> {
    async fn tell(&self, item: Item) {
        // Like `cast`, without its check of the message's type at run time.
        self.send_message(Message::Item(item)).expect("the actor lives");
        if item.turn.is_multiple_of(CAPACITY as u64) {
            // Its sender cannot wait for room, but it can ask now and then how far the actor is. It need not, for
            // nothing is lost without; but a queue that stays in the caches is 10 to 25 % faster.
            self.report().await;
        }
    }

    async fn ask(&self, item: Item) -> u64 {
        let answer = self.call(|reply| Message::Ask(item, reply), None).await;
        answer.expect("the actor lives").expect("the actor answers")
    }

    async fn pass(&self, token: Token) {
        self.send_message(Message::Token(token)).expect("the actor lives");
    }

    async fn link(&self, next: Self) {
        let answer = self.call(|reply| Message::Link(next, reply), None).await;
        answer.expect("the actor lives").expect("the actor answers")
    }

    async fn report(&self) -> Report {
        let answer = self.call(Message::Report, None).await;
        answer.expect("the actor lives").expect("the actor answers")
    }

    async fn stop(&self) {
        ractor::ActorCell::stop(self, None);
    }
}

impl Contender for Ractor {
    const NAME: &'static str = "ractor";
    const PACKAGE: &'static str = "ractor";
    type Address = ActorRef<Message>;
    type Paths = Directory<Self::Address>;

    fn notes() -> &'static str {
        "its mailbox cannot be bounded and its senders cannot wait for room; one of 1024 tells is followed by an ask, \
         which keeps the queue short and is faster than none; send_message (cast without the type check at run \
         time) and call; spawn().await, which starts the actor before it returns (spawn_instant needs two tasks); \
         built without message_span_propogation"
    }

    async fn spawn(&self, tally: Tally) -> ActorRef<Message> {
        let (address, _) = Actor::spawn(None, Counter, tally).await.expect("the actor starts");
        address
    }
}
