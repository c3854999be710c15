//! The pool: a handle that any number of threads may clone.

use std::fmt;
use std::ptr::NonNull;

use mycelia_core::sync::Arc;

use crate::builder::{Builder, Limits};
use crate::error::Exhausted;
use crate::guard::Guard;
use crate::orphans;
use crate::out::Out;
use crate::recycle::Recycle;
use crate::shared::Shared;
use crate::stats::Stats;

/// A concurrent pool of reusable values.
///
/// Cloning the handle is cheap and gives another handle to the same pool.
///
/// # Cost
/// An acquire or a release is a few nanoseconds: a thread-local load and a push or pop on the thread's own stack, no
/// atomic read-modify-write. Once in 64 it takes a lock to trade a stack of slots with the depot. A warm pool asks
/// the allocator for nothing. A slot takes the size of the value and two pointers, rounded up to 128 bytes.
///
/// # Memory
/// A pool gives back what a burst has left. It remembers the most slots that were out lately (a mark that halves every 30 seconds);
/// empty chunks beyond twice that mark go back by themselves, one at most for each 4096 releases of a thread, by the thread
/// that releases: some 50 microseconds. Never below what was made by `warm`, or [`keep`](Builder::keep);
/// [`no_trim`](Builder::no_trim) turns it off, and [`trim`](Self::trim) gives back all at once.
///
/// # Dropping
/// Guards may outlive the pool. Its memory is then kept, and given back when some pool of the process is built or
/// dropped after the last guard.
///
/// ```
/// use mycelia_pool::Pool;
///
/// let pool: Pool<Vec<u8>> = Pool::builder().warm(16).build();
/// {
///     let mut buffer = pool.acquire()?;
///     buffer.extend_from_slice(b"hello");
/// } // emptied, and back in the pool with its 5 bytes of capacity
/// assert_eq!(pool.stats().in_use, 0);
/// # Ok::<(), mycelia_pool::Exhausted>(())
/// ```
pub struct Pool<T: Recycle + Send + 'static> {
    handle: Arc<Handle<T>>,
}

/// The last handle to go decides what becomes of the memory.
struct Handle<T: Send + 'static> {
    shared: NonNull<Shared<T>>,
}

// SAFETY: `Shared` hands values out by `&self` to any thread, each to one at a time: it needs `T: Send` for both.
unsafe impl<T: Send> Send for Handle<T> {}
// SAFETY: as above; `Pool::visit`, the one way to a `&T` shared between threads, asks for `T: Sync` itself.
unsafe impl<T: Send> Sync for Handle<T> {}

