//! Handlers' futures: wherever they end, what they hold is dropped once and their asker is told. Small, for miri.
#![cfg(not(mycelia_loom))]

mod subsystems;

use std::sync::Arc;

use mycelia_actors::AskFailure;
use mycelia_actors::prelude::*;
use subsystems::accounted;

struct Walker;
impl Subsystem for Walker {}

/// Larger and more aligned than a slot: travels in a box.
#[repr(align(64))]
struct Luggage([u64; 32]);

/// Three awaits; holds something over each.
struct Walk {
    held: Arc<()>,
    luggage: Luggage,
    steps: tokio::sync::mpsc::UnboundedSender<usize>,
    stops_at: usize,
}

impl Handler<Walk> for Walker {
    type Reply = Luggage;
    async fn handle(&mut self, walk: Walk, _: &mut Context<Self>) -> Luggage {
        for step in 0..3 {
            let _also_held = Arc::clone(&walk.held);
            walk.steps.send(step).unwrap();
            if step == walk.stops_at {
                std::future::pending::<()>().await;
            }
            tokio::task::yield_now().await;
        }
        assert_eq!((&raw const walk.luggage).addr() % 64, 0);
        walk.luggage
    }
}

#[tokio::test]
async fn a_handler_may_be_killed_at_every_await() {
    for stops_at in 0..4 {
        let runtime = Runtime::new();
        let walker = runtime.spawn_unnamed(Walker).unwrap();
        let held = Arc::new(());
        let (steps, mut taken) = tokio::sync::mpsc::unbounded_channel();
        let walk = Walk { held: Arc::clone(&held), luggage: Luggage([7; 32]), steps, stops_at };
        let asking = tokio::spawn({
            let walker = walker.clone();
            async move { walker.ask(walk).await.map_err(|error| error.failure) }
        });
        for step in 0..=stops_at.min(2) {
            assert_eq!(taken.recv().await, Some(step));
        }
        if stops_at < 3 {
            walker.kill();
            assert_eq!(asking.await.unwrap().err(), Some(AskFailure::Killed));
        } else {
            assert_eq!(asking.await.unwrap().unwrap().0, [7; 32]);
        }
        assert_eq!(Arc::strong_count(&held), 1, "killed at await {stops_at}");
        assert_eq!(runtime.pool_stats().in_use, 0);
        accounted(&walker);
    }
}

/// How far the handler gets.
#[derive(Clone, Copy)]
enum Panics {
    BeforeItsFuture,
    AtTheFirstPoll,
    AtTheSecond,
}

struct Trip(Panics, Arc<()>);
impl Handler<Trip> for Walker {
    type Reply = ();
    fn handle(&mut self, trip: Trip, _: &mut Context<Self>) -> impl Future<Output = ()> + Send {
        assert!(!matches!(trip.0, Panics::BeforeItsFuture), "there is no future yet");
        async move {
            let _held = &trip.1;
            assert!(!matches!(trip.0, Panics::AtTheFirstPoll), "in the future");
            tokio::task::yield_now().await;
            panic!("later");
        }
    }
}

#[tokio::test]
async fn a_handler_may_panic_before_and_in_its_future() {
    let runtime = Runtime::new();
    let walker = runtime.configure("walker").spawn_with(|| Walker).unwrap();
    let held = Arc::new(());
    for panics in [Panics::BeforeItsFuture, Panics::AtTheFirstPoll, Panics::AtTheSecond] {
        let error = walker.ask(Trip(panics, Arc::clone(&held))).await.unwrap_err();
        assert_eq!(error.failure, AskFailure::Panicked);
        assert_eq!(Arc::strong_count(&held), 1);
    }
    assert_eq!(walker.stats().failed, 3);
    assert_eq!(runtime.pool_stats().in_use, 0);
    accounted(&walker);
}
