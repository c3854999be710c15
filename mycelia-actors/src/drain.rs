//! Ending a part of the forest of subsystems, or all of it, without losing what was accepted.
//!
//! ```text
//!  1 close to outside     what comes from outside of the part is refused; inside, messages flow on
//!  2 work off             until the part is quiet: see `quiet`                      ── nine tenths of the limit ──▶ 3
//!  3 end                  from the leaves up, siblings by their types: see `ending`  ── the limit ──▶ kill
//! ```
//!
//! A subsystem without children looks after its own stop, in its loop. All other drains are looked after by a task: a
//! *coordinator*, which does the same for a subsystem with all below it and for the whole runtime.

pub(crate) mod ending;
pub(crate) mod quiet;
pub(crate) mod shutdown;

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::pin;
use std::ptr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use mycelia_core::sync::Mutex;
use mycelia_core::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use crate::actor::{Actor, Request};
use crate::error::CutOff;
use crate::registry::Phase;
use crate::runtime::grace;
use crate::shared::Shared;
use ending::Ending;
use shutdown::Shutdown;

/// What the drains of a runtime share.
#[derive(Default)]
pub(crate) struct Drains {
    /// Something has settled: it may be quiet now.
    look: Notify,
    /// Subsystems that are not in the registry any more, and whose ends are being told.
    leaving: AtomicUsize,
    /// The one of the whole runtime.
    shutdown: Mutex<Option<Arc<Shutdown>>>,
}

impl Drains {
    /// Lets those who wait for quiet look again.
    pub(crate) fn look_again(&self) {
        self.look.notify_waiters();
    }

    /// A subsystem has gone from the registry, whose lock is held.
    pub(crate) fn leaves(&self) {
        // Relaxed: that lock orders it, for those who do not find the subsystem.
        self.leaving.fetch_add(1, Ordering::Relaxed);
    }

    /// The end of a subsystem that was in the registry has been told.
    pub(crate) fn has_left(&self) {
        // Release, with the Acquire in `all_are_told`.
        self.leaving.fetch_sub(1, Ordering::Release);
        self.look_again();
    }

    /// True if the ends of all that have gone from the registry are told.
    fn all_are_told(&self) -> bool {
        // Acquire, with the Release in `has_left`: their watchers have their messages.
        self.leaving.load(Ordering::Acquire) == 0
    }

    /// Waits until that is so: some microseconds.
    async fn told(&self) {
        loop {
            let mut look = pin!(self.look.notified());
            look.as_mut().enable();
            if self.all_are_told() {
                return;
            }
            look.await;
        }
    }
}

/// A day that does not come: limits beyond it are none.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// How long a drain may take. It can be shortened.
#[derive(Clone)]
pub(crate) struct Limit {
    began: Instant,
    timeout: Arc<watch::Sender<Duration>>,
}

impl Limit {
    pub(crate) fn new(timeout: Option<Duration>) -> Self {
        Self::from(Instant::now(), timeout.unwrap_or(FAR))
    }

    fn from(began: Instant, timeout: Duration) -> Self {
        let (timeout, _) = watch::channel(timeout.min(FAR));
        Self { began, timeout: Arc::new(timeout) }
    }

    pub(crate) fn timeout(&self) -> Duration {
        *self.timeout.borrow()
    }

    /// Leaves no more time than this from now on.
    pub(crate) fn shorten(&self, now: Instant, within: Duration) {
        let shorter = now.saturating_duration_since(self.began).saturating_add(within);
        self.timeout.send_if_modified(|timeout| {
            let is_shorter = shorter < *timeout;
            *timeout = shorter.min(*timeout);
            is_shorter
        });
    }

    /// When the rest is killed.
    pub(crate) fn end(&self) -> Instant {
        self.began + self.timeout()
    }

    /// When what is left is told to end, quiet or not.
    pub(crate) fn force(&self) -> Instant {
        self.began + self.timeout() / 10 * 9
    }

