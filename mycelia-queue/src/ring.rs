//! The queue itself, for one thread: a bounded ring with a policy. Locks and waiting are other files' business.

use std::collections::VecDeque;

use mycelia_core::{OverflowPolicy, Patience};

use crate::error::PushError;
use crate::pushed::{Pushed, PushedMany, Rest};
use crate::stats::Stats;

/// A ring with at most this much room keeps it: half a KiB of pointers, which small bursts would ask for again and again.
const KEPT: usize = 64;
/// The first allocation, in items.
const SMALLEST: usize = 4;
/// A ring with at most this much room is taken as a whole by a batch that has no room of its own yet.
const LARGEST_SWAP: usize = 64;
/// A ring that goes idle with more room than this gives it back at once.
const LARGE: usize = 1024;

/// A bounded circular queue over std's `VecDeque`, which grows with its content up to `capacity`.
///
/// ```text
///   head           tail
///    ▼              ▼
/// ┌────┬────┬────┬────┬────┬────┐
/// │ 1  │ 2  │ 3  │    │    │    │   capacity 1024, allocated 6
/// └────┴────┴────┴────┴────┴────┘
/// ```
pub(crate) struct Ring<T> {
    items: VecDeque<T>,
    /// 32 bits: more items fit into no memory.
    capacity: u32,
    policy: OverflowPolicy,
    /// Refuses later items: all of them, or, with `inside`, those from outside.
    closed: bool,
    inside: bool,
    /// The most items seen by a receiver since the ring was last idle.
    peak: u32,
    /// With room of which an eighth would do.
    patience: Patience,
    accepted: u64,
    /// Made with the first loss: most queues never have one.
    losses: Option<Box<Losses>>,
}

#[derive(Clone, Copy, Default)]
struct Losses {
    evicted: u64,
    discarded: u64,
    refused: u64,
}

