//! No code of a user runs under the pool's locks: values whose making, cleaning and drop use the pool again.
#![cfg(not(any(mycelia_loom, miri)))]

#[path = "../../mycelia-queue/tests/hooked/mod.rs"]
mod hooked;

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use hooked::{OnDrop, once, play};
use mycelia_pool::{Exhaustion, Guard, Pool, Recycle};

/// Uses the pool that it comes from whenever code of the user runs.
struct Busy {
    home: Home,
    /// For the drop.
    _on_drop: OnDrop,
}

type Home = Arc<OnceLock<Pool<Busy>>>;

fn use_it(home: &Home) {
    let Some(pool) = home.get() else { return };
    let _ = (pool.stats(), pool.out(), format!("{pool:?}"));
    let taken: Vec<_> = (0..3).map(|_| pool.acquire()).collect();
    pool.warm(1);
    drop(taken);
    pool.trim();
}

impl Recycle for Busy {
    fn recycle(&mut self) {
        once(|| use_it(&self.home));
    }
}

fn busy_pool(capacity: usize, exhaustion: Exhaustion) -> Pool<Busy> {
    let home = Home::default();
    let own = Arc::clone(&home);
    let make = move || {
        once(|| use_it(&own));
        let (home, at_drop) = (Arc::clone(&own), Arc::clone(&own));
        Busy { home, _on_drop: OnDrop::new(move || use_it(&at_drop)) }
    };
    let pool = Pool::builder().capacity(capacity).exhaustion(exhaustion).build_with(make);
    // The pool keeps itself alive, as what a test leaks.
    home.get_or_init(|| pool.clone());
    pool
}

#[test]
fn making_cleaning_and_dropping_a_value_may_use_the_pool() {
    for (capacity, exhaustion) in
        [(usize::MAX, Exhaustion::Grow), (1000, Exhaustion::Fail), (3, Exhaustion::Fail)]
    {
        play("values", move || {
            let pool = busy_pool(capacity, exhaustion);
            let guards: Vec<_> = (0..100).map_while(|_| pool.acquire().ok()).collect();
            assert!(!guards.is_empty());
            drop(guards);
            pool.warm(10);
            pool.trim();
            assert_eq!(pool.stats().in_use, 0);
            assert!(pool.stats().created <= capacity as u64);
        });
    }
}

/// Enough releases for the pool to tune itself many times.
#[test]
fn a_pool_that_tunes_itself_drops_values_that_may_use_it() {
    play("tuning", || {
        let pool = busy_pool(usize::MAX, Exhaustion::Grow);
        drop((0..500).map(|_| pool.acquire().unwrap()).collect::<Vec<_>>());
        (0..12_000).for_each(|_| drop(pool.acquire().unwrap()));
        assert_eq!(pool.stats().in_use, 0);
    });
}

/// While values are made, other threads use the pool.
#[test]
fn making_a_value_may_wait_for_another_thread_that_uses_the_pool() {
    play("making", || {
        let home: Arc<OnceLock<Pool<String>>> = Arc::default();
        let own = Arc::clone(&home);
        let make = move || {
            once(|| {
                let Some(pool) = own.get().cloned() else { return };
                let other = thread::spawn(move || {
                    once(|| {
                        drop(pool.acquire().unwrap());
                        pool.warm(1);
                        pool.trim();
                        let _ = pool.stats();
                    });
                });
                other.join().unwrap();
            });
            String::new()
        };
        let pool = Pool::builder().build_with(make);
        home.get_or_init(|| pool.clone());
        drop((0..100).map(|_| pool.acquire().unwrap()).collect::<Vec<_>>());
        assert_eq!(pool.stats().in_use, 0);
    });
}

/// A pool that fails makes no more than it may, and gives each thread its value, also if making takes long.
#[test]
fn a_pool_that_fails_is_exact_while_a_value_is_being_made() {
    play("exact", || {
        let (begun, has_begun) = channel();
        let (go, may_go) = channel::<()>();
        let (begun, may_go) = (Mutex::new(begun), Mutex::new(may_go));
        let make = move || {
            // Both ends go with the test: then there is nothing to wait for.
            let _ = begun.lock().unwrap().send(());
            let _ = may_go.lock().unwrap().recv();
            String::new()
        };
        let pool = Pool::builder().capacity(2).exhaustion(Exhaustion::Fail).build_with(make);
        thread::scope(|scope| {
            let threads: Vec<_> = (0..2).map(|_| scope.spawn(|| pool.acquire().ok())).collect();
            has_begun.recv().unwrap();
            drop(go);
            let taken: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            assert!(taken.iter().all(Option::is_some));
            pool.acquire().map(drop).unwrap_err();
        });
        assert_eq!(pool.stats().created, 2);
    });
}

/// A value that holds another one of its pool.
#[derive(Default)]
struct Node {
    inner: Option<Guard<Node>>,
}

impl Recycle for Node {
    const RECYCLES: bool = false;
    fn recycle(&mut self) {}
}

#[test]
fn a_value_that_goes_gives_others_back_and_each_is_counted() {
    play("nodes", || {
        let pool = Pool::<Node>::new();
        // The first chunk holds values of the last ones.
        let mut guards: Vec<_> = (0..2000).map(|_| pool.acquire().unwrap()).collect();
        for at in 0..30 {
            guards[at].inner = guards.pop();
        }
        // This thread finds out with a release that another one has trimmed, when the chunks have become complete.
        let kept = guards.pop();
        drop(guards);
        let other = pool.clone();
        thread::spawn(move || other.trim()).join().unwrap();
        for _ in 0..300 {
            drop((0..200).map(|_| pool.acquire().unwrap()).collect::<Vec<_>>());
            let other = pool.clone();
            thread::spawn(move || other.trim()).join().unwrap();
        }
        drop(kept);
        pool.trim();
        pool.trim();
        let in_hand = pool.stats().in_use;
        // What is left is held by values that have not gone.
        assert!(in_hand <= 30, "{in_hand}");
    });
}

/// A panic in a value's drop is no affair of the code that acquires or gives back.
#[test]
fn values_that_panic_when_they_go_panic_nowhere_else() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    impl Recycle for Bomb {
        fn recycle(&mut self) {}
    }
    play("bombs", || {
        let pool = Pool::builder().build_with(|| Bomb);
        drop((0..200).map(|_| pool.acquire().unwrap()).collect::<Vec<_>>());
        let other = pool.clone();
        thread::spawn(move || other.trim()).join().unwrap();
        drop((0..200).map(|_| pool.acquire().unwrap()).collect::<Vec<_>>());
        pool.trim();
        assert_eq!(pool.stats().in_use, 0);
    });
}
