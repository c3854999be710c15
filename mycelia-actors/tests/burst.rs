//! What a burst has needed is given back: for each structure that grows, bytes and steps before and after; and no structure is
//! forgotten.
#![cfg(not(mycelia_loom))]

mod sources;
mod subsystems;

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::task::{Context as Task, Poll, Waker};
use std::time::Duration;

use mycelia_actors::prelude::*;
use sources::sources;
use subsystems::{Add, Gated};
use tokio::task::coop::unconstrained;

/// Counts the bytes that are allocated.
struct Counting;

static LIVE: AtomicI64 = AtomicI64::new(0);

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many of whatever grows.
const BURST: usize = 5_000;
const FEW: usize = 50;
static SIZE: AtomicUsize = AtomicUsize::new(BURST);
/// What may be left of a burst, which needs much more: some structures keep room for a few.
const LEFT: i64 = 4 * 1024;
const LONG: Duration = Duration::from_secs(3600);

/// A burst that has drained when the future is ready.
type Burst = for<'a> fn(&'a Scene) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

struct Scene {
    runtime: Runtime,
    desk: Address<Desk>,
}

/// Each structure that grows, `file: field`, and the burst that makes it grow. Some grow together.
const BURSTS: &[(&[&str], Burst)] = &[
    (
        &[
            "pool/shared.rs: slabs",
            "pool/depot.rs: full",
            "pool/depot.rs: empty",
            "pool/depot.rs: loose",
            "pool/depot.rs: shelves",
            "pool/depot.rs: slots",
            "pool/out.rs: Outs",
            "queue/ring.rs: items",
            "actors/batch.rs: taken",
        ],
        |scene| Box::pin(large_mailbox(scene)),
    ),
    (&["queue/ring.rs: items", "actors/batch.rs: taken"], |scene| Box::pin(default_mailbox(scene))),
    (&["queue/wait.rs: entries", "queue/wait.rs: to_wake"], |scene| Box::pin(line(scene))),
    (&["pool/noted.rs: slots"], |scene| Box::pin(asks(scene))),
    (&["actors/space.rs: memory"], |scene| Box::pin(space(scene))),
    (&["actors/subscription.rs: events"], |scene| Box::pin(events(scene))),
    (&["actors/bus.rs: all", "actors/bus.rs: copy"], |scene| Box::pin(subscribers(scene))),
    (&["actors/bus.rs: by_type"], |scene| Box::pin(types(scene))),
    (&["actors/dead_letters.rs: by_id"], |scene| Box::pin(letter_readers(scene))),
    (&["actors/letter_box.rs: letters", "actors/letter_box.rs: readers"], |scene| Box::pin(letters(scene))),
    (
        &["actors/registry.rs: by_place", "actors/registry.rs: stop_settings", "actors/shared.rs: names"],
        |scene| Box::pin(roots(scene)),
    ),
    (
        &[
            "actors/registry.rs: children",
            "actors/watch.rs: by_actor",
            "actors/watch.rs: waiting",
            "actors/lifecycle.rs: of_the_end",
        ],
        |scene| Box::pin(children(scene)),
    ),
    (&["actors/lifecycle.rs: wakers"], |scene| Box::pin(waiting_for_the_end(scene))),
    (&["actors/tasks.rs: by_id", "actors/tasks.rs: stopping"], |scene| Box::pin(side_tasks(scene))),
    (&["actors/deadline.rs: tokios"], |scene| Box::pin(tokios(scene))),
];

