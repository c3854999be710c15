//! Which subsystem the running code belongs to, so that one which would wait for itself gets an error instead; until when its
//! message must be answered, and with what metadata it was called, so that what it sends inherits both.

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::sync::Arc;

use mycelia_router::Principal;
use tokio::task;
use tokio::time::Instant;
use tracing::Span;

use crate::actor::Actor;
use crate::ambient::Ambient;
use crate::awaited::Alarm;
use crate::messages_in_hand::MessagesInHand;
use crate::metadata::Metadata;

thread_local! {
    /// Moved in from the task that is polled, and back: so nothing is counted, and nothing is left to drop when a thread ends.
    static CURRENT: Cell<Option<ManuallyDrop<Arc<Actor>>>> = const { Cell::new(None) };
    /// The side task that is polled: as `CURRENT`, for code that holds no handler up.
    static SIDE_TASK: Cell<Option<ManuallyDrop<SideTask>>> = const { Cell::new(None) };
    /// The deadline of the ask in hand, as it is in its slot; 0 without one.
    static DEADLINE: Cell<u64> = const { Cell::new(0) };
    /// Whether there is something in `AMBIENT`: cheaper to look at.
    static HAS_AMBIENT: Cell<bool> = const { Cell::new(false) };
    /// And for which task of tokio: another one that is polled meanwhile (by a `block_on` in a scope) is not meant.
    static AMBIENT: RefCell<Option<(Ambient, Option<task::Id>)>> = const { RefCell::new(None) };
}

/// A side task, and whose it is.
#[derive(Clone)]
pub(crate) struct SideTask {
    pub(crate) actor: Arc<Actor>,
    pub(crate) alarm: Arc<Alarm>,
}

/// The side task that is being polled.
pub(crate) fn side_task() -> Option<SideTask> {
    let own = SIDE_TASK.take();
    let found = own.as_deref().cloned();
    SIDE_TASK.set(own);
    found
}

/// Shows the subsystem that the running code belongs to: one whose task is being polled, or one whose side task is.
pub(crate) fn with_origin<T>(look: impl FnOnce(Option<&Arc<Actor>>) -> T) -> T {
    with_actor(|own| match own {
        Some(own) => look(Some(own)),
        None => look(side_task().map(|side_task| side_task.actor).as_ref()),
    })
}

/// Marks the thread as running a side task, until the guard is dropped.
pub(crate) fn enter_side_task(actor: &Arc<Actor>, alarm: &Arc<Alarm>) -> InSideTask {
    let own = SideTask { actor: Arc::clone(actor), alarm: Arc::clone(alarm) };
    InSideTask {
        before: SIDE_TASK.replace(Some(ManuallyDrop::new(own))).map(ManuallyDrop::into_inner),
        _until: Until(DEADLINE.replace(0)),
    }
}

pub(crate) struct InSideTask {
    before: Option<SideTask>,
    _until: Until,
}

impl Drop for InSideTask {
    fn drop(&mut self) {
        drop(SIDE_TASK.replace(self.before.take().map(ManuallyDrop::new)).map(ManuallyDrop::into_inner));
    }
}

/// Shows the subsystem whose task is being polled.
#[inline]
pub(crate) fn with_actor<T>(look: impl FnOnce(Option<&Arc<Actor>>) -> T) -> T {
    let own = Inside(swap(None));
    look(own.0.as_ref())
}

/// Puts back what was taken out, also if the look at it panics.
struct Inside(Option<Arc<Actor>>);

impl Drop for Inside {
    #[inline]
    fn drop(&mut self) {
        if self.0.is_some() {
            self.0 = swap(self.0.take());
        }
    }
}

#[inline]
fn swap(new: Option<Arc<Actor>>) -> Option<Arc<Actor>> {
    CURRENT.replace(new.map(ManuallyDrop::new)).map(ManuallyDrop::into_inner)
}

/// The deadline of the ask that the running code has in hand, as it is in its slot; 0 without one.
#[inline]
pub(crate) fn deadline() -> u64 {
    DEADLINE.get()
}

/// Says what deadline an ask in hand has, for what is sent until the guard is dropped.
#[inline]
pub(crate) fn until(deadline: u64) -> Option<Until> {
    (deadline != 0).then(|| Until(DEADLINE.replace(deadline)))
}

