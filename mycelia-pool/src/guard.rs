//! A value on loan.

use std::fmt;
use std::mem::{ManuallyDrop, offset_of};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use crate::noted::Noted;
use crate::recycle::Recycle;
use crate::slab;
use crate::slot::{FreeSlot, Slot};

/// A value taken out of a [`Pool`](crate::Pool). Dropping it makes the value clean and gives it back.
///
/// One pointer large, free of lifetimes, and at home on any thread: it may be dropped where it was not acquired. There
/// is no way to give a value back twice, or to touch it afterwards:
///
/// ```compile_fail
/// # use mycelia_pool::Pool;
/// let pool = Pool::<String>::new();
/// let text = pool.acquire().unwrap();
/// drop(text);
/// println!("{}", *text); // use of moved value
/// ```
pub struct Guard<T: Recycle + Send + 'static> {
    slot: NonNull<Slot<T>>,
}

// SAFETY: a guard owns its value, and giving it back from another thread moves it there: `T: Send` is what that takes.
unsafe impl<T: Recycle + Send> Send for Guard<T> {}
// SAFETY: `&Guard` gives `&T` and nothing else.
unsafe impl<T: Recycle + Send + Sync> Sync for Guard<T> {}

impl<T: Recycle + Send + 'static> Guard<T> {
    #[inline]
    pub(crate) fn new(slot: FreeSlot<T>) -> Self {
        Self { slot: slot.0 }
    }

    /// Turns the guard into a pointer to its value. The slot stays out until [`from_raw`](Self::from_raw).
    ///
    /// For values that two parties share and the last of them gives back.
    #[inline]
    #[must_use]
    pub fn into_raw(guard: Self) -> NonNull<T> {
        let slot = ManuallyDrop::new(guard).slot;
        // SAFETY: inside the slot. The sum keeps the whole slot in reach, for `from_raw`.
        unsafe { slot.byte_add(offset_of!(Slot<T>, value)).cast() }
    }

    /// Turns a pointer from [`into_raw`](Self::into_raw) back into the guard.
    ///
    /// # Safety
    /// The pointer came from `into_raw`, each call of which allows one call of this.
    #[inline]
    #[must_use]
    pub unsafe fn from_raw(value: NonNull<T>) -> Self {
        // SAFETY: `into_raw` added this to a pointer to the slot.
        Self { slot: unsafe { value.byte_sub(offset_of!(Slot<T>, value)).cast() } }
    }
}

impl<T: Recycle + Send + 'static> Guard<T> {
    /// Notes the value, for [`Pool::visit_noted`](crate::Pool::visit_noted): whatever makes the value wanted goes before. It stays noted
    /// until a visit does not want it any more, even if another holder has it by then. Costs a load, if it is noted already.
    #[inline]
    pub fn note(guard: &Self) {
        Noted::note(guard.slot);
    }

    /// [`note`](Self::note) for a pointer from [`into_raw`](Self::into_raw).
    ///
    /// # Safety
    /// The value has not been given back.
    #[inline]
    pub unsafe fn note_raw(value: NonNull<T>) {
        // SAFETY: as in `from_raw`; the slot is out, so its memory is there.
        Noted::<T>::note(unsafe { value.byte_sub(offset_of!(Slot<T>, value)).cast() });
    }

    /// Says what the value is for, in the list of values that are [out](crate::Pool::out). Does nothing in release builds.
    #[inline]
    pub fn label(guard: &Self, label: &'static str) {
        // SAFETY: the slot is out, so its pool is there.
        unsafe { (*guard.slot.as_ptr()).home.as_ref() }.outs.label(guard.slot.addr().get(), label);
    }

    /// A number that no other value of the same pool has (up to 256 GiB of them): for
    /// [`Pool::visit_number`](crate::Pool::visit_number). It fits into 31 bits.
    #[inline]
    #[must_use]
    pub fn number(value: &T) -> u32 {
        slab::number(std::ptr::from_ref(value).addr() - offset_of!(Slot<T>, value))
    }
}

impl<T: Recycle + Send + 'static> Deref for Guard<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: a guard is the only handle to its slot, whose memory stays as long as it is out.
        unsafe { &(*self.slot.as_ptr()).value }
    }
}

impl<T: Recycle + Send + 'static> DerefMut for Guard<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; `&mut self` makes it exclusive.
        unsafe { &mut (*self.slot.as_ptr()).value }
    }
}

impl<T: Recycle + Send + 'static> Drop for Guard<T> {
    #[inline]
    fn drop(&mut self) {
        /// Gives the slot back even if `recycle` panics.
        struct Return<T>(NonNull<Slot<T>>);

        impl<T> Drop for Return<T> {
            #[inline]
            fn drop(&mut self) {
                // SAFETY: the slot is out until `release`, so its pool is there; the guard is gone after this, so
                // the `FreeSlot` is the only handle.
                unsafe { (*self.0.as_ptr()).home.as_ref() }.release(FreeSlot(self.0));
            }
        }

        let back = Return(self.slot);
        if T::RECYCLES {
            // SAFETY: still the only handle.
            unsafe { &mut (*back.0.as_ptr()).value }.recycle();
        }
    }
}

impl<T: Recycle + Send + fmt::Debug> fmt::Debug for Guard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Guard").field(&**self).finish()
    }
}
