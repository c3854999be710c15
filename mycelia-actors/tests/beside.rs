//! What runs beside a subsystem: timers, futures and streams whose results come as messages.
#![cfg(not(mycelia_loom))]

mod subsystems;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context as Task, Poll};
use std::time::Duration;

use futures_core::Stream;
use mycelia_actors::TaskHandle;
use mycelia_actors::prelude::*;
use subsystems::{Gate, accounted};
use tokio::time::{Instant, advance};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Does what its messages say, with its context, and writes down what comes to it.
struct Desk {
    began: Instant,
    log: Vec<(Duration, u32)>,
    gate: Gate,
}
impl Subsystem for Desk {}

impl Desk {
    fn new() -> (Self, Gate) {
        let gate = Gate::default();
        gate.open();
        (Self::behind(gate.clone()), gate)
    }

    fn behind(gate: Gate) -> Self {
        Self { began: Instant::now(), log: Vec::new(), gate }
    }
}

struct With<F>(F);
impl<T: Send + 'static, F: FnOnce(&mut Context<Desk>) -> T + Send + 'static> Handler<With<F>> for Desk {
    type Reply = T;
    async fn handle(&mut self, With(work): With<F>, cx: &mut Context<Self>) -> T {
        work(cx)
    }
}

#[derive(Clone)]
struct Item(u32);
impl Handler<Item> for Desk {
    type Reply = ();
    async fn handle(&mut self, Item(number): Item, _: &mut Context<Self>) {
        self.gate.pass().await;
        self.log.push((self.began.elapsed(), number));
    }
}

struct Log;
impl Handler<Log> for Desk {
    type Reply = Vec<(Duration, u32)>;
    async fn handle(&mut self, _: Log, _: &mut Context<Self>) -> Self::Reply {
        std::mem::take(&mut self.log)
    }
}

async fn with<T: Send + 'static>(
    desk: &Address<Desk>,
    work: impl FnOnce(&mut Context<Desk>) -> T + Send + 'static,
) -> T {
    desk.ask(With(work)).await.unwrap()
}

/// In whole milliseconds; tokio's timers are one coarse.
async fn log(desk: &Address<Desk>) -> Vec<(u128, u32)> {
    let log = desk.ask(Log).await.unwrap();
    log.into_iter().map(|(when, number)| (when.as_millis() / 10 * 10, number)).collect()
}

async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

// Time is paused: it passes when everybody waits, or when `advance` says so.
#[tokio::test(start_paused = true)]
async fn a_message_is_sent_after_its_time_once() {
    let runtime = Runtime::new();
    let desk = runtime.spawn("desk", Desk::new().0).unwrap();
    let timer: TaskHandle = with(&desk, |cx| cx.send_after(2 * SECOND, Item(7))).await;
    advance(SECOND).await;
    settle().await;
    assert_eq!((log(&desk).await, timer.is_finished()), (vec![], false));
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(log(&desk).await, [(2000, 7)]);
    assert!(timer.is_finished());
    accounted(&desk);
}

#[tokio::test(start_paused = true)]
async fn messages_come_every_period_without_drift_whatever_the_handler_takes() {
    let runtime = Runtime::new();
    let desk = runtime.spawn("desk", Desk::new().0).unwrap();
    let timer = with(&desk, |cx| cx.send_every(SECOND, Item(1))).await;
    // Awkward moments: each look is a third of a second later.
    for _ in 0..28 {
        tokio::time::sleep(SECOND / 3).await;
    }
    let ticks = log(&desk).await;
    assert_eq!(ticks, (1..=9).map(|second| (second * 1000, 1)).collect::<Vec<_>>());
    timer.cancel();
    settle().await;
    assert!(timer.is_finished());
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(log(&desk).await, []);
}

#[tokio::test(start_paused = true)]
async fn while_the_mailbox_is_full_one_message_waits_and_the_schedule_stays() {
    let runtime = Runtime::new();
    let gate = Gate::default();
    let desk =
        runtime.configure("desk").mailbox(Mailbox::bounded(1)).spawn(Desk::behind(gate.clone())).unwrap();
    with(&desk, |cx| cx.send_every(SECOND, Item(1))).await;
    // One in hand, one in the mailbox, one that waits: from the third second on nothing fits.
    tokio::time::sleep(SECOND * 105 / 10).await;
    assert_eq!((desk.stats().sent, desk.stats().waiting), (3, 1));
    gate.open();
    tokio::time::sleep(SECOND * 2).await;
    let times: Vec<_> = log(&desk).await.into_iter().map(|(when, _)| when).collect();
    assert_eq!(times, [10_500, 10_500, 10_500, 11_000, 12_000]);
    accounted(&desk);
}

#[tokio::test(start_paused = true)]
async fn the_shortest_and_the_longest_times_are_none_to_stumble_over() {
    let runtime = Runtime::new();
    let desk = runtime.spawn("desk", Desk::new().0).unwrap();
    let (every, never, nor) = with(&desk, |cx| {
        let every = cx.send_every(Duration::ZERO, Item(0));
        (every, cx.send_every(Duration::MAX, Item(1)), cx.send_after(Duration::MAX, Item(2)))
    })
    .await;
    advance(Duration::from_millis(5)).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    every.cancel();
    let log = log(&desk).await;
    assert!(!log.is_empty() && log.iter().all(|&(_, number)| number == 0), "{log:?}");
    assert!(!never.is_finished() && !nor.is_finished());
}

