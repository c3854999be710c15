//! The two halves of a message in a slot: the envelope, which travels, and the asker, which waits.
//!
//! With `table` the room of all unsafe dealings with payloads. Each half is an owned value whose `Drop` gives up its share,
//! so no message and no reply can be leaked, dropped twice or read by the wrong party.

use std::any::{Any, type_name};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::task::{Context as Task, Poll};

use mycelia_core::{contain, wake_all};
use mycelia_pool::{Exhausted, Guard, Pool};

use crate::ambient::Ambient;
use crate::context::Context;
use crate::cycle::Mark;
use crate::messages_in_hand::{MessageInHand, MessagesInHand};
use crate::metadata::Metadata;
use crate::reply_to::ReplyTo;
use crate::slot::{self, End, Fate, MessageSlot, Wake};
use crate::space::{PlacedDyn, Space};
use crate::subsystem::Subsystem;
use crate::table::{Held, Kind, Stored, Table, TableOf, handling_table, reply_only};

/// A pool of messages. Each runtime has one.
pub(crate) type Slots = Pool<MessageSlot>;

/// A message on its way. Whoever has it has the message, and if it is an ask, the duty to say what became of it.
pub(crate) struct Envelope {
    slot: NonNull<MessageSlot>,
}

// SAFETY: an envelope owns its message, which is `Send`, and the share of a slot that is made for threads.
unsafe impl Send for Envelope {}