/// Fields of growing types that need no burst, and why.
const NO_BURST: &[(&str, &str)] = &[
    (
        "pool/orphans.rs: WAITING",
        "pools that were dropped while guards were out: looked at whenever a pool is built or dropped",
    ),
    ("pool/thread.rs: free", "numbers of threads that have ended: 256 at most"),
    ("pool/depot.rs: Magazine", "64 slots"),
    ("actors/envelope.rs: Many", "the messages of one call of `handle_batch`, dropped with it"),
    ("actors/error.rs: killed", "a result"),
    ("actors/error.rs: left", "a result"),
    ("actors/handler.rs: messages", "a parameter"),
    ("actors/bell.rs: wakers", "given back when the last leaves"),
    ("actors/handling.rs: later", "a borrow of `taken`"),
    ("actors/inspector.rs: subsystems", "a result"),
    ("actors/drain/cut_offs.rs: all", "of one drain, dropped with it"),
    ("actors/task_entry.rs: awaits", "as many as one side task waits for at once, dropped with it"),
    ("actors/drain/shutdown.rs: tokios", "as many as call `shutdown`"),
    ("actors/drain/ending.rs: begun", "of one drain, dropped with it"),
    ("actors/drain/cut_offs.rs: places", "of one drain, dropped with it"),
    ("actors/registry.rs: kinds", "as many as there are types of subsystems"),
    ("actors/registry.rs: orphans", "a result"),
    ("actors/request.rs: params", "of one message"),
    ("actors/restart.rs: lately", "as many as the limit of restarts"),
    ("actors/routes.rs: listed", "the routes of a type, made once"),
    ("actors/table.rs: run_batch", "a function"),
    ("actors/table.rs: held", "of one batch, dropped with it"),
    ("actors/registry.rs: needs", "as many as one subsystem names at its spawn"),
    ("actors/drain/ending.rs: needed_by", "of one drain, dropped with it"),
    ("actors/drain/shutdown.rs: result", "a result"),
    ("actors/error.rs: cut_off", "a result"),
    ("actors/error.rs: side_tasks", "a result"),
    ("actors/envelope.rs: hands", "the messages of one call of `handle_batch`, dropped with it"),
    ("actors/tell.rs: messages", "a result"),
];

/// How many there are this time.
fn size() -> usize {
    SIZE.load(Ordering::Relaxed)
}

/// A small state that does as it is told.
struct Desk;
impl Subsystem for Desk {}

struct Note;
impl Handler<Note> for Desk {
    type Reply = ();
    async fn handle(&mut self, _: Note, _: &mut Context<Self>) {}
}

struct Keep;
impl Handler<Keep> for Desk {
    type Reply = ();
    async fn handle(&mut self, _: Keep, _: &mut Context<Self>) {
        std::future::pending().await
    }
}

struct Large;
impl Handler<Large> for Desk {
    type Reply = ();
    async fn handle(&mut self, _: Large, _: &mut Context<Self>) {
        let buffer = black_box([0_u8; 100_000]);
        tokio::task::yield_now().await;
        black_box(&buffer);
    }
}

struct Timers;
impl Handler<Timers> for Desk {
    type Reply = ();
    async fn handle(&mut self, _: Timers, cx: &mut Context<Self>) {
        (0..size()).for_each(|_| drop(cx.send_after(Duration::from_secs(1), Note)));
        let mut waiting: Vec<_> = (0..size()).map(|_| Box::pin(cx.stopping())).collect();
        waiting.iter_mut().for_each(|stopping| _ = poll_once(stopping.as_mut()));
    }
}

/// So many, who are watched.
struct Children(usize);
impl Handler<Children> for Desk {
    type Reply = Vec<Address<Desk>>;
    async fn handle(&mut self, Children(count): Children, cx: &mut Context<Self>) -> Vec<Address<Desk>> {
        let children: Vec<_> = (0..count).map(|_| cx.spawn(Desk).unwrap()).collect();
        children.iter().for_each(|child| cx.watch(child).unwrap());
        children
    }
}

impl Handler<Terminated> for Desk {
    type Reply = ();
    async fn handle(&mut self, _: Terminated, _: &mut Context<Self>) {}
}

/// Polls outside of tokio's budget, which a thousand polls in one would use up.
fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    pin!(unconstrained(future)).poll(&mut Task::from_waker(Waker::noop()))
}

async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

