//! What counts as a failure, and whom it reaches: the table in the documentation of `Restart`.
#![cfg(not(mycelia_loom))]

mod subsystems;

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mycelia_actors::prelude::*;
use subsystems::accounted;
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// Whose starts with numbers in this range, ends included, are errors.
#[derive(Clone)]
struct Child {
    starts: Arc<AtomicU32>,
    errors: (u32, u32),
}

impl Subsystem for Child {
    async fn started(&mut self, _: &mut Context<Self>) -> Result<(), BoxError> {
        let start = self.starts.fetch_add(1, SeqCst);
        let (first, last) = self.errors;
        if (first..=last).contains(&start) { Err(format!("no database, {start}").into()) } else { Ok(()) }
    }
}

struct Panic;
impl Handler<Panic> for Child {
    type Reply = ();
    async fn handle(&mut self, _: Panic, _: &mut Context<Self>) {
        panic!("on purpose");
    }
}

/// Spawns the child, and hears of its end.
struct Parent {
    child: Child,
    restart: Option<Restart>,
    spawned: Arc<Mutex<Option<Address<Child>>>>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Subsystem for Parent {
    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        let child = self.child.clone();
        let address = match self.restart {
            Some(restart) => cx.configure_unnamed().restart(restart).spawn_with(move || child.clone())?,
            None => cx.spawn(child)?,
        };
        cx.watch(&address)?;
        *self.spawned.lock().unwrap() = Some(address);
        Ok(())
    }
}

impl Handler<Terminated> for Parent {
    type Reply = ();
    async fn handle(&mut self, end: Terminated, _: &mut Context<Self>) {
        let child = self.spawned.lock().unwrap().clone().unwrap();
        assert!(end.was(&child));
        self.heard.lock().unwrap().push(end.exit().to_string());
    }
}

struct Family {
    parent: Address<Parent>,
    child: Address<Child>,
    starts: Arc<AtomicU32>,
    heard: Arc<Mutex<Vec<String>>>,
}

/// A parent without a factory, so that it ends if it fails.
async fn family(runtime: &Runtime, errors: (u32, u32), restart: Option<Restart>) -> Family {
    let (starts, heard) = (Arc::<AtomicU32>::default(), Arc::default());
    let spawned = Arc::<Mutex<Option<_>>>::default();
    let child = Child { starts: Arc::clone(&starts), errors };
    let parent = Parent { child, restart, spawned: Arc::clone(&spawned), heard: Arc::clone(&heard) };
    let parent = runtime.spawn_unnamed(parent).unwrap();
    parent.started().await.unwrap();
    let child = spawned.lock().unwrap().clone().unwrap();
    Family { parent, child, starts, heard }
}

async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_at_the_start_of_a_restart_is_tried_again_with_pauses() {
    let restart = Restart::one_for_one().at_most(5, 60 * SECOND).backoff(SECOND, 8 * SECOND);
    let runtime = Runtime::new();
    let Family { parent, child, starts, .. } = family(&runtime, (1, 3), Some(restart)).await;
    child.started().await.unwrap();
    let began = Instant::now();
    child.tell(Panic).unwrap();
    while starts.load(SeqCst) < 5 {
        tokio::time::sleep(SECOND / 10).await;
    }
    // Half of 1 + 2 + 4 seconds at the least, by chance.
    let took = began.elapsed();
    assert!(took >= 7 * SECOND / 2 && took < 8 * SECOND, "{took:?}");
    assert_eq!((child.stats().restarts, child.exit().is_none(), parent.exit().is_none()), (4, true, true));
}

#[tokio::test]
async fn whoever_cannot_start_again_fails_for_good() {
    let restart = Restart::one_for_one().at_most(2, SECOND);
    let runtime = Runtime::new();
    let Family { parent, child, starts, .. } = family(&runtime, (1, 9), Some(restart)).await;
    child.started().await.unwrap();
    child.tell(Panic).unwrap();
    assert_eq!(child.ended().await.to_string(), "start failed: no database, 2");
    let exit = parent.ended().await.to_string();
    assert!(
        exit.ends_with("start failed: no database, 2") && exit.starts_with("panicked: its child"),
        "{exit}"
    );
    assert_eq!(starts.load(SeqCst), 3);
    accounted(&child);
}

