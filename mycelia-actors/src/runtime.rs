//! The runtime: makes subsystems, knows them by name, and ends them in order.

use std::hash::BuildHasher;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use foldhash::fast::RandomState;
use mycelia_core::contain;
use mycelia_core::sync::Mutex;
use mycelia_core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use mycelia_router::Policy;
use tokio::runtime::Handle;

use crate::actor::{Actor, Request};
use crate::address::Address;
use crate::body::MAX_BODY;
use crate::bus::Bus;
use crate::config::Configure;
use crate::dead_letters::{DeadLetters, Subscribers};
use crate::deadline::Deadlines;
use crate::envelope::Slots;
use crate::error::{RouteError, ShutdownError, SpawnError};
use crate::faults::Faults;
use crate::message_pool::{MessagePool, PoolStats};
use crate::path_ask::{PathAsk, PathReply};
use crate::path_error::{PathCounters, PathError, PathStats};
use crate::path_sending::PathSending;
use crate::paths::Paths;
use crate::registry::Registry;
use crate::route::Route;
use crate::routes::{RouteInfo, TypeRoutes};
use crate::subsystem::Subsystem;
use crate::tell::Told;

/// How long [`Runtime::shutdown`] waits for subsystems to stop.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(30);
/// How long a shutdown whose time is up waits for the others to stop, and for the late ones to be killed.
pub(crate) const GRACE: Duration = Duration::from_millis(50);

/// Makes subsystems, knows them by name, and ends them in order.
///
/// Cloning gives another handle. When the last one is dropped, every subsystem is killed; use
/// [`shutdown`](Self::shutdown) to let them finish.
///
/// The runtime runs on tokio: on the one it was made in, or whose handle the builder was given, or in which a
/// subsystem is spawned.
#[derive(Clone)]
pub struct Runtime {
    owner: Arc<Owner>,
}

/// Kills everything when the last handle goes.
struct Owner {
    shared: Arc<Shared>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.close();
        self.shared.latest_first().iter().for_each(|actor| actor.request(Request::Kill));
        self.shared.deadlines.end();
    }
}

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
    pub(crate) max_body: usize,
    policy: Policy,
    pub(crate) faults: Option<Faults>,
    pub(crate) registry: Mutex<Registry>,
    next_id: AtomicU64,
    random: AtomicU64,
    closed: AtomicBool,
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

impl Runtime {
    /// A runtime with the defaults: a message pool that grows, on the tokio runtime that calls this (if one does).
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Sets up a runtime.
    pub fn builder() -> Builder {
        Builder {
            messages: MessagePool::default(),
            tokio: None,
            max_body: MAX_BODY,
            policy: Policy::Open,
            seed: None,
            faults: None,
        }
    }

    /// Spawns a subsystem with a name, which must be free. Returns at once; [`Address::started`] waits for its start.
    ///
    /// # Errors
    /// [`SpawnError`], if the name is taken or bad, or there is no tokio runtime, or this one is shutting down.
    pub fn spawn<S: Subsystem>(&self, name: &str, subsystem: S) -> Result<Address<S>, SpawnError> {
        self.configure(name).spawn(subsystem)
    }

    /// Spawns a subsystem without a name, to be reached by its address only.
    ///
    /// # Errors
    /// [`SpawnError`], if there is no tokio runtime, or this one is shutting down.
    pub fn spawn_unnamed<S: Subsystem>(&self, subsystem: S) -> Result<Address<S>, SpawnError> {
        self.configure_unnamed().spawn(subsystem)
    }

    /// Configures a subsystem with a name, to be spawned.
    pub fn configure<'a>(&'a self, name: &'a str) -> Configure<'a> {
        Configure::new(&self.owner.shared, Some(name))
    }