async fn large_mailbox(scene: &Scene) {
    let (state, gate) = Gated::new();
    let mailbox = Mailbox::bounded(size() * 10);
    let address = scene.runtime.configure_unnamed().mailbox(mailbox).spawn(state).unwrap();
    (0..size() as u64 * 10).for_each(|n| _ = address.tell(Add(n)).unwrap());
    gate.open();
    address.ask(Add(1)).await.unwrap();
    address.stop();
    address.ended().await;
}

async fn default_mailbox(scene: &Scene) {
    (0..size().min(1024)).for_each(|_| _ = scene.desk.tell(Note).unwrap());
    settle().await;
}

async fn line(scene: &Scene) {
    let (state, gate) = Gated::new();
    let address = scene.runtime.configure_unnamed().mailbox(Mailbox::bounded(1)).spawn(state).unwrap();
    let mut sends: Vec<_> = (0..size() as u64).map(|n| Box::pin(address.send(Add(n)))).collect();
    let before = LIVE.load(Ordering::Relaxed);
    sends.retain_mut(|send| poll_once(send.as_mut()).is_pending());
    // Half of them give up, and half of these after they were let in.
    sends.truncate(size() / 2);
    gate.open();
    for send in sends {
        send.await.unwrap();
    }
    settle().await;
    let left = LIVE.load(Ordering::Relaxed) - before;
    assert!(left < LEFT, "{left} bytes left of the line");
    address.stop();
    address.ended().await;
}

async fn asks(scene: &Scene) {
    let silent = scene.runtime.spawn_unnamed(Desk).unwrap();
    for _ in 0..size().div_ceil(1000) {
        let mut asks: Vec<_> =
            (0..size().min(1000)).map(|_| Box::pin(silent.ask(Keep).within(LONG))).collect();
        asks.iter_mut().for_each(|ask| drop(poll_once(ask.as_mut())));
    }
    silent.kill();
    silent.ended().await;
}

async fn space(scene: &Scene) {
    if size() > FEW {
        scene.desk.ask(Large).await.unwrap();
    }
}

async fn events(scene: &Scene) {
    let bus = scene.runtime.bus();
    let mut events = bus.subscribe::<u64>("{*all}", size()).unwrap();
    let before = LIVE.load(Ordering::Relaxed);
    for room in [size(), size() / 5] {
        (0..room as u64).for_each(|n| _ = bus.publish("a", n).unwrap());
        while events.try_recv().is_some() {}
        bus.publish("a", 1_u64).unwrap();
        while events.try_recv().is_some() {}
        let left = LIVE.load(Ordering::Relaxed) - before;
        assert!(left < LEFT, "{left} bytes left of {room} events");
    }
}

async fn subscribers(scene: &Scene) {
    let bus = scene.runtime.bus();
    let all: Vec<_> = (0..size()).map(|_| bus.subscribe::<u32>("{*all}", 1).unwrap()).collect();
    assert_eq!(bus.publish("a", 1_u32).unwrap(), size());
    drop(all);
}

async fn types(scene: &Scene) {
    fn each<const N: usize>(bus: &Bus) -> Subscription<[u8; N]> {
        bus.subscribe("{*all}", 1).unwrap()
    }
    let bus = scene.runtime.bus();
    drop((each::<0>(&bus), each::<1>(&bus), each::<2>(&bus), each::<3>(&bus), each::<4>(&bus)));
}

async fn letter_readers(scene: &Scene) {
    drop((0..size()).map(|_| scene.runtime.dead_letters(1)).collect::<Vec<_>>());
}

async fn letters(scene: &Scene) {
    let letters = scene.runtime.dead_letters(size());
    let before = LIVE.load(Ordering::Relaxed);
    {
        let mut reader = pin!(letters.recv());
        // Woken in vain.
        (0..size()).for_each(|_| assert!(poll_once(reader.as_mut()).is_pending()));
        let grown = LIVE.load(Ordering::Relaxed) - before;
        assert!(grown < 1024, "a reader that is woken in vain grows by {grown} bytes");
        let mut readers: Vec<_> = (0..size()).map(|_| Box::pin(letters.recv())).collect();
        readers.iter_mut().for_each(|reader| drop(poll_once(reader.as_mut())));
    }
    let short = scene.runtime.configure_unnamed().mailbox(Mailbox::bounded(size())).spawn(Desk).unwrap();
    short.suspend();
    (0..size()).for_each(|_| _ = short.tell(Note).unwrap());
    short.kill();
    short.ended().await;
    assert_eq!(letters.drain().count(), size());
    assert!(letters.try_recv().is_none());
    drop(short);
    scene.runtime.trim();
    let left = LIVE.load(Ordering::Relaxed) - before;
    assert!(left < LEFT, "{left} bytes left of the letters");
}