#[tokio::test(start_paused = true)]
async fn what_runs_beside_a_state_ends_with_it() {
    for restarts in [true, false] {
        let runtime = Runtime::new();
        let gate = Gate::default();
        gate.open();
        let desk = runtime.configure("desk").spawn_with(move || Desk::behind(gate.clone())).unwrap();
        let held = Arc::new(());
        let (one, other) = (Arc::clone(&held), Arc::clone(&held));
        let handles = with(&desk, move |cx| {
            let pipe = cx.pipe(async move {
                let _held = one;
                std::future::pending::<Item>().await
            });
            let attached = cx.attach(Endless(other));
            vec![pipe, attached, cx.send_after(HOUR, Item(1)), cx.send_every(HOUR, Item(2))]
        })
        .await;
        tokio::time::sleep(SECOND).await;
        assert!(handles.iter().all(|handle| !handle.is_finished()));
        if restarts {
            desk.restart();
        } else {
            desk.stop();
            desk.ended().await;
        }
        settle().await;
        assert!(handles.iter().all(TaskHandle::is_finished));
        assert_eq!(Arc::strong_count(&held), 1);
        accounted(&desk);
    }
}

/// Never has an item.
struct Endless(#[allow(dead_code, reason = "held")] Arc<()>);
impl Stream for Endless {
    type Item = Item;
    fn poll_next(self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<Option<Item>> {
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn the_result_of_a_future_comes_as_a_message_while_the_subsystem_goes_on() {
    let runtime = Runtime::new();
    let desk = runtime.spawn("desk", Desk::new().0).unwrap();
    with(&desk, |cx| {
        cx.pipe(async {
            tokio::time::sleep(SECOND).await;
            Item(7)
        });
    })
    .await;
    assert_eq!(log(&desk).await, []);
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(log(&desk).await, [(1000, 7)]);
    accounted(&desk);
}

#[tokio::test(start_paused = true)]
async fn a_future_that_panics_is_contained_and_one_may_ask_its_own_subsystem() {
    let runtime = Runtime::new();
    let desk = runtime.spawn("desk", Desk::new().0).unwrap();
    let failed = with(&desk, |cx| {
        let address = cx.address().clone();
        cx.pipe(async move { Item(address.ask(Log).await.unwrap().len() as u32 + 5) });
        cx.pipe(async {
            if tokio::time::Instant::now().elapsed() < HOUR {
                panic!("on purpose");
            }
            Item(1)
        })
    })
    .await;
    settle().await;
    assert!(failed.is_finished());
    assert_eq!(log(&desk).await, [(0, 5)], "it holds nobody up");
    accounted(&desk);
}

/// Counts up to its end, and how often it was asked.
struct Count(u32, Arc<AtomicU32>);
impl Stream for Count {
    type Item = Item;
    fn poll_next(mut self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<Option<Item>> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0 += 1;
        Poll::Ready((self.0 <= 1000).then_some(Item(self.0)))
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_held_up_by_the_mailbox_and_comes_whole_and_in_order() {
    let runtime = Runtime::new();
    let gate = Gate::default();
    let desk =
        runtime.configure("desk").mailbox(Mailbox::bounded(4)).spawn(Desk::behind(gate.clone())).unwrap();
    let asked = Arc::new(AtomicU32::new(0));
    let stream = Count(0, Arc::clone(&asked));
    let attached = with(&desk, move |cx| cx.attach(stream)).await;
    settle().await;
    let taken = asked.load(Ordering::SeqCst);
    assert!(taken <= 4 + 4 + 1, "a mailbox, a batch, and one that waits: {taken}");
    gate.open();
    while !attached.is_finished() {
        tokio::task::yield_now().await;
    }
    let numbers: Vec<_> = log(&desk).await.into_iter().map(|(_, number)| number).collect();
    assert_eq!(numbers, (1..=1000).collect::<Vec<_>>());
    accounted(&desk);
}

#[tokio::test(start_paused = true)]
async fn what_runs_beside_inherits_metadata_but_no_deadline() {
    struct Seen(Option<u64>, Duration);
    impl Handler<Seen> for Desk {
        type Reply = ();
        async fn handle(&mut self, Seen(id, after): Seen, cx: &mut Context<Self>) {
            assert_eq!(cx.metadata().map(|metadata| metadata.id()), id);
            self.log.push((after, 1));
        }
    }
    let runtime = Runtime::new();
    let desk = runtime.spawn("desk", Desk::new().0).unwrap();
    let metadata = Metadata::new().with_timeout(SECOND);
    let id = metadata.id();
    let work = With(move |cx: &mut Context<Desk>| {
        cx.send_after(HOUR, Seen(Some(id), HOUR));
    });
    metadata.scope(async { desk.ask(work).within(SECOND).await }).await.unwrap();
    tokio::time::sleep(2 * HOUR).await;
    assert_eq!(desk.ask(Log).await.unwrap().len(), 1);
    accounted(&desk);
}
