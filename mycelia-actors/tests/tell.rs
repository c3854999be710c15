//! `tell`, `send` and `tell_many`: what each does when there is room, when there is none, and when it is too late.
#![cfg(not(mycelia_loom))]

mod subsystems;

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use mycelia_actors::prelude::*;
use mycelia_actors::{Refusal, ToldMany};
use subsystems::{Add, Gate, Gated, Total, accounted};

fn gated(runtime: &Runtime, capacity: usize, policy: OverflowPolicy) -> (Address<Gated>, Gate) {
    let (gated, gate) = Gated::new();
    let mailbox = Mailbox::bounded(capacity).overflow(policy);
    (runtime.configure_unnamed().mailbox(mailbox).spawn(gated).unwrap(), gate)
}

#[tokio::test]
async fn messages_of_one_sender_are_handled_in_order() {
    const MESSAGES: u64 = if cfg!(miri) { 100 } else { 1000 };
    let runtime = Runtime::new();
    let (address, gate) = gated(&runtime, 1000, OverflowPolicy::Error);
    for n in 0..MESSAGES {
        assert_eq!(address.tell(Add(n)).unwrap(), Told::Queued);
    }
    gate.open();
    assert_eq!(address.ask(Total).await.unwrap(), (0..MESSAGES).collect::<Vec<_>>());
    accounted(&address);
}

#[tokio::test]
async fn a_full_mailbox_gives_the_message_back() {
    let runtime = Runtime::new();
    let (address, gate) = gated(&runtime, 2, OverflowPolicy::Error);
    gate.wait_until_busy(&address).await;
    address.tell(Add(1)).unwrap();
    address.tell(Add(2)).unwrap();
    let error = address.tell(Add(3)).unwrap_err();
    assert_eq!((error.message, &error.refusal), (Add(3), &Refusal::Full { capacity: 2 }));
    assert_eq!(
        error.without_message().to_string(),
        "`Gated#0` did not accept the message: its mailbox is full (2 messages)"
    );
    gate.open();
    assert_eq!(address.ask(Total).await.unwrap(), [1, 2]);
    assert_eq!(address.stats().returned, 1);
    accounted(&address);
}

#[tokio::test]
async fn drop_oldest_evicts_and_says_so() {
    let runtime = Runtime::new();
    let letters = runtime.dead_letters(8);
    let (address, gate) = gated(&runtime, 2, OverflowPolicy::DropOldest);
    gate.wait_until_busy(&address).await;
    let told: Vec<_> = (1..=4).map(|n| address.tell(Add(n)).unwrap()).collect();
    assert_eq!(told, [Told::Queued, Told::Queued, Told::Evicted, Told::Evicted]);
    gate.open();
    assert_eq!(address.ask(Total).await.unwrap(), [3, 4]);
    let lost: Vec<_> = letters.drain().map(|letter| letter.take_message::<Add>().unwrap().0).collect();
    assert_eq!(lost, [1, 2]);
    assert_eq!(address.stats().evicted, 2);
    accounted(&address);
}

#[tokio::test]
async fn drop_newest_discards_and_says_so() {
    let runtime = Runtime::new();
    let letters = runtime.dead_letters(8);
    let (address, gate) = gated(&runtime, 2, OverflowPolicy::DropNewest);
    gate.wait_until_busy(&address).await;
    let told: Vec<_> = (1..=4).map(|n| address.tell(Add(n)).unwrap()).collect();
    assert_eq!(told, [Told::Queued, Told::Queued, Told::Discarded, Told::Discarded]);
    gate.open();
    assert_eq!(address.ask(Total).await.unwrap(), [1, 2]);
    let letter = letters.recv().await.unwrap();
    assert_eq!(letter.reason(), mycelia_actors::Reason::Discarded);
    assert!(letter.message_type().ends_with("Add"));
    assert!(letter.take_message::<String>().is_none(), "not of this type");
    assert_eq!(letter.take_message::<Add>(), Some(Add(3)));
    assert_eq!(letter.take_message::<Add>(), None, "taken");
    assert_eq!(address.stats().discarded, 2);
    accounted(&address);
}

#[tokio::test]
async fn a_stopped_subsystem_gives_every_message_back() {
    let runtime = Runtime::new();
    let (address, gate) = gated(&runtime, 2, OverflowPolicy::DropOldest);
    gate.open();
    address.tell(Add(1)).unwrap();
    address.stop();
    assert_eq!(address.tell(Add(2)).unwrap_err().refusal, Refusal::Stopped);
    assert_eq!(address.send(Add(3)).await.unwrap_err().message, Add(3));
    assert!(matches!(address.ended().await, Exit::Stopped));
    assert_eq!(address.tell(Add(4)).unwrap_err().message, Add(4));
    let stats = address.stats();
    assert_eq!((stats.sent, stats.handled, stats.returned), (4, 1, 3));
    accounted(&address);
}

