//! An envelope on its way into a mailbox: what every send does, whatever its message is.

use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context as Task, Poll};
use std::time::Duration;

use mycelia_queue::{PushError, Send as Line};

use crate::actor::{Actor, QueueOf};
use crate::asking::time_left;
use crate::budget::within_budget;
use crate::cycle::{self, For, Mark};
use crate::envelope::{Asker, Envelope, Promise};
use crate::error::Refusal;

/// Ready when the envelope is in the mailbox, or has come back (and was counted as returned). `A` is the actor, borrowed or
/// owned.
pub(crate) struct Posting<A: Deref<Target = Actor>> {
    /// If it has to wait. In a box, for few senders have a deadline, and few are handlers. (Goes before the line.)
    held: Option<Box<Held>>,
    line: Line<QueueOf<A>, Envelope>,
}

/// What goes with waiting for room.
#[derive(Default)]
struct Held {
    /// That the handler which polls this waits.
    mark: Option<Mark>,
    until: Option<Alarm>,
}

type Posted = Result<(), (Envelope, Refusal)>;

// Nothing in here is pinned: the message is in its slot.
impl<A: Deref<Target = Actor>> Unpin for Posting<A> {}

impl<A: Deref<Target = Actor> + Clone> Posting<A> {
    #[inline]
    pub(crate) fn new(actor: A, envelope: Envelope) -> Self {
        Self { held: None, line: Line::to(QueueOf(actor), envelope) }
    }

    pub(crate) fn actor(&self) -> &Actor {
        &self.line.channel().0
    }

    fn line_for(&self, envelope: Envelope, inside: bool) -> Line<QueueOf<A>, Envelope> {
        let actor = self.line.channel().0.clone();
        if inside { line_inside(actor, envelope) } else { Line::to(QueueOf(actor), envelope) }
    }

    /// Gives up. The envelope, unless it is in the mailbox, or has come back.
    pub(crate) fn withdraw(&mut self) -> Option<Envelope> {
        self.held = None;
        self.line.withdraw()
    }

    /// The first poll has found no room: gets in line.
    #[cold]
    fn no_room(&mut self, error: PushError<Envelope>, task: &mut Task<'_>) -> Poll<Posted> {
        let (envelope, inside) = match error {
            PushError::Closed { item } if self.actor().is_sent_from_inside() => (item, true),
            PushError::Closed { item } => return Poll::Ready(Err((item, Refusal::Stopped))),
            PushError::Full { item, .. } => (item, false),
        };
        self.actor().found_full(0);
        let left = time_left(&envelope);
        self.line = self.line_for(envelope, inside);
        match left.map(|left| Alarm::after(left, self.actor(), task)) {
            None => self.wait(task),
            Some(Err(refusal)) => self.give_up(refusal),
            Some(Ok(alarm)) => {
                self.held = Some(Box::new(Held { mark: None, until: Some(alarm) }));
                self.wait(task)
            }
        }
    }

    #[cold]
    fn wait(&mut self, task: &mut Task<'_>) -> Poll<Posted> {
        // The mark goes before the place in line does, which may be another's at once.
        self.held.iter_mut().for_each(|held| held.mark = None);
        loop {
            match Pin::new(&mut self.line).poll(task) {
                // It has been closed to outside: the senders inside get in line again.
                Poll::Ready(Err(error)) if self.actor().is_sent_from_inside() => {
                    self.line = self.line_for(error.0, true);
                }
                Poll::Ready(posted) => {
                    self.held = None;
                    return Poll::Ready(posted.map_err(|error| (error.0, Refusal::Stopped)));
                }
                Poll::Pending => break,
            }
        }
        let until = self.held.as_mut().and_then(|held| held.until.as_mut());
        if until.is_some_and(|until| until.is_over(task)) {
            return self.give_up(Refusal::Deadline);
        }
        match self.line.place().map(|place| cycle::wait_for(self.actor(), For::Room(place))) {
            Some(Err(cycle)) => return self.give_up(Refusal::Cycle(cycle)),
            Some(Ok(mark @ Some(_))) => self.held.get_or_insert_default().mark = mark,
            Some(Ok(None)) | None => {}
        }
        Poll::Pending
    }

    /// The message goes back to its sender, unless it was let in at this very moment.
    fn give_up(&mut self, refusal: Refusal) -> Poll<Posted> {
        self.held = None;
        Poll::Ready(self.line.withdraw().map_or(Ok(()), |item| {
            self.actor().ledger.rare().returned.add(1);
            Err((item, refusal))
        }))
    }
}

/// A place in line from inside, for an envelope that the queue has just refused.
#[cold]
pub(crate) fn line_inside<A: Deref<Target = Actor>>(
    actor: A,
    envelope: Envelope,
) -> Line<QueueOf<A>, Envelope> {
    actor.is_sent_again(1);
    Line::to_inside(QueueOf(actor), envelope)
}

/// A limit of time that depends on no tokio: an ask that gets no reply.
struct Alarm {
    /// Goes first: it is not to be woken by the other's end.
    asker: Option<Asker<()>>,
    _promise: Promise<()>,
}

impl Alarm {
    /// It takes a slot.
    fn after(left: Duration, actor: &Actor, task: &Task<'_>) -> Result<Self, Refusal> {
        if left.is_zero() {
            return Err(Refusal::Deadline);
        }
        let runtime = &actor.runtime;
        let deadline = runtime.deadlines.within(runtime, task, left);
        let (promise, asker) = Promise::new(&runtime.slots, task, deadline)
            .map_err(|exhausted| Refusal::PoolExhausted { capacity: exhausted.capacity })?;
        runtime.deadlines.ask_is_out(runtime, deadline);
        Ok(Self { asker: Some(asker), _promise: promise })
    }

    fn is_over(&mut self, task: &mut Task<'_>) -> bool {
        self.asker.is_none() || Asker::poll_marked(&mut self.asker, &mut None, task).is_ready()
    }
}

impl<A: Deref<Target = Actor> + Clone> Future for Posting<A> {
    type Output = Posted;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Self::Output> {
        within_budget(task, |task| {
            let Some(envelope) = self.line.take_item() else { return self.wait(task) };
            match self.actor().queue.try_send(envelope) {
                Ok(()) => Poll::Ready(Ok(())),
                Err(error) => self.no_room(error, task),
            }
        })
    }
}
