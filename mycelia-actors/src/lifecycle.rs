//! Where a subsystem is in its life, and who waits to hear of it.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use mycelia_core::sync::Mutex;

/// How a subsystem ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Exit {
    /// It was asked to stop, and has handled what it had accepted.
    Stopped,
    /// It was killed.
    Killed,
    /// A handler or hook panicked, and there was no restart (left). The text of the panic.
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

/// Who is to be woken at the next change.
#[derive(Default)]
struct Watchers(Vec<Waker>);

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
            Phase::Starting(_) => Phase::Started(None),
            later => later,
        });
    }

    pub(crate) fn set_ended(&self, exit: Exit) {
        self.change(|phase| match phase {
            Phase::Starting(_) => Phase::NotStarted(Box::new(exit)),
            _ => Phase::Ended(Box::new(exit)),
        });
    }

    pub(crate) fn exit(&self) -> Option<Exit> {
        self.phase.lock().exit().cloned()
    }

    pub(crate) fn poll_started(&self, cx: &mut Context<'_>) -> Poll<Result<(), Exit>> {
        self.poll(cx, |phase| match phase {
            Phase::Starting(_) => None,
            Phase::NotStarted(exit) => Some(Err((**exit).clone())),
            Phase::Started(_) | Phase::Ended(_) => Some(Ok(())),
        })
    }

    pub(crate) fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<Exit> {
        self.poll(cx, |phase| phase.exit().cloned())
    }

    fn change(&self, change: impl FnOnce(Phase) -> Phase) {
        let mut phase = self.phase.lock();
        let mut old = std::mem::take(&mut *phase);
        let watchers = match &mut old {
            Phase::Starting(watchers) | Phase::Started(watchers) => watchers.take(),
            Phase::NotStarted(_) | Phase::Ended(_) => None,
        };
        *phase = change(old);
        drop(phase);
        watchers.into_iter().flat_map(|watchers| watchers.0).for_each(Waker::wake);
    }

    fn poll<T>(&self, cx: &mut Context<'_>, look: impl FnOnce(&Phase) -> Option<T>) -> Poll<T> {
        let mut phase = self.phase.lock();
        if let Some(found) = look(&phase) {
            return Poll::Ready(found);
        }
        if let Phase::Starting(watchers) | Phase::Started(watchers) = &mut *phase {
            let watchers = &mut watchers.get_or_insert_default().0;
            if !watchers.iter().any(|waker| waker.will_wake(cx.waker())) {
                watchers.push(cx.waker().clone());
            }
        }
        Poll::Pending
    }
}
