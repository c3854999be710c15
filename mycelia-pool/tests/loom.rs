//! Two or three threads, two or three steps, every order in which they can meet. Run by `cargo loom`.
//!
//! In a model a magazine holds one slot and a chunk has one, so every step reaches the depot.
#![cfg(mycelia_loom)]

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use mycelia_core::seeded::scene_fails_with;
use mycelia_pool::{Guard, Pool, Recycle};

/// A value that loom watches: two holders at once, or a write that the next holder may not see, fail the model.
struct Watched(UnsafeCell<u32>);

impl Recycle for Watched {
    const RECYCLES: bool = false;
    fn recycle(&mut self) {}
}

fn pool(warm: usize) -> Pool<Watched> {
    Pool::builder().warm(warm).build_with(|| Watched(UnsafeCell::new(0)))
}

fn add_one(value: &Guard<Watched>) -> u32 {
    // SAFETY: whether this is the only access is what the model finds out.
    value.0.with_mut(|value| unsafe {
        *value += 1;
        *value
    })
}

#[test]
fn a_slot_has_one_holder_at_a_time() {
    loom::model(|| {
        let pool = pool(1);
        let other = pool.clone();
        let thread = thread::spawn(move || add_one(&other.acquire().unwrap()));
        add_one(&pool.acquire().unwrap());
        thread.join().unwrap();
        assert_eq!(pool.stats().in_use, 0);
    });
}

#[test]
fn twin_two_threads_with_one_number_share_a_cache() {
    assert!(scene_fails_with("two threads, one number", "a_slot_has_one_holder_at_a_time"));
}

#[test]
fn a_release_on_another_thread_is_over_when_it_is_counted() {
    loom::model(|| {
        let pool = pool(1);
        let guard = pool.acquire().unwrap();
        let keeper = pool.clone();
        let thread = thread::spawn(move || {
            add_one(&guard);
            drop(guard);
        });
        drop(pool);
        // The count of a release is its last touch: once it is seen, the memory may go.
        while keeper.stats().in_use > 0 {
            thread::yield_now();
        }
        let again = keeper.acquire().unwrap();
        drop(again);
        drop(keeper);
        thread.join().unwrap();
    });
}

#[test]
fn twin_a_release_counted_too_early_touches_freed_memory() {
    assert!(scene_fails_with(
        "a release counted before it is done",
        "a_release_on_another_thread_is_over_when_it_is_counted"
    ));
}

#[test]
fn a_magazine_at_the_depot_goes_to_one_thread() {
    loom::model(|| {
        let pool = pool(3);
        let guards = [pool.acquire().unwrap(), pool.acquire().unwrap(), pool.acquire().unwrap()];
        drop(guards); // two stay in this thread's cache, one goes to the depot
        let other = pool.clone();
        let thread = thread::spawn(move || add_one(&other.acquire().unwrap()));
        let three = [pool.acquire().unwrap(), pool.acquire().unwrap(), pool.acquire().unwrap()];
        three.iter().for_each(|guard| {
            add_one(guard);
        });
        drop(three);
        thread.join().unwrap();
    });
}

#[test]
fn twin_a_look_and_a_trade_in_two_steps_find_the_depot_empty() {
    assert!(scene_fails_with(
        "the depot looked at and traded with in two steps",
        "a_magazine_at_the_depot_goes_to_one_thread"
    ));
}

#[test]
fn the_heir_of_a_number_sees_all_that_the_last_owner_left() {
    loom::model(|| {
        let pool = pool(1);
        let first = pool.clone();
        let thread = thread::spawn(move || {
            add_one(&first.acquire().unwrap());
        });
        let second = pool.clone();
        // Starts before or after the first has ended, and so inherits its number or gets one of its own.
        let heir = thread::spawn(move || {
            add_one(&second.acquire().unwrap());
        });
        thread.join().unwrap();
        heir.join().unwrap();
    });
}

#[test]
fn twin_a_number_inherited_without_the_lock_shows_a_stale_cache() {
    assert!(scene_fails_with(
        "a number inherited without the lock",
        "the_heir_of_a_number_sees_all_that_the_last_owner_left"
    ));
}

/// A value that is wanted at times, as an ask is while it is out.
struct Wanted(AtomicBool);

impl Recycle for Wanted {
    const RECYCLES: bool = false;
    fn recycle(&mut self) {}
}

