//! Every way an ask can end.
#![cfg(not(mycelia_loom))]

mod subsystems;

use std::time::Duration;

use mycelia_actors::prelude::*;
use mycelia_actors::{AskFailure, Refusal};
use subsystems::{Add, Gate, Gated, Total, Wait, accounted};

fn gated(runtime: &Runtime, capacity: usize, policy: OverflowPolicy) -> (Address<Gated>, Gate) {
    let (gated, gate) = Gated::new();
    let mailbox = Mailbox::bounded(capacity).overflow(policy);
    (runtime.configure_unnamed().mailbox(mailbox).spawn(gated).unwrap(), gate)
}

/// Asks from a task of its own, and returns once the message has been sent.
async fn ask_elsewhere(
    address: &Address<Gated>,
    within: Duration,
) -> tokio::task::JoinHandle<Result<usize, AskError<Add>>> {
    let sent = address.stats().sent + address.stats().waiting;
    let asker = address.clone();
    let asking = tokio::spawn(async move { asker.ask(Add(7)).within(within).await });
    while address.stats().sent + address.stats().waiting == sent {
        tokio::task::yield_now().await;
    }
    asking
}

const LONG: Duration = Duration::from_secs(3600);

struct Fragile;
impl Subsystem for Fragile {}

#[derive(Clone, Copy)]
enum Break {
    BeforeAwait,
    AfterAwait,
}

impl Handler<Break> for Fragile {
    type Reply = ();
    async fn handle(&mut self, how: Break, _: &mut Context<Self>) {
        if matches!(how, Break::AfterAwait) {
            tokio::task::yield_now().await;
        }
        panic!("broken on purpose");
    }
}

#[tokio::test]
async fn replies_of_every_size_and_alignment_come_back() {
    struct Echo;
    impl Subsystem for Echo {}
    impl<T: Send + 'static> Handler<Vec<T>> for Echo {
        type Reply = Vec<T>;
        async fn handle(&mut self, message: Vec<T>, _: &mut Context<Self>) -> Vec<T> {
            message
        }
    }
    #[derive(Clone, Copy, PartialEq, Debug)]
    #[repr(align(64))]
    struct Aligned(u8);
    impl<const N: usize> Handler<[u8; N]> for Echo {
        type Reply = ([u8; N], Aligned);
        async fn handle(&mut self, message: [u8; N], _: &mut Context<Self>) -> Self::Reply {
            let aligned = Aligned(message.first().copied().unwrap_or(9));
            tokio::task::yield_now().await;
            assert_eq!((&raw const aligned).addr() % 64, 0);
            (message, aligned)
        }
    }
    impl Handler<Aligned> for Echo {
        type Reply = u8;
        async fn handle(&mut self, message: Aligned, _: &mut Context<Self>) -> u8 {
            assert_eq!((&raw const message).addr() % 64, 0);
            message.0
        }
    }
    let runtime = Runtime::new();
    let echo = runtime.spawn_unnamed(Echo).unwrap();
    assert_eq!(echo.ask(vec!["a".to_owned()]).await.unwrap(), ["a"]);
    assert_eq!(echo.ask([]).await.unwrap(), ([], Aligned(9)));
    assert_eq!(echo.ask([1; 64]).await.unwrap(), ([1; 64], Aligned(1)));
    assert_eq!(echo.ask([2; 65]).await.unwrap(), ([2; 65], Aligned(2)));
    assert_eq!(echo.ask([3; 5000]).await.unwrap(), ([3; 5000], Aligned(3)));
    assert_eq!(echo.ask(Aligned(4)).await.unwrap(), 4);
    drop(runtime);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_never_early_and_at_most_ten_milliseconds_or_a_hundredth_late() {
    let runtime = Runtime::new();
    let (address, gate) = gated(&runtime, 8, OverflowPolicy::Error);
    gate.wait_until_busy(&address).await;
    for millis in [1, 3, 10, 100, 999, 5_000, 60_000] {
        let within = Duration::from_millis(millis);
        let begun = tokio::time::Instant::now();
        let error = address.ask(Add(1)).within(within).await.unwrap_err();
        let took = begun.elapsed();
        assert_eq!((error.failure, error.message), (AskFailure::Deadline(within), None));
        let latest = within + (within / 100).max(Duration::from_millis(10));
        assert!(took >= within && took <= latest, "{within:?} took {took:?}");
    }
    gate.open();
    assert!(address.ask(Total).await.unwrap().is_empty(), "expired asks are not handled");
    assert_eq!(address.stats().expired, 7);
    accounted(&address);
}

