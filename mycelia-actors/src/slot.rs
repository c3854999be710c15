//! A slot of the message pool: one message on its way, and its reply on the way back.
//!
//! This file is about who may touch what: the reply word and its few transitions. What is in the payload is the
//! business of `envelope`.

use std::mem::{ManuallyDrop, MaybeUninit};
use std::ptr::{self, NonNull};
use std::task::{RawWakerVTable, Waker};

use mycelia_core::drop_waker;
use mycelia_core::seeded::bug;
use mycelia_core::sync::UnsafeCell;
use mycelia_core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use mycelia_pool::{Guard, Recycle};

use crate::metadata::Metadata;
use crate::table::Table;

/// Messages and replies up to this size and alignment travel inside the slot; others in a box of their own.
pub(crate) const INLINE_SIZE: usize = 64;
pub(crate) const INLINE_ALIGN: usize = 16;

/// Memory for a message, and later for its reply.
#[repr(C, align(16))]
pub(crate) struct Payload(MaybeUninit<[u8; INLINE_SIZE]>);

/// One message on its way. With the pool's way home before it, it takes 128 bytes; a tell of up to 32 bytes touches the
/// first 64 of them only.
///
/// ```text
/// 0        16      24     32                                         96             112        120        128
/// ┌────────┬───────┬──────┬──────────────────────────────────────────┬──────────────┬──────────┬──────────┐
/// │ (home) │ table │ word │ payload: a message of up to 64 bytes,    │ asker's waker│ deadline │ metadata │
/// │        │       │      │ then its reply                           │              │          │ or stamp │
/// └────────┴───────┴──────┴──────────────────────────────────────────┴──────────────┴──────────┴──────────┘
/// ```
///
/// The word of an ask says who still has a share of the slot, and how the ask ended. There are two shares: the
/// *envelope* (whoever has the message, or has to answer it) and the *asker*. Every transition is one compare-exchange,
/// so exactly one party decides how an ask ends, and whoever gives up the last share frees the slot.
///
/// ```text
/// 63       32      16 ──  11 ───  10 ───  9  ─── 5    4      3      2       1        0
/// ┌─────────┬───────┬───────┬───────┬──────────┬──────┬─────┬──────┬──────┬──────────┬───────┐
/// │ ask no. │ waker │ state │ stamp │ metadata │ fate │ ask │ busy │ done │ envelope │ asker │
/// └─────────┴───────┴───────┴───────┴──────────┴──────┴─────┴──────┴──────┴──────────┴───────┘
///
///   open ──reply, panic, kill, eviction…──▶ done, no envelope      the asker reads the fate and frees the slot
///    │ ╲──the asker is dropped────────────▶ done, no asker         the envelope frees the slot when it ends
///    │  ╲─the deadline passes─────────────▶ done, both             whoever ends second frees the slot
///    └──▶ busy (the asker changes its waker) ──▶ open, next waker
/// ```
///
/// The waker is kept as its two pointers, in atomics. To end an ask, a party reads them first and then exchanges the
/// word: if the exchange succeeds, the word was the same all along, so the waker was whole, and it now belongs to that
/// party. The numbers change with every ask and every change of waker, which keeps an old word from fitting.
///
/// Whether there is metadata is said in the word, so that a message without does not touch the second half for it. A message
/// without may have a stamp in its place: when it was sent, for whoever observes the runtime. (With metadata the stamp is in there.)
///
/// A message of a side task is for one state of its subsystem: the number of that state is in the place of the deadline, which a
/// message without an asker does not use.
pub(crate) struct MessageSlot {
    /// A pointer, not a reference: a reference to this part of a larger table could not reach the rest.
    pub(crate) table: UnsafeCell<NonNull<Table>>,
    word: AtomicU64,
    pub(crate) payload: UnsafeCell<Payload>,
    waker_data: AtomicPtr<()>,
    waker_vtable: AtomicPtr<()>,
    /// Written before the ask is opened; then the sweeper's.
    pub(crate) deadline: AtomicU64,
    extra: UnsafeCell<Extra>,
}

/// Which of them there is, if any, is in the word.
union Extra {
    nothing: (),
    metadata: ManuallyDrop<Metadata>,
    stamp: u64,
}

#[cfg(not(mycelia_loom))]
const _: () = assert!(size_of::<MessageSlot>() + INLINE_ALIGN <= 128, "a slot is two cache lines");