/// How many values a visit shows that are wanted, and whether no earlier visit has left any for it.
fn visit(pool: &Pool<Wanted>) -> (usize, bool) {
    let mut seen = 0;
    // SAFETY: nobody has a `&mut` to a value.
    let is_clear = unsafe {
        pool.visit_noted(|value| {
            let is_wanted = value.0.load(Ordering::Acquire);
            seen += usize::from(is_wanted);
            is_wanted
        })
    };
    (seen, is_clear)
}

fn want(value: &Guard<Wanted>) {
    value.0.store(true, Ordering::Release);
    Guard::note(value);
}

#[test]
fn a_value_that_is_noted_while_a_visit_forgets_it_is_seen_by_the_next() {
    loom::model(|| {
        let pool: Pool<Wanted> = Pool::builder().warm(1).build_with(|| Wanted(AtomicBool::new(false)));
        let value = pool.acquire().unwrap();
        // Noted, and not wanted any more.
        want(&value);
        value.0.store(false, Ordering::Release);
        let other = pool.clone();
        let thread = thread::spawn(move || visit(&other));
        want(&value);
        thread.join().unwrap();
        assert!(visit(&pool).0 > 0, "forgotten, and not noted again");
        drop(value);
    });
}

#[test]
fn twin_a_value_that_parted_is_not_looked_at_again() {
    assert!(scene_fails_with(
        "a value that parted is not looked at again",
        "a_value_that_is_noted_while_a_visit_forgets_it_is_seen_by_the_next"
    ));
}

#[test]
fn values_that_are_noted_at_once_are_all_seen() {
    loom::model(|| {
        let pool: Pool<Wanted> = Pool::builder().warm(2).build_with(|| Wanted(AtomicBool::new(false)));
        let (first, second) = (pool.acquire().unwrap(), pool.acquire().unwrap());
        let thread = thread::spawn(move || {
            want(&second);
            second
        });
        want(&first);
        visit(&pool);
        let second = thread.join().unwrap();
        assert_eq!(visit(&pool).0, 2, "each once, for the stack has each once");
        drop((first, second));
    });
}

#[test]
fn a_value_that_is_noted_beside_two_visits_in_a_row_is_seen_by_a_later_one() {
    loom::model(|| {
        let pool: Pool<Wanted> = Pool::builder().warm(1).build_with(|| Wanted(AtomicBool::new(false)));
        let value = pool.acquire().unwrap();
        // Noted, and not wanted any more.
        want(&value);
        value.0.store(false, Ordering::Release);
        let other = pool.clone();
        let thread = thread::spawn(move || {
            visit(&other);
            visit(&other)
        });
        want(&value);
        pool.pass_a_millisecond();
        thread.join().unwrap();
        assert!(visit(&pool).0 > 0, "let go while the owner's store was under way");
        drop(value);
    });
}

#[test]
fn twin_a_value_that_parted_is_let_go_at_once() {
    assert!(scene_fails_with(
        "a value that parted is let go at once",
        "a_value_that_is_noted_beside_two_visits_in_a_row_is_seen_by_a_later_one"
    ));
}

/// A sweeper says that it will look seldom from now on, and goes on until two visits had nothing left from earlier ones.
#[test]
fn an_owner_that_has_not_heard_of_the_last_visit_is_seen_by_it() {
    for was_noted in [false, true] {
        loom::model(move || {
            let pool: Pool<Wanted> = Pool::builder().warm(1).build_with(|| Wanted(AtomicBool::new(false)));
            let value = pool.acquire().unwrap();
            if was_noted {
                want(&value);
                value.0.store(false, Ordering::Release);
            }
            let is_last = loom::sync::Arc::new(AtomicBool::new(false));
            let (other, tell) = (pool.clone(), is_last.clone());
            let thread = thread::spawn(move || {
                tell.store(true, Ordering::SeqCst);
                let visits = [visit(&other), visit(&other), visit(&other)];
                let is_settled = visits.iter().filter(|(_, is_clear)| *is_clear).count() >= 2;
                (visits.iter().map(|(seen, _)| seen).sum::<usize>(), is_settled)
            });
            want(&value);
            let has_heard = is_last.load(Ordering::Relaxed);
            pool.pass_a_millisecond();
            let (seen, is_settled) = thread.join().unwrap();
            assert!(has_heard || seen > 0 || !is_settled, "nobody looks at the value any more");
            drop(value);
        });
    }
}

#[test]
fn twin_an_owner_that_sees_nothing_of_a_visit_is_not_seen_either() {
    assert!(scene_fails_with(
        "an owner that sees nothing of a visit",
        "an_owner_that_has_not_heard_of_the_last_visit_is_seen_by_it"
    ));
}