    /// Waits for something until `when` says, which may change.
    pub(crate) async fn until<T>(
        &self,
        when: fn(&Self) -> Instant,
        something: impl Future<Output = T>,
    ) -> Option<T> {
        let mut something = pin!(something);
        let mut timeout = self.timeout.subscribe();
        loop {
            let mut shortened = pin!(timeout.changed());
            let either = poll_fn(|task| match something.as_mut().poll(task) {
                Poll::Ready(found) => Poll::Ready(Some(found)),
                Poll::Pending => shortened.as_mut().poll(task).map(|_| None),
            });
            match timeout_at(when(self), either).await {
                Ok(Some(found)) => return Some(found),
                Ok(None) => {}
                Err(_) => return None,
            }
        }
    }
}

/// Begins to stop a subsystem with all below it. Whatever has no coordinator is looked after by its own loop.
pub(crate) fn stop(actor: &Arc<Actor>) {
    let runtime = &actor.runtime;
    let (part, coordinate) = {
        let mut registry = runtime.registry.lock();
        if !registry.begin_drain(actor) {
            return;
        }
        if registry.has_children(actor) || registry.stop_timeout(actor).is_some() {
            (registry.part(Some(actor), true), registry.coordinate(actor))
        } else {
            drop(registry);
            let has_rare = actor.ledger.rare_if_any().is_some();
            if has_rare || !actor.close_if_idle() {
                actor.close_to_outside();
                // Its loop looks after it, also if it has nothing else to do.
                actor.queue.wake_receiver();
            }
            return;
        }
    };
    part.iter().for_each(|one| one.close_to_outside());
    if coordinate {
        // Where the subsystems are: the tokio of the caller may go away, or be at rest.
        coordinator(actor, runtime.home());
    }
}

/// The loop of a subsystem that is closed to outside has nothing to do. True if that was the end: it is closed for good now.
#[cold]
pub(crate) fn idle(actor: &Arc<Actor>) -> bool {
    let runtime = &actor.runtime;
    if let Some(rare) = actor.ledger.rare_if_any() {
        rare.tasks.begin_stop();
    }
    if is_alone(actor) {
        actor.close();
        return true;
    }
    let mut registry = runtime.registry.lock();
    // It has got children since it was told to stop, or the tokio of its coordinator has gone.
    let coordinate = registry.drain_of(actor) == (Phase::Draining, false)
        && registry.has_children(actor)
        && registry.coordinate(actor);
    drop(registry);
    if coordinate {
        coordinator(actor, Handle::try_current().ok());
    }
    runtime.drains.look_again();
    false
}

/// True if a subsystem that is closed to outside, and has nothing to do, may end by itself: nobody else looks after its stop, and it has
/// neither children nor side tasks that it waits for.
#[cold]
pub(crate) fn is_alone(actor: &Arc<Actor>) -> bool {
    let registry = actor.runtime.registry.lock();
    let alone = registry.drain_of(actor) == (Phase::Draining, false) && !registry.has_children(actor);
    drop(registry);
    alone && !actor.ledger.has_open()
}

/// Looks after the stop of a subsystem that has, or had, others below it.
fn coordinator(root: &Arc<Actor>, tokio: Option<Handle>) {
    let timeout = root.runtime.registry.lock().stop_timeout(root);
    let limit = Limit::new(timeout);
    let drain =
        Drain { runtime: Arc::clone(&root.runtime), root: Some(Arc::clone(root)), limit, over: false };
    let run = async move {
        let cut_off = drain.run().await;
        if !cut_off.is_empty() {
            tracing::warn!(?cut_off, "a stop reached its limit");
        }
    };
    match tokio {
        Some(tokio) => drop(tokio.spawn(run)),
        // It was spawned on one, which has gone: so does it.
        None => drop(run),
    }
}

/// One drain, from its second step on.
pub(crate) struct Drain {
    runtime: Arc<Shared>,
    /// All below it; or, if there is none, all of the runtime.
    root: Option<Arc<Actor>>,
    limit: Limit,
    over: bool,
}

impl Drain {
    pub(crate) fn of_all(runtime: &Arc<Shared>, limit: Limit) -> Self {
        Self { runtime: Arc::clone(runtime), root: None, limit, over: false }
    }

