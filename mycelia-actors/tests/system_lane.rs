//! Requests to a subsystem overtake its messages: stop now, kill, suspend, resume, restart.
#![cfg(not(mycelia_loom))]

mod subsystems;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mycelia_actors::prelude::*;
use mycelia_actors::{AskFailure, Told};
use subsystems::{Add, Gate, Gated, Total, accounted};

const MANY: u64 = 65_000;

/// A subsystem whose handler waits at the gate, with many messages behind the one in hand.
async fn busy() -> (Runtime, Address<Gated>, Gate) {
    let runtime = Runtime::new();
    let (state, gate) = Gated::new();
    let mailbox = Mailbox::bounded(MANY as usize);
    let address = runtime.configure("busy").mailbox(mailbox).budget(1).spawn(state).unwrap();
    gate.wait_until_busy(&address).await;
    for n in 0..MANY {
        address.tell(Add(n)).unwrap();
    }
    (runtime, address, gate)
}

/// Lets every task run that can.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_kill_takes_effect_at_the_current_await_however_many_are_queued() {
    let (_runtime, address, _gate) = busy().await;
    address.kill();
    assert!(matches!(address.ended().await, Exit::Killed));
    let stats = address.stats();
    assert_eq!((stats.handled, stats.failed, stats.undelivered), (0, 1, MANY));
    accounted(&address);
}

#[tokio::test]
async fn stop_now_takes_effect_at_the_next_message_however_many_are_queued() {
    let (_runtime, address, gate) = busy().await;
    address.stop_now();
    settle().await;
    assert_eq!(address.stats().in_hand, 1, "it waits for the handler");
    assert!(address.tell(Add(0)).is_err(), "and accepts nothing more");
    gate.open();
    assert!(matches!(address.ended().await, Exit::Stopped));
    let stats = address.stats();
    assert_eq!((stats.handled, stats.failed, stats.undelivered), (1, 0, MANY));
    accounted(&address);
}

#[tokio::test]
async fn a_kill_overtakes_a_stop_now() {
    let (_runtime, address, _gate) = busy().await;
    address.stop_now();
    address.kill();
    assert!(matches!(address.ended().await, Exit::Killed));
}

#[tokio::test]
async fn a_suspended_subsystem_takes_messages_and_handles_them_when_it_is_resumed() {
    let runtime = Runtime::new();
    let (state, gate) = Gated::new();
    gate.open();
    let address = runtime.spawn("gated", state).unwrap();
    address.suspend();
    address.suspend();
    for n in 0..10 {
        address.tell(Add(n)).unwrap();
    }
    settle().await;
    assert_eq!((address.stats().queued, address.stats().handled), (10, 0));
    address.resume();
    assert_eq!(address.ask(Total).await.unwrap(), (0..10).collect::<Vec<_>>());
    address.resume();
    address.suspend();
    address.resume();
    assert_eq!(address.ask(Add(10)).await.unwrap(), 11, "a resume takes back what came before it");
    accounted(&address);
}

#[tokio::test]
async fn the_message_in_hand_ends_before_the_suspension_begins() {
    let (_runtime, address, gate) = busy().await;
    address.suspend();
    gate.open();
    settle().await;
    assert_eq!((address.stats().handled, address.stats().queued), (1, MANY));
    address.kill();
    assert!(matches!(address.ended().await, Exit::Killed));
    accounted(&address);
}

#[tokio::test]
async fn a_suspended_subsystem_drains_when_it_is_stopped() {
    let (_runtime, address, gate) = busy().await;
    address.suspend();
    gate.open();
    settle().await;
    address.stop();
    assert!(matches!(address.ended().await, Exit::Stopped));
    assert_eq!(address.stats().handled, MANY + 1);
    accounted(&address);
}

#[tokio::test]
async fn stopped_first_and_suspended_then_it_drains_as_well() {
    let (_runtime, address, gate) = busy().await;
    address.stop();
    address.suspend();
    gate.open();
    assert!(matches!(address.ended().await, Exit::Stopped));
    assert_eq!(address.stats().handled, MANY + 1);
}

