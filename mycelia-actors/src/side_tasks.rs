//! The futures beside a subsystem: where their messages come from, and how these get into the mailbox.
//!
//! ```text
//!              poll                      a message                      a slot              capacity
//!  tokio ──▶ SideTask ──▶ Source ───────────────────▶ Delivery::New ─────────────▶ Posting ───────────▶ mailbox
//!            told to end? pipe, timer, stream             │   ▲ every few milliseconds
//!            contained, in its metadata                   └───┘ while the pool has no slot
//! ```

use std::any::{TypeId, type_name};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context as Task, Poll, Waker, ready};
use std::time::Duration;

use futures_core::Stream;
use mycelia_core::contain;
use pin_project_lite::pin_project;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::coop::poll_proceed;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::actor::{Actor, Request};
use crate::address::Address;
use crate::awaited::Alarm;
use crate::current;
use crate::dead_letters::{DeadLetter, Reason};
use crate::handler::Handler;
use crate::life_event::Lifecycle;
use crate::posting::Posting;
use crate::side_task::{AtStop, SideTaskKind};
use crate::slot::Fate;
use crate::subscription::Subscription;
use crate::table::Kind;
use crate::task_entry::{EndOfTask, Entry, Signal};
use crate::tasks::TaskHandle;

/// Tokio's timers are as fine as this.
const SHORTEST_PERIOD: Duration = Duration::from_millis(1);
/// Longer periods never come; what lies further ahead cannot be counted.
const LONGEST_PERIOD: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
/// The first pause before another try to get a message in, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(64);

/// Where the messages of a side task come from.
trait Source<M> {
    /// The next message; `None` at the end.
    fn poll_message(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<M>>;
}

pin_project! {
    struct Pipe<F> {
        // `None` when it is done.
        #[pin]
        future: Option<F>,
    }
}

impl<F: Future> Source<F::Output> for Pipe<F> {
    fn poll_message(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<F::Output>> {
        let mut future = self.project().future;
        let Some(running) = future.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let output = ready!(running.poll(task));
        future.set(None);
        Poll::Ready(Some(output))
    }
}

pin_project! {
    struct Attached<T> {
        #[pin]
        stream: T,
    }
}

impl<T: Stream> Source<T::Item> for Attached<T> {
    fn poll_message(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<T::Item>> {
        self.project().stream.poll_next(task)
    }
}

pin_project! {
    struct After<M> {
        #[pin]
        time: Sleep,
        message: Option<M>,
    }
}

impl<M> Source<M> for After<M> {
    fn poll_message(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<M>> {
        let this = self.project();
        if this.message.is_some() {
            ready!(this.time.poll(task));
        }
        Poll::Ready(this.message.take())
    }
}

pin_project! {
    struct Every<M> {
        #[pin]
        time: Sleep,
        period: Duration,
        message: M,
        // A message is out: the next time depends on how long that took.
        sent: bool,
    }
}

impl<M: Clone> Source<M> for Every<M> {
    fn poll_message(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<M>> {
        let mut this = self.project();
        if std::mem::take(this.sent) {
            let (now, due) = (Instant::now(), this.time.deadline());
            let behind = now.saturating_duration_since(due).as_nanos() % this.period.as_nanos();
            let next = now - Duration::from_nanos(behind as u64) + *this.period;
            this.time.as_mut().reset(next);
        }
        ready!(this.time.poll(task));
        *this.sent = true;
        Poll::Ready(Some(this.message.clone()))
    }
}

/// A message on its way from a side task into the mailbox.
enum Delivery<M> {
    Nothing,
    New(M),
    /// Many others are in line already: those that wait here have no slot yet.
    Behind(M, Pin<Box<dyn Future<Output = Option<Permit>> + Send>>),
    /// There is no way in for the moment: no slot in the message pool, or, for a kept side task at a stop, nothing else to do.
    Paused(M, Permit, Pin<Box<Sleep>>, Duration),
    /// The envelope is of such a message.
    Posted(Posting<Arc<Actor>>, Permit),
}

/// The right to be in line for capacity.
type Permit = OwnedSemaphorePermit;

impl<M: Send + 'static> Delivery<M> {
    /// Ready when the message is in the mailbox, or (`false`) the subsystem takes no more.
    fn poll<S: Handler<M>>(&mut self, actor: &Arc<Actor>, entry: &Entry, task: &mut Task<'_>) -> Poll<bool> {
        loop {
            match std::mem::replace(self, Self::Nothing) {
                Self::Nothing => return Poll::Ready(true),
                Self::New(message) => {
                    let line = actor.ledger.rare().tasks.line();
                    *self = match Arc::clone(&line).try_acquire_owned() {
                        Ok(permit) => Self::put_into_slot::<S>(actor, entry, message, permit, FIRST_PAUSE),
                        Err(_) => Self::Behind(message, Box::pin(async { line.acquire_owned().await.ok() })),
                    };
                }
                Self::Behind(message, mut permit) => {
                    let Poll::Ready(permit) = permit.as_mut().poll(task) else {
                        *self = Self::Behind(message, permit);
                        return Poll::Pending;
                    };
                    let Some(permit) = permit else { unreachable!("nothing closes the semaphore") };
                    *self = Self::put_into_slot::<S>(actor, entry, message, permit, FIRST_PAUSE);
                }
                Self::Paused(message, permit, mut pause, length) => {
                    if pause.as_mut().poll(task).is_pending() {
                        *self = Self::Paused(message, permit, pause, length);
                        return Poll::Pending;
                    }
                    *self = Self::put_into_slot::<S>(actor, entry, message, permit, length * 2);
                }
                Self::Posted(mut posting, permit) => match Pin::new(&mut posting).poll(task) {
                    Poll::Pending => {
                        *self = Self::Posted(posting, permit);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(())) => return Poll::Ready(true),
                    Poll::Ready(Err((envelope, _))) => {
                        actor.ledger.rare().given_up.add(1);
                        actor.lose(envelope, Reason::Undelivered, Fate::Undelivered);
                        return Poll::Ready(false);
                    }
                },
            }
        }
    }

