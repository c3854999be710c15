//! What can be chosen when a subsystem is spawned.

use std::any::{TypeId, type_name};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use mycelia_queue::Channel;
use tracing::Instrument;

use crate::actor::Actor;
use crate::address::Address;
use crate::error::SpawnError;
use crate::life_event::LifeEvent;
use crate::lifecycle::Exit;
use crate::mailbox::Mailbox;
use crate::name::Name;
use crate::own_thread;
use crate::registry::{Newcomer, StopSettings};
use crate::restart::{Record, Restart};
use crate::routes::TypeRoutes;
use crate::run_loop::{self, Plan};
use crate::shared::Shared;
use crate::subsystem::{Factory, Subsystem};

/// Messages a subsystem handles before it lets other tasks run.
const DEFAULT_BUDGET: usize = 64;

/// The choices for one subsystem. Made by [`Runtime::configure`](crate::Runtime::configure).
///
/// ```
/// use mycelia_actors::prelude::*;
///
/// #[derive(Default)]
/// struct Gauge;
/// impl Subsystem for Gauge {}
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let runtime = Runtime::new();
/// let gauge = runtime
///     .configure("gauge")
///     .mailbox(Mailbox::bounded(4096).overflow(OverflowPolicy::DropOldest))
///     .budget(16)
///     .restart(Restart::one_for_one())
///     .spawn_with(Gauge::default)?;
/// # drop(gauge);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing is spawned until `spawn` or `spawn_with`"]
pub struct Configure<'a> {
    shared: &'a Arc<Shared>,
    parent: Option<&'a Arc<Actor>>,
    name: Option<&'a str>,
    mailbox: Mailbox,
    restart: Option<Restart>,
    budget: usize,
    own_thread: bool,
    ends_last: bool,
    stop: StopSettings,
}

impl<'a> Configure<'a> {
    pub(crate) fn new(shared: &'a Arc<Shared>, name: Option<&'a str>) -> Self {
        Self {
            shared,
            parent: None,
            name,
            mailbox: Mailbox::default(),
            restart: None,
            budget: DEFAULT_BUDGET,
            own_thread: false,
            ends_last: false,
            stop: StopSettings::default(),
        }
    }

    /// A child of this one.
    pub(crate) fn child(parent: &'a Arc<Actor>, name: Option<&'a str>) -> Self {
        Self { parent: Some(parent), ..Self::new(&parent.runtime, name) }
    }

    /// Capacity and overflow policy; 1024 messages and `Error` if this is not called.
    pub fn mailbox(mut self, mailbox: Mailbox) -> Self {
        self.mailbox = mailbox;
        self
    }

