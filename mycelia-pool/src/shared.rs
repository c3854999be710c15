//! What all handles and guards of one pool share.

use std::ptr::NonNull;

use mycelia_core::Counter;
use mycelia_core::seeded::bug;
use mycelia_core::sync::atomic::{AtomicU64, Ordering};
use mycelia_core::sync::{Mutex, OnceBox};

use crate::builder::{Exhaustion, Limits};
use crate::cache::{Cache, Stock};
use crate::depot::Depot;
use crate::error::Exhausted;
use crate::noted::Noted;
use crate::slab::Slab;
use crate::slot::{FreeSlot, Slot};
use crate::stats::Stats;
use crate::thread::{self, CACHED_THREADS};

/// The first chunk on demand has this many slots; later ones are as large as all before, up to the limits below.
const FIRST_CHUNK: usize = if cfg!(mycelia_loom) { 1 } else { 32 };
const LARGEST_CHUNK: usize = 1024;
const LARGEST_CHUNK_BYTES: usize = 256 * 1024;

pub(crate) struct Shared<T> {
    /// By thread number, made on first use. Empty for a pool that must be exact: see [`Exhaustion::Fail`].
    caches: Box<[OnceBox<Cache<T>>]>,
    /// One more than the highest thread number with a cache.
    caches_made: Counter,
    depot: Mutex<Depot<T>>,
    /// Locked before `depot` where both are.
    slabs: Mutex<Vec<Slab<T>>>,
    pub(crate) noted: Noted<T>,
    limits: Limits,
    make: Box<dyn Fn() -> T + Send + Sync>,
    /// How often `trim` was called: a cache that has not seen the last one flushes at its next use.
    flushes: AtomicU64,
    grown: Counter,
    created: Counter,
    high_water: Counter,
}

impl<T> Shared<T> {
    pub(crate) fn new(limits: Limits, make: Box<dyn Fn() -> T + Send + Sync>) -> Self {
        let caches = if limits.exhaustion == Exhaustion::Fail { 0 } else { CACHED_THREADS };
        let cache = || {
            let cell = OnceBox::new();
            if cfg!(mycelia_loom) {
                // Loom does not see how `OnceBox` publishes, so a model makes its few caches beforehand.
                cell.get_or_init(|| Box::new(Cache::new()));
            }
            cell
        };
        Self {
            caches: (0..caches).map(|_| cache()).collect(),
            caches_made: Counter::new(),
            depot: Mutex::new(Depot::new()),
            slabs: Mutex::new(Vec::new()),
            noted: Noted::new(),
            limits,
            make,
            flushes: AtomicU64::new(0),
            grown: Counter::new(),
            created: Counter::new(),
            high_water: Counter::new(),
        }
    }

    #[inline]
    pub(crate) fn acquire(&self) -> Result<FreeSlot<T>, Exhausted> {
        let Some(cache) = self.own_cache() else { return self.acquire_from_depot() };
        // SAFETY: `own_cache` gave the cache of this thread's number; `take` does not come back here.
        let slot = unsafe { cache.stock(|stock| self.is_current(stock).then(|| stock.take()).flatten()) };
        match slot {
            Some(slot) => {
                cache.acquired.add_owned(1);
                Ok(slot)
            }
            None => self.acquire_after_refill(cache),
        }
    }

    #[inline]
    pub(crate) fn release(&self, slot: FreeSlot<T>) {
        let Some(cache) = self.own_cache() else { return self.release_to_depot(slot) };
        if bug("a release counted before it is done") {
            cache.count_release();
        }
        // SAFETY: as in `acquire`.
        let put =
            unsafe { cache.stock(|stock| if self.is_current(stock) { stock.put(slot) } else { Err(slot) }) };
        if let Err(slot) = put {
            self.release_after_unloading(cache, slot);
        }
        if !bug("a release counted before it is done") {
            cache.count_release();
        }
    }

    /// Makes `count` slots beforehand, up to the capacity of a pool that fails. Returns how many were made.
    pub(crate) fn warm(&self, home: NonNull<Self>, count: usize) -> usize {
        let mut slabs = self.slabs.lock();
        let count = count.min(self.room_to_grow());
        self.add_slab(&mut slabs, home, count);
        count
    }

