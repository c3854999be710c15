//! The deadline in a message's metadata: it expires in the mailbox, and bounds the asks of those who handle it.
#![cfg(not(mycelia_loom))]

mod desk;
mod subsystems;

use std::pin::Pin;
use std::time::Duration;

use mycelia_actors::PathAskFailure;
use mycelia_actors::prelude::*;
use tokio::sync::oneshot;
use tokio::time::{Instant, advance};

use desk::{List, busy, desk, full_desk, note, poll_once, text};
use subsystems::accounted;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn within(duration: Duration) -> Metadata {
    Metadata::new().with_timeout(duration)
}

/// How long it took, and that it was one second, or at most a hundredth more.
#[track_caller]
fn took_a_second(since: Instant) {
    let took = since.elapsed();
    assert!(took >= SECOND && took <= SECOND + Duration::from_millis(10), "{took:?}");
}

// Time is paused: it passes when everybody waits for ever, or when `advance` says so.
#[tokio::test(start_paused = true)]
async fn a_message_whose_turn_comes_too_late_expires_unhandled() {
    let runtime = Runtime::new();
    let letters = runtime.dead_letters(8);
    let (address, gate) = desk(&runtime, 8, OverflowPolicy::Error);
    busy(&address).await;
    within(SECOND).in_scope(|| {
        runtime.tell("desk://notes/1", text(1)).unwrap();
        address.tell(note(2)).unwrap();
    });
    within(HOUR).in_scope(|| runtime.tell("desk://notes/3", text(3))).unwrap();
    runtime.tell("desk://notes/4", text(4)).unwrap();
    advance(SECOND).await;
    gate.open();
    assert_eq!(address.ask(List).await.unwrap(), [3, 4]);
    assert_eq!(address.stats().expired, 2);
    let lost: Vec<_> = letters.drain().map(|letter| letter.reason()).collect();
    assert_eq!(lost, [Reason::Expired, Reason::Expired]);
    accounted(&address);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_late_already_is_sent_and_expires() {
    let runtime = Runtime::new();
    let (address, gate) = desk(&runtime, 8, OverflowPolicy::Error);
    gate.open();
    let late = within(Duration::ZERO);
    assert_eq!(late.time_left(), Some(Duration::ZERO));
    assert_eq!(late.in_scope(|| runtime.tell("desk://notes", note(1))).unwrap(), Told::Queued);
    late.in_scope(|| runtime.send("desk://notes/2", text(2))).await.unwrap();
    assert_eq!(address.ask(List).await.unwrap(), [0; 0]);
    assert_eq!(address.stats().expired, 2);
    accounted(&address);
    // An ask that is late is not sent.
    let error = late.in_scope(|| runtime.ask::<u64, _>("desk://notes", note(3))).await.unwrap_err();
    assert_eq!(error.body, Some(note(3)));
    assert!(matches!(error.failure, PathAskFailure::Ask(AskFailure::Deadline(Duration::ZERO))));
    let error = late.in_scope(|| address.ask(note(4))).await.unwrap_err();
    assert_eq!(error.message, Some(note(4)));
    assert_eq!((address.stats().returned, address.stats().sent), (2, 5));
    accounted(&address);
}

#[tokio::test(start_paused = true)]
async fn an_ask_ends_with_it_whatever_it_says_itself() {
    let runtime = Runtime::new();
    let (address, _gate) = full_desk(&runtime, OverflowPolicy::Error).await;
    let since = Instant::now();
    let ask = within(SECOND).in_scope(|| runtime.ask::<u64, _>("desk://notes", note(2)));
    let error = ask.within(HOUR).await.unwrap_err();
    took_a_second(since);
    assert_eq!(error.body, Some(note(2)), "waited for room");
    let since = Instant::now();
    let ask = within(SECOND).in_scope(|| address.ask(note(3)));
    assert_eq!(ask.await.unwrap_err().failure, AskFailure::Deadline(SECOND));
    took_a_second(since);
    // A shorter one counts.
    let since = Instant::now();
    let ask = within(HOUR).in_scope(|| address.ask(note(3))).within(SECOND);
    assert!(ask.await.is_err());
    took_a_second(since);
    let since = Instant::now();
    let ask =
        within(HOUR).in_scope(|| within(SECOND).in_scope(|| within(HOUR).in_scope(|| address.ask(note(3)))));
    assert!(ask.await.is_err());
    took_a_second(since);
    // For ever is no deadline.
    assert_eq!(within(Duration::MAX).time_left(), None);
}

/// Never replies.
struct Keeper(Vec<ReplyTo<()>>);
impl Subsystem for Keeper {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<List>("list");
    }
}