    /// Works off, ends, and says what was cut off.
    pub(crate) async fn run(mut self) -> Vec<CutOff> {
        let mut cut_off = CutOffs::default();
        let quiet = self.work_off(false, &mut cut_off).await;
        self.runtime.registry.lock().end_drain(self.root.as_deref());
        if !quiet {
            cut_off.note(&self.runtime.part(self.root.as_ref(), false));
        }
        let ending = Ending::new(&self.runtime, self.root.as_ref(), self.limit.clone());
        let is_all = self.root.is_none();
        let last = if is_all { self.runtime.registry.lock().roots(true) } else { Vec::new() };
        match &self.root {
            Some(root) => ending.end(root).await,
            None => {
                let roots = self.runtime.registry.lock().roots(false);
                ending.siblings(roots).await;
            }
        }
        if is_all {
            self.limit.until(Limit::end, self.runtime.drains.told()).await;
            // Those who read what the runtime itself tells have all of it now.
            self.runtime.close_topics();
        }
        if !last.is_empty() {
            let part = self.runtime.registry.lock().begin_last();
            part.iter().for_each(|one| one.close_to_outside());
            if !self.work_off(true, &mut cut_off).await {
                cut_off.note(&self.runtime.part(None, true));
            }
            ending.siblings(last).await;
        }
        self.kill_late(&mut cut_off).await;
        self.limit.until(Limit::end, self.runtime.drains.told()).await;
        self.over = true;
        cut_off.list()
    }

    /// Waits until all is quiet, or it is time to end all the same (`false`). Subsystems with a limit of their own end when it comes.
    async fn work_off(&self, last: bool, cut_off: &mut CutOffs) -> bool {
        let runtime = Arc::clone(&self.runtime);
        // The time of those that end last begins when it is their turn.
        let began = if last { Instant::now() } else { self.limit.began };
        let mut witness = None;
        loop {
            let mut settled = pin!(runtime.drains.look.notified());
            settled.as_mut().enable();
            if quiet::is_quiet(&runtime, self.root.as_ref(), last, &mut witness) {
                return true;
            }
            if self.limit.force() <= Instant::now() {
                return false;
            }
            let own = self.limits_of_parts(last, began);
            let next = own.iter().map(|(_, limit)| limit.force()).min();
            let settled = async {
                match next {
                    Some(next) => drop(timeout_at(next, settled).await),
                    None => settled.await,
                }
            };
            if self.limit.until(Limit::force, settled).await.is_none() {
                return false;
            }
            let now = Instant::now();
            for (part, limit) in own.into_iter().filter(|(_, limit)| limit.force() <= now) {
                self.cut_part(part, limit, cut_off);
            }
        }
    }

    /// Subsystems below the root with limits of their own, whose third step has not begun: those that end last, or all others.
    fn limits_of_parts(&self, last: bool, began: Instant) -> Vec<(Arc<Actor>, Limit)> {
        let registry = self.runtime.registry.lock();
        let is_root = |one: &Arc<Actor>| self.root.as_ref().is_some_and(|root| Arc::ptr_eq(root, one));
        let is_inside = |one: &Arc<Actor>| self.root.as_ref().is_none_or(|root| registry.is_below(one, root));
        let own = registry.stop_timeouts().into_iter();
        let is_over = |one: &Arc<Actor>| one.has_to_end() || registry.drain_of(one).0 == Phase::Ending;
        let is_due = |one: &Arc<Actor>| self.root.is_some() || registry.ends_last(one) == last;
        let own = own.filter(|(one, _)| !is_root(one) && is_inside(one) && is_due(one) && !is_over(one));
        own.map(|(one, timeout)| (one, Limit::from(began, timeout))).collect()
    }

    /// A part has used up its own limit: it ends, while the others go on.
    fn cut_part(&self, part: Arc<Actor>, limit: Limit, cut_off: &mut CutOffs) {
        let members = {
            let mut registry = self.runtime.registry.lock();
            registry.begin_drain(&part);
            registry.end_drain(Some(&part));
            registry.part(Some(&part), true)
        };
        cut_off.note(&members);
        // Those that are killed at the limit are found by how they ended.
        for one in &members {
            cut_off.find(one);
        }
        members.iter().for_each(|one| one.close_to_outside());
        let ending = Ending::new(&self.runtime, Some(&part), limit);
        tokio::spawn(async move { ending.end_or_kill(part).await });
    }

