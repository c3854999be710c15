//! The two halves of a message in a slot: the envelope, which travels, and the asker, which waits.
//!
//! All unsafe dealings with payloads are here. Each half is an owned value whose `Drop` gives up its share, so no
//! message and no reply can be leaked, dropped twice or read by the wrong party.

use std::any::{Any, TypeId, type_name};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::task::{Context as Task, Poll};

use mycelia_pool::{Exhausted, Guard, Pool};

use crate::actor::Actor;
use crate::context::Context;
use crate::handler::Handler;
use crate::slot::{self, Fate, INLINE_ALIGN, INLINE_SIZE, Look, MessageSlot};
use crate::space::{PlacedDyn, Space};
use crate::subsystem::Subsystem;

/// A pool of messages. Each runtime has one.
pub(crate) type Slots = Pool<MessageSlot>;

/// What can be done with a message of a forgotten type. One per subsystem and message, in static memory.
pub(crate) struct Table {
    message_type: fn() -> &'static str,
    drop_message: unsafe fn(*mut u8),
    drop_reply: unsafe fn(*mut u8),
    take_message: unsafe fn(*mut u8) -> Box<dyn Any + Send>,
}

/// The table and how to handle the message, which takes a subsystem of type `S`.
#[repr(C)]
struct HandlingTable<S: Subsystem> {
    table: Table,
    message_id: fn() -> TypeId,
    run: Run<S, Held>,
    /// How many messages of this type may be handled at once, and how, if that is more than one.
    batch: usize,
    run_batch: Run<S, Vec<Held>>,
}

/// Starts to handle the message in a slot, or several. `None` if the handler was done at the first poll.
///
/// The lifetimes say that the future in the space borrows all that the handler was given.
type Run<S, H> = for<'a> unsafe fn(
    H,
    &'a mut S,
    &'a mut Context<S>,
    &'a mut Space,
    &mut Task<'_>,
) -> Option<PlacedDyn<'a>>;

/// A value in a payload: inside if it fits, in a box if not.
struct Stored<T>(PhantomData<T>);

impl<T> Stored<T> {
    const INLINE: bool = size_of::<T>() <= INLINE_SIZE && align_of::<T>() <= INLINE_ALIGN;

    /// # Safety
    /// `payload` is valid for writes of a payload, and holds nothing.
    #[inline]
    unsafe fn write(payload: *mut u8, value: T) {
        // SAFETY: checked to fit, or a box, which does.
        unsafe {
            if Self::INLINE {
                payload.cast::<T>().write(value);
            } else {
                payload.cast::<Box<T>>().write(Box::new(value));
            }
        }
    }

    /// # Safety
    /// `payload` holds a `T` from `write`, which is moved out.
    #[inline]
    unsafe fn read(payload: *mut u8) -> T {
        // SAFETY: the caller's promise.
        unsafe { if Self::INLINE { payload.cast::<T>().read() } else { *payload.cast::<Box<T>>().read() } }
    }

    /// # Safety
    /// As `read`.
    unsafe fn drop(payload: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe {
            if Self::INLINE {
                payload.cast::<T>().drop_in_place()
            } else {
                payload.cast::<Box<T>>().drop_in_place()
            }
        }
    }
}

struct Tables<S, M, R>(PhantomData<(S, M, R)>);

impl<S: Handler<M>, M: Send + 'static> Tables<S, M, S::Reply> {
    const HANDLING: &'static HandlingTable<S> = &HandlingTable {
        table: Tables::<(), M, S::Reply>::TABLE,
        message_id: TypeId::of::<M>,
        run: run::<S, M>,
        batch: S::BATCH,
        run_batch: run_batch::<S, M>,
    };
}

impl<M: Send + 'static, R: Send + 'static> Tables<(), M, R> {
    const TABLE: Table = Table {
        message_type: type_name::<M>,
        drop_message: Stored::<M>::drop,
        drop_reply: Stored::<R>::drop,
        // SAFETY: the caller's promise is that of `read`.
        take_message: |payload| Box::new(unsafe { Stored::<M>::read(payload) }),
    };
    const REPLY_ONLY: &'static Table = &Self::TABLE;
}

/// The slot of a message in hand, as the handler's future has it.
#[derive(Clone, Copy)]
struct Held(NonNull<MessageSlot>);

// SAFETY: it stands for the share of an `InHand`, which is `Send`.
unsafe impl Send for Held {}

