//! From spawn to end: starting, stopping, killing, restarting, shutting down.
#![cfg(not(mycelia_loom))]

mod subsystems;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use mycelia_actors::prelude::*;
use mycelia_actors::{AskFailure, SpawnError};
use subsystems::{Add, Gated, Total, Wait, accounted};

/// Reports what happens to it, and does as it is told.
struct Diary {
    events: mpsc::Sender<String>,
    start: fn() -> Result<(), BoxError>,
    handled: u32,
}

impl Diary {
    fn new(start: fn() -> Result<(), BoxError>) -> (Self, mpsc::Receiver<String>) {
        let (events, diary) = mpsc::channel();
        (Self { events, start, handled: 0 }, diary)
    }
}

impl Subsystem for Diary {
    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        self.events.send(format!("{} started", cx.name())).unwrap();
        (self.start)()
    }

    async fn stopped(&mut self, exit: &Exit, _: &mut Context<Self>) {
        self.events.send(exit.to_string()).unwrap();
    }
}

struct Note(&'static str);
impl Handler<Note> for Diary {
    type Reply = u32;
    async fn handle(&mut self, Note(text): Note, _: &mut Context<Self>) -> u32 {
        self.handled += 1;
        self.events.send(text.to_owned()).unwrap();
        assert!(!text.starts_with("panic"), "{text}");
        self.handled
    }
}

#[tokio::test]
async fn started_runs_first_and_stopped_last() {
    let runtime = Runtime::new();
    let (state, diary) = Diary::new(|| Ok(()));
    let address = runtime.spawn("diary", state).unwrap();
    address.tell(Note("one")).unwrap();
    address.started().await.unwrap();
    address.stop();
    assert_eq!(address.ended().await.to_string(), "stopped");
    assert_eq!(diary.iter().collect::<Vec<_>>(), ["diary started", "one", "stopped"]);
    accounted(&address);
}

#[tokio::test]
async fn a_start_that_fails_ends_the_subsystem_with_its_reason() {
    let runtime = Runtime::new();
    let (state, diary) = Diary::new(|| Err("no such file".into()));
    let address = runtime.spawn("diary", state).unwrap();
    let asked = address.ask(Note("one")).await.unwrap_err();
    assert_eq!(asked.failure, AskFailure::Undelivered);
    let error = address.started().await.unwrap_err();
    assert_eq!(error.to_string(), "`diary` did not start: start failed: no such file");
    assert!(matches!(address.ended().await, Exit::StartFailed(_)));
    assert_eq!(diary.iter().collect::<Vec<_>>(), ["diary started"], "it never ran, so it does not stop");
    accounted(&address);
    runtime.spawn("diary", Diary::new(|| Ok(())).0).expect("the name is free again");
}

#[tokio::test]
async fn a_start_that_panics_is_contained() {
    let runtime = Runtime::new();
    let (state, _diary) = Diary::new(|| panic!("at the start"));
    let address = runtime.spawn("diary", state).unwrap();
    assert!(
        matches!(address.started().await.unwrap_err().exit, Exit::Panicked(text) if &*text == "at the start")
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_spawn_is_said_at_once() {
    let runtime = Runtime::new();
    let spawn = |name| runtime.spawn(name, Gated::new().0);
    let first = spawn("users").unwrap();
    assert_eq!(spawn("users").unwrap_err(), SpawnError::NameTaken("users".into()));
    for name in ["", "a b", "api://users", "a/b"] {
        assert_eq!(spawn(name).unwrap_err(), SpawnError::BadName(name.into()));
    }
    let without_room = runtime.configure("full").mailbox(Mailbox::bounded(0)).spawn(Gated::new().0);
    assert_eq!(
        without_room.unwrap_err().to_string(),
        "`full` has a mailbox of capacity 0: it could never take a message"
    );
    assert!(matches!(
        runtime.configure_unnamed().budget(0).spawn(Gated::new().0),
        Err(SpawnError::NoBudget(_))
    ));
    first.stop();
    first.ended().await;
    spawn("users").expect("a name is free when its owner has ended");
    runtime.shutdown().await.unwrap();
    assert_eq!(spawn("late").unwrap_err(), SpawnError::ShutDown);
}

#[test]
fn without_tokio_a_spawn_says_so() {
    let runtime = Runtime::new();
    assert_eq!(runtime.spawn("users", Gated::new().0).unwrap_err(), SpawnError::NoTokio);
}

#[tokio::test]
async fn a_factory_that_panics_at_the_first_state_leaves_the_name_free() {
    let runtime = Runtime::new();
    let spawn = || runtime.configure("users").spawn_with(|| -> Gated { panic!("no state") });
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| spawn().map(drop))).unwrap_err();
    assert!(runtime.is_empty());
    runtime.spawn("users", Gated::new().0).unwrap();
}

#[tokio::test]
async fn a_restart_keeps_the_mailbox_and_the_rest_of_the_batch() {
    let runtime = Runtime::new();
    let (events, diary) = mpsc::channel();
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    let address = runtime
        .configure("diary")
        .spawn_with(move || {
            count.fetch_add(1, Ordering::SeqCst);
            Diary { events: events.clone(), start: || Ok(()), handled: 0 }
        })
        .unwrap();
    let notes = ["one", "panic two", "three", "panic four", "five"].map(Note);
    assert_eq!(address.tell_many(notes).unwrap().queued, 5);
    assert_eq!(address.ask(Note("six")).await.unwrap(), 2, "a new state counts from the start");
    let stats = address.stats();
    assert_eq!((made.load(Ordering::SeqCst), stats.restarts), (3, 2));
    assert_eq!((stats.sent, stats.handled, stats.failed), (6, 4, 2));
    address.restart();
    assert_eq!(address.ask(Note("seven")).await.unwrap(), 1);
    runtime.shutdown().await.unwrap();
    let told: Vec<_> = diary.try_iter().filter(|event| !event.ends_with("started")).collect();
    assert_eq!(told, ["one", "panic two", "three", "panic four", "five", "six", "seven", "stopped"]);
    accounted(&address);
}

#[tokio::test]
async fn one_restart_too_many_ends_the_subsystem() {
    let runtime = Runtime::new();
    let (events, _diary) = mpsc::channel();
    let address = runtime
        .configure("diary")
        .restart(Restart::one_for_one().at_most(2, Duration::from_secs(60)))
        .spawn_with(move || Diary { events: events.clone(), start: || Ok(()), handled: 0 })
        .unwrap();
    address.tell_many(["panic 1", "panic 2", "panic 3", "never"].map(Note)).unwrap();
    assert!(matches!(address.ended().await, Exit::Panicked(text) if &*text == "panic 3"));
    let stats = address.stats();
    assert_eq!((stats.restarts, stats.failed, stats.undelivered), (2, 3, 1));
    accounted(&address);
}

#[tokio::test(start_paused = true)]
async fn a_restart_waits_its_pause_and_can_be_killed_meanwhile() {
    let runtime = Runtime::new();
    let (events, diary) = mpsc::channel();
    let pause = Duration::from_secs(100);
    let address = runtime
        .configure("diary")
        .restart(Restart::one_for_one().at_most(3, 60 * pause).backoff(pause, pause))
        .spawn_with(move || Diary { events: events.clone(), start: || Ok(()), handled: 0 })
        .unwrap();
    let begun = tokio::time::Instant::now();
    address.tell_many(["panic 1", "panic 2", "one"].map(Note)).unwrap();
    while diary.try_iter().all(|event| event != "one") {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(begun.elapsed() >= pause / 2, "no less than half of it");
    address.tell(Note("panic 3")).unwrap();
    tokio::task::yield_now().await;
    address.kill();
    assert!(matches!(address.ended().await, Exit::Killed));
    accounted(&address);
}

#[tokio::test]
async fn a_kill_takes_effect_at_the_await() {
    let runtime = Runtime::new();
    let (state, _gate) = Gated::new();
    let address = runtime.spawn("gated", state).unwrap();
    address.tell_many((0..1000).map(Add)).unwrap();
    while address.stats().in_hand == 0 {
        tokio::task::yield_now().await;
    }
    address.kill();
    assert!(matches!(address.ended().await, Exit::Killed));
    let stats = address.stats();
    assert_eq!((stats.failed, stats.undelivered), (1, 999));
    accounted(&address);
}

#[tokio::test]
async fn an_idle_subsystem_that_is_killed_does_not_stop_instead() {
    let runtime = Runtime::new();
    let (state, diary) = Diary::new(|| Ok(()));
    let address = runtime.spawn("diary", state).unwrap();
    address.started().await.unwrap();
    address.kill();
    assert!(matches!(address.ended().await, Exit::Killed));
    assert_eq!(diary.iter().collect::<Vec<_>>(), ["diary started"]);
}

#[tokio::test]
async fn shutdown_stops_the_latest_first_and_drains_each() {
    let runtime = Runtime::new();
    let (events, diary) = mpsc::channel();
    let spawn =
        |name| runtime.spawn(name, Diary { events: events.clone(), start: || Ok(()), handled: 0 }).unwrap();
    let all = [spawn("parent"), spawn("child"), spawn("grandchild")];
    for (address, note) in all.iter().zip(["p", "c", "g"]) {
        address.started().await.unwrap();
        address.tell(Note(note)).unwrap();
    }
    while diary.try_iter().all(|event| event != "g") {
        tokio::task::yield_now().await;
    }
    runtime.shutdown().await.unwrap();
    assert!(runtime.is_empty());
    all.iter().for_each(accounted);
    for address in &all {
        assert!(matches!(address.exit(), Some(Exit::Stopped)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_that_takes_too_long_kills_and_names_them() {
    let runtime = Runtime::new();
    let (slow, _gate) = Gated::new();
    let slow = runtime.spawn("slow", slow).unwrap();
    let (quick, open) = Gated::new();
    open.open();
    runtime.spawn("quick", quick).unwrap();
    slow.tell(Wait).unwrap();
    let begun = tokio::time::Instant::now();
    let error = runtime.shutdown_within(Duration::from_secs(2)).await.unwrap_err();
    assert!(begun.elapsed() <= Duration::from_millis(2_100));
    assert_eq!(error.killed.iter().map(ToString::to_string).collect::<Vec<_>>(), ["slow"]);
    assert_eq!(error.to_string(), "not stopped within 2s: `slow`: 1 in hand, killed");
    accounted(&slow);
}

#[tokio::test]
async fn subsystems_can_make_others_and_end_themselves() {
    struct Parent;
    impl Subsystem for Parent {}
    struct Beget;
    impl Handler<Beget> for Parent {
        type Reply = Address<Gated>;
        async fn handle(&mut self, _: Beget, cx: &mut Context<Self>) -> Self::Reply {
            let (child, gate) = Gated::new();
            gate.open();
            cx.spawn(child).unwrap()
        }
    }
    let runtime = Runtime::new();
    let parent = runtime.spawn("parent", Parent).unwrap();
    let child = parent.ask(Beget).await.unwrap();
    child.tell(Add(1)).unwrap();
    assert_eq!(child.ask(Total).await.unwrap(), [1]);
    struct End;
    impl Handler<End> for Parent {
        type Reply = ();
        async fn handle(&mut self, _: End, cx: &mut Context<Self>) {
            cx.stop();
        }
    }
    parent.tell(End).unwrap();
    assert!(matches!(parent.ended().await, Exit::Stopped));
    assert!(matches!(child.exit(), Some(Exit::Stopped)), "it ended before");
}

#[tokio::test]
async fn panics_in_the_drop_of_messages_and_states_are_contained_and_counted() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("in drop");
            }
        }
    }
    struct Holder(#[allow(dead_code, reason = "held to be dropped")] Bomb);
    impl Subsystem for Holder {}
    impl Handler<Bomb> for Holder {
        type Reply = ();
        async fn handle(&mut self, bomb: Bomb, _: &mut Context<Self>) {
            std::mem::forget(bomb);
            std::future::pending::<()>().await;
        }
    }
    let runtime = Runtime::new();
    let mailbox = Mailbox::bounded(1).overflow(OverflowPolicy::DropOldest);
    let address = runtime.configure("bombs").mailbox(mailbox).spawn(Holder(Bomb)).unwrap();
    address.tell(Bomb).unwrap();
    while address.stats().in_hand == 0 {
        tokio::task::yield_now().await;
    }
    address.tell(Bomb).unwrap();
    assert_eq!(address.tell(Bomb).unwrap(), Told::Evicted);
    assert_eq!(address.stats().drop_panics, 1);
    address.kill();
    assert!(matches!(address.ended().await, Exit::Killed));
    assert_eq!(address.stats().drop_panics, 3, "the evicted one, the undelivered one, and the state");
    accounted(&address);
    assert_eq!(runtime.pool_stats().in_use, 0);
}

#[tokio::test]
async fn a_restart_without_a_factory_changes_nothing() {
    let runtime = Runtime::new();
    let (state, diary) = Diary::new(|| Ok(()));
    let address = runtime.spawn("diary", state).unwrap();
    assert_eq!(address.ask(Note("one")).await.unwrap(), 1);
    address.restart();
    assert_eq!(address.ask(Note("two")).await.unwrap(), 2, "the same state");
    runtime.shutdown().await.unwrap();
    assert_eq!(diary.iter().collect::<Vec<_>>(), ["diary started", "one", "two", "stopped"], "started once");
    assert_eq!(address.stats().restarts, 0);
}

/// A future that panics when it is dropped.
struct Mine;
impl Future for Mine {
    type Output = ();
    fn poll(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        std::task::Poll::Pending
    }
}
impl Drop for Mine {
    fn drop(&mut self) {
        panic!("stepped on");
    }
}

struct Step;
impl Handler<Step> for Diary {
    type Reply = ();
    async fn handle(&mut self, _: Step, _: &mut Context<Self>) {
        Mine.await;
    }
}

#[tokio::test]
async fn a_handler_that_panics_while_it_is_killed_is_contained() {
    let runtime = Runtime::new();
    let (state, _diary) = Diary::new(|| Ok(()));
    let address = runtime.spawn("diary", state).unwrap();
    let asking = tokio::spawn({
        let address = address.clone();
        async move { address.ask(Step).await.unwrap_err().failure }
    });
    while address.stats().in_hand == 0 {
        tokio::task::yield_now().await;
    }
    address.kill();
    assert_eq!(asking.await.unwrap(), AskFailure::Killed);
    assert!(matches!(address.ended().await, Exit::Killed));
    assert_eq!(address.stats().drop_panics, 1);
    accounted(&address);
}

#[tokio::test(start_paused = true)]
async fn a_late_subsystem_is_killed_and_those_behind_it_still_stop() {
    let runtime = Runtime::new();
    let (state, diary) = Diary::new(|| Ok(()));
    let idle = runtime.spawn("idle", state).unwrap();
    let (gated, _gate) = Gated::new();
    let late = runtime.spawn("late", gated).unwrap();
    late.tell(Wait).unwrap();
    let error = runtime.shutdown_within(Duration::from_secs(1)).await.unwrap_err();
    assert_eq!((error.killed.len(), error.left.len()), (1, 0));
    assert_eq!(error.killed[0], *"late");
    assert!(matches!(idle.exit(), Some(Exit::Stopped)));
    assert_eq!(diary.iter().last().unwrap(), "stopped");
}

#[tokio::test]
async fn a_shutdown_may_have_all_the_time_there_is() {
    let runtime = Runtime::new();
    runtime.spawn_unnamed(Gated::new().0).unwrap();
    runtime.shutdown_within(Duration::MAX).await.unwrap();
}

#[test]
fn a_tokio_without_timers_is_refused() {
    let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let runtime = Runtime::builder().tokio(tokio.handle().clone()).build();
    assert!(matches!(runtime.spawn_unnamed(Gated::new().0), Err(SpawnError::NoTimers)));
}

#[tokio::test]
async fn whoever_stops_to_wait_for_the_end_is_forgotten() {
    struct Nobody(#[expect(dead_code, reason = "it is only held")] Arc<()>);
    impl std::task::Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }
    let runtime = Runtime::new();
    let address = runtime.spawn_unnamed(Gated::new().0).unwrap();
    let held = Arc::new(());
    for _ in 0..100 {
        let waker = std::task::Waker::from(Arc::new(Nobody(Arc::clone(&held))));
        let mut ended = std::pin::pin!(address.ended());
        assert!(ended.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending());
    }
    assert_eq!(Arc::strong_count(&held), 1);
}

/// Never stops.
struct Lingers(#[expect(dead_code, reason = "it is only held")] Arc<()>);
impl Subsystem for Lingers {
    async fn stopped(&mut self, _: &Exit, _: &mut Context<Self>) {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_subsystem_killed_while_it_stops_was_killed_and_leaves_nothing_behind() {
    let runtime = Runtime::new();
    let held = Arc::new(());
    let factory = {
        let held = Arc::clone(&held);
        move || Lingers(Arc::clone(&held))
    };
    let address = runtime.configure_unnamed().spawn_with(factory).unwrap();
    address.started().await.unwrap();
    address.stop();
    tokio::task::yield_now().await;
    address.kill();
    assert!(matches!(address.ended().await, Exit::Killed));
    assert_eq!(Arc::strong_count(&held), 1, "neither the state nor its factory");
}