#[tokio::test]
async fn send_waits_for_room_under_every_policy() {
    for policy in [OverflowPolicy::DropOldest, OverflowPolicy::DropNewest, OverflowPolicy::Error] {
        let runtime = Runtime::new();
        let (address, gate) = gated(&runtime, 1, policy);
        gate.wait_until_busy(&address).await;
        address.send(Add(1)).await.unwrap();
        let sender = address.clone();
        let sending = tokio::spawn(async move { sender.send(Add(2)).await });
        while address.stats().waiting == 0 {
            tokio::task::yield_now().await;
        }
        gate.open();
        sending.await.unwrap().unwrap();
        assert_eq!(address.ask(Total).await.unwrap(), [1, 2]);
        accounted(&address);
    }
}

#[tokio::test]
async fn a_waiting_send_gets_its_message_back_when_the_subsystem_stops() {
    let runtime = Runtime::new();
    let (address, gate) = gated(&runtime, 1, OverflowPolicy::Error);
    gate.wait_until_busy(&address).await;
    address.tell(Add(1)).unwrap();
    let sender = address.clone();
    let sending = tokio::spawn(async move { sender.send(Add(2)).await });
    while address.stats().waiting == 0 {
        tokio::task::yield_now().await;
    }
    address.stop();
    let error = sending.await.unwrap().unwrap_err();
    assert_eq!((error.message, error.refusal), (Add(2), Refusal::Stopped));
    gate.open();
    assert!(matches!(address.ended().await, Exit::Stopped));
    let stats = address.stats();
    assert_eq!((stats.sent, stats.handled, stats.returned), (3, 2, 1));
    accounted(&address);
}

#[tokio::test]
async fn a_batch_goes_in_in_one_step_and_the_rest_comes_back() {
    let runtime = Runtime::new();
    let (address, gate) = gated(&runtime, 5, OverflowPolicy::Error);
    gate.wait_until_busy(&address).await;
    assert_eq!(address.tell_many((0..3).map(Add)).unwrap().queued, 3);
    let error = address.tell_many((3..9).map(Add)).unwrap_err();
    assert_eq!(error.told, ToldMany { queued: 2, ..ToldMany::default() });
    assert_eq!((error.messages, error.refusal), ((5..9).map(Add).collect(), Refusal::Full { capacity: 5 }));
    gate.open();
    assert_eq!(address.ask(Total).await.unwrap(), [0, 1, 2, 3, 4]);
    accounted(&address);
}

#[tokio::test]
async fn an_exhausted_pool_gives_messages_back() {
    let messages = MessagePool::capacity(4).fail_when_exhausted();
    let runtime = Runtime::builder().messages(messages).build();
    let (address, gate) = gated(&runtime, 100, OverflowPolicy::Error);
    gate.wait_until_busy(&address).await;
    let error = address.tell_many((0..6).map(Add)).unwrap_err();
    assert_eq!((error.told.queued, error.messages.len()), (3, 3));
    assert_eq!(error.refusal, Refusal::PoolExhausted { capacity: 4 });
    assert_eq!(address.tell(Add(9)).unwrap_err().refusal, Refusal::PoolExhausted { capacity: 4 });
    assert!(address.ask(Total).await.unwrap_err().message.is_some());
    gate.open();
    address.stop();
    address.ended().await;
    accounted(&address);
    assert_eq!(runtime.pool_stats().in_use, 0);
}

#[tokio::test]
async fn a_subsystem_that_sends_to_itself_while_full_gets_an_error() {
    struct Narcissus;
    impl Subsystem for Narcissus {}
    struct Look;
    impl Handler<Look> for Narcissus {
        type Reply = (bool, Refusal);
        async fn handle(&mut self, _: Look, cx: &mut Context<Self>) -> Self::Reply {
            let accepted = cx.address().send(Add(1)).await.is_ok();
            (accepted, cx.address().send(Add(2)).await.unwrap_err().refusal)
        }
    }
    impl Handler<Add> for Narcissus {
        type Reply = ();
        async fn handle(&mut self, _: Add, _: &mut Context<Self>) {}
    }
    let runtime = Runtime::new();
    let mailbox = Mailbox::bounded(1);
    let address = runtime.configure("narcissus").mailbox(mailbox).spawn(Narcissus).unwrap();
    let (accepted, refusal) = address.ask(Look).await.unwrap();
    assert!(accepted);
    assert_eq!(refusal.to_string(), "the sender would wait for itself: `narcissus` -> `narcissus`");
    runtime.shutdown().await.unwrap();
    accounted(&address);
}