    /// Configures a subsystem without a name, to be spawned.
    pub fn configure_unnamed(&self) -> Configure<'_> {
        Configure::new(&self.owner.shared, None)
    }

    /// Hands a message over to a path, `api://users/7`, without waiting for anything. A reply is dropped.
    ///
    /// The part before `://` is the name of a subsystem, the rest goes through its [`Routes`](crate::Routes). The body is `()`, a
    /// [`serde_json::Value`], a [`RawBody`](crate::RawBody), or, where the pattern has no parameters, the message
    /// itself, which moves.
    ///
    /// # Errors
    /// [`PathError`], with the body: no such subsystem or route, no right to it, parameters and body that do not make the
    /// message, and all that [`Address::tell`] can say.
    ///
    /// # Cost
    /// A lookup of the name and of the route, and no allocation where the message owns no heap data.
    #[inline]
    pub fn tell<B: Send + 'static>(&self, path: &str, body: B) -> Result<Told, PathError<B>> {
        self.owner.shared.tell(path, body)
    }

    /// Hands a message over to a path, waiting for room under every policy. See [`tell`](Self::tell), and
    /// [`PathSending`] for errors and cancel safety.
    #[inline]
    pub fn send<'p, B: Send + 'static>(&self, path: &'p str, body: B) -> PathSending<'p, B> {
        self.owner.shared.send(path, body)
    }

    /// Sends a message to a path, waiting for room if need be, and awaits the reply: for 5 seconds, or as
    /// [`within`](PathAsk::within) says. See [`tell`](Self::tell), and [`PathAsk`] for errors and cancel safety.
    ///
    /// The type of the reply must be said (`let user: User = …`, or `ask::<User, _>(…)`); it is that of the handler, or a
    /// [`serde_json::Value`], or a [`RawBody`](crate::RawBody).
    #[inline]
    pub fn ask<'p, R: PathReply, B: Send + 'static>(&self, path: &'p str, body: B) -> PathAsk<'p, B, R> {
        self.owner.shared.ask(path, body)
    }

    /// Resolves a path once, for many messages.
    ///
    /// # Errors
    /// [`PathError`]: no such subsystem or route, or no right to it.
    pub fn route(&self, path: &str) -> Result<Route, PathError<()>> {
        self.paths().route(path)
    }

    /// Every route of every subsystem with a name, in the order of the names and then of preference.
    #[must_use]
    pub fn routes(&self) -> Vec<RouteInfo> {
        self.paths().routes()
    }

    /// Messages to paths that no subsystem ever had.
    #[must_use]
    pub fn path_stats(&self) -> PathStats {
        self.owner.shared.path_counters.stats()
    }

    /// The verbs by path as a handle of their own, which does not keep the subsystems running.
    #[must_use]
    pub fn paths(&self) -> Paths {
        Paths::new(&self.owner.shared)
    }

    /// Subscribes to dead letters. The queue holds `capacity` of them; the ones beyond are missed (and counted, see
    /// [`missed_dead_letters`](Self::missed_dead_letters)). Only messages lost while somebody is subscribed are kept.
    ///
    /// The subscription ends, after its last letter, with [`shutdown`](Self::shutdown) or the runtime.
    #[must_use]
    pub fn dead_letters(&self, capacity: usize) -> DeadLetters {
        self.owner.shared.dead_letters.subscribe(capacity)
    }

    /// Dead letters that did not fit into a subscriber's queue.
    #[must_use]
    pub fn missed_dead_letters(&self) -> u64 {
        self.owner.shared.dead_letters.missed.get()
    }

    /// Where events are published and subscribed to, those of the runtime itself as well: see [`Bus`]. It closes with
    /// [`shutdown`](Self::shutdown) or the runtime, and keeps no subsystem running.
    #[must_use]
    pub fn bus(&self) -> Bus {
        self.owner.shared.bus.clone()
    }

    /// What the message pool has done so far.
    #[must_use]
    pub fn pool_stats(&self) -> PoolStats {
        self.owner.shared.slots.stats()
    }

    /// Gives the memory of message slots back that a burst needed and nobody uses. See
    /// [`Pool::trim`](mycelia_pool::Pool::trim).
    pub fn trim(&self) {
        self.owner.shared.slots.trim();
    }

    /// How often the sweeper has looked for asks whose deadline has passed. It does not while no ask is out.
    #[must_use]
    pub fn sweeps(&self) -> u64 {
        self.owner.shared.deadlines.sweeps()
    }

    #[cfg(mycelia_loom)]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.owner.shared
    }

    /// The number of subsystems that have not ended.
    #[must_use]
    pub fn len(&self) -> usize {
        self.owner.shared.registry.lock().len()
    }

    /// True if no subsystem is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Stops every subsystem, the latest first (so children before parents), each after what it has accepted, and the next
    /// one when it has ended. After 30 seconds the rest stops at once, and those that have not ended 50 ms later are killed.
    ///
    /// Until its turn has come a subsystem accepts messages; what it then asks of its children finds them stopped. Later
    /// spawns are refused. When all have ended, the subscribers to dead letters get no more.
    ///
    /// # Errors
    /// [`ShutdownError`], which names those that had to be killed, and those that did not even end then.
    pub async fn shutdown(&self) -> Result<(), ShutdownError> {
        self.shutdown_within(SHUTDOWN_WITHIN).await
    }

    /// [`shutdown`](Self::shutdown) with another limit, for all subsystems together.
    ///
    /// # Errors
    /// As [`shutdown`](Self::shutdown).
    pub async fn shutdown_within(&self, within: Duration) -> Result<(), ShutdownError> {
        let shared = &self.owner.shared;
        shared.close();
        // Whoever is late is found below.
        let _ = tokio::time::timeout(within, one_by_one(&shared.latest_first())).await;
        // Time is up. Those behind the late one stop now, all at once; most have little left to do.
        let waiting = shared.latest_first();
        waiting.iter().for_each(|actor| actor.stop());
        ended_within(GRACE, &waiting).await;
        let late = shared.latest_first();
        late.iter().for_each(|actor| actor.request(Request::Kill));
        ended_within(GRACE, &late).await;
        let (left, killed): (Vec<_>, Vec<_>) = late.iter().partition(|actor| actor.life.exit().is_none());
        if left.is_empty() {
            shared.dead_letters.close();
            shared.bus.close();
        }
        if late.is_empty() {
            return Ok(());
        }
        let names = |actors: Vec<&Arc<Actor>>| actors.iter().map(|actor| actor.name.clone()).collect();
        Err(ShutdownError { within, killed: names(killed), left: names(left) })
    }
}

