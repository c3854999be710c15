//! The task of a subsystem: takes messages in batches, handles one after another, obeys requests before each poll.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context as Task, Poll};
use std::time::Duration;

use mycelia_core::contain;
use mycelia_core::sync::atomic::Ordering;
use tokio::time::Instant;

use crate::actor::{Actor, Asked, Request};
use crate::batch::{Batch, Filled};
use crate::context::Context;
use crate::current;
use crate::cycle::Ending;
use crate::faults::{Fault, Faults};
use crate::handling::{self, Handling, Inside, New};
use crate::life_event::LifeEvent;
use crate::lifecycle::Exit;
use crate::observer;
use crate::restart::{Others, Record};
use crate::runtime::{ended_within, grace, kill, one_by_one};
use crate::space::Space;
use crate::subsystem::{Factory, Subsystem};
use crate::watch::{forget_notices, unwatch_all};

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
        // With the thread while this is polled.
        actor: Option<Arc<Actor>>,
        #[pin]
        inner: F,
    }
}

impl<F: Future<Output = ()>> Future for Running<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<()> {
        let this = self.project();
        this.actor.iter().for_each(|actor| actor.ledger.polls.add_owned(1));
        let _current = current::enter(this.actor);
        this.inner.poll(task)
    }
}

/// The future to be spawned.
pub(crate) fn task<S: Subsystem>(
    actor: Arc<Actor>,
    state: S,
    plan: Plan<S>,
) -> impl Future<Output = ()> + Send {
    let mut run_loop = Loop {
        inside: Inside { state, cx: Context::new(Arc::clone(&actor)), space: Space::new() },
        batch: Batch::new(Arc::clone(&actor)),
        budget: plan.budget,
        failed_by_child: false,
        plan,
    };
    let inner = async move {
        let exit = run_loop.run().await;
        let fails_parent = run_loop.fails_parent(&exit);
        if let Some(mut killing) = killing_children(&run_loop.batch.actor) {
            // Where tokio goes away, waiting panics.
            poll_fn(|task| contain(|| killing.as_mut().poll(task)).unwrap_or(Poll::Ready(()))).await;
        }
        let Loop { inside, mut batch, plan, .. } = run_loop;
        batch.actor.drop_contained(inside);
        batch.actor.drop_contained(plan);
        batch.end(exit, fails_parent);
    };
    Running { actor: Some(actor), inner }
}

/// Why a state's life ended.
pub(crate) enum End {
    Stopped,
    Killed,
    Restart,
    StartFailed(Arc<str>),
    Panicked(Arc<str>),
}

/// All that the task owns. Its futures borrow it, so that what they need is kept once: it decides the memory of an idle
/// subsystem.
struct Loop<S: Subsystem> {
    inside: Inside<S>,
    batch: Batch,
    /// Messages left until it yields.
    budget: u32,
    /// It ends because a child has failed for good.
    failed_by_child: bool,
    plan: Plan<S>,
}

impl<S: Subsystem> Loop<S> {
    async fn run(&mut self) -> Exit {
        // From now on every request finds somebody to wake.
        poll_fn(|task| {
            self.batch.actor.queue.register_receiver(task.waker());
            Poll::Ready(())
        })
        .await;
        loop {
            let end = self.live().await;
            // Nor of the ends of its children.
            unwatch_all(&self.batch.actor);
            if !matches!(end, End::Killed)
                && let Some(ending) = ending_children(&self.batch.actor, matches!(end, End::Stopped))
                && let Ended::Killed = ending.await
            {
                return Exit::Killed;
            }
            match end {
                End::Stopped => {
                    let exit = Exit::Stopped;
                    let actor = &*self.batch.actor;
                    let stopped = obeying(actor, self.inside.state.stopped(&exit, &mut self.inside.cx)).await;
                    match stopped {
                        Ended::Done(()) => {}
                        Ended::Killed => return Exit::Killed,
                        Ended::Panicked(text) => {
                            tracing::error!(subsystem = %actor.name, %text, "panicked in `stopped`");
                        }
                    }
                    return exit;
                }
                End::Killed => return Exit::Killed,
                End::StartFailed(text) if self.batch.actor.stats().restarts == 0 => {
                    return Exit::StartFailed(text);
                }
                End::Restart => {
                    if let Err(text) = self.renew()
                        && let Some(exit) = Box::pin(self.recover(Exit::Panicked(text))).await
                    {
                        return exit;
                    }
                }
                End::StartFailed(text) => {
                    tracing::error!(subsystem = %self.batch.actor.name, %text, "failed to start again");
                    if let Some(exit) = Box::pin(self.recover(Exit::StartFailed(text))).await {
                        return exit;
                    }
                }
                End::Panicked(text) => {
                    tracing::error!(subsystem = %self.batch.actor.name, %text, "panicked");
                    // In a box: few subsystems ever need the room.
                    if let Some(exit) = Box::pin(self.recover(Exit::Panicked(text))).await {
                        return exit;
                    }
                }
            }
        }
    }

