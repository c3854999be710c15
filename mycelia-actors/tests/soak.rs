//! Everything at once, for long: restarts, kills, evictions, expiries, panics. The ledger adds up to the last message.
//!
//! ```text
//! SOAK_MESSAGES=10000000 SOAK_PANICS=1000000 SOAK_SEED=1 cargo test --release -p mycelia-actors --test soak -- --nocapture --test-threads 1
//! ```
#![cfg(not(any(mycelia_loom, miri)))]

mod subsystems;

use std::env;
use std::fs;
use std::panic;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use mycelia_actors::prelude::*;
use subsystems::accounted;

const SENDERS: usize = 8;
const WORKERS: usize = 12;

fn setting(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Xorshift (Marsaglia, 2003).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn one_in(&mut self, chance: u64) -> bool {
        self.below(chance) == 0
    }
}

/// What was seen outside of the ledger.
#[derive(Default)]
struct Seen {
    sent: AtomicU64,
    returned: AtomicU64,
    replies: AtomicU64,
    /// Handlers that have begun.
    begun: AtomicU64,
    /// Asks of handlers that have begun, and those of which the handler lived to see the end.
    nested: AtomicU64,
    nested_ended: AtomicU64,
    cycles: AtomicU64,
    inversions: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// The seats, and who has them at the moment; and all who ever had one.
#[derive(Default)]
struct World {
    seats: RwLock<Vec<Address<Worker>>>,
    all: Mutex<Vec<Address<Worker>>>,
    seen: Seen,
}

impl World {
    fn at(&self, seat: usize) -> Address<Worker> {
        self.seats.read().unwrap()[seat].clone()
    }

