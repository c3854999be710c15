//! Which subsystem the running code belongs to: so that one which would wait for itself gets an error instead.

use std::cell::Cell;
use std::ptr;

use crate::actor::Actor;

thread_local! {
    static CURRENT: Cell<*const Actor> = const { Cell::new(ptr::null()) };
}

/// True if this code runs inside a poll of this subsystem's task.
#[inline]
pub(crate) fn is(actor: &Actor) -> bool {
    CURRENT.with(|current| ptr::eq(current.get(), actor))
}

/// Marks the thread as running this subsystem, until the guard is dropped. The pointer is compared, never followed.
#[inline]
pub(crate) fn enter(actor: &Actor) -> Entered {
    Entered(CURRENT.replace(actor))
}

pub(crate) struct Entered(*const Actor);

impl Drop for Entered {
    #[inline]
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}
