//! No code of a user runs under a lock: every lock of the libraries, what runs below it, and scenes with values that call back.
#![cfg(not(mycelia_loom))]

#[path = "../../mycelia-queue/tests/hooked/mod.rs"]
mod hooked;
mod subsystems;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context as Task, Poll, Waker};
use std::time::Duration;

use hooked::{Call, OnDrop, once, play, waker};
use mycelia_actors::prelude::*;
use mycelia_actors::{Figure, Figures, Inspector, Observer, Sample};
use subsystems::{Add, Gated, Wait};
use tokio::task::coop::unconstrained;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// What shows that no code of a user runs below a lock.
#[derive(Clone, Copy)]
enum Shown {
    /// This scene of this file.
    By(fn()),
    /// The tests in this file.
    In(&'static str),
    /// None could: no value of a user's type is behind the lock, and nothing below it calls out.
    NoneCould,
}

use Shown::{By, In, NoneCould};

const QUEUE: Shown = In("mycelia-queue/tests/locks.rs");
const POOL: Shown = In("mycelia-pool/tests/locks.rs");
const METRICS: Shown = In("extras/mycelia-metrics/tests/locks.rs");

/// Every lock (`crate/file: field`), what runs below it, and what shows that it is no code of a user. A thread that makes the value of
/// a `OnceLock` holds a lock, and so does one that has borrowed a `RefCell`.
const LOCKS: &[(&str, &str, Shown)] = &[
    ("core/patience.rs: START", "reads the clock, once", NoneCould),
    ("core/seeded.rs: SEEDED", "reads a variable of the environment, in models", NoneCould),
    ("core/sync.rs: Mutex", "the type itself", NoneCould),
    (
        "queue/bounded.rs: ring",
        "moves items in and out; items that come back are dropped by the caller",
        QUEUE,
    ),
    ("queue/channel.rs: state", "the same; compares wakers, lends and exchanges them", QUEUE),
    ("pool/shared.rs: depot", "moves pointers to free slots", POOL),
    (
        "pool/shared.rs: slabs",
        "adds chunks, and takes them out; their values are made before and dropped after. `visit` and `visit_number` (`unsafe`, for the kernel) show values below it",
        POOL,
    ),
    ("pool/shared.rs: turn", "`make` of a pool that fails, whose own thread passes", POOL),
    ("pool/turn.rs: lock", "the same", POOL),
    ("pool/shared.rs: tuning", "numbers", NoneCould),
    ("pool/shared.rs: caches", "makes an empty cache; threads that come at once do not wait", NoneCould),
    (
        "pool/noted.rs: parted",
        "walks the noted slots; `visit_noted` (`unsafe`, for the kernel) shows values below it: the sweeper ends asks, and keeps their wakers for later",
        By(asks),
    ),
    ("pool/orphans.rs: WAITING", "looks whether guards are back; pools are freed afterwards", POOL),
    ("pool/out.rs: Outs", "places in the source, by address; sorted afterwards", POOL),
    ("pool/thread.rs: NUMBERS", "numbers", NoneCould),
    (
        "actors/bus.rs: table",
        "looks up, adds or takes out the readers of a type, which are dropped afterwards",
        By(events),
    ),
    ("actors/bus.rs: Readers", "adds and takes out backlogs; copies the list of them", By(events)),
    ("actors/subscription.rs: state", "moves events in and out; compares and exchanges wakers", By(events)),
    (
        "actors/current.rs: AMBIENT",
        "copies, or compares, what is the kernel's; the old one is dropped after the exchange",
        By(spans),
    ),
    ("actors/messages_in_hand.rs: in_common", "compares metadata, which are texts and numbers", NoneCould),
    ("actors/dead_letters.rs: message", "takes the message out, or puts it back", By(letters)),
    ("actors/dead_letters.rs: senders", "adds, takes out and lists boxes of letters", By(letters)),
    ("actors/letter_box.rs: state", "moves letters in and out; exchanges wakers", By(letters)),
    ("actors/deadline.rs: tokios", "finds, adds and takes out sweepers", By(asks)),
    ("actors/sweeper.rs: thread", "unparks a thread of the kernel", NoneCould),
    ("actors/sweeper.rs: notify", "tokio's own: woken is a task of the kernel", NoneCould),
    ("actors/drain.rs: look", "tokio's own: woken is a task of the kernel", NoneCould),
    ("actors/drain/limit.rs: timeout", "tokio's own: a duration; woken is a task of the kernel", NoneCould),
    (
        "actors/clock_hold.rs: state",
        "exchanges the waker of tokio's `block_on`; what is held is let go afterwards",
        NoneCould,
    ),
    ("actors/drain/ending.rs: begun", "addresses", NoneCould),
    ("actors/drain/shutdown.rs: carers", "numbers of tokios; a list that is made or found", NoneCould),
    ("actors/drain/shutdown.rs: cut_off", "the same", NoneCould),
    ("actors/drain.rs: cut_off", "reads ledgers, and writes down what is left", NoneCould),
    ("actors/drain/shutdown.rs: result", "keeps a list that was made before", NoneCould),
    ("actors/drain.rs: shutdown", "looks up or makes a shutdown", By(end_of_all)),
    (
        "actors/figures.rs: Shown",
        "exchanges or clones an `Arc`; the old one is dropped, and figures are asked for, afterwards",
        By(figures),
    ),
    ("actors/fullness.rs: spell", "numbers; the events are published afterwards", By(subscriber)),
    ("actors/ledger.rs: rare", "makes empty counters; threads that come at once do not wait", NoneCould),
    ("actors/ledger.rs: fullness", "the same", NoneCould),
    ("actors/ledger.rs: failed_child", "exchanges a text", NoneCould),
    ("actors/ledger.rs: notices", "moves envelopes in and out; reads a count of the queue", By(watching)),
    (
        "actors/ledger.rs: watches",
        "adds and takes out subsystems, which are dropped afterwards; looks whether they have ended",
        By(watching),
    ),
    ("actors/ledger.rs: last_sample", "numbers; the observer is called afterwards", By(observer)),
    ("actors/lifecycle.rs: phase", "clones the exit; exchanges wakers, and takes them out", By(life)),
    ("actors/routes.rs: MADE", "looks up, or keeps, routes that were made before", By(subscriber)),
    (
        "actors/shared.rs: has_timers",
        "keeps an answer that was found before: the panic hook may have run for that",
        By(panic_hook),
    ),
    ("actors/shared.rs: last_tokio", "clones or exchanges a handle of a tokio", NoneCould),
    (
        "actors/shared.rs: names",
        "looks up a subsystem; adds it, or takes it out and drops it afterwards",
        By(end_of_all),
    ),
    (
        "actors/shared.rs: registry",
        "finds, adds and takes out subsystems, and adds ledgers up; what follows is done to a copy of the list",
        By(end_of_all),
    ),
    (
        "actors/shared.rs: observed",
        "keeps an observer that was made before; threads that come at once do not wait",
        By(observer),
    ),
    ("actors/bell.rs: wakers", "exchanges wakers, and takes them out", By(end_of_all)),
    (
        "actors/task_entry.rs: standing",
        "exchanges and takes out the waker of a side task; looks whether what it waits for has come",
        By(side_tasks),
    ),
    ("actors/reply_to.rs: asker", "compares, exchanges and takes out the waker of an asker", By(asks)),
    ("actors/tasks.rs: running", "adds and takes out side tasks; exchanges wakers", By(side_tasks)),
    (
        "actors/tasks.rs: line",
        "makes tokio's semaphore; woken are side tasks, by wakers of the kernel",
        NoneCould,
    ),
    (
        "metrics/live.rs: watchers",
        "adds senders, and takes them out; they are told and dropped afterwards",
        METRICS,
    ),
    ("metrics/live.rs: ends", "tokio's own: wakes after its lock", METRICS),
    ("metrics/metrics.rs: history", "numbers of a survey, which is dropped afterwards", METRICS),
    ("metrics/metrics.rs: exported", "texts", NoneCould),
    ("metrics/metrics.rs: process", "reads numbers of the process", NoneCould),
    (
        "metrics/opentelemetry.rs: latest",
        "clones or exchanges an `Arc`; figures are asked for before",
        METRICS,
    ),
    ("metrics/sampler.rs: Sampler", "exchanges a task that was spawned before", METRICS),
    ("metrics/timings.rs: by_label", "finds, adds and takes out histograms", NoneCould),
    ("metrics/timings.rs: others", "numbers", NoneCould),
    ("load/sender.rs: late", "numbers", NoneCould),
    ("load/sender.rs: between", "tokio's own: woken are tasks of the program", NoneCould),
    ("load/worker.rs: Times", "numbers", NoneCould),
    ("stream/counters.rs: times", "numbers", NoneCould),
    (
        "stream/mapping/engine.rs: Scripts",
        "compiles an expression in the engine, which cannot call back",
        NoneCould,
    ),
];

#[test]
fn no_code_of_a_user_runs_under_a_lock() {
    let mut played = BTreeSet::new();
    for (lock, _, shown) in LOCKS {
        if let By(scene) = shown
            && played.insert(*scene as usize)
        {
            play(lock, *scene);
        }
    }
}

/// Reads the sources for fields, statics and types that are locks.
#[test]
fn no_lock_is_forgotten() {
    const LOCKING: [&str; 13] = [
        "Mutex<",
        "RwLock<",
        "RefCell<",
        "OnceLock<",
        "OnceCell<",
        "LazyLock<",
        "LazyCell<",
        "OnceBox<",
        "DashMap<",
        ": Notify,",
        "watch::Sender<",
        ": Barrier,",
        ": Turn,",
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = BTreeSet::new();
    for name in ["core", "pool", "queue", "router", "actors", "metrics", "load", "stream", "testkit"] {
        let folder = [format!("mycelia-{name}/src"), format!("extras/mycelia-{name}/src")]
            .map(|folder| root.join(folder))
            .into_iter()
            .find(|folder| folder.exists())
            .unwrap();
        let mut files = Vec::new();
        collect(&folder, &mut files);
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let text = text.split("#[cfg(test)]").next().unwrap().split("#[cfg(all(test").next().unwrap();
            let file = file.strip_prefix(&folder).unwrap().display().to_string();
            let locks = text.lines().filter(|line| LOCKING.iter().any(|name| line.contains(name)));
            found.extend(locks.filter_map(declared).map(|lock| format!("{name}/{file}: {lock}")));
        }
    }
    let known: BTreeSet<_> = LOCKS.iter().map(|(lock, ..)| (*lock).to_owned()).collect();
    let forgotten: Vec<_> = found.difference(&known).collect();
    assert!(forgotten.is_empty(), "locks that are not in the table of this test: {forgotten:#?}");
    let gone: Vec<_> = known.difference(&found).collect();
    assert!(gone.is_empty(), "in the table of this test, and no locks: {gone:#?}");
    for (lock, below, shown) in LOCKS {
        assert!(!below.is_empty(), "{lock}");
        if let In(file) = shown {
            assert!(root.join(file).exists(), "{lock}: {file}");
        }
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The name of a field, a static or a type.
fn declared(line: &str) -> Option<String> {
    let line = line.trim();
    let line = ["pub(crate) ", "pub(super) ", "pub "]
        .iter()
        .find_map(|word| line.strip_prefix(word))
        .unwrap_or(line);
    let types = ["struct ", "type "].iter().find_map(|word| line.strip_prefix(word));
    if let Some(line) = types {
        return Some(line.chars().take_while(|letter| letter.is_alphanumeric()).collect());
    }
    let is_static = line.starts_with("static ");
    let line = line.strip_prefix("static ").unwrap_or(line);
    let (name, kind) = line.strip_prefix("ref ").unwrap_or(line).split_once(": ")?;
    let is_name = !name.is_empty() && name.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
    (is_name && (is_static || kind.ends_with(',') && !kind.contains("::new("))).then(|| name.to_owned())
}

/// A runtime with a subsystem in it, and all that code of a user may do with both.
#[derive(Clone)]
struct World {
    runtime: Runtime,
    inspector: Inspector,
    address: Address<Desk>,
}

impl World {
    fn new() -> Self {
        let runtime = Runtime::new();
        let address = runtime.spawn("desk", Desk::default()).unwrap();
        Self { inspector: runtime.inspector(), runtime, address }
    }

    /// Takes every lock that can be reached.
    fn use_it(&self) {
        let Self { runtime, inspector, address } = self;
        drop(inspector.survey());
        let _ = (runtime.routes(), runtime.pool_stats(), runtime.len(), inspector.is_closing());
        let _ = (address.stats(), address.side_tasks(), address.exit(), format!("{address:?}"));
        let _ = address.tell(Note(OnDrop(None)));
        let mut future: Pin<Box<dyn Future<Output = Exit> + Send>> = Box::pin(address.ended());
        let _ = poll(&mut future, Waker::noop());
        let _ = poll(&mut Box::pin(address.ask(Count)), Waker::noop());
        let _ = poll(&mut Box::pin(inspector.closing()), Waker::noop());
        let bus = runtime.bus();
        let events = bus.subscribe::<Stop>("{*all}", 1).unwrap();
        let _ = bus.publish("b", Stop { _held: OnDrop(None) });
        drop((events, runtime.dead_letters(1)));
        if tokio::runtime::Handle::try_current().is_ok()
            && let Ok(other) = runtime.spawn_unnamed(Desk::default())
        {
            other.kill();
        }
    }

    /// A waker that uses all of it.
    fn waker(&self) -> (Waker, Arc<hooked::Calls>) {
        let world = self.clone();
        waker(move |_| world.use_it())
    }

    fn on_drop(&self) -> OnDrop {
        let world = self.clone();
        OnDrop::new(move || world.use_it())
    }
}

/// Outside of tokio's budget, which many polls in one would use up.
fn poll<F: Future + ?Sized>(future: &mut Pin<Box<F>>, waker: &Waker) -> Poll<F::Output> {
    std::pin::pin!(unconstrained(future.as_mut())).poll(&mut Task::from_waker(waker))
}

fn run(scene: impl Future<Output = ()>) {
    let tokio =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    tokio.block_on(scene);
}

async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// A small state that holds what may call back when it is dropped.
#[derive(Default)]
struct Desk {
    _held: Vec<OnDrop>,
    waiting: Vec<Pin<Box<dyn Future<Output = ()> + Send>>>,
}
impl Subsystem for Desk {}

struct Note(OnDrop);
impl Handler<Note> for Desk {
    type Reply = ();
    async fn handle(&mut self, note: Note, _: &mut Context<Self>) {
        drop(note.0);
    }
}

struct Count;
impl Handler<Count> for Desk {
    type Reply = OnDrop;
    async fn handle(&mut self, _: Count, _: &mut Context<Self>) -> OnDrop {
        OnDrop(None)
    }
}

/// Does something with the context.
struct Do(Work);

type Work = Box<dyn FnOnce(&mut Desk, &mut Context<Desk>) + Send>;
impl Handler<Do> for Desk {
    type Reply = ();
    async fn handle(&mut self, Do(work): Do, cx: &mut Context<Self>) {
        work(self, cx);
    }
}

impl Handler<Terminated> for Desk {
    type Reply = ();
    async fn handle(&mut self, _: Terminated, _: &mut Context<Self>) {}
}

/// An event, or a message that is never handled.
struct Stop {
    _held: OnDrop,
}

fn life() {
    run(async {
        let world = World::new();
        let (hooked, calls) = world.waker();
        let (address, other) = (world.address.clone(), world.runtime.spawn_unnamed(Desk::default()).unwrap());
        // Given up; asked again with another waker; woken.
        for waits in 0..3 {
            let mut ended = Box::pin(other.ended());
            assert!(poll(&mut ended, &hooked).is_pending());
            match waits {
                0 => drop(ended),
                1 => assert!(poll(&mut ended, Waker::noop()).is_pending()),
                _ => {
                    other.kill();
                    settle().await;
                    assert!(poll(&mut ended, &hooked).is_ready());
                }
            }
        }
        let late = world.runtime.spawn_unnamed(Desk::default()).unwrap();
        let mut started = Box::pin(late.started());
        assert!(poll(&mut started, &hooked).is_pending());
        drop(started);
        let mut started = Box::pin(late.started());
        assert!(poll(&mut started, &hooked).is_pending());
        settle().await;
        assert!(poll(&mut started, &hooked).is_ready());
        drop((started, hooked, address));
        calls.assert_all();
    });
}

fn asks() {
    run(async {
        let world = World::new();
        let (hooked, calls) = world.waker();
        let (gated, _gate) = Gated::new();
        let gated = world.runtime.spawn_unnamed(gated).unwrap();
        // Replied to; the reply dropped unread; over its deadline; failed; given up; each after another waker.
        let mut asks: Vec<_> = (0..3).map(|_| Box::pin(world.address.ask(Count))).collect();
        for ask in &mut asks {
            assert!(poll(ask, &hooked).is_pending());
            assert!(poll(ask, Waker::noop()).is_pending());
            assert!(poll(ask, &hooked).is_pending());
        }
        let mut late = Box::pin(gated.ask(Wait).within(Duration::from_millis(20)));
        let mut killed = Box::pin(gated.ask(Add(1)));
        assert!(poll(&mut late, &hooked).is_pending() && poll(&mut killed, &hooked).is_pending());
        drop(asks.pop());
        settle().await;
        assert!(poll(&mut asks[0], &hooked).is_ready());
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(poll(&mut late, &hooked).is_ready());
        gated.kill();
        settle().await;
        assert!(poll(&mut killed, &hooked).is_ready());
        drop((asks, late, killed, hooked));
        calls.assert_all();

        // A clone that panics leaves the ask open, to be polled again, and woken.
        let bad = Arc::new(AtomicUsize::new(1));
        let is_bad = Arc::clone(&bad);
        let (cracked, calls) = waker(move |call| {
            assert!(call != Call::Clone || is_bad.load(Ordering::SeqCst) == 0, "on purpose");
        });
        let mut ask = Box::pin(world.address.ask(Count));
        assert!(poll(&mut ask, Waker::noop()).is_pending());
        catch_unwind(AssertUnwindSafe(|| poll(&mut ask, &cracked).is_pending())).unwrap_err();
        bad.store(0, Ordering::SeqCst);
        assert!(poll(&mut ask, &cracked).is_pending());
        settle().await;
        assert_eq!(calls.of(Call::Wake), 1);
        assert!(poll(&mut ask, &cracked).is_ready());
    });
}

fn events() {
    run(async {
        let world = World::new();
        let bus = world.runtime.bus();
        let (hooked, calls) = world.waker();
        let event = || Stop { _held: world.on_drop() };
        let mut events = bus.subscribe::<Stop>("a", 1).unwrap();
        for _ in 0..2 {
            let mut next = Box::pin(events.recv());
            assert!(poll(&mut next, &hooked).is_pending());
            assert!(poll(&mut next, Waker::noop()).is_pending());
            assert!(poll(&mut next, &hooked).is_pending());
            assert_eq!(bus.publish("a", event()).unwrap(), 1);
            assert!(poll(&mut next, &hooked).is_ready());
        }
        // Pushed out; left in the queue; and nobody wants it.
        (0..3).for_each(|_| _ = bus.publish("a", event()).unwrap());
        drop(events);
        let _ = bus.publish("a", event());
        let mut events = bus.subscribe::<Stop>("a", 1).unwrap();
        let mut next = Box::pin(events.recv());
        assert!(poll(&mut next, &hooked).is_pending());
        let _ = world.runtime.shutdown().await;
        assert!(poll(&mut next, &hooked).is_ready());
        drop((next, hooked));
        calls.assert_all();
    });
}

fn letters() {
    run(async {
        let world = World::new();
        let (hooked, calls) = world.waker();
        let letters = world.runtime.dead_letters(2);
        let mut next = Box::pin(letters.recv());
        assert!(poll(&mut next, &hooked).is_pending());
        assert!(poll(&mut next, Waker::noop()).is_pending());
        assert!(poll(&mut next, &hooked).is_pending());
        // More letters than there is room for.
        for _ in 0..5 {
            let other = world.runtime.spawn_unnamed(Desk::default()).unwrap();
            other.tell(Note(world.on_drop())).unwrap();
            other.kill();
            settle().await;
        }
        let Poll::Ready(Some(letter)) = poll(&mut next, &hooked) else { panic!("no letter") };
        assert!(letter.take_message::<u32>().is_none());
        drop(letter.take_message::<Note>());
        drop(letter);
        drop(next);
        let mut next = Box::pin(letters.recv());
        let _ = poll(&mut next, &hooked);
        drop(next);
        drop((letters, hooked));
        calls.assert_all();
    });
}

struct Sold(World, AtomicUsize);
impl Figures for Sold {
    fn figures(&self) -> Vec<Figure> {
        once(|| self.0.use_it());
        vec![Figure::counter("sold", self.1.fetch_add(1, Ordering::SeqCst) as f64)]
    }
}
impl Drop for Sold {
    fn drop(&mut self) {
        once(|| self.0.use_it());
    }
}

fn figures() {
    run(async {
        let world = World::new();
        let other = world.runtime.spawn("other", Desk::default()).unwrap();
        for _ in 0..2 {
            let sold = Arc::new(Sold(world.clone(), AtomicUsize::new(0)));
            other.ask(Do(Box::new(move |_, cx| cx.show(sold)))).await.unwrap();
        }
        let survey = world.inspector.survey();
        assert!(survey.subsystems.iter().any(|one| one.figures() == [Figure::counter("sold", 0.0)]));
        // The last to know of the subsystem drops what it has shown.
        other.kill();
        other.ended().await;
        drop((other, survey));
        settle().await;
    });
}

fn watching() {
    run(async {
        let world = World::new();
        let desk = &world.address;
        // More than are remembered once they have ended, each the last to know of what it has shown.
        for _ in 0..50 {
            let other = world.runtime.spawn_unnamed(Desk::default()).unwrap();
            let (own, sold) = (other.clone(), Arc::new(Sold(world.clone(), AtomicUsize::new(0))));
            other.tell(Do(Box::new(move |_, cx| cx.show(sold)))).unwrap();
            desk.ask(Do(Box::new(move |_, cx| cx.watch(&own).unwrap()))).await.unwrap();
            other.stop();
            other.ended().await;
        }
        settle().await;
        assert!(desk.exit().is_none());
    });
}

struct Looking(World);
impl Observer for Looking {
    fn sampled(&self, _: &Sample<'_>) {
        once(|| self.0.use_it());
    }
}

fn observer() {
    run(async {
        let world = World::new();
        world.inspector.observe(Looking(world.clone())).unwrap();
        for _ in 0..100 {
            world.address.ask(Count).await.unwrap();
        }
        let _ = world.runtime.shutdown().await;
    });
}

fn side_tasks() {
    run(async {
        let world = World::new();
        let (hooked, calls) = world.waker();
        let (own, held) = (world.clone(), hooked.clone());
        // A pipe that waits, with what calls back when it is cut off; and a state that waits for its stop, with such a waker.
        let work = move |desk: &mut Desk, cx: &mut Context<Desk>| {
            let guard = own.on_drop();
            drop(cx.pipe(async move {
                std::future::pending::<()>().await;
                Note(guard)
            }));
            for times in 0..3 {
                let mut stopping = Box::pin(cx.stopping());
                assert!(poll(&mut stopping, &held).is_pending());
                match times {
                    0 => drop(stopping),
                    1 => assert!(poll(&mut stopping, Waker::noop()).is_pending()),
                    _ => desk.waiting.push(stopping),
                }
            }
            desk._held.push(own.on_drop());
        };
        world.address.ask(Do(Box::new(work))).await.unwrap();
        settle().await;
        world.address.stop();
        settle().await;
        assert!(calls.of(Call::Wake) > 0, "`stopping` wakes");
        world.address.kill();
        world.address.ended().await;
        drop(hooked);
        calls.assert_all();
    });
}

/// A shutdown, with senders in line for the subsystems of both rounds, and those who wait for the end.
fn end_of_all() {
    run(async {
        let world = World::new();
        let (hooked, calls) = world.waker();
        let mut addresses = Vec::new();
        for last in [false, true] {
            let (gated, gate) = Gated::new();
            let configure = world.runtime.configure_unnamed().mailbox(Mailbox::bounded(1));
            let configure = if last { configure.ends_last() } else { configure };
            let address = configure.spawn(gated).unwrap();
            gate.wait_until_busy(&address).await;
            address.tell(Add(1)).unwrap();
            addresses.push(address);
        }
        let mut sends: Vec<_> = addresses.iter().map(|address| Box::pin(address.send(Add(2)))).collect();
        for send in &mut sends {
            assert!(poll(send, &hooked).is_pending());
            assert!(poll(send, Waker::noop()).is_pending());
            assert!(poll(send, &hooked).is_pending());
        }
        let mut closing = Box::pin(world.inspector.closing());
        assert!(poll(&mut closing, &hooked).is_pending());
        let mut shutdown = Box::pin(world.runtime.shutdown_within(Duration::from_secs(1)));
        assert!(poll(&mut shutdown, &hooked).is_pending());
        for _ in 0..30 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(poll(&mut closing, &hooked).is_ready());
        assert!(poll(&mut shutdown, &hooked).is_ready());
        assert!(sends.iter_mut().all(|send| poll(send, &hooked).is_ready()));
        drop((closing, shutdown, sends, hooked));
        calls.assert_all();
    });
}

/// Uses the runtime at each event and span.
struct Nosy(World, AtomicUsize);

impl Nosy {
    /// A few hundred times: what it does is told in turn.
    fn look(&self) {
        if self.1.fetch_add(1, Ordering::Relaxed) < 300 {
            once(|| self.0.use_it());
        }
    }
}
impl Subscriber for Nosy {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("mycelia_actors")
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        self.look();
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {
        self.look();
    }
    fn enter(&self, _: &Id) {
        self.look();
    }
    fn exit(&self, _: &Id) {
        self.look();
    }
    fn clone_span(&self, id: &Id) -> Id {
        self.look();
        id.clone()
    }
    fn try_close(&self, _: Id) -> bool {
        self.look();
        false
    }
}

/// A whole life, with all that is told of it.
async fn whole_life(world: &World) {
    let made = || Desk::default();
    let address = world.runtime.configure("told").mailbox(Mailbox::bounded(1)).spawn_with(made).unwrap();
    let _life = world.runtime.bus().subscribe::<mycelia_actors::Lifecycle>("{*all}", 10).unwrap();
    address.started().await.unwrap();
    for _ in 0..3 {
        let _ = address.tell(Note(world.on_drop()));
    }
    settle().await;
    let _ = address.ask(Do(Box::new(|_, _| panic!("on purpose")))).await;
    settle().await;
    address.restart();
    settle().await;
    assert!(address.tell(Note(world.on_drop())).is_ok());
    address.stop();
    address.ended().await;
    let _ = world.runtime.shutdown_within(Duration::from_millis(100)).await;
}

fn subscriber() {
    run(async {
        let world = World::new();
        let _nosy = tracing::subscriber::set_default(Nosy(world.clone(), AtomicUsize::new(0)));
        whole_life(&world).await;
    });
}

fn spans() {
    run(async {
        let world = World::new();
        let _nosy = tracing::subscriber::set_default(Nosy(world.clone(), AtomicUsize::new(0)));
        let metadata = mycelia_actors::Metadata::new().with_header("a", "b").unwrap();
        let ask = metadata.in_scope(|| Box::pin(world.address.ask(Count)));
        ask.await.unwrap();
        metadata.in_scope(|| (0..5).for_each(|_| _ = world.address.tell(Note(world.on_drop()))));
        settle().await;
    });
}

thread_local! {
    static IN_HOOK: Cell<Option<fn()>> = const { Cell::new(None) };
}

/// Where tokio has no timers a panic tells so: the hook then waits for another thread that uses the runtime.
fn panic_hook() {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(Runtime::new);
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    fn spawns_nowhere() {
        let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _inside = tokio.enter();
        assert!(RUNTIME.spawn_unnamed(Desk::default()).is_err());
    }
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| match IN_HOOK.take() {
        Some(hook) => hook(),
        None => before(info),
    }));
    IN_HOOK.set(Some(|| {
        CALLS.fetch_add(1, Ordering::SeqCst);
        std::thread::spawn(spawns_nowhere).join().unwrap();
    }));
    spawns_nowhere();
    assert_eq!(CALLS.load(Ordering::SeqCst), 1);
}