async fn roots(scene: &Scene) {
    let spawn = |n| {
        let name = format!("root-{n}");
        let configured = scene.runtime.configure(&name).stop_timeout(LONG);
        configured.spawn(Desk).unwrap()
    };
    let all: Vec<_> = (0..size()).map(spawn).collect();
    settle().await;
    all.iter().for_each(Address::stop);
    for one in &all {
        one.ended().await;
    }
}

async fn children(scene: &Scene) {
    let chief = scene.runtime.spawn_unnamed(Desk).unwrap();
    let mut before = 0;
    for count in [FEW, size()] {
        let children = chief.ask(Children(count)).await.unwrap();
        chief.suspend();
        children.iter().for_each(Address::stop);
        for child in &children {
            child.ended().await;
        }
        drop(children);
        chief.resume();
        for _ in 0..2 {
            chief.ask(Note).await.unwrap();
            settle().await;
        }
        scene.runtime.trim();
        let left =
            LIVE.load(Ordering::Relaxed) - std::mem::replace(&mut before, LIVE.load(Ordering::Relaxed));
        assert!(count == FEW || left < LEFT, "{left} bytes left of those who were watched");
    }
    chief.stop();
    chief.ended().await;
}

async fn waiting_for_the_end(scene: &Scene) {
    let before = LIVE.load(Ordering::Relaxed);
    let mut all: Vec<_> = (0..size()).map(|_| Box::pin(scene.desk.ended())).collect();
    all.iter_mut().for_each(|ended| drop(poll_once(ended.as_mut())));
    drop(all);
    let left = LIVE.load(Ordering::Relaxed) - before;
    assert!(left < LEFT, "{left} bytes left of those who waited for the end");
}

async fn side_tasks(scene: &Scene) {
    scene.desk.ask(Timers).await.unwrap();
    tokio::time::sleep(LONG).await;
}

async fn tokios(scene: &Scene) {
    let (desk, runtime) = (scene.desk.clone(), scene.runtime.clone());
    let others = std::thread::spawn(move || {
        for _ in 0..size() / 50 {
            let tokio = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            tokio.block_on(async { drop(poll_once(pin!(desk.ask(Note)))) });
        }
        // Its cache is its own.
        runtime.trim();
    });
    others.join().unwrap();
    settle().await;
}

#[test]
fn what_a_burst_needed_is_given_back() {
    let tokio =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    tokio.block_on(async {
        // Tokio's own queue keeps its room.
        (0..BURST * 2).for_each(|_| drop(tokio::spawn(async {})));
        settle().await;
        let runtime = Runtime::new();
        let desk = runtime.spawn("desk", Desk).unwrap();
        let scene = Scene { runtime, desk };
        let quiet = || async {
            // What comes after a burst is little, and then nothing.
            for _ in 0..2 {
                scene.desk.ask(Note).await.unwrap();
                settle().await;
            }
            tokio::time::sleep(LONG).await;
            scene.runtime.trim();
            LIVE.load(Ordering::Relaxed)
        };
        quiet().await;
        let mut wrong = Vec::new();
        for (structures, burst) in BURSTS {
            // A few first, for which things are made that stay: metadata of tokio and of the test, counters of what is rare.
            SIZE.store(FEW, Ordering::Relaxed);
            burst(&scene).await;
            let before = quiet().await;
            SIZE.store(BURST, Ordering::Relaxed);
            burst(&scene).await;
            let left = quiet().await - before;
            if left > LEFT {
                wrong.push(format!("{structures:?}: {left} bytes"));
            }
        }
        assert!(wrong.is_empty(), "left after a burst:\n{}", wrong.join("\n"));
    });
}

