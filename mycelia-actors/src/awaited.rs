//! Waiting inside a side task for what a stop does not wait for: starts and ends of subsystems, and events.
//!
//! ```text
//!                        ┌── Alarm ────────▶ sleeps, sockets, capacity …    a stop waits while a clone of it is out
//!  tokio ◀── Entry ◀─────┤
//!                        └── Entry's own ──▶ `awaited`: ends, events        and does not for these
//! ```
//!
//! A side task that only such things can wake *rests*. A future between them that has wakers of its own (`FuturesUnordered`) hides which
//! clones are whose: then the side task rests while any such thing is awaited.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll, Wake, Waker};

use crate::current::{self, SideTask};
use crate::task_entry::Entry;

/// Something that a stop does not wait for.
pub(crate) trait Awaited: Send + Sync {
    /// True until it has come.
    fn is_awaited(&self) -> bool;
}

/// Waits for something that a stop does not wait for.
pub(crate) async fn awaited<T>(what: impl Fn() -> Arc<dyn Awaited>, future: impl Future<Output = T>) -> T {
    let (mut future, mut mark) = (pin!(future), None);
    poll_fn(|task| poll_awaited(&mut mark, &what, task, |task| future.as_mut().poll(task))).await
}

/// The same, one poll of it. The mark stays while it waits.
pub(crate) fn poll_awaited<T>(
    mark: &mut Option<Mark>,
    what: impl FnOnce() -> Arc<dyn Awaited>,
    task: &mut Task<'_>,
    poll: impl FnOnce(&mut Task<'_>) -> Poll<T>,
) -> Poll<T> {
    let Some(SideTask { alarm, .. }) = current::side_task() else {
        *mark = None;
        return poll(task);
    };
    let (is_direct, entry) = (alarm.is(task.waker()), Arc::clone(&alarm.0));
    // A stream may come from another side task.
    *mark = mark.take().filter(|mark| Arc::ptr_eq(&mark.entry, &entry));
    let poll =
        if is_direct { poll(&mut Task::from_waker(&Waker::from(Arc::clone(&entry)))) } else { poll(task) };
    if poll.is_ready() {
        *mark = None;
    } else if mark.is_none() {
        let place = entry.await_thing(Awaits { thing: what(), is_direct });
        *mark = Some(Mark { entry, place });
    }
    poll
}

/// One thing that a side task waits for.
pub(crate) struct Awaits {
    pub(crate) thing: Arc<dyn Awaited>,
    /// It wakes the entry: so no clone of the alarm is for it.
    pub(crate) is_direct: bool,
}

/// A side task waits for something; until this is dropped.
pub(crate) struct Mark {
    entry: Arc<Entry>,
    place: usize,
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.entry.await_no_more(self.place);
    }
}

/// The waker of a side task for all that a stop waits for: its clones are counted, so a side task that has none left while it waits is
/// known to rest.
pub(crate) struct Alarm(pub(crate) Arc<Entry>);

impl Alarm {
    /// True if this is a waker of it.
    fn is(self: &Arc<Self>, waker: &Waker) -> bool {
        waker.data() == Arc::as_ptr(self).cast()
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.ring();
    }
}

impl Wake for Entry {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}
