//! Hearing of the end of another subsystem: once, after all that it had sent, whatever the mailbox holds.
#![cfg(not(mycelia_loom))]

mod subsystems;

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};

use mycelia_actors::prelude::*;
use mycelia_actors::{AskFailure, Refusal};
use subsystems::{Add, Gate, Gated, accounted};

/// Watches whom it is told to, and writes down what it handles.
#[derive(Default)]
struct Chief {
    gate: Gate,
    log: Vec<String>,
}
impl Subsystem for Chief {}

/// Watches, or does so no more; the reply of that.
enum Order<S: Subsystem> {
    Watch(Address<S>),
    Unwatch(Address<S>),
}
impl<S: Subsystem> Handler<Order<S>> for Chief {
    type Reply = bool;
    async fn handle(&mut self, order: Order<S>, cx: &mut Context<Self>) -> bool {
        match order {
            Order::Watch(other) => cx.watch(&other).is_ok(),
            Order::Unwatch(other) => cx.unwatch(&other),
        }
    }
}

impl Handler<Terminated> for Chief {
    type Reply = ();
    async fn handle(&mut self, end: Terminated, _: &mut Context<Self>) {
        self.gate.pass().await;
        self.log.push(format!("{} {}", end.name(), end.exit()));
    }
}

struct Note(String);
impl Handler<Note> for Chief {
    type Reply = ();
    async fn handle(&mut self, Note(text): Note, _: &mut Context<Self>) {
        self.gate.pass().await;
        self.log.push(text);
    }
}

struct Log;
impl Handler<Log> for Chief {
    type Reply = Vec<String>;
    async fn handle(&mut self, _: Log, _: &mut Context<Self>) -> Vec<String> {
        std::mem::take(&mut self.log)
    }
}

/// Sends to the chief what it is told to, and ends.
struct Worker(Address<Chief>);
impl Subsystem for Worker {
    async fn stopped(&mut self, _: &Exit, _: &mut Context<Self>) {
        let _ = self.0.tell(Note("goodbye".into()));
    }
}

enum Job {
    Tell(u32),
    Panic,
    Stop,
}
impl Handler<Job> for Worker {
    type Reply = ();
    async fn handle(&mut self, job: Job, cx: &mut Context<Self>) {
        match job {
            Job::Tell(count) => {
                for number in 0..count {
                    let _ = self.0.tell(Note(number.to_string()));
                }
            }
            Job::Panic => panic!("on purpose"),
            Job::Stop => cx.stop(),
        }
    }
}

fn pair(runtime: &Runtime, mailbox: Mailbox) -> (Address<Chief>, Address<Worker>, Gate) {
    let gate = Gate::default();
    let state = Chief { gate: gate.clone(), log: Vec::new() };
    let chief = runtime.configure("chief").mailbox(mailbox).spawn(state).unwrap();
    let worker = runtime.spawn("worker", Worker(chief.clone())).unwrap();
    (chief, worker, gate)
}

async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn every_end_is_told_with_its_reason() {
    for (end, expected) in [
        (Address::stop as fn(&Address<Worker>), vec!["goodbye", "worker stopped"]),
        (Address::stop_now, vec!["goodbye", "worker stopped"]),
        (Address::kill, vec!["worker killed"]),
        (|worker| worker.tell(Job::Panic).map(drop).unwrap(), vec!["worker panicked: on purpose"]),
    ] {
        let runtime = Runtime::new();
        let (chief, worker, gate) = pair(&runtime, Mailbox::default());
        gate.open();
        assert!(chief.ask(Order::Watch(worker.clone())).await.unwrap());
        end(&worker);
        worker.ended().await;
        settle().await;
        assert_eq!(chief.ask(Log).await.unwrap(), expected);
        accounted(&chief);
        drop(worker);
        assert_eq!(runtime.pool_stats().in_use, 0);
    }
}

#[tokio::test]
async fn a_subsystem_that_could_not_start_has_ended_too() {
    struct Broken;
    impl Subsystem for Broken {
        async fn started(&mut self, _: &mut Context<Self>) -> Result<(), BoxError> {
            Err("no such file".into())
        }
    }
    let runtime = Runtime::new();
    let (chief, _worker, gate) = pair(&runtime, Mailbox::default());
    gate.open();
    let broken = runtime.spawn("broken", Broken).unwrap();
    assert!(chief.ask(Order::Watch(broken.clone())).await.unwrap());
    broken.ended().await;
    assert_eq!(chief.ask(Log).await.unwrap(), ["broken start failed: no such file"]);
}

