//! Subscriptions to dead letters: what is in a letter, and when a subscription ends.
#![cfg(not(mycelia_loom))]

mod subsystems;

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use mycelia_actors::prelude::*;
use mycelia_actors::{RawBody, Reason, Request};
use serde_json::Value;
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
    let letter = letters.recv().await.unwrap();
    assert_eq!(letter.to_string(), "a `dead_letters::subsystems::Add` for `gated`: discarded");
    assert_eq!(letter.take_message::<u64>(), None, "of another type");
    assert_eq!(letter.take_message::<Add>(), Some(Add(2)));
    gate.open();
    runtime.shutdown().await.unwrap();
    assert!(letters.recv().await.is_none(), "there will be no more");
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

/// Fails, or waits until it is killed.
#[derive(serde::Serialize, serde::Deserialize)]
struct Job {
    fails: bool,
}

struct Jobs;
impl Subsystem for Jobs {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Job>("{fails}/job");
        routes.fallback();
    }
}
impl Handler<Job> for Jobs {
    type Reply = u8;
    async fn handle(&mut self, Job { fails }: Job, _: &mut Context<Self>) -> u8 {
        assert!(!fails, "on purpose");
        std::future::pending().await
    }
}
impl Handler<Request> for Jobs {
    type Reply = ();
    async fn handle(&mut self, _: Request, _: &mut Context<Self>) {}
}

#[tokio::test]
async fn a_letter_names_the_route_of_its_message() {
    let runtime = Runtime::new();
    let letters = runtime.dead_letters(8);
    let jobs = runtime.configure("jobs").spawn_with(|| Jobs).unwrap();
    runtime.tell("jobs://true/job", ()).unwrap();
    let failed = letters.recv().await.unwrap();
    assert_eq!((failed.pattern(), failed.reason()), (Some("{fails}/job"), Reason::Failed));
    assert_eq!(failed.to_string(), "a `dead_letters::Job` for `jobs://{fails}/job`: failed");
    // Of each form of a reply, of the fallback, and by address.
    let asking = |fails: bool| {
        let runtime = runtime.clone();
        tokio::spawn(async move {
            match fails {
                false => runtime.ask::<Value, _>("jobs://false/job", ()).await.is_err(),
                true => runtime.ask::<RawBody, _>("jobs://true/job", ()).await.is_err(),
            }
        })
    };
    let asked = [asking(false), asking(true)];
    while jobs.stats().queued == 0 {
        tokio::task::yield_now().await;
    }
    runtime.tell("jobs://anything", ()).unwrap();
    jobs.tell(Job { fails: true }).unwrap();
    jobs.kill();
    jobs.ended().await;
    for asked in asked {
        assert!(asked.await.unwrap());
    }
    let route = Some("{fails}/job");
    let expected = [
        (route, Reason::Failed),
        (route, Reason::Undelivered),
        (Some("{*path}"), Reason::Undelivered),
        (None, Reason::Undelivered),
    ];
    let found: Vec<_> = letters.drain().map(|letter| (letter.pattern(), letter.reason())).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_queue_of_nothing_hands_letters_to_readers_that_wait() {
    let runtime = Runtime::new();
    let letters = runtime.dead_letters(0);
    let (state, gate) = Gated::new();
    let mailbox = Mailbox::bounded(1).overflow(OverflowPolicy::DropNewest);
    let address = runtime.configure_unnamed().mailbox(mailbox).spawn(state).unwrap();
    gate.wait_until_busy(&address).await;
    address.tell(Add(0)).unwrap();
    address.tell(Add(1)).unwrap();
    assert_eq!((runtime.missed_dead_letters(), letters.len()), (1, 0), "no reader waits");
    let poll = |read: std::pin::Pin<&mut dyn Future<Output = Option<DeadLetter>>>| {
        read.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
    };
    let mut readers = [Box::pin(letters.recv()), Box::pin(letters.recv())];
    readers.iter_mut().for_each(|reader| assert!(poll(reader.as_mut()).is_pending()));
    (2..5).for_each(|n| _ = address.tell(Add(n)).unwrap());
    assert_eq!(runtime.missed_dead_letters(), 2, "one more than readers");
    readers.iter_mut().for_each(|reader| assert!(poll(reader.as_mut()).is_ready()));
}
