//! By hand over `flume`.

use crate::contender::{CAPACITY, Contender};
use crate::contenders::by_hand::{Channel, Counter, Message};
use crate::contenders::directory::Directory;
use crate::tally::Tally;

/// A task that loops over a flume channel.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flume;

/// The channel's sending half.
#[derive(Clone, Debug)]
pub struct Sender(flume::Sender<Message<Sender>>);

impl Channel for Sender {
    async fn put(&self, message: Message<Self>) {
        self.0.send_async(message).await.expect("the actor lives");
    }
}

impl Contender for Flume {
    const NAME: &'static str = "flume";
    const PACKAGE: &'static str = "flume";
    type Address = Sender;
    type Paths = Directory<Self::Address>;

    fn notes() -> &'static str {
        "a hand-written task over flume::bounded(1024), send_async().await, a tokio oneshot for each ask; its \
         receiver knows nothing of tokio's budget and yields only when the channel is empty"
    }

    async fn spawn(&self, tally: Tally) -> Sender {
        let (sender, inbox) = flume::bounded(CAPACITY);
        tokio::spawn(async move {
            let mut counter = Counter::new(tally);
            while let Ok(message) = inbox.recv_async().await {
                if counter.handle(message).await.is_break() {
                    break;
                }
            }
        });
        Sender(sender)
    }
}
