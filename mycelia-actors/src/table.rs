//! What can be done with a message of a forgotten type: static tables of functions, and what they call.
//!
//! With `envelope` the room of all unsafe dealings with payloads.

use std::any::{Any, TypeId, type_name};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::task::Context as Task;

use crate::actor::Actor;
use crate::context::Context;
use crate::handler::Handler;
use crate::slot::{INLINE_ALIGN, INLINE_SIZE, MessageSlot};
use crate::space::{PlacedDyn, Space};
use crate::subsystem::Subsystem;

/// What can be done with a message of a forgotten type. In static memory.
pub(crate) struct Table {
    pub(crate) kind: Kind,
    pub(crate) drop_message: unsafe fn(*mut u8),
    pub(crate) drop_reply: unsafe fn(*mut u8),
    pub(crate) take_message: unsafe fn(*mut u8) -> Box<dyn Any + Send>,
}

/// What a message of a forgotten type was.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    name: fn() -> &'static str,
    /// Of the route it came through.
    pub(crate) pattern: Option<&'static str>,
}

impl Kind {
    /// Of a type, without a route.
    pub(crate) fn of<M>() -> Self {
        Self::named(type_name::<M>)
    }

    pub(crate) fn named(name: fn() -> &'static str) -> Self {
        Self { name, pattern: None }
    }

    /// The name of its type.
    pub(crate) fn message_type(self) -> &'static str {
        (self.name)()
    }
}

/// The table and how to handle the message, which takes a subsystem of type `S`.
#[repr(C)]
pub(crate) struct HandlingTable<S: Subsystem> {
    table: Table,
    pub(crate) message_id: fn() -> TypeId,
    pub(crate) run: Run<S, Held>,
    /// How many messages of this type may be handled at once, and how, if that is more than one.
    pub(crate) batch: usize,
    pub(crate) run_batch: Run<S, Vec<Held>>,
    /// Leaves a reply of the handler's type for the asker: of one batch, each may want it in another form.
    reply: ReplyInForm,
}

/// Starts to handle the message in a slot, or several. `None` if the handler was done at the first poll.
///
/// The lifetimes say that the future in the space borrows all that the handler was given.
pub(crate) type Run<S, H> = for<'a> unsafe fn(
    H,
    &'a mut S,
    &'a mut Context<S>,
    &'a mut Space,
    &mut Task<'_>,
) -> Option<PlacedDyn<'a>>;

/// Leaves a reply, which is moved out from behind the pointer, in the form that its asker wants.
type ReplyInForm = unsafe fn(Held, NonNull<u8>, &Actor);

/// A value in a payload: inside if it fits, in a box if not.
pub(crate) struct Stored<T>(PhantomData<T>);

impl<T> Stored<T> {
    const INLINE: bool = size_of::<T>() <= INLINE_SIZE && align_of::<T>() <= INLINE_ALIGN;

    /// # Safety
    /// `payload` is valid for writes of a payload, and holds nothing.
    #[inline]
    pub(crate) unsafe fn write(payload: *mut u8, value: T) {
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
    pub(crate) unsafe fn read(payload: *mut u8) -> T {
        // SAFETY: the caller's promise.
        unsafe { if Self::INLINE { payload.cast::<T>().read() } else { *payload.cast::<Box<T>>().read() } }
    }

    /// # Safety
    /// As `read`.
    pub(crate) unsafe fn drop(payload: *mut u8) {
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

/// What becomes of a reply before its asker gets it.
pub(crate) trait ReplyAs<R>: 'static {
    type Out: Send + 'static;

    fn reply_as(reply: R) -> Self::Out;
}

/// Nothing.
pub(crate) struct Itself;

impl<R: Send + 'static> ReplyAs<R> for Itself {
    type Out = R;

    #[inline]
    fn reply_as(reply: R) -> R {
        reply
    }
}

/// The table of messages of a type `M`.
pub(crate) struct TableOf<S: Subsystem, M>(HandlingTable<S>, PhantomData<fn(M) -> M>);

impl<S: Subsystem, M> TableOf<S, M> {
    /// The whole of the larger table stays in reach of the pointer.
    #[inline]
    pub(crate) fn forget_types(&'static self) -> NonNull<Table> {
        NonNull::from(&self.0).cast()
    }
}

/// The tables of the messages of one route, for the forms in which replies are wanted.
pub(crate) struct RouteTables<S: Subsystem, M> {
    pub(crate) itself: TableOf<S, M>,
    pub(crate) json: TableOf<S, M>,
    pub(crate) raw: TableOf<S, M>,
}

/// The table of a message type `M` for a subsystem `S`, whose reply is made into something by `C`.
pub(crate) struct Handling<S, M, C>(PhantomData<(S, M, C)>);

impl<S: Handler<M>, M: Send + 'static, C: ReplyAs<S::Reply>> Handling<S, M, C> {
    /// For messages that come by address.
    pub(crate) const TABLE: &'static TableOf<S, M> = &Self::table(None);

