//! By hand over `kanal`.

use crate::contender::{CAPACITY, Contender};
use crate::contenders::by_hand::{Channel, Counter, Message};
use crate::contenders::directory::Directory;
use crate::tally::Tally;

/// A task that loops over a kanal channel.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kanal;

/// The channel's sending half.
#[derive(Clone, Debug)]
pub struct Sender(kanal::AsyncSender<Message<Sender>>);

impl Channel for Sender {
    async fn put(&self, message: Message<Self>) {
        self.0.send(message).await.expect("the actor lives");
    }
}

impl Contender for Kanal {
    const NAME: &'static str = "kanal";
    const PACKAGE: &'static str = "kanal";
    type Address = Sender;
    type Paths = Directory<Self::Address>;

    fn notes() -> &'static str {
        "a hand-written task over kanal::bounded_async(1024), send().await; kanal's own oneshot is gone since 0.1.0, \
         so each ask has a tokio oneshot; its receiver knows nothing of tokio's budget and yields only when the \
         channel is empty"
    }

    async fn spawn(&self, tally: Tally) -> Sender {
        let (sender, inbox) = kanal::bounded_async(CAPACITY);
        tokio::spawn(async move {
            let mut counter = Counter::new(tally);
            while let Ok(message) = inbox.recv().await {
                if counter.handle(message).await.is_break() {
                    break;
                }
            }
        });
        Sender(sender)
    }
}
