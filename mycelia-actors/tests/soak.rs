//! Everything at once, for long: restarts, kills, drains, evictions, expiries, panics, side tasks, pools that run out, tokios that come
//! and go. Both ledgers add up to the last message.
//!
//! ```text
//! SOAK_MESSAGES=10000000 SOAK_PANICS=1000000 SOAK_SEED=1 cargo test --release -p mycelia-actors --test soak -- --nocapture --test-threads 1
//! ```
#![cfg(not(any(mycelia_loom, miri)))]

mod subsystems;
mod world;

use std::env;
use std::fs;
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mycelia_actors::prelude::*;
use mycelia_actors::{Refusal, SideTaskStats};
use subsystems::accounted;
use world::{Item, Random, SENDERS, WORKERS, Worker, World, count, get};

fn setting(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// One sender: every message has a number, and its first fate is known before the next is sent.
async fn send(world: Arc<World>, sender: usize, messages: u64, seed: u64) {
    let mut random = Random::new(seed);
    for number in 1..=messages {
        let address = world.at(random.seat());
        let asks = random.one_in(100).then(|| random.seat());
        let item = Item { sender: Some(sender), number, asks, has_metadata: random.one_in(3) };
        let within = Duration::from_millis(random.below(20));
        let refusal = match random.below(20) {
            kind @ 0..2 => {
                let ask = item.send(|item| if kind == 0 { address.ask(item) } else { address.try_ask(item) });
                let asked = ask.within(within).await.inspect(|_| count(&world.seen.replies));
                asked.err().filter(|error| error.message.is_some()).map(|error| match error.failure {
                    AskFailure::Refused(refusal) => Some(refusal),
                    _ => None,
                })
            }
            2..12 => item.send(|item| address.tell(item)).err().map(|error| Some(error.refusal)),
            _ => item.send(|item| address.send(item)).await.err().map(|error| Some(error.refusal)),
        };
        count(&world.seen.sent);
        if let Some(refusal) = refusal {
            count(&world.seen.returned);
            let is_exhausted = matches!(refusal, Some(Refusal::PoolExhausted { .. }));
            if is_exhausted {
                count(&world.seen.exhausted);
            }
            // For a moment there is nothing to be had here.
            if (is_exhausted || refusal == Some(Refusal::Stopped)) && random.below(10) > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
}

/// Ends, restarts and replaces workers by chance, and at times drains the whole runtime, until it is told to end.
async fn disturb(world: Arc<World>, is_over: Arc<AtomicBool>, seed: u64) -> u64 {
    let mut random = Random::new(seed);
    let mut drains = 0;
    for turn in 0.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(random.below(5))).await;
        if turn % 100 == 20 {
            world.runtime().shutdown().await.unwrap();
            drains += 1;
            world.renew(random.below(u64::MAX >> 1));
        }
        let address = world.at(random.seat());
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
                world.replace(seat, random.below(u64::MAX));
            }
        }
    }
    drains
}

