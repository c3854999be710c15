//! The task of a subsystem: takes messages in batches, handles one after another, obeys requests before each poll.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context as Task, Poll};
use std::time::Duration;

use tokio::time::Instant;

use crate::actor::{Actor, Request};
use crate::context::Context;
use crate::current;
use crate::dead_letters::{DeadLetter, Reason};
use crate::envelope::{Envelope, InHand};
use crate::error::panic_text;
use crate::lifecycle::Exit;
use crate::restart::Record;
use crate::slot::Fate;
use crate::space::{PlacedDyn, Space};
use crate::subsystem::{Factory, Subsystem};

/// What the run loop needs to know beside the state.
pub(crate) struct Plan<S> {
    /// Messages until it yields, and the most it takes from the mailbox at once.
    pub(crate) budget: u32,
    pub(crate) batch: u32,
    /// Absent: a panic ends the subsystem.
    pub(crate) restarts: Option<Box<(Factory<S>, Record)>>,
}

pin_project_lite::pin_project! {
    /// The task: the loop, and around each poll of it the mark of whose code is running.
    struct Running<F> {
        actor: Arc<Actor>,
        #[pin]
        inner: F,
    }
}

impl<F: Future<Output = ()>> Future for Running<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<()> {
        let this = self.project();
        let _current = current::enter(this.actor);
        this.actor.ledger.polls.add_owned(1);
        this.inner.poll(task)
    }
}

/// The future to be spawned.
pub(crate) fn task<S: Subsystem>(
    actor: Arc<Actor>,
    state: S,
    plan: Plan<S>,
) -> impl Future<Output = ()> + Send {
    let inner = run(Batch::new(Arc::clone(&actor)), state, plan);
    Running { actor, inner }
}

/// Why a state's life ended.
enum End {
    Stopped,
    Killed,
    Restart,
    StartFailed(Arc<str>),
    Panicked(Arc<str>),
}

async fn run<S: Subsystem>(mut batch: Batch, mut state: S, mut plan: Plan<S>) {
    let actor = Arc::clone(&batch.actor);
    let actor = &*actor;
    let mut cx = Context::new(Arc::clone(&batch.actor));
    let mut space = Space::new();
    // From now on every request finds somebody to wake.
    poll_fn(|task| {
        actor.queue.register_receiver(task.waker());
        Poll::Ready(())
    })
    .await;
    let exit = loop {
        let end = live(actor, &mut state, &mut cx, &mut batch, &mut space, &plan).await;
        match end {
            End::Stopped => {
                let exit = Exit::Stopped;
                if let Ended::Panicked(text) = obeying(actor, state.stopped(&exit, &mut cx)).await {
                    tracing::error!(subsystem = %actor.name, %text, "panicked in `stopped`");
                }
                break exit;
            }
            End::Killed => break Exit::Killed,
            End::StartFailed(text) => break Exit::StartFailed(text),
            End::Restart => match &plan.restarts {
                None => {
                    tracing::warn!(subsystem = %actor.name, "asked to restart, but it has no factory");
                    continue;
                }
                Some(restarts) => match renew(actor, &mut state, &restarts.0) {
                    Ok(()) => {}
                    Err(text) => break Exit::Panicked(text),
                },
            },
            End::Panicked(mut text) => {
                tracing::error!(subsystem = %actor.name, %text, "panicked");
                let Some(restarts) = &mut plan.restarts else { break Exit::Panicked(text) };
                // A factory that panics has used up a restart; so this ends.
                let exit = loop {
                    let Some(pause) = restarts.1.another(Instant::now()) else {
                        break Some(Exit::Panicked(text));
                    };
                    if let Ended::Killed = obeying(actor, wait(pause)).await {
                        break Some(Exit::Killed);
                    }
                    match renew(actor, &mut state, &restarts.0) {
                        Ok(()) => break None,
                        Err(again) => text = again,
                    }
                };
                if let Some(exit) = exit {
                    break exit;
                }
            }
        }
    };
    if catch_unwind(AssertUnwindSafe(|| drop(state))).is_err() {
        actor.ledger.drop_panics.add(1);
    }
    batch.end(exit);
}

async fn wait(pause: Duration) {
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
}