impl Envelope {
    /// Puts a message for a subsystem of type `S` into a slot. Its asker, if there will be one, gets the reply as the table says.
    #[inline]
    pub(crate) fn new<S: Subsystem, M: Send + 'static>(
        pool: &Slots,
        table: &'static TableOf<S, M>,
        message: M,
    ) -> Result<Self, (M, Exhausted)> {
        Self::with_table(pool, table.forget_types(), message, type_name::<M>())
    }

    /// Says what the message is sent with, before anybody else knows of it.
    #[cold]
    pub(crate) fn set_metadata(&self, metadata: Metadata) {
        // SAFETY: nobody else knows of this message yet, and it has no stamp.
        unsafe { self.slot().set_metadata(metadata) };
    }

    /// True if the message is neither an ask nor was sent with metadata.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.slot().is_plain()
    }

    /// Says for which state of its subsystem the message is, before it is sent.
    pub(crate) fn set_state(&self, state: u64) {
        self.slot().set_state(state);
    }

    /// For which state of its subsystem the message is, if it is for one only.
    pub(crate) fn state(&self) -> Option<u64> {
        self.slot().state()
    }

    /// Notes when the message was sent, before anybody else knows of it; for one without metadata, which has a place of its own
    /// for that.
    #[cold]
    pub(crate) fn set_stamp(&self, stamp: u64) {
        if !self.slot().has_metadata() {
            // SAFETY: as above, and it has no metadata.
            unsafe { self.slot().set_stamp(stamp) };
        }
    }

    /// True if it was noted when the message was sent.
    #[cold]
    pub(crate) fn has_stamp(&self) -> bool {
        // SAFETY: this is the envelope's share.
        unsafe { stamp(self.slot()) }.is_some()
    }

    /// True if the message was sent on behalf of a caller.
    #[inline]
    pub(crate) fn has_caller(&self) -> bool {
        self.metadata().is_some_and(|metadata| metadata.caller().is_some())
    }

    /// What the message was sent with.
    #[inline]
    pub(crate) fn metadata(&self) -> Option<Metadata> {
        // SAFETY: this is the envelope's share.
        if self.slot().has_metadata() { unsafe { self.slot().metadata() } } else { None }
    }

    #[inline]
    fn with_table<M>(
        pool: &Slots,
        table: NonNull<Table>,
        message: M,
        label: &'static str,
    ) -> Result<Self, (M, Exhausted)> {
        let guard = match pool.acquire() {
            Ok(guard) => guard,
            Err(exhausted) => return Err((message, exhausted)),
        };
        Guard::label(&guard, label);
        // SAFETY: a slot fresh from the pool is nobody else's and holds nothing.
        unsafe {
            guard.table.with_mut(|place| *place = table);
            guard.payload.with_mut(|payload| Stored::write(payload.cast(), message));
        }
        Ok(Self { slot: Guard::into_raw(guard) })
    }

    /// Makes it an ask, before anybody else knows of it.
    pub(crate) fn ask<R>(&self, task: &Task<'_>, deadline: u64) -> Asker<R> {
        self.slot().open(task.waker(), deadline);
        // SAFETY: the envelope has its slot. After `open`: from here on a sweeper finds it.
        unsafe { Guard::note_raw(self.slot) };
        Asker { slot: self.slot, reply: PhantomData }
    }

    /// Which slot it is in.
    pub(crate) fn slot_number(&self) -> u32 {
        self.slot().number()
    }

    /// The message back, unhandled. For an ask, the asker must be gone.
    ///
    /// # Safety
    /// The message is of type `M`.
    pub(crate) unsafe fn into_message<M>(self) -> M {
        // SAFETY: the caller's promise; the envelope has its message, and is taken apart right after.
        let message = unsafe { self.slot().payload.with_mut(|payload| Stored::<M>::read(payload.cast())) };
        drop(self.into_in_hand());
        message
    }

    /// The message in a box. What is left of the envelope says what became of it.
    pub(crate) fn take(self) -> (Box<dyn Any + Send>, InHand) {
        let take = self.table().take_message;
        // SAFETY: the envelope has its message, of the table's type.
        let message = unsafe { self.slot().payload.with_mut(|payload| take(payload.cast())) };
        (message, self.into_in_hand())
    }

    pub(crate) fn kind(&self) -> Kind {
        self.table().kind
    }

    /// True if nobody wants this message handled any more.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.slot().is_over()
    }

    /// How many messages of this type its handler takes at once.
    ///
    /// # Safety
    /// As [`Hands::run`].
    #[inline]
    pub(crate) unsafe fn batch<S: Subsystem>(&self) -> usize {
        // SAFETY: the caller's promise.
        unsafe { handling_table::<S>(self.slot) }.batch
    }

    /// True if the two messages are of one type.
    ///
    /// # Safety
    /// As [`Hands::run`].
    #[inline]
    pub(crate) unsafe fn is_like<S: Subsystem>(&self, other: &Self) -> bool {
        // SAFETY: the caller's promise.
        let (own, other) = unsafe { (handling_table::<S>(self.slot), handling_table::<S>(other.slot)) };
        // One table is of one type; but one type may have several.
        ptr::eq(own, other) || (own.message_id)() == (other.message_id)()
    }

    /// Says to the asker what became of the message, and drops it: in this order, for a `ReplyTo` in the message would tell
    /// its asker less.
    pub(crate) fn lose(self, fate: Fate) {
        if self.slot().is_ask() {
            let (message, in_hand) = self.take();
            in_hand.end(fate);
            drop(message);
        }
    }

    #[inline]
    fn into_in_hand(self) -> InHand {
        InHand { slot: ManuallyDrop::new(self).slot }
    }

    fn drop_message(&self) {
        let drop = self.table().drop_message;
        // SAFETY: the envelope has its message, of the table's type; the callers end the envelope right after.
        unsafe { self.slot().payload.with_mut(|payload| drop(payload.cast())) };
    }

    #[inline]
    fn slot(&self) -> &MessageSlot {
        // SAFETY: valid while a share is held.
        unsafe { self.slot.as_ref() }
    }

    fn table(&self) -> &'static Table {
        // SAFETY: written at the start, and the envelope's until it gives its share up.
        unsafe { self.slot().table.with(|table| *table).as_ref() }
    }
}

impl Drop for Envelope {
    fn drop(&mut self) {
        // Ends the asker even if the message's own drop panics.
        let _end = InHand { slot: self.slot };
        self.drop_message();
    }
}

/// When the message was sent, if that was noted: in the metadata, if there is any.
///
/// # Safety
/// The caller has the envelope's share.
unsafe fn stamp(slot: &MessageSlot) -> Option<u64> {
    // SAFETY: the caller's promise.
    unsafe { slot.stamp().or_else(|| slot.metadata()?.stamp()) }
}

/// The messages that a handler is given at once: one, as a rule.
pub(crate) enum Hands {
    None,
    One(InHand),
    Many(Box<Many>),
}

/// Several messages in hand. In a box, so that they take no room where there is one.
pub(crate) struct Many {
    hands: Vec<InHand>,
    /// What they were sent with, if there are several and any has metadata or an asker.
    sent_with: Option<Arc<MessagesInHand>>,
}

impl Hands {
    /// From here on the message is the handler's.
    #[inline]
    pub(crate) fn one(envelope: Envelope) -> Self {
        Self::One(envelope.into_in_hand())
    }