    fn put_into_slot<S: Handler<M>>(
        actor: &Arc<Actor>,
        entry: &Entry,
        message: M,
        permit: Permit,
        pause: Duration,
    ) -> Self {
        let paused = |message, permit| {
            let pause = pause.min(LONGEST_PAUSE);
            Self::Paused(message, permit, Box::pin(sleep(pause)), pause)
        };
        let is_kept = actor.was_asked(Request::Drain) && entry.at_stop() == AtStop::Keep;
        if is_kept && !actor.ledger.rare().tasks.lets_kept_in(actor, pause > FIRST_PAUSE) {
            return paused(message, permit);
        }
        match actor.envelope::<S, M>(message) {
            Ok(envelope) => {
                if !entry.keeps_messages() {
                    envelope.set_state(entry.state);
                }
                Self::Posted(Posting::new(Arc::clone(actor), envelope), permit)
            }
            Err((message, refusal)) => {
                tracing::debug!(subsystem = %actor.name, %refusal, "a side task waits for a slot");
                paused(message, permit)
            }
        }
    }

    /// The side task is cut off with the message in hand: the message is undelivered.
    fn give_up(&mut self, actor: &Actor, entry: &Entry) {
        match std::mem::replace(self, Self::Nothing) {
            Self::Nothing => {}
            Self::Posted(mut posting, _) => {
                if let Some(envelope) = posting.withdraw() {
                    let rare = actor.ledger.rare();
                    rare.returned.add(1);
                    rare.given_up.add(1);
                    actor.lose(envelope, Reason::Undelivered, Fate::Undelivered);
                }
            }
            Self::New(message) | Self::Behind(message, _) | Self::Paused(message, ..) => {
                let rare = actor.ledger.rare();
                rare.returned.add(1);
                rare.given_up.add(1);
                let (reason, message_type, trace_id) =
                    (Reason::Undelivered, entry.type_name(), entry.trace_id());
                tracing::debug!(subsystem = %actor.name, message_type, trace_id, %reason, "dead letter");
                if actor.runtime.wants_letters() {
                    let (name, kind) = (actor.name.clone(), Kind::of::<M>());
                    let letter = DeadLetter::new(name, kind, reason, Some(Box::new(message)));
                    actor.runtime.deliver(letter.with_metadata(entry.metadata.clone()));
                } else {
                    actor.drop_contained(message);
                }
            }
        }
    }
}

/// Says how the side task ended, when all that it held is gone.
struct Guard {
    actor: Arc<Actor>,
    alarm: Arc<Alarm>,
    end: Option<EndOfTask>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let entry = &self.alarm.0;
        self.actor.settle(entry, self.end.unwrap_or_else(|| entry.end_if_cut_off()));
    }
}

pin_project! {
    /// What tokio runs.
    struct SideTask<S, M, P>
    where
        S: Handler<M>,
        M: Send,
        M: 'static,
    {
        // `None` when it is over.
        #[pin]
        source: Option<P>,
        delivery: Delivery<M>,
        // Goes last: then all that the side task held is gone.
        guard: Guard,
        subsystem: std::marker::PhantomData<fn(S)>,
    }

    impl<S, M, P> PinnedDrop for SideTask<S, M, P>
    where
        S: Handler<M>,
        M: Send,
        M: 'static,
    {
        fn drop(this: Pin<&mut Self>) {
            this.end();
        }
    }
}

impl<S: Handler<M>, M: Send + 'static, P> SideTask<S, M, P> {
    /// Drops what it holds, which may panic.
    fn end(self: Pin<&mut Self>) {
        let this = self.project();
        let Guard { actor, alarm, .. } = &*this.guard;
        let (delivery, mut source) = (this.delivery, this.source);
        let in_hand = !matches!(delivery, Delivery::Nothing);
        if source.is_none() && !in_hand {
            return;
        }
        inside(this.guard, || {
            if contain(|| source.set(None)).is_err() {
                actor.ledger.rare().drop_panics.add(1);
            }
            delivery.give_up(actor, &alarm.0);
        });
    }
}

/// Runs a piece of a side task: as its subsystem's, and with its metadata.
fn inside<T>(guard: &Guard, run: impl FnOnce() -> T) -> T {
    let _side = current::enter_side_task(&guard.actor, &guard.alarm);
    match &guard.alarm.0.metadata {
        Some(metadata) => metadata.in_scope(run),
        None => run(),
    }
}

impl<S: Handler<M>, M: Send + 'static, P: Source<M>> Future for SideTask<S, M, P> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<()> {
        let this = self.as_mut().project();
        let Guard { actor, alarm, .. } = &*this.guard;
        let entry = &alarm.0;
        let end = match entry.begin_poll(task) {
            Signal::Cancel => None,
            Signal::GoOn | Signal::WindDown => {
                let (mut source, delivery) = (this.source, this.delivery);
                let waker = Waker::from(Arc::clone(alarm));
                let alarmed = &mut Task::from_waker(&waker);
                let mut run = || step::<S, M, P>(actor, entry, source.as_mut(), delivery, alarmed);
                let poll = inside(this.guard, || contain(&mut run));
                drop(waker);
                match poll {
                    Ok(Poll::Pending) => {
                        if entry.end_poll(alarm) {
                            actor.settled_something();
                        }
                        return Poll::Pending;
                    }
                    Ok(Poll::Ready(end)) => end,
                    Err(text) => {
                        tracing::error!(
                            subsystem = %actor.name,
                            kind = %entry.kind,
                            message_type = entry.type_name(),
                            trace_id = entry.trace_id(),
                            %text,
                            "a side task panicked"
                        );
                        Some(EndOfTask::Panicked)
                    }
                }
            }
        };
        self.as_mut().end();
        self.project().guard.end = end;
        Poll::Ready(())
    }
}

