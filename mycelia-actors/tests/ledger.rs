//! Random policies, stops, kills, restarts, cancelled asks and panics: every message has exactly one fate.
#![cfg(not(mycelia_loom))]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mycelia_actors::prelude::*;
use proptest::prelude::*;

/// What the handler does with a message.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Return,
    Yield,
    Panic,
    PanicAfterYield,
}

/// Counts the messages alive, and may panic when it is dropped.
struct Parcel {
    deed: Deed,
    drop_panics: bool,
    alive: Arc<AtomicU64>,
}

impl Drop for Parcel {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
        if self.drop_panics && !std::thread::panicking() {
            panic!("in the message's drop");
        }
    }
}

struct Worker;
impl Subsystem for Worker {}
impl Handler<Parcel> for Worker {
    type Reply = String;
    async fn handle(&mut self, parcel: Parcel, _: &mut Context<Self>) -> String {
        match parcel.deed {
            Deed::Return => {}
            Deed::Yield => tokio::task::yield_now().await,
            Deed::Panic => panic!("on purpose"),
            Deed::PanicAfterYield => {
                tokio::task::yield_now().await;
                panic!("on purpose, later");
            }
        }
        "a reply with memory of its own".to_owned()
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Tell,
    TellMany(usize),
    /// Sends, and gives up after so many polls.
    Send(usize),
    Ask(usize),
    TryAsk(usize),
    LetRun(usize),
    Restart,
    Stop,
    Kill,
}

fn deed() -> impl Strategy<Value = (Deed, bool)> {
    let deed = prop_oneof![
        12 => Just(Deed::Return),
        6 => Just(Deed::Yield),
        1 => Just(Deed::Panic),
        1 => Just(Deed::PanicAfterYield),
    ];
    (deed, prop::bool::weighted(0.05))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => Just(Step::Tell),
        2 => (0_usize..12).prop_map(Step::TellMany),
        4 => (1_usize..6).prop_map(Step::Send),
        4 => (1_usize..6).prop_map(Step::Ask),
        3 => (1_usize..6).prop_map(Step::TryAsk),
        8 => (1_usize..6).prop_map(Step::LetRun),
        1 => Just(Step::Restart),
        1 => prop_oneof![4 => Just(Step::LetRun(1)), 1 => Just(Step::Stop), 1 => Just(Step::Kill)],
    ]
}

fn policy() -> impl Strategy<Value = OverflowPolicy> {
    prop_oneof![
        Just(OverflowPolicy::DropOldest),
        Just(OverflowPolicy::DropNewest),
        Just(OverflowPolicy::Error)
    ]
}

/// How often messages met a fate, as the senders were told.
#[derive(Default)]
struct Told {
    sent: u64,
    evicted: u64,
    discarded: u64,
    returned: u64,
}

