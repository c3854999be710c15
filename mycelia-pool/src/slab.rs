//! A slab: the memory of one chunk of slots.

use std::mem::MaybeUninit;
use std::num::NonZeroUsize;
use std::ptr::{self, NonNull};

use mycelia_core::contain;
use mycelia_core::sync::atomic::AtomicPtr;

use crate::shared::Shared;
use crate::slot::{FreeSlot, Slot};

/// The alignment of slots, and what numbers count.
const UNIT: usize = 128;
const NUMBERS: u32 = u32::MAX >> 1;

/// The number of the slot at this address.
#[inline]
pub(crate) fn number(address: usize) -> u32 {
    (address / UNIT) as u32 & NUMBERS
}

/// A chunk of slots made in one go. Owns the memory and the values; the slots are lent out as pointers.
pub(crate) struct Slab<T> {
    // A raw pointer, not a `Box`: moving a `Box` would claim its content anew, and end the pointers handed out.
    slots: NonNull<[Slot<T>]>,
}

// SAFETY: a slab owns its values and is only dropped when no slot of it is out.
unsafe impl<T: Send> Send for Slab<T> {}

impl<T> Slab<T> {
    /// Makes `count` slots with values from `make`, which may panic: then nothing was made.
    pub(crate) fn make(count: usize, home: NonNull<Shared<T>>, make: impl Fn() -> T) -> Self {
        let slots: Box<[Slot<T>]> =
            (0..count).map(|_| Slot { home, next: AtomicPtr::new(ptr::null_mut()), value: make() }).collect();
        Self { slots: NonNull::from(Box::leak(slots)) }
    }

    /// The number of slots.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The address of the first slot.
    pub(crate) fn start(&self) -> NonZeroUsize {
        self.slots.cast::<Slot<T>>().addr()
    }

    /// The number of its first slot. Slabs are kept in the order of these.
    pub(crate) fn number(&self) -> u32 {
        number(self.start().get())
    }

    /// Which slot has this number, if it is one of this slab.
    pub(crate) fn index_of(&self, number: u32) -> Option<usize> {
        let units = (number.wrapping_sub(self.number()) & NUMBERS) as usize;
        let index = units / (size_of::<Slot<T>>() / UNIT);
        (index < self.len() && units.is_multiple_of(size_of::<Slot<T>>() / UNIT)).then_some(index)
    }

    /// True if the slot is one of this slab.
    pub(crate) fn contains(&self, slot: NonNull<Slot<T>>) -> bool {
        let start = self.start().get();
        (start..start + self.len() * size_of::<Slot<T>>()).contains(&slot.addr().get())
    }

    /// All slots, as free ones.
    ///
    /// # Safety
    /// Called once per slab, before any of its slots is in use: each `FreeSlot` is an exclusive handle.
    pub(crate) unsafe fn free_slots(&self) -> impl Iterator<Item = FreeSlot<T>> {
        let first = self.slots.cast::<Slot<T>>();
        // SAFETY: the index stays below the length of the allocation.
        (0..self.len()).map(move |index| FreeSlot(unsafe { first.add(index) }))
    }

    /// Shows one value.
    ///
    /// # Safety
    /// As `visit`; and the index is below the length.
    pub(crate) unsafe fn visit_one<R>(&self, index: usize, visit: impl FnOnce(&T) -> R) -> R {
        // SAFETY: as in `visit`.
        visit(unsafe { &(*self.slots.cast::<Slot<T>>().as_ptr().add(index)).value })
    }

    /// Shows every value to `visit`, in use or not.
    ///
    /// # Safety
    /// Nobody may hold a `&mut` to a value of this slab meanwhile.
    pub(crate) unsafe fn visit(&self, visit: &mut impl FnMut(&T)) {
        // SAFETY: the memory is valid as long as the slab is, and the caller rules out `&mut` to the values.
        // The reference to a slot would cover a value whose guard is being dropped; so go by pointer.
        for index in 0..self.len() {
            // SAFETY: in bounds; see above for the reference.
            visit(unsafe { &(*self.slots.cast::<Slot<T>>().as_ptr().add(index)).value });
        }
    }
}

impl<T> Drop for Slab<T> {
    fn drop(&mut self) {
        let first = self.slots.cast::<Slot<T>>();
        for index in 0..self.len() {
            // One by one, for a second panic while the first unwinds would end the process. It has been printed by the panic hook.
            // SAFETY: in bounds; whoever drops a slab has all of its slots, and each is dropped once.
            let _ = contain(|| unsafe { first.add(index).drop_in_place() });
        }
        // SAFETY: the pointer came from `Box::leak` in `make`; what was in the box has been dropped.
        drop(unsafe { Box::from_raw(self.slots.as_ptr() as *mut [MaybeUninit<Slot<T>>]) });
    }
}
