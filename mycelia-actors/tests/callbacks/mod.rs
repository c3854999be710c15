//! Scenes with values of a user that call back into the object they came from: each takes every lock that it can reach.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context as Task, Poll, Waker};
use std::time::Duration;

use mycelia_actors::prelude::*;
use mycelia_actors::{Figure, Figures, Inspector, Observer, Sample};
use tokio::task::coop::unconstrained;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::hooked::{Call, Calls, OnDrop, once, waker};
use crate::subsystems::{Add, Gated, Wait};

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
    fn waker(&self) -> (Waker, Arc<Calls>) {
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

pub(crate) fn life() {
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

pub(crate) fn asks() {
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

pub(crate) fn events() {
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

pub(crate) fn letters() {
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

pub(crate) fn figures() {
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

pub(crate) fn watching() {
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

pub(crate) fn observer() {
    run(async {
        let world = World::new();
        world.inspector.observe(Looking(world.clone())).unwrap();
        for _ in 0..100 {
            world.address.ask(Count).await.unwrap();
        }
        let _ = world.runtime.shutdown().await;
    });
}

pub(crate) fn side_tasks() {
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
pub(crate) fn end_of_all() {
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

pub(crate) fn subscriber() {
    run(async {
        let world = World::new();
        let _nosy = tracing::subscriber::set_default(Nosy(world.clone(), AtomicUsize::new(0)));
        whole_life(&world).await;
    });
}

pub(crate) fn spans() {
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
pub(crate) fn panic_hook() {
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
