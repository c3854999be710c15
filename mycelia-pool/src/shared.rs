//! What all handles and guards of one pool share.

use std::ptr::NonNull;
use std::time::Instant;

use mycelia_core::seeded::bug;
use mycelia_core::sync::atomic::{AtomicU64, Ordering};
use mycelia_core::sync::{Mutex, OnceBox};
use mycelia_core::{Counter, contain};

use crate::builder::{Exhaustion, Limits};
use crate::cache::{Cache, Stock};
use crate::depot::Depot;
use crate::error::Exhausted;
use crate::noted::Noted;
use crate::out::Outs;
use crate::slab::Slab;
use crate::slot::{FreeSlot, Slot};
use crate::stats::Stats;
use crate::thread::{self, CACHED_THREADS};
use crate::tune::{SORTED, TUNED_EVERY, Tuning};
use crate::turn::Turn;

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
    pub(crate) outs: Outs,
    limits: Limits,
    /// Of a pool that fails, to make values.
    turn: Turn,
    make: Box<dyn Fn() -> T + Send + Sync>,
    /// How often caches were told to flush: one that has not seen the last time does it at its next use.
    flushes: AtomicU64,
    /// Which of these times was the last `trim`: such a flush gives empty slabs back.
    last_trim: AtomicU64,
    tuning: Mutex<Tuning>,
    /// The most slots seen out since the last step of tuning.
    lately: AtomicU64,
    /// The mark, for `stats`.
    mark: AtomicU64,
    warmed: Counter,
    trimmed: Counter,
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
            outs: Outs::new(),
            limits,
            turn: Turn::new(),
            make,
            flushes: AtomicU64::new(0),
            last_trim: AtomicU64::new(0),
            tuning: Mutex::new(Tuning::new()),
            lately: AtomicU64::new(0),
            mark: AtomicU64::new(0),
            warmed: Counter::new(),
            trimmed: Counter::new(),
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
        self.outs.remove(slot.0.addr().get());
        let Some(cache) = self.own_cache() else { return self.release_to_depot(slot) };
        if bug("a release counted before it is done") {
            cache.count_release(cache.next_release());
        }
        // SAFETY: as in `acquire`.
        let put =
            unsafe { cache.stock(|stock| if self.is_current(stock) { stock.put(slot) } else { Err(slot) }) };
        if let Err(slot) = put {
            self.release_after_unloading(cache, slot);
        }
        // Asked last: values that went meanwhile may have given others back.
        let mut count = cache.next_release();
        if count.is_multiple_of(TUNED_EVERY) {
            self.tune(Instant::now());
            count = cache.next_release();
        }
        if !bug("a release counted before it is done") {
            cache.count_release(count);
        }
    }

    /// Makes `count` slots beforehand, up to the capacity of a pool that fails. Returns how many were made.
    pub(crate) fn warm(&self, home: NonNull<Self>, count: usize) -> usize {
        let made = self.add_slab(home, || Some(count.min(self.room_to_grow()))).unwrap_or_default();
        self.warmed.add(made as u64);
        made
    }

    /// Gives back the slabs none of whose slots is out, and asks every cache to flush at its next use.
    pub(crate) fn trim(&self) {
        self.outs.shrink();
        // Relaxed: a number that caches compare; the slots themselves travel under the depot's lock.
        let flush = self.flushes.fetch_add(1, Ordering::Relaxed) + 1;
        self.last_trim.fetch_max(flush, Ordering::Relaxed);
        if let Some(cache) = self.own_cache() {
            // SAFETY: as in `acquire`; the depot's lock is not a way back here.
            unsafe { cache.stock(|stock| self.flush(stock)) };
        }
        self.free_empty_slabs();
    }

    pub(crate) fn stats(&self) -> Stats {
        let (acquired, released) = self.traffic();
        let in_use = acquired.saturating_sub(released);
        self.saw(in_use);
        Stats {
            created: self.created.get(),
            acquired,
            reused: acquired.saturating_sub(self.grown.get()),
            in_use,
            high_water: self.high_water.get(),
            // Relaxed: a number.
            mark: self.mark.load(Ordering::Relaxed).max(in_use),
            trimmed: self.trimmed.get(),
        }
    }

    /// Notes how many slots were out at this moment.
    fn saw(&self, out: u64) {
        self.high_water.raise(out);
        // Relaxed: a number.
        self.lately.fetch_max(out, Ordering::Relaxed);
    }

    /// Gives an empty slab back, if the pool has more than it needs; called once in many releases.
    #[cold]
    pub(crate) fn tune(&self, now: Instant) {
        if self.limits.no_trim {
            return;
        }
        let (acquired, released) = self.traffic();
        let out = acquired.saturating_sub(released);
        let (floor, pauses) = {
            let mut tuning = self.tuning.lock();
            // Relaxed: numbers.
            let mark = tuning.mark(self.lately.swap(out, Ordering::Relaxed).max(out), now);
            self.mark.store(mark, Ordering::Relaxed);
            let floor = (2 * mark).max(self.warmed.get()).max(self.limits.keep as u64);
            (floor, self.created.get() <= floor || tuning.pauses())
        };
        if pauses {
            return;
        }
        let mut slabs = self.slabs.lock();
        let mut depot = self.depot.lock();
        let is_left = depot.sort(SORTED);
        let created = self.created.get();
        let goes = depot.complete().find(|&(_, len)| created >= floor + len as u64);
        let slab = goes.map(|(place, len)| {
            depot.remove_shelf(place);
            self.created.add((len as u64).wrapping_neg());
            self.trimmed.add(len as u64);
            depot.shrink(self.created.get() as usize);
            slabs.remove(place)
        });
        drop(depot);
        self.noted.forget(|slot| slab.as_ref().is_some_and(|slab| slab.contains(slot)));
        drop(slabs);
        if slab.is_some() {
            self.outs.shrink();
        }
        let flushes = self.tuning.lock().note(slab.is_some() || is_left);
        if flushes {
            // Relaxed: as in `trim`.
            self.flushes.fetch_add(1, Ordering::Relaxed);
        }
        // The values' own drops, outside the locks. A panic has been printed by the panic hook.
        let _ = contain(|| drop(slab));
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
                self.saw(acquired.saturating_sub(released));
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
        let trims = unsafe {
            cache.stock(|stock| {
                let before = stock.flushed;
                if !self.is_current(stock) {
                    self.flush(stock);
                }
                // Relaxed: as in `trim`.
                before < self.last_trim.load(Ordering::Relaxed)
            })
        };
        if trims {
            self.free_empty_slabs();
        }
    }

    fn acquire_from_depot(&self) -> Result<FreeSlot<T>, Exhausted> {
        loop {
            let mut depot = self.depot.lock();
            if let Some(slot) = depot.take() {
                depot.acquired += 1;
                if self.caches.is_empty() {
                    self.saw(depot.acquired - depot.released);
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
        if (depot.released + 1).is_multiple_of(TUNED_EVERY) {
            drop(depot);
            self.tune(Instant::now());
            depot = self.depot.lock();
        }
        // The last touch, as for caches.
        depot.released += 1;
    }

    /// Makes another chunk, unless a slot has become free meanwhile.
    fn grow(&self, home: NonNull<Self>) -> Result<(), Exhausted> {
        let by_bytes = (LARGEST_CHUNK_BYTES / size_of::<Slot<T>>()).max(1);
        let chunk = || {
            let created = self.created.get() as usize;
            let chunk = created.clamp(FIRST_CHUNK, LARGEST_CHUNK).min(by_bytes).min(self.room_to_grow());
            (!self.depot.lock().has_free()).then_some(chunk)
        };
        match self.add_slab(home, chunk) {
            Some(0) => Err(Exhausted { capacity: self.limits.capacity }),
            Some(made) => {
                self.grown.add(made as u64);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn room_to_grow(&self) -> usize {
        match self.limits.exhaustion {
            Exhaustion::Grow => usize::MAX,
            Exhaustion::Fail => self.limits.capacity.saturating_sub(self.created.get() as usize),
        }
    }

    /// Makes a chunk of as many slots as `count` says under the lock, if it wants any. Returns that number.
    ///
    /// The values are made outside of the lock, for that is code of the user: other threads that find the pool empty meanwhile make
    /// chunks of their own. Of a pool that fails they wait for their turn, since it may have made its last values; not so the code
    /// that makes the values, if it acquires some itself.
    fn add_slab(&self, home: NonNull<Self>, count: impl FnOnce() -> Option<usize>) -> Option<usize> {
        let _turn = (self.limits.exhaustion == Exhaustion::Fail).then(|| self.turn.wait()).flatten();
        let count = {
            let _slabs = self.slabs.lock();
            let count = count()?;
            // Counted beforehand: nobody else has room for these.
            self.created.add(count as u64);
            count
        };
        if count == 0 {
            return Some(0);
        }
        let made = Reserved { created: &self.created, count: count as u64 };
        let slab = Slab::make(count, home, &self.make);
        std::mem::forget(made);
        let mut slabs = self.slabs.lock();
        let place = slabs.partition_point(|other| other.number() < slab.number());
        let mut depot = self.depot.lock();
        // SAFETY: the slab is new; this is the one call.
        unsafe { depot.add(place, &slab, !self.caches.is_empty()) };
        drop(depot);
        slabs.insert(place, slab);
        Some(count)
    }

    fn free_empty_slabs(&self) {
        let mut slabs = self.slabs.lock();
        let mut depot = self.depot.lock();
        depot.sort(usize::MAX);
        let complete: Vec<_> = depot.complete().collect();
        let mut empty: Vec<_> = complete
            .iter()
            .map(|&(place, _)| {
                depot.remove_shelf(place);
                slabs.remove(place)
            })
            .collect();
        let freed: usize = empty.iter().map(Slab::len).sum();
        self.created.add((freed as u64).wrapping_neg());
        depot.shrink(self.created.get() as usize);
        slabs.shrink_to_fit();
        drop(depot);
        empty.sort_unstable_by_key(Slab::start);
        self.noted.forget(|slot| {
            let after = empty.partition_point(|slab| slab.start() <= slot.addr());
            after > 0 && empty[after - 1].contains(slot)
        });
        drop(slabs);
        // The values' own drops, outside the locks. As in `tune`.
        let _ = contain(|| drop(empty));
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

/// Slots whose values are being made. If that panics, there are none.
struct Reserved<'a> {
    created: &'a Counter,
    count: u64,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.created.add(self.count.wrapping_neg());
    }
}
