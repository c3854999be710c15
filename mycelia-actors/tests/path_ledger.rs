//! Where messages by path are counted: those that no subsystem had with the runtime, the others in the ledgers.
#![cfg(not(mycelia_loom))]

mod desk;
mod subsystems;

use std::pin::Pin;

use mycelia_actors::PathStats;
use mycelia_actors::prelude::*;
use proptest::prelude::*;
use serde_json::json;

use desk::{Desk, desk, full_desk, note, open_desk, poll_once, text};
use subsystems::{Gate, accounted};

#[tokio::test]
async fn what_no_subsystem_had_is_counted_by_the_runtime_alone() {
    let runtime = Runtime::new();
    assert_eq!(runtime.path_stats(), PathStats::default());
    let address = open_desk(&runtime);
    let long = format!("desk://{}", "a".repeat(10_000));
    for (path, expected) in [
        ("notes", PathStats { no_subsystem: 1, ..PathStats::default() }),
        ("disk://notes", PathStats { no_subsystem: 2, ..PathStats::default() }),
        ("desk://nothing", PathStats { no_subsystem: 2, no_route: 1, ..PathStats::default() }),
        ("desk://notes//", PathStats { no_subsystem: 2, no_route: 2, ..PathStats::default() }),
        (&long, PathStats { no_subsystem: 2, no_route: 3, ..PathStats::default() }),
        ("desk://notes/x", PathStats { no_subsystem: 2, no_route: 3, bad_body: 1, ..PathStats::default() }),
        ("desk://notes/1", PathStats { no_subsystem: 2, no_route: 3, bad_body: 2, ..PathStats::default() }),
    ] {
        runtime.tell(path, ()).unwrap_err();
        assert_eq!((runtime.path_stats(), runtime.paths().path_stats()), (expected, expected), "{path}");
    }
    let before = runtime.path_stats();
    runtime.tell("desk://notes", "another type").unwrap_err();
    runtime.tell("desk://notes", RawBody::json("{")).unwrap_err();
    runtime.tell("desk://notes", RawBody::new("text/plain", "x")).unwrap_err();
    runtime.ask::<String, _>("desk://notes", note(1)).await.unwrap_err();
    runtime.send("desk://notes/1", json!([])).await.unwrap_err();
    assert_eq!(runtime.path_stats(), PathStats { bad_body: before.bad_body + 5, ..before });
    assert_eq!(address.stats().sent, 0);
    let other = Runtime::new();
    assert_eq!(other.path_stats(), PathStats::default(), "each has its own");
}

#[tokio::test]
async fn what_a_subsystem_refused_is_returned_and_in_its_ledger_alone() {
    let runtime = Runtime::new();
    let (address, gate) = full_desk(&runtime, OverflowPolicy::Error).await;
    runtime.tell("desk://notes", note(2)).unwrap_err();
    runtime.tell("desk://notes/2", text(2)).unwrap_err();
    assert_eq!((address.stats().sent, address.stats().returned), (4, 2));
    address.stop();
    runtime.tell("desk://notes", note(2)).unwrap_err();
    runtime.send("desk://notes/2", text(2)).await.unwrap_err();
    runtime.ask::<u64, _>("desk://notes/2", text(2)).await.unwrap_err();
    assert_eq!((address.stats().sent, address.stats().returned), (7, 5));
    gate.open();
    address.ended().await;
    accounted(&address);
    assert_eq!(runtime.path_stats(), PathStats::default());
}

#[tokio::test]
async fn a_message_made_in_vain_is_dropped_though_its_drop_panics() {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Bomb {
        id: u64,
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(self.id == 0, "dropped on purpose");
        }
    }
    struct Range;
    impl Subsystem for Range {
        fn routes(routes: &mut Routes<Self>) {
            routes.on::<Bomb>("bombs/{id}");
        }
    }
    impl Handler<Bomb> for Range {
        type Reply = ();
        async fn handle(&mut self, mut bomb: Bomb, _: &mut Context<Self>) {
            bomb.id = 0;
        }
    }
    let messages = MessagePool::capacity(1).fail_when_exhausted();
    let runtime = Runtime::builder().messages(messages).build();
    let mailbox = Mailbox::bounded(1);
    let range = runtime.configure("range").mailbox(mailbox).spawn(Range).unwrap();
    runtime.tell("range://bombs/1", ()).unwrap();
    let error = runtime.tell("range://bombs/2", ()).unwrap_err();
    assert!(matches!(error.failure, PathFailure::Refused(Refusal::PoolExhausted { .. })), "{error}");
    range.stop();
    let error = runtime.tell("range://bombs/3", ()).unwrap_err();
    assert!(matches!(error.failure, PathFailure::Refused(_)), "{error}");
    range.ended().await;
    assert_eq!((range.stats().drop_panics, range.stats().returned), (2, 2));
    accounted(&range);
}

