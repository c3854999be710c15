//! What a user sees of a pool: guards, limits, numbers, memory.
#![cfg(not(mycelia_loom))]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mycelia_pool::{Exhausted, Exhaustion, Guard, Pool, Recycle};

/// Enough for several chunks.
const MANY: usize = if cfg!(miri) { 300 } else { 5000 };

/// Counts the values alive.
struct Alive(Arc<AtomicUsize>);

impl Recycle for Alive {
    const RECYCLES: bool = false;
    fn recycle(&mut self) {}
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn counting_pool(warm: usize) -> (Pool<Alive>, Arc<AtomicUsize>) {
    let alive = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&alive);
    let pool = Pool::builder().warm(warm).build_with(move || {
        count.fetch_add(1, Ordering::SeqCst);
        Alive(Arc::clone(&count))
    });
    (pool, alive)
}

#[test]
fn a_released_value_is_clean_and_keeps_its_buffer() {
    let pool: Pool<Vec<u8>> = Pool::new();
    let mut first = pool.acquire().unwrap();
    first.extend_from_slice(&[7; 100]);
    let buffer = first.as_ptr();
    drop(first);
    let second = pool.acquire().unwrap();
    assert!(second.is_empty());
    assert_eq!((second.as_ptr(), second.capacity() >= 100), (buffer, true));
}

#[test]
fn warm_makes_as_many_as_it_says() {
    for slots in [1, 31, 1000] {
        let (pool, alive) = counting_pool(slots);
        assert_eq!(pool.stats().created, slots as u64);
        assert_eq!(alive.load(Ordering::SeqCst), slots);
        let all: Vec<_> = (0..slots).map(|_| pool.acquire().unwrap()).collect();
        assert_eq!(pool.stats().created, slots as u64, "warm slots are used before new ones are made");
        assert_eq!(pool.stats().reuse_rate(), 1.0);
        drop(all);
    }
}

#[test]
fn a_pool_that_fails_does_so_when_all_are_out_and_not_before() {
    let pool: Pool<String> = Pool::builder().capacity(3).exhaustion(Exhaustion::Fail).build();
    let elsewhere = std::thread::spawn({
        let pool = pool.clone();
        move || pool.acquire().unwrap()
    });
    let third = elsewhere.join().unwrap();
    let held = (pool.acquire().unwrap(), pool.acquire().unwrap());
    assert_eq!(pool.acquire().unwrap_err(), Exhausted { capacity: 3 });
    // Released by a thread that is gone afterwards: free all the same.
    std::thread::spawn(move || drop(third)).join().unwrap();
    let again = pool.acquire().unwrap();
    assert_eq!((pool.stats().high_water, pool.stats().in_use), (3, 3));
    drop((held, again));
}

#[test]
fn a_pool_without_capacity_that_fails_always_fails() {
    let pool: Pool<String> = Pool::builder().capacity(0).exhaustion(Exhaustion::Fail).warm(5).build();
    assert_eq!(pool.stats().created, 0);
    assert_eq!(pool.acquire().unwrap_err().to_string(), "pool exhausted: all 0 slots are in use");
}

#[test]
fn a_pool_that_grows_goes_beyond_its_capacity() {
    let pool: Pool<String> = Pool::builder().capacity(2).build();
    let all: Vec<_> = (0..500).map(|_| pool.acquire().unwrap()).collect();
    assert_eq!(pool.stats().in_use, all.len() as u64);
}

