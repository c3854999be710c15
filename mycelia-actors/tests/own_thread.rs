//! A subsystem on a thread of its own may block: nobody else waits for it, and it lives and ends like any other.
#![cfg(not(any(mycelia_loom, miri)))]

mod subsystems;

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use mycelia_actors::AskFailure;
use mycelia_actors::prelude::*;
use subsystems::{Add, Gated, accounted};

/// Blocks its thread until it is told to go on.
struct Blocking;
impl Subsystem for Blocking {}

struct Until(mpsc::Receiver<()>);
impl Handler<Until> for Blocking {
    type Reply = Option<String>;
    async fn handle(&mut self, Until(go): Until, _: &mut Context<Self>) -> Option<String> {
        go.recv().unwrap();
        thread::current().name().map(str::to_owned)
    }
}

struct Panic;
impl Handler<Panic> for Blocking {
    type Reply = ();
    async fn handle(&mut self, _: Panic, _: &mut Context<Self>) {
        panic!("on purpose");
    }
}

struct Sleep(Duration);
impl Handler<Sleep> for Blocking {
    type Reply = ();
    async fn handle(&mut self, Sleep(time): Sleep, _: &mut Context<Self>) {
        tokio::time::sleep(time).await;
    }
}

fn spawn(runtime: &Runtime) -> Address<Blocking> {
    runtime.configure("blocking").own_thread().spawn_with(|| Blocking).unwrap()
}

// On one thread: a handler that blocked it would block the test.
#[tokio::test]
async fn others_go_on_while_it_blocks() {
    let runtime = Runtime::new();
    let blocking = spawn(&runtime);
    let (state, gate) = Gated::new();
    gate.open();
    let gated = runtime.spawn("gated", state).unwrap();
    let (go, until) = mpsc::channel();
    let asked = blocking.ask(Until(until));
    let others = async {
        while blocking.stats().in_hand == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(gated.ask(Add(1)).await.unwrap(), 1);
        go.send(()).unwrap();
    };
    let (asked, ()) = tokio::join!(asked, others);
    assert_eq!(asked.unwrap().as_deref(), Some("blocking"));
    runtime.shutdown().await.unwrap();
    accounted(&blocking);
}

#[tokio::test]
async fn it_restarts_waits_on_timers_and_ends_like_any_other() {
    let runtime = Runtime::new();
    let blocking = spawn(&runtime);
    assert_eq!(blocking.ask(Panic).await.unwrap_err().failure, AskFailure::Panicked);
    blocking.ask(Sleep(Duration::from_millis(1))).await.unwrap();
    assert_eq!(blocking.stats().restarts, 1);
    let forever = blocking.ask(Sleep(Duration::MAX));
    let kills = async {
        while blocking.stats().in_hand == 0 {
            tokio::task::yield_now().await;
        }
        blocking.kill();
    };
    let (asked, ()) = tokio::join!(forever, kills);
    assert_eq!(asked.unwrap_err().failure, AskFailure::Killed);
    assert!(matches!(blocking.ended().await, Exit::Killed));
    accounted(&blocking);
}

#[test]
fn it_ends_when_tokio_goes_away() {
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let runtime = Runtime::builder().tokio(tokio.handle().clone()).build();
    let blocking = spawn(&runtime);
    let (go, until) = mpsc::channel();
    blocking.tell(Until(until)).unwrap();
    blocking.tell(Panic).unwrap();
    while blocking.stats().in_hand == 0 {
        thread::yield_now();
    }
    drop(tokio);
    go.send(()).unwrap();
    while blocking.exit().is_none() {
        thread::yield_now();
    }
    let stats = blocking.stats();
    assert_eq!((stats.handled, stats.undelivered), (1, 1), "{stats:?}");
    accounted(&blocking);
}