/// True if this tokio runtime was built with its timers. It has no other way to tell than a panic.
fn has_timers(tokio: &Handle) -> bool {
    let _inside = tokio.enter();
    contain(|| drop(tokio::time::sleep(Duration::ZERO))).is_ok()
}

/// Stops one after another, the first one first, and each when the one before has ended.
pub(crate) async fn one_by_one(actors: &[Arc<Actor>]) {
    for actor in actors {
        actor.stop();
        actor.life.ended().await;
    }
}

/// Waits for all of them, but not longer than this.
pub(crate) async fn ended_within(within: Duration, actors: impl IntoIterator<Item = &Arc<Actor>>) {
    let all = async {
        for actor in actors {
            actor.life.ended().await;
        }
    };
    // Whoever is late is found by its life.
    let _ = tokio::time::timeout(within, all).await;
}

impl Default for Runtime {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").field("subsystems", &self.len()).finish_non_exhaustive()
    }
}

impl Shared {
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

    /// One for the sweeper, which threads without a runtime need as well: then it is where the last subsystem was spawned.
    pub(crate) fn any_tokio(&self) -> Option<Handle> {
        let current = || Handle::try_current().ok();
        self.tokio.clone().or_else(current).or_else(|| self.last_tokio.lock().clone())
    }

    fn with_timers(&self, tokio: Handle) -> Result<Handle, SpawnError> {
        if *self.has_timers.get_or_init(|| has_timers(&tokio)) {
            Ok(tokio)
        } else {
            Err(SpawnError::NoTimers)
        }
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
        actor: Arc<Actor>,
        id: u64,
        parent: Option<&Arc<Actor>>,
        routes: Option<&'static TypeRoutes>,
    ) -> Result<Arc<Actor>, SpawnError> {
        let mut registry = self.registry.lock();
        // Under the lock: whoever closes the runtime finds this actor, or this finds it closed.
        if self.closed.load(Ordering::Relaxed) {
            return Err(SpawnError::ShutDown);
        }
        if let Some(name) = actor.name.as_arc() {
            match self.names.entry(name) {
                Entry::Occupied(taken) => return Err(SpawnError::NameTaken(taken.key().to_string())),
                Entry::Vacant(free) => drop(free.insert(Named { actor: Arc::clone(&actor), routes })),
            }
        }
        registry.add(&actor, id, parent);
        Ok(actor)
    }