#[tokio::test]
async fn whoever_cannot_start_at_all_fails_nobody() {
    for restart in [None, Some(Restart::one_for_one())] {
        let runtime = Runtime::new();
        let Family { parent, child, heard, .. } = family(&runtime, (0, 9), restart).await;
        assert_eq!(child.ended().await.to_string(), "start failed: no database, 0");
        settle().await;
        assert_eq!(*heard.lock().unwrap(), ["start failed: no database, 0"]);
        assert!(parent.exit().is_none());
    }
}

#[tokio::test]
async fn whoever_does_not_escalate_fails_nobody_but_is_heard_of() {
    let once = Restart::one_for_one().at_most(1, SECOND).escalate(false);
    for restart in [None, Some(once)] {
        let runtime = Runtime::new();
        let Family { parent, child, heard, .. } = family(&runtime, (9, 9), restart).await;
        while child.tell(Panic).is_ok() {
            tokio::task::yield_now().await;
        }
        child.ended().await;
        settle().await;
        assert_eq!(*heard.lock().unwrap(), ["panicked: on purpose"]);
        assert!(parent.exit().is_none());
        assert_eq!(child.stats().restarts, u64::from(restart.is_some()));
    }
}

#[tokio::test]
async fn a_restart_without_a_factory_is_refused() {
    let runtime = Runtime::new();
    let child = Child { starts: Arc::default(), errors: (9, 9) };
    let error = runtime.configure("child").restart(Restart::one_for_one()).spawn(child.clone()).unwrap_err();
    assert_eq!(error, SpawnError::NoFactory);
    assert!(runtime.is_empty());
    // By default, though, a factory is used.
    let child = runtime.spawn_with("child", move || child.clone()).unwrap();
    child.tell(Panic).unwrap();
    child.stop();
    assert!(matches!(child.ended().await, Exit::Stopped));
    assert_eq!(child.stats().restarts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_not_waited_for_on_account_of_an_end_that_nobody_will_hear_of() {
    struct Chief(Arc<AtomicU32>);
    impl Subsystem for Chief {
        async fn started(&mut self, _: &mut Context<Self>) -> Result<(), BoxError> {
            self.0.fetch_add(1, SeqCst);
            Ok(())
        }
    }
    impl Handler<Terminated> for Chief {
        type Reply = ();
        async fn handle(&mut self, _: Terminated, _: &mut Context<Self>) {}
    }
    struct Fail(Address<Child>);
    impl Handler<Fail> for Chief {
        type Reply = ();
        async fn handle(&mut self, Fail(child): Fail, cx: &mut Context<Self>) {
            cx.watch(&child).unwrap();
            child.kill();
            child.ended().await;
            panic!("on purpose");
        }
    }
    let runtime = Runtime::new();
    let starts = Arc::<AtomicU32>::default();
    let (counts, hour) = (Arc::clone(&starts), 3600 * SECOND);
    let restart = Restart::one_for_one().backoff(hour, hour);
    let chief =
        runtime.configure_unnamed().restart(restart).spawn_with(move || Chief(Arc::clone(&counts))).unwrap();
    for _ in 0..2 {
        let child = Child { starts: Arc::default(), errors: (9, 9) };
        let child = runtime.spawn_unnamed(child).unwrap();
        chief.ask(Fail(child)).await.unwrap_err();
    }
    settle().await;
    let began = Instant::now();
    chief.stop();
    assert!(matches!(chief.ended().await, Exit::Panicked(_)));
    assert_eq!((began.elapsed(), starts.load(SeqCst)), (Duration::ZERO, 2));
    assert_eq!((chief.stats().expired, chief.stats().undelivered), (1, 1));
    accounted(&chief);
}
