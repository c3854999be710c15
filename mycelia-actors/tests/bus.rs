//! The bus: who gets which event, what a slow subscriber misses, and when a subscription ends.
#![cfg(not(mycelia_loom))]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use mycelia_actors::prelude::*;
use mycelia_actors::{Event, SubscribeError};
use proptest::prelude::*;

#[derive(Debug, PartialEq)]
struct Paid(u64);

/// What is there, without waiting.
fn drain<E: Send + Sync>(subscription: &mut Subscription<E>) -> Vec<Event<E>> {
    std::iter::from_fn(|| subscription.try_recv()).collect()
}

/// The numbers, and how many are missing before each.
fn numbers(subscription: &mut Subscription<u64>) -> Vec<(u64, u64)> {
    drain(subscription).iter().map(|next| (next.missed, *next.event)).collect()
}

#[test]
fn a_subscriber_gets_what_its_pattern_and_its_type_take() {
    let runtime = Runtime::new();
    let bus = runtime.bus();
    let mut paid = bus.subscribe::<Paid>("orders/{id}/paid", 10).unwrap();
    let mut all = bus.subscribe::<Paid>("orders/{*rest}", 10).unwrap();
    let mut texts = bus.subscribe::<&str>("orders/{*rest}", 10).unwrap();
    assert_eq!(bus.publish("orders/7/paid", Paid(1)).unwrap(), 2);
    assert_eq!(bus.publish("orders/8/sent", Paid(2)).unwrap(), 1);
    assert_eq!(bus.publish("orders/8/paid", "in words").unwrap(), 1);
    assert_eq!(bus.publish("users/8", Paid(3)).unwrap(), 0);
    assert_eq!(bus.publish("orders/7/paid", 4_u8).unwrap(), 0);
    let (paid, all) = (drain(&mut paid), drain(&mut all));
    assert_eq!((paid.len(), paid[0].param("id"), paid[0].param("rest")), (1, Some("7"), None));
    let got: Vec<_> = all.iter().map(|next| (&*next.topic, &*next.event, next.param("rest"))).collect();
    let expected = [("orders/7/paid", &Paid(1), Some("7/paid")), ("orders/8/sent", &Paid(2), Some("8/sent"))];
    assert_eq!(got, expected);
    assert!(Arc::ptr_eq(&paid[0].event, &all[0].event), "one event for all");
    assert_eq!(*texts.try_recv().unwrap().event, "in words");
}

#[test]
fn bad_topics_patterns_and_queues_are_errors() {
    let runtime = Runtime::new();
    let bus = runtime.bus();
    let error = bus.publish("orders//paid", Paid(7)).unwrap_err();
    assert_eq!(error.event, Paid(7));
    assert_eq!(
        error.to_string(),
        "bad topic `orders//paid`: it has an empty segment at byte 7 (no slash at the beginning, at the end, or twice)"
    );
    let error = bus.publish("/orders", Paid(7)).unwrap_err();
    assert_eq!(error.to_string(), "bad topic `/orders`: it begins with a slash: leave out the leading slash");
    let error = bus.subscribe::<Paid>("/orders", 10).unwrap_err();
    assert_eq!(
        error.to_string(),
        "bad pattern `/orders`: it begins with a slash: leave out the leading slash"
    );
    for pattern in ["orders/#", "+/paid", "*", "orders/*/paid", "#", "orders/**", "orders/>"] {
        let error = bus.subscribe::<Paid>(pattern, 10).unwrap_err();
        assert!(matches!(error, SubscribeError::Wildcard { .. }));
        let text = error.to_string();
        assert!(text.starts_with(&format!("bad pattern `{pattern}`: ")), "{text}");
        assert!(text.contains("`{name}`") && text.contains("`{*rest}`"), "{text}");
    }
    assert_eq!(
        bus.subscribe::<Paid>("+/paid", 10).unwrap_err().to_string(),
        "bad pattern `+/paid`: `+` is not a wildcard here; one segment is `{name}`, the rest of a topic `{*rest}`"
    );
    let error = bus.subscribe::<Paid>("orders/{id", 10).unwrap_err();
    assert!(matches!(error, SubscribeError::Pattern(_)));
    assert_eq!(
        error.to_string(),
        "bad pattern `orders/{id`: `{` at byte 7 is never closed (a literal brace is written twice)"
    );
    assert_eq!(bus.subscribe::<Paid>("orders", 0).unwrap_err(), SubscribeError::NoCapacity);
    let told = bus.subscribe_with::<Paid>("orders", 1, OverflowPolicy::Error);
    assert_eq!(told.unwrap_err(), SubscribeError::Policy);
}

