//! One cell of a slab: a value, and the way home.

use std::ptr::NonNull;

use mycelia_core::sync::atomic::AtomicPtr;

use crate::shared::Shared;

/// One reusable cell. It starts on a cache line pair of its own, so that two threads never share one.
///
/// The way home comes first, in the cache line that a small value begins in: giving it back touches no other.
///
/// ```text
/// ┌────────┬────────┬─────────────────┐  128 bytes for values up to 112
/// │ home   │ next   │ value: T        │
/// └────────┴────────┴─────────────────┘
/// ```
#[repr(C, align(128))]
pub(crate) struct Slot<T> {
    /// The pool this slot belongs to; valid as long as any slot is out.
    pub(crate) home: NonNull<Shared<T>>,
    /// The next noted slot; null if this one is not noted. See `Noted`.
    pub(crate) next: AtomicPtr<Self>,
    pub(crate) value: T,
}

/// A free slot, owned by whoever holds this pointer: a cache, the depot, or a guard being made or dropped.
pub(crate) struct FreeSlot<T>(pub(crate) NonNull<Slot<T>>);

// SAFETY: a `FreeSlot` is the only handle to its value (upheld by `Slab::make`, which makes one per slot, and by
// `Guard`, which is made from one and turns back into one), so sending it sends the value.
unsafe impl<T: Send> Send for FreeSlot<T> {}
