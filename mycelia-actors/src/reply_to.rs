//! A reply that may come later, from somewhere else.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll, Wake, Waker, ready};
use std::time::Duration;

use mycelia_core::sync::Mutex;
use mycelia_core::sync::atomic::{AtomicBool, Ordering};
use mycelia_core::{drop_waker, wake_all};

use crate::actor::Actor;
use crate::ask::Ask;
use crate::ask_stats::AskEnd;
use crate::asking::{count, failure, left_in_hand};
use crate::budget::spend;
use crate::current;
use crate::cycle::{self, For, Mark};
use crate::envelope::{Asker, Promise};
use crate::error::{AskError, AskFailure, Refusal};
use crate::metadata::Metadata;
use crate::slot::Fate;
use crate::tell::Enveloping;

/// The duty to reply, as a value: inside a message, or kept for later, moved to another task, or forwarded.
///
/// Dropping it tells the asker so: [`AskFailure::Unanswered`], or `Panicked`, if a panic drops it, or `Killed`, if the subsystem
/// that was asked was killed. (In a dead letter that nobody reads it is kept: the asker then waits for its deadline.)
///
/// Made by [`Address::ask_with`](crate::Address::ask_with).
pub struct ReplyTo<R: Send + 'static> {
    promise: Option<Promise<R>>,
    /// Who was asked. Keeps the message pool alive, wherever this goes.
    actor: Arc<Actor>,
}

impl<R: Send + 'static> ReplyTo<R> {
    /// Replies. If the asker has gone, the reply is dropped.
    pub fn reply(mut self, reply: R) {
        if let Some(promise) = self.promise.take() {
            promise.keep(reply);
        }
    }

    /// True if nobody waits for the reply any more: its deadline has passed, or the asker has gone.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.promise.as_ref().is_none_or(Promise::is_over)
    }
}

impl<R: Send + 'static> Drop for ReplyTo<R> {
    fn drop(&mut self) {
        let Some(promise) = self.promise.take() else { return };
        promise.give_up(if std::thread::panicking() {
            Fate::Panicked
        } else if self.actor.is_killed() {
            Fate::Killed
        } else {
            Fate::Unanswered
        });
    }
}

impl<R: Send + 'static> fmt::Debug for ReplyTo<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyTo").field("is_over", &self.is_over()).finish()
    }
}

/// Asks with a message that carries the duty to reply. `T` is what the handler itself replies, and nobody wants.
pub(crate) fn ask_with<M: Send, R: Send + 'static, T: Send>(
    actor: &Arc<Actor>,
    within: Duration,
    make: impl FnOnce(ReplyTo<R>) -> M + Send,
    envelop: Enveloping<M>,
) -> impl Future<Output = Result<R, AskError<M>>> + Send {
    // Like every message, this one is sent with the metadata that holds where the verb is called.
    let metadata = current::metadata();
    async move {
        let left = metadata.as_ref().and_then(Metadata::time_left);
        let within = left.into_iter().chain(left_in_hand()).fold(within, Duration::min);
        let error = |failure| AskError { message: None, subsystem: actor.name.clone(), failure };
        let runtime = &actor.runtime;
        let promised = Asked(Promised::new(actor, within));
        let open = |task: &mut Task<'_>| {
            ready!(spend(task));
            let deadline = runtime.deadlines.within(runtime, task, within);
            let waker = promised.0.waker(task);
            Poll::Ready((deadline, Promise::new(&runtime.slots, &Task::from_waker(&waker), deadline)))
        };
        let (deadline, opened) = poll_fn(open).await;
        let (promise, asker) = opened.map_err(|exhausted| {
            error(AskFailure::Refused(Refusal::PoolExhausted { capacity: exhausted.capacity }))
        })?;
        // A circle is found once more, with the message at hand.
        let mark = cycle::wait_for(actor, For::Reply(promise.slot_number())).ok().flatten();
        let message = make(ReplyTo { promise: Some(promise), actor: Arc::clone(actor) });
        runtime.deadlines.ask_is_out(runtime, deadline);
        let asking: Ask<'_, M, T> = {
            let _with = current::with(metadata);
            Ask::new(actor, message, envelop, true).within(within).part()
        };
        let mut counted = Counted { actor, end: AskEnd::Cancelled };
        let mut asking_with =
            AskingWith { mark, promised: &promised, asker: Some(asker), asking: Some(asking), failed: None };
        let outcome = poll_fn(|task| asking_with.poll(task)).await;
        let outcome = outcome.map_err(|lost| match lost {
            Lost::Message(error) => error,
            Lost::Reply(fate) => error(failure(actor, fate, within)),
        });
        counted.end = outcome.as_ref().map_or_else(|error| (&error.failure).into(), |_| AskEnd::Replied);
        outcome
    }
}

