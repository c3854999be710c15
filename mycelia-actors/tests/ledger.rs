//! Random policies, stops, kills, restarts, cancelled asks and panics: every message has exactly one fate.
#![cfg(not(mycelia_loom))]

use std::sync::Arc;
use std::time::Duration;

use mycelia_actors::Reason;
use mycelia_actors::prelude::*;
use mycelia_core::Counter;
use proptest::prelude::*;

/// What the handler does with a message.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Return,
    Yield,
    Panic,
    PanicAfterYield,
}

/// What became of the messages, as the world outside of the ledger saw it.
#[derive(Default)]
struct World {
    made: Counter,
    dropped: Counter,
    begun: Counter,
    finished: Counter,
    returned: Counter,
    /// Their sender dropped its future, whatever it was waiting for.
    given_up: Counter,
}

/// Counts itself, and may panic when it is dropped.
struct Parcel {
    deed: Deed,
    drop_panics: bool,
    world: Arc<World>,
}

impl Drop for Parcel {
    fn drop(&mut self) {
        self.world.dropped.add(1);
        if self.drop_panics && !std::thread::panicking() {
            panic!("in the message's drop");
        }
    }
}

impl Deed {
    async fn perform(self) {
        match self {
            Self::Return => {}
            Self::Yield => tokio::task::yield_now().await,
            Self::Panic => panic!("on purpose"),
            Self::PanicAfterYield => {
                tokio::task::yield_now().await;
                panic!("on purpose, later");
            }
        }
    }
}

struct Worker;
impl Subsystem for Worker {}

impl Handler<Parcel> for Worker {
    type Reply = String;
    async fn handle(&mut self, parcel: Parcel, _: &mut Context<Self>) -> String {
        let world = Arc::clone(&parcel.world);
        world.begun.add(1);
        parcel.deed.perform().await;
        // A panic in the drop is the handler's.
        drop(parcel);
        world.finished.add(1);
        "a reply with memory of its own".to_owned()
    }
}

/// A parcel that is handled together with its neighbours.
struct Bulk(Parcel);
impl Handler<Bulk> for Worker {
    type Reply = ();
    const BATCH: usize = 3;

    async fn handle(&mut self, _: Bulk, _: &mut Context<Self>) {
        unreachable!("batches only")
    }

    async fn handle_batch(&mut self, bulk: Vec<Bulk>, _: &mut Context<Self>) -> Vec<()> {
        let (count, world) = (bulk.len(), Arc::clone(&bulk[0].0.world));
        world.begun.add(count as u64);
        for Bulk(parcel) in &bulk {
            parcel.deed.perform().await;
        }
        bulk.into_iter().for_each(|Bulk(parcel)| defuse(parcel));
        world.finished.add(count as u64);
        vec![(); count]
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Tell,
    TellBulk,
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
        6 => Just(Step::TellBulk),
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

fn given_back(parcel: Parcel) {
    parcel.world.returned.add(1);
    defuse(parcel);
}

/// Sends one message, or some, and notes what came back.
async fn send(step: Step, address: &Address<Worker>, world: &Arc<World>, (deed, drop_panics): (Deed, bool)) {
    let parcel = |drop_panics| {
        world.made.add(1);
        Parcel { deed, drop_panics, world: Arc::clone(world) }
    };
    match step {
        Step::Tell => {
            if let Err(error) = address.tell(parcel(drop_panics)) {
                given_back(error.message);
            }
        }
        Step::TellBulk => {
            if let Err(error) = address.tell(Bulk(parcel(drop_panics))) {
                given_back(error.message.0);
            }
        }
        Step::TellMany(count) => {
            if let Err(error) = address.tell_many((0..count).map(|_| parcel(drop_panics))) {
                error.messages.into_iter().for_each(given_back);
            }
        }
        // A send or an ask that is dropped while it waits drops its message here, in the test.
        Step::Send(polls) => match poll_some(address.send(parcel(false)), polls).await {
            Some(Ok(())) => {}
            Some(Err(error)) => given_back(error.message),
            None => world.given_up.add(1),
        },
        Step::Ask(polls) | Step::TryAsk(polls) => {
            let waits = matches!(step, Step::Ask(_));
            let ask = if waits { address.ask(parcel(false)) } else { address.try_ask(parcel(false)) };
            match poll_some(ask, polls).await {
                Some(Ok(_)) => {}
                Some(Err(error)) => error.message.into_iter().for_each(given_back),
                None => world.given_up.add(1),
            }
        }
        Step::LetRun(_) | Step::Restart | Step::Stop | Step::Kill => unreachable!("no message"),
    }
}

async fn run(
    capacity: usize,
    budget: usize,
    policy: OverflowPolicy,
    restarts: u32,
    steps: Vec<(Step, (Deed, bool))>,
) -> Result<(), TestCaseError> {
    let world = Arc::new(World::default());
    let runtime = Runtime::new();
    let letters = runtime.dead_letters(10_000);
    let address = runtime
        .configure("worker")
        .mailbox(Mailbox::bounded(capacity).overflow(policy))
        .budget(budget)
        .restart(Restart::one_for_one().at_most(restarts, Duration::from_secs(3600)))
        .spawn_with(|| Worker)
        .unwrap();
    for (step, deed) in steps {
        match step {
            Step::LetRun(turns) => {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
            }
            Step::Restart => address.restart(),
            Step::Stop => address.stop(),
            Step::Kill => address.kill(),
            step => send(step, &address, &world, deed).await,
        }
        let stats = address.stats();
        prop_assert_eq!(stats.sent, stats.accounted(), "{}", stats);
        prop_assert!(stats.queued <= (capacity + budget.min(capacity)) as u64, "{}", stats);
        prop_assert!(stats.in_hand <= 3, "{}", stats);
    }
    address.stop();
    address.ended().await;
    let stats = address.stats();
    prop_assert_eq!((stats.queued, stats.in_hand, stats.waiting), (0, 0, 0));
    prop_assert_eq!(stats.sent, stats.accounted(), "{}", stats);
    prop_assert_eq!(stats.handled, world.finished.get());
    prop_assert_eq!(stats.failed, world.begun.get() - world.finished.get());
    prop_assert!(stats.returned >= world.returned.get(), "{}", stats);
    let lost: Vec<_> = letters.drain().collect();
    let of = |reason| lost.iter().filter(|letter| letter.reason() == reason).count() as u64;
    prop_assert_eq!(stats.failed, of(Reason::Failed));
    prop_assert_eq!(stats.evicted, of(Reason::Evicted));
    prop_assert_eq!(stats.discarded, of(Reason::Discarded));
    prop_assert_eq!(stats.expired, of(Reason::Expired));
    prop_assert_eq!(stats.undelivered, of(Reason::Undelivered));
    // Whoever gave up may have done so before its message was sent, or before it took it back.
    let never_sent = world.made.get() - stats.sent;
    let left_behind = stats.returned - world.returned.get();
    prop_assert!(never_sent + left_behind <= world.given_up.get(), "{} of {}", stats, world.made.get());
    for letter in lost {
        letter.take_message::<Parcel>().into_iter().for_each(defuse);
        letter.take_message::<Bulk>().into_iter().for_each(|Bulk(parcel)| defuse(parcel));
    }
    prop_assert_eq!(world.made.get(), world.dropped.get(), "every message was dropped once");
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