#[tokio::test]
async fn the_end_comes_after_all_that_was_sent_before_and_needs_no_room() {
    let runtime = Runtime::new();
    let (chief, worker, gate) = pair(&runtime, Mailbox::bounded(5));
    chief.ask(Order::Watch(worker.clone())).await.unwrap();
    chief.tell(Note("first".into())).unwrap();
    while chief.stats().in_hand == 0 {
        tokio::task::yield_now().await;
    }
    // Four of these and the goodbye fill the mailbox.
    worker.tell(Job::Tell(4)).unwrap();
    worker.tell(Job::Stop).unwrap();
    worker.ended().await;
    assert_eq!(chief.tell(Note("too many".into())).unwrap_err().refusal, Refusal::Full { capacity: 5 });
    let last = chief.ask(Log);
    let opens = async { gate.open() };
    let (log, ()) = tokio::join!(last, opens);
    assert_eq!(log.unwrap(), ["first", "0", "1", "2", "3", "goodbye", "worker stopped"]);
    accounted(&chief);
}

#[tokio::test]
async fn what_comes_later_is_handled_later_and_the_end_is_never_evicted() {
    let runtime = Runtime::new();
    let mailbox = Mailbox::bounded(3).overflow(OverflowPolicy::DropOldest);
    let (chief, worker, gate) = pair(&runtime, mailbox);
    chief.ask(Order::Watch(worker.clone())).await.unwrap();
    chief.tell(Note("first".into())).unwrap();
    while chief.stats().in_hand == 0 {
        tokio::task::yield_now().await;
    }
    worker.tell(Job::Tell(3)).unwrap();
    worker.kill();
    worker.ended().await;
    let told = worker.stats().handled > 0;
    for number in 10..15 {
        chief.tell(Note(number.to_string())).unwrap();
    }
    gate.open();
    settle().await;
    // All that had been accepted before the end was pushed out, so it comes first.
    assert_eq!(chief.ask(Log).await.unwrap(), ["first", "worker killed", "12", "13", "14"]);
    assert!(!told || chief.stats().evicted == 5);
    accounted(&chief);
}

#[tokio::test]
async fn who_has_ended_is_told_at_once_but_after_what_is_in_the_mailbox() {
    let runtime = Runtime::new();
    let (chief, worker, gate) = pair(&runtime, Mailbox::default());
    worker.kill();
    worker.ended().await;
    let (watched, log) = (chief.ask(Order::Watch(worker.clone())), chief.ask(Log));
    gate.open();
    let (watched, log) = tokio::join!(watched, log);
    assert!(watched.unwrap());
    assert_eq!(log.unwrap(), [""; 0], "the log was asked for before");
    assert_eq!(chief.ask(Log).await.unwrap(), ["worker killed"]);
}

#[tokio::test]
async fn to_watch_twice_is_to_watch_once_and_can_be_taken_back() {
    let runtime = Runtime::new();
    let (chief, worker, gate) = pair(&runtime, Mailbox::default());
    gate.open();
    for _ in 0..3 {
        chief.ask(Order::Watch(worker.clone())).await.unwrap();
    }
    assert_eq!(runtime.pool_stats().in_use, 1, "one message is kept for it");
    assert!(chief.ask(Order::Unwatch(worker.clone())).await.unwrap());
    assert!(!chief.ask(Order::Unwatch(worker.clone())).await.unwrap());
    assert_eq!(runtime.pool_stats().in_use, 0);
    chief.ask(Order::Watch(worker.clone())).await.unwrap();
    chief.ask(Order::Watch(worker.clone())).await.unwrap();
    worker.kill();
    worker.ended().await;
    assert_eq!(chief.ask(Log).await.unwrap(), ["worker killed"]);
    chief.ask(Order::Watch(worker.clone())).await.unwrap();
    settle().await;
    assert_eq!(chief.ask(Log).await.unwrap(), ["worker killed"], "at once, for it has ended");
    assert!(!chief.ask(Order::Unwatch(worker)).await.unwrap(), "it has ended");
    accounted(&chief);
}

