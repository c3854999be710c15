//! The limits of a pool, and how it is built.

use std::marker::PhantomData;

use crate::pool::Pool;
use crate::recycle::Recycle;

/// What a pool does when every slot it made is out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exhaustion {
    /// Makes another chunk, beyond the capacity if need be. The default.
    #[default]
    Grow,
    /// Fails at once with [`Exhausted`](crate::Exhausted), when all slots up to the capacity are out.
    ///
    /// Such a pool is exact: a slot that is free anywhere is found. For that it keeps no caches per thread, and each
    /// acquire and release takes the depot's lock (two atomic operations when nobody else has it).
    Fail,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) capacity: usize,
    pub(crate) exhaustion: Exhaustion,
    /// Slots that stay in any case.
    pub(crate) keep: usize,
    pub(crate) no_trim: bool,
}

/// Sets up a [`Pool`].
///
/// ```
/// use mycelia_pool::{Exhaustion, Pool};
///
/// let pool: Pool<Vec<u8>> = Pool::builder().capacity(2000).warm(1000).exhaustion(Exhaustion::Fail).build();
/// assert_eq!(pool.stats().created, 1000);
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder<T> {
    limits: Limits,
    warm: usize,
    values: PhantomData<fn() -> T>,
}

impl<T: Recycle + Send + 'static> Builder<T> {
    pub(crate) fn new() -> Self {
        let limits = Limits { capacity: usize::MAX, exhaustion: Exhaustion::Grow, keep: 0, no_trim: false };
        Self { limits, warm: 0, values: PhantomData }
    }

    /// How many slots the pool may make before it is exhausted. Without it, as many as memory holds.
    ///
    /// Counts the slots made, whether they are out or not. With [`Exhaustion::Grow`] it is no limit.
    pub fn capacity(mut self, slots: usize) -> Self {
        self.limits.capacity = slots;
        self
    }

    /// How many slots are made by `build` rather than on demand. At most the capacity, where the pool fails.
    pub fn warm(mut self, slots: usize) -> Self {
        self.warm = slots;
        self
    }

    /// What happens when every slot is out.
    pub fn exhaustion(mut self, exhaustion: Exhaustion) -> Self {
        self.limits.exhaustion = exhaustion;
        self
    }

    /// Keeps at least this many slots, once made, when the pool gives memory back by itself: see [`Pool`](crate::Pool#memory).
    /// What [`warm`](Self::warm) made stays anyway.
    ///
    /// ```
    /// let pool: mycelia_pool::Pool<Vec<u8>> = mycelia_pool::Pool::builder().keep(10_000).build();
    /// ```
    pub fn keep(mut self, slots: usize) -> Self {
        self.limits.keep = slots;
        self
    }

    /// Never gives memory back by itself, but only when [`trim`](crate::Pool::trim) is called.
    ///
    /// ```
    /// let pool: mycelia_pool::Pool<Vec<u8>> = mycelia_pool::Pool::builder().no_trim().build();
    /// ```
    pub fn no_trim(mut self) -> Self {
        self.limits.no_trim = true;
        self
    }

    /// Builds a pool of default values.
    pub fn build(self) -> Pool<T>
    where
        T: Default,
    {
        self.build_with(T::default)
    }

    /// Builds a pool whose values come from `make`.
    ///
    /// `make` runs a chunk of times, under no lock: it may use this pool. (Other threads that want the last values of a pool that
    /// fails wait until these are made, so `make` must not wait for such a thread.) If `make` panics, nothing was made, and the panic
    /// reaches the code that acquired.
    pub fn build_with(self, make: impl Fn() -> T + Send + Sync + 'static) -> Pool<T> {
        let pool = Pool::with_limits(self.limits, Box::new(make));
        pool.warm(self.warm);
        pool
    }
}