/// Goes on until it has to wait. How it ended, if it has; `None` if it was told to end.
fn step<S: Handler<M>, M: Send + 'static, P: Source<M>>(
    actor: &Arc<Actor>,
    entry: &Entry,
    mut source: Pin<&mut Option<P>>,
    delivery: &mut Delivery<M>,
    task: &mut Task<'_>,
) -> Poll<Option<EndOfTask>> {
    loop {
        if !ready!(delivery.poll::<S>(actor, entry, task)) {
            return Poll::Ready(Some(EndOfTask::Finished));
        }
        if entry.signal_now() != Signal::GoOn {
            return Poll::Ready(None);
        }
        // One that is always ready must let others run, and hear that it is to end.
        let budget = ready!(poll_proceed(task));
        let Some(running) = source.as_mut().as_pin_mut() else {
            return Poll::Ready(Some(EndOfTask::Finished));
        };
        let next = ready!(running.poll_message(task));
        budget.made_progress();
        match next {
            Some(message) => {
                *delivery = Delivery::New(message);
                // It may have blocked the thread, and have been given up meanwhile.
                if entry.signal_now() == Signal::Cancel {
                    return Poll::Ready(None);
                }
            }
            None => return Poll::Ready(Some(EndOfTask::Finished)),
        }
    }
}

/// Starts a side task, with the metadata that holds now, but for the deadline.
fn start<S: Handler<M>, M: Send + 'static, P: Source<M> + Send + 'static>(
    address: &Address<S>,
    kind: SideTaskKind,
    at_stop: AtStop,
    source: P,
) -> TaskHandle {
    let actor = Arc::clone(address.actor());
    let entry = actor.ledger.rare().tasks.add(&actor, kind, type_name::<M>, at_stop);
    let alarm = Arc::new(Alarm(Arc::clone(&entry)));
    let guard = Guard { actor: Arc::clone(&actor), alarm, end: None };
    let side_task = SideTask::<S, M, P> {
        source: Some(source),
        delivery: Delivery::Nothing,
        guard,
        subsystem: std::marker::PhantomData,
    };
    // Where the subsystem itself runs, if that can be seen from here.
    let tokio = Handle::try_current().ok().or_else(|| actor.runtime.any_tokio());
    match tokio.filter(|_| !actor.has_to_end()) {
        Some(tokio) => drop(tokio.spawn(side_task)),
        // The subsystem takes no more messages, or its tokio has gone.
        None => drop(side_task),
    }
    TaskHandle(entry)
}

