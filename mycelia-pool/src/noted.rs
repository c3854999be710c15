//! The values that were noted: a list through the slots, for a visitor who wants to see only these.

use std::ptr::{self, NonNull};

use mycelia_core::seeded::bug;
use mycelia_core::sync::Mutex;
use mycelia_core::sync::atomic::{AtomicPtr, Ordering};

use crate::fence::{Fence, Passage};
use crate::slot::Slot;

/// A stack of noted slots, and the slots that a visit has taken off it.
///
/// ```text
/// first ─▶ ┌──────┐ next ┌──────┐ next ┌──────┐ next
///          │ slot │─────▶│ slot │─────▶│ slot │─────▶ end        a slot whose `next` is null is not on the stack
///          └──────┘      └──────┘      └──────┘
/// ```
///
/// To note a slot that is on the stack already costs one load. A slot stays on the stack until a visit finds that it is not
/// wanted any more, whoever has it meanwhile.
///
/// A value that becomes wanted at the moment of a visit meets it like this: its owner makes it wanted, and then looks whether it
/// is on the stack; the visit takes it off, and then looks whether it is wanted. Of two such looks at least one sees the
/// other's write, if a fence goes between. That fence is a [`Fence`], which owners do not pay for: slots that were taken off are
/// looked at by each later visit, and let go by the first of them that begins a millisecond after. Meanwhile no others are taken off.
pub(crate) struct Noted<T> {
    first: AtomicPtr<Slot<T>>,
    /// Locked for the time of a visit.
    parted: Mutex<Parted<T>>,
    pub(crate) fence: Fence,
}

/// Slots that a visit has taken off the stack, and that will be looked at once more.
struct Parted<T> {
    slots: Vec<NonNull<Slot<T>>>,
    /// The visit has ended. `None` before the first.
    passage: Option<Passage>,
}

// SAFETY: only the atomic `next` of the slots and, by the promise of `visit`'s caller, `&T` are reached through it.
unsafe impl<T: Send> Send for Parted<T> {}

/// The end of the stack: no slot is there.
fn end<T>() -> *mut Slot<T> {
    ptr::without_provenance_mut(align_of::<Slot<T>>())
}

/// Room for this many stays; of more, what is beyond an eighth is given back.
const LARGE: usize = 64;

impl<T> Noted<T> {
    pub(crate) fn new() -> Self {
        let parted = Parted { slots: Vec::with_capacity(LARGE), passage: None };
        Self { first: AtomicPtr::new(end()), parted: Mutex::new(parted), fence: Fence::default() }
    }

    /// Puts the slot on the stack, unless it is there.
    #[inline]
    pub(crate) fn note(slot: NonNull<Slot<T>>) {
        // The look must not go before whatever makes the value wanted. The partner is the second look in `visit`.
        Fence::often();
        // SAFETY: the caller has the slot, so its memory is there. Relaxed: nothing is read on the strength of it.
        if unsafe { next(slot) }.load(Ordering::Relaxed).is_null() {
            // SAFETY: as above; so its pool is there, too.
            unsafe { (*slot.as_ptr()).home.as_ref() }.noted.push(slot);
        }
    }

    #[cold]
    fn push(&self, slot: NonNull<Slot<T>>) {
        // SAFETY: the slot's memory is there: its owner or a visit calls this.
        let next = unsafe { next(slot) };
        // Relaxed: an exchange, so that of its owner and a visit one links it. `link` publishes.
        if next.compare_exchange(ptr::null_mut(), end(), Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.link(slot);
        }
    }

    /// The caller has claimed the slot: its `next` was null, or the visit that calls this has it off the stack.
    fn link(&self, slot: NonNull<Slot<T>>) {
        // SAFETY: as in `push`.
        let next = unsafe { next(slot) };
        // Relaxed: read for the exchange.
        let mut first = self.first.load(Ordering::Relaxed);
        loop {
            next.store(first, Ordering::Relaxed);
            // Release: publishes `next`, and all that was written to the value before, to the Acquire in `visit`. Acquire, with the
            // Release in `visit`: an owner that comes after a visit sees what came before that visit.
            let order = if bug("an owner that sees nothing of a visit") {
                Ordering::Release
            } else {
                Ordering::AcqRel
            };
            match self.first.compare_exchange_weak(first, slot.as_ptr(), order, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => first = now,
            }
        }
    }