/// Puts a new state in the place of the old one, whose drop may panic.
fn renew<S>(actor: &Actor, state: &mut S, factory: &Factory<S>) -> Result<(), Arc<str>> {
    let new = catch_unwind(AssertUnwindSafe(|| factory())).map_err(|panic| panic_text(&*panic))?;
    let old = std::mem::replace(state, new);
    if catch_unwind(AssertUnwindSafe(|| drop(old))).is_err() {
        actor.ledger.drop_panics.add(1);
    }
    actor.ledger.restarts.add_owned(1);
    tracing::info!(subsystem = %actor.name, "restarted");
    Ok(())
}

/// One state's life, from `started` to its end.
async fn live<S: Subsystem>(
    actor: &Actor,
    state: &mut S,
    cx: &mut Context<S>,
    batch: &mut Batch,
    space: &mut Space,
    plan: &Plan<S>,
) -> End {
    match obeying(actor, state.started(cx)).await {
        Ended::Done(Ok(())) => actor.life.set_started(),
        Ended::Done(Err(error)) => return End::StartFailed(Arc::from(error.to_string())),
        Ended::Panicked(text) => return End::Panicked(text),
        Ended::Killed => return End::Killed,
    }
    let mut budget = plan.budget;
    loop {
        match actor.next_request() {
            Some(Request::Kill) => return End::Killed,
            Some(Request::Restart) => return End::Restart,
            None => {}
        }
        let Some(envelope) = batch.taken.pop_front() else {
            match poll_fn(|task| batch.poll_fill(task, plan.batch, &mut budget, plan.budget)).await {
                Filled::Messages => continue,
                Filled::Request => continue,
                Filled::Closed => return End::Stopped,
            }
        };
        actor.ledger.begun.add_owned(1);
        if envelope.is_over() {
            actor.ledger.expired.add_owned(1);
            actor.lose(envelope, Reason::Expired, Fate::Deadline);
            continue;
        }
        tracing::trace!(subsystem = %actor.name, message = envelope.message_type(), "handling");
        if let Err(end) = handle(actor, envelope, state, cx, space).await {
            return end;
        }
        budget -= 1;
        if budget == 0 {
            budget = plan.budget;
            yield_now().await;
        }
    }
}

/// Handles one message, and sees to its fate.
#[inline]
async fn handle<S: Subsystem>(
    actor: &Actor,
    envelope: Envelope,
    state: &mut S,
    cx: &mut Context<S>,
    space: &mut Space,
) -> Result<(), End> {
    let handling = Handling { actor, message_type: envelope.message_name(), in_hand: Some(envelope.begin()) };
    let ended = {
        let mut start = Some((state, cx, space));
        let mut placed: Option<PlacedDyn<'_>> = None;
        poll_fn(|task| {
            if placed.is_some() && actor.is_killed() {
                return Poll::Ready(Ended::Killed);
            }
            let poll = catch_unwind(AssertUnwindSafe(|| match (&mut placed, start.take()) {
                (Some(placed), _) => placed.as_mut().poll(task),
                (None, Some((state, cx, space))) => {
                    // SAFETY: this mailbox is read by the loop of an `S`, so only envelopes for an `S` are put into it.
                    placed = unsafe { Envelope::run(handling.in_hand(), state, cx, space, task) };
                    if placed.is_some() { Poll::Pending } else { Poll::Ready(()) }
                }
                (None, None) => unreachable!("a future that was done is not polled again"),
            }));
            match poll {
                Ok(Poll::Ready(())) => Poll::Ready(Ended::Done(())),
                Ok(Poll::Pending) => Poll::Pending,
                Err(panic) => Poll::Ready(Ended::Panicked(panic_text(&*panic))),
            }
        })
        .await
    };
    match ended {
        Ended::Done(()) => {
            handling.handled();
            Ok(())
        }
        Ended::Killed => {
            handling.failed(Fate::Killed);
            Err(End::Killed)
        }
        Ended::Panicked(text) => {
            handling.failed(Fate::Panicked);
            Err(End::Panicked(text))
        }
    }
}

/// The message in hand, whose fate is counted and told exactly once.
struct Handling<'a> {
    actor: &'a Actor,
    message_type: fn() -> &'static str,
    in_hand: Option<InHand>,
}

