//! The senders that wait for room, in order.

use std::collections::VecDeque;
use std::task::Waker;

use slab::Slab;

const NONE: usize = usize::MAX;

/// Waiting senders, first come first served. A sender is known by its key until it asks for the outcome.
/// Accepted ones are woken later: the receiver says when.
///
/// ```text
/// first ─▶ ┌──────────┐ next ┌──────────┐ next ┌──────────┐ ◀─ last      accepted or refused ones
///          │ item     │─────▶│ item     │─────▶│ item     │              are in no list any more
///          │ waker    │◀─────│ waker    │◀─────│ waker    │
///          └──────────┘ prev └──────────┘ prev └──────────┘
/// ```
pub(crate) struct WaitList<T> {
    entries: Slab<Entry<T>>,
    first: usize,
    last: usize,
    waiting: usize,
    /// The wakers of accepted senders, in order.
    to_wake: VecDeque<Waker>,
}

enum Entry<T> {
    Waiting { item: T, waker: Waker, prev: usize, next: usize },
    Accepted,
    Refused(T),
}

/// How a sender's waiting ended.
pub(crate) enum Outcome<T> {
    /// It has not: here is the item, which will not be sent, and a waker to be dropped outside the lock.
    Waiting {
        item: T,
        _waker: Waker,
    },
    Accepted,
    Refused(T),
}

impl<T> WaitList<T> {
    pub(crate) fn new() -> Self {
        Self { entries: Slab::new(), first: NONE, last: NONE, waiting: 0, to_wake: VecDeque::new() }
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
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
            Entry::Waiting { item, waker, .. } => Outcome::Waiting { item, _waker: waker },
            Entry::Accepted => Outcome::Accepted,
            Entry::Refused(item) => Outcome::Refused(item),
        };
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
            Entry::Accepted | Entry::Refused(_) => Err(()),
        }
    }

    /// Refuses every waiting sender, and says how many that were. They are to be woken.
    pub(crate) fn refuse_all(&mut self) -> usize {
        let refused = self.waiting;
        while self.first != NONE {
            let key = self.first;
            let Some(item) = self.accept_first() else { break };
            self.entries[key] = Entry::Refused(item);
        }
        refused
    }

    /// Accepts the first sender, which is to be woken. Its item.
    pub(crate) fn accept_first(&mut self) -> Option<T> {
        let entry = self.entries.get_mut(self.first)?;
        match std::mem::replace(entry, Entry::Accepted) {
            Entry::Waiting { item, waker, prev, next } => {
                self.unlink(prev, next);
                self.to_wake.push_back(waker);
                Some(item)
            }
            Entry::Accepted | Entry::Refused(_) => unreachable!("only waiting senders are linked"),
        }
    }

    /// True if an accepted or refused sender has not been woken.
    pub(crate) fn owes_wakes(&self) -> bool {
        !self.to_wake.is_empty()
    }

    /// The next sender to wake.
    pub(crate) fn next_to_wake(&mut self) -> Option<Waker> {
        self.to_wake.pop_front()
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
            Entry::Accepted | Entry::Refused(_) => unreachable!("only waiting senders are linked"),
        }
    }

    fn prev_of(&mut self, key: usize) -> &mut usize {
        match &mut self.entries[key] {
            Entry::Waiting { prev, .. } => prev,
            Entry::Accepted | Entry::Refused(_) => unreachable!("only waiting senders are linked"),
        }
    }
}
