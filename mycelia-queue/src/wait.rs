//! The senders that wait for room, in order.

use std::collections::VecDeque;
use std::task::Waker;

use mycelia_core::drop_waker;
use slab::Slab;

const NONE: usize = usize::MAX;
/// More room than this is given back when nobody is left.
const LARGE: usize = 64;

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
    /// Senders that are to be woken, in order: their keys, and their turns, for one that has left meanwhile may have left its key to
    /// another.
    to_wake: VecDeque<(usize, u64)>,
    /// How many have come to their turn so far.
    turns: u64,
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
    /// With the waker and the turn, as long as it is to be woken.
    Accepted(Option<(Waker, u64)>),
    Refused(T, Option<(Waker, u64)>),
}

/// How a sender's waiting ended. A waker in it is to be dropped outside the lock.
pub(crate) enum Outcome<T> {
    /// It has not: here is the item, which will not be sent.
    Waiting(T, Waker),
    Accepted(Option<Waker>),
    Refused(T, Option<Waker>),
}

impl<T> Outcome<T> {
    /// The item, unless it was accepted. Drops the waker.
    pub(crate) fn into_item(self) -> Option<T> {
        let (item, waker) = match self {
            Self::Waiting(item, waker) => (Some(item), Some(waker)),
            Self::Accepted(waker) => (None, waker),
            Self::Refused(item, waker) => (Some(item), waker),
        };
        drop_waker(waker);
        item
    }
}

/// What becomes of a sender that asks while it is in line.
pub(crate) enum Rewoken {
    /// Its waker is the right one.
    Waits,
    /// It is to come again with a waker.
    NeedsWaker,
    /// The outcome is there.
    Over,
}

impl<T> WaitList<T> {
    pub(crate) fn new() -> Self {
        Self {
            entries: Slab::new(),
            first: NONE,
            last: NONE,
            waiting: 0,
            to_wake: VecDeque::new(),
            turns: 0,
            taken: 0,
        }
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
            // If it has learnt of it unwoken, its turn to be woken comes for nothing.
            Entry::Accepted(waker) => Outcome::Accepted(waker.map(|(waker, _)| waker)),
            Entry::Refused(item, waker) => Outcome::Refused(item, waker.map(|(waker, _)| waker)),
        };
        if self.entries.is_empty() {
            self.to_wake.clear();
            self.to_wake.shrink_to(LARGE);
            if self.entries.capacity() > LARGE {
                self.entries = Slab::new();
            }
        }
        outcome
    }

    /// If the sender still waits, sees to it that `waker` is the one that is woken; if another was, by exchanging that for `new`, a clone.
    /// What is in its place afterwards is to be dropped outside the lock.
    pub(crate) fn rewake(&mut self, key: usize, waker: &Waker, new: &mut Option<Waker>) -> Rewoken {
        match (&mut self.entries[key], new) {
            (Entry::Waiting { waker: old, .. }, _) if old.will_wake(waker) => Rewoken::Waits,
            (Entry::Waiting { waker: old, .. }, Some(new)) => {
                std::mem::swap(old, new);
                Rewoken::Waits
            }
            (Entry::Waiting { .. }, None) => Rewoken::NeedsWaker,
            (Entry::Accepted(_) | Entry::Refused(..), _) => Rewoken::Over,
        }
    }

    /// Refuses every waiting sender, and says how many that were. They are to be woken.
    pub(crate) fn refuse_all(&mut self) -> usize {
        let refused = self.waiting;
        while let Some((key, item, waker)) = self.end_first() {
            self.entries[key] = Entry::Refused(item, Some((waker, self.turns)));
        }
        refused
    }

    /// Accepts the first sender, which is to be woken. Its item.
    pub(crate) fn accept_first(&mut self) -> Option<T> {
        let (key, item, waker) = self.end_first()?;
        self.entries[key] = Entry::Accepted(Some((waker, self.turns)));
        Some(item)
    }

    /// Ends the waiting of the first, which is to be woken, at the turn that `turns` says then. The caller fills its entry in.
    fn end_first(&mut self) -> Option<(usize, T, Waker)> {
        let key = self.first;
        match std::mem::replace(self.entries.get_mut(key)?, Entry::Accepted(None)) {
            Entry::Waiting { item, waker, prev, next } => {
                self.unlink(prev, next);
                self.turns += 1;
                self.to_wake.push_back((key, self.turns));
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
        while let Some((key, turn)) = self.to_wake.pop_front() {
            if let Some(Entry::Accepted(waker) | Entry::Refused(_, waker)) = self.entries.get_mut(key)
                && let Some((waker, _)) = waker.take_if(|(_, own)| *own == turn)
            {
                return Some(waker);
            }
        }
        None
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
