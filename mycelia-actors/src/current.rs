//! Which subsystem the running code belongs to, so that one which would wait for itself gets an error instead; and with what
//! metadata it was called, so that what it sends inherits it.

use std::cell::{Cell, RefCell};
use std::ptr;

use mycelia_router::Principal;

use crate::actor::Actor;
use crate::metadata::Metadata;

thread_local! {
    static CURRENT: Cell<*const Actor> = const { Cell::new(ptr::null()) };
    /// Whether there is something in `METADATA`: cheaper to look at.
    static HAS_METADATA: Cell<bool> = const { Cell::new(false) };
    static METADATA: RefCell<Option<Metadata>> = const { RefCell::new(None) };
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
pub(crate) fn metadata() -> Option<Metadata> {
    if has_metadata() { METADATA.with_borrow(Clone::clone) } else { None }
}

/// Shows who called this code, if that is known.
pub(crate) fn with_caller<T>(look: impl FnOnce(Option<&Principal>) -> T) -> T {
    METADATA.with_borrow(|metadata| look(metadata.as_ref().and_then(Metadata::caller)))
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
    HAS_METADATA.set(metadata.is_some());
    With(METADATA.replace(metadata))
}

pub(crate) struct With(Option<Metadata>);

impl Drop for With {
    fn drop(&mut self) {
        HAS_METADATA.set(self.0.is_some());
        drop(METADATA.replace(self.0.take()));
    }
}
