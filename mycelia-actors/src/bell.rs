//! Something that happens once, and those who wait for it.

use std::future::poll_fn;
use std::task::{Context as Task, Poll, Waker};

use mycelia_core::sync::Mutex;
use mycelia_core::{drop_waker, wake_all};
use slab::Slab;

/// Wakes all who wait, once. Not tokio's `Notify`, which clones wakers below its lock: they are code of the user.
#[derive(Default)]
pub(crate) struct Bell {
    wakers: Mutex<Slab<Waker>>,
}

impl Bell {
    /// Wakes all who wait. Goes after whatever makes `has_rung` true.
    pub(crate) fn ring(&self) {
        let wakers = std::mem::take(&mut *self.wakers.lock());
        wake_all(wakers.into_iter().map(|(_, waker)| waker));
    }

    /// Waits until that is true. Afterwards no one is added to those who wait.
    pub(crate) async fn heard(&self, has_rung: impl Fn() -> bool) {
        let mut place = Place { bell: self, at: None };
        poll_fn(|task| place.poll(task, &has_rung)).await;
    }
}

/// The place of one that waits, given up when its future is dropped.
struct Place<'a> {
    bell: &'a Bell,
    at: Option<usize>,
}

impl Place<'_> {
    fn poll(&mut self, task: &Task<'_>, has_rung: &impl Fn() -> bool) -> Poll<()> {
        let waker = task.waker().clone();
        let mut wakers = self.bell.wakers.lock();
        let (poll, unused) = if has_rung() {
            (Poll::Ready(()), Some(waker))
        } else if let Some(own) = self.at.and_then(|at| wakers.get_mut(at)) {
            (Poll::Pending, Some(std::mem::replace(own, waker)))
        } else {
            self.at = Some(wakers.insert(waker));
            (Poll::Pending, None)
        };
        drop(wakers);
        drop_waker(unused);
        poll
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(at) = self.at else { return };
        let mut wakers = self.bell.wakers.lock();
        let own = wakers.try_remove(at);
        if wakers.is_empty() {
            *wakers = Slab::new();
        }
        drop(wakers);
        drop_waker(own);
    }
}