    /// Gives the subsystem another life after a failure; or this end.
    async fn recover(&mut self, mut exit: Exit) -> Option<Exit> {
        loop {
            let chance = self.batch.actor.runtime.random();
            let record = self.plan.restarts.as_mut().map(|restarts| &mut restarts.1);
            let pause = record.and_then(|record| record.another(Instant::now(), chance));
            let Some(pause) = pause else { return Some(exit) };
            if !pause.is_zero() {
                let actor = &*self.batch.actor;
                let mut pause = pin!(tokio::time::sleep(pause));
                let none_taken = self.batch.taken.is_empty();
                let poll = |task: &mut Task<'_>| {
                    // If it is to stop, there must be something to handle before.
                    let drained = none_taken && actor.queue.is_closed() && actor.queue.is_empty();
                    match drained || actor.was_asked(Request::StopNow) {
                        true => Poll::Ready(false),
                        false => pause.as_mut().poll(task).map(|()| true),
                    }
                };
                let waited = poll_fn(poll);
                match obeying(actor, waited).await {
                    Ended::Done(true) => {}
                    Ended::Killed => return Some(Exit::Killed),
                    Ended::Done(false) | Ended::Panicked(_) => return Some(exit),
                }
            }
            // A factory that panics has used up a restart; so this ends.
            match self.renew() {
                Ok(()) => {
                    self.restart_others();
                    return None;
                }
                Err(text) => exit = Exit::Panicked(text),
            }
        }
    }

    /// By the strategy.
    fn restart_others(&self) {
        let actor = &*self.batch.actor;
        let others = self.plan.restarts.as_ref().map_or(Others::Nobody, |restarts| restarts.1.others());
        if others != Others::Nobody {
            let siblings = actor.runtime.registry.lock().siblings(actor, others == Others::LaterSiblings);
            siblings.iter().for_each(|sibling| sibling.request(Request::Restart));
        }
    }

    /// Whether the parent fails with this end: the table is in the documentation of `Restart`.
    fn fails_parent(&self, exit: &Exit) -> bool {
        let restart = self.plan.restarts.as_ref();
        let supervised = restart.map_or(self.failed_by_child, |restart| restart.1.escalates());
        let to_stop = self.batch.actor.queue.is_closed();
        match exit {
            Exit::Panicked(_) => supervised && !to_stop,
            Exit::StartFailed(_) => supervised && !to_stop && self.batch.actor.stats().restarts > 0,
            Exit::Stopped | Exit::Killed | Exit::Abandoned => false,
        }
    }

    /// Puts a new state in the place of the old one, whose drop may panic. Without a factory the old one stays.
    fn renew(&mut self) -> Result<(), Arc<str>> {
        let actor = &*self.batch.actor;
        let Some(restarts) = &self.plan.restarts else { return Ok(()) };
        let new = contain(|| (restarts.0)())?;
        actor.forget_restarts();
        if let Some(rare) = actor.ledger.rare_if_any() {
            rare.tasks.end();
        }
        forget_notices(actor);
        actor.drop_contained(std::mem::replace(&mut self.inside.state, new));
        actor.ledger.rare().restarts.add_owned(1);
        tracing::info!(subsystem = %actor.name, "restarted");
        actor.runtime.announce_life(&actor.name, || LifeEvent::Restarted);
        Ok(())
    }

    /// One state's life, from `started` to its end.
    async fn live(&mut self) -> End {
        match obeying(&self.batch.actor, self.inside.state.started(&mut self.inside.cx)).await {
            Ended::Done(Ok(())) => self.batch.actor.set_started(),
            Ended::Done(Err(error)) => {
                // Its text and its drop are the user's code.
                let text = contain(move || Arc::from(error.to_string()));
                return End::StartFailed(text.unwrap_or_else(|panic| panic));
            }
            Ended::Panicked(text) => return End::Panicked(text),
            Ended::Killed => return End::Killed,
        }
        self.budget = self.plan.budget;
        loop {
            let noticed = match self.batch.actor.next_request(&self.batch.taken) {
                None => None,
                Some(Asked::Handle(envelope)) => Some(envelope),
                Some(Asked::To(Request::Kill)) => return End::Killed,
                Some(Asked::To(Request::StopNow)) => return End::Stopped,
                Some(Asked::To(Request::ChildFailed)) => {
                    self.failed_by_child = true;
                    return End::Panicked(self.batch.actor.failed_child());
                }
                Some(Asked::To(Request::Restart)) if self.plan.restarts.is_some() => return End::Restart,
                // Without a factory there is nothing to do; but it may be suspended.
                Some(Asked::To(Request::Restart | Request::Notice)) => continue,
                Some(Asked::To(Request::Suspend)) => {
                    resumed(&self.batch.actor).await;
                    continue;
                }
            };
            let Some(envelope) = noticed.or_else(|| self.batch.taken.pop_front()) else {
                match poll_fn(|task| self.poll_fill(task)).await {
                    Filled::Messages => match self.batch.actor.runtime.faults {
                        None => continue,
                        // In a box: it is for tests.
                        Some(faults) => match Box::pin(self.suffer(&faults)).await {
                            None => continue,
                            Some(end) => return end,
                        },
                    },
                    Filled::Request => continue,
                    Filled::Closed => return End::Stopped,
                }
            };
            let Batch { actor, taken } = &mut self.batch;
            let new = New { actor, inside: &mut self.inside, first: envelope, later: taken };
            let settled = match Handling::New(new).await {
                Ok(settled) => settled,
                Err(end) => return end,
            };
            self.budget = self.budget.saturating_sub(settled as u32);
            if self.budget == 0 {
                self.budget = self.plan.budget;
                // Truly lets others run: tokio polls this task again only after every other task that is ready.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Something happens to the message that was taken. The end, if it was a panic.
    async fn suffer(&mut self, faults: &Faults) -> Option<End> {
        let Batch { actor, taken } = &mut self.batch;
        match faults.next(|| actor.runtime.random())? {
            Fault::Delay(turns) => {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
            }
            Fault::Drop => taken.drain(..).for_each(|envelope| handling::drop_on_purpose(actor, envelope)),
            Fault::Panic => {
                taken.drain(..).for_each(|envelope| handling::fail_on_purpose(actor, envelope));
                return Some(End::Panicked(Arc::from("a fault on purpose")));
            }
        }
        None
    }

    #[inline]
    fn poll_fill(&mut self, task: &mut Task<'_>) -> Poll<Filled> {
        if self.batch.actor.runtime.observed().is_some() {
            observer::before_batch(&self.batch.actor);
        }
        let poll = self.batch.poll_fill(task, self.plan.batch);
        if poll.is_pending() {
            self.budget = self.plan.budget;
            self.inside.space.idle();
        }
        poll
    }
}

/// Waits until a suspended subsystem may go on, or is to end or to restart.
async fn resumed(actor: &Actor) {
    actor.queue.wake_senders();
    poll_fn(|_| if actor.is_suspended() { Poll::Pending } else { Poll::Ready(()) }).await;
}

/// How long children have to handle their messages in hand, once their parent has failed, is restarted or told to stop now.
/// Then they are killed. (OTP's default.)
const CHILDREN_WITHIN: Duration = Duration::from_secs(5);

/// Ends the children: first, if they may drain, one after another, the latest first; then, or as soon as this one is to stop now,
/// all at once; who of them then still waits for this one, does so no more. `Killed`, if this one is killed meanwhile.
///
/// Nothing, if there are none; else in a box, for few subsystems have children.
fn ending_children(
    actor: &Actor,
    drain: bool,
) -> Option<Pin<Box<dyn Future<Output = Ended<()>> + Send + '_>>> {
    let children = children(actor)?;
    Some(Box::pin(obeying(actor, async move {
        let ending = Ending::begin(actor);
        if drain {
            let mut drained = pin!(one_by_one(&children));
            let poll = |task: &mut Task<'_>| match actor.was_asked(Request::StopNow) {
                true => Poll::Ready(()),
                false => drained.as_mut().poll(task),
            };
            poll_fn(poll).await;
        }
        let left =
            || children.iter().filter(|child| child.life.exit().is_none()).cloned().collect::<Vec<_>>();
        left().iter().for_each(|child| child.request(Request::StopNow));
        ended_within(grace(children.len()), &left()).await;
        ending.break_circles(&left());
        ended_within(CHILDREN_WITHIN, &left()).await;
        kill(&left(), grace(children.len())).await;
    })))
}