// SAFETY: table, payload and extra belong to the party that has them by the word: the envelope until it is done, then the
// asker; the extra to the last share. Everything else is atomic. Messages and replies are `Send` (`envelope` asks
// for it).
unsafe impl Send for MessageSlot {}
// SAFETY: as above.
unsafe impl Sync for MessageSlot {}

const ASKER: u64 = 1;
const ENVELOPE: u64 = 1 << 1;
const DONE: u64 = 1 << 2;
const BUSY: u64 = 1 << 3;
const ASK: u64 = 1 << 4;
const FATE_SHIFT: u32 = 5;
const FATE_MASK: u64 = 0xf << FATE_SHIFT;
const METADATA: u64 = 1 << 9;
const STAMP: u64 = 1 << 10;
const STATE: u64 = 1 << 11;
/// Counts the wakers of an ask. (And carries into the number of the ask, after 65 536.)
const WAKER: u64 = 1 << 16;
/// Counts the asks in this slot.
const ASK_SHIFT: u32 = 32;

/// How an ask ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Fate {
    /// The reply is in the slot.
    Replied = 1,
    /// The handler panicked with the message in hand.
    Panicked,
    /// The subsystem was killed with the message in hand.
    Killed,
    /// The message was pushed out of a full mailbox by a newer one.
    Evicted,
    /// The message did not fit into a full mailbox.
    Discarded,
    /// The subsystem ended with the message still in its mailbox.
    Undelivered,
    /// Nobody kept the promise to reply later.
    Unanswered,
    /// The deadline passed.
    Deadline,
    /// The asker went away.
    Cancelled,
    /// The asker would wait for itself.
    Cycle,
}

impl Fate {
    const ALL: [Self; 10] = [
        Self::Replied,
        Self::Panicked,
        Self::Killed,
        Self::Evicted,
        Self::Discarded,
        Self::Undelivered,
        Self::Unanswered,
        Self::Deadline,
        Self::Cancelled,
        Self::Cycle,
    ];

    fn of(word: u64) -> Self {
        Self::ALL[((word & FATE_MASK) >> FATE_SHIFT) as usize - 1]
    }

    fn bits(self) -> u64 {
        (self as u64) << FATE_SHIFT
    }
}

impl Recycle for MessageSlot {
    // The sweeper may look at a slot at any time, so nobody may have it to themselves.
    const RECYCLES: bool = false;
    fn recycle(&mut self) {}
}

impl Default for MessageSlot {
    fn default() -> Self {
        Self {
            table: UnsafeCell::new(NonNull::dangling()),
            word: AtomicU64::new(ENVELOPE),
            payload: UnsafeCell::new(Payload(MaybeUninit::uninit())),
            waker_data: AtomicPtr::new(ptr::null_mut()),
            waker_vtable: AtomicPtr::new(ptr::null_mut()),
            deadline: AtomicU64::new(0),
            extra: UnsafeCell::new(Extra { nothing: () }),
        }
    }
}

/// A waker as its two pointers, to be compared, or turned back by whoever owns it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct WakerBits(*mut (), *mut ());

impl WakerBits {
    fn of(waker: &Waker) -> Self {
        Self(waker.data().cast_mut(), ptr::from_ref(waker.vtable()).cast_mut().cast())
    }

    /// # Safety
    /// The bits came from a waker that was forgotten, and become a waker once.
    unsafe fn into_waker(self) -> Waker {
        // SAFETY: the second pointer came from a `&'static RawWakerVTable`; the caller owns the waker.
        unsafe { Waker::new(self.0, &*self.1.cast::<RawWakerVTable>()) }
    }
}

/// What a party that has just ended an ask owes: to wake the asker, if it has a waker (a busy asker looks by itself).
#[must_use]
pub(crate) struct Wake(Option<Waker>);

impl Wake {
    pub(crate) fn into_waker(self) -> Option<Waker> {
        self.0
    }

    /// Wakes the asker. The caller contains a panic of its waker.
    pub(crate) fn now(self) {
        if let Some(waker) = self.0 {
            waker.wake();
        }
    }
}

/// How an ask ended, for its asker.
pub(crate) enum End {
    /// The asker has the only share left and frees the slot.
    Mine(Fate),
    /// The envelope is still out; the asker has given its share up.
    Over(Fate),
}