    /// Shows every noted value, and forgets those which are not wanted any more. True if no value that an earlier visit
    /// has forgotten is left to be looked at once more.
    ///
    /// # Safety
    /// Nobody may hold a `&mut` to a value of this pool meanwhile.
    pub(crate) unsafe fn visit(&self, mut is_wanted: impl FnMut(&T) -> bool) -> bool {
        let Parted { slots: parted, passage } = &mut *self.parted.lock();
        let mut show = |slot: NonNull<Slot<T>>| {
            // SAFETY: the slots on the stack, and those that have parted from it, are taken out by `forget` before their
            // memory goes, under the same lock. The caller rules out a `&mut`.
            is_wanted(unsafe { &(*slot.as_ptr()).value })
        };
        if bug("a value that parted is not looked at again") {
            parted.clear();
        }
        // Before the looks, see `Fence`.
        let is_second = bug("a value that parted is let go at once")
            || passage.is_some_and(|passage| self.fence.is_over(passage));
        parted.retain(|&slot| {
            let is_wanted = show(slot);
            if is_wanted {
                self.push(slot);
            }
            !is_wanted && !is_second
        });
        let may_part = parted.is_empty();
        // Acquire: with the Release in `link`; and Release, with the Acquire there.
        let mut at = self.first.swap(end(), Ordering::AcqRel);
        while let Some(slot) = NonNull::new(at).filter(|_| at != end()) {
            // SAFETY: as above.
            let next = unsafe { next(slot) };
            // Relaxed: published with `first`, and written by this visit only while it has the slot.
            at = next.load(Ordering::Relaxed);
            if show(slot) || !may_part {
                self.link(slot);
            } else {
                next.store(ptr::null_mut(), Ordering::Relaxed);
                parted.push(slot);
            }
        }
        if may_part {
            *passage = Some(self.fence.seldom());
        }
        if parted.capacity() > LARGE && parted.len() < parted.capacity() / 8 {
            let twice = parted.len() * 2;
            parted.shrink_to(twice.max(LARGE));
        }
        may_part
    }

    /// Takes slots off the stack whose memory is about to go. Nobody has them, so nobody notes them meanwhile.
    pub(crate) fn forget(&self, goes: impl Fn(NonNull<Slot<T>>) -> bool) {
        let mut parted = self.parted.lock();
        parted.slots.retain(|&slot| !goes(slot));
        // AcqRel: as in `visit`.
        let mut at = self.first.swap(end(), Ordering::AcqRel);
        while let Some(slot) = NonNull::new(at).filter(|_| at != end()) {
            // SAFETY: as in `visit`.
            let next = unsafe { next(slot) };
            at = next.load(Ordering::Relaxed);
            if goes(slot) {
                next.store(ptr::null_mut(), Ordering::Relaxed);
            } else {
                self.link(slot);
            }
        }
    }
}

/// The link of a slot.
///
/// # Safety
/// The slot's memory is valid for as long as the caller uses the link.
#[inline(always)]
unsafe fn next<'a, T>(slot: NonNull<Slot<T>>) -> &'a AtomicPtr<Slot<T>> {
    // SAFETY: the caller's promise; the reference does not cover the value, which another party may have a `&mut` to.
    unsafe { &(*slot.as_ptr()).next }
}

#[cfg(all(test, not(mycelia_loom)))]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use crate::{Guard, Pool, Recycle};

    #[derive(Default)]
    struct Wanted(AtomicBool);

    impl Recycle for Wanted {
        const RECYCLES: bool = false;
        fn recycle(&mut self) {}
    }

    /// How many values are shown that are wanted, and how many in all; and whether no earlier one is left for a later look.
    fn visit(pool: &Pool<Wanted>) -> (usize, usize, bool) {
        let (mut wanted, mut all) = (0, 0);
        // SAFETY: no test has a `&mut` to a value.
        let is_clear = unsafe {
            pool.visit_noted(|value| {
                let is_wanted = value.0.load(Ordering::Acquire);
                wanted += usize::from(is_wanted);
                all += 1;
                is_wanted
            })
        };
        (wanted, all, is_clear)
    }

    #[test]
    fn a_forgotten_value_is_shown_until_a_visit_begins_a_millisecond_later() {
        let pool = Pool::<Wanted>::new();
        let value = pool.acquire().unwrap();
        Guard::note(&value);
        assert_eq!(visit(&pool), (0, 1, true), "it is forgotten");
        // As if its owner had found it on the stack just before.
        value.0.store(true, Ordering::Release);
        assert_eq!(visit(&pool).0, 2, "it was left for a later look, and is on the stack again");
        value.0.store(false, Ordering::Release);
        assert_eq!(visit(&pool), (0, 1, true), "it is forgotten again");
        while !visit(&pool).2 {}
        assert_eq!(visit(&pool), (0, 0, true));
    }

    #[test]
    fn no_value_is_lost_that_is_noted_beside_visits() {
        let pool = Pool::<Wanted>::new();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..if cfg!(miri) { 20 } else { 20_000 } {
                        let value = pool.acquire().unwrap();
                        value.0.store(true, Ordering::Release);
                        Guard::note(&value);
                        // For ever, if the value is lost.
                        while value.0.load(Ordering::Acquire) {
                            thread::yield_now();
                        }
                    }
                });
            }
            let done = |pool: &Pool<Wanted>| pool.stats().acquired == if cfg!(miri) { 40 } else { 40_000 };
            while !done(&pool) || pool.stats().in_use > 0 {
                // SAFETY: no thread has a `&mut` to a value.
                unsafe {
                    pool.visit_noted(|value| {
                        value.0.store(false, Ordering::Release);
                        false
                    });
                }
            }
        });
    }
}