pub(crate) struct Until(u64);

impl Drop for Until {
    #[inline]
    fn drop(&mut self) {
        DEADLINE.set(self.0);
    }
}

/// True if this code may have been called with metadata, or with a limit that is not in a slot.
#[inline]
pub(crate) fn has_metadata() -> bool {
    HAS_AMBIENT.with(Cell::get)
}

/// The metadata that this code was called with.
#[cold]
pub(crate) fn metadata() -> Option<Metadata> {
    look(|ambient| ambient.and_then(Ambient::metadata).cloned())
}

/// What the message at this place of the batch in hand was sent with.
#[cold]
pub(crate) fn metadata_of(index: usize) -> Option<Metadata> {
    look(|ambient| ambient.and_then(|ambient| ambient.metadata_of(index)).cloned())
}

/// The batch in hand, if any of its messages has metadata or an asker.
pub(crate) fn batch() -> Option<Arc<MessagesInHand>> {
    look(|ambient| match ambient {
        Some(Ambient::Batch(in_hand)) => Some(Arc::clone(in_hand)),
        _ => None,
    })
}

/// Until when this code may wait for what it asks, beside the deadline of the ask in hand.
#[cold]
pub(crate) fn ambient_deadline() -> Option<Instant> {
    look(|ambient| ambient.and_then(Ambient::deadline))
}

/// Shows who called this code, if that is known.
pub(crate) fn with_caller<T>(use_it: impl FnOnce(Option<&Principal>) -> T) -> T {
    look(|ambient| use_it(ambient.and_then(Ambient::metadata).and_then(Metadata::caller)))
}

/// Shows what this code was called with.
#[inline]
pub(crate) fn look<T>(use_it: impl FnOnce(Option<&Ambient>) -> T) -> T {
    if !has_metadata() {
        return use_it(None);
    }
    AMBIENT.with_borrow(|current| {
        let own = current.as_ref().filter(|(_, task)| *task == task::try_id());
        use_it(own.map(|(ambient, _)| ambient))
    })
}

/// Marks the thread as running this subsystem, until the guard is dropped.
#[inline]
pub(crate) fn enter(own: &mut Option<Arc<Actor>>) -> Entered<'_> {
    let outside = if has_metadata() { Some(with(None)) } else { None };
    *own = swap(own.take());
    Entered { other: own, _until: Until(DEADLINE.replace(0)), _outside: outside }
}

pub(crate) struct Entered<'a> {
    /// The subsystem whose handler polls this task, if one does.
    other: &'a mut Option<Arc<Actor>>,
    _until: Until,
    /// Metadata of code that polls this task inside a handler of its own.
    _outside: Option<With>,
}

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        *self.other = swap(self.other.take());
    }
}

/// Marks the running code as called with this metadata, until the guard is dropped.
#[cold]
pub(crate) fn with(metadata: Option<Metadata>) -> With {
    with_ambient(metadata.map(Ambient::One))
}

/// The same with all that code may be called with.
pub(crate) fn with_ambient(ambient: Option<Ambient>) -> With {
    With(replace(ambient.map(|ambient| (ambient, task::try_id()))))
}

/// Runs a handler with what it was called with, and in its span.
#[inline]
pub(crate) fn inside<T>(ambient: Option<Ambient>, span: Option<&Span>, handler: impl FnOnce() -> T) -> T {
    if ambient.is_none() {
        return handler();
    }
    let _with = with_ambient(ambient);
    match span {
        Some(span) => span.in_scope(handler),
        None => handler(),
    }
}

pub(crate) struct With(Option<(Ambient, Option<task::Id>)>);

impl Drop for With {
    fn drop(&mut self) {
        drop(replace(self.0.take()));
    }
}

/// In a thread that is ending there may be no place for it any more; then there is none.
fn replace(new: Option<(Ambient, Option<task::Id>)>) -> Option<(Ambient, Option<task::Id>)> {
    let is_some = new.is_some();
    let old = AMBIENT.try_with(|current| current.replace(new));
    HAS_AMBIENT.set(is_some && old.is_ok());
    old.unwrap_or_default()
}