#[test]
fn signs_of_other_brokers_are_text_within_a_segment_and_where_they_are_encoded() {
    let runtime = Runtime::new();
    let bus = runtime.bus();
    let mut hash = bus.subscribe::<u64>("n/Counter#{number}", 10).unwrap();
    let mut encoded = bus.subscribe::<u64>("n/%23", 10).unwrap();
    for topic in ["n/Counter#7", "n/Counter%237", "n/#", "n/%23", "n/*"] {
        bus.publish(topic, 1_u64).unwrap();
    }
    assert_eq!((drain(&mut hash).len(), drain(&mut encoded).len()), (2, 2));
}

#[test]
fn a_topic_is_what_it_stands_for_however_it_is_written() {
    let runtime = Runtime::new();
    let bus = runtime.bus();
    let subscribe = |pattern| bus.subscribe::<u64>(pattern, 10).unwrap();
    let (mut me, mut one, mut rest) =
        (subscribe("users/me"), subscribe("users/{id}"), subscribe("users/{*rest}"));
    assert_eq!(bus.publish("users/%6De", 1_u64).unwrap(), 3);
    let got = [drain(&mut me), drain(&mut one), drain(&mut rest)].map(|mut events| events.remove(0));
    assert!(got.iter().all(|event| &*event.topic == "users/me"));
    assert_eq!((got[1].param("id"), got[2].param("rest")), (Some("me"), Some("me")));
    // A slash that is data: no subscriber misses it, and it is given as it is.
    let topic = format!("users/{}", mycelia_actors::encode_segment("a/b c"));
    assert_eq!(bus.publish(&topic, 2_u64).unwrap(), 2);
    assert_eq!(drain(&mut one)[0].param("id"), Some("a%2Fb%20c"));
    let event = drain(&mut rest).remove(0);
    assert_eq!((event.param("rest"), &*event.topic), (Some("a%2Fb%20c"), &*topic));
    for topic in ["users/%2e%2e", "users/.", "users/%", "users/%ff", "users/%00"] {
        let error = bus.publish(topic, 3_u64).unwrap_err();
        assert_eq!((error.event, &*error.topic), (3, topic));
    }
}

#[test]
fn a_full_queue_loses_the_oldest_and_says_where() {
    let runtime = Runtime::new();
    let bus = runtime.bus();
    let mut slow = bus.subscribe::<u64>("n", 2).unwrap();
    for n in 0..5_u64 {
        assert_eq!(bus.publish("n", n).unwrap(), 1);
    }
    assert_eq!((slow.missed(), slow.len()), (3, 2));
    assert_eq!(numbers(&mut slow), [(3, 3), (0, 4)]);
    assert!(slow.is_empty());
}

#[test]
fn a_full_queue_that_keeps_the_oldest_says_where_the_newest_are_missing() {
    let runtime = Runtime::new();
    let bus = runtime.bus();
    let mut slow = bus.subscribe_with::<u64>("n", 2, OverflowPolicy::DropNewest).unwrap();
    let got: Vec<_> = (0..5_u64).map(|n| bus.publish("n", n).unwrap()).collect();
    assert_eq!(got, [1, 1, 0, 0, 0]);
    assert_eq!(numbers(&mut slow), [(0, 0), (0, 1)]);
    bus.publish("n", 5_u64).unwrap();
    assert_eq!((numbers(&mut slow), slow.missed()), (vec![(3, 5)], 3));
}

