//! The runtime: makes subsystems, knows them by name, and ends them in order.

use std::sync::Arc;
use std::time::Duration;

use crate::address::Address;
use crate::builder::Builder;
use crate::bus::Bus;
use crate::config::Configure;
use crate::dead_letters::DeadLetters;
use crate::drain;
use crate::error::{ShutdownError, SpawnError};
use crate::inspector::Inspector;
use crate::message_pool::PoolStats;
use crate::path_ask::{PathAsk, PathReply};
use crate::path_error::{PathError, PathStats};
use crate::path_sending::PathSending;
use crate::paths::Paths;
use crate::route::Route;
use crate::routes::RouteInfo;
use crate::shared::Shared;
use crate::subsystem::Subsystem;
use crate::tell::Told;

/// How long [`Runtime::shutdown`] waits for subsystems to stop.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(30);

/// How long this many subsystems have to end that have little left to do: 40 ms, or 4 µs for each if that is more.
pub(crate) fn grace(subsystems: usize) -> Duration {
    Duration::from_micros(4)
        .saturating_mul(subsystems.try_into().unwrap_or(u32::MAX))
        .max(Duration::from_millis(40))
}

/// Makes subsystems, knows them by name, and ends them in order.
///
/// Cloning gives another handle. When the last one is dropped, every subsystem is killed; use
/// [`shutdown`](Self::shutdown) to let them finish. A handle in a subsystem's state is one, too, and keeps all running: what
/// subsystems need of the runtime is in their [`Context`](crate::Context).
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
        self.shared.kill_all();
        self.shared.deadlines.end();
    }
}

impl Runtime {
    pub(crate) fn of(shared: Shared) -> Self {
        Self { owner: Arc::new(Owner { shared: Arc::new(shared) }) }
    }

    /// A runtime with the defaults: a message pool that grows, on the tokio runtime that calls this (if one does).
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Sets up a runtime.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Spawns a subsystem with a name, which must be free. Returns at once; [`Address::started`] waits for its start. When a handler
    /// panics, it ends: see [`spawn_with`](Self::spawn_with).
    ///
    /// # Errors
    /// [`SpawnError`], if the name is taken or bad, or there is no tokio runtime, or this one is shutting down.
    pub fn spawn<S: Subsystem>(&self, name: &str, subsystem: S) -> Result<Address<S>, SpawnError> {
        self.configure(name).spawn(subsystem)
    }

    /// Spawns a subsystem with a name from a factory, which makes its first state, and a new one when it fails: 3 times in 5 seconds at
    /// the most, or as [`Configure::restart`] says.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    pub fn spawn_with<S: Subsystem>(
        &self,
        name: &str,
        factory: impl Fn() -> S + Send + Sync + 'static,
    ) -> Result<Address<S>, SpawnError> {
        self.configure(name).spawn_with(factory)
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

    /// Resolves a path once, for many messages. One of a subsystem that is stopping is resolved as well, until it has ended.
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
    /// [`missed_dead_letters`](Self::missed_dead_letters)). With a capacity of 0 a letter goes to a reader that waits, or is missed. Only
    /// messages lost while there is a subscription are kept.
    ///
    /// Read them, or drop the subscription: a letter keeps its message, and with it a [`ReplyTo`](crate::ReplyTo) inside, whose asker waits
    /// until the letter is dropped, or for its deadline.
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

    /// How often the runtime has looked for asks whose deadline has passed: on a thread of its own, and in tokios of one thread. It does
    /// not while no ask is out.
    #[must_use]
    pub fn sweeps(&self) -> u64 {
        self.owner.shared.deadlines.sweeps()
    }

    /// A look at all of it at once, for metrics: a handle which keeps no subsystem running.
    #[must_use]
    pub fn inspector(&self) -> Inspector {
        Inspector::new(&self.owner.shared)
    }

    #[cfg(any(test, mycelia_loom))]
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

    /// Ends every subsystem without losing what was accepted, within 30 seconds.
    ///
    /// 1. What code outside of subsystems sends from now on comes back, and so do its spawns. (A server in front should stop taking
    ///    requests before.) Handlers, hooks and side tasks go on sending to one another.
    /// 2. The messages that were accepted are handled, with all that comes of them: until nothing is queued, in hand, promised
    ///    ([`ReplyTo`](crate::ReplyTo)) or [piped](crate::Context::pipe). Timers and streams end at once: see
    ///    [`TaskHandle::at_stop`](crate::TaskHandle::at_stop). What a handler has given to `tokio::spawn` is outside, and is not waited for.
    /// 3. The subsystems end, children before parents; among siblings, those of one type at the same time, and the type that was spawned
    ///    first goes last ([`Configure::needs`](crate::Configure::needs) says otherwise).
    ///
    /// When nine tenths of the time are over, the third step begins all the same, for all at once but those that others
    /// [need](crate::Configure::needs): messages in hand are handled, the rest is undelivered, and pipes are abandoned. When all of it is over, the rest is killed. It returns 100 ms later at the latest. Then subscribers to
    /// dead letters and lifecycle events get no more. In debug builds a warning is logged for messages and replies that code outside of
    /// subsystems still holds then, by their types.
    ///
    /// # Cancel safety
    /// The shutdown is a task: dropping the future changes nothing. Another call joins the shutdown that has begun, may shorten it, and
    /// gets the same whole result, also when it is over.
    ///
    /// # Errors
    /// [`ShutdownError`], which says for each subsystem what was cut off, which ones had to be killed, and which have not even ended
    /// then. Awaited in a handler, hook or side task of the same runtime it is an error at once, for it would wait for itself.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn shutdown(&self) -> Result<(), ShutdownError> {
        self.shutdown_within(SHUTDOWN_WITHIN).await
    }

    /// [`shutdown`](Self::shutdown) with another limit, for all subsystems together.
    ///
    /// # Errors
    /// As [`shutdown`](Self::shutdown).
    pub async fn shutdown_within(&self, within: Duration) -> Result<(), ShutdownError> {
        drain::shutdown::shutdown(&self.owner.shared, within).await
    }
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
