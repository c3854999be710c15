//! Random verbs to a small tree, in any order: no panic gets out, every ask ends, every ledger adds up, and the shutdown succeeds.
#![cfg(not(mycelia_loom))]

mod subsystems;

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use mycelia_actors::prelude::*;
use mycelia_actors::{Configure, Terminated};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use subsystems::Gate;

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// The names of the tree: a parent and its two children.
const NAMES: [&str; 3] = ["top", "left", "right"];

/// What all of them share.
#[derive(Default)]
struct World {
    gate: Gate,
    /// What the next `started` and factory do, by number of `START`; then all is well again.
    start: AtomicU8,
    /// Every subsystem there ever was.
    all: Mutex<Vec<Address<Node>>>,
    restart: Option<Restart>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Start {
    Returns,
    Waits,
    Fails,
    Panics,
    PanicsInTheFactory,
}

const START: [Start; 5] =
    [Start::Returns, Start::Waits, Start::Fails, Start::Panics, Start::PanicsInTheFactory];

/// A subsystem of the tree.
struct Node {
    world: Arc<World>,
    name: usize,
    start: Start,
    kept: Vec<ReplyTo<u64>>,
}

/// Unless the name is taken.
fn spawn(configured: Configure<'_>, world: &Arc<World>, name: usize) -> Option<Address<Node>> {
    let shared = Arc::clone(world);
    let make = move || {
        let start = START[usize::from(shared.start.swap(0, Ordering::SeqCst))];
        assert!(start != Start::PanicsInTheFactory, "on purpose, in the factory");
        Node { world: Arc::clone(&shared), name, start, kept: Vec::new() }
    };
    let configured =
        configured.mailbox(Mailbox::bounded(3)).restart(world.restart.unwrap_or_default()).budget(2);
    let address = configured.spawn_with(make).ok()?;
    world.all.lock().unwrap().push(address.clone());
    Some(address)
}

impl Subsystem for Node {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Do>("do");
    }

    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        match self.start {
            Start::Fails => return Err("on purpose".into()),
            Start::Panics => panic!("on purpose, in `started`"),
            Start::Waits => sleep(50 * MILLI).await,
            Start::Returns | Start::PanicsInTheFactory => {}
        }
        if self.name == 0 {
            for (name, called) in NAMES.into_iter().enumerate().skip(1) {
                // A factory that panics at the first state panics here.
                if let Some(child) = spawn(cx.configure(called), &self.world, name) {
                    cx.watch(&child)?;
                }
            }
        }
        Ok(())
    }

    async fn stopped(&mut self, _: &Exit, _: &mut Context<Self>) {
        sleep(MILLI).await;
    }
}

impl Handler<Terminated> for Node {
    type Reply = ();
    async fn handle(&mut self, _: Terminated, _: &mut Context<Self>) {}
}

/// What a handler does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Do {
    Return,
    Yield,
    Sleep,
    /// Until the test has made all its steps.
    WaitAtTheGate,
    Panic,
    PanicLater,
    /// Asks by path, perhaps itself, or who waits for it.
    Ask(u8),
    /// Sends by path, perhaps to a full mailbox.
    Send(u8),
    Pipe,
    Timer,
    StopItself,
}

impl Handler<Do> for Node {
    type Reply = u64;
    async fn handle(&mut self, message: Do, cx: &mut Context<Self>) -> u64 {
        match message {
            Do::Return => {}
            Do::Yield => tokio::task::yield_now().await,
            Do::Sleep => sleep(20 * MILLI).await,
            Do::WaitAtTheGate => self.world.gate.pass().await,
            Do::Panic => panic!("on purpose"),
            Do::PanicLater => {
                sleep(MILLI).await;
                panic!("on purpose, later");
            }
            Do::Ask(other) => {
                let path = format!("{}://do", NAMES[usize::from(other)]);
                let asked = cx.paths().ask::<u64, _>(&path, Do::Return).within(100 * MILLI);
                drop(asked.await);
            }
            Do::Send(other) => {
                let path = format!("{}://do", NAMES[usize::from(other)]);
                drop(timeout(100 * MILLI, cx.paths().send(&path, Do::Yield)).await);
            }
            Do::Pipe => drop(cx.pipe(async {
                sleep(5 * MILLI).await;
                Do::Return
            })),
            Do::Timer => drop(cx.send_every(30 * MILLI, Do::Return)),
            Do::StopItself => cx.stop(),
        }
        7
    }
}