    /// For messages that come through a route with this pattern.
    pub(crate) const fn table(pattern: Option<&'static str>) -> TableOf<S, M> {
        TableOf(Self::handling(pattern), PhantomData)
    }

    const fn handling(pattern: Option<&'static str>) -> HandlingTable<S> {
        HandlingTable {
            table: Values::<M, C::Out>::table(pattern),
            message_id: TypeId::of::<M>,
            run: run::<S, M, C>,
            batch: S::BATCH,
            run_batch: run_batch::<S, M, C>,
            reply: reply_in_form::<S::Reply, C>,
        }
    }
}

/// The part of a table that is about values only: a message `M`, and what its asker gets, `R`.
struct Values<M, R>(PhantomData<(M, R)>);

impl<M: Send + 'static, R: Send + 'static> Values<M, R> {
    const fn table(pattern: Option<&'static str>) -> Table {
        Table {
            kind: Kind { name: type_name::<M>, pattern },
            drop_message: Stored::<M>::drop,
            drop_reply: Stored::<R>::drop,
            // SAFETY: the caller's promise is that of `read`.
            take_message: |payload| Box::new(unsafe { Stored::<M>::read(payload) }),
        }
    }
}

/// The table of a reply without a message.
pub(crate) fn reply_only<R: Send + 'static>() -> &'static Table {
    const { &Values::<(), R>::table(None) }
}

/// The slot of a message in hand, as the handler's future has it.
#[derive(Clone, Copy)]
pub(crate) struct Held(pub(crate) NonNull<MessageSlot>);

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
unsafe fn run<'a, S: Handler<M>, M: Send + 'static, C: ReplyAs<S::Reply>>(
    held: Held,
    state: &'a mut S,
    cx: &'a mut Context<S>,
    space: &'a mut Space,
    task: &mut Task<'_>,
) -> Option<PlacedDyn<'a>> {
    // `handle` is called inside the future, for it may panic before there is one of its own.
    let placed = space.place(async move {
        // SAFETY: the caller's promise; this is the first thing to happen, at the poll below.
        let message = unsafe { held.message() };
        let reply = state.handle(message, cx).await;
        // SAFETY: the caller's promise; `C::Out` is what the table was made for.
        unsafe { held.reply(C::reply_as(reply), cx.address().actor()) };
    });
    placed.start(task)
}

/// # Safety
/// As [`run`], for each slot.
unsafe fn run_batch<'a, S: Handler<M>, M: Send + 'static, C: ReplyAs<S::Reply>>(
    held: Vec<Held>,
    state: &'a mut S,
    cx: &'a mut Context<S>,
    space: &'a mut Space,
    task: &mut Task<'_>,
) -> Option<PlacedDyn<'a>> {
    let placed = space.place(async move {
        // SAFETY: as in `run`.
        let messages = held.iter().map(|held| unsafe { held.message() }).collect();
        let replies = state.handle_batch(messages, cx).await;
        let (given, messages) = (replies.len(), held.len());
        assert!(
            given == messages,
            "`handle_batch` gave {given} replies to {messages} messages of type `{}`",
            type_name::<M>()
        );
        for (&held, reply) in held.iter().zip(replies) {
            let actor = cx.address().actor();
            // Functions of one address do the same, so this compares what they do.
            // SAFETY: as in `run`. `C` is the form that this function's table is for; another table is one for messages `M` of an `S`
            // too, so its reply is of the same type, and moved out.
            unsafe {
                let table = handling_table::<S>(held.0);
                if ptr::fn_addr_eq(table.reply, reply_in_form::<S::Reply, C> as ReplyInForm) {
                    held.reply(C::reply_as(reply), actor);
                } else {
                    (table.reply)(held, NonNull::from(&mut *ManuallyDrop::new(reply)).cast(), actor);
                }
            }
        }
    });
    placed.start(task)
}

/// # Safety
/// As `Held::reply`, and `reply` points to an `R`, which is moved out.
unsafe fn reply_in_form<R, C: ReplyAs<R>>(held: Held, reply: NonNull<u8>, actor: &Actor) {
    // SAFETY: the caller's promise.
    unsafe { held.reply(C::reply_as(reply.cast::<R>().read()), actor) };
}

/// # Safety
/// A share of the slot is held, and its message was put there for a subsystem of type `S`.
#[inline]
pub(crate) unsafe fn handling_table<S: Subsystem>(slot: NonNull<MessageSlot>) -> &'static HandlingTable<S> {
    // SAFETY: the caller's promise; `Envelope::new` points to the whole of the larger table.
    unsafe { slot.as_ref().table.with(|table| *table).cast::<HandlingTable<S>>().as_ref() }
}