impl Held {
    /// # Safety
    /// The slot holds a message of type `M`, which is moved out, and the share is held.
    #[inline]
    unsafe fn message<M>(self) -> M {
        // SAFETY: the caller's promise.
        unsafe { self.0.as_ref().payload.with_mut(|payload| Stored::<M>::read(payload.cast())) }
    }

    /// Leaves the reply for the `InHand` to publish, if there is an asker; else drops it.
    ///
    /// # Safety
    /// The message is out, the reply is of the table's type, and the share is held.
    #[inline]
    unsafe fn reply<R>(self, reply: R, actor: &Actor) {
        // SAFETY: the caller's promise; until the envelope publishes, the payload is its own.
        unsafe {
            let slot = self.0.as_ref();
            if slot.is_ask() {
                slot.payload.with_mut(|payload| Stored::write(payload.cast(), reply));
            } else if std::mem::needs_drop::<R>() {
                actor.drop_contained(reply);
            }
        }
    }
}

/// # Safety
/// The slot holds a message of type `M`, which this takes. Its `InHand` stays until the future is gone.
unsafe fn run<'a, S: Handler<M>, M: Send + 'static>(
    held: Held,
    state: &'a mut S,
    cx: &'a mut Context<S>,
    space: &'a mut Space,
    task: &mut Task<'_>,
) -> Option<PlacedDyn<'a>> {
    // `handle` is called inside the future, for it may panic before there is one of its own.
    let mut placed = space.place(async move {
        // SAFETY: the caller's promise; this is the first thing to happen, at the poll below.
        let message = unsafe { held.message() };
        let reply = state.handle(message, cx).await;
        // SAFETY: the caller's promise; `S::Reply` is what the table was made for.
        unsafe { held.reply(reply, cx.address().actor()) };
    });
    match placed.as_mut().poll(task) {
        Poll::Ready(()) => None,
        Poll::Pending => Some(placed.erase()),
    }
}

/// # Safety
/// As [`run`], for each slot.
unsafe fn run_batch<'a, S: Handler<M>, M: Send + 'static>(
    held: Vec<Held>,
    state: &'a mut S,
    cx: &'a mut Context<S>,
    space: &'a mut Space,
    task: &mut Task<'_>,
) -> Option<PlacedDyn<'a>> {
    let mut placed = space.place(async move {
        // SAFETY: as in `run`.
        let messages = held.iter().map(|held| unsafe { held.message() }).collect();
        let replies = state.handle_batch(messages, cx).await;
        let (given, messages) = (replies.len(), held.len());
        assert!(
            given == messages,
            "`handle_batch` gave {given} replies to {messages} messages of type `{}`",
            type_name::<M>()
        );
        for (held, reply) in held.iter().zip(replies) {
            // SAFETY: as in `run`.
            unsafe { held.reply(reply, cx.address().actor()) };
        }
    });
    match placed.as_mut().poll(task) {
        Poll::Ready(()) => None,
        Poll::Pending => Some(placed.erase()),
    }
}

/// A message on its way. Whoever has it has the message, and if it is an ask, the duty to say what became of it.
pub(crate) struct Envelope {
    slot: NonNull<MessageSlot>,
}

// SAFETY: an envelope owns its message, which is `Send`, and the share of a slot that is made for threads.
unsafe impl Send for Envelope {}

