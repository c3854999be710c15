//! By hand over `tokio::sync::mpsc`.

use tokio::sync::mpsc;

use crate::contender::{CAPACITY, Contender};
use crate::contenders::by_hand::{Channel, Counter, Message};
use crate::contenders::directory::Directory;
use crate::tally::Tally;

/// A task that loops over a tokio channel.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioMpsc;

/// The channel's sending half.
#[derive(Clone, Debug)]
pub struct Sender(mpsc::Sender<Message<Sender>>);

impl Channel for Sender {
    async fn put(&self, message: Message<Self>) {
        self.0.send(message).await.expect("the actor lives");
    }
}

impl Contender for TokioMpsc {
    const NAME: &'static str = "tokio-mpsc";
    const PACKAGE: &'static str = "tokio";
    type Address = Sender;
    type Paths = Directory<Self::Address>;

    fn notes() -> &'static str {
        "a hand-written task over mpsc::channel(1024), send().await, a tokio oneshot for each ask; no supervision, \
         no panic containment, no erased message types: what the frameworks add is not in it"
    }

    async fn spawn(&self, tally: Tally) -> Sender {
        let (sender, mut inbox) = mpsc::channel(CAPACITY);
        tokio::spawn(async move {
            let mut counter = Counter::new(tally);
            while let Some(message) = inbox.recv().await {
                if counter.handle(message).await.is_break() {
                    break;
                }
            }
        });
        Sender(sender)
    }
}