#[test]
fn every_value_is_dropped_with_the_pool() {
    let (pool, alive) = counting_pool(10);
    let many: Vec<_> = (0..300).map(|_| pool.acquire().unwrap()).collect();
    drop(many);
    drop(pool);
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

#[test]
fn guards_may_outlive_the_pool_and_its_memory_goes_with_the_next_one() {
    let (pool, alive) = counting_pool(10);
    let guard = pool.acquire().unwrap();
    drop(pool);
    assert_eq!(guard.0.load(Ordering::SeqCst), 10, "still there to be used");
    drop(guard);
    // Any pool that is built looks after it, also one of the tests beside this.
    while alive.load(Ordering::SeqCst) > 0 {
        drop(Pool::<String>::new());
    }
}

#[test]
fn trim_gives_empty_chunks_back_and_keeps_those_in_use() {
    let (pool, alive) = counting_pool(0);
    let mut all: Vec<_> = (0..MANY).map(|_| pool.acquire().unwrap()).collect();
    let one = all.swap_remove(MANY / 2);
    drop(all);
    pool.trim();
    let stats = pool.stats();
    assert!(stats.created <= 1024, "one chunk stays, of {} slots", stats.created);
    assert_eq!(stats.in_use, 1);
    assert_eq!(alive.load(Ordering::SeqCst) as u64, stats.created);
    drop(one);
    pool.trim();
    assert_eq!(pool.stats().created, 0);
    assert_eq!(pool.acquire().unwrap().0.load(Ordering::SeqCst) as u64, pool.stats().created);
}

#[test]
fn trim_reaches_another_threads_cache_at_its_next_use() {
    let (pool, _) = counting_pool(0);
    let (step, steps) = std::sync::mpsc::channel::<()>();
    let (done, dones) = std::sync::mpsc::channel::<()>();
    let other = pool.clone();
    let thread = std::thread::spawn(move || {
        drop((0..100).map(|_| other.acquire().unwrap()).collect::<Vec<_>>());
        done.send(()).unwrap();
        steps.recv().unwrap();
        drop(other.acquire().unwrap());
        done.send(()).unwrap();
        steps.recv().unwrap();
    });
    dones.recv().unwrap();
    let before = pool.stats().created;
    pool.trim();
    step.send(()).unwrap();
    dones.recv().unwrap();
    assert!(pool.stats().created < before, "its cache was emptied, and then the chunks were");
    step.send(()).unwrap();
    thread.join().unwrap();
}

#[test]
fn a_panic_in_recycle_still_gives_the_slot_back() {
    #[derive(Default)]
    struct Touchy(bool);
    impl Recycle for Touchy {
        fn recycle(&mut self) {
            assert!(!std::mem::take(&mut self.0), "touched");
        }
    }
    let pool: Pool<Touchy> = Pool::builder().capacity(1).exhaustion(Exhaustion::Fail).build();
    let mut value = pool.acquire().unwrap();
    value.0 = true;
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(value))).unwrap_err();
    assert_eq!(pool.stats().in_use, 0);
    assert!(!pool.acquire().unwrap().0);
}

#[test]
fn a_panic_in_the_making_makes_nothing_and_hangs_nobody() {
    let fail = Arc::new(AtomicUsize::new(1));
    let fails = Arc::clone(&fail);
    let pool = Pool::builder().build_with(move || {
        assert!(fails.load(Ordering::SeqCst) == 0, "not now");
        String::new()
    });
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pool.acquire().map(drop))).unwrap_err();
    assert_eq!(pool.stats().created, 0);
    fail.store(0, Ordering::SeqCst);
    assert!(pool.acquire().is_ok());
}

#[test]
fn slots_pass_between_a_producing_and_a_consuming_thread_without_new_ones() {
    let pool: Pool<Vec<u64>> = Pool::builder().warm(512).build();
    let (sender, receiver) = std::sync::mpsc::sync_channel(64);
    std::thread::scope(|scope| {
        let pool = &pool;
        scope.spawn(move || {
            for n in 0..if cfg!(miri) { 300 } else { 100_000 } {
                let mut numbers = pool.acquire().unwrap();
                numbers.push(n);
                sender.send(numbers).unwrap();
            }
        });
        for (expected, numbers) in receiver.iter().enumerate() {
            assert_eq!(*numbers, [expected as u64]);
        }
    });
    let stats = pool.stats();
    assert_eq!((stats.created, stats.in_use), (512, 0));
}

#[test]
fn visit_sees_values_in_use_and_free_ones() {
    let (pool, alive) = counting_pool(3);
    let guard = pool.acquire().unwrap();
    let mut seen = 0;
    // SAFETY: nobody holds a `&mut` to a value; `Alive` does not recycle.
    unsafe { pool.visit(|value| seen += usize::from(Arc::ptr_eq(&value.0, &alive))) };
    assert_eq!(seen, 3);
    drop(guard);
}

#[test]
#[cfg(debug_assertions)]
fn values_that_are_out_are_listed_with_where_they_were_acquired() {
    let pool = Pool::<String>::new();
    let (first, line) = (pool.acquire().unwrap(), line!());
    let second = pool.acquire().unwrap();
    Guard::label(&second, "the second");
    let listed: Vec<_> = pool.out().iter().map(|out| (out.acquired_at.line(), out.label)).collect();
    assert_eq!(listed, [(line, None), (line + 1, Some("the second"))]);
    assert!(pool.out()[1].to_string().starts_with("the second from mycelia-pool/tests/pool.rs:"));
    drop(first);
    assert_eq!(pool.out().len(), 1);
    drop(second);
    assert!(pool.out().is_empty());
}