#[tokio::test]
async fn a_duty_to_reply_that_outlives_it_was_not_killed() {
    struct Keep(ReplyTo<()>, mpsc::Sender<ReplyTo<()>>);
    impl Handler<Keep> for Blocking {
        type Reply = ();
        async fn handle(&mut self, Keep(reply, to): Keep, _: &mut Context<Self>) {
            to.send(reply).unwrap();
        }
    }
    let runtime = Runtime::new();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    // The sweeper, which stays.
    spawn(&runtime).ask(Sleep(Duration::ZERO)).await.unwrap();
    let before = tasks();
    let blocking = runtime.configure("another").own_thread().spawn(Blocking).unwrap();
    let (sender, kept) = mpsc::channel();
    let asks = blocking.ask_with(|reply| Keep(reply, sender));
    let ends = async {
        let reply = loop {
            match kept.try_recv() {
                Ok(reply) => break reply,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        // A stop would wait for the reply.
        blocking.stop_now();
        blocking.ended().await;
        while tasks() > before {
            tokio::task::yield_now().await;
        }
        drop(reply);
    };
    let (outcome, ()) = tokio::join!(asks, ends);
    assert_eq!(outcome.unwrap_err().failure, AskFailure::Unanswered);
}

/// Spawns a child with a thread of its own, too.
struct Parent(mpsc::Sender<Address<Blocking>>);
impl Subsystem for Parent {
    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        self.0.send(cx.configure("child").own_thread().spawn(Blocking)?)?;
        Ok(())
    }
}

#[test]
fn a_parent_whose_child_blocks_is_killed_when_tokio_goes_away() {
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let runtime = Runtime::builder().tokio(tokio.handle().clone()).build();
    let (spawned, child) = mpsc::channel();
    let parent = runtime.configure("parent").own_thread().spawn(Parent(spawned)).unwrap();
    let child = child.recv().unwrap();
    let (go, until) = mpsc::channel();
    child.tell(Until(until)).unwrap();
    while child.stats().in_hand == 0 {
        thread::yield_now();
    }
    drop(tokio);
    while parent.exit().is_none() {
        thread::yield_now();
    }
    assert!(matches!(parent.exit(), Some(Exit::Killed)));
    go.send(()).unwrap();
    while child.exit().is_none() {
        thread::yield_now();
    }
    assert!(matches!(child.exit(), Some(Exit::Killed)));
}

/// Lets a blocked handler go on once it has the message in hand, from a thread that no clock knows of.
fn release(blocking: &Address<Blocking>, go: mpsc::Sender<()>) -> thread::JoinHandle<()> {
    let blocking = blocking.clone();
    thread::spawn(move || {
        while blocking.stats().in_hand == 0 {
            thread::yield_now();
        }
        go.send(()).unwrap();
    })
}

#[tokio::test(start_paused = true)]
async fn a_paused_clock_waits_while_it_works_and_goes_on_while_it_waits() {
    let runtime = Runtime::new();
    let blocking = spawn(&runtime);
    let begun = tokio::time::Instant::now();
    for _ in 0..10 {
        let (go, until) = mpsc::channel();
        let releases = release(&blocking, go);
        assert_eq!(blocking.ask(Until(until)).await.unwrap().as_deref(), Some("blocking"));
        releases.join().unwrap();
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    // Its own timers and those of others are over as if it were on tokio.
    let hour = Duration::from_secs(3600);
    blocking.ask(Sleep(hour)).within(2 * hour).await.unwrap();
    assert!((hour..hour + Duration::from_secs(1)).contains(&begun.elapsed()));
    blocking.tell(Sleep(Duration::MAX)).unwrap();
    let late = blocking.ask(Sleep(hour)).await.unwrap_err();
    assert_eq!(late.failure, AskFailure::Deadline(Duration::from_secs(5)));
    blocking.kill();
    assert!(matches!(blocking.ended().await, Exit::Killed));
    accounted(&blocking);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_in_paused_time_waits_for_it_too() {
    let runtime = Runtime::new();
    let blocking = spawn(&runtime);
    let (go, until) = mpsc::channel();
    blocking.tell(Until(until)).unwrap();
    blocking.tell(Sleep(Duration::from_secs(1))).unwrap();
    let releases = release(&blocking, go);
    runtime.shutdown().await.unwrap();
    assert_eq!(blocking.stats().handled, 2);
    releases.join().unwrap();
}

#[test]
fn a_tokio_with_a_paused_clock_does_not_wait_for_one_that_blocks() {
    let tokio =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let runtime = Runtime::builder().tokio(tokio.handle().clone()).build();
    let blocking = spawn(&runtime);
    let (go, until) = mpsc::channel();
    blocking.tell(Until(until)).unwrap();
    while blocking.stats().in_hand == 0 {
        thread::yield_now();
    }
    drop(tokio);
    go.send(()).unwrap();
    while blocking.exit().is_none() {
        thread::yield_now();
    }
    accounted(&blocking);
}
