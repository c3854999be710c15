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

mod cut_offs;
pub(crate) mod ending;
mod limit;
pub(crate) mod quiet;
pub(crate) mod shutdown;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use mycelia_core::sync::Mutex;
use mycelia_core::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

use crate::actor::Actor;
use crate::error::CutOff;
use crate::registry::Phase;
use crate::shared::Shared;
use cut_offs::CutOffs;
use ending::Ending;
use limit::Limit;
use shutdown::Shutdown;

/// So long an end that is being told may take.
const MOMENT: Duration = Duration::from_millis(5);

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

/// True if a subsystem that is closed to outside, and has nothing to do, may end by itself: no task looks after its stop, and it has
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
    let drain = Drain {
        runtime: Arc::clone(&root.runtime),
        root: Some(Arc::clone(root)),
        limit,
        cut_off: Arc::default(),
        over: false,
    };
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
    cut_off: Arc<Mutex<CutOffs>>,
    over: bool,
}

impl Drain {
    /// That of a shutdown, of which there may be several: what one of them cuts off is known to all.
    fn of_all(runtime: &Arc<Shared>, limit: Limit, cut_off: Arc<Mutex<CutOffs>>) -> Self {
        Self { runtime: Arc::clone(runtime), root: None, limit, cut_off, over: false }
    }

    /// Works off, ends, and says what was cut off.
    pub(crate) async fn run(mut self) -> Vec<CutOff> {
        let quiet = self.work_off(false).await;
        self.runtime.registry.lock().end_drain(self.root.as_deref());
        if !quiet {
            let part = self.runtime.part(self.root.as_ref(), false);
            self.cut_off.lock().note(&part);
        }
        let ending = Ending::new(&self.runtime, self.root.as_ref(), self.limit.clone());
        let is_all = self.root.is_none();
        let note_late = |late: &[Arc<Actor>]| self.cut_off.lock().note_late(late);
        let last = if is_all { self.runtime.registry.lock().roots(true) } else { Vec::new() };
        match &self.root {
            Some(root) => ending.end(root).await,
            None => {
                let roots = self.runtime.registry.lock().roots(false);
                ending.siblings(roots).await;
            }
        }
        if is_all {
            // Before the topics close: what is undelivered is told.
            ending::kill_late(&self.runtime, None, false, note_late).await;
            let _ = timeout(MOMENT, self.runtime.drains.told()).await;
            // Those who read what the runtime itself tells have all of it now.
            self.runtime.close_topics();
        }
        if !last.is_empty() {
            let part = self.runtime.registry.lock().begin_last();
            part.iter().for_each(|one| one.close_to_outside());
            if !self.work_off(true).await {
                let part = self.runtime.part(None, true);
                self.cut_off.lock().note(&part);
            }
            ending.siblings(last).await;
        }
        ending::kill_late(&self.runtime, self.root.as_ref(), true, note_late).await;
        let _ = timeout(MOMENT, self.runtime.drains.told()).await;
        self.over = true;
        self.cut_off.lock().list()
    }

    /// Waits until all is quiet, or it is time to end all the same (`false`). Subsystems with a limit of their own end when it comes.
    async fn work_off(&self, last: bool) -> bool {
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
                self.cut_part(part, limit);
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
    fn cut_part(&self, part: Arc<Actor>, limit: Limit) {
        let members = {
            let mut registry = self.runtime.registry.lock();
            registry.begin_drain(&part);
            if registry.drain_of(&part).0 == Phase::Ending {
                // Another that looks after the same shutdown was faster.
                return;
            }
            registry.end_drain(Some(&part));
            registry.part(Some(&part), true)
        };
        let mut cut_off = self.cut_off.lock();
        cut_off.note(&members);
        // Those that are killed at the limit are found by how they ended.
        for one in &members {
            let found = cut_off.find(one);
            found.in_hand = found.in_hand.max(one.stats().in_hand);
            found.stop_timeout = Some(limit.timeout());
        }
        drop(cut_off);
        members.iter().for_each(|one| one.close_to_outside());
        let ending = Ending::new(&self.runtime, Some(&part), limit);
        tokio::spawn(async move { ending.end_or_kill(part).await });
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