/// Builds a tokio, takes a seat with a worker there, asks from there, and lets it go with asks that are out. Again and again.
fn visit(world: &Arc<World>, is_over: &AtomicBool, seed: u64) -> u64 {
    let mut random = Random::new(seed);
    let mut visits = 0;
    while !is_over.load(Ordering::Relaxed) {
        let tokio = if random.one_in(2) {
            tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
        } else {
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap()
        };
        let ask = |seat, within| {
            let (seen, address) = (Arc::clone(&world.seen), world.at(seat));
            async move {
                count(&seen.asks);
                let _ = address.ask(Item::plain()).within(Duration::from_millis(within)).await;
                count(&seen.asks_ended);
            }
        };
        tokio.block_on(async {
            let seat = random.seat();
            world.replace(seat, random.below(u64::MAX));
            for _ in 0..random.below(50) {
                ask(if random.one_in(4) { seat } else { random.seat() }, random.below(10)).await;
            }
            for _ in 0..random.below(5) {
                drop(tokio::spawn(ask(random.seat(), 1000)));
            }
            tokio::task::yield_now().await;
        });
        visits += 1;
    }
    visits
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledgers_add_up_whatever_happens() {
    quietly();
    let (messages, seed) = (setting("SOAK_MESSAGES", 100_000), setting("SOAK_SEED", 1));
    let world = World::new(seed);
    let is_over = Arc::new(AtomicBool::new(false));
    let began = Instant::now();
    let disturbing = tokio::spawn(disturb(Arc::clone(&world), Arc::clone(&is_over), seed));
    let visitors = [1, 2].map(|visitor| {
        let (world, is_over) = (Arc::clone(&world), Arc::clone(&is_over));
        std::thread::spawn(move || visit(&world, &is_over, seed ^ (visitor << 8)))
    });
    let senders = (0..SENDERS).map(|sender| {
        let share = messages / SENDERS as u64;
        tokio::spawn(send(Arc::clone(&world), sender, share, seed ^ (sender as u64 + 1)))
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await.expect("no sender hangs or panics");
    }
    is_over.store(true, Ordering::Relaxed);
    let drains = disturbing.await.unwrap();
    let visits: u64 = visitors.into_iter().map(|visitor| visitor.join().unwrap()).sum();
    world.runtime().shutdown().await.unwrap();
    let took = began.elapsed();

    let all = std::mem::take(&mut *world.all.lock().unwrap());
    let (sum, side_tasks) = sums(&all);
    let seen = Arc::clone(&world.seen);
    println!("seed {seed}: {sum}; {side_tasks:?}");
    println!(
        "{} restarts of {} workers, {drains} drains, {visits} tokios, {} replies, {} other asks, {} cycles, {} found the pool exhausted, {} notes, {took:.1?}",
        sum.restarts,
        all.len(),
        get(&seen.replies),
        get(&seen.asks),
        get(&seen.cycles),
        get(&seen.exhausted),
        get(&seen.notes_begun),
    );
    assert!(drains > 0 && visits > 0 && get(&seen.exhausted) > 0 && get(&seen.notes_begun) > 0);
    assert_eq!(get(&seen.inversions), 0, "each sender's messages are handled in its order");
    assert_eq!(get(&seen.mixed_up), 0, "each message keeps its own metadata");
    assert_eq!(
        sum.handled + sum.failed,
        get(&seen.begun),
        "every handler that began is counted, and no other"
    );
    // Of an ask whose asker was killed, or of a note, it is not known whether it was sent.
    let others = get(&seen.asks_ended) + get(&seen.notes_begun)..=get(&seen.asks) + get(&seen.notes_made);
    assert!(
        others.contains(&(sum.sent - get(&seen.sent))),
        "{} and {others:?} are {}",
        get(&seen.sent),
        sum.sent
    );
    assert!(sum.returned >= get(&seen.returned) && sum.returned - get(&seen.returned) <= *others.end());
    let runtimes = std::mem::take(&mut *world.runtimes.lock().unwrap());
    drop((all, world));
    for runtime in runtimes {
        assert_eq!(runtime.pool_stats().in_use, 0);
    }
    assert_eq!(get(&seen.notes_made), get(&seen.notes_dropped), "no message is leaked");
}

/// The ledgers of all, each of which adds up.
fn sums(all: &[Address<Worker>]) -> (Stats, SideTaskStats) {
    let (mut sum, mut side_tasks) = (Stats::default(), SideTaskStats::default());
    for address in all {
        accounted(address);
        let stats = address.stats();
        sum += stats;
        assert_eq!(stats.drop_panics, 0);
        let tasks = address.side_tasks();
        assert_eq!((tasks.started, 0), (tasks.accounted(), tasks.running), "{tasks:?}");
        side_tasks += tasks;
    }
    (sum, side_tasks)
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