#[tokio::test(start_paused = true)]
async fn deadlines_of_different_length_end_each_in_time() {
    let runtime = Runtime::new();
    let (address, gate) = gated(&runtime, 100, OverflowPolicy::Error);
    gate.wait_until_busy(&address).await;
    let mut asks = tokio::task::JoinSet::new();
    for millis in [60_000, 50, 5_000, 20, 700] {
        let address = address.clone();
        asks.spawn(async move {
            let (begun, within) = (tokio::time::Instant::now(), Duration::from_millis(millis));
            address.ask(Add(1)).within(within).await.unwrap_err();
            (within, begun.elapsed())
        });
    }
    while let Some(done) = asks.join_next().await {
        let (within, took) = done.unwrap();
        let latest = within + (within / 100).max(Duration::from_millis(10));
        assert!(took >= within && took <= latest, "{within:?} took {took:?}");
    }
    gate.open();
}

#[tokio::test(start_paused = true)]
async fn a_deadline_covers_waiting_for_room_and_gives_the_message_back() {
    let runtime = Runtime::new();
    let (address, gate) = gated(&runtime, 1, OverflowPolicy::Error);
    gate.wait_until_busy(&address).await;
    address.tell(Add(1)).unwrap();
    let error = address.ask(Add(2)).within(Duration::from_millis(50)).await.unwrap_err();
    assert_eq!(error.message, Some(Add(2)));
    assert!(error.to_string().ends_with("no reply within 50ms"), "{error}");
    assert_eq!((address.stats().waiting, address.stats().returned), (0, 1));
    gate.open();
    assert_eq!(address.ask(Total).await.unwrap(), [1]);
    accounted(&address);
}

#[tokio::test]
async fn a_panic_is_told_to_the_asker_before_and_after_an_await() {
    let runtime = Runtime::new();
    let letters = runtime.dead_letters(8);
    for how in [Break::BeforeAwait, Break::AfterAwait] {
        let address = runtime.spawn_unnamed(Fragile).unwrap();
        assert_eq!(address.ask(how).await.unwrap_err().failure, AskFailure::Panicked);
        assert!(matches!(address.ended().await, Exit::Panicked(text) if &*text == "broken on purpose"));
        assert_eq!(letters.blocking_recv().unwrap().reason(), mycelia_actors::Reason::Failed);
        assert_eq!(address.stats().failed, 1);
        accounted(&address);
    }
}

#[tokio::test]
async fn a_kill_is_told_to_the_askers_in_hand_and_in_the_mailbox() {
    let runtime = Runtime::new();
    let (address, _gate) = gated(&runtime, 8, OverflowPolicy::Error);
    let in_hand = ask_elsewhere(&address, LONG).await;
    while address.stats().in_hand == 0 {
        tokio::task::yield_now().await;
    }
    let queued = ask_elsewhere(&address, LONG).await;
    address.kill();
    assert_eq!(in_hand.await.unwrap().unwrap_err().failure, AskFailure::Killed);
    assert_eq!(queued.await.unwrap().unwrap_err().failure, AskFailure::Undelivered);
    assert!(matches!(address.ended().await, Exit::Killed));
    let stats = address.stats();
    assert_eq!((stats.failed, stats.undelivered), (1, 1));
    accounted(&address);
    assert_eq!(runtime.pool_stats().in_use, 0);
}

#[tokio::test]
async fn an_evicted_ask_is_told_at_once() {
    let runtime = Runtime::new();
    let (address, gate) = gated(&runtime, 1, OverflowPolicy::DropOldest);
    gate.wait_until_busy(&address).await;
    let asking = ask_elsewhere(&address, LONG).await;
    assert_eq!(address.tell(Add(1)).unwrap(), Told::Evicted);
    assert_eq!(asking.await.unwrap().unwrap_err().failure, AskFailure::Evicted);
    gate.open();
    runtime.shutdown().await.unwrap();
    accounted(&address);
}

