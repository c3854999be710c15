//! The third step of a drain: the subsystems end, from the leaves up.

use std::collections::{HashMap, HashSet};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use mycelia_core::sync::Mutex;
use tokio::time::Instant;

use super::limit::Limit;
use crate::actor::{Actor, Request};
use crate::runtime::grace;
use crate::shared::Shared;
use crate::watch::unwatch;

/// Ends subsystems in their order.
#[derive(Clone)]
pub(crate) struct Ending {
    runtime: Arc<Shared>,
    /// All below it end; or, if there is none, all of the runtime.
    root: Option<Arc<Actor>>,
    limit: Limit,
    /// Those whose turn has come, by address in memory.
    begun: Arc<Mutex<HashSet<usize>>>,
    /// By address in memory: those that must end before it.
    needed_by: Arc<HashMap<usize, Vec<Arc<Actor>>>>,
}

impl Ending {
    pub(crate) fn new(runtime: &Arc<Shared>, root: Option<&Arc<Actor>>, limit: Limit) -> Self {
        let mut needed_by: HashMap<usize, Vec<Arc<Actor>>> = HashMap::new();
        for (who, whom) in runtime.registry.lock().needs() {
            needed_by.entry(key(&whom)).or_default().push(who);
        }
        Self {
            runtime: Arc::clone(runtime),
            root: root.cloned(),
            limit,
            begun: Arc::default(),
            needed_by: Arc::new(needed_by),
        }
    }

    /// Ends a subsystem, after those that need it and those below it. Ready when it has ended, or the limit has come.
    pub(crate) async fn end(&self, actor: &Arc<Actor>) {
        self.begin_to_end(actor);
        self.ended(Limit::end, actor).await;
    }

    /// Begins with that, once. In a task of its own: rows of those that need one another may be long, and trees deep.
    fn begin_to_end(&self, actor: &Arc<Actor>) {
        if self.begun.lock().insert(key(actor)) {
            tokio::spawn(self.clone().end_in_turn(Arc::clone(actor)));
        }
    }

    async fn end_in_turn(self, actor: Arc<Actor>) {
        let before = self.before(&actor);
        let (inside, others): (Vec<_>, Vec<_>) = before.into_iter().partition(|first| self.is_inside(first));
        inside.iter().for_each(|first| self.begin_to_end(first));
        for first in &inside {
            // Its `stopped` may use this one; but if it is late, this one has a `stopped` of its own.
            self.ended(Limit::late, first).await;
        }
        // These have stops of their own, which are not to be cut short.
        for first in others.iter().filter(|first| first.queue.is_closed()) {
            self.ended(Limit::force, first).await;
        }
        let children = self.runtime.registry.lock().children(&actor);
        // One that ends does not hear of the ends of its children.
        if actor.ledger.rare_if_any().is_some() {
            children.iter().for_each(|child| _ = unwatch(&actor, child));
        }
        self.siblings(children).await;
        self.tell(&actor);
        if !self.ended(Limit::force, &actor).await {
            self.hurry(&actor);
        }
    }

    /// As [`end`](Self::end); and what is left is killed at the limit.
    pub(crate) async fn end_or_kill(self, actor: Arc<Actor>) {
        self.end(&actor).await;
        kill_late(&self.runtime, Some(&actor), true, |_| {}).await;
    }

    /// Ends these, type after type; those of one type at the same time. From nine tenths of the limit on, all at the same time.
    pub(crate) async fn siblings(&self, siblings: Vec<Arc<Actor>>) {
        let types = self.runtime.registry.lock().in_order_of_end(&siblings);
        drop(siblings);
        for of_type in &types {
            for one in of_type {
                let has_others =
                    !self.before(one).is_empty() || self.runtime.registry.lock().has_children(one);
                if has_others { self.begin_to_end(one) } else { self.tell(one) }
            }
            for one in of_type {
                self.ended(Limit::force, one).await;
            }
        }
        // Before the first is waited for: the others may have nothing left to do but to end. Those that are needed have their turn.
        types.iter().flatten().filter(|one| self.before(one).is_empty()).for_each(|one| self.hurry(one));
        for one in types.iter().flatten() {
            self.ended(Limit::end, one).await;
        }
    }

    /// Tells one to end: after what it has accepted, or, from nine tenths of the limit on, after the message in hand.
    fn tell(&self, actor: &Actor) {
        if self.is_forced() { actor.request(Request::StopNow) } else { actor.close() }
    }