    /// Gives back the slabs none of whose slots is out, and asks every cache to flush at its next use.
    pub(crate) fn trim(&self) {
        // Relaxed: a number that caches compare; the slots themselves travel under the depot's lock.
        self.flushes.fetch_add(1, Ordering::Relaxed);
        if let Some(cache) = self.own_cache() {
            // SAFETY: as in `acquire`; the depot's lock is not a way back here.
            unsafe { cache.stock(|stock| self.flush(stock)) };
        }
        self.free_empty_slabs();
    }

    pub(crate) fn stats(&self) -> Stats {
        let (acquired, released) = self.traffic();
        let in_use = acquired.saturating_sub(released);
        self.high_water.raise(in_use);
        Stats {
            created: self.created.get(),
            acquired,
            reused: acquired.saturating_sub(self.grown.get()),
            in_use,
            high_water: self.high_water.get(),
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.limits.capacity
    }

    /// True if no slot is out. Only meaningful once nobody can acquire any more.
    pub(crate) fn all_returned(&self) -> bool {
        let (acquired, released) = self.traffic();
        acquired == released
    }

    /// Shows every value ever made, in use or not, to `visit`.
    ///
    /// # Safety
    /// Nobody may hold a `&mut` to a value of this pool meanwhile.
    pub(crate) unsafe fn visit(&self, mut visit: impl FnMut(&T)) {
        for slab in self.slabs.lock().iter() {
            // SAFETY: the caller's promise; the lock keeps the slab from being freed.
            unsafe { slab.visit(&mut visit) };
        }
    }

    /// Shows the value of this number.
    ///
    /// # Safety
    /// As [`visit`](Self::visit).
    pub(crate) unsafe fn visit_number<R>(&self, number: u32, visit: impl FnOnce(&T) -> R) -> Option<R> {
        let slabs = self.slabs.lock();
        let after = slabs.partition_point(|slab| slab.number() <= number);
        // The numbers of the last one may have begun anew from 0.
        let places = [after.wrapping_sub(1), slabs.len().wrapping_sub(1)];
        let index = |place: usize| Some((slabs.get(place)?, slabs.get(place)?.index_of(number)?));
        let (slab, index) = places.into_iter().find_map(index)?;
        // SAFETY: the caller's promise; the lock keeps the slab from being freed.
        Some(unsafe { slab.visit_one(index, visit) })
    }

    /// The cache of this thread, if it may have one.
    #[inline]
    fn own_cache(&self) -> Option<&Cache<T>> {
        let number = thread::number()?;
        let cell = self.caches.get(number)?;
        Some(cell.get().unwrap_or_else(|| self.first_use(cell, number)))
    }

    #[cold]
    fn first_use<'a>(&self, cell: &'a OnceBox<Cache<T>>, number: usize) -> &'a Cache<T> {
        self.caches_made.raise(number as u64 + 1);
        cell.get_or_init(|| Box::new(Cache::new()))
    }

    #[inline]
    fn is_current(&self, stock: &Stock<T>) -> bool {
        // Relaxed: see `trim`.
        stock.flushed == self.flushes.load(Ordering::Relaxed)
    }

    #[cold]
    fn flush(&self, stock: &mut Stock<T>) {
        stock.flushed = self.flushes.load(Ordering::Relaxed);
        stock.flush(&mut self.depot.lock());
    }

    #[cold]
    fn acquire_after_refill(&self, cache: &Cache<T>) -> Result<FreeSlot<T>, Exhausted> {
        self.flush_if_asked(cache);
        loop {
            // SAFETY: as in `acquire`; the depot's lock is not a way back here.
            let slot =
                unsafe { cache.stock(|stock| stock.refill(&self.depot).then(|| stock.take()).flatten()) };
            if let Some(slot) = slot {
                cache.acquired.add_owned(1);
                // A moment late for a cache that is just being made, as a mark may be: a refill is no place for a walk
                // over hundreds of caches that nobody uses.
                let made = (self.caches_made.get() as usize).min(self.caches.len());
                let (acquired, released) = self.traffic_of(&self.caches[..made]);
                self.high_water.raise(acquired.saturating_sub(released));
                return Ok(slot);
            }
            self.grow(NonNull::from(self))?;
        }
    }

    #[cold]
    fn release_after_unloading(&self, cache: &Cache<T>, slot: FreeSlot<T>) {
        self.flush_if_asked(cache);
        // SAFETY: as in `acquire_after_refill`.
        unsafe {
            cache.stock(|stock| {
                if let Err(slot) = stock.put(slot) {
                    stock.unload(&mut self.depot.lock());
                    assert!(stock.put(slot).is_ok(), "an unloaded cache has room");
                }
            });
        }
    }

    fn flush_if_asked(&self, cache: &Cache<T>) {
        // SAFETY: as in `acquire_after_refill`: only the owner of `cache` gets here.
        let flushed = unsafe {
            cache.stock(|stock| {
                let asked = !self.is_current(stock);
                if asked {
                    self.flush(stock);
                }
                asked
            })
        };
        if flushed {
            self.free_empty_slabs();
        }
    }

    fn acquire_from_depot(&self) -> Result<FreeSlot<T>, Exhausted> {
        loop {
            let mut depot = self.depot.lock();
            if let Some(slot) = depot.take() {
                depot.acquired += 1;
                if self.caches.is_empty() {
                    self.high_water.raise(depot.acquired - depot.released);
                }
                return Ok(slot);
            }
            drop(depot);
            self.grow(NonNull::from(self))?;
        }
    }

    fn release_to_depot(&self, slot: FreeSlot<T>) {
        let mut depot = self.depot.lock();
        depot.put(slot);
        depot.released += 1;
    }

    /// Makes another chunk, unless a slot has become free meanwhile.
    fn grow(&self, home: NonNull<Self>) -> Result<(), Exhausted> {
        // Held while the values are made: whoever else finds the pool empty waits, and then finds slots.
        let mut slabs = self.slabs.lock();
        if self.depot.lock().has_free() {
            return Ok(());
        }
        let by_bytes = (LARGEST_CHUNK_BYTES / size_of::<Slot<T>>()).max(1);
        let created = self.created.get() as usize;
        let chunk = created.clamp(FIRST_CHUNK, LARGEST_CHUNK).min(by_bytes).min(self.room_to_grow());
        if chunk == 0 {
            return Err(Exhausted { capacity: self.limits.capacity });
        }
        self.add_slab(&mut slabs, home, chunk);
        self.grown.add(chunk as u64);
        Ok(())
    }

    fn room_to_grow(&self) -> usize {
        match self.limits.exhaustion {
            Exhaustion::Grow => usize::MAX,
            Exhaustion::Fail => self.limits.capacity.saturating_sub(self.created.get() as usize),
        }
    }

    fn add_slab(&self, slabs: &mut Vec<Slab<T>>, home: NonNull<Self>, count: usize) {
        if count == 0 {
            return;
        }
        let slab = Slab::make(count, home, &self.make);
        // SAFETY: the slab is new; this is the one call.
        self.depot.lock().add(unsafe { slab.free_slots() }, !self.caches.is_empty());
        let place = slabs.partition_point(|other| other.number() < slab.number());
        slabs.insert(place, slab);
        self.created.add(count as u64);
    }

    fn free_empty_slabs(&self) {
        let mut slabs = self.slabs.lock();
        let mut depot = self.depot.lock();
        let loose = depot.loosen();
        loose.sort_unstable_by_key(|slot| slot.0.addr());
        let (empty, kept) = std::mem::take(&mut *slabs).into_iter().partition::<Vec<_>, _>(|slab| {
            let start = loose.partition_point(|slot| slot.0.addr() < slab.start());
            loose.get(start + slab.len() - 1).is_some_and(|last| slab.contains(last.0))
        });
        *slabs = kept;
        loose.retain(|slot| !empty.iter().any(|slab| slab.contains(slot.0)));
        let created: usize = slabs.iter().map(Slab::len).sum();
        self.created.add((created as u64).wrapping_sub(self.created.get()));
        depot.shrink(created);
        drop(depot);
        self.noted.forget(|slot| empty.iter().any(|slab| slab.contains(slot)));
        drop(slabs);
        drop(empty); // the values' own drops, outside the locks
    }

    /// Acquisitions and releases, over all caches and the depot.
    fn traffic(&self) -> (u64, u64) {
        self.traffic_of(&self.caches)
    }

    fn traffic_of(&self, caches: &[OnceBox<Cache<T>>]) -> (u64, u64) {
        let caches = || caches.iter().filter_map(|cell| cell.get());
        // Releases first: a slot released in between is then counted as in use rather than twice.
        let released: u64 = caches().map(Cache::released).sum();
        let acquired: u64 = caches().map(|cache| cache.acquired.get()).sum();
        let depot = self.depot.lock();
        (acquired + depot.acquired, released + depot.released)
    }
}