#[tokio::test]
async fn a_route_that_is_not_there_is_no_message() {
    let runtime = Runtime::new();
    runtime.route("desk://notes").unwrap_err();
    assert_eq!(runtime.path_stats(), PathStats::default());
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Tell(Target),
    Send(Target, usize),
    Ask(Target, usize),
    LetRun(usize),
    Stop,
    Spawn,
}

#[derive(Clone, Copy, Debug)]
enum Target {
    Typed,
    Read,
    Raw,
    NoName,
    NoSubsystem,
    NoRoute,
    BadBody,
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        4 => Just(Target::Typed),
        4 => Just(Target::Read),
        2 => Just(Target::Raw),
        1 => Just(Target::NoName),
        1 => Just(Target::NoSubsystem),
        1 => Just(Target::NoRoute),
        1 => Just(Target::BadBody),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => target().prop_map(Step::Tell),
        4 => (target(), 1_usize..5).prop_map(|(target, polls)| Step::Send(target, polls)),
        4 => (target(), 1_usize..5).prop_map(|(target, polls)| Step::Ask(target, polls)),
        6 => (1_usize..5).prop_map(Step::LetRun),
        1 => Just(Step::Stop),
        2 => Just(Step::Spawn),
    ]
}

/// What has become of the messages of one run.
#[derive(Default)]
struct Tally {
    made: u64,
    /// Sends and asks that were given up: they may have been sent, or not.
    given_up: u64,
    errors: u64,
}

/// Polls it up to `polls` times, with a turn for the others in between. Whether it failed, if it is done.
async fn poll_some<T, E>(
    future: impl Future<Output = Result<T, E>> + Unpin,
    polls: usize,
    tally: &mut Tally,
) {
    let mut future = future;
    for _ in 0..polls {
        if let std::task::Poll::Ready(outcome) = poll_once(Pin::new(&mut future)) {
            tally.errors += u64::from(outcome.is_err());
            return;
        }
        tokio::task::yield_now().await;
    }
    tally.given_up += 1;
}

macro_rules! with_target {
    ($target:expr, |$path:ident, $body:ident| $do:expr) => {
        match $target {
            Target::Typed => {
                let ($path, $body) = ("desk://notes", note(1));
                $do
            }
            Target::Read => {
                let ($path, $body) = ("desk://notes/2", text(2));
                $do
            }
            Target::Raw => {
                let ($path, $body) = ("desk://notes/3", RawBody::json(text(3).to_string()));
                $do
            }
            Target::NoName => {
                let ($path, $body) = ("notes", note(1));
                $do
            }
            Target::NoSubsystem => {
                let ($path, $body) = ("disk://notes", text(1));
                $do
            }
            Target::NoRoute => {
                let ($path, $body) = ("desk://nothing", ());
                $do
            }
            Target::BadBody => {
                let ($path, $body) = ("desk://notes/x", ());
                $do
            }
        }
    };
}

