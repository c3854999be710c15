//! Panics where nobody expects them: in the drops of replies, payloads and factories, and in wakers.
#![cfg(not(mycelia_loom))]

mod subsystems;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context as Task, Wake, Waker};
use std::time::Duration;

use mycelia_actors::prelude::*;
use subsystems::{Add, Gated, Wait, accounted};

/// A reply that panics when it is dropped.
struct Bomb {
    armed: bool,
    _held: Arc<()>,
}
impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(!self.armed, "in the reply's drop");
    }
}

struct Get(bool, Arc<()>);
impl Handler<Get> for Gated {
    type Reply = Bomb;
    const BATCH: usize = 8;
    async fn handle(&mut self, Get(armed, held): Get, _: &mut Context<Self>) -> Bomb {
        Bomb { armed, _held: held }
    }
}

#[tokio::test]
async fn a_reply_that_nobody_asked_for_may_panic_in_its_drop() {
    let runtime = Runtime::new();
    let held = Arc::new(());
    let address = runtime.spawn_unnamed(Gated::new().0).unwrap();
    let mut ask = address.ask(Get(false, Arc::clone(&held)));
    assert!(Pin::new(&mut ask).poll(&mut Task::from_waker(Waker::noop())).is_pending());
    // Handled together, and then alone.
    address.tell(Get(true, Arc::clone(&held))).unwrap();
    drop(ask.await.unwrap());
    address.tell(Get(true, Arc::clone(&held))).unwrap();
    drop(address.ask(Get(false, Arc::clone(&held))).await.unwrap());
    let stats = address.stats();
    assert_eq!((stats.handled, stats.failed, stats.drop_panics), (4, 0, 2));
    assert_eq!(Arc::strong_count(&held), 1);
    accounted(&address);
}

/// A panic that panics.
struct Payload;
impl Drop for Payload {
    fn drop(&mut self) {
        panic!("in the payload's drop");
    }
}

struct Nasty;
impl Drop for Nasty {
    fn drop(&mut self) {
        std::panic::panic_any(Payload);
    }
}
impl Handler<Nasty> for Gated {
    type Reply = ();
    async fn handle(&mut self, nasty: Nasty, _: &mut Context<Self>) {
        std::mem::forget(nasty);
    }
}

#[tokio::test]
async fn a_payload_that_panics_in_its_drop_does_not_reach_the_sender() {
    let runtime = Runtime::new();
    let (gated, gate) = Gated::new();
    let mailbox = Mailbox::bounded(1).overflow(OverflowPolicy::DropOldest);
    let address = runtime.configure_unnamed().mailbox(mailbox).spawn(gated).unwrap();
    gate.wait_until_busy(&address).await;
    address.tell(Nasty).unwrap();
    assert_eq!(address.tell(Add(1)).unwrap(), Told::Evicted);
    assert_eq!(address.stats().drop_panics, 1);
}

struct Bell(AtomicUsize);
impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct Cracked;
impl Wake for Cracked {
    fn wake(self: Arc<Self>) {
        panic!("in the waker");
    }
}

#[tokio::test(start_paused = true)]
async fn a_waker_that_panics_takes_no_wake_up_from_others() {
    let runtime = Runtime::new();
    let address = runtime.spawn_unnamed(Gated::new().0).unwrap();
    let bell = Arc::new(Bell(AtomicUsize::new(0)));
    let (whole, cracked) = (Waker::from(Arc::clone(&bell)), Waker::from(Arc::new(Cracked)));
    let mut asks: Vec<_> = (0..5).map(|_| address.ask(Wait).within(Duration::from_millis(30))).collect();
    for (number, ask) in asks.iter_mut().enumerate() {
        let waker = if number == 2 { &cracked } else { &whole };
        assert!(Pin::new(ask).poll(&mut Task::from_waker(waker)).is_pending());
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bell.0.load(Ordering::SeqCst), 4);
}

struct Fail;
impl Handler<Fail> for Gated {
    type Reply = ();
    async fn handle(&mut self, _: Fail, _: &mut Context<Self>) {
        panic!("on purpose");
    }
}

#[tokio::test]
async fn an_askers_waker_that_panics_is_no_affair_of_the_subsystem() {
    let runtime = Runtime::new();
    let make = || {
        let (gated, gate) = Gated::new();
        gate.open();
        gated
    };
    let address = runtime.configure_unnamed().spawn_with(make).unwrap();
    let cracked = Waker::from(Arc::new(Cracked));
    let mut ask = address.ask(Fail);
    assert!(Pin::new(&mut ask).poll(&mut Task::from_waker(&cracked)).is_pending());
    assert_eq!(address.ask(Add(1)).await.unwrap(), 1);
    assert_eq!(address.stats().restarts, 1);
}

/// An error that cannot be told.
#[derive(Debug)]
struct Untold;
impl std::fmt::Display for Untold {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("in the error's text");
    }
}
impl std::error::Error for Untold {}

#[tokio::test]
async fn the_error_of_a_start_may_panic_when_it_is_told() {
    struct Bad;
    impl Subsystem for Bad {
        async fn started(&mut self, _: &mut Context<Self>) -> Result<(), BoxError> {
            Err(Box::new(Untold))
        }
    }
    let runtime = Runtime::new();
    let bad = runtime.spawn("bad", Bad).unwrap();
    assert_eq!(bad.ended().await.to_string(), "start failed: in the error's text");
}
