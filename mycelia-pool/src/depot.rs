//! The depot: the slots that rest in no thread's cache, and the magazines that caches trade.

use std::collections::VecDeque;

use crate::slab::{self, Slab};
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
///
/// Full magazines and loose slots are stacks: what has rested longest is at the front. Slots that are sorted by their slabs are
/// used last, and of the first slabs first, so that the others become complete and can go.
pub(crate) struct Depot<T> {
    full: VecDeque<Magazine<T>>,
    empty: Vec<Magazine<T>>,
    /// Slots in no magazine: what a pool without caches got back.
    loose: VecDeque<FreeSlot<T>>,
    /// One for each slab, in the order of the slabs.
    shelves: Vec<Shelf<T>>,
    /// No shelf before this one has a slot.
    first: usize,
    /// Acquisitions and releases that went past the caches.
    pub(crate) acquired: u64,
    pub(crate) released: u64,
}

impl<T> Depot<T> {
    pub(crate) fn new() -> Self {
        Self {
            full: VecDeque::new(),
            empty: Vec::new(),
            loose: VecDeque::new(),
            shelves: Vec::new(),
            first: 0,
            acquired: 0,
            released: 0,
        }
    }

    /// Adds the slots of a new slab, at its place among the slabs. Reserves all the room they will ever need here, so that a warm pool
    /// never allocates.
    ///
    /// # Safety
    /// As [`Slab::free_slots`].
    pub(crate) unsafe fn add(&mut self, place: usize, slab: &Slab<T>, cached: bool) {
        // SAFETY: the caller's promise.
        let slots: Vec<_> = unsafe { slab.free_slots() }.collect();
        self.shelves.insert(place, Shelf { start: slab.start().get(), len: slab.len(), slots });
        self.first = self.first.min(place);
        if cached {
            let magazines = slab.len().div_ceil(ROUNDS);
            self.empty.extend((0..magazines).map(|_| empty_magazine()));
            let all = self.empty.len() + self.full.len();
            self.full.reserve(all - self.full.len());
            self.empty.reserve(all - self.empty.len());
        } else {
            let all: usize = self.shelves.iter().map(|shelf| shelf.len).sum();
            self.loose.reserve(all - self.loose.len());
        }
    }

    /// Fills an empty magazine, or trades it for a full one. False if there is no free slot.
    pub(crate) fn fill(&mut self, magazine: &mut Magazine<T>) -> bool {
        if let Some(full) = self.full.pop_back() {
            self.empty.push(std::mem::replace(magazine, full));
            return true;
        }
        let rest = self.loose.len().saturating_sub(ROUNDS);
        magazine.extend(self.loose.drain(rest..));
        if magazine.is_empty()
            && let Some(shelf) = self.first_shelf()
        {
            let rest = shelf.slots.len().saturating_sub(ROUNDS);
            magazine.extend(shelf.slots.drain(rest..));
        }
        !magazine.is_empty()
    }

    /// Trades a full magazine for an empty one.
    pub(crate) fn unload(&mut self, magazine: &mut Magazine<T>) {
        let empty = self.empty.pop().unwrap_or_else(empty_magazine);
        self.full.push_back(std::mem::replace(magazine, empty));
    }

    /// One slot, for a thread without a cache.
    pub(crate) fn take(&mut self) -> Option<FreeSlot<T>> {
        if self.loose.is_empty()
            && let Some(mut magazine) = self.full.pop_back()
        {
            self.loose.extend(magazine.drain(..));
            self.empty.push(magazine);
        }
        self.loose.pop_back().or_else(|| self.first_shelf()?.slots.pop())
    }

    /// The first shelf with a slot.
    fn first_shelf(&mut self) -> Option<&mut Shelf<T>> {
        while self.shelves.get(self.first)?.slots.is_empty() {
            self.first += 1;
        }
        self.shelves.get_mut(self.first)
    }

    /// One slot back, from a thread without a cache.
    pub(crate) fn put(&mut self, slot: FreeSlot<T>) {
        self.loose.push_back(slot);
    }

    /// Everything in a cache that is being flushed: sorted, so that the cache gets slots of few slabs next.
    pub(crate) fn absorb(&mut self, magazine: &mut Magazine<T>) {
        magazine.drain(..).for_each(|slot| self.put_on_shelf(slot));
    }

    /// True if a slot is free here.
    pub(crate) fn has_free(&mut self) -> bool {
        !self.full.is_empty() || !self.loose.is_empty() || self.first_shelf().is_some()
    }

    /// Sorts up to `limit` slots, those that have rested longest first. True if more are left.
    pub(crate) fn sort(&mut self, limit: usize) -> bool {
        let mut sorted = 0;
        while sorted < limit
            && let Some(mut magazine) = self.full.pop_front()
        {
            sorted += magazine.len();
            magazine.drain(..).for_each(|slot| self.put_on_shelf(slot));
            self.empty.push(magazine);
        }
        while sorted < limit
            && let Some(slot) = self.loose.pop_front()
        {
            sorted += 1;
            self.put_on_shelf(slot);
        }
        !self.full.is_empty() || !self.loose.is_empty()
    }

    fn put_on_shelf(&mut self, slot: FreeSlot<T>) {
        // The slabs are in the order of their numbers, which begin anew every 256 GiB; so look by number as well.
        let number = slab::number(slot.0.addr().get());
        let after = self.shelves.partition_point(|shelf| slab::number(shelf.start) <= number);
        let places = [after.wrapping_sub(1), self.shelves.len().wrapping_sub(1)];
        let has_it = |&place: &usize| self.shelves.get(place).is_some_and(|shelf| shelf.has_place_for(&slot));
        let Some(place) = places.into_iter().find(has_it) else { unreachable!("every slot is of a slab") };
        self.shelves[place].slots.push(slot);
        self.first = self.first.min(place);
    }

    /// The places of the slabs all of whose slots are on their shelves, the last first.
    pub(crate) fn complete(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let shelves = self.shelves.iter().enumerate().rev();
        shelves.filter(|(_, shelf)| shelf.slots.len() == shelf.len).map(|(place, shelf)| (place, shelf.len))
    }

    /// Forgets a shelf that is complete: its slots go with their slab.
    pub(crate) fn remove_shelf(&mut self, place: usize) {
        self.shelves.remove(place);
        self.first = self.first.min(place);
    }

    /// Gives back the memory of magazines that `slots` slots cannot fill.
    pub(crate) fn shrink(&mut self, slots: usize) {
        let magazines = slots.div_ceil(ROUNDS);
        self.empty.truncate(magazines);
        // Only much at once: each costs a step for every entry.
        let is_large = |room: usize, needed: usize| room > 2 * needed.max(ROUNDS);
        if is_large(self.empty.capacity(), magazines) {
            self.empty.shrink_to(magazines);
        }
        if is_large(self.full.capacity(), magazines) {
            self.full.shrink_to(magazines);
        }
        if is_large(self.loose.capacity(), slots) {
            self.loose.shrink_to(slots);
        }
        if is_large(self.shelves.capacity(), self.shelves.len()) {
            self.shelves.shrink_to(self.shelves.len());
        }
    }
}

/// The free slots of one slab.
struct Shelf<T> {
    start: usize,
    len: usize,
    slots: Vec<FreeSlot<T>>,
}

impl<T> Shelf<T> {
    fn has_place_for(&self, slot: &FreeSlot<T>) -> bool {
        let end = self.start + self.len * size_of::<crate::slot::Slot<T>>();
        (self.start..end).contains(&slot.0.addr().get())
    }
}
