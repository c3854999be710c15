//! Once warm, Mycelia asks the allocator for nothing.
#![cfg(not(mycelia_loom))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mycelia_actors::prelude::*;

/// Counts requests, of every thread, while it is told to.
struct Counting;

static COUNTING: AtomicBool = AtomicBool::new(false);
static REQUESTS: AtomicU64 = AtomicU64::new(0);

fn count() {
    if COUNTING.load(Ordering::Relaxed) {
        REQUESTS.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Sum(u64);
impl Subsystem for Sum {}

/// 64 bytes each way: as large as fits into a slot.
impl Handler<[u64; 8]> for Sum {
    type Reply = [u64; 8];
    async fn handle(&mut self, message: [u64; 8], _: &mut Context<Self>) -> [u64; 8] {
        self.0 += message[0];
        [self.0; 8]
    }
}

const MESSAGES: u64 = 100_000;

#[derive(Clone, Copy, Debug)]
enum Verb {
    Tell,
    Send,
    Ask,
}

async fn round<'a>(pick: impl Fn() -> &'a Address<Sum>, verb: Verb) {
    for n in 0..MESSAGES {
        match verb {
            Verb::Tell => {
                while pick().tell([n; 8]).is_err() {
                    tokio::task::yield_now().await;
                }
            }
            Verb::Send => pick().send([n; 8]).await.unwrap(),
            Verb::Ask => assert!(pick().ask([n; 8]).await.unwrap()[0] >= n),
        }
    }
    // All are handled when this one is.
    pick().ask([0; 8]).await.unwrap();
}

/// How many requests there were meanwhile.
async fn requests(round: impl Future<Output = ()>) -> u64 {
    COUNTING.store(true, Ordering::SeqCst);
    let before = REQUESTS.load(Ordering::SeqCst);
    round.await;
    COUNTING.store(false, Ordering::SeqCst);
    REQUESTS.load(Ordering::SeqCst) - before
}

#[test]
fn a_hundred_thousand_tells_sends_and_asks_allocate_nothing_once_warm() {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    tokio.block_on(async {
        let runtime = Runtime::new();
        let address = runtime.spawn("sum", Sum(0)).unwrap();
        for verb in [Verb::Tell, Verb::Send, Verb::Ask] {
            round(|| &address, verb).await;
            assert_eq!(requests(round(|| &address, verb)).await, 0, "{MESSAGES} of {verb:?}");
        }
        for choice in [Choice::RoundRobin, Choice::Random, Choice::LeastLoaded] {
            let group = Group::new([address.clone(), address.clone()], choice).unwrap();
            round(|| group.pick(), Verb::Tell).await;
            assert_eq!(requests(round(|| group.pick(), Verb::Tell)).await, 0, "{choice:?}");
        }
        let stats = address.stats();
        assert_eq!(stats.handled, 12 * (MESSAGES + 1));
        assert_eq!(stats.sent, stats.accounted());
    });
}