async fn run(capacity: usize, policy: OverflowPolicy, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let messages = MessagePool::capacity(6).fail_when_exhausted();
    let runtime = Runtime::builder().messages(messages).build();
    let mut desks: Vec<(Address<Desk>, Gate)> = vec![desk(&runtime, capacity, policy)];
    let mut tally = Tally::default();
    for step in steps {
        match step {
            Step::Tell(target) => {
                tally.made += 1;
                with_target!(target, |path, body| tally.errors +=
                    u64::from(runtime.tell(path, body).is_err()));
            }
            Step::Send(target, polls) => {
                tally.made += 1;
                with_target!(target, |path, body| poll_some(runtime.send(path, body), polls, &mut tally)
                    .await);
            }
            Step::Ask(target, polls) => {
                tally.made += 1;
                with_target!(target, |path, body| {
                    poll_some(runtime.ask::<u64, _>(path, body), polls, &mut tally).await
                });
            }
            Step::LetRun(turns) => {
                desks.last().unwrap().1.open();
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
            }
            Step::Stop => {
                let (address, gate) = desks.last().unwrap();
                address.stop();
                gate.open();
            }
            Step::Spawn if desks.last().unwrap().0.exit().is_some() => {
                desks.push(desk(&runtime, capacity, policy))
            }
            Step::Spawn => {}
        }
    }
    let (mut sent, mut returned) = (0, 0);
    for (address, gate) in &desks {
        gate.open();
        address.stop();
        address.ended().await;
        let stats = address.stats();
        prop_assert_eq!(stats.sent, stats.accounted(), "{}", stats);
        prop_assert_eq!((stats.queued, stats.in_hand, stats.waiting), (0, 0, 0));
        sent += stats.sent;
        returned += stats.returned;
    }
    let paths = runtime.path_stats();
    let nowhere = paths.no_subsystem + paths.no_route + paths.denied + paths.bad_body;
    // Each was counted once: with a subsystem, or with the runtime; or was given up before it was sent.
    prop_assert!(sent + nowhere <= tally.made, "{sent} + {nowhere} of {}", tally.made);
    prop_assert!(sent + nowhere + tally.given_up >= tally.made, "{sent} + {nowhere} of {}", tally.made);
    // Who got an error has his body back, but for asks whose message was lost on the way.
    prop_assert!(returned + nowhere <= tally.errors + tally.given_up);
    prop_assert_eq!(runtime.pool_stats().in_use, 0, "every slot is back");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_message_by_path_is_counted_exactly_once(
        capacity in 1_usize..6,
        policy in prop_oneof![
            Just(OverflowPolicy::DropOldest),
            Just(OverflowPolicy::DropNewest),
            Just(OverflowPolicy::Error)
        ],
        steps in prop::collection::vec(step(), 1..100),
    ) {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        tokio.block_on(run(capacity, policy, steps))?;
    }
}

#[test]
fn senders_on_several_threads_lose_no_count_while_their_target_comes_and_goes() {
    const SENDERS: u64 = 3;
    const MESSAGES: u64 = if cfg!(miri) { 100 } else { 5000 };
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let runtime = Runtime::builder().tokio(tokio.handle().clone()).build();
    let first = open_desk(&runtime);
    let route = runtime.route("desk://notes/7").unwrap();
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (runtime, route) = (runtime.clone(), route.clone());
            std::thread::spawn(move || {
                let mut accepted = 0;
                for n in 0..MESSAGES {
                    let told = match (n + sender) % 4 {
                        0 => runtime.tell("desk://notes", note(1)).map_err(drop),
                        1 => runtime.tell("desk://notes/2", text(2)).map_err(drop),
                        2 => route.tell(text(7)).map_err(drop),
                        _ => route.tell(RawBody::json(r#"{"text": "note 7"}"#)).map_err(drop),
                    };
                    accepted += u64::from(told.is_ok());
                }
                accepted
            })
        })
        .collect();
    let mut desks = vec![first];
    tokio.block_on(async {
        while senders.iter().any(|sender| !sender.is_finished()) {
            let address = desks.last().unwrap();
            while address.stats().sent < 50 && senders.iter().any(|sender| !sender.is_finished()) {
                tokio::task::yield_now().await;
            }
            address.stop();
            address.ended().await;
            desks.push(open_desk(&runtime));
        }
        let address = desks.last().unwrap();
        address.stop();
        address.ended().await;
    });
    let accepted: u64 = senders.into_iter().map(|sender| sender.join().unwrap()).sum();
    desks.iter().for_each(accounted);
    let sum = |column: fn(&mycelia_actors::Stats) -> u64| -> u64 {
        desks.iter().map(|desk| column(&desk.stats())).sum()
    };
    let nowhere = runtime.path_stats();
    assert_eq!(nowhere, PathStats { no_subsystem: nowhere.no_subsystem, ..PathStats::default() });
    assert_eq!(sum(|stats| stats.sent) + nowhere.no_subsystem, SENDERS * MESSAGES);
    assert_eq!(sum(|stats| stats.handled), accepted);
    assert_eq!(sum(|stats| stats.returned) + nowhere.no_subsystem, SENDERS * MESSAGES - accepted);
}
