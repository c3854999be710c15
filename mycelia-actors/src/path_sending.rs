//! Handing a message over to a path, waiting for room.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll, ready};

use crate::actor::Actor;
use crate::budget::spend;
use crate::path_error::{PathError, PathFailure};
use crate::paths::{Unsent, failed, take_back};
use crate::posting::Posting;

/// A message on its way to a path. Made by [`Runtime::send`](crate::Runtime::send) and [`Route::send`](crate::Route::send). The path
/// is resolved, and the message made, at once; nothing is sent before the first poll.
///
/// # Errors
/// [`PathError`], with the body: all that can be wrong with a path, and what [`Sending`](crate::Sending) can say.
///
/// # Cancel safety
/// As [`Sending`](crate::Sending).
#[must_use = "nothing is sent until the future is polled"]
pub struct PathSending<'p, B> {
    path: &'p str,
    body: Option<B>,
    stage: Stage,
}

enum Stage {
    Failed(Option<Unsent>),
    Posted(Posting<Arc<Actor>>),
}

// Nothing in here is pinned.
impl<B> Unpin for PathSending<'_, B> {}

impl<'p, B> PathSending<'p, B> {
    pub(crate) fn new(path: &'p str, body: Option<B>, posting: Result<Posting<Arc<Actor>>, Unsent>) -> Self {
        let stage = posting.map_or_else(|unsent| Stage::Failed(Some(unsent)), Stage::Posted);
        Self { path, body, stage }
    }
}

impl<B: Send + 'static> Future for PathSending<'_, B> {
    type Output = Result<(), PathError<B>>;

    /// # Panics
    /// If it is polled after it was ready.
    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Self::Output> {
        let Self { path, body, stage } = self.get_mut();
        match stage {
            Stage::Posted(posting) => Pin::new(&mut *posting).poll(task).map_err(|(envelope, refusal)| {
                take_back(posting.actor(), envelope, body);
                failed(body.take(), path, PathFailure::Refused(refusal))
            }),
            Stage::Failed(unsent) => {
                ready!(spend(task));
                match unsent.take() {
                    Some(unsent) => Poll::Ready(Err(failed(body.take(), path, unsent.count()))),
                    None => panic!("a send was polled after it was ready"),
                }
            }
        }
    }
}

impl<B> fmt::Debug for PathSending<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PathSending").field("path", &self.path).finish_non_exhaustive()
    }
}