impl MessageSlot {
    /// Makes an ask of a message that nobody else knows yet. Gives out the asker's share.
    pub(crate) fn open(&self, waker: &Waker, deadline: u64) {
        // Relaxed: nobody else has a share; the sweeper only ever exchanges the word of an open ask.
        let word = self.word.load(Ordering::Relaxed);
        let number = (word >> ASK_SHIFT).wrapping_add(1) << ASK_SHIFT;
        self.put_waker(waker.clone());
        // Release, for the sweeper's Acquire when it stamps: see there.
        self.deadline.store(deadline, Ordering::Release);
        // Release, for the sweeper's Acquire in `end`: who sees this ask open sees its waker and deadline.
        let kept = word & (METADATA | STAMP);
        self.word.store(number | kept | ASK | ASKER | ENVELOPE, Ordering::Release);
    }

    /// True if the message is not an ask, is for any state, and carries neither metadata nor a stamp.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        // Relaxed: constant while the envelope is out.
        self.word.load(Ordering::Relaxed) & (ASK | METADATA | STAMP | STATE) == 0
    }

    /// Says for which state of its subsystem the message is, before it is sent. It must not become an ask.
    pub(crate) fn set_state(&self, state: u64) {
        // Relaxed, both: only the envelope is out, and it is sent with its own ordering. The sweeper reads deadlines of asks only.
        self.deadline.store(state, Ordering::Relaxed);
        self.word.fetch_or(STATE, Ordering::Relaxed);
    }

    /// For which state of its subsystem the message is, if it is for one only.
    #[inline]
    pub(crate) fn state(&self) -> Option<u64> {
        // Relaxed: as in `is_ask`; written before the envelope was sent.
        let is_for_one = self.word.load(Ordering::Relaxed) & STATE != 0;
        is_for_one.then(|| self.deadline.load(Ordering::Relaxed))
    }

    /// True if the message carries metadata or a stamp.
    #[inline]
    pub(crate) fn is_dressed(&self) -> bool {
        // Relaxed: constant while the envelope is out.
        self.word.load(Ordering::Relaxed) & (METADATA | STAMP) != 0
    }

    /// True if a reply is wanted, or was when the message was sent.
    #[inline]
    pub(crate) fn is_ask(&self) -> bool {
        // Relaxed: constant while the envelope is out.
        self.word.load(Ordering::Relaxed) & ASK != 0
    }

    /// The deadline of an ask, as the sweeper keeps it; 0 without an ask.
    #[inline]
    pub(crate) fn asked_until(&self) -> u64 {
        // Relaxed: written before the envelope was sent; the sweeper only turns a length into a time.
        if self.is_ask() { self.deadline.load(Ordering::Relaxed) } else { 0 }
    }

    /// A number of this slot that no other slot of its pool has (up to 256 GiB of them).
    pub(crate) fn number(&self) -> u32 {
        Guard::number(self)
    }

    /// True if the message carries metadata.
    #[inline]
    pub(crate) fn has_metadata(&self) -> bool {
        // Relaxed: constant while the envelope is out.
        self.word.load(Ordering::Relaxed) & METADATA != 0
    }

    /// Gives the message metadata, in place of any it has.
    ///
    /// # Safety
    /// The caller has the envelope's share, and if the message had no metadata before, nobody else has one, and it has no stamp.
    #[cold]
    pub(crate) unsafe fn set_metadata(&self, metadata: Metadata) {
        let new = Extra { metadata: ManuallyDrop::new(metadata) };
        // SAFETY: the caller's promise; only the envelope touches the extra while it is out.
        let mut old = unsafe { self.extra.with_mut(|place| std::mem::replace(&mut *place, new)) };
        if self.has_metadata() {
            // SAFETY: it was metadata, and is not in the slot any more.
            unsafe { ManuallyDrop::drop(&mut old.metadata) };
        } else {
            // Relaxed: nobody else has a share.
            self.word.fetch_or(METADATA, Ordering::Relaxed);
        }
    }

    /// The message's metadata.
    ///
    /// # Safety
    /// The caller has the envelope's share.
    #[cold]
    pub(crate) unsafe fn metadata(&self) -> Option<Metadata> {
        // SAFETY: as in `set_metadata`; it is metadata by the word.
        self.has_metadata().then(|| unsafe { self.extra.with(|place| Metadata::clone(&(*place).metadata)) })
    }

    /// Says when the message was sent.
    ///
    /// # Safety
    /// As `set_metadata`, for a message without metadata.
    #[cold]
    pub(crate) unsafe fn set_stamp(&self, stamp: u64) {
        // SAFETY: as in `set_metadata`.
        unsafe { self.extra.with_mut(|place| *place = Extra { stamp }) };
        // Relaxed: nobody else has a share.
        self.word.fetch_or(STAMP, Ordering::Relaxed);
    }

    /// When the message was sent, if that was noted.
    ///
    /// # Safety
    /// As `metadata`.
    #[inline]
    pub(crate) unsafe fn stamp(&self) -> Option<u64> {
        // Relaxed: constant while the envelope is out.
        let has_stamp = self.word.load(Ordering::Relaxed) & STAMP != 0;
        // SAFETY: as in `metadata`; it is a stamp by the word.
        has_stamp.then(|| unsafe { self.extra.with(|place| (*place).stamp) })
    }

    /// True if the ask is over before it was handled: its deadline has passed, or its asker is gone.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        // Relaxed: nothing is read on the strength of it.
        self.word.load(Ordering::Relaxed) & DONE != 0
    }

    /// The envelope's end of an ask: publishes its fate, and gives up its share. After this the slot is the asker's.
    ///
    /// `None` if somebody else has ended the ask before; then the envelope still has its share.
    pub(crate) fn publish(&self, fate: Fate) -> Option<Wake> {
        self.end(fate, ENVELOPE)
    }

    /// The word of an open ask, for the sweeper.
    pub(crate) fn open_word(&self) -> Option<u64> {
        // Acquire: with `open`'s Release.
        let word = self.word.load(Ordering::Acquire);
        (word & (ASKER | DONE) == ASKER).then_some(word)
    }

    /// The sweeper's end of the ask that had this word, whatever its waker is by now. `None` if it is over.
    ///
    /// (And `None` by chance, if the waker's number has carried at this very moment.)
    pub(crate) fn end_open(&self, word: u64, fate: Fate) -> Option<Wake> {
        // A later message in the slot is no ask yet, or one with another number.
        let same = |now: u64| now & ASKER != 0 && now >> ASK_SHIFT == word >> ASK_SHIFT;
        self.end_while(word, fate, 0, |now| same(now) && !bug("one try is enough for the sweeper"))
    }

    fn end(&self, fate: Fate, share: u64) -> Option<Wake> {
        // Acquire: with the Release of `open` and `rewake`, for the waker.
        self.end_while(self.word.load(Ordering::Acquire), fate, share, |_| true)
    }

    fn end_while(&self, mut word: u64, fate: Fate, share: u64, wanted: impl Fn(u64) -> bool) -> Option<Wake> {
        while word & DONE == 0 {
            match self.end_from(word, fate, share) {
                Ok(wake) => return Some(wake),
                Err(now) if wanted(now) => word = now,
                Err(_) => return None,
            }
        }
        None
    }

    fn end_from(&self, word: u64, fate: Fate, share: u64) -> Result<Wake, u64> {
        // Read before the exchange: after it, the slot may belong to somebody else.
        let waker = if word & BUSY == 0 { Some(self.waker()) } else { None };
        let next = (word & !share) | DONE | fate.bits();
        if bug("the waker taken after publishing") {
            self.word.compare_exchange(word, next, Ordering::AcqRel, Ordering::Acquire)?;
            let waker = self.waker();
            // SAFETY: that it is not, is the bug.
            return Ok(Wake(Some(unsafe { waker.into_waker() })));
        }
        if bug("an ask ended without an exchange") {
            self.word.store(next, Ordering::Release);
            // SAFETY: that nobody else has it, is what the bug is about.
            return Ok(Wake(waker.map(|waker| unsafe { waker.into_waker() })));
        }
        // Release: publishes the reply to the asker's Acquire in `look`. Acquire: on failure, as in `end`.
        self.word.compare_exchange(word, next, Ordering::AcqRel, Ordering::Acquire)?;
        // SAFETY: the word was `word` from before the read until the exchange, which only one party wins.
        Ok(Wake(waker.map(|waker| unsafe { waker.into_waker() })))
    }

    /// The envelope gives up its share of an ask that somebody else has ended. True if the slot is to be freed.
    pub(crate) fn leave_envelope(&self) -> bool {
        if bug("the envelope leaves without looking") {
            return true;
        }
        // AcqRel: the second to leave sees all that the first did with the slot.
        self.word.fetch_and(!ENVELOPE, Ordering::AcqRel) & ASKER == 0
    }

    /// The asker looks whether the ask has ended, and leaves this waker if it is still open. The word, if it has ended: for
    /// `leave_ended`.
    pub(crate) fn look(&self, waker: &Waker) -> Option<u64> {
        // Acquire: with the Release in `end_from`, for the reply.
        let mut word = self.word.load(Ordering::Acquire);
        while word & DONE == 0 {
            if self.waker() == WakerBits::of(waker) {
                return None;
            }
            match self.rewake(word, waker) {
                Ok(()) => return None,
                Err(now) => word = now,
            }
        }
        Some(word)
    }

    /// The asker is dropped. True if the slot is to be freed, and the fate, if there is one.
    pub(crate) fn leave_asker(&self) -> (bool, Option<Fate>) {
        let mut word = self.word.load(Ordering::Acquire);
        while word & DONE == 0 {
            let waker = self.waker();
            let next = (word & !ASKER) | DONE | Fate::Cancelled.bits();
            // AcqRel: as in `end_from`.
            match self.word.compare_exchange(word, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    // SAFETY: as in `end_from`.
                    drop_waker(Some(unsafe { waker.into_waker() }));
                    return (false, None);
                }
                Err(now) => word = now,
            }
        }
        match self.leave_ended(word) {
            End::Mine(fate) => (true, Some(fate)),
            End::Over(_) => (false, None),
        }
    }

    /// The asker has seen the end, with this word, and gives up its share unless it is the last.
    pub(crate) fn leave_ended(&self, word: u64) -> End {
        let fate = Fate::of(word);
        if word & ENVELOPE == 0 {
            return End::Mine(fate);
        }
        // AcqRel: as in `leave_envelope`.
        if self.word.fetch_and(!ASKER, Ordering::AcqRel) & ENVELOPE == 0 {
            return End::Mine(fate);
        }
        End::Over(fate)
    }

    /// Changes the waker of an open ask. `Err` with the word if it has been ended meanwhile.
    fn rewake(&self, word: u64, waker: &Waker) -> Result<(), u64> {
        // Before the slot is busy: it is code of the user, which may panic, and while it runs others may end the ask.
        let new = waker.clone();
        let busy = if bug("the waker changed in place") { word } else { word | BUSY };
        // Acquire: later reads and writes of the waker stay behind it.
        self.word.compare_exchange(word, busy, Ordering::AcqRel, Ordering::Acquire)?;
        let old = self.waker();
        self.put_waker(new);
        let next = if bug("the waker changed in place") { word } else { word.wrapping_add(WAKER) };
        // Release: publishes the new waker to whoever ends the ask. Nobody exchanges the word of a busy ask but to end
        // it, and then without touching the waker.
        let changed = self.word.compare_exchange(busy, next, Ordering::AcqRel, Ordering::Acquire);
        // SAFETY: while busy, both wakers are the asker's; the old one was replaced in the slot.
        drop_waker(Some(unsafe { old.into_waker() }));
        if changed.is_err() {
            // SAFETY: the ask was ended while busy, so nobody else takes the new waker.
            drop_waker(Some(unsafe { self.waker().into_waker() }));
        }
        changed.map(|_| ())
    }

    fn waker(&self) -> WakerBits {
        // Relaxed: ordered by the word, see the type's documentation.
        WakerBits(self.waker_data.load(Ordering::Relaxed), self.waker_vtable.load(Ordering::Relaxed))
    }

    fn put_waker(&self, waker: Waker) {
        let bits = WakerBits::of(&waker);
        std::mem::forget(waker);
        // Relaxed: published with the word.
        self.waker_data.store(bits.0, Ordering::Relaxed);
        self.waker_vtable.store(bits.1, Ordering::Relaxed);
    }
}

/// Gives a slot back to its pool.
///
/// # Safety
/// The pointer came from `Guard::into_raw`, and the caller has the last share of the slot.
#[inline]
pub(crate) unsafe fn free(slot: NonNull<MessageSlot>) {
    // SAFETY: the caller's promise.
    let guard = unsafe { Guard::from_raw(slot) };
    // Relaxed: nobody else has a share. The sweeper does not exchange a word without an asker.
    let word = guard.word.load(Ordering::Relaxed);
    if word & METADATA != 0 {
        // SAFETY: the last share; it is metadata by the word, which forgets it below.
        unsafe { guard.extra.with_mut(|place| ManuallyDrop::drop(&mut (*place).metadata)) };
    }
    if word & (ASK | METADATA | STAMP | STATE) != 0 {
        guard.word.store((word & !(WAKER - 1)) | ENVELOPE, Ordering::Relaxed);
    }
}
