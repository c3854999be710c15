//! Small numbers for threads, so that a pool can keep one cache per thread in a table.
//!
//! A number belongs to one thread at a time. When the thread ends, the number goes back, and the next thread that
//! asks inherits it, and with it everything the last owner left in the cache of that number. The lock around the
//! free numbers is what makes the old owner's writes visible to the new one.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use mycelia_core::seeded::bug;
use mycelia_core::sync::{Mutex, thread_local};

/// Threads with a number below this one have caches; any further thread uses the depot directly.
pub(crate) const CACHED_THREADS: usize = if cfg!(mycelia_loom) { 4 } else { 256 };

/// Not asked yet.
const UNKNOWN: usize = usize::MAX;
/// No number: too many threads, or this one is past the destructor that returned its number.
const NONE: usize = usize::MAX - 1;

#[derive(Default)]
struct Numbers {
    free: BinaryHeap<Reverse<usize>>,
    next: usize,
}

#[cfg(not(mycelia_loom))]
static NUMBERS: Mutex<Option<Numbers>> = Mutex::new(None);
#[cfg(mycelia_loom)]
mycelia_core::sync::lazy_static! {
    static ref NUMBERS: Mutex<Option<Numbers>> = Mutex::new(None);
}

#[cfg(not(mycelia_loom))]
thread_local! {
    // Without a destructor, so that reading it is one instruction; `OWNED` has the destructor.
    static NUMBER: Cell<usize> = const { Cell::new(UNKNOWN) };
    static OWNED: Owned = const { Owned };
}
#[cfg(mycelia_loom)]
thread_local! {
    static NUMBER: Cell<usize> = Cell::new(UNKNOWN);
    static OWNED: Owned = Owned;
}

/// The number of this thread, if it has one.
#[inline]
pub(crate) fn number() -> Option<usize> {
    if bug("two threads, one number") {
        return Some(0);
    }
    let number = NUMBER.try_with(Cell::get).unwrap_or(NONE);
    if number < CACHED_THREADS { Some(number) } else { first_use(number) }
}

#[cold]
fn first_use(number: usize) -> Option<usize> {
    if number != UNKNOWN {
        return None;
    }
    // Registers the destructor first: a number that could not be returned would be lost.
    let number = if OWNED.try_with(|_| ()).is_ok() { take() } else { NONE };
    NUMBER.with(|cell| cell.set(number));
    (number < CACHED_THREADS).then_some(number)
}

fn take() -> usize {
    if bug("a number inherited without the lock") {
        return 0;
    }
    let mut numbers = NUMBERS.lock();
    let numbers = numbers.get_or_insert_default();
    if let Some(Reverse(number)) = numbers.free.pop() {
        number
    } else if numbers.next < CACHED_THREADS {
        numbers.next += 1;
        numbers.next - 1
    } else {
        NONE
    }
}

/// Returns the thread's number when the thread ends.
struct Owned;

impl Drop for Owned {
    fn drop(&mut self) {
        if cfg!(mycelia_loom) && std::thread::panicking() {
            return; // a model that has failed is no longer there to lock
        }
        let number = NUMBER.try_with(|cell| cell.replace(NONE)).unwrap_or(NONE);
        if number < CACHED_THREADS {
            NUMBERS.lock().get_or_insert_default().free.push(Reverse(number));
        }
    }
}

#[cfg(all(test, not(mycelia_loom)))]
mod tests {
    use super::number;

    #[test]
    fn a_number_is_stable_within_a_thread_and_inherited_by_a_later_one() {
        let first = std::thread::spawn(|| (number(), number())).join().unwrap();
        assert_eq!(first.0, first.1);
        // Other tests run beside this one, so the same number may be taken; it never goes to two at once.
        let mine = number();
        let other = std::thread::spawn(number).join().unwrap();
        assert_ne!(mine, other);
    }
}