    /// Forgets a subsystem that has ended, and kills what it leaves behind. Its parent.
    pub(crate) fn unregister(&self, actor: &Actor) -> Option<Arc<Actor>> {
        let removed = self.registry.lock().remove(actor);
        let own = |_: &Arc<str>, other: &Named| std::ptr::eq(&*other.actor, actor);
        drop(actor.name.as_given().and_then(|name| self.names.remove_if(name, own)));
        let removed = removed?;
        removed.orphans.iter().for_each(|child| child.request(Request::Kill));
        removed.parent
    }

    fn close(&self) {
        let _registry = self.registry.lock();
        self.closed.store(true, Ordering::Relaxed);
    }

    fn latest_first(&self) -> Vec<Arc<Actor>> {
        self.registry.lock().latest_first()
    }
}

/// Sets up a [`Runtime`].
///
/// ```
/// use mycelia_actors::prelude::*;
///
/// let runtime = Runtime::builder().messages(MessagePool::capacity(10_000).warm(1_000)).build();
/// assert_eq!(runtime.pool_stats().created, 1_000);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    messages: MessagePool,
    tokio: Option<Handle>,
    max_body: usize,
    policy: Policy,
    seed: Option<u64>,
    faults: Option<Faults>,
}

impl Builder {
    /// The pool that messages travel in; one that grows if this is not called.
    pub fn messages(mut self, messages: MessagePool) -> Self {
        self.messages = messages;
        self
    }

    /// The tokio runtime to run on, for runtimes that are made outside of one.
    pub fn tokio(mut self, tokio: Handle) -> Self {
        self.tokio = Some(tokio);
        self
    }

    /// How many bytes the body of a message to a path may have: 1 MiB if this is not called. The text of JSON counts, also where
    /// the body is a JSON value.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Whether every route must say who may use it: not if this is not called. With [`Policy::Scoped`] a subsystem is not
    /// spawned (with a name) if a route of its type requires no scope.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Where its chances begin, which are those of the pauses between restarts, and of faults: somewhere else each time if this is not called.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Lets faults happen to messages, for tests.
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = Some(faults);
        self
    }

    /// Builds the runtime.
    #[must_use]
    pub fn build(self) -> Runtime {
        let shared = Shared {
            slots: self.messages.build(),
            deadlines: Deadlines::new(),
            dead_letters: Arc::default(),
            bus: Bus::new(),
            tokio: self.tokio.or_else(|| Handle::try_current().ok()),
            has_timers: OnceLock::new(),
            last_tokio: Mutex::new(None),
            names: DashMap::default(),
            path_counters: PathCounters::default(),
            max_body: self.max_body,
            policy: self.policy,
            faults: self.faults,
            registry: Mutex::default(),
            random: AtomicU64::new(self.seed.unwrap_or_else(|| RandomState::default().hash_one(0))),
            next_id: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        };
        Runtime { owner: Arc::new(Owner { shared: Arc::new(shared) }) }
    }
}
