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
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    started: bool,
    exit: Option<Box<Exit>>,
    /// In a box: most subsystems are never waited for.
    watchers: Option<Box<Watchers>>,
}

#[derive(Default)]
struct Watchers(Vec<Waker>);

impl Life {
    pub(crate) fn set_started(&self) {
        self.change(|state| state.started = true);
    }

    pub(crate) fn set_ended(&self, exit: Exit) {
        self.change(|state| state.exit = Some(Box::new(exit)));
    }

    pub(crate) fn exit(&self) -> Option<Exit> {
        self.state.lock().exit.as_deref().cloned()
    }

    pub(crate) fn poll_started(&self, cx: &mut Context<'_>) -> Poll<Result<(), Exit>> {
        self.poll(cx, |state| match &state.exit {
            Some(exit) if !state.started => Some(Err((**exit).clone())),
            _ => state.started.then_some(Ok(())),
        })
    }

    pub(crate) fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<Exit> {
        self.poll(cx, |state| state.exit.as_deref().cloned())
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        change(&mut state);
        let watchers = state.watchers.take();
        drop(state);
        watchers.into_iter().flat_map(|watchers| watchers.0).for_each(Waker::wake);
    }

    fn poll<T>(&self, cx: &mut Context<'_>, look: impl FnOnce(&State) -> Option<T>) -> Poll<T> {
        let mut state = self.state.lock();
        if let Some(found) = look(&state) {
            return Poll::Ready(found);
        }
        let watchers = &mut state.watchers.get_or_insert_default().0;
        if !watchers.iter().any(|waker| waker.will_wake(cx.waker())) {
            watchers.push(cx.waker().clone());
        }
        Poll::Pending
    }
}