/// Asked for something that it may reply to later, or never.
struct Query(Do, ReplyTo<u64>);
impl Handler<Query> for Node {
    type Reply = ();
    async fn handle(&mut self, Query(what, reply): Query, cx: &mut Context<Self>) {
        if what == Do::Return {
            self.kept.push(reply);
            return;
        }
        let answer = Handler::<Do>::handle(self, what, cx).await;
        reply.reply(answer);
    }
}

#[derive(Clone, Copy, Debug)]
enum Verb {
    Tell,
    TellMany,
    TellPath,
    Send,
    SendPath,
    Ask,
    TryAsk,
    AskWith,
    AskPath,
    /// Asks, and gives up soon.
    AskBriefly,
    Stop,
    StopNow,
    Suspend,
    Resume,
    Kill,
    Restart,
    /// Says what the next start does.
    Start(u8),
    /// Makes it again, if it has ended.
    Respawn,
    LetRun,
    LetTimePass,
    WaitForStart,
}

fn verb() -> impl Strategy<Value = Verb> {
    let message = prop_oneof![
        Just(Verb::Tell),
        Just(Verb::TellMany),
        Just(Verb::TellPath),
        Just(Verb::Send),
        Just(Verb::SendPath),
        Just(Verb::Ask),
        Just(Verb::TryAsk),
        Just(Verb::AskWith),
        Just(Verb::AskPath),
        Just(Verb::AskBriefly),
    ];
    let request = prop_oneof![
        2 => Just(Verb::Stop),
        2 => Just(Verb::StopNow),
        4 => Just(Verb::Suspend),
        4 => Just(Verb::Resume),
        1 => Just(Verb::Kill),
        4 => Just(Verb::Restart),
    ];
    let other = prop_oneof![
        (0..START.len() as u8).prop_map(Verb::Start),
        Just(Verb::Respawn),
        Just(Verb::WaitForStart)
    ];
    prop_oneof![
        8 => message,
        3 => request,
        2 => other,
        4 => Just(Verb::LetRun),
        1 => Just(Verb::LetTimePass),
    ]
}

fn deed() -> impl Strategy<Value = Do> {
    prop_oneof![
        4 => Just(Do::Return),
        2 => Just(Do::Yield),
        2 => Just(Do::Sleep),
        2 => Just(Do::WaitAtTheGate),
        2 => Just(Do::Panic),
        1 => Just(Do::PanicLater),
        3 => (0..3_u8).prop_map(Do::Ask),
        2 => (0..3_u8).prop_map(Do::Send),
        1 => Just(Do::Pipe),
        1 => Just(Do::Timer),
        1 => Just(Do::StopItself),
    ]
}

fn restart() -> impl Strategy<Value = Restart> {
    let strategy = prop_oneof![
        Just(Restart::one_for_one()),
        Just(Restart::one_for_all()),
        Just(Restart::rest_for_one())
    ];
    (strategy, 0..5_u32, prop_oneof![Just(0), Just(40_u32)])
        .prop_map(|(strategy, most, pause)| strategy.at_most(most, SECOND).backoff(pause * MILLI, SECOND))
}

/// The one of that name that was spawned last.
fn latest(world: &World, name: usize) -> Option<Address<Node>> {
    let all = world.all.lock().unwrap();
    all.iter().rev().find(|address| *address.name() == *NAMES[name]).cloned()
}

/// Lets all run that can.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// An ask ends by its deadline, which is five seconds, and at most one in a hundred late.
async fn in_time<T>(ask: impl Future<Output = T>) {
    assert!(timeout(5_060 * MILLI, ask).await.is_ok(), "an ask hangs");
}