impl<T> Ring<T> {
    pub(crate) fn new(capacity: usize, policy: OverflowPolicy) -> Self {
        Self {
            items: VecDeque::new(),
            capacity: u32::try_from(capacity).unwrap_or(u32::MAX),
            policy,
            closed: false,
            inside: false,
            peak: 0,
            patience: Patience::default(),
            accepted: 0,
            losses: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.accepted
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.items.len() < self.capacity()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity as usize
    }

    pub(crate) fn policy(&self) -> OverflowPolicy {
        self.policy
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// True after `close`, and not after `close_to_outside` alone.
    pub(crate) fn is_shut(&self) -> bool {
        self.closed && !self.inside
    }

    pub(crate) fn close(&mut self) {
        self.closed = true;
        self.inside = false;
    }

    /// False if it is closed already.
    pub(crate) fn close_to_outside(&mut self) -> bool {
        let was_open = !self.closed;
        self.inside |= was_open;
        self.closed = true;
        was_open
    }

    /// Pushes by the policy. `reserved`: the room there may be belongs to somebody else, so the ring counts as full.
    #[inline]
    pub(crate) fn push(&mut self, item: T, reserved: bool) -> Result<Pushed<T>, PushError<T>> {
        if self.closed {
            self.losses().refused += 1;
            return Err(PushError::Closed { item });
        }
        self.push_open(item, reserved)
    }

    /// As `push`, from inside.
    pub(crate) fn push_inside(&mut self, item: T, reserved: bool) -> Result<Pushed<T>, PushError<T>> {
        if self.is_shut() {
            self.losses().refused += 1;
            return Err(PushError::Closed { item });
        }
        self.push_open(item, reserved)
    }

    /// As `push`, whether it is closed or not.
    #[inline]
    fn push_open(&mut self, item: T, reserved: bool) -> Result<Pushed<T>, PushError<T>> {
        if self.has_room() && !reserved {
            self.accept(item);
            return Ok(Pushed::Queued);
        }
        match self.policy {
            OverflowPolicy::DropOldest => match self.items.pop_front() {
                Some(oldest) => {
                    self.losses().evicted += 1;
                    self.accept(item);
                    Ok(Pushed::Evicted(oldest))
                }
                // Nothing to evict: a capacity of 0, where the newest is the oldest.
                None => Ok(self.discard(item)),
            },
            OverflowPolicy::DropNewest => Ok(self.discard(item)),
            OverflowPolicy::Error => {
                self.losses().refused += 1;
                Err(PushError::Full { item, capacity: self.capacity() })
            }
        }
    }

    /// Pushes a batch by the policy; what comes back is in the batch afterwards.
    pub(crate) fn push_many(&mut self, batch: &mut VecDeque<T>, reserved: bool) -> PushedMany {
        if self.closed { self.refuse_many(batch) } else { self.push_many_open(batch, reserved) }
    }

    /// As `push_many`, from inside.
    pub(crate) fn push_many_inside(&mut self, batch: &mut VecDeque<T>, reserved: bool) -> PushedMany {
        if self.is_shut() { self.refuse_many(batch) } else { self.push_many_open(batch, reserved) }
    }

    /// Leaves the whole batch to the caller, because it is closed.
    fn refuse_many(&mut self, batch: &VecDeque<T>) -> PushedMany {
        self.losses().refused += batch.len() as u64;
        PushedMany { queued: 0, rest: Rest::Closed }
    }

    /// As `push_many`, whether it is closed or not.
    fn push_many_open(&mut self, batch: &mut VecDeque<T>, reserved: bool) -> PushedMany {
        let count = batch.len();
        let room = if reserved { 0 } else { (self.capacity() - self.items.len()).min(count) };
        for item in batch.drain(..room) {
            self.accept(item);
        }
        let over = count - room;
        if over == 0 {
            return PushedMany { queued: count, rest: Rest::None };
        }
        match self.policy {
            OverflowPolicy::DropOldest if !self.items.is_empty() => {
                for _ in 0..over {
                    let (item, oldest) = (batch.pop_front(), self.items.pop_front());
                    batch.extend(oldest);
                    item.into_iter().for_each(|item| self.accept(item));
                }
                self.losses().evicted += over as u64;
                PushedMany { queued: count, rest: Rest::Evicted }
            }
            OverflowPolicy::DropOldest | OverflowPolicy::DropNewest => {
                self.losses().discarded += over as u64;
                PushedMany { queued: room, rest: Rest::Discarded }
            }
            OverflowPolicy::Error => {
                self.losses().refused += over as u64;
                PushedMany { queued: room, rest: Rest::Full }
            }
        }
    }

    /// Takes an item in. The caller has made sure of the room.
    #[inline]
    pub(crate) fn accept(&mut self, item: T) {
        if self.items.len() == self.items.capacity() {
            self.grow();
        }
        self.items.push_back(item);
        self.accepted += 1;
    }

    /// Counts an item that goes back to a sender who waited, at close.
    pub(crate) fn count_refused(&mut self, items: usize) {
        if items > 0 {
            self.losses().refused += items as u64;
        }
    }

    /// Takes back the count of one that was refused at close.
    pub(crate) fn forget_a_refusal(&mut self) {
        self.losses().refused -= 1;
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        self.items.pop_front()
    }

    /// Moves up to `limit` items to the end of `batch`, and says how many.
    #[inline]
    pub(crate) fn pop_many(&mut self, batch: &mut VecDeque<T>, limit: usize) -> usize {
        let count = self.items.len().min(limit);
        self.peak = self.peak.max(self.items.len() as u32);
        if batch.capacity() == 0 && self.items.len() <= limit && self.items.capacity() <= LARGEST_SWAP {
            std::mem::swap(batch, &mut self.items);
            return count;
        }
        batch.reserve(count);
        // One by one is shorter than `drain` for items of a few words.
        for _ in 0..count {
            if let Some(item) = self.items.pop_front() {
                batch.push_back(item);
            }
        }
        count
    }

    /// Everything at once, and the memory with it.
    pub(crate) fn take_all(&mut self) -> VecDeque<T> {
        std::mem::take(&mut self.items)
    }

    /// The receiver found nothing: gives back memory that was needed for a burst, for the caller to drop outside the
    /// lock.
    pub(crate) fn idle(&mut self) -> Option<VecDeque<T>> {
        let allocated = self.items.capacity();
        let is_little = allocated > KEPT && (self.peak as usize) < allocated / 8;
        self.peak = 0;
        if !is_little {
            self.patience.much();
        }
        (allocated > LARGE || is_little && self.patience.little()).then(|| self.take_all())
    }

    pub(crate) fn stats(&self, waiting: usize) -> Stats {
        let Losses { evicted, discarded, refused } = self.losses.as_deref().copied().unwrap_or_default();
        Stats {
            pushed: self.accepted + discarded + refused,
            popped: self.accepted - evicted - self.len() as u64,
            evicted,
            discarded,
            refused,
            len: self.len(),
            waiting,
            capacity: self.capacity(),
            allocated: self.items.capacity(),
        }
    }

    fn losses(&mut self) -> &mut Losses {
        self.losses.get_or_insert_default()
    }

    fn discard(&mut self, item: T) -> Pushed<T> {
        self.losses().discarded += 1;
        Pushed::Discarded(item)
    }

    #[cold]
    fn grow(&mut self) {
        if self.items.capacity() >= SMALLEST {
            self.patience.grow();
        }
        let target = (self.items.capacity() * 2).max(SMALLEST).min(self.capacity());
        self.items.reserve_exact(target - self.items.len());
    }
}