impl Handling<'_> {
    fn in_hand(&self) -> &InHand {
        match &self.in_hand {
            Some(in_hand) => in_hand,
            None => unreachable!("taken at the end only"),
        }
    }

    #[inline]
    fn handled(mut self) {
        // Counted first: who has the reply finds the message handled.
        self.actor.ledger.handled.add_owned(1);
        if let Some(in_hand) = self.in_hand.take() {
            in_hand.reply();
        }
    }

    #[cold]
    fn failed(mut self, fate: Fate) {
        self.fail(fate);
    }

    fn fail(&mut self, fate: Fate) {
        let Some(in_hand) = self.in_hand.take() else { return };
        self.actor.ledger.failed.add_owned(1);
        if self.actor.runtime.dead_letters.is_watched() {
            let letter =
                DeadLetter::new(self.actor.name.clone(), (self.message_type)(), Reason::Failed, None);
            self.actor.runtime.dead_letters.publish(letter);
        }
        in_hand.end(fate);
    }
}

impl Drop for Handling<'_> {
    /// The task is being dropped in the middle of a message: tokio has gone.
    fn drop(&mut self) {
        self.fail(Fate::Killed);
    }
}

/// How a piece of the user's code ended.
enum Ended<T> {
    Done(T),
    Panicked(Arc<str>),
    Killed,
}

/// Runs a hook, looking for a kill before each poll.
async fn obeying<T>(actor: &Actor, hook: impl Future<Output = T>) -> Ended<T> {
    let mut hook = pin!(hook);
    poll_fn(|task| {
        if actor.is_killed() {
            return Poll::Ready(Ended::Killed);
        }
        match catch_unwind(AssertUnwindSafe(|| hook.as_mut().poll(task))) {
            Ok(poll) => poll.map(Ended::Done),
            Err(panic) => Poll::Ready(Ended::Panicked(panic_text(&*panic))),
        }
    })
    .await
}

/// Lets every other task of the worker run first.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|task| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        // A task that wakes itself while it runs goes to the back of tokio's queue.
        task.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The messages that the loop has taken out of the mailbox and not begun yet, and the duty to settle all when it ends.
pub(crate) struct Batch {
    actor: Arc<Actor>,
    taken: VecDeque<Envelope>,
    ended: bool,
}

pub(crate) enum Filled {
    Messages,
    Request,
    Closed,
}

impl Batch {
    pub(crate) fn new(actor: Arc<Actor>) -> Self {
        Self { actor, taken: VecDeque::new(), ended: false }
    }

    pub(crate) fn poll_fill(
        &mut self,
        task: &mut Task<'_>,
        limit: u32,
        budget: &mut u32,
        full: u32,
    ) -> Poll<Filled> {
        match self.actor.queue.poll_recv_many(task, &mut self.taken, limit as usize) {
            // A kill closes the queue after it has set its flag, so whoever sees the one sees the other.
            Poll::Ready(0) if self.actor.has_request() => Poll::Ready(Filled::Request),
            Poll::Ready(0) => Poll::Ready(Filled::Closed),
            Poll::Ready(_) => Poll::Ready(Filled::Messages),
            Poll::Pending if self.actor.has_request() => Poll::Ready(Filled::Request),
            Poll::Pending => {
                *budget = full;
                Poll::Pending
            }
        }
    }

    /// Nothing is handled any more: what is left is undelivered, and everybody who waits is told.
    fn end(&mut self, exit: Exit) {
        self.ended = true;
        let actor = &*self.actor;
        actor.queue.close();
        let mut left = std::mem::take(&mut self.taken);
        left.extend(actor.queue.drain());
        actor.ledger.begun.add_owned(left.len() as u64);
        actor.ledger.undelivered.add_owned(left.len() as u64);
        for envelope in left {
            actor.lose(envelope, Reason::Undelivered, Fate::Undelivered);
        }
        actor.queue.forget_receiver();
        actor.runtime.unregister(actor);
        tracing::info!(subsystem = %actor.name, %exit, "ended");
        actor.life.set_ended(exit);
    }
}

impl Drop for Batch {
    /// The task was dropped in the middle: tokio has gone.
    fn drop(&mut self) {
        if !self.ended {
            self.end(Exit::Abandoned);
        }
    }
}