/// Polls a future up to `polls` times, with a turn for the others in between, and drops it.
async fn poll_some<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    for _ in 0..polls {
        let poll = std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx))).await;
        if let std::task::Poll::Ready(output) = poll {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// Dropping what came back must not panic the test.
fn defuse(mut parcel: Parcel) {
    parcel.drop_panics = false;
}

async fn run(
    capacity: usize,
    budget: usize,
    policy: OverflowPolicy,
    restarts: u32,
    steps: Vec<(Step, (Deed, bool))>,
) -> Result<(), TestCaseError> {
    let alive = Arc::new(AtomicU64::new(0));
    let runtime = Runtime::new();
    let letters = runtime.dead_letters(10_000);
    let address = runtime
        .configure("worker")
        .mailbox(Mailbox::bounded(capacity).overflow(policy))
        .budget(budget)
        .restart(Restart::one_for_one().at_most(restarts, Duration::from_secs(3600)))
        .spawn_with(|| Worker)
        .unwrap();
    let mut told = Told::default();
    for (step, (deed, drop_panics)) in steps {
        let parcel = || {
            alive.fetch_add(1, Ordering::SeqCst);
            Parcel { deed, drop_panics, alive: Arc::clone(&alive) }
        };
        let before = address.stats();
        match step {
            Step::Tell => {
                told.sent += 1;
                match address.tell(parcel()) {
                    Ok(mycelia_actors::Told::Queued) => {}
                    Ok(mycelia_actors::Told::Evicted) => told.evicted += 1,
                    Ok(mycelia_actors::Told::Discarded) => told.discarded += 1,
                    Err(error) => {
                        told.returned += 1;
                        defuse(error.message);
                    }
                }
            }
            Step::TellMany(count) => {
                told.sent += count as u64;
                let many = match address.tell_many((0..count).map(|_| parcel())) {
                    Ok(many) => many,
                    Err(error) => {
                        told.returned += error.messages.len() as u64;
                        error.messages.into_iter().for_each(defuse);
                        error.told
                    }
                };
                told.evicted += many.evicted as u64;
                told.discarded += many.discarded as u64;
            }
            Step::Send(polls) => {
                // A send that is dropped while it waits drops its message here, in the test.
                let mut parcel = parcel();
                parcel.drop_panics = false;
                match poll_some(address.send(parcel), polls).await {
                    Some(Ok(())) => told.sent += 1,
                    Some(Err(error)) => {
                        (told.sent, told.returned) = (told.sent + 1, told.returned + 1);
                        defuse(error.message);
                    }
                    // Never sent, or let in at the last moment.
                    None => told.sent += address.stats().sent - before.sent,
                }
            }
            Step::Ask(polls) | Step::TryAsk(polls) => {
                let mut parcel = parcel();
                parcel.drop_panics = false;
                let ask =
                    if matches!(step, Step::Ask(_)) { address.ask(parcel) } else { address.try_ask(parcel) };
                if let Some(Err(error)) = poll_some(ask, polls).await {
                    error.message.into_iter().for_each(defuse);
                }
                let after = address.stats();
                told.sent += after.sent - before.sent;
                told.evicted += after.evicted - before.evicted;
                told.discarded += after.discarded - before.discarded;
                told.returned += after.returned - before.returned;
            }
            Step::LetRun(turns) => {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
            }
            Step::Restart => address.restart(),
            Step::Stop => address.stop(),
            Step::Kill => address.kill(),
        }
        let stats = address.stats();
        prop_assert_eq!(stats.sent, stats.accounted(), "{:?}", stats);
        prop_assert!(stats.queued <= (capacity + budget.min(capacity)) as u64, "{:?}", stats);
        prop_assert!(stats.in_hand <= 1);
    }
    address.stop();
    address.ended().await;
    let stats = address.stats();
    prop_assert_eq!((stats.queued, stats.in_hand, stats.waiting), (0, 0, 0));
    prop_assert_eq!(stats.sent, stats.accounted(), "{:?}", stats);
    prop_assert_eq!(
        (stats.sent, stats.evicted, stats.discarded, stats.returned),
        (told.sent, told.evicted, told.discarded, told.returned),
    );
    let lost: Vec<_> = letters.drain().collect();
    prop_assert_eq!(lost.len() as u64, stats.lost(), "every loss is a dead letter");
    for letter in lost {
        letter.take_message::<Parcel>().into_iter().for_each(defuse);
    }
    prop_assert_eq!(alive.load(Ordering::SeqCst), 0, "every message was dropped once");
    prop_assert_eq!(runtime.pool_stats().in_use, 0, "every slot is back");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_message_has_exactly_one_fate(
        capacity in 1_usize..12,
        budget in 1_usize..8,
        policy in policy(),
        restarts in 0_u32..20,
        steps in prop::collection::vec((step(), deed()), 1..150),
    ) {
        silence_panics();
        let tokio = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        tokio.block_on(run(capacity, budget, policy, restarts, steps))?;
    }
}

/// Thousands of panics on purpose; the others still print.
fn silence_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let text = panic.payload().downcast_ref::<&str>().copied().unwrap_or_default();
            if !text.starts_with("on purpose") && text != "in the message's drop" {
                print(panic);
            }
        }));
    });
}