/// A promised reply, for which a stop of the subsystem waits; unless there is no limit to that.
///
/// It is over as soon as the asker is woken, since that is what ends the ask: a reply, a dropped `ReplyTo`, or the deadline. The asker need
/// not have looked. Or it is over when the asker has looked, or is dropped.
struct Promised {
    actor: Arc<Actor>,
    is_open: AtomicBool,
    /// Until it is woken.
    asker: Mutex<Option<Waker>>,
}

impl Promised {
    fn new(actor: &Arc<Actor>, within: Duration) -> Arc<Self> {
        let is_open = within < Duration::MAX;
        if is_open {
            actor.ledger.rare().open.count(true);
        }
        let (is_open, asker) = (AtomicBool::new(is_open), Mutex::new(None));
        Arc::new(Self { actor: Arc::clone(actor), is_open, asker })
    }

    /// A waker that wakes this task as well.
    fn waker(self: &Arc<Self>, task: &Task<'_>) -> Waker {
        let is_known = self.asker.lock().as_ref().is_some_and(|asker| asker.will_wake(task.waker()));
        if !is_known {
            let new = task.waker().clone();
            let old = self.asker.lock().replace(new);
            drop_waker(old);
        }
        Waker::from(Arc::clone(self))
    }

    fn end(&self) {
        // Relaxed: only who counts it is decided here; the count publishes.
        if self.is_open.swap(false, Ordering::Relaxed) {
            self.actor.ledger.rare().open.count(false);
            self.actor.settled_something();
        }
    }
}

impl Wake for Promised {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let asker = self.asker.lock().take();
        wake_all(asker);
        self.end();
    }
}

/// The asker's half of a promise, which is over when this is dropped.
struct Asked(Arc<Promised>);

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Counts how the ask ended when it is dropped.
struct Counted<'a> {
    actor: &'a Actor,
    end: AskEnd,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        count(self.actor, self.end);
    }
}

/// Two asks: one for the reply, and one that learns what becomes of the message.
struct AskingWith<'a, M, R, T> {
    /// That the handler which polls this waits for the one who was asked: not for one who has replied, or handed the duty on.
    mark: Option<Mark>,
    promised: &'a Asked,
    asker: Option<Asker<R>>,
    asking: Option<Ask<'a, M, T>>,
    /// The handler failed; but somebody else may have the duty to reply.
    failed: Option<AskError<M>>,
}

enum Lost<M> {
    Message(AskError<M>),
    Reply(Fate),
}

impl<M, R, T> AskingWith<'_, M, R, T> {
    fn poll(&mut self, task: &mut Task<'_>) -> Poll<Result<R, Lost<M>>> {
        let waker = self.promised.0.waker(task);
        let reply = Asker::poll_marked(&mut self.asker, &mut self.mark, &mut Task::from_waker(&waker));
        if let Poll::Ready(Ok(reply)) = reply {
            return Poll::Ready(Ok(reply));
        }
        if let Some(asking) = &mut self.asking
            && let Poll::Ready(handled) = Pin::new(asking).poll(task)
        {
            self.asking = None;
            self.mark = None;
            match handled {
                Ok(_) => {}
                Err(error) if matches!(error.failure, AskFailure::Panicked | AskFailure::Killed) => {
                    self.failed = Some(error);
                }
                Err(error) => return Poll::Ready(Err(Lost::Message(error))),
            }
        }
        let Poll::Ready(Err(fate)) = reply else { return Poll::Pending };
        Poll::Ready(Err(self.failed.take().map_or(Lost::Reply(fate), Lost::Message)))
    }
}
