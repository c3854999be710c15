//! An envelope on its way into a mailbox: what every send does, whatever its message is.

use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context as Task, Poll};

use mycelia_queue::{PushError, Send as Line};

use crate::actor::{Actor, QueueOf};
use crate::current;
use crate::envelope::Envelope;
use crate::error::Refusal;

/// Ready when the envelope is in the mailbox, or has come back (and was counted as returned). `A` is the actor, borrowed or
/// owned.
pub(crate) struct Posting<A: Deref<Target = Actor>> {
    actor: A,
    stage: Stage<A>,
}

enum Stage<A: Deref<Target = Actor>> {
    New(Envelope),
    InLine(Line<QueueOf<A>, Envelope>),
    Done,
}

// Nothing in here is pinned: the message is in its slot.
impl<A: Deref<Target = Actor>> Unpin for Posting<A> {}

impl<A: Deref<Target = Actor> + Clone> Posting<A> {
    #[inline]
    pub(crate) fn new(actor: A, envelope: Envelope) -> Self {
        Self { actor, stage: Stage::New(envelope) }
    }

    pub(crate) fn actor(&self) -> &Actor {
        &self.actor
    }

    #[cold]
    fn no_room(
        &mut self,
        error: PushError<Envelope>,
        task: &mut Task<'_>,
    ) -> Poll<Result<(), (Envelope, Refusal)>> {
        match error {
            PushError::Closed { item } => Poll::Ready(Err((item, Refusal::Stopped))),
            PushError::Full { item, capacity } if current::is(&self.actor) => {
                self.actor.ledger.rare().returned.add(1);
                Poll::Ready(Err((item, Refusal::WaitsForItself { capacity })))
            }
            PushError::Full { item, .. } => self.wait(Line::to(QueueOf(self.actor.clone()), item), task),
        }
    }

    fn wait(
        &mut self,
        mut line: Line<QueueOf<A>, Envelope>,
        task: &mut Task<'_>,
    ) -> Poll<Result<(), (Envelope, Refusal)>> {
        let poll = Pin::new(&mut line).poll(task);
        if poll.is_pending() {
            self.stage = Stage::InLine(line);
        }
        poll.map_err(|error| (error.0, Refusal::Stopped))
    }
}

impl<A: Deref<Target = Actor> + Clone> Future for Posting<A> {
    type Output = Result<(), (Envelope, Refusal)>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Self::Output> {
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::New(envelope) => match self.actor.queue.try_send(envelope) {
                Ok(()) => Poll::Ready(Ok(())),
                Err(error) => self.no_room(error, task),
            },
            Stage::InLine(line) => self.wait(line, task),
            Stage::Done => panic!("a send was polled after it was ready"),
        }
    }
}