/// The steps of a sweep follow the asks that are out, not the slots that there are.
#[tokio::test(start_paused = true)]
async fn a_sweep_after_a_burst_costs_what_it_did_before() {
    let pool = mycelia_pool::Pool::<Value>::new();
    let steps = |pool: &mycelia_pool::Pool<Value>| {
        let mut steps = 0;
        // SAFETY: nobody has a `&mut` to a value.
        unsafe {
            pool.visit_noted(|value| {
                steps += 1;
                value.0.load(Ordering::Relaxed) != 0
            });
        }
        steps
    };
    let note = |guard: mycelia_pool::Guard<Value>| {
        guard.0.store(1, Ordering::Relaxed);
        mycelia_pool::Guard::note(&guard);
        guard
    };
    let few: Vec<_> = (0..10).map(|_| note(pool.acquire().unwrap())).collect();
    assert_eq!(steps(&pool), 10);
    let many: Vec<_> = (0..BURST).map(|_| note(pool.acquire().unwrap())).collect();
    assert_eq!(steps(&pool), BURST + 10);
    many.iter().for_each(|value| value.0.store(0, Ordering::Relaxed));
    drop(many);
    // Once more, and again for what might have come meanwhile, for a millisecond.
    assert_eq!([steps(&pool), steps(&pool)], [BURST + 10, BURST + 10]);
    while steps(&pool) > 10 {}
    assert_eq!(steps(&pool), 10);
    drop(few);
}

#[derive(Default)]
struct Value(AtomicI64);

impl mycelia_pool::Recycle for Value {
    const RECYCLES: bool = false;
    fn recycle(&mut self) {}
}

/// Reads the sources for fields and statics of types that grow, and looks for each in the lists above.
#[test]
fn no_structure_that_grows_is_forgotten() {
    const GROWS: [&str; 8] =
        ["Vec<", "VecDeque<", "HashMap<", "HashSet<", "BTreeMap<", "Slab<", "JoinSet<", "DashMap<"];
    let known: BTreeMap<&str, bool> = BURSTS
        .iter()
        .flat_map(|(structures, _)| structures.iter().map(|name| (*name, true)))
        .chain(NO_BURST.iter().map(|(name, _)| (*name, false)))
        .collect();
    let (mut found, mut forgotten) = (0, Vec::new());
    for (file, text) in sources(&["pool", "queue", "actors"]) {
        let grows = text.lines().filter(|line| GROWS.iter().any(|name| line.contains(name)));
        for structure in grows.filter_map(field).map(|field| format!("{file}: {field}")) {
            found += 1;
            if !known.contains_key(&*structure) {
                forgotten.push(structure);
            }
        }
    }
    assert!(found > 30, "{found}");
    assert!(
        forgotten.is_empty(),
        "grows, and is in none of the lists of this test:\n{}",
        forgotten.join("\n")
    );
}

/// The name, if the line declares a field, a static, or a struct of one field.
fn field(line: &str) -> Option<String> {
    let line = line
        .trim()
        .trim_start_matches("pub(crate) ")
        .trim_start_matches("pub(super) ")
        .trim_start_matches("pub ");
    let line = line.strip_prefix("static ").unwrap_or(line);
    if let Some(name) = line.strip_prefix("struct ") {
        return name.split_once('(').map(|(name, _)| name.to_owned());
    }
    let (name, kind) = line.split_once(": ")?;
    let is_name = !name.is_empty() && name.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
    // A field ends with a comma, a static with a value; a local has a value, or is `let`.
    let declares =
        kind.ends_with(',') && !kind.contains(" = ") || name.chars().all(|letter| !letter.is_lowercase());
    (is_name && declares && !kind.contains("::new()") || name == "WAITING").then(|| name.to_owned())
}