impl<T: Recycle + Send + 'static> Pool<T> {
    /// A pool of default values that grows on demand.
    #[must_use]
    pub fn new() -> Self
    where
        T: Default,
    {
        Builder::new().build()
    }

    /// Sets up a pool with limits.
    pub fn builder() -> Builder<T> {
        Builder::new()
    }

    pub(crate) fn with_limits(limits: Limits, make: Box<dyn Fn() -> T + Send + Sync>) -> Self {
        orphans::reap();
        let shared = NonNull::from(Box::leak(Box::new(Shared::new(limits, make))));
        Self { handle: Arc::new(Handle { shared }) }
    }

    /// Takes a value out, to be given back when the guard is dropped, on whatever thread.
    ///
    /// # Errors
    /// [`Exhausted`], if all slots are out and the pool may not grow. It never waits for one to come back.
    ///
    /// # Panics
    /// Only if the function that makes values does.
    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn acquire(&self) -> Result<Guard<T>, Exhausted> {
        let slot = self.shared().acquire()?;
        self.shared().outs.add(slot.0.addr().get());
        Ok(Guard::new(slot))
    }

    /// In debug builds the values that are out, by where they were acquired; in others always empty, for a release build keeps no
    /// such list.
    ///
    /// ```
    /// # use mycelia_pool::{Guard, Pool};
    /// let pool = Pool::<String>::new();
    /// let text = pool.acquire()?;
    /// Guard::label(&text, "a line");
    /// for out in pool.out() {
    ///     println!("still out: {out}"); // still out: a line from src/main.rs:4:17
    /// }
    /// # Ok::<(), mycelia_pool::Exhausted>(())
    /// ```
    #[must_use]
    pub fn out(&self) -> Vec<Out> {
        self.shared().outs.list()
    }

    /// Makes `slots` more slots beforehand (a pool that fails: up to its capacity). Returns how many it made.
    pub fn warm(&self, slots: usize) -> usize {
        self.shared().warm(self.handle.shared, slots)
    }

    /// Gives the memory of chunks back in which no slot is in use.
    ///
    /// The calling thread's cache is emptied first; other threads empty theirs at their next acquire or release, and
    /// then give back what has become empty by that. A chunk of which one slot is in use stays.
    /// Costs a sort of the free slots, under the pool's locks.
    pub fn trim(&self) {
        self.shared().trim();
    }

    /// What the pool has done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared().stats()
    }

    /// How many slots the pool may make before it is exhausted.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shared().capacity()
    }

    /// Shows every value ever made, in use or not, to `visit`, in no order. New chunks wait until it is done.
    ///
    /// # Safety
    /// Nobody may hold a `&mut` to a value of this pool meanwhile: neither through [`Guard`]'s `DerefMut`, nor in
    /// [`Recycle::recycle`] (so [`Recycle::RECYCLES`] must be false).
    pub unsafe fn visit(&self, visit: impl FnMut(&T))
    where
        T: Sync,
    {
        // SAFETY: the caller's promise.
        unsafe { self.shared().visit(visit) };
    }

    /// Shows every value that was [noted](Guard::note), and forgets those for which `is_wanted` returns false.
    ///
    /// Each visit costs as many steps as values are noted, however many the pool has made, and keeps nobody from acquiring,
    /// releasing or growing. One visit runs at a time.
    ///
    /// A value that a visit has forgotten is shown by later visits as well, until one begins a millisecond after it: the value may have
    /// become wanted at that moment. Returns true if no value that an earlier visit has forgotten is left for a later look: after two
    /// visits that return true, each value was shown as wanted, or was noted after the first of them began.
    ///
    /// # Safety
    /// As [`visit`](Self::visit).
    pub unsafe fn visit_noted(&self, is_wanted: impl FnMut(&T) -> bool) -> bool
    where
        T: Sync,
    {
        // SAFETY: the caller's promise.
        unsafe { self.shared().noted.visit(is_wanted) }
    }

    /// Lets a millisecond pass, of which a model has none: what this thread has stored before has arrived everywhere.
    #[cfg(mycelia_loom)]
    pub fn pass_a_millisecond(&self) {
        self.shared().noted.fence.pass();
    }

    /// Shows the value with this [number](Guard::number), in use or not, if the pool has one. Costs a search among the chunks.
    ///
    /// # Safety
    /// As [`visit`](Self::visit).
    pub unsafe fn visit_number<R>(&self, number: u32, visit: impl FnOnce(&T) -> R) -> Option<R>
    where
        T: Sync,
    {
        // SAFETY: the caller's promise.
        unsafe { self.shared().visit_number(number, visit) }
    }

    #[cfg(test)]
    pub(crate) fn tune(&self, now: std::time::Instant) {
        self.shared().tune(now);
    }

    #[inline]
    fn shared(&self) -> &Shared<T> {
        // SAFETY: freed by `Handle::drop` (or later) only, and this borrows a handle.
        unsafe { self.handle.shared.as_ref() }
    }
}

impl<T: Recycle + Send + 'static> Clone for Pool<T> {
    fn clone(&self) -> Self {
        Self { handle: Arc::clone(&self.handle) }
    }
}

impl<T: Recycle + Default + Send + 'static> Default for Pool<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Recycle + Send + 'static> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Drop for Handle<T> {
    fn drop(&mut self) {
        // SAFETY: `shared` came from `Box::leak`, and this is the last handle: nobody acquires any more.
        unsafe { orphans::free_when_returned(self.shared) };
        orphans::reap();
    }
}
