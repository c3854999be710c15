//! The third step of a drain: the subsystems end, from the leaves up.

use std::collections::HashMap;
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Limit;
use crate::actor::{Actor, Request};
use crate::shared::Shared;
use crate::watch::unwatch;

/// Ends subsystems in their order.
#[derive(Clone)]
pub(crate) struct Ending {
    runtime: Arc<Shared>,
    limit: Limit,
    /// By address in memory: those that must end before it.
    needed_by: Arc<HashMap<usize, Vec<Arc<Actor>>>>,
}

type Ended = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Ending {
    pub(crate) fn new(runtime: &Arc<Shared>, limit: Limit) -> Self {
        let mut needed_by: HashMap<usize, Vec<Arc<Actor>>> = HashMap::new();
        for (who, whom) in runtime.registry.lock().needs() {
            needed_by.entry(key(&whom)).or_default().push(who);
        }
        Self { runtime: Arc::clone(runtime), limit, needed_by: Arc::new(needed_by) }
    }

    /// Ends a subsystem, after those that need it and those below it. Ready when it has ended, or the limit has come.
    pub(crate) fn end(&self, actor: Arc<Actor>) -> Ended {
        let this = self.clone();
        Box::pin(async move {
            for first in this.before(&actor) {
                if first.queue.is_closed() {
                    this.end(first).await;
                }
            }
            let children = this.runtime.registry.lock().children(&actor);
            // One that ends does not hear of the ends of its children.
            if actor.ledger.rare_if_any().is_some() {
                children.iter().for_each(|child| _ = unwatch(&actor, child));
            }
            this.siblings(children).await;
            this.tell(&actor);
            this.wait(&actor).await;
        })
    }

    /// The same; and it is killed at the limit.
    pub(crate) async fn end_or_kill(self, actor: Arc<Actor>) {
        self.end(Arc::clone(&actor)).await;
        end_idle(&self.runtime, Some(&actor)).await;
        let part = self.runtime.part(Some(&actor), true);
        part.iter().filter(|one| one.life.exit().is_none()).for_each(|one| one.request(Request::Kill));
    }

    /// Ends these, type after type; those of one type at the same time. From nine tenths of the limit on, all at the same time.
    pub(crate) fn siblings(&self, siblings: Vec<Arc<Actor>>) -> Ended {
        let this = self.clone();
        Box::pin(async move {
            let types = this.runtime.registry.lock().in_order_of_end(&siblings);
            drop(siblings);
            let mut with_others = JoinSet::new();
            for of_type in &types {
                for one in of_type {
                    let has_others =
                        !this.before(one).is_empty() || this.runtime.registry.lock().has_children(one);
                    if has_others {
                        with_others.spawn(this.end(Arc::clone(one)));
                    } else {
                        this.tell(one);
                    }
                }
                for one in of_type {
                    this.ended(Limit::force, one).await;
                }
            }
            for one in types.iter().flatten() {
                this.wait(one).await;
            }
            while this.limit.until(Limit::end, with_others.join_next()).await.flatten().is_some() {}
        })
    }

    /// Tells one to end: after what it has accepted, or, from nine tenths of the limit on, after the message in hand.
    fn tell(&self, actor: &Actor) {
        if self.is_forced() { actor.request(Request::StopNow) } else { actor.close() }
    }

    /// Waits for the end of one that was told to end; or whose turn comes when those before it have ended.
    async fn wait(&self, actor: &Arc<Actor>) {
        if self.ended(Limit::force, actor).await {
            return;
        }
        // Parents wait for their children, as long as there is time.
        if self.runtime.registry.lock().children(actor).is_empty() {
            actor.request(Request::StopNow);
        }
        self.ended(Limit::end, actor).await;
    }

    /// Waits for the end of one until then.
    async fn ended(&self, when: fn(&Limit) -> Instant, actor: &Actor) -> bool {
        actor.life.exit().is_some() || self.limit.until(when, actor.life.ended()).await.is_some()
    }

    fn is_forced(&self) -> bool {
        self.limit.force() <= Instant::now()
    }

    fn before(&self, actor: &Arc<Actor>) -> Vec<Arc<Actor>> {
        let all = self.needed_by.get(&key(actor)).cloned().unwrap_or_default();
        all.into_iter().filter(|one| !one.is_gone()).collect()
    }
}

fn key(actor: &Arc<Actor>) -> usize {
    ptr::from_ref(&**actor).addr()
}

/// How long subsystems that have nothing in hand have to end, when there is no time left.
const IDLE_WITHIN: Duration = Duration::from_millis(10);

/// Lets subsystems end by themselves that have nothing in hand, children before parents. (A limit of zero, or one that was shortened, comes
/// when they have only just been told to end: a kill would overtake that, and `stopped` would not run.)
pub(crate) async fn end_idle(runtime: &Arc<Shared>, root: Option<&Arc<Actor>>) {
    let idle = || {
        let is_idle = |one: &Arc<Actor>| one.life.exit().is_none() && one.stats().in_hand == 0;
        let childless = |one: &Arc<Actor>| runtime.registry.lock().children(one).is_empty();
        let mut part = runtime.part(root, true);
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