    /// Kills those that have not ended: first those without children, then all others; each for a part of the grace.
    async fn kill_late(&self, cut_off: &mut CutOffs) {
        let late = || self.runtime.part(self.root.as_ref(), true);
        let ended = |one: &Arc<Actor>| one.life.exit().is_some();
        ending::end_idle(&self.runtime, self.root.as_ref()).await;
        let all: Vec<_> = late().into_iter().filter(|one| !ended(one)).collect();
        if all.is_empty() {
            return;
        }
        cut_off.note_late(&all);
        let grace = grace(all.len()).min(Duration::from_millis(80));
        let childless = |one: &&Arc<Actor>| self.runtime.registry.lock().children(one).is_empty();
        let first: Vec<_> = all.iter().filter(childless).cloned().collect();
        ending::kill(&first, grace / 2).await;
        // Those who have waited for them may have nothing left to do but to end.
        let rest: Vec<_> = all.iter().filter(|one| !ended(one)).cloned().collect();
        rest.iter().filter(|one| !one.is_killed()).for_each(|one| one.request(Request::StopNow));
        ending::ended_within(grace / 4, &rest).await;
        let rest: Vec<_> = late().into_iter().filter(|one| !ended(one)).collect();
        cut_off.note_late(&rest);
        ending::kill(&rest, grace / 4).await;
    }
}

impl Drop for Drain {
    /// Its tokio goes away before it is over. Of a shutdown the next call takes it up; the root of another takes it up itself, or, if its
    /// third step has begun, all that is left is told to end.
    fn drop(&mut self) {
        let Some(root) = self.root.as_ref().filter(|_| !self.over) else { return };
        let mut registry = self.runtime.registry.lock();
        let takes_it_up = registry.leave(root);
        let part = if takes_it_up { Vec::new() } else { registry.part(Some(root), true) };
        drop(registry);
        part.iter().for_each(|one| one.close());
        root.queue.wake_receiver();
    }
}

/// What a drain has cut off, subsystem by subsystem.
#[derive(Default)]
struct CutOffs {
    all: Vec<(Arc<Actor>, CutOff)>,
    /// Where each is, by its address in memory.
    places: HashMap<usize, usize>,
}

impl CutOffs {
    /// These are told to end, whatever they have left.
    fn note(&mut self, all: &[Arc<Actor>]) {
        for one in all {
            let stats = one.stats();
            let side_tasks = one.ledger.rare_if_any().map(|rare| rare.tasks.waited_for()).unwrap_or_default();
            if stats.queued > 0 || !side_tasks.is_empty() {
                let found = self.find(one);
                found.queued = stats.queued;
                found.side_tasks = side_tasks;
            }
        }
    }

    /// These have not ended, and are killed.
    fn note_late(&mut self, all: &[Arc<Actor>]) {
        for one in all {
            let in_hand = one.stats().in_hand;
            self.find(one).in_hand = in_hand;
        }
    }

    fn find(&mut self, one: &Arc<Actor>) -> &mut CutOff {
        let place = *self.places.entry(ptr::from_ref(&**one).addr()).or_insert_with(|| {
            self.all.push((Arc::clone(one), CutOff::of(one.name.clone())));
            self.all.len() - 1
        });
        &mut self.all[place].1
    }

    /// With how each of them ended. One that was late, and ended by itself all the same, lost nothing.
    fn list(self) -> Vec<CutOff> {
        let all = self.all.into_iter().map(|(one, mut cut_off)| {
            let exit = one.life.exit();
            cut_off.is_left = exit.is_none();
            cut_off.is_killed = matches!(exit, Some(crate::lifecycle::Exit::Killed));
            cut_off
        });
        all.filter(|one| one.queued > 0 || !one.side_tasks.is_empty() || one.is_killed || one.is_left)
            .collect()
    }
}
