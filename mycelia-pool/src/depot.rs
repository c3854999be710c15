//! The depot: the slots that rest in no thread's cache, and the magazines that caches trade.

use crate::slot::FreeSlot;

/// How many slots a magazine holds: one visit to the depot's lock per this many acquisitions.
pub(crate) const ROUNDS: usize = if cfg!(mycelia_loom) { 1 } else { 64 };

/// A stack of up to [`ROUNDS`] free slots, moved between a cache and the depot as a whole.
pub(crate) type Magazine<T> = Vec<FreeSlot<T>>;

/// An empty magazine, with room for all its rounds.
pub(crate) fn empty_magazine<T>() -> Magazine<T> {
    Vec::with_capacity(ROUNDS)
}

/// What the threads share, under one lock.
pub(crate) struct Depot<T> {
    full: Vec<Magazine<T>>,
    empty: Vec<Magazine<T>>,
    /// Slots in no magazine: new ones, and all free ones of a pool without caches.
    loose: Vec<FreeSlot<T>>,
    /// Acquisitions and releases that went past the caches.
    pub(crate) acquired: u64,
    pub(crate) released: u64,
}

impl<T> Depot<T> {
    pub(crate) fn new() -> Self {
        Self { full: Vec::new(), empty: Vec::new(), loose: Vec::new(), acquired: 0, released: 0 }
    }

    /// Adds new slots. Reserves all the room they will ever need here, so that a warm pool never allocates.
    pub(crate) fn add(&mut self, slots: impl Iterator<Item = FreeSlot<T>>, cached: bool) {
        let before = self.loose.len();
        self.loose.extend(slots);
        if cached {
            let magazines = (self.loose.len() - before).div_ceil(ROUNDS);
            self.empty.extend((0..magazines).map(|_| empty_magazine()));
            let all = self.empty.len() + self.full.len();
            self.full.reserve(all - self.full.len());
            self.empty.reserve(all - self.empty.len());
        }
    }

    /// Fills an empty magazine, or trades it for a full one. False if there is no free slot.
    pub(crate) fn fill(&mut self, magazine: &mut Magazine<T>) -> bool {
        if let Some(full) = self.full.pop() {
            self.empty.push(std::mem::replace(magazine, full));
            return true;
        }
        let rest = self.loose.len().saturating_sub(ROUNDS);
        magazine.extend(self.loose.drain(rest..));
        !magazine.is_empty()
    }

    /// Trades a full magazine for an empty one.
    pub(crate) fn unload(&mut self, magazine: &mut Magazine<T>) {
        let empty = self.empty.pop().unwrap_or_else(empty_magazine);
        self.full.push(std::mem::replace(magazine, empty));
    }

    /// One slot, for a thread without a cache.
    pub(crate) fn take(&mut self) -> Option<FreeSlot<T>> {
        self.loose.pop().or_else(|| {
            let mut magazine = self.full.pop()?;
            let slot = magazine.pop();
            self.loose.append(&mut magazine);
            self.empty.push(magazine);
            slot
        })
    }

    /// One slot back, from a thread without a cache.
    pub(crate) fn put(&mut self, slot: FreeSlot<T>) {
        self.loose.push(slot);
    }

    /// Everything in a cache that is being flushed.
    pub(crate) fn absorb(&mut self, magazine: &mut Magazine<T>) {
        self.loose.append(magazine);
    }

    /// True if a slot is free here.
    pub(crate) fn has_free(&self) -> bool {
        !self.full.is_empty() || !self.loose.is_empty()
    }

    /// All free slots as loose ones, for sorting out which slabs are empty.
    pub(crate) fn loosen(&mut self) -> &mut Vec<FreeSlot<T>> {
        while let Some(mut magazine) = self.full.pop() {
            self.loose.append(&mut magazine);
            self.empty.push(magazine);
        }
        &mut self.loose
    }

    /// Gives back the memory of magazines that `slots` slots cannot fill.
    pub(crate) fn shrink(&mut self, slots: usize) {
        let magazines = slots.div_ceil(ROUNDS);
        self.empty.truncate(magazines);
        self.empty.shrink_to(magazines);
        self.full.shrink_to(magazines);
        self.loose.shrink_to(slots);
    }
}
