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
use crate::drain;
use crate::drain::ending::{ended_within, kill};
use crate::faults::{Fault, Faults};
use crate::handling::{self, Handling, Inside, New};
use crate::life_event::LifeEvent;
use crate::lifecycle::Exit;
use crate::observer;
use crate::restart::{Others, Record};
use crate::runtime::grace;
use crate::side_tasks;
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
        inside: Inside { state: Some(state), cx: Context::new(Arc::clone(&actor)), space: Space::new() },
        batch: Batch::new(Arc::clone(&actor)),
        budget: plan.budget,
        failed_by_child: false,
        plan,
    };
    let inner = async move {
        let exit = run_loop.run().await;
        let fails_parent = run_loop.fails_parent(&exit);
        side_tasks::end_all(&run_loop.batch.actor, matches!(exit, Exit::Stopped)).await;
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
    /// A handler has panicked, and that was told with its message.
    Failed(Arc<str>),
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
            // Stops watching: a state that has ended receives no `Terminated`.
            unwatch_all(&self.batch.actor);
            if !matches!(end, End::Killed)
                && end_what_it_started(&self.batch.actor, matches!(end, End::Stopped)).await
            {
                return Exit::Killed;
            }
            match end {
                End::Stopped => {
                    let exit = Exit::Stopped;
                    let actor = &*self.batch.actor;
                    let Some(state) = &mut self.inside.state else { return exit };
                    match obeying(actor, state.stopped(&exit, &mut self.inside.cx)).await {
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
                    self.drop_state();
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
                End::Failed(text) => {
                    if let Some(exit) = Box::pin(self.recover(Exit::Panicked(text))).await {
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

    /// The old state goes before there is another: what it has open is then free. Without a factory it stays.
    fn drop_state(&mut self) {
        if self.plan.restarts.is_some() {
            let old = self.inside.state.take();
            self.batch.actor.drop_contained(old);
        }
    }

    /// Gives the subsystem another life after a failure; or this end.
    async fn recover(&mut self, mut exit: Exit) -> Option<Exit> {
        self.drop_state();
        loop {
            let actor = &*self.batch.actor;
            // If it is told to end, there must be something that another state would handle before.
            let draining = actor.queue.is_closed();
            let none_left = self.batch.taken.is_empty() && actor.queue.is_empty();
            if none_left && actor.has_to_end() || actor.was_asked(Request::StopNow) {
                return Some(exit);
            }
            let chance = actor.runtime.random();
            let record = self.plan.restarts.as_mut().map(|restarts| &mut restarts.1);
            let pause = record.and_then(|record| record.failed(Instant::now(), chance));
            let Some(pause) = pause else { return Some(exit) };
            if !pause.is_zero() && !draining {
                let actor = &*self.batch.actor;
                let mut pause = pin!(tokio::time::sleep(pause));
                let none_taken = self.batch.taken.is_empty();
                let own = &self.batch.actor;
                let poll = |task: &mut Task<'_>| {
                    let closed = actor.queue.is_closed();
                    let drained = closed && none_taken && actor.queue.is_empty();
                    let over = drained && (actor.has_to_end() || drain::is_alone(own));
                    if over || actor.was_asked(Request::StopNow) {
                        Poll::Ready(false)
                    } else if closed {
                        // What is left is worked off at once.
                        Poll::Ready(true)
                    } else {
                        pause.as_mut().poll(task).map(|()| true)
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

    /// Makes a new state, where there is a factory.
    fn renew(&mut self) -> Result<(), Arc<str>> {
        let actor = &*self.batch.actor;
        let Some(restarts) = &self.plan.restarts else { return Ok(()) };
        let new = contain(|| (restarts.0)())?;
        actor.forget_restarts();
        forget_notices(actor);
        self.inside.state = Some(new);
        actor.ledger.rare().restarts.add_owned(1);
        tracing::info!(subsystem = %actor.name, "restarted");
        actor.runtime.announce_life(&actor.name, || LifeEvent::Restarted);
        Ok(())
    }

    /// One state's life, from `started` to its end.
    async fn live(&mut self) -> End {
        let Some(state) = &mut self.inside.state else { return End::Killed };
        if let Some(restarts) = &mut self.plan.restarts {
            restarts.1.began(Instant::now());
        }
        match obeying(&self.batch.actor, state.started(&mut self.inside.cx)).await {
            Ended::Done(Ok(())) => self.batch.actor.set_started(),
            // What was refused to one that is killed may be why.
            Ended::Done(Err(error)) if self.batch.actor.is_killed() => {
                self.batch.actor.drop_contained(error);
                return End::Killed;
            }
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
                Some(Asked::To(Request::Restart))
                    if self.plan.restarts.is_some() && !self.batch.actor.ends_in_a_drain() =>
                {
                    return End::Restart;
                }
                // Without a factory there is nothing to do; but it may be suspended.
                Some(Asked::To(Request::Restart | Request::Notice | Request::Drain)) => continue,
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

    /// Something happens to the message that was taken, and to those that are handled together with it. The end, if it was a panic.
    async fn suffer(&mut self, faults: &Faults) -> Option<End> {
        loop {
            let Batch { actor, taken } = &mut self.batch;
            match faults.next(|| actor.runtime.random()) {
                None => {}
                Some(Fault::Delay(turns)) => {
                    for _ in 0..turns {
                        tokio::task::yield_now().await;
                    }
                }
                Some(Fault::Drop) => {
                    taken
                        .pop_back()
                        .into_iter()
                        .for_each(|envelope| handling::drop_on_purpose(actor, envelope));
                }
                Some(Fault::Panic) => {
                    handling::fail_on_purpose::<S>(actor, taken);
                    return Some(End::Failed(Arc::from("a fault on purpose")));
                }
            }
            // One at a time; but a handler of batches gets its batch.
            let taken = self.batch.taken.len();
            if !handling::takes_more::<S>(&self.batch.taken, self.plan.batch as usize) {
                return None;
            }
            poll_fn(|task| Poll::Ready(self.batch.poll_fill(task, 1).is_ready())).await;
            if self.batch.taken.len() == taken {
                return None;
            }
        }
    }

    #[inline]
    fn poll_fill(&mut self, task: &mut Task<'_>) -> Poll<Filled> {
        if self.batch.actor.runtime.observed().is_some() {
            observer::before_batch(&self.batch.actor);
        }
        let limit = if self.batch.actor.runtime.faults.is_some() { 1 } else { self.plan.batch };
        let poll = self.batch.poll_fill(task, limit);
        match poll {
            Poll::Pending => {
                self.budget = self.plan.budget;
                self.inside.space.idle();
            }
            Poll::Ready(_) => self.batch.actor.look_whether_relieved(),
        }
        poll
    }
}

/// Ends the side tasks and children of a state. True if the subsystem was killed meanwhile.
async fn end_what_it_started(actor: &Actor, stopped: bool) -> bool {
    if actor.ledger.rare_if_any().is_some_and(|rare| !rare.tasks.is_empty()) {
        // In a box: few subsystems have side tasks.
        let ended = Box::pin(obeying(actor, side_tasks::end_all(actor, stopped)));
        if let Ended::Killed = ended.await {
            return true;
        }
    }
    match ending_children(actor) {
        Some(ending) => matches!(ending.await, Ended::Killed),
        None => false,
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

/// Ends the children, all at once, after their messages in hand; a child that then still waits for this one does so no more. `Killed`,
/// if this one is killed meanwhile. (In a drain they have ended before.)
///
/// Nothing, if there are none; else in a box, for few subsystems have children.
fn ending_children(actor: &Actor) -> Option<Pin<Box<dyn Future<Output = Ended<()>> + Send + '_>>> {
    let children = children(actor)?;
    Some(Box::pin(obeying(actor, async move {
        let ending = Ending::begin(actor);
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