/// Kills the children that are left at the end, and waits for a moment until they have ended. As `ending_children` otherwise.
fn killing_children(actor: &Actor) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
    let children = children(actor)?;
    // Less than a shutdown waits for this one.
    let within = grace(children.len()) / 5;
    Some(Box::pin(async move { kill(&children, within).await }))
}

fn children(actor: &Actor) -> Option<Vec<Arc<Actor>>> {
    // Relaxed: children are spawned in this task.
    let has_any = actor.has_children.load(Ordering::Relaxed);
    has_any.then(|| actor.runtime.registry.lock().children(actor)).filter(|children| !children.is_empty())
}

/// How a piece of the user's code ended.
pub(crate) enum Ended<T> {
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
        polled(actor, contain(|| hook.as_mut().poll(task)))
    })
    .await
}

/// What a poll of the user's code means for the loop.
#[inline]
pub(crate) fn polled<T>(actor: &Actor, poll: Result<Poll<T>, Arc<str>>) -> Poll<Ended<T>> {
    match poll {
        Ok(Poll::Ready(output)) => Poll::Ready(Ended::Done(output)),
        Ok(Poll::Pending) => {
            // What it waits for may be up to a sender who waits for room.
            actor.queue.wake_senders();
            Poll::Pending
        }
        Err(text) => Poll::Ready(Ended::Panicked(text)),
    }
}
