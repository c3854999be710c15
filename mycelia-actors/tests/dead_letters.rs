//! Subscriptions to dead letters: what is in a letter, and when a subscription ends.
#![cfg(not(mycelia_loom))]

mod subsystems;

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use mycelia_actors::prelude::*;
use subsystems::{Add, Gate, Gated};

fn full(runtime: &Runtime) -> (Address<Gated>, Gate) {
    let (gated, gate) = Gated::new();
    let mailbox = Mailbox::bounded(1).overflow(OverflowPolicy::DropNewest);
    (runtime.configure("gated").mailbox(mailbox).spawn(gated).unwrap(), gate)
}

#[tokio::test]
async fn a_letter_says_what_was_lost_and_the_subscription_ends_with_the_runtime() {
    let runtime = Runtime::new();
    let letters = runtime.dead_letters(8);
    let (address, gate) = full(&runtime);
    gate.wait_until_busy(&address).await;
    assert_eq!(address.tell(Add(1)).unwrap(), Told::Queued);
    assert_eq!(address.tell(Add(2)).unwrap(), Told::Discarded);
    let letter = letters.recv_async().await.unwrap();
    assert_eq!(letter.to_string(), "a `dead_letters::subsystems::Add` for `gated`: discarded");
    assert_eq!(letter.take_message::<u64>(), None, "of another type");
    assert_eq!(letter.take_message::<Add>(), Some(Add(2)));
    gate.open();
    runtime.shutdown().await.unwrap();
    assert!(letters.recv_async().await.is_err(), "there will be no more");
}

/// Tells when it is dropped.
struct Tells(Address<Gated>);
impl Drop for Tells {
    fn drop(&mut self) {
        self.0.tell(Add(7)).unwrap();
    }
}
impl Handler<Tells> for Gated {
    type Reply = ();
    async fn handle(&mut self, _: Tells, _: &mut Context<Self>) {}
}

#[test]
fn a_letter_may_send_messages_when_it_is_dropped() {
    let (done, finished) = mpsc::channel();
    std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
            let runtime = Runtime::new();
            let letters = runtime.dead_letters(8);
            let (address, gate) = full(&runtime);
            gate.wait_until_busy(&address).await;
            address.tell(Add(1)).unwrap();
            assert_eq!(address.tell(Tells(address.clone())).unwrap(), Told::Discarded);
            drop(letters);
            assert_eq!(address.tell(Add(2)).unwrap(), Told::Discarded);
            done.send(()).unwrap();
        });
    });
    finished.recv_timeout(Duration::from_secs(30)).expect("no lock is held");
}

/// Keeps its subsystem's address alive.
#[expect(dead_code, reason = "they are only held")]
struct Loops(Arc<()>, Address<Gated>);
impl Handler<Loops> for Gated {
    type Reply = ();
    async fn handle(&mut self, _: Loops, _: &mut Context<Self>) {}
}

#[tokio::test]
async fn a_dropped_subscription_keeps_nothing_alive() {
    let runtime = Runtime::new();
    let letters = runtime.dead_letters(8);
    let (address, gate) = full(&runtime);
    gate.wait_until_busy(&address).await;
    let held = Arc::new(());
    address.tell(Loops(Arc::clone(&held), address.clone())).unwrap();
    address.kill();
    address.ended().await;
    assert_eq!(letters.len(), 2, "the one in hand, and the one in the mailbox");
    drop((letters, address, runtime));
    assert_eq!(Arc::strong_count(&held), 1);
}
