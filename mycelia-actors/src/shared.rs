//! What the subsystems of a runtime share: slots, names, deadlines, whom to tell.

use std::hash::BuildHasher;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use foldhash::fast::RandomState;
use mycelia_core::Counter;
use mycelia_core::contain;
use mycelia_core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use mycelia_core::sync::{Mutex, OnceBox};
use mycelia_router::Policy;
use tokio::runtime::Handle;

use crate::actor::{Actor, Request};
use crate::bell::Bell;
use crate::builder::Builder;
use crate::bus::Bus;
use crate::current;
use crate::dead_letters::Subscribers;
use crate::deadline::Deadlines;
use crate::drain::Drains;
use crate::envelope::Slots;
use crate::error::{RouteError, SpawnError};
use crate::faults::Faults;
use crate::observer::Observed;
use crate::path_error::PathCounters;
use crate::registry::{Newcomer, NoPlace, Phase, Registry};
use crate::routes::TypeRoutes;

/// What subsystems share.
pub(crate) struct Shared {
    pub(crate) slots: Slots,
    pub(crate) deadlines: Deadlines,
    pub(crate) dead_letters: Arc<Subscribers>,
    pub(crate) bus: Bus,
    tokio: Option<Handle>,
    has_timers: OnceLock<bool>,
    last_tokio: Mutex<Option<Handle>>,
    names: DashMap<Arc<str>, Named, RandomState>,
    pub(crate) path_counters: PathCounters,
    /// Subsystems that have failed for good.
    pub(crate) failed_ends: Counter,
    pub(crate) max_body: usize,
    policy: Policy,
    pub(crate) faults: Option<Faults>,
    pub(crate) registry: Mutex<Registry>,
    pub(crate) observed: OnceBox<Observed>,
    pub(crate) drains: Drains,
    next_id: AtomicU64,
    random: AtomicU64,
    closed: AtomicBool,
    closing: Bell,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.bus.close();
    }
}

/// A subsystem with a name, and the routes of its type.
struct Named {
    actor: Arc<Actor>,
    routes: Option<&'static TypeRoutes>,
}

impl Shared {
    pub(crate) fn new(builder: Builder) -> Self {
        Self {
            slots: builder.messages.build(),
            deadlines: Deadlines::new(),
            dead_letters: Arc::default(),
            bus: Bus::new(),
            tokio: builder.tokio.or_else(|| Handle::try_current().ok()),
            has_timers: OnceLock::new(),
            last_tokio: Mutex::new(None),
            names: DashMap::default(),
            path_counters: PathCounters::default(),
            failed_ends: Counter::new(),
            max_body: builder.max_body,
            policy: builder.policy,
            faults: builder.faults,
            registry: Mutex::default(),
            observed: OnceBox::new(),
            random: AtomicU64::new(builder.seed.unwrap_or_else(|| RandomState::default().hash_one(0))),
            drains: Drains::default(),
            next_id: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            closing: Bell::default(),
        }
    }

    /// The tokio runtime to spawn on: the one given, or the one of the calling thread.
    pub(crate) fn tokio(&self) -> Result<Handle, SpawnError> {
        if let Some(tokio) = &self.tokio {
            return self.with_timers(tokio.clone());
        }
        let tokio = self.with_timers(Handle::try_current().map_err(|_| SpawnError::NoTokio)?)?;
        let before = self.last_tokio.lock().replace(tokio.clone());
        drop(before);
        Ok(tokio)
    }

    /// One for whoever needs any: outside of a tokio it is where the last subsystem was spawned.
    pub(crate) fn any_tokio(&self) -> Option<Handle> {
        self.tokios().next()
    }

    /// The tokios that there may be: the configured one, the current one, and where the last subsystem was spawned.
    pub(crate) fn tokios(&self) -> impl Iterator<Item = Handle> {
        let last = self.last_tokio.lock().clone();
        [self.tokio.clone(), Handle::try_current().ok(), last].into_iter().flatten()
    }

    /// Where the subsystems are: the tokio that was given, or that of the last spawn.
    pub(crate) fn home(&self) -> Option<Handle> {
        self.tokio.clone().or_else(|| self.last_tokio.lock().clone())
    }

    /// True if this is where subsystems are spawned. Such a tokio has timers.
    pub(crate) fn has_subsystems_on(&self, tokio: &Handle) -> bool {
        let is_it = |other: &Handle| other.id() == tokio.id();
        self.has_timers.get() == Some(&true)
            && (self.tokio.as_ref().is_some_and(is_it) || self.last_tokio.lock().as_ref().is_some_and(is_it))
    }

    fn with_timers(&self, tokio: Handle) -> Result<Handle, SpawnError> {
        // Not while others wait for it: where there are none, the panic hook runs, which is code of the user.
        let has_timers = self.has_timers.get().copied().unwrap_or_else(|| has_timers(&tokio));
        if *self.has_timers.get_or_init(|| has_timers) { Ok(tokio) } else { Err(SpawnError::NoTimers) }
    }