    fn spawn(self: &Arc<Self>, runtime: &Runtime, seat: usize, seed: u64) -> Address<Worker> {
        let policy =
            [OverflowPolicy::Error, OverflowPolicy::DropOldest, OverflowPolicy::DropNewest][seat % 3];
        let (world, last) = (Arc::clone(self), Arc::default());
        let states = AtomicU64::new(seed);
        let make = move || Worker {
            world: Arc::clone(&world),
            last: Arc::clone(&last),
            random: Random::new(states.fetch_add(1, Ordering::Relaxed)),
        };
        let restart = Restart::one_for_one().at_most(u32::MAX, Duration::ZERO);
        let mailbox = Mailbox::bounded(64).overflow(policy);
        let address = runtime.configure_unnamed().mailbox(mailbox).restart(restart).spawn_with(make).unwrap();
        self.all.lock().unwrap().push(address.clone());
        address
    }
}

/// Handles, waits, panics and asks others, by chance. Remembers across restarts whom it has heard of last.
struct Worker {
    world: Arc<World>,
    last: Arc<[AtomicU64; SENDERS]>,
    random: Random,
}
impl Subsystem for Worker {}

struct Item {
    /// Nobody, if a handler asks.
    sender: Option<usize>,
    number: u64,
    /// Asks this seat in turn.
    asks: Option<usize>,
}

impl Handler<Item> for Worker {
    type Reply = u64;
    async fn handle(&mut self, item: Item, _: &mut Context<Self>) -> u64 {
        let seen = &self.world.seen;
        count(&seen.begun);
        if let Some(sender) = item.sender
            && self.last[sender].swap(item.number, Ordering::Relaxed) >= item.number
        {
            count(&seen.inversions);
        }
        assert!(!self.random.one_in(500), "by chance");
        if self.random.one_in(50) {
            tokio::task::yield_now().await;
        }
        if let Some(other) = item.asks {
            count(&seen.nested);
            let nested = Item { sender: None, number: 0, asks: None };
            let asked = self.world.at(other).ask(nested).within(Duration::from_millis(50)).await;
            count(&seen.nested_ended);
            if matches!(asked, Err(AskError { failure: AskFailure::Cycle(_), .. })) {
                count(&seen.cycles);
            }
        }
        item.number
    }
}

/// One sender: every message has a number, and its first fate is known before the next is sent.
async fn send(world: Arc<World>, sender: usize, messages: u64, seed: u64) {
    let mut random = Random::new(seed);
    for number in 1..=messages {
        let address = world.at(random.below(WORKERS as u64) as usize);
        let asks = random.one_in(100).then(|| random.below(WORKERS as u64) as usize);
        let item = Item { sender: Some(sender), number, asks };
        let within = Duration::from_millis(random.below(20));
        let back = match random.below(20) {
            kind @ 0..2 => {
                let ask = if kind == 0 { address.ask(item) } else { address.try_ask(item) };
                let asked = ask.within(within).await;
                asked.inspect(|_| count(&world.seen.replies)).is_err_and(|error| error.message.is_some())
            }
            2..12 => address.tell(item).is_err(),
            _ => address.send(item).await.is_err(),
        };
        count(&world.seen.sent);
        if back {
            count(&world.seen.returned);
        }
    }
}

/// Ends, restarts and replaces workers by chance, until it is dropped.
async fn disturb(runtime: Runtime, world: Arc<World>, seed: u64) {
    let mut random = Random::new(seed);
    loop {
        tokio::time::sleep(Duration::from_millis(random.below(5))).await;
        let address = world.at(random.below(WORKERS as u64) as usize);
        match random.below(8) {
            0 => address.kill(),
            1 => address.stop(),
            2 => address.stop_now(),
            3 | 4 => address.restart(),
            _ => {
                address.suspend();
                tokio::time::sleep(Duration::from_millis(random.below(3))).await;
                address.resume();
            }
        }
        for seat in 0..WORKERS {
            if world.at(seat).exit().is_some() {
                let new = world.spawn(&runtime, seat, random.below(u64::MAX));
                world.seats.write().unwrap()[seat] = new;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_adds_up_whatever_happens() {
    quietly();
    let (messages, seed) = (setting("SOAK_MESSAGES", 100_000), setting("SOAK_SEED", 1));
    let runtime = Runtime::new();
    let world = Arc::new(World::default());
    let first: Vec<_> = (0..WORKERS).map(|seat| world.spawn(&runtime, seat, seed + seat as u64)).collect();
    *world.seats.write().unwrap() = first;
    let disturbing = tokio::spawn(disturb(runtime.clone(), Arc::clone(&world), seed));
    let began = Instant::now();
    let senders = (0..SENDERS).map(|sender| {
        let share = messages / SENDERS as u64;
        tokio::spawn(send(Arc::clone(&world), sender, share, seed ^ (sender as u64 + 1)))
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await.expect("no sender hangs or panics");
    }
    disturbing.abort();
    let _ = disturbing.await;
    world.seats.read().unwrap().iter().for_each(Address::resume);
    runtime.shutdown().await.unwrap();

    let all = std::mem::take(&mut *world.all.lock().unwrap());
    let mut sum = Stats::default();
    for address in &all {
        accounted(address);
        let stats = address.stats();
        sum.sent += stats.sent;
        sum.handled += stats.handled;
        sum.failed += stats.failed;
        sum.evicted += stats.evicted;
        sum.discarded += stats.discarded;
        sum.returned += stats.returned;
        sum.expired += stats.expired;
        sum.undelivered += stats.undelivered;
        sum.restarts += stats.restarts;
        assert_eq!(stats.drop_panics, 0);
    }
    let seen = &world.seen;
    println!(
        "seed {seed}: {sum}; {} restarts of {} workers, {} replies, {} nested asks, {} cycles, {:.1?}",
        sum.restarts,
        all.len(),
        get(&seen.replies),
        get(&seen.nested),
        get(&seen.cycles),
        began.elapsed()
    );
    assert_eq!(get(&seen.inversions), 0, "each sender's messages are handled in its order");
    assert_eq!(
        sum.handled + sum.failed,
        get(&seen.begun),
        "every handler that began is counted, and no other"
    );
    // Of a nested ask whose handler was killed nobody knows whether it was sent.
    let nested = get(&seen.nested_ended)..=get(&seen.nested);
    assert!(
        nested.contains(&(sum.sent - get(&seen.sent))),
        "{} and {nested:?} are {}",
        get(&seen.sent),
        sum.sent
    );
    assert!(sum.returned >= get(&seen.returned) && sum.returned - get(&seen.returned) <= get(&seen.nested));
    drop((all, world));
    assert_eq!(runtime.pool_stats().in_use, 0);
}

/// Panics at every message.
struct Fragile;
impl Subsystem for Fragile {}
struct Touch;
impl Handler<Touch> for Fragile {
    type Reply = ();
    async fn handle(&mut self, _: Touch, _: &mut Context<Self>) {
        panic!("as always");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn panics_without_end_abort_nothing_hang_nothing_and_leak_nothing() {
    quietly();
    let panics = setting("SOAK_PANICS", 20_000);
    let runtime = Runtime::new();
    let restart = Restart::one_for_one().at_most(u32::MAX, Duration::ZERO);
    let fragile = runtime.configure("fragile").restart(restart).spawn_with(|| Fragile).unwrap();
    let began = Instant::now();
    let mut after_a_tenth = 0;
    for round in 0..10 {
        let asks = (0..4).map(|_| {
            let fragile = fragile.clone();
            tokio::spawn(async move {
                for _ in 0..panics / 40 {
                    assert_eq!(fragile.ask(Touch).await.unwrap_err().failure, AskFailure::Panicked);
                }
            })
        });
        for ask in asks.collect::<Vec<_>>() {
            ask.await.unwrap();
        }
        if round == 0 {
            after_a_tenth = resident();
        }
    }
    let grown = resident().saturating_sub(after_a_tenth);
    println!("{}: {} KiB more than after a tenth, {:.1?}", fragile.stats(), grown / 1024, began.elapsed());
    assert_eq!(fragile.stats().failed, panics / 40 * 40);
    assert!(grown < 4 << 20, "{grown} bytes");
    accounted(&fragile);
}

/// Bytes of memory that this process has.
fn resident() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

/// Panics that are meant print nothing.
fn quietly() {
    panic::set_hook(Box::new(|info| {
        let text = info.payload().downcast_ref::<&str>();
        if !text.is_some_and(|text| ["by chance", "as always"].contains(text)) {
            eprintln!("{info}");
        }
    }));
}