#[tokio::test]
async fn a_subscriber_that_waits_is_woken_by_an_event_and_by_the_end() {
    let runtime = Runtime::new();
    let bus = runtime.bus();
    let mut numbers = bus.subscribe::<u64>("n", 2).unwrap();
    let reader = tokio::spawn(async move {
        let first = numbers.recv().await.map(|next| *next.event);
        (first, numbers.recv().await.is_none())
    });
    tokio::task::yield_now().await;
    bus.publish("n", 7_u64).unwrap();
    tokio::task::yield_now().await;
    runtime.shutdown().await.unwrap();
    assert_eq!(reader.await.unwrap(), (Some(7), true));
    assert_eq!(bus.publish("n", 8_u64).unwrap(), 0);
    let mut late = bus.subscribe::<u64>("n", 2).unwrap();
    assert!(late.recv().await.is_none(), "it has already ended");
}

#[test]
fn a_thread_reads_to_the_end() {
    let runtime = Runtime::new();
    let bus = runtime.bus();
    let mut numbers = bus.subscribe::<u64>("n", 1000).unwrap();
    let read = move || std::iter::from_fn(|| numbers.blocking_recv()).map(|next| *next.event).sum::<u64>();
    let reader = std::thread::spawn(read);
    for n in 0..100_u64 {
        bus.publish("n", n).unwrap();
    }
    // Not even the bus keeps a subscription from ending.
    drop(runtime);
    assert_eq!(reader.join().unwrap(), (0..100).sum::<u64>());
    drop(bus);
}

struct Numbered {
    publisher: usize,
    n: u64,
}

#[test]
fn what_several_threads_publish_is_received_in_order_or_counted() {
    const EACH: u64 = if cfg!(miri) { 50 } else { 5000 };
    for policy in [OverflowPolicy::DropOldest, OverflowPolicy::DropNewest] {
        let runtime = Runtime::new();
        let mut numbers = runtime.bus().subscribe_with::<Numbered>("n/{publisher}", 8, policy).unwrap();
        let reader = std::thread::spawn(move || {
            let (mut received, mut last) = (0, [None; 2]);
            while let Some(next) = numbers.blocking_recv() {
                let Numbered { publisher, n } = *next.event;
                assert!(last[publisher].replace(n) < Some(n), "in order");
                received += 1;
            }
            received + numbers.missed()
        });
        std::thread::scope(|scope| {
            for publisher in 0..2 {
                let bus = runtime.bus();
                scope.spawn(move || {
                    (0..EACH).for_each(|n| assert!(bus.publish("n/1", Numbered { publisher, n }).is_ok()));
                });
            }
        });
        drop(runtime);
        assert_eq!(reader.join().unwrap(), 2 * EACH);
    }
}

#[test]
fn a_dropped_subscription_is_unsubscribed_and_keeps_no_event() {
    let runtime = Runtime::new();
    let bus = runtime.bus();
    let subscribe = || bus.subscribe::<Arc<()>>("held", 2).unwrap();
    let (one, other) = (subscribe(), subscribe());
    let held = Arc::new(());
    assert_eq!(bus.publish("held", Arc::clone(&held)).unwrap(), 2);
    drop(one);
    assert_eq!(bus.publish("held", Arc::clone(&held)).unwrap(), 1);
    drop(other);
    assert_eq!(bus.publish("held", Arc::clone(&held)).unwrap(), 0);
    assert_eq!(Arc::strong_count(&held), 1);
}

/// Uses the bus when it is dropped.
struct Publishes(Bus);
impl Drop for Publishes {
    fn drop(&mut self) {
        drop(self.0.subscribe::<Self>("events", 1).unwrap());
        self.0.publish("tells", 7_u64).unwrap();
    }
}

#[test]
fn an_event_may_use_the_bus_when_it_is_dropped() {
    let (done, finished) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = Runtime::new();
        let bus = runtime.bus();
        let events = bus.subscribe::<Publishes>("events", 1).unwrap();
        let mut tells = bus.subscribe::<u64>("tells", 9).unwrap();
        for _ in 0..3 {
            bus.publish("events", Publishes(bus.clone())).unwrap();
        }
        drop(events);
        done.send(numbers(&mut tells).len()).unwrap();
    });
    let tells = finished.recv_timeout(Duration::from_secs(30)).expect("no lock is held");
    assert_eq!(tells, 3, "two evicted, and one not read");
}