    pub(crate) fn next_id(&self) -> u64 {
        // Relaxed: only the number matters.
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// The next number of a row that looks like chance (SplitMix64: Steele, Lea and Flood, 2014).
    pub(crate) fn random(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        // Relaxed: only the number matters.
        let mut mixed = self.random.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The observer, if there is one.
    #[inline]
    pub(crate) fn observed(&self) -> Option<&Observed> {
        self.observed.get()
    }

    /// Under a policy, every route must say who may use it.
    pub(crate) fn policy_allows(&self, routes: &TypeRoutes) -> Result<(), RouteError> {
        let open = match self.policy {
            Policy::Scoped => routes.list().find(|(_, scope, _)| scope.is_none()),
            Policy::Open => None,
        };
        match open {
            Some((pattern, ..)) => Err(RouteError::NoScope {
                pattern: pattern.map_or("(fallback)", mycelia_router::Pattern::as_str).into(),
            }),
            None => Ok(()),
        }
    }

    /// The subsystem of that name, and its routes.
    #[inline]
    pub(crate) fn named(&self, name: &str) -> Option<(Arc<Actor>, &'static TypeRoutes)> {
        let named = self.names.get(name)?;
        Some((Arc::clone(&named.actor), named.routes?))
    }

    pub(crate) fn named_routes(&self) -> Vec<(Arc<str>, &'static TypeRoutes)> {
        let names = self.names.iter();
        names.filter_map(|named| Some((Arc::clone(named.key()), named.routes?))).collect()
    }

    pub(crate) fn register(
        &self,
        newcomer: Newcomer<'_>,
        routes: Option<&'static TypeRoutes>,
    ) -> Result<(), SpawnError> {
        let actor = Arc::clone(newcomer.actor);
        let parent = newcomer.parent;
        let from_inside = parent.is_some()
            || current::with_origin(|origin| origin.is_some_and(|origin| self.is_of(origin)));
        let mut registry = self.registry.lock();
        // Under the lock: a drain finds this subsystem, or this finds the drain.
        let draining = registry.may_add(parent, from_inside).map_err(|no_place| match no_place {
            NoPlace::ShutDown => SpawnError::ShutDown,
            NoPlace::Ending(above) => SpawnError::Ending(above.name.clone()),
        })?;
        if let Some(name) = actor.name.as_arc() {
            match self.names.entry(name) {
                Entry::Occupied(taken) => return Err(SpawnError::NameTaken(taken.key().to_string())),
                Entry::Vacant(free) => drop(free.insert(Named { actor: Arc::clone(&actor), routes })),
            }
        }
        if draining && !newcomer.ends_last {
            actor.close_to_outside();
        }
        registry.add(newcomer);
        Ok(())
    }

    fn is_of(&self, actor: &Actor) -> bool {
        std::ptr::eq(&*actor.runtime, self)
    }

    pub(crate) fn parent(&self, actor: &Actor) -> Option<Arc<Actor>> {
        self.registry.lock().parent(actor)
    }

    /// Forgets a subsystem that has ended, and kills what it leaves behind. Its end is to be told now: then it [has left](Drains::has_left).
    pub(crate) fn unregister(&self, actor: &Actor) {
        let removed = {
            let mut registry = self.registry.lock();
            // Under the lock: a survey sees these, or those that there are before, and never less.
            let counts = actor.stats().counts();
            let removed = registry.remove(actor, counts);
            // Under the lock, too: a drain that does not find it waits until its end is told.
            removed.iter().for_each(|_| self.drains.leaves());
            removed
        };
        let own = |_: &Arc<str>, other: &Named| std::ptr::eq(&*other.actor, actor);
        drop(actor.name.as_given().and_then(|name| self.names.remove_if(name, own)));
        if removed.as_ref().is_some_and(|removed| removed.gives_back) {
            self.names.shrink_to_fit();
        }
        removed.iter().flat_map(|removed| &removed.orphans).for_each(|child| child.request(Request::Kill));
    }

    /// Kills every subsystem. There are no more spawns.
    pub(crate) fn kill_all(&self) {
        let all = {
            let mut registry = self.registry.lock();
            registry.phase = Phase::Ending;
            let all = registry.latest_first();
            // Under the lock: a spawn that is refused now is refused in one that has been killed.
            all.iter().for_each(|actor| actor.note(Request::Kill));
            all
        };
        self.begin_closing();
        all.iter().for_each(|actor| actor.request(Request::Kill));
    }

    /// A shutdown begins, or the runtime is dropped.
    pub(crate) fn begin_closing(&self) {
        // Release, with the Acquire in `is_closed`.
        self.closed.store(true, Ordering::Release);
        self.closing.ring();
    }

    /// Those who read what the runtime itself tells get no more.
    pub(crate) fn close_topics(&self) {
        self.dead_letters.close();
        self.bus.close();
    }

    /// True once a shutdown has begun.
    pub(crate) fn is_closed(&self) -> bool {
        // Acquire, with the Release in `begin_closing`.
        self.closed.load(Ordering::Acquire)
    }

    /// Waits until that is so.
    pub(crate) async fn closing(&self) {
        tokio::task::consume_budget().await;
        self.closing.heard(|| self.is_closed()).await;
    }

    pub(crate) fn latest_first(&self) -> Vec<Arc<Actor>> {
        self.registry.lock().latest_first()
    }

    /// As [`Registry::part`], without the lock: what is done with these wakes senders, and drops what was the user's.
    pub(crate) fn part(&self, root: Option<&Arc<Actor>>, last: bool) -> Vec<Arc<Actor>> {
        self.registry.lock().part(root, last)
    }
}

/// True if this tokio runtime was built with its timers. It has no other way to tell than a panic.
pub(crate) fn has_timers(tokio: &Handle) -> bool {
    let _inside = tokio.enter();
    contain(|| drop(tokio::time::sleep(Duration::ZERO))).is_ok()
}
