//! Where a subsystem is in its life, and who waits to hear of it.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context as Task, Poll, Waker};

use mycelia_core::sync::Mutex;
use mycelia_core::{drop_waker, wake_all};
use slab::Slab;

use crate::budget::within_budget;
use crate::watch::{Notified, Watcher};

/// How a subsystem ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Exit {
    /// It was asked to stop, and has handled what it had accepted; or to stop now, and has handled what it had in hand.
    Stopped,
    /// It was killed.
    Killed,
    /// A handler or hook panicked, and there was no restart (left), or it was stopped in the pause before, or told to stop now. The text of
    /// the panic.
    Panicked(Arc<str>),
    /// [`started`](crate::Subsystem::started) failed. The text of its error.
    StartFailed(Arc<str>),
    /// Its task was dropped together with the tokio runtime that ran it.
    Abandoned,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("stopped"),
            Self::Killed => f.write_str("killed"),
            Self::Panicked(text) => write!(f, "panicked: {text}"),
            Self::StartFailed(text) => write!(f, "start failed: {text}"),
            Self::Abandoned => f.write_str("abandoned by its tokio runtime"),
        }
    }
}

/// The life of one subsystem.
#[derive(Default)]
pub(crate) struct Life {
    phase: Mutex<Phase>,
}

/// Two words: whatever a subsystem may never need is in a box.
enum Phase {
    Starting(Option<Box<Watchers>>),
    Started(Option<Box<Watchers>>),
    /// Without having started.
    NotStarted(Box<Exit>),
    Ended(Box<Exit>),
}

/// Who is to hear of changes.
#[derive(Default)]
struct Watchers {
    /// To be woken at the next change. One that was woken stays, without a waker, until it asks again or leaves.
    wakers: Slab<Option<Waker>>,
    /// To be told of the end.
    of_the_end: Slab<Watcher>,
}

impl Default for Phase {
    fn default() -> Self {
        Self::Starting(None)
    }
}

impl Phase {
    fn exit(&self) -> Option<&Exit> {
        match self {
            Self::NotStarted(exit) | Self::Ended(exit) => Some(exit),
            Self::Starting(_) | Self::Started(_) => None,
        }
    }
}

impl Life {
    pub(crate) fn set_started(&self) {
        self.change(|phase| match phase {
            Phase::Starting(watchers) => (Phase::Started(watchers), None),
            later => (later, None),
        });
    }

    /// The end. Every watcher has its message before anyone can see that the end has come: what is sent or stopped on account of the end
    /// comes after the message.
    pub(crate) fn set_ended(&self, exit: Exit) {
        self.change(|phase| match phase {
            Phase::Starting(watchers) => (Phase::NotStarted(Box::new(exit)), watchers),
            Phase::Started(watchers) => (Phase::Ended(Box::new(exit)), watchers),
            Phase::NotStarted(_) | Phase::Ended(_) => (Phase::Ended(Box::new(exit)), None),
        });
    }

    /// Somebody to be told of the end; where it is kept. It comes back if the end has come.
    pub(crate) fn watch(&self, watcher: Watcher) -> Result<usize, Watcher> {
        match &mut *self.phase.lock() {
            Phase::Starting(watchers) | Phase::Started(watchers) => {
                Ok(watchers.get_or_insert_default().of_the_end.insert(watcher))
            }
            Phase::NotStarted(_) | Phase::Ended(_) => Err(watcher),
        }
    }

    pub(crate) fn unwatch(&self, place: usize) -> Option<Watcher> {
        match &mut *self.phase.lock() {
            Phase::Starting(Some(watchers)) | Phase::Started(Some(watchers)) => {
                let watcher = watchers.of_the_end.try_remove(place);
                give_back(&mut watchers.of_the_end);
                watcher
            }
            _ => None,
        }
    }

    pub(crate) fn exit(&self) -> Option<Exit> {
        self.phase.lock().exit().cloned()
    }

    pub(crate) fn has_started(&self) -> bool {
        matches!(&*self.phase.lock(), Phase::Started(_) | Phase::Ended(_))
    }

    pub(crate) async fn started(&self) -> Result<(), Exit> {
        self.wait(|phase| match phase {
            Phase::Starting(_) => None,
            Phase::NotStarted(exit) => Some(Err((**exit).clone())),
            Phase::Started(_) | Phase::Ended(_) => Some(Ok(())),
        })
        .await
    }

    pub(crate) async fn ended(&self) -> Exit {
        self.wait(|phase| phase.exit().cloned()).await
    }

    /// What comes after this phase; and with the end those who were to hear of it.
    fn change(&self, change: impl FnOnce(Phase) -> (Phase, Option<Box<Watchers>>)) {
        let mut phase = self.phase.lock();
        let mut wakers = Vec::new();
        if let Phase::Starting(Some(watchers)) | Phase::Started(Some(watchers)) = &mut *phase {
            wakers.extend(watchers.wakers.iter_mut().filter_map(|(_, waker)| waker.take()));
        }
        let (new, over) = change(std::mem::take(&mut *phase));
        *phase = new;
        // Under the lock the messages get their places only; what else belongs to it comes below.
        let mut told = Vec::new();
        if let Some(watchers) = over.filter(|watchers| !watchers.of_the_end.is_empty()) {
            told.extend(watchers.of_the_end.into_iter().map(|(_, watcher)| watcher.put()));
        }
        drop(phase);
        told.into_iter().for_each(Notified::wake);
        wake_all(wakers);
    }

    async fn wait<T>(&self, look: impl Fn(&Phase) -> Option<T>) -> T {
        let mut watch = Watch { life: self, key: None };
        let mut ask = |task: &mut Task<'_>| {
            // Wakers are code of the user: cloned and dropped outside of the lock.
            let waker = task.waker().clone();
            let mut phase = self.phase.lock();
            if let Some(found) = look(&phase) {
                drop(phase);
                return Poll::Ready(found);
            }
            let mut old = None;
            if let Phase::Starting(watchers) | Phase::Started(watchers) = &mut *phase {
                let watchers = &mut watchers.get_or_insert_default().wakers;
                let key = *watch.key.get_or_insert_with(|| watchers.insert(None));
                old = watchers[key].replace(waker);
            }
            drop(phase);
            drop_waker(old);
            Poll::Pending
        };
        poll_fn(|task| within_budget(task, &mut ask)).await
    }
}

/// Gives back what many have needed, when none is left.
fn give_back<T>(all: &mut Slab<T>) {
    const LARGE: usize = 64;
    if all.is_empty() && all.capacity() > LARGE {
        *all = Slab::new();
    }
}

/// Somebody's place among the watchers, given up when its future is dropped.
struct Watch<'a> {
    life: &'a Life,
    key: Option<usize>,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        let mut phase = self.life.phase.lock();
        let mut old = None;
        if let Phase::Starting(Some(watchers)) | Phase::Started(Some(watchers)) = &mut *phase {
            old = watchers.wakers.remove(key);
            give_back(&mut watchers.wakers);
        }
        drop(phase);
        drop_waker(old);
    }
}