    /// As `one`, for messages of one type.
    pub(crate) fn many(envelopes: Vec<Envelope>) -> Self {
        let hands = envelopes.into_iter().map(Envelope::into_in_hand).collect();
        Self::Many(Box::new(Many { hands, sent_with: None }))
    }

    /// Starts the handler. The messages are then taken, whatever happens to the future.
    ///
    /// # Safety
    /// The envelopes were made for a subsystem of type `S`: `Address<S>` and the recipients made from it are the only
    /// ones to put envelopes into the mailbox that the run loop of an `S` reads. These hands are run once, and kept until
    /// the future is gone.
    #[inline]
    pub(crate) unsafe fn run<'a, S: Subsystem>(
        &self,
        state: &'a mut S,
        cx: &'a mut Context<S>,
        space: &'a mut Space,
        task: &mut Task<'_>,
    ) -> Option<PlacedDyn<'a>> {
        match self {
            // SAFETY: the caller's promise; the message is of the table's type, and still in the slot.
            Self::One(hand) => unsafe {
                (handling_table::<S>(hand.slot).run)(Held(hand.slot), state, cx, space, task)
            },
            Self::Many(many) => {
                let hands = &many.hands;
                let held = hands.iter().map(|hand| Held(hand.slot)).collect();
                let first = hands.first()?;
                // SAFETY: as above; all are of one type.
                unsafe { (handling_table::<S>(first.slot).run_batch)(held, state, cx, space, task) }
            }
            Self::None => None,
        }
    }

    /// What the handler is called with.
    #[inline]
    pub(crate) fn ambient(&self) -> Option<Ambient> {
        match (self.single(), self) {
            (Some(hand), _) => {
                if hand.slot().has_metadata() {
                    hand.metadata().map(Ambient::One)
                } else {
                    None
                }
            }
            (None, Self::Many(many)) => many.sent_with.clone().map(Ambient::Batch),
            (None, _) => None,
        }
    }

    /// True if there is metadata or a stamp; or, of several, an asker.
    #[inline]
    pub(crate) fn is_dressed(&self) -> bool {
        match self {
            Self::None => false,
            Self::One(hand) => hand.slot().is_dressed(),
            Self::Many(many) => many.hands.iter().any(|hand| !hand.slot().is_plain()),
        }
    }

    #[inline]
    fn single(&self) -> Option<&InHand> {
        match self {
            Self::One(hand) => Some(hand),
            Self::Many(many) if many.hands.len() == 1 => many.hands.first(),
            Self::Many(_) | Self::None => None,
        }
    }

    /// The deadline of the one ask in hand, as it is in its slot; 0 without one. (Those of several are in what these were sent with.)
    #[inline]
    pub(crate) fn asked_until(&self) -> u64 {
        self.single().map_or(0, InHand::asked_until)
    }

    /// All of them, in order.
    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &InHand> + Clone {
        match self {
            Self::None => [].iter(),
            Self::One(hand) => std::slice::from_ref(hand).iter(),
            Self::Many(many) => many.hands.iter(),
        }
    }

    /// The message in hand, if there is one only.
    pub(crate) fn single_mut(&mut self) -> Option<&mut InHand> {
        match self {
            Self::One(hand) => Some(hand),
            Self::Many(many) if many.hands.len() == 1 => many.hands.first_mut(),
            Self::Many(_) | Self::None => None,
        }
    }

    /// Replaces what each of several messages was sent with by what its handler runs with, which `begin` says.
    #[cold]
    pub(crate) fn begin_each(
        &mut self,
        begin: impl FnMut(&InHand) -> MessageInHand,
    ) -> Option<Arc<MessagesInHand>> {
        let Self::Many(many) = self else { return None };
        let each: Box<[MessageInHand]> = many.hands.iter().map(begin).collect();
        if each.iter().all(|message| message.metadata.is_none() && message.deadline.is_none()) {
            return None;
        }
        many.hands
            .iter_mut()
            .zip(&each)
            .for_each(|(hand, message)| hand.set_metadata(message.metadata.as_ref()));
        many.sent_with = Some(Arc::new(MessagesInHand::new(each)));
        many.sent_with.clone()
    }

    #[inline]
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(_) => 1,
            Self::Many(many) => many.hands.len(),
        }
    }

    #[inline]
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::None)
    }

    #[inline]
    pub(crate) fn for_each(self, mut work: impl FnMut(InHand)) {
        match self {
            Self::None => {}
            Self::One(hand) => work(hand),
            Self::Many(many) => many.hands.into_iter().for_each(work),
        }
    }
}