#[tokio::test]
async fn without_a_slot_nobody_is_watched() {
    let runtime = Runtime::builder().messages(MessagePool::capacity(1).fail_when_exhausted()).build();
    let (chief, worker, _gate) = pair(&runtime, Mailbox::default());
    assert!(!chief.ask(Order::Watch(worker.clone())).await.unwrap(), "the ask has the only slot");
    worker.kill();
    worker.ended().await;
    settle().await;
    assert_eq!(chief.ask(Log).await.unwrap(), [""; 0]);
    accounted(&chief);
}

#[tokio::test]
async fn a_watcher_that_ends_or_restarts_watches_nobody() {
    for restarts in [true, false] {
        let runtime = Runtime::new();
        let worker = runtime.spawn("worked", Gated::new().0).unwrap();
        let chief = runtime.configure("chief").spawn_with(Chief::default).unwrap();
        chief.ask(Order::Watch(worker.clone())).await.unwrap();
        if restarts {
            chief.restart();
        } else {
            chief.stop();
            chief.ended().await;
        }
        settle().await;
        assert_eq!(runtime.pool_stats().in_use, 0);
        worker.kill();
        worker.ended().await;
        settle().await;
        assert_eq!(chief.stats().sent, 1, "only the order to watch");
        if restarts {
            assert_eq!(chief.ask(Log).await.unwrap(), [""; 0]);
        }
        accounted(&chief);
    }
}

#[tokio::test]
async fn a_suspended_watcher_hears_of_it_when_it_is_resumed_or_stopped() {
    for stops in [false, true] {
        let runtime = Runtime::new();
        let (chief, worker, gate) = pair(&runtime, Mailbox::default());
        gate.open();
        chief.ask(Order::Watch(worker.clone())).await.unwrap();
        chief.suspend();
        worker.kill();
        worker.ended().await;
        settle().await;
        assert_eq!((chief.stats().queued, chief.stats().handled), (1, 1));
        if stops {
            chief.stop();
            chief.ended().await;
        } else {
            chief.resume();
            assert_eq!(chief.ask(Log).await.unwrap(), ["worker killed"]);
        }
        assert_eq!(chief.stats().undelivered, 0);
        accounted(&chief);
    }
}

#[tokio::test]
async fn the_end_is_undelivered_to_one_that_is_killed_before() {
    let runtime = Runtime::new();
    let letters = runtime.dead_letters(8);
    let (chief, worker, _gate) = pair(&runtime, Mailbox::default());
    chief.ask(Order::Watch(worker.clone())).await.unwrap();
    chief.tell(Note("in hand".into())).unwrap();
    while chief.stats().in_hand == 0 {
        tokio::task::yield_now().await;
    }
    worker.kill();
    worker.ended().await;
    chief.kill();
    chief.ended().await;
    assert_eq!((chief.stats().failed, chief.stats().undelivered), (1, 1));
    let lost: Vec<_> = letters.drain().map(|letter| letter.reason()).collect();
    assert_eq!(lost, [Reason::Failed, Reason::Undelivered]);
    accounted(&chief);
    drop(runtime);
}

#[tokio::test]
async fn one_that_watches_itself_hears_nothing() {
    let runtime = Runtime::new();
    let (chief, _worker, gate) = pair(&runtime, Mailbox::default());
    gate.open();
    chief.ask(Order::Watch(chief.clone())).await.unwrap();
    chief.stop();
    chief.ended().await;
    accounted(&chief);
    assert_eq!(runtime.pool_stats().in_use, 0);
}

