//! The values that were noted: a list through the slots, for a visitor who wants to see only these.

use std::ptr::{self, NonNull};

use mycelia_core::seeded::bug;
use mycelia_core::sync::Mutex;
#[cfg(not(mycelia_loom))]
use mycelia_core::sync::atomic::compiler_fence as fence;
#[cfg(mycelia_loom)]
use mycelia_core::sync::atomic::fence;
use mycelia_core::sync::atomic::{AtomicPtr, Ordering};

use crate::slot::Slot;

/// A stack of noted slots, and the slots that the last visit has taken off it.
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
/// other's write, if a fence goes between. To spare owners the fence, the visit takes its second look at the next visit, which its
/// caller begins no sooner than a millisecond later: until then every store of another processor has arrived.
pub(crate) struct Noted<T> {
    first: AtomicPtr<Slot<T>>,
    /// Locked for the time of a visit.
    parted: Mutex<Vec<Parted<T>>>,
}

/// A slot that was taken off the stack at the last visit.
struct Parted<T>(NonNull<Slot<T>>);

// SAFETY: only the atomic `next` of the slot and, by the promise of `visit`'s caller, `&T` are reached through it.
unsafe impl<T: Send> Send for Parted<T> {}

/// The end of the stack: no slot is there.
fn end<T>() -> *mut Slot<T> {
    ptr::without_provenance_mut(align_of::<Slot<T>>())
}

/// Room for this many stays; of more, what is beyond an eighth is given back.
const LARGE: usize = 64;

impl<T> Noted<T> {
    pub(crate) fn new() -> Self {
        Self { first: AtomicPtr::new(end()), parted: Mutex::new(Vec::with_capacity(LARGE)) }
    }

    /// Puts the slot on the stack, unless it is there.
    #[inline]
    pub(crate) fn note(slot: NonNull<Slot<T>>) {
        // SeqCst: the look must not go before whatever makes the value wanted, see the type's documentation. For the compiler only;
        // a model has no time, and so a true fence, the pair of that in `visit`.
        fence(Ordering::SeqCst);
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
            // Release: publishes `next`, and all that was written to the value before, to the Acquire in `visit`.
            match self.first.compare_exchange_weak(first, slot.as_ptr(), Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => first = now,
            }
        }
    }

    /// Shows every noted value, and forgets those which are not wanted any more.
    ///
    /// # Safety
    /// Nobody may hold a `&mut` to a value of this pool meanwhile.
    pub(crate) unsafe fn visit(&self, mut is_wanted: impl FnMut(&T) -> bool) {
        let mut parted = self.parted.lock();
        let mut show = |slot: NonNull<Slot<T>>| {
            // SAFETY: the slots on the stack, and those that have parted from it, are taken out by `forget` before their
            // memory goes, under the same lock. The caller rules out a `&mut`.
            is_wanted(unsafe { &(*slot.as_ptr()).value })
        };
        for Parted(slot) in parted.drain(..) {
            if !bug("a value that parted is not looked at again") && show(slot) {
                self.push(slot);
            }
        }
        // Acquire: with the Release in `link`.
        let mut at = self.first.swap(end(), Ordering::Acquire);
        while let Some(slot) = NonNull::new(at).filter(|_| at != end()) {
            // SAFETY: as above.
            let next = unsafe { next(slot) };
            // Relaxed: published with `first`, and written by this visit only while it has the slot.
            at = next.load(Ordering::Relaxed);
            if show(slot) {
                self.link(slot);
            } else {
                next.store(ptr::null_mut(), Ordering::Relaxed);
                parted.push(Parted(slot));
            }
        }
        // SeqCst: orders the stores above before the looks of the next visit. The pair of that in `note`.
        fence(Ordering::SeqCst);
        if parted.capacity() > LARGE && parted.len() < parted.capacity() / 8 {
            let twice = parted.len() * 2;
            parted.shrink_to(twice.max(LARGE));
        }
    }

    /// Takes slots off the stack whose memory is about to go. Nobody has them, so nobody notes them meanwhile.
    pub(crate) fn forget(&self, goes: impl Fn(NonNull<Slot<T>>) -> bool) {
        let mut parted = self.parted.lock();
        parted.retain(|slot| !goes(slot.0));
        // Acquire: as in `visit`.
        let mut at = self.first.swap(end(), Ordering::Acquire);
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