/// What is left of an envelope when its message has been taken out: the duty to answer.
pub(crate) struct InHand {
    slot: NonNull<MessageSlot>,
}

// SAFETY: as for `Envelope`; there is no message, and a reply is `Send`.
unsafe impl Send for InHand {}
// SAFETY: a `&InHand` gives the slot's address, the kind of its message, its deadline and stamp, and a copy of its metadata,
// which is `Sync` and written through `&mut InHand` only.
unsafe impl Sync for InHand {}

impl InHand {
    #[inline]
    fn slot(&self) -> &MessageSlot {
        // SAFETY: valid while a share is held.
        unsafe { self.slot.as_ref() }
    }

    /// What the message was sent with; from when its handler has begun, what that runs with.
    #[cold]
    pub(crate) fn metadata(&self) -> Option<Metadata> {
        // SAFETY: this is the envelope's share.
        unsafe { self.slot().metadata() }
    }

    /// Replaces it, if there is any.
    #[cold]
    pub(crate) fn set_metadata(&mut self, metadata: Option<&Metadata>) {
        if let Some(metadata) = metadata.filter(|_| self.slot().has_metadata()) {
            // SAFETY: this is the envelope's share, borrowed for nobody else, and there was metadata before.
            unsafe { self.slot().set_metadata(metadata.clone()) };
        }
    }

    /// The deadline of the ask, as it is in its slot; 0 without one.
    #[inline]
    pub(crate) fn asked_until(&self) -> u64 {
        self.slot().asked_until()
    }

    /// When the message was sent, if that was noted.
    #[cold]
    pub(crate) fn stamp(&self) -> Option<u64> {
        // SAFETY: this is the envelope's share.
        unsafe { stamp(self.slot()) }
    }

    /// The handler has returned: its reply (in the slot) goes to the asker, if there is one.
    #[inline]
    pub(crate) fn reply(self) {
        let this = ManuallyDrop::new(self);
        // SAFETY: valid while a share is held.
        let slot = unsafe { this.slot.as_ref() };
        if !slot.is_ask() {
            // SAFETY: the only share of a slot without an asker.
            return unsafe { slot::free(this.slot) };
        }
        match slot.publish(Fate::Replied) {
            Some(wake) => wake.now(),
            None => {
                let _leave = Leave(this.slot);
                // SAFETY: the reply was written, of the table's type, and not published.
                unsafe {
                    let drop = slot.table.with(|table| *table).as_ref().drop_reply;
                    slot.payload.with_mut(|payload| drop(payload.cast()));
                }
            }
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        // SAFETY: as in `Envelope::table`.
        unsafe { self.slot.as_ref().table.with(|table| *table).as_ref() }.kind
    }

    /// There is no reply, for this reason.
    pub(crate) fn end(self, fate: Fate) {
        let this = ManuallyDrop::new(self);
        // SAFETY: valid while a share is held.
        let slot = unsafe { this.slot.as_ref() };
        if !slot.is_ask() {
            // SAFETY: the only share.
            return unsafe { slot::free(this.slot) };
        }
        match slot.publish(fate) {
            // A waker that panics is the asker's affair.
            Some(wake) => wake_all(wake.into_waker()),
            None => drop(Leave(this.slot)),
        }
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        InHand { slot: self.slot }.end(Fate::Unanswered);
    }
}

/// True if the slot of this number holds an ask that waits for its reply.
pub(crate) fn is_open(slots: &Slots, number: u32) -> bool {
    // SAFETY: nobody ever holds a `&mut` to a slot: guards of slots are only dereferenced to `&`, and they do not recycle.
    unsafe { slots.visit_number(number, |slot| slot.open_word().is_some()) }.unwrap_or(false)
}

/// Ends the ask in the slot of this number, if it is wanted. (That is asked when the ask is known to be open.)
pub(crate) fn end_ask(slots: &Slots, number: u32, is_wanted: impl FnOnce() -> bool, fate: Fate) {
    let end = |slot: &MessageSlot| {
        slot.open_word().filter(|_| is_wanted()).and_then(|word| slot.end_open(word, fate))
    };
    // SAFETY: as in `is_open`.
    let ended = unsafe { slots.visit_number(number, end) };
    wake_all(ended.flatten().and_then(Wake::into_waker));
}

/// Gives up the envelope's share of an ask that has been ended by somebody else.
struct Leave(NonNull<MessageSlot>);

impl Drop for Leave {
    fn drop(&mut self) {
        // SAFETY: valid while a share is held; freed by the last.
        unsafe {
            if self.0.as_ref().leave_envelope() {
                slot::free(self.0);
            }
        }
    }
}

/// A promise to answer later: an envelope without a message, of known reply type.
pub(crate) struct Promise<R: Send + 'static> {
    in_hand: InHand,
    reply: PhantomData<fn(R)>,
}

