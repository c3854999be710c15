//! Which subsystem the running code belongs to, so that one which would wait for itself gets an error instead; and with what
//! metadata it was called, so that what it sends inherits it.

use std::cell::{Cell, RefCell};
use std::ptr;

use mycelia_router::Principal;
use tokio::task;

use crate::actor::Actor;
use crate::metadata::Metadata;

thread_local! {
    static CURRENT: Cell<*const Actor> = const { Cell::new(ptr::null()) };
    /// Whether there is something in `METADATA`: cheaper to look at.
    static HAS_METADATA: Cell<bool> = const { Cell::new(false) };
    /// And for which task of tokio: another one that is polled meanwhile (by a `block_on` in a scope) is not meant.
    static METADATA: RefCell<Option<(Metadata, Option<task::Id>)>> = const { RefCell::new(None) };
}

/// True if this code runs inside a poll of this subsystem's task.
#[inline]
pub(crate) fn is(actor: &Actor) -> bool {
    CURRENT.with(|current| ptr::eq(current.get(), actor))
}

/// True if this code was called with metadata.
#[inline]
pub(crate) fn has_metadata() -> bool {
    HAS_METADATA.with(Cell::get)
}

/// The metadata that this code was called with.
#[cold]
pub(crate) fn metadata() -> Option<Metadata> {
    look(|metadata| metadata.cloned())
}

/// Shows who called this code, if that is known.
pub(crate) fn with_caller<T>(use_it: impl FnOnce(Option<&Principal>) -> T) -> T {
    if has_metadata() { look(|metadata| use_it(metadata.and_then(Metadata::caller))) } else { use_it(None) }
}

fn look<T>(use_it: impl FnOnce(Option<&Metadata>) -> T) -> T {
    if !has_metadata() {
        return use_it(None);
    }
    METADATA.with_borrow(|current| {
        let own = current.as_ref().filter(|(_, task)| *task == task::try_id());
        use_it(own.map(|(metadata, _)| metadata))
    })
}

/// Marks the thread as running this subsystem, until the guard is dropped. The pointer is compared, never followed.
#[inline]
pub(crate) fn enter(actor: &Actor) -> Entered {
    let outside = if has_metadata() { Some(with(None)) } else { None };
    Entered { before: CURRENT.replace(actor), _outside: outside }
}

pub(crate) struct Entered {
    before: *const Actor,
    /// Metadata of code that polls this task inside a handler of its own.
    _outside: Option<With>,
}

impl Drop for Entered {
    #[inline]
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

/// Marks the running code as called with this metadata, until the guard is dropped.
#[cold]
pub(crate) fn with(metadata: Option<Metadata>) -> With {
    With(replace(metadata.map(|metadata| (metadata, task::try_id()))))
}

pub(crate) struct With(Option<(Metadata, Option<task::Id>)>);

impl Drop for With {
    fn drop(&mut self) {
        drop(replace(self.0.take()));
    }
}

/// In a thread that is ending there may be no place for metadata any more; then there is none.
fn replace(new: Option<(Metadata, Option<task::Id>)>) -> Option<(Metadata, Option<task::Id>)> {
    let is_some = new.is_some();
    let old = METADATA.try_with(|current| current.replace(new));
    HAS_METADATA.set(is_some && old.is_ok());
    old.unwrap_or_default()
}