impl Handler<List> for Keeper {
    type Reply = ();
    async fn handle(&mut self, _: List, _: &mut Context<Self>) {
        std::future::pending().await
    }
}

impl Handler<ReplyTo<()>> for Keeper {
    type Reply = ();
    async fn handle(&mut self, reply: ReplyTo<()>, _: &mut Context<Self>) {
        self.0.push(reply);
    }
}

/// Asks a keeper, and tells how long that took.
struct Patient(Address<Keeper>);
impl Subsystem for Patient {}

struct Try {
    how: How,
    took: oneshot::Sender<Duration>,
}

#[derive(Clone, Copy, Debug)]
enum How {
    Ask,
    AskWithin,
    ByPath,
    InAScope,
    AskWith,
}

impl Handler<Try> for Patient {
    type Reply = ();
    async fn handle(&mut self, Try { how, took }: Try, cx: &mut Context<Self>) {
        let since = Instant::now();
        let replied = match how {
            How::Ask => self.0.ask(List).await.is_ok(),
            How::AskWithin => self.0.ask(List).within(HOUR).await.is_ok(),
            How::ByPath => cx.paths().ask::<(), _>("keeper://list", ()).within(HOUR).await.is_ok(),
            How::InAScope => within(HOUR).in_scope(|| self.0.ask(List)).within(HOUR).await.is_ok(),
            How::AskWith => self.0.ask_with_within(HOUR, |reply: ReplyTo<()>| reply).await.is_ok(),
        };
        assert!(!replied);
        took.send(since.elapsed()).unwrap();
    }
}

fn patient() -> (Runtime, Address<Patient>) {
    let runtime = Runtime::new();
    let keeper = runtime.spawn("keeper", Keeper(Vec::new())).unwrap();
    let patient = runtime.spawn_unnamed(Patient(keeper)).unwrap();
    (runtime, patient)
}

/// How long a handler waits that was told to with this.
async fn told(metadata: &Metadata, how: How) -> Duration {
    let (_runtime, patient) = patient();
    let (took, report) = oneshot::channel();
    metadata.in_scope(|| patient.tell(Try { how, took })).unwrap();
    report.await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_asks_of_a_handler_end_with_the_message_in_hand() {
    for how in [How::Ask, How::AskWithin, How::ByPath, How::InAScope] {
        let took = told(&within(SECOND), how).await;
        assert!(took >= SECOND && took <= SECOND + Duration::from_millis(10), "{how:?} took {took:?}");
    }
    // Without a deadline each ask has its own.
    assert!(told(&Metadata::new(), How::Ask).await < SECOND * 6);
    assert!(told(&Metadata::new(), How::AskWithin).await >= HOUR);
}

#[tokio::test(start_paused = true)]
async fn an_ask_for_a_later_reply_ends_with_the_message_in_hand() {
    let took = told(&within(SECOND), How::AskWith).await;
    assert!(took <= SECOND + Duration::from_millis(10), "took {took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_batch_leaves_out_the_messages_that_are_late() {
    struct Counter;
    impl Subsystem for Counter {}
    impl Handler<u8> for Counter {
        type Reply = usize;
        const BATCH: usize = 8;
        async fn handle(&mut self, _: u8, _: &mut Context<Self>) -> usize {
            1
        }
        async fn handle_batch(&mut self, batch: Vec<u8>, _: &mut Context<Self>) -> Vec<usize> {
            vec![batch.len(); batch.len()]
        }
    }
    let runtime = Runtime::new();
    let counter = runtime.spawn_unnamed(Counter).unwrap();
    let late = within(Duration::ZERO);
    counter.tell(1).unwrap();
    late.in_scope(|| counter.tell(2)).unwrap();
    let mut third = counter.ask(3);
    assert!(poll_once(Pin::new(&mut third)).is_pending());
    late.in_scope(|| counter.tell(4)).unwrap();
    assert_eq!(third.await.unwrap(), 2, "the first and the third, together");
    counter.stop();
    counter.ended().await;
    assert_eq!((counter.stats().handled, counter.stats().expired), (2, 2));
    accounted(&counter);
}