#[tokio::test]
async fn stop_now_ends_a_suspended_subsystem_at_once() {
    let (_runtime, address, gate) = busy().await;
    address.suspend();
    gate.open();
    settle().await;
    address.stop_now();
    assert!(matches!(address.ended().await, Exit::Stopped));
    assert_eq!((address.stats().handled, address.stats().undelivered), (1, MANY));
    accounted(&address);
}

#[tokio::test]
async fn a_suspended_subsystem_restarts_and_stays_suspended() {
    let runtime = Runtime::new();
    let states = Arc::new(AtomicUsize::new(0));
    let made = Arc::clone(&states);
    let factory = move || {
        made.fetch_add(1, Ordering::SeqCst);
        let (state, gate) = Gated::new();
        gate.open();
        state
    };
    let address = runtime.configure("gated").spawn_with(factory).unwrap();
    address.ask(Add(1)).await.unwrap();
    address.suspend();
    address.restart();
    address.tell(Add(2)).unwrap();
    settle().await;
    assert_eq!((states.load(Ordering::SeqCst), address.stats().queued), (2, 1));
    address.resume();
    assert_eq!(address.ask(Total).await.unwrap(), [2]);
}

#[tokio::test]
async fn a_suspended_subsystem_without_a_factory_is_not_let_go_on_by_a_restart() {
    let runtime = Runtime::new();
    let (state, gate) = Gated::new();
    let address = runtime.spawn("gated", state).unwrap();
    // All in one batch, which the loop has in its hands.
    address.tell_many([0, 1, 2].map(Add)).unwrap();
    settle().await;
    address.suspend();
    gate.open();
    settle().await;
    address.restart();
    settle().await;
    assert_eq!((address.stats().handled, address.stats().queued), (1, 2));
    address.resume();
    assert_eq!(address.ask(Total).await.unwrap(), [0, 1, 2]);
    accounted(&address);
}

#[tokio::test(start_paused = true)]
async fn the_policy_and_deadlines_hold_for_a_suspended_subsystem() {
    let runtime = Runtime::new();
    let (state, gate) = Gated::new();
    gate.open();
    let mailbox = Mailbox::bounded(2).overflow(OverflowPolicy::DropOldest);
    let address = runtime.configure("gated").mailbox(mailbox).spawn(state).unwrap();
    address.suspend();
    settle().await;
    let told: Vec<_> = (0..3).map(|n| address.tell(Add(n)).unwrap()).collect();
    assert_eq!(told, [Told::Queued, Told::Queued, Told::Evicted]);
    let second = Duration::from_secs(1);
    let asked = address.ask(Total).within(second).await.unwrap_err();
    assert_eq!(asked.failure, AskFailure::Deadline(second), "it waited for room");
    let asked = address.try_ask(Total).within(second).await.unwrap_err();
    assert_eq!(asked.failure, AskFailure::Deadline(second), "it waited for its turn");
    address.resume();
    assert_eq!(address.ask(Total).await.unwrap(), [2], "the ask before is expired");
    let stats = address.stats();
    assert_eq!((stats.evicted, stats.expired), (2, 1), "{stats:?}");
    accounted(&address);
}

/// Panics at every message.
struct Fragile;
impl Subsystem for Fragile {}
impl Handler<Add> for Fragile {
    type Reply = ();
    async fn handle(&mut self, _: Add, _: &mut Context<Self>) {
        panic!("again");
    }
}

#[tokio::test(start_paused = true)]
async fn stop_now_and_kill_end_the_pause_before_a_restart() {
    let hour = Duration::from_secs(3600);
    let restart = Restart::one_for_one().backoff(hour, hour);
    for (end, exit) in
        [(Address::stop_now as fn(&Address<Fragile>), "panicked: again"), (Address::kill, "killed")]
    {
        let runtime = Runtime::new();
        let address = runtime.configure_unnamed().restart(restart).spawn_with(|| Fragile).unwrap();
        for _ in 0..3 {
            address.tell(Add(0)).unwrap();
        }
        settle().await;
        assert_eq!(address.stats().restarts, 1, "the second pauses");
        end(&address);
        assert_eq!(address.ended().await.to_string(), exit);
        assert_eq!((address.stats().failed, address.stats().undelivered), (2, 1));
        accounted(&address);
    }
}