pub(crate) fn pipe<S: Handler<F::Output>, F: Future<Output: Send> + Send + 'static>(
    address: &Address<S>,
    future: F,
) -> TaskHandle {
    start(address, SideTaskKind::Pipe, AtStop::Wait, Pipe { future: Some(future) })
}

pub(crate) fn attach<S: Handler<T::Item>, T: Stream<Item: Send> + Send + 'static>(
    address: &Address<S>,
    stream: T,
) -> TaskHandle {
    let at_stop =
        if is_told_by_the_runtime::<T>() && address.actor().ends_last() { AtStop::Wait } else { AtStop::End };
    start(address, SideTaskKind::Stream, at_stop, Attached { stream })
}

/// True for subscriptions to what the runtime itself publishes.
fn is_told_by_the_runtime<T: 'static>() -> bool {
    let stream = TypeId::of::<T>();
    stream == TypeId::of::<Subscription<DeadLetter>>() || stream == TypeId::of::<Subscription<Lifecycle>>()
}

pub(crate) fn send_after<S: Handler<M>, M: Send + 'static>(
    address: &Address<S>,
    delay: Duration,
    message: M,
) -> TaskHandle {
    start(address, SideTaskKind::Timer, AtStop::End, After { time: sleep(delay), message: Some(message) })
}

pub(crate) fn send_every<S: Handler<M>, M: Clone + Send + 'static>(
    address: &Address<S>,
    period: Duration,
    message: M,
) -> TaskHandle {
    let period = period.clamp(SHORTEST_PERIOD, LONGEST_PERIOD);
    let time = sleep_until(Instant::now() + period);
    start(address, SideTaskKind::Timer, AtStop::End, Every { time, period, message, sent: false })
}

impl Actor {
    /// Counts the end of a side task, once, and tells of one that was abandoned.
    pub(crate) fn settle(&self, entry: &Entry, end: EndOfTask) {
        let Some(rare) = self.ledger.rare_if_any() else { return };
        if !rare.tasks.settle(entry, end) {
            return;
        }
        if end == EndOfTask::Abandoned {
            let (kind, message_type, trace_id) = (entry.kind, entry.type_name(), entry.trace_id());
            tracing::warn!(subsystem = %self.name, %kind, message_type, trace_id, "a side task was abandoned");
            if self.runtime.wants_letters() {
                let letter =
                    DeadLetter::new(self.name.clone(), entry.message_kind(), Reason::Abandoned, None);
                self.runtime.deliver(letter.with_metadata(entry.metadata.clone()));
            }
        }
        entry.close();
        self.settled_something();
    }

    /// Something has settled beside the messages, for which a stop may have waited.
    pub(crate) fn settled_something(&self) {
        if self.queue.is_closed() {
            self.queue.wake_receiver();
            self.runtime.drains.look_again();
        }
    }
}

/// How long the side tasks of a subsystem that ends or restarts are waited for.
const SIDE_TASKS_WITHIN: Duration = Duration::from_secs(1);

/// Tells the side tasks to end, and waits until they have: for a second at most. One that is left then is abandoned.
pub(crate) async fn end_all(actor: &Actor, stopped: bool) {
    let Some(rare) = actor.ledger.rare_if_any() else { return };
    rare.tasks.end_all(stopped);
    if rare.tasks.is_empty() {
        return;
    }
    let mut late = pin!(sleep(SIDE_TASKS_WITHIN));
    std::future::poll_fn(|task| {
        if rare.tasks.poll_gone(task).is_ready() {
            return Poll::Ready(());
        }
        // Where tokio goes away, waiting panics.
        contain(|| late.as_mut().poll(task)).unwrap_or(Poll::Ready(()))
    })
    .await;
    abandon(actor);
}

/// Those that have not ended are waited for no more.
pub(crate) fn abandon(actor: &Actor) {
    let Some(rare) = actor.ledger.rare_if_any() else { return };
    rare.tasks.left().iter().for_each(|entry| actor.settle(entry, EndOfTask::Abandoned));
}
