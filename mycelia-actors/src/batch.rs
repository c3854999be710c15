//! The messages between the mailbox and the handler.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context as Task, Poll};

use crate::actor::{Actor, Request};
use crate::dead_letters::Reason;
use crate::drain;
use crate::envelope::Envelope;
use crate::life_event::LifeEvent;
use crate::lifecycle::Exit;
use crate::side_tasks;
use crate::slot::Fate;
use crate::watch::unwatch_all;

/// The messages that the loop has taken out of the mailbox and not begun yet, and the duty to settle all when it ends.
pub(crate) struct Batch {
    pub(crate) actor: Arc<Actor>,
    pub(crate) taken: VecDeque<Envelope>,
}

pub(crate) enum Filled {
    Messages,
    Request,
    Closed,
}

impl Batch {
    pub(crate) fn new(actor: Arc<Actor>) -> Self {
        Self { actor, taken: VecDeque::new() }
    }

    #[inline]
    pub(crate) fn poll_fill(&mut self, task: &mut Task<'_>, limit: u32) -> Poll<Filled> {
        match self.actor.queue.poll_recv_many(task, &mut self.taken, limit as usize) {
            // A request to end closes the queue after it has set its flag, so whoever sees the one sees the other.
            Poll::Ready(0) if self.actor.has_urgent_request() => Poll::Ready(Filled::Request),
            Poll::Ready(0) => Poll::Ready(Filled::Closed),
            Poll::Ready(_) => Poll::Ready(Filled::Messages),
            Poll::Pending if self.actor.has_request() => self.nothing_to_do(),
            Poll::Pending => Poll::Pending,
        }
    }

    /// There is no message, but a request.
    #[cold]
    fn nothing_to_do(&self) -> Poll<Filled> {
        if self.actor.has_urgent_request() || self.actor.is_suspended() {
            return Poll::Ready(Filled::Request);
        }
        if self.actor.was_asked(Request::Drain) && drain::idle(&self.actor) {
            // What came in at the last moment is handled.
            return Poll::Ready(Filled::Request);
        }
        Poll::Pending
    }

    /// Nothing is handled any more: what is left is undelivered, and everybody who waits is told.
    /// `fails_parent`: the parent is told that this one has failed for good.
    pub(crate) fn end(&mut self, exit: Exit, fails_parent: bool) {
        let actor = &*self.actor;
        actor.close();
        let mut left = std::mem::take(&mut self.taken);
        left.extend(actor.queue.drain());
        if let Some(rare) = actor.ledger.rare_if_any() {
            rare.tasks.end_all(matches!(exit, Exit::Stopped));
            side_tasks::abandon(actor);
            left.extend(rare.notices.lock().close());
        }
        unwatch_all(actor);
        if !left.is_empty() {
            actor.ledger.begun.add_owned(left.len() as u64);
            actor.ledger.rare().undelivered.publish_owned(left.len() as u64);
        }
        for envelope in left {
            actor.lose(envelope, Reason::Undelivered, Fate::Undelivered);
        }
        actor.queue.forget_receiver();
        // First: a parent that restarts waits for the end, and then forgets what its old children have told it.
        if let Some(parent) = fails_parent.then(|| actor.runtime.parent(actor)).flatten() {
            parent.fail(Arc::from(format!("its child `{}` {exit}", actor.name)));
        }
        actor.runtime.unregister(actor);
        match exit {
            Exit::Panicked(_) | Exit::StartFailed(_) => {
                actor.runtime.failed_ends.add(1);
                tracing::error!(subsystem = %actor.name, %exit, "ended");
            }
            _ => tracing::info!(subsystem = %actor.name, %exit, "ended"),
        }
        actor.runtime.announce_life(&actor.name, || LifeEvent::Ended(exit.clone()));
        actor.life.set_ended(exit);
        actor.runtime.drains.has_left();
    }
}

impl Drop for Batch {
    /// The task was dropped in the middle: tokio has gone.
    fn drop(&mut self) {
        if self.actor.life.exit().is_none() {
            self.end(Exit::Abandoned, false);
        }
    }
}
