//! The workers of the soak, their seats, and what is seen of them outside of the ledger.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::task::{Context as Task, Poll};
use std::time::Duration;

use mycelia_actors::prelude::*;
use mycelia_actors::{AtStop, MessagePool, TaskHandle};

pub(crate) const SENDERS: usize = 8;
pub(crate) const WORKERS: usize = 12;

/// Xorshift (Marsaglia, 2003).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    pub(crate) fn one_in(&mut self, chance: u64) -> bool {
        self.below(chance) == 0
    }

    pub(crate) fn seat(&mut self) -> usize {
        self.below(WORKERS as u64) as usize
    }
}

/// What was seen outside of the ledger.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) sent: AtomicU64,
    pub(crate) returned: AtomicU64,
    pub(crate) exhausted: AtomicU64,
    pub(crate) replies: AtomicU64,
    /// Handlers that have begun.
    pub(crate) begun: AtomicU64,
    /// Asks that have begun whose asker may be gone before their end, and those of which it lived to see the end.
    pub(crate) asks: AtomicU64,
    pub(crate) asks_ended: AtomicU64,
    pub(crate) cycles: AtomicU64,
    pub(crate) inversions: AtomicU64,
    /// Messages that have the metadata of another.
    pub(crate) mixed_up: AtomicU64,
    pub(crate) notes_made: AtomicU64,
    pub(crate) notes_dropped: AtomicU64,
    pub(crate) notes_begun: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// The runtime of the moment, the seats, and who has them; and all that ever were.
pub(crate) struct World {
    pub(crate) seats: RwLock<Vec<Address<Worker>>>,
    pub(crate) all: Mutex<Vec<Address<Worker>>>,
    pub(crate) runtimes: Mutex<Vec<Runtime>>,
    pub(crate) seen: Arc<Seen>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        let world = Self {
            seats: RwLock::default(),
            all: Mutex::default(),
            runtimes: Mutex::default(),
            seen: Arc::default(),
        };
        let world = Arc::new(world);
        world.renew(seed);
        world
    }

    /// A new runtime with new workers in all seats. Each second runtime has a message pool that runs out.
    pub(crate) fn renew(self: &Arc<Self>, seed: u64) {
        let count = self.runtimes.lock().unwrap().len();
        let runtime = match count % 2 {
            0 => Runtime::new(),
            _ => Runtime::builder().messages(MessagePool::capacity(96).fail_when_exhausted()).build(),
        };
        self.runtimes.lock().unwrap().push(runtime);
        let workers = (0..WORKERS).map(|seat| self.spawn(seat, seed + seat as u64).unwrap()).collect();
        *self.seats.write().unwrap() = workers;
    }

    pub(crate) fn runtime(&self) -> Runtime {
        self.runtimes.lock().unwrap().last().unwrap().clone()
    }

    pub(crate) fn at(&self, seat: usize) -> Address<Worker> {
        self.seats.read().unwrap()[seat].clone()
    }

    /// Gives a seat to a new worker, on the tokio of the caller; unless the runtime is shutting down.
    pub(crate) fn replace(self: &Arc<Self>, seat: usize, seed: u64) {
        let Some(new) = self.spawn(seat, seed) else { return };
        let old = std::mem::replace(&mut self.seats.write().unwrap()[seat], new);
        old.resume();
        old.stop();
    }

    fn spawn(self: &Arc<Self>, seat: usize, seed: u64) -> Option<Address<Worker>> {
        let policy =
            [OverflowPolicy::Error, OverflowPolicy::DropOldest, OverflowPolicy::DropNewest][seat % 3];
        let (world, last) = (Arc::clone(self), Arc::default());
        let states = AtomicU64::new(seed);
        let make = move || Worker {
            world: Arc::clone(&world),
            last: Arc::clone(&last),
            random: Random::new(states.fetch_add(1, Ordering::Relaxed)),
            heartbeat: None,
        };
        let restart = Restart::one_for_one().at_most(u32::MAX, Duration::ZERO);
        let mailbox = Mailbox::bounded(64).overflow(policy);
        let runtime = self.runtime();
        let spawned = runtime.configure_unnamed().mailbox(mailbox).restart(restart).spawn_with(make);
        let address = spawned.inspect_err(|error| assert!(matches!(error, SpawnError::ShutDown))).ok()?;
        self.all.lock().unwrap().push(address.clone());
        Some(address)
    }
}