#[tokio::test]
async fn try_ask_applies_the_policy() {
    let runtime = Runtime::new();
    for (policy, expected) in [
        (OverflowPolicy::Error, AskFailure::Refused(Refusal::Full { capacity: 1 })),
        (OverflowPolicy::DropNewest, AskFailure::Discarded),
    ] {
        let (address, gate) = gated(&runtime, 1, policy);
        gate.wait_until_busy(&address).await;
        address.tell(Add(1)).unwrap();
        let error = address.try_ask(Add(2)).await.unwrap_err();
        assert_eq!(error.failure, expected);
        assert_eq!(error.message.is_some(), policy == OverflowPolicy::Error);
        gate.open();
        address.stop();
        address.ended().await;
        accounted(&address);
    }
}

#[tokio::test]
async fn a_stopped_subsystem_gives_the_message_back() {
    let runtime = Runtime::new();
    let (address, _gate) = gated(&runtime, 1, OverflowPolicy::Error);
    address.stop();
    let error = address.ask(Add(1)).await.unwrap_err();
    assert_eq!((error.failure, error.message), (AskFailure::Refused(Refusal::Stopped), Some(Add(1))));
    address.ended().await;
    accounted(&address);
}

#[tokio::test]
async fn an_ask_in_line_gets_its_message_back_when_the_subsystem_stops() {
    let runtime = Runtime::new();
    let (address, gate) = gated(&runtime, 1, OverflowPolicy::Error);
    gate.wait_until_busy(&address).await;
    address.tell(Add(1)).unwrap();
    let asking = ask_elsewhere(&address, LONG).await;
    assert_eq!(address.stats().waiting, 1);
    address.stop();
    assert_eq!(asking.await.unwrap().unwrap_err().message, Some(Add(7)));
    gate.open();
    address.ended().await;
    accounted(&address);
}

#[tokio::test]
async fn a_dropped_ask_is_not_handled_if_it_was_not_begun() {
    let runtime = Runtime::new();
    let (address, gate) = gated(&runtime, 8, OverflowPolicy::Error);
    gate.wait_until_busy(&address).await;
    ask_elsewhere(&address, LONG).await.abort();
    tokio::task::yield_now().await;
    gate.open();
    assert!(address.ask(Total).await.unwrap().is_empty());
    assert_eq!(address.stats().expired, 1);
    accounted(&address);
}

#[tokio::test]
async fn a_dropped_ask_in_hand_is_handled_to_its_end() {
    let runtime = Runtime::new();
    let (address, gate) = gated(&runtime, 8, OverflowPolicy::Error);
    let asking = ask_elsewhere(&address, LONG).await;
    while address.stats().in_hand == 0 {
        tokio::task::yield_now().await;
    }
    asking.abort();
    let _ = asking.await;
    gate.open();
    assert_eq!(address.ask(Total).await.unwrap(), [7]);
    accounted(&address);
    assert_eq!(runtime.pool_stats().in_use, 0);
}

/// Carries the duty to reply.
struct Query {
    how: How,
    reply: ReplyTo<String>,
}

enum How {
    Now,
    Elsewhere,
    Never,
}

impl Handler<Query> for Fragile {
    type Reply = ();
    async fn handle(&mut self, query: Query, _: &mut Context<Self>) {
        match query.how {
            How::Now => query.reply.reply("now".to_owned()),
            How::Elsewhere => {
                tokio::spawn(async move {
                    tokio::task::yield_now().await;
                    query.reply.reply("elsewhere".to_owned());
                });
            }
            How::Never => {}
        }
    }
}

#[tokio::test]
async fn a_reply_may_come_later_or_from_elsewhere_or_never() {
    let runtime = Runtime::new();
    let address = runtime.spawn("late", Fragile).unwrap();
    let ask = |how| address.ask_with(|reply| Query { how, reply });
    assert_eq!(ask(How::Now).await.unwrap(), "now");
    assert_eq!(ask(How::Elsewhere).await.unwrap(), "elsewhere");
    assert_eq!(ask(How::Never).await.unwrap_err().failure, AskFailure::Unanswered);
    address.stop();
    address.ended().await;
    let refused = ask(How::Now).await.unwrap_err();
    assert_eq!(refused.failure, AskFailure::Refused(Refusal::Stopped));
    drop(refused);
    accounted(&address);
    assert_eq!(runtime.pool_stats().in_use, 0);
}