    /// How often it is restarted when it fails; 3 times in 5 s if this is not called. It needs a factory:
    /// [`spawn_with`](Self::spawn_with).
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = Some(restart);
        self
    }

    /// How many messages it handles before it yields to the scheduler, 64 if this is not called: more for throughput, less
    /// for the latency of others on the same worker.
    ///
    /// It also takes as many out of its mailbox at a time (but not more than the mailbox holds). These have left the mailbox:
    /// its capacity does not count them, and `DropOldest` does not evict them.
    pub fn budget(mut self, messages: usize) -> Self {
        self.budget = messages;
        self
    }

    /// Gives it a thread of its own, named like it: for handlers that block, which would hold up a worker of tokio's and all tasks
    /// of that worker. They may still await; timers and sockets are driven by the tokio runtime.
    ///
    /// A subsystem with a thread costs the thread's memory, and a wake-up of the kernel where others cost one of tokio's. In a tokio whose
    /// clock is paused the clock stands still while the subsystem has something to do, also while it blocks.
    ///
    /// ```
    /// use mycelia_actors::prelude::*;
    ///
    /// struct Disk;
    /// struct Read(&'static str);
    /// impl Subsystem for Disk {}
    /// impl Handler<Read> for Disk {
    ///     type Reply = std::io::Result<String>;
    ///     async fn handle(&mut self, Read(path): Read, _cx: &mut Context<Self>) -> Self::Reply {
    ///         std::fs::read_to_string(path)
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let runtime = Runtime::new();
    /// let disk = runtime.configure("disk").own_thread().spawn(Disk)?;
    /// assert!(disk.ask(Read("no such file")).await?.is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn own_thread(mut self) -> Self {
        self.own_thread = true;
        self
    }

    /// Limits how long a stop of this subsystem may take, with all below it: without a limit of its own if this is not called, but within
    /// that of [`Runtime::shutdown`](crate::Runtime::shutdown).
    ///
    /// When nine tenths of it are over, what is left ends after its messages in hand, with [`Subsystem::stopped`]; at the limit it is
    /// killed. The time begins with the stop; in a shutdown that of one which [ends last](Self::ends_last) begins when the others have ended.
    pub fn stop_timeout(mut self, timeout: Duration) -> Self {
        self.stop.timeout = Some(timeout);
        self
    }

    /// Ends this subsystem before the one with this address, where both end in one drain: so that [`Subsystem::stopped`] can still use
    /// it. May be called several times. If this one has a stop of its own when the other is stopped, the other waits for the end of that
    /// stop. If this one is late, the other waits for it until nineteen twentieths of the limit are over.
    ///
    /// Only subsystems that exist can be named, so there can be no circle.
    pub fn needs<T: Subsystem>(mut self, other: &Address<T>) -> Self {
        self.stop.needs.push(Arc::clone(other.actor()));
        self
    }

    /// Ends this subsystem, with all below it, when no others are left in a [shutdown](crate::Runtime::shutdown): for those who write down
    /// how the others ended. Subscriptions to dead letters and lifecycle events end before it does, and those that it has
    /// [attached](crate::Context::attach) are waited for. For subsystems that the runtime spawns, not for children.
    pub fn ends_last(mut self) -> Self {
        self.ends_last = true;
        self
    }

    /// Spawns it with this state. It ends when a handler panics, for there is no other state; its parent, if it has one, goes on.
    ///
    /// # Errors
    /// [`SpawnError`], if the name is taken or bad, a number is 0, there is no tokio runtime, or it was to be restarted.
    pub fn spawn<S: Subsystem>(self, subsystem: S) -> Result<Address<S>, SpawnError> {
        self.launch(|| subsystem, None)
    }

    /// Spawns it with a factory, which makes the first state, and a new one after a panic.
    ///
    /// A panic of the factory in this call goes to the caller; in a restart it counts as one of the subsystem.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    pub fn spawn_with<S: Subsystem>(
        self,
        factory: impl Fn() -> S + Send + Sync + 'static,
    ) -> Result<Address<S>, SpawnError> {
        let factory: Factory<S> = Arc::new(factory);
        let first = Arc::clone(&factory);
        self.launch(|| first(), Some(factory))
    }

    fn launch<S: Subsystem>(
        self,
        first: impl FnOnce() -> S,
        factory: Option<Factory<S>>,
    ) -> Result<Address<S>, SpawnError> {
        let tokio = self.shared.tokio()?;
        let routes = self.routes::<S>()?;
        if factory.is_none() && self.restart.is_some() {
            return Err(SpawnError::NoFactory);
        }
        let actor = self.register::<S>(routes)?;
        // A factory that panics here must not leave a name without a subsystem behind.
        let mut unwind = Unregister(Some(Arc::clone(&actor)));
        let state = first();
        drop(unwind.0.take());
        let budget = u32::try_from(self.budget).unwrap_or(u32::MAX);
        let batch = budget.min(u32::try_from(self.mailbox.capacity).unwrap_or(u32::MAX));
        let budget = if self.shared.faults.is_some() { 1 } else { budget };
        let restart = self.restart.unwrap_or_default();
        let restarts = factory.map(|factory| Box::new((factory, Record::new(restart))));
        let plan = Plan { budget, batch, restarts };
        actor.runtime.announce_life(&actor.name, || LifeEvent::Spawned);
        let span = tracing::info_span!("subsystem", name = %actor.name);
        let task = run_loop::task(Arc::clone(&actor), state, plan);
        if span.is_disabled() && !self.own_thread {
            tokio.spawn(task);
        } else {
            // In a box, so that subsystems nobody traces do not pay for the span.
            span.in_scope(|| tracing::info!("spawned"));
            let task: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(task);
            let task = task.instrument(span);
            if self.own_thread {
                own_thread::start(&tokio, &actor, task)?;
            } else {
                tokio.spawn(task);
            }
        }
        Ok(Address::new(actor))
    }

    /// The routes of its type, if it has a name that paths can begin with.
    fn routes<S: Subsystem>(&self) -> Result<Option<&'static TypeRoutes>, SpawnError> {
        if self.name.is_none() {
            return Ok(None);
        }
        let bad = |reason| SpawnError::BadRoute { subsystem: std::any::type_name::<S>(), reason };
        let routes = TypeRoutes::of::<S>().map_err(bad)?;
        self.shared.policy_allows(routes).map_err(bad)?;
        Ok(Some(routes))
    }

    pub(crate) fn register<S: 'static>(
        &self,
        routes: Option<&'static TypeRoutes>,
    ) -> Result<Arc<Actor>, SpawnError> {
        if let Some(name) = self.name
            && !is_name(name)
        {
            return Err(SpawnError::BadName(name.to_owned()));
        }
        let id = self.shared.next_id();
        let name = match self.name {
            Some(name) => Name::given(Arc::from(name)),
            None => Name::unnamed(type_name::<S>(), id),
        };
        if self.mailbox.capacity == 0 {
            return Err(SpawnError::NoCapacity(name));
        }
        if self.budget == 0 {
            return Err(SpawnError::NoBudget(name));
        }
        // Senders that waited come back when the mailbox is half empty: see `Mailbox`.
        let (capacity, policy) = (self.mailbox.capacity, self.mailbox.policy);
        let queue = Channel::with_low_water(capacity, policy, capacity / 2)
            // Its receiver is a task of tokio, whose wakers only count.
            .with_plain_receiver();
        let actor = Arc::new(Actor::new(queue, name, Arc::clone(self.shared)));
        let other = self.stop.needs.iter().find(|needed| !Arc::ptr_eq(&needed.runtime, self.shared));
        if let Some(other) = other {
            return Err(SpawnError::NeedsOther(other.name.clone()));
        }
        let newcomer = Newcomer {
            actor: &actor,
            id,
            parent: self.parent,
            type_id: TypeId::of::<S>(),
            ends_last: self.ends_last && self.parent.is_none(),
            stop: self.stop.clone(),
        };
        self.shared.register(newcomer, routes)?;
        Ok(actor)
    }
}

struct Unregister(Option<Arc<Actor>>);

impl Drop for Unregister {
    fn drop(&mut self) {
        if let Some(actor) = self.0.take() {
            actor.runtime.unregister(&actor);
            actor.life.set_ended(Exit::Panicked(Arc::from("its factory, at the first state")));
            actor.runtime.drains.has_left();
        }
    }
}

/// The part before `://` in a path: letters, digits, `-`, `_` and `.`, beginning with one of the first two.
fn is_name(name: &str) -> bool {
    name.starts_with(char::is_alphanumeric)
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
}