/// A verb that may take a while goes into a task of its own.
fn apply(verb: Verb, what: Do, node: Address<Node>, runtime: &Runtime, tasks: &mut JoinSet<()>) {
    let path = format!("{}://do", node.name());
    let runtime = runtime.clone();
    match verb {
        Verb::Tell => drop(node.tell(what)),
        Verb::TellMany => drop(node.tell_many([what; 4])),
        Verb::TellPath => drop(runtime.tell(&path, what)),
        Verb::Send => drop(tasks.spawn(async move { drop(node.send(what).await) })),
        Verb::SendPath => drop(tasks.spawn(async move { drop(runtime.send(&path, what).await) })),
        Verb::Ask => drop(tasks.spawn(async move { in_time(node.ask(what)).await })),
        Verb::TryAsk => drop(tasks.spawn(async move { in_time(node.try_ask(what)).await })),
        Verb::AskWith => {
            drop(tasks.spawn(async move { in_time(node.ask_with(|reply| Query(what, reply))).await }));
        }
        Verb::AskPath => {
            drop(tasks.spawn(async move { in_time(runtime.ask::<u64, _>(&path, what)).await }));
        }
        Verb::AskBriefly => {
            drop(tasks.spawn(async move { drop(timeout(10 * MILLI, node.ask(what)).await) }));
        }
        Verb::WaitForStart => drop(tasks.spawn(async move {
            drop(node.started().await);
            drop(node.ended().await);
        })),
        Verb::Stop => node.stop(),
        Verb::StopNow => node.stop_now(),
        Verb::Suspend => node.suspend(),
        Verb::Resume => node.resume(),
        Verb::Kill => node.kill(),
        Verb::Restart => node.restart(),
        Verb::Start(_) | Verb::Respawn | Verb::LetRun | Verb::LetTimePass => {
            unreachable!("no verb of a handle")
        }
    }
}

async fn run(restart: Restart, steps: Vec<(Verb, Do, usize)>) -> Result<(), TestCaseError> {
    let world = Arc::new(World { restart: Some(restart), ..World::default() });
    let runtime = Runtime::builder().seed(1).build();
    spawn(runtime.configure(NAMES[0]), &world, 0);
    let mut tasks = JoinSet::new();
    for (verb, what, name) in steps {
        match (verb, latest(&world, name)) {
            (Verb::Start(start), _) => world.start.store(start, Ordering::SeqCst),
            (Verb::Respawn, Some(old)) if old.exit().is_some() => {
                world.start.store(0, Ordering::SeqCst);
                spawn(runtime.configure(NAMES[name]), &world, name);
            }
            (Verb::Respawn, _) | (Verb::LetRun, _) | (_, None) => settle().await,
            (Verb::LetTimePass, _) => sleep(60 * MILLI).await,
            (verb, Some(node)) => apply(verb, what, node, &runtime, &mut tasks),
        }
    }
    world.gate.open();
    let began = Instant::now();
    let shutdown = runtime.shutdown_within(30 * SECOND).await;
    prop_assert!(shutdown.is_ok() && began.elapsed() <= 30 * SECOND, "{:?}, {:?}", shutdown, began.elapsed());
    while !tasks.is_empty() {
        let Ok(Some(ended)) = timeout(6 * SECOND, tasks.join_next()).await else {
            return Err(TestCaseError::fail(format!("{} of them hang", tasks.len())));
        };
        prop_assert!(ended.is_ok(), "{:?}", ended);
    }
    let all = std::mem::take(&mut *world.all.lock().unwrap());
    for address in &all {
        let stats = address.stats();
        prop_assert!(address.exit().is_some(), "{} goes on", address.name());
        prop_assert_eq!(stats.sent, stats.accounted(), "{}", stats);
        prop_assert_eq!((stats.queued, stats.in_hand, stats.waiting), (0, 0, 0), "{:?}", stats);
    }
    prop_assert_eq!(runtime.pool_stats().in_use, 0, "every slot is back");
    prop_assert_eq!(OUT.swap(0, Ordering::SeqCst), 0, "a panic that was not on purpose");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_verbs_ends_well(
        restart in restart(),
        steps in prop::collection::vec((verb(), deed(), 0..NAMES.len()), 1..=30),
    ) {
        count_panics();
        let tokio = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        tokio.block_on(run(restart, steps))?;
    }
}

/// Panics that were not on purpose.
static OUT: AtomicUsize = AtomicUsize::new(0);

/// Thousands of panics on purpose; the others still print.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let payload = panic.payload();
            let text = payload.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
            if !text.is_some_and(|text| text.starts_with("on purpose")) {
                OUT.fetch_add(1, Ordering::SeqCst);
                print(panic);
            }
        }));
    });
}