impl<R: Send + 'static> Promise<R> {
    /// Both halves of a reply without a message.
    pub(crate) fn new(pool: &Slots, task: &Task<'_>, deadline: u64) -> Result<(Self, Asker<R>), Exhausted> {
        let envelope =
            Envelope::with_table(pool, NonNull::from(reply_only::<R>()), (), type_name::<ReplyTo<R>>())
                .map_err(|((), exhausted)| exhausted)?;
        let asker = envelope.ask(task, deadline);
        Ok((Self { in_hand: envelope.into_in_hand(), reply: PhantomData }, asker))
    }

    /// Which slot the answer will be in.
    pub(crate) fn slot_number(&self) -> u32 {
        self.in_hand.slot().number()
    }

    /// True if nobody waits for the answer any more.
    pub(crate) fn is_over(&self) -> bool {
        // SAFETY: valid while a share is held.
        unsafe { self.in_hand.slot.as_ref() }.is_over()
    }

    /// Says why it will not be kept.
    pub(crate) fn give_up(self, fate: Fate) {
        self.in_hand.end(fate);
    }

    /// Keeps the promise.
    pub(crate) fn keep(self, reply: R) {
        // SAFETY: valid while a share is held; the payload is the envelope's and empty until it publishes.
        unsafe {
            self.in_hand.slot.as_ref().payload.with_mut(|payload| Stored::write(payload.cast(), reply));
        }
        // The asker's waker, or the drop of a reply that comes too late, may panic: no affair of the code that replies.
        let _ = contain(|| self.in_hand.reply());
    }
}

/// Who waits for a reply.
pub(crate) struct Asker<R> {
    slot: NonNull<MessageSlot>,
    reply: PhantomData<fn() -> R>,
}

// SAFETY: the asker may take a reply `R` out on another thread, and nothing else.
unsafe impl<R: Send> Send for Asker<R> {}

impl<R> Asker<R> {
    /// The reply, or why there is none; then the asker is gone. If he is marked as waiting, the mark goes before the slot does,
    /// which may be another's at once.
    ///
    /// # Panics
    /// If the asker is gone.
    #[inline]
    pub(crate) fn poll_marked(
        asker: &mut Option<Self>,
        mark: &mut Option<Mark>,
        task: &mut Task<'_>,
    ) -> Poll<Result<R, Fate>> {
        let Some(this) = asker else { panic!("an ask was polled after it was ready") };
        let slot = this.slot;
        // SAFETY: valid while a share is held.
        let Some(ended) = unsafe { slot.as_ref() }.look(task.waker()) else { return Poll::Pending };
        *mark = None;
        std::mem::forget(asker.take());
        // SAFETY: as above.
        let end = unsafe { slot.as_ref() }.leave_ended(ended);
        Poll::Ready(match end {
            End::Mine(Fate::Replied) => {
                // SAFETY: the last share; the envelope left a reply, and its type is `R` by the typed halves.
                let reply =
                    unsafe { slot.as_ref().payload.with_mut(|payload| Stored::<R>::read(payload.cast())) };
                // SAFETY: the last share, and the payload is empty.
                unsafe { slot::free(slot) };
                Ok(reply)
            }
            End::Mine(fate) => {
                // SAFETY: the last share, and the payload is empty.
                unsafe { slot::free(slot) };
                Err(fate)
            }
            End::Over(fate) => Err(fate),
        })
    }
}

impl<R> Drop for Asker<R> {
    fn drop(&mut self) {
        // SAFETY: valid while a share is held.
        let (last, fate) = unsafe { self.slot.as_ref() }.leave_asker();
        if last {
            let _free = Free(self.slot);
            if fate == Some(Fate::Replied) {
                // SAFETY: the last share, with a reply of type `R` that nobody has read.
                unsafe { self.slot.as_ref().payload.with_mut(|payload| Stored::<R>::drop(payload.cast())) };
            }
        }
    }
}

/// Frees a slot whose payload is being dropped, even if that panics.
struct Free(NonNull<MessageSlot>);

impl Drop for Free {
    fn drop(&mut self) {
        // SAFETY: made by whoever has the last share.
        unsafe { slot::free(self.0) };
    }
}