#[tokio::test(start_paused = true)]
async fn a_late_reply_has_a_deadline_and_knows_when_it_is_over() {
    struct Keeper(Option<ReplyTo<u64>>);
    impl Subsystem for Keeper {}
    struct Keep(ReplyTo<u64>);
    struct Give;
    impl Handler<Keep> for Keeper {
        type Reply = ();
        async fn handle(&mut self, Keep(reply): Keep, _: &mut Context<Self>) {
            self.0 = Some(reply);
        }
    }
    impl Handler<Give> for Keeper {
        type Reply = bool;
        async fn handle(&mut self, _: Give, _: &mut Context<Self>) -> bool {
            let reply = self.0.take().unwrap();
            let over = reply.is_over();
            reply.reply(7);
            over
        }
    }
    let runtime = Runtime::new();
    let keeper = runtime.spawn("keeper", Keeper(None)).unwrap();
    let within = Duration::from_millis(200);
    let error = keeper.ask_with_within(within, Keep).await.unwrap_err();
    assert_eq!(error.failure, AskFailure::Deadline(within));
    assert!(keeper.ask(Give).await.unwrap());
    assert_eq!(runtime.pool_stats().in_use, 0);
}

#[test]
fn asks_are_settled_when_tokio_goes_away_first() {
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let runtime = Runtime::builder().tokio(tokio.handle().clone()).build();
    let (address, _gate) = gated(&runtime, 8, OverflowPolicy::Error);
    let asker = address.clone();
    let asking = std::thread::spawn(move || asker.blocking_ask(Wait, LONG));
    while address.stats().in_hand == 0 {
        std::thread::yield_now();
    }
    drop(tokio);
    assert!(asking.join().unwrap().is_err());
    assert!(matches!(address.exit(), Some(Exit::Abandoned)));
    assert_eq!(address.ask(Add(1)).into_error(), AskFailure::Refused(Refusal::Stopped));
    accounted(&address);
    assert_eq!(runtime.pool_stats().in_use, 0);
}

trait IntoError {
    fn into_error(self) -> AskFailure;
}

impl<M, R> IntoError for mycelia_actors::Ask<'_, M, R> {
    fn into_error(self) -> AskFailure {
        let mut ask = std::pin::pin!(self);
        match ask.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            std::task::Poll::Ready(Err(error)) => error.failure,
            _ => panic!("an ask of an ended subsystem fails at once"),
        }
    }
}

#[tokio::test]
async fn dropping_the_runtime_settles_every_ask() {
    let runtime = Runtime::new();
    let (address, _gate) = gated(&runtime, 8, OverflowPolicy::Error);
    let asking = ask_elsewhere(&address, LONG).await;
    drop(runtime);
    let failure = asking.await.unwrap().unwrap_err().failure;
    assert!(matches!(failure, AskFailure::Killed | AskFailure::Undelivered), "{failure:?}");
    assert!(matches!(address.ended().await, Exit::Killed));
}

#[test]
fn a_thread_may_ask_when_the_runtime_was_made_outside_of_tokio() {
    let runtime = Runtime::new();
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let (gated, gate) = Gated::new();
    gate.open();
    let address = tokio.block_on(async { runtime.spawn_unnamed(gated) }).unwrap();
    for n in 0..10 {
        assert_eq!(address.blocking_ask(Add(n), LONG).unwrap(), n as usize + 1);
    }
    // Its deadline is kept, too.
    let (gated, _gate) = Gated::new();
    let silent = tokio.block_on(async { runtime.spawn_unnamed(gated) }).unwrap();
    let within = Duration::from_millis(30);
    let error = silent.blocking_ask(Add(1), within).unwrap_err();
    assert_eq!(error.failure, AskFailure::Deadline(within));
}