    /// It ends after the message in hand, for nine tenths of the limit are over. Parents wait for their children, as long as there is time.
    fn hurry(&self, actor: &Arc<Actor>) {
        if actor.life.exit().is_none() && !self.runtime.registry.lock().has_children(actor) {
            actor.request(Request::StopNow);
        }
    }

    /// Waits for the end of one until then.
    async fn ended(&self, when: fn(&Limit) -> Instant, actor: &Actor) -> bool {
        actor.life.exit().is_some() || self.limit.until(when, actor.life.ended()).await.is_some()
    }

    fn is_forced(&self) -> bool {
        self.limit.force() <= Instant::now()
    }

    fn is_inside(&self, actor: &Arc<Actor>) -> bool {
        let Some(root) = &self.root else { return true };
        Arc::ptr_eq(root, actor) || self.runtime.registry.lock().is_below(actor, root)
    }

    fn before(&self, actor: &Arc<Actor>) -> Vec<Arc<Actor>> {
        let all = self.needed_by.get(&key(actor)).cloned().unwrap_or_default();
        all.into_iter().filter(|one| !one.is_gone()).collect()
    }
}

fn key(actor: &Arc<Actor>) -> usize {
    ptr::from_ref(&**actor).addr()
}

/// How long those that are killed have to end, at most: twice in a shutdown with some that end last.
const GRACE: Duration = Duration::from_millis(40);

/// How long subsystems that have nothing in hand have to end, when there is no time left.
const IDLE_WITHIN: Duration = Duration::from_millis(10);

/// Lets subsystems end by themselves that have nothing in hand, children before parents. (A limit of zero, or one that was shortened, comes
/// when they have only just been told to end: a kill would overtake that, and `stopped` would not run.)
async fn end_idle(runtime: &Arc<Shared>, root: Option<&Arc<Actor>>, last: bool) {
    let idle = || {
        let is_idle = |one: &Arc<Actor>| one.life.exit().is_none() && one.stats().in_hand == 0;
        let childless = |one: &Arc<Actor>| runtime.registry.lock().children(one).is_empty();
        let mut part = runtime.part(root, last);
        part.retain(|one| is_idle(one) && childless(one));
        part
    };
    let all = async {
        loop {
            let idle = idle();
            if idle.is_empty() {
                return;
            }
            idle.iter().for_each(|one| one.request(Request::StopNow));
            for one in &idle {
                one.life.ended().await;
            }
        }
    };
    // One that is late is killed.
    let _ = tokio::time::timeout(IDLE_WITHIN, all).await;
}

/// Kills those that have not ended, this one and all below it, or all there are: first those without children, then all others; each for a
/// part of the grace. They are noted before. With those that end last, or without.
pub(crate) async fn kill_late(
    runtime: &Arc<Shared>,
    root: Option<&Arc<Actor>>,
    last: bool,
    mut note: impl FnMut(&[Arc<Actor>]),
) {
    let ended = |one: &Arc<Actor>| one.life.exit().is_some();
    let late = || runtime.part(root, last).into_iter().filter(|one| !ended(one)).collect::<Vec<_>>();
    end_idle(runtime, root, last).await;
    let all = late();
    if all.is_empty() {
        return;
    }
    note(&all);
    let grace = grace(all.len()).min(GRACE);
    let childless = |one: &&Arc<Actor>| !runtime.registry.lock().has_children(one);
    let first: Vec<_> = all.iter().filter(childless).cloned().collect();
    kill(&first, grace / 2).await;
    // Those who have waited for them may have nothing left to do but to end.
    let rest: Vec<_> = all.iter().filter(|one| !ended(one)).cloned().collect();
    rest.iter().filter(|one| !one.is_killed()).for_each(|one| one.request(Request::StopNow));
    ended_within(grace / 4, &rest).await;
    let rest = late();
    note(&rest);
    kill(&rest, grace / 4).await;
}

/// Kills all of them, and waits until they have ended, but not longer than this.
pub(crate) async fn kill(actors: &[Arc<Actor>], within: Duration) {
    actors.iter().for_each(|actor| actor.request(Request::Kill));
    ended_within(within, actors).await;
}

/// Waits for all of them, but not longer than this.
pub(crate) async fn ended_within(within: Duration, actors: &[Arc<Actor>]) {
    let all = async {
        for actor in actors {
            actor.life.ended().await;
        }
    };
    // One that is late is found by its life.
    let _ = tokio::time::timeout(within, all).await;
}