impl Envelope {
    /// Puts a message for a subsystem of type `S` into a slot.
    #[inline]
    pub(crate) fn new<S: Handler<M>, M: Send + 'static>(
        pool: &Slots,
        message: M,
    ) -> Result<Self, (M, Exhausted)> {
        // The whole of the larger table stays in reach of the pointer.
        Self::with_table(pool, NonNull::from(Tables::<S, M, S::Reply>::HANDLING).cast(), message)
    }

    #[inline]
    fn with_table<M>(pool: &Slots, table: NonNull<Table>, message: M) -> Result<Self, (M, Exhausted)> {
        let guard = match pool.acquire() {
            Ok(guard) => guard,
            Err(exhausted) => return Err((message, exhausted)),
        };
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
        Asker { slot: self.slot, reply: PhantomData }
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

    /// The name of the message's type.
    pub(crate) fn message_type(&self) -> &'static str {
        (self.table().message_type)()
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
    pub(crate) unsafe fn is_like<S: Subsystem>(&self, other: &Self) -> bool {
        // SAFETY: the caller's promise.
        unsafe {
            (handling_table::<S>(self.slot).message_id)() == (handling_table::<S>(other.slot).message_id)()
        }
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

/// # Safety
/// A share of the slot is held, and its message was put there for a subsystem of type `S`.
#[inline]
unsafe fn handling_table<S: Subsystem>(slot: NonNull<MessageSlot>) -> &'static HandlingTable<S> {
    // SAFETY: the caller's promise; `Envelope::new` points to the whole of the larger table.
    unsafe { slot.as_ref().table.with(|table| *table).cast::<HandlingTable<S>>().as_ref() }
}

/// The messages that a handler is given at once: one, as a rule.
pub(crate) enum Hands {
    None,
    One(InHand),
    Many(Box<Many>),
}

/// Several messages in hand. In a box, so that they take no room where there is one.
pub(crate) struct Many(Vec<InHand>);

impl Hands {
    /// From here on the message is the handler's.
    #[inline]
    pub(crate) fn one(envelope: Envelope) -> Self {
        Self::One(envelope.into_in_hand())
    }

    /// As `one`, for messages of one type.
    pub(crate) fn many(envelopes: Vec<Envelope>) -> Self {
        Self::Many(Box::new(Many(envelopes.into_iter().map(Envelope::into_in_hand).collect())))
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
                let hands = &many.0;
                let held = hands.iter().map(|hand| Held(hand.slot)).collect();
                let first = hands.first()?;
                // SAFETY: as above; all are of one type.
                unsafe { (handling_table::<S>(first.slot).run_batch)(held, state, cx, space, task) }
            }
            Self::None => None,
        }
    }

    #[inline]
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(_) => 1,
            Self::Many(many) => many.0.len(),
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
            Self::Many(many) => many.0.into_iter().for_each(work),
        }
    }
}

/// What is left of an envelope when its message has been taken out: the duty to answer.
pub(crate) struct InHand {
    slot: NonNull<MessageSlot>,
}

// SAFETY: as for `Envelope`; there is no message, and a reply is `Send`.
unsafe impl Send for InHand {}
// SAFETY: a `&InHand` gives the slot's address and the name of its message's type.
unsafe impl Sync for InHand {}

impl InHand {
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

    /// The name of the message's type.
    pub(crate) fn message_type(&self) -> &'static str {
        // SAFETY: as in `Envelope::table`.
        (unsafe { self.slot.as_ref().table.with(|table| *table).as_ref() }.message_type)()
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
            Some(wake) => wake.now(),
            None => drop(Leave(this.slot)),
        }
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        InHand { slot: self.slot }.end(Fate::Unanswered);
    }
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
        let envelope = Envelope::with_table(pool, NonNull::from(Tables::<(), (), R>::REPLY_ONLY), ())
            .map_err(|((), exhausted)| exhausted)?;
        let asker = envelope.ask(task, deadline);
        Ok((Self { in_hand: envelope.into_in_hand(), reply: PhantomData }, asker))
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
        self.in_hand.reply();
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
    /// The reply, or why there is none; then the asker is gone.
    ///
    /// # Panics
    /// If the asker is gone.
    #[inline]
    pub(crate) fn poll(asker: &mut Option<Self>, task: &mut Task<'_>) -> Poll<Result<R, Fate>> {
        let Some(this) = asker else { panic!("an ask was polled after it was ready") };
        let slot = this.slot;
        // SAFETY: valid while a share is held.
        let look = unsafe { slot.as_ref() }.look(task.waker());
        if matches!(look, Look::Open) {
            return Poll::Pending;
        }
        std::mem::forget(asker.take());
        Poll::Ready(match look {
            Look::Mine(Fate::Replied) => {
                // SAFETY: the last share; the envelope left a reply, and its type is `R` by the typed halves.
                let reply =
                    unsafe { slot.as_ref().payload.with_mut(|payload| Stored::<R>::read(payload.cast())) };
                // SAFETY: the last share, and the payload is empty.
                unsafe { slot::free(slot) };
                Ok(reply)
            }
            Look::Mine(fate) => {
                // SAFETY: the last share, and the payload is empty.
                unsafe { slot::free(slot) };
                Err(fate)
            }
            Look::Over(fate) => Err(fate),
            Look::Open => unreachable!("returned above"),
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