/// Panics when it is dropped, while it is told to.
struct Fuse(Arc<AtomicBool>);
impl Drop for Fuse {
    fn drop(&mut self) {
        assert!(!self.0.load(Ordering::Relaxed), "on purpose");
    }
}

#[test]
fn an_event_that_panics_when_it_is_evicted_is_not_the_publishers_business() {
    let runtime = Runtime::new();
    let bus = runtime.bus();
    let fuses = bus.subscribe::<Fuse>("fuses", 1).unwrap();
    let burns = Arc::new(AtomicBool::new(true));
    assert_eq!(bus.publish("fuses", Fuse(Arc::clone(&burns))).unwrap(), 1);
    assert_eq!(bus.publish("fuses", Fuse(Arc::clone(&burns))).unwrap(), 1);
    assert_eq!((fuses.len(), fuses.missed()), (1, 1));
    burns.store(false, Ordering::Relaxed);
}

#[tokio::test]
async fn handlers_publish() {
    struct Cashier;
    impl Subsystem for Cashier {}
    impl Handler<Paid> for Cashier {
        type Reply = usize;
        async fn handle(&mut self, paid: Paid, cx: &mut Context<Self>) -> usize {
            cx.bus().publish("orders/7/paid", paid).unwrap()
        }
    }
    let runtime = Runtime::new();
    let mut paid = runtime.bus().subscribe::<Paid>("orders/{id}/paid", 10).unwrap();
    let cashier = runtime.spawn("cashier", Cashier).unwrap();
    assert_eq!(cashier.ask(Paid(9)).await.unwrap(), 1);
    assert_eq!(*paid.recv().await.unwrap().event, Paid(9));
}

#[tokio::test]
async fn a_subsystem_attaches_a_subscription() {
    struct Ledger(u64);
    impl Subsystem for Ledger {
        async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
            cx.attach(cx.bus().subscribe::<Paid>("orders/{id}/paid", 10)?);
            Ok(())
        }
    }
    impl Handler<Event<Paid>> for Ledger {
        type Reply = ();
        async fn handle(&mut self, paid: Event<Paid>, cx: &mut Context<Self>) {
            self.0 += paid.event.0;
            if self.0 == 7 {
                cx.stop();
            }
        }
    }
    let runtime = Runtime::new();
    let ledger = runtime.spawn("ledger", Ledger(0)).unwrap();
    ledger.started().await.unwrap();
    for cents in [4, 3] {
        assert_eq!(runtime.bus().publish("orders/7/paid", Paid(cents)).unwrap(), 1);
    }
    ledger.ended().await;
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The model: numbers in a row, of which each was read, is in the queue, or is missing where the next one says.
    #[test]
    fn what_is_missed_is_counted_where_it_is_missing(
        capacity in 1_usize..5,
        oldest in any::<bool>(),
        publishes in prop::collection::vec(prop::bool::weighted(0.6), 1..100),
    ) {
        let policy = if oldest { OverflowPolicy::DropOldest } else { OverflowPolicy::DropNewest };
        let runtime = Runtime::new();
        let bus = runtime.bus();
        let mut subscription = bus.subscribe_with::<u64>("n", capacity, policy).unwrap();
        let (mut model, mut published, mut read) = (VecDeque::new(), 0, 0);
        let mut expected = 0;
        for publish in publishes {
            if publish {
                let full = model.len() == capacity;
                let got = bus.publish("n", published).unwrap();
                prop_assert_eq!(got, usize::from(oldest || !full));
                if oldest && full {
                    model.pop_front();
                }
                if oldest || !full {
                    model.push_back(published);
                }
                published += 1;
            } else {
                let next = subscription.try_recv();
                prop_assert_eq!(next.as_ref().map(|next| *next.event), model.pop_front());
                if let Some(next) = next {
                    prop_assert_eq!(expected + next.missed, *next.event);
                    expected = *next.event + 1;
                    read += 1;
                }
            }
            prop_assert_eq!(read + model.len() as u64 + subscription.missed(), published);
        }
    }
}