#[tokio::test]
async fn subsystems_of_another_runtime_are_watched_as_well() {
    let (runtime, other) = (Runtime::new(), Runtime::new());
    let (chief, _worker, gate) = pair(&runtime, Mailbox::default());
    gate.open();
    let gated = other.spawn("gated", Gated::new().0).unwrap();
    chief.ask(Order::Watch(gated.clone())).await.unwrap();
    drop(other);
    gated.ended().await;
    settle().await;
    assert_eq!(chief.ask(Log).await.unwrap(), ["gated killed"]);
    let asked = chief.ask(Order::Watch(gated)).await;
    assert!(!matches!(asked, Err(AskError { failure: AskFailure::Unanswered, .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_ends_are_all_told_once() {
    let runtime = Runtime::new();
    let (chief, _worker, gate) = pair(&runtime, Mailbox::bounded(16));
    gate.open();
    let workers: Vec<_> = (0..10_000).map(|_| runtime.spawn_unnamed(Gated::new().0).unwrap()).collect();
    for worker in &workers {
        chief.ask(Order::Watch(worker.clone())).await.unwrap();
    }
    workers.iter().for_each(Address::kill);
    for worker in &workers {
        worker.ended().await;
    }
    let mut log = Vec::new();
    while log.len() < 10_000 {
        log.extend(chief.ask(Log).await.unwrap());
    }
    log.sort();
    log.dedup();
    assert_eq!(log.len(), 10_000);
    assert_eq!(chief.ask(Log).await.unwrap(), [""; 0]);
    accounted(&chief);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_is_told_while_the_first_messages_come() {
    struct Boss(Address<Gated>, Arc<AtomicBool>, u32);
    impl Subsystem for Boss {
        async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
            cx.watch(&self.0)?;
            self.1.store(true, SeqCst);
            Ok(())
        }
    }
    impl Handler<Terminated> for Boss {
        type Reply = ();
        async fn handle(&mut self, _: Terminated, _: &mut Context<Self>) {
            self.2 += 1;
        }
    }
    impl Handler<Add> for Boss {
        type Reply = u32;
        async fn handle(&mut self, _: Add, _: &mut Context<Self>) -> u32 {
            self.2
        }
    }
    let runtime = Runtime::new();
    let gone = runtime.spawn_unnamed(Gated::new().0).unwrap();
    gone.kill();
    gone.ended().await;
    let (sender, spawned) = mpsc::sync_channel::<(Address<Boss>, Arc<AtomicBool>)>(0);
    let teller = std::thread::spawn(move || {
        for (chief, ready) in spawned {
            while !ready.load(SeqCst) {
                std::hint::spin_loop();
            }
            for _ in 0..20 {
                let _ = chief.tell(Add(1));
            }
        }
    });
    for round in 0..1_000 {
        let ready = Arc::<AtomicBool>::default();
        let chief = runtime.spawn_unnamed(Boss(gone.clone(), Arc::clone(&ready), 0)).unwrap();
        sender.send((chief.clone(), ready)).unwrap();
        let told = chief.ask(Add(0)).await;
        assert!(told.is_ok(), "round {round}: {told:?}, {:?}", chief.exit());
        chief.kill();
    }
    drop(sender);
    teller.join().unwrap();
}

#[tokio::test]
async fn a_new_state_hears_nothing_that_its_predecessor_would_have() {
    /// Watches its child, and writes down whom it hears of.
    struct Parent(Arc<Mutex<Vec<String>>>);
    struct Child;
    impl Subsystem for Child {}
    impl Subsystem for Parent {
        async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
            cx.watch(&cx.configure("child").spawn(Child)?)?;
            Ok(())
        }
    }
    impl Handler<Terminated> for Parent {
        type Reply = ();
        async fn handle(&mut self, end: Terminated, _: &mut Context<Self>) {
            self.0.lock().unwrap().push(end.name().to_string());
        }
    }
    impl Handler<Order<Gated>> for Parent {
        type Reply = ();
        async fn handle(&mut self, order: Order<Gated>, cx: &mut Context<Self>) {
            match order {
                Order::Watch(other) => {
                    cx.watch(&other).unwrap();
                    // Its message is on its way, but has to wait for the end of this one.
                    other.kill();
                    other.ended().await;
                }
                Order::Unwatch(other) => assert!(!cx.unwatch(&other)),
            }
            panic!("on purpose");
        }
    }
    let runtime = Runtime::new();
    let letters = runtime.dead_letters(8);
    let log = Arc::<Mutex<Vec<_>>>::default();
    let heard = Arc::clone(&log);
    let parent = runtime.spawn_with("parent", move || Parent(Arc::clone(&heard))).unwrap();
    let first = runtime.spawn("first", Gated::new().0).unwrap();
    assert!(parent.ask(Order::Watch(first.clone())).await.is_err());
    settle().await;
    assert_eq!((log.lock().unwrap().len(), parent.stats().restarts), (0, 1), "neither of its child");
    assert_eq!((parent.stats().expired, parent.stats().failed), (1, 1));
    let lost: Vec<_> = letters.drain().map(|letter| letter.reason()).collect();
    assert_eq!(lost, [Reason::Failed, Reason::Expired]);
    // Restarted from outside; and when it ends.
    parent.restart();
    settle().await;
    assert_eq!((log.lock().unwrap().len(), parent.stats().restarts), (0, 2));
    parent.stop();
    parent.ended().await;
    assert_eq!((log.lock().unwrap().len(), parent.stats().undelivered), (0, 0));
    accounted(&parent);
}
