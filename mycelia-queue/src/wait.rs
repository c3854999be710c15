//! The senders that wait for room, in order.

use std::collections::VecDeque;
use std::task::Waker;

use slab::Slab;

const NONE: usize = usize::MAX;

/// Waiting senders, first come first served. A sender is known by its key until it asks for the outcome.
/// Those whose waiting has ended are woken when the receiver says so.
///
/// ```text
/// first ─▶ ┌──────────┐ next ┌──────────┐ next ┌──────────┐ ◀─ last      accepted or refused ones
///          │ item     │─────▶│ item     │─────▶│ item     │              are in `to_wake` until
///          │ waker    │◀─────│ waker    │◀─────│ waker    │              they are woken
///          └──────────┘ prev └──────────┘ prev └──────────┘
/// ```
pub(crate) struct WaitList<T> {
    entries: Slab<Entry<T>>,
    first: usize,
    last: usize,
    waiting: usize,
    /// Keys of senders that are to be woken, in order.
    to_wake: VecDeque<usize>,
    /// Items that the receiver has taken since somebody was to be woken.
    pub(crate) taken: usize,
}

enum Entry<T> {
    Waiting {
        item: T,
        waker: Waker,
        prev: usize,
        next: usize,
    },
    /// With the waker as long as it is to be woken.
    Accepted(Option<Waker>),
    Refused(T, Option<Waker>),
}

/// How a sender's waiting ended. A waker in it is to be dropped outside the lock.
pub(crate) enum Outcome<T> {
    /// It has not: here is the item, which will not be sent.
    Waiting(T, #[allow(dead_code, reason = "dropped by the caller")] Waker),
    Accepted(#[allow(dead_code, reason = "dropped by the caller")] Option<Waker>),
    Refused(T, #[allow(dead_code, reason = "dropped by the caller")] Option<Waker>),
}

impl<T> WaitList<T> {
    pub(crate) fn new() -> Self {
        Self { entries: Slab::new(), first: NONE, last: NONE, waiting: 0, to_wake: VecDeque::new(), taken: 0 }
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// True if this sender's waiting has not ended.
    pub(crate) fn is_waiting(&self, key: usize) -> bool {
        matches!(self.entries.get(key), Some(Entry::Waiting { .. }))
    }

    /// Adds a sender at the end.
    pub(crate) fn add(&mut self, item: T, waker: Waker) -> usize {
        let key = self.entries.insert(Entry::Waiting { item, waker, prev: self.last, next: NONE });
        match self.last {
            NONE => self.first = key,
            last => *self.next_of(last) = key,
        }
        self.last = key;
        self.waiting += 1;
        key
    }

    /// Ends the waiting of a sender whatever its state, and forgets it.
    pub(crate) fn remove(&mut self, key: usize) -> Outcome<T> {
        if let Entry::Waiting { prev, next, .. } = self.entries[key] {
            self.unlink(prev, next);
        }
        let outcome = match self.entries.remove(key) {
            Entry::Waiting { item, waker, .. } => Outcome::Waiting(item, waker),
            Entry::Accepted(waker) => Outcome::Accepted(waker),
            Entry::Refused(item, waker) => Outcome::Refused(item, waker),
        };
        if let Outcome::Accepted(Some(_)) | Outcome::Refused(_, Some(_)) = outcome {
            // It has learnt of it unwoken; so it is to be woken no more.
            self.to_wake.retain(|&other| other != key);
        }
        if self.entries.is_empty() && self.entries.capacity() > 64 {
            self.entries = Slab::new();
        }
        outcome
    }

    /// If the sender still waits, sees to it that `waker` is the one that is woken, and returns one to be dropped
    /// outside the lock. `Err` if the outcome is there.
    pub(crate) fn rewake(&mut self, key: usize, waker: &Waker) -> Result<Option<Waker>, ()> {
        match &mut self.entries[key] {
            Entry::Waiting { waker: old, .. } if old.will_wake(waker) => Ok(None),
            Entry::Waiting { waker: old, .. } => Ok(Some(std::mem::replace(old, waker.clone()))),
            Entry::Accepted(_) | Entry::Refused(..) => Err(()),
        }
    }

    /// Refuses every waiting sender, and says how many that were. They are to be woken.
    pub(crate) fn refuse_all(&mut self) -> usize {
        let refused = self.waiting;
        while let Some((key, item, waker)) = self.end_first() {
            self.entries[key] = Entry::Refused(item, Some(waker));
        }
        refused
    }

    /// Accepts the first sender, which is to be woken. Its item.
    pub(crate) fn accept_first(&mut self) -> Option<T> {
        let (key, item, waker) = self.end_first()?;
        self.entries[key] = Entry::Accepted(Some(waker));
        Some(item)
    }

    /// Ends the waiting of the first, which is to be woken. The caller fills its entry in.
    fn end_first(&mut self) -> Option<(usize, T, Waker)> {
        let key = self.first;
        match std::mem::replace(self.entries.get_mut(key)?, Entry::Accepted(None)) {
            Entry::Waiting { item, waker, prev, next } => {
                self.unlink(prev, next);
                self.to_wake.push_back(key);
                Some((key, item, waker))
            }
            Entry::Accepted(_) | Entry::Refused(..) => unreachable!("only waiting senders are linked"),
        }
    }

    /// True if an accepted or refused sender has not been woken.
    pub(crate) fn owes_wakes(&self) -> bool {
        !self.to_wake.is_empty()
    }

    /// The next sender to wake.
    pub(crate) fn next_to_wake(&mut self) -> Option<Waker> {
        self.taken = 0;
        let key = self.to_wake.pop_front()?;
        match &mut self.entries[key] {
            Entry::Accepted(waker) | Entry::Refused(_, waker) => waker.take(),
            Entry::Waiting { .. } => unreachable!("its waiting has ended"),
        }
    }

    fn unlink(&mut self, prev: usize, next: usize) {
        match prev {
            NONE => self.first = next,
            prev => *self.next_of(prev) = next,
        }
        match next {
            NONE => self.last = prev,
            next => *self.prev_of(next) = prev,
        }
        self.waiting -= 1;
    }

    fn next_of(&mut self, key: usize) -> &mut usize {
        match &mut self.entries[key] {
            Entry::Waiting { next, .. } => next,
            Entry::Accepted(_) | Entry::Refused(..) => unreachable!("only waiting senders are linked"),
        }
    }

    fn prev_of(&mut self, key: usize) -> &mut usize {
        match &mut self.entries[key] {
            Entry::Waiting { prev, .. } => prev,
            Entry::Accepted(_) | Entry::Refused(..) => unreachable!("only waiting senders are linked"),
        }
    }
}