/// Handles, waits, panics, asks others and starts side tasks, by chance. Remembers across restarts whom it has heard of last.
pub(crate) struct Worker {
    world: Arc<World>,
    last: Arc<[AtomicU64; SENDERS]>,
    random: Random,
    heartbeat: Option<TaskHandle>,
}
impl Subsystem for Worker {}

pub(crate) struct Item {
    /// None if a handler or a visitor sends it.
    pub(crate) sender: Option<usize>,
    pub(crate) number: u64,
    /// Asks this seat in turn.
    pub(crate) asks: Option<usize>,
    /// Sent with metadata that say the number once more.
    pub(crate) has_metadata: bool,
}

impl Item {
    pub(crate) fn plain() -> Self {
        Self { sender: None, number: 0, asks: None, has_metadata: false }
    }

    /// Does something with the metadata that this item is sent with.
    pub(crate) fn send<T>(self, send: impl FnOnce(Self) -> T) -> T {
        if !self.has_metadata {
            return send(self);
        }
        let metadata = Metadata::new().with_header("number", &self.number.to_string()).unwrap();
        metadata.in_scope(|| send(self))
    }
}

impl Handler<Item> for Worker {
    type Reply = u64;
    async fn handle(&mut self, item: Item, cx: &mut Context<Self>) -> u64 {
        let seen = Arc::clone(&self.world.seen);
        count(&seen.begun);
        let metadata = cx.metadata();
        let number = metadata.as_ref().and_then(|metadata| metadata.header("number"));
        let expected = item.has_metadata.then(|| item.number.to_string());
        // What a handler sends has the metadata of the message in hand.
        if item.sender.is_some() && number.map(str::to_owned) != expected {
            count(&seen.mixed_up);
        }
        if let Some(sender) = item.sender
            && self.last[sender].swap(item.number, Ordering::Relaxed) >= item.number
        {
            count(&seen.inversions);
        }
        assert!(!self.random.one_in(500), "by chance");
        if self.random.one_in(50) {
            tokio::task::yield_now().await;
        }
        if self.random.one_in(50) {
            self.start_a_side_task(cx);
        }
        if let Some(other) = item.asks {
            count(&seen.asks);
            let asked = self.world.at(other).ask(Item::plain()).within(Duration::from_millis(50)).await;
            count(&seen.asks_ended);
            if matches!(asked, Err(AskError { failure: AskFailure::Cycle(_), .. })) {
                count(&seen.cycles);
            }
        }
        item.number
    }
}

impl Worker {
    fn start_a_side_task(&mut self, cx: &Context<Self>) {
        let note = Note::new(&self.world.seen);
        let time = Duration::from_millis(self.random.below(4));
        let panics = self.random.one_in(20);
        let later = async move {
            tokio::time::sleep(time).await;
            assert!(!panics, "by chance");
            note
        };
        match self.random.below(6) {
            0 => drop(cx.pipe(later)),
            1 => drop(cx.pipe(later).across_restarts()),
            2 => drop(cx.pipe(later).at_stop(AtStop::Keep)),
            3 => drop(cx.send_after(time, Note::new(&self.world.seen))),
            4 => {
                let new = cx.send_every(Duration::from_millis(1), Note::new(&self.world.seen));
                if let Some(old) = self.heartbeat.replace(new) {
                    old.cancel();
                }
            }
            _ => drop(cx.attach(Notes(Arc::clone(&self.world.seen), self.random.below(300)))),
        }
    }
}

/// What side tasks send.
pub(crate) struct Note(Arc<Seen>);

impl Note {
    fn new(seen: &Arc<Seen>) -> Self {
        count(&seen.notes_made);
        Self(Arc::clone(seen))
    }
}

impl Clone for Note {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        count(&self.0.notes_dropped);
    }
}

impl Handler<Note> for Worker {
    type Reply = ();
    async fn handle(&mut self, _: Note, _: &mut Context<Self>) {
        count(&self.world.seen.begun);
        count(&self.world.seen.notes_begun);
        assert!(!self.random.one_in(500), "by chance");
    }
}

/// So many notes, always ready.
struct Notes(Arc<Seen>, u64);

impl futures_core::Stream for Notes {
    type Item = Note;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<Option<Note>> {
        let Some(left) = self.1.checked_sub(1) else { return Poll::Ready(None) };
        self.1 = left;
        Poll::Ready(Some(Note::new(&self.0)))
    }
}