#[test]
fn threads_without_a_runtime_can_send_and_ask() {
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let runtime = Runtime::builder().tokio(tokio.handle().clone()).build();
    let (address, gate) = gated(&runtime, 4, OverflowPolicy::Error);
    gate.open();
    for n in 0..100 {
        address.blocking_send(Add(n)).unwrap();
    }
    let total = address.blocking_ask(Total, std::time::Duration::from_secs(60)).unwrap();
    assert_eq!(total.len(), 100);
    accounted(&address);
}

#[tokio::test]
async fn a_recipient_forgets_whom_it_is_for() {
    struct Other;
    impl Subsystem for Other {}
    impl Handler<Add> for Other {
        type Reply = u8;
        async fn handle(&mut self, _: Add, _: &mut Context<Self>) -> u8 {
            7
        }
    }
    let runtime = Runtime::new();
    let other = runtime.spawn("other", Other).unwrap();
    let (gated, gate) = gated(&runtime, 4, OverflowPolicy::Error);
    gate.open();
    let all: Vec<Recipient<Add>> = vec![other.recipient(), gated.recipient()];
    for recipient in &all {
        recipient.tell(Add(1)).unwrap();
        recipient.send(Add(2)).await.unwrap();
    }
    assert_eq!(format!("{:?}", all[0]), "Recipient(other)");
    runtime.shutdown().await.unwrap();
    assert_eq!((other.stats().handled, gated.stats().handled), (2, 2));
}

// Time is paused: it passes when everybody waits for ever.
#[tokio::test(start_paused = true)]
async fn a_sender_that_was_let_in_is_woken_before_the_handler_waits_for_it() {
    let runtime = Runtime::new();
    let (gated, gate) = Gated::new();
    // One message at a time, so that the mailbox is not half empty when the sender is let in.
    let address = runtime.configure("gated").mailbox(Mailbox::bounded(4)).budget(1).spawn(gated).unwrap();
    address.tell_many((1..=4).map(Add)).unwrap();
    let mut sending = address.send(Add(5));
    let waits = poll_fn(|task| Poll::Ready(Pin::new(&mut sending).poll(task).is_pending())).await;
    assert!(waits);
    let began = tokio::time::Instant::now();
    tokio::time::timeout(Duration::from_secs(1), sending).await.expect("let in").unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO, "woken, and not by the timeout");
    // The handler of the first message waits for this.
    gate.open();
    assert_eq!(address.ask(Total).await.unwrap(), [1, 2, 3, 4, 5]);
    accounted(&address);
}

#[tokio::test]
async fn expired_messages_count_against_the_budget() {
    let runtime = Runtime::new();
    let (gated, gate) = Gated::new();
    gate.open();
    let address = runtime.configure_unnamed().budget(8).spawn(gated).unwrap();
    for n in 0..100 {
        let mut ask = address.ask(Add(n));
        assert!(
            Pin::new(&mut ask)
                .poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
                .is_pending()
        );
    }
    address.ask(Total).await.unwrap();
    let stats = address.stats();
    assert_eq!(stats.expired, 100);
    assert!(stats.polls >= 100 / 8, "{} polls", stats.polls);
}

#[tokio::test]
async fn a_lying_iterator_and_a_huge_budget_are_only_that() {
    let runtime = Runtime::new();
    let (gated, gate) = Gated::new();
    gate.open();
    let address = runtime.configure_unnamed().budget(usize::MAX).spawn(gated).unwrap();
    let mut left = 100;
    let messages = std::iter::from_fn(|| {
        left -= 1;
        (left >= 0).then_some(Add(1))
    });
    // Its hint says that there might be any number.
    let told = address.tell_many(messages.chain((0..usize::MAX).map_while(|_| None))).unwrap();
    assert_eq!(told.queued, 100);
    assert_eq!(address.ask(Total).await.unwrap().len(), 100);
    assert!(address.stats().polls <= 3, "one budget was enough");
}

#[tokio::test]
async fn a_send_that_was_refused_and_dropped_was_never_sent() {
    let runtime = Runtime::new();
    let (address, gate) = gated(&runtime, 1, OverflowPolicy::Error);
    gate.wait_until_busy(&address).await;
    address.tell(Add(1)).unwrap();
    let mut send = address.send(Add(2));
    assert!(
        Pin::new(&mut send).poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_pending()
    );
    address.stop();
    drop(send);
    assert_eq!((address.stats().sent, address.stats().returned), (2, 0));
}
