//! A look at all of a runtime at once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mycelia_core::OverflowPolicy;

use crate::actor::Actor;
use crate::ask_stats::AskStats;
use crate::bus::Bus;
use crate::figures::{self, Figure, Figures};
use crate::ledger::Stats;
use crate::message_pool::PoolStats;
use crate::name::Name;
use crate::observer::{self, Observed, Observer};
use crate::path_error::PathStats;
use crate::paths::Paths;
use crate::routes::RouteInfo;
use crate::shared::Shared;
use crate::side_task::SideTaskStats;

/// Looks at all of a runtime at once, and keeps none of its subsystems running. From
/// [`Runtime::inspector`](crate::Runtime::inspector).
///
/// ```
/// use mycelia_actors::prelude::*;
///
/// struct Idle;
/// impl Subsystem for Idle {}
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let runtime = Runtime::new();
/// runtime.spawn("one", Idle)?;
/// runtime.spawn_unnamed(Idle)?;
/// let inspector = runtime.inspector();
/// let names: Vec<_> = inspector.survey().subsystems.iter().map(|one| one.name.to_string()).collect();
/// assert_eq!(names, ["one", "Idle#1"]);
/// runtime.shutdown().await?;
/// assert!(inspector.survey().subsystems.is_empty());
/// # Ok(())
/// # }
/// ```
///
/// # Cost
/// Nothing is counted for this: all of it is there anyway, but for what an [observer](Self::observe) adds.
#[derive(Clone)]
pub struct Inspector {
    shared: Arc<Shared>,
}

/// All subsystems that there are and were: none is missing, and none there twice.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Survey {
    /// Those that have not ended, in the order in which they were spawned.
    pub subsystems: Vec<SubsystemInfo>,
    /// The ledgers of all others, added up as they were at their ends.
    pub ended: Stats,
    /// How the asks to all others ended.
    pub ended_asks: AskStats,
    /// The side tasks of all others, added up.
    pub ended_side_tasks: SideTaskStats,
    /// How many of the others have failed for good: with a panic, or with an error of `started`, and no restart left.
    pub failed_ends: u64,
}

impl Survey {
    /// The ledgers of all subsystems that there are and were, added up.
    #[must_use]
    pub fn total(&self) -> Stats {
        let mut total = self.ended;
        self.subsystems.iter().for_each(|one| total += one.stats);
        total
    }

    /// How the asks to all of them ended, added up.
    #[must_use]
    pub fn total_asks(&self) -> AskStats {
        let mut total = self.ended_asks;
        self.subsystems.iter().for_each(|one| total += one.asks);
        total
    }

    /// What became of the side tasks of all of them, added up.
    #[must_use]
    pub fn total_side_tasks(&self) -> SideTaskStats {
        let mut total = self.ended_side_tasks;
        self.subsystems.iter().for_each(|one| total += one.side_tasks);
        total
    }
}

/// One subsystem, as [`Inspector::survey`] finds it.
#[derive(Clone)]
#[non_exhaustive]
pub struct SubsystemInfo {
    /// Rises with every spawn.
    pub id: u64,
    /// Its name.
    pub name: Name,
    /// The id of the subsystem that spawned it, unless that has ended, or the runtime itself did.
    pub parent: Option<u64>,
    /// Whether its `started` has run.
    pub has_started: bool,
    /// Whether it is suspended.
    pub is_suspended: bool,
    /// Whether it takes no more messages.
    pub is_stopping: bool,
    /// What a full mailbox means.
    pub overflow: OverflowPolicy,
    /// Messages in the mailbox, of which [`Stats::queued`] may have a batch more: that in the loop's hands.
    pub in_mailbox: u64,
    /// How long the message in hand has been there, if an [observer](Inspector::observe) will hear of it. `None` if it is not timed, or
    /// none is in hand.
    pub in_hand_for: Option<Duration>,
    /// What became of every message so far.
    pub stats: Stats,
    /// How the asks to it ended.
    pub asks: AskStats,
    /// What became of its side tasks.
    pub side_tasks: SideTaskStats,
    figures: Option<Arc<dyn Figures>>,
}

impl SubsystemInfo {
    /// The numbers that it [shows](crate::Context::show), as they are now.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        self.figures.as_deref().map(figures::read).unwrap_or_default()
    }
}

impl fmt::Debug for SubsystemInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, name, parent, stats, .. } = self;
        f.debug_struct("SubsystemInfo")
            .field("id", id)
            .field("name", name)
            .field("parent", parent)
            .field("stats", stats)
            .finish_non_exhaustive()
    }
}

impl Inspector {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared) }
    }

    /// The subsystems that have not ended, and what the others have done.
    ///
    /// No total of one survey is below that of one before. (What is sent to a subsystem after its end is not in them.)
    ///
    /// Cost: some 100 ns for each, during which none can be spawned or end.
    #[must_use]
    pub fn survey(&self) -> Survey {
        let registry = self.shared.registry.lock();
        // Looked at under the lock: nobody ends between the look at it and that at the ended ones.
        let all = registry.all();
        let mut subsystems: Vec<_> =
            all.iter().map(|(id, parent, actor)| info(*id, *parent, actor)).collect();
        let (ended, ended_asks, ended_side_tasks) = registry.ended;
        drop(registry);
        subsystems.sort_unstable_by_key(|one| one.id);
        let failed_ends = self.shared.failed_ends.get();
        Survey { subsystems, ended, ended_asks, ended_side_tasks, failed_ends }
    }

    /// What the message pool has done so far.
    #[must_use]
    pub fn pool_stats(&self) -> PoolStats {
        self.shared.slots.stats()
    }

    /// As [`Runtime::path_stats`](crate::Runtime::path_stats).
    #[must_use]
    pub fn path_stats(&self) -> PathStats {
        self.shared.path_counters.stats()
    }

    /// As [`Runtime::routes`](crate::Runtime::routes).
    #[must_use]
    pub fn routes(&self) -> Vec<RouteInfo> {
        Paths::new(&self.shared).routes()
    }

    /// As [`Runtime::missed_dead_letters`](crate::Runtime::missed_dead_letters).
    #[must_use]
    pub fn missed_dead_letters(&self) -> u64 {
        self.shared.dead_letters.missed.get()
    }

    /// Waits until the runtime begins to shut down, or its last handle is dropped.
    ///
    /// For what would hold up the end of a program otherwise, such as an answer without an end.
    ///
    /// ```
    /// use mycelia_actors::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let runtime = Runtime::new();
    /// let inspector = runtime.inspector();
    /// let closing = tokio::spawn(async move { inspector.closing().await });
    /// runtime.shutdown().await?;
    /// closing.await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Cancel-safe: dropping the future leaves no trace. Ready at once from then on.
    pub async fn closing(&self) {
        self.shared.closing().await;
    }

    /// True once [`closing`](Self::closing) is ready.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.shared.is_closed()
    }

    /// As [`Runtime::bus`](crate::Runtime::bus).
    #[must_use]
    pub fn bus(&self) -> Bus {
        self.shared.bus.clone()
    }

    /// Lets an observer hear of samples, for as long as the runtime lives; from now on, how asks end is counted as well.
    ///
    /// # Errors
    /// [`AlreadyObserved`], if the runtime has an observer.
    ///
    /// # Cost
    /// While a runtime has an observer, each subsystem has some 300 bytes more as soon as it has handled a message, its loop looks at a
    /// byte more a batch, an ask counts its end, and a sample takes some 150 ns and what the observer does.
    pub fn observe(&self, observer: impl Observer) -> Result<(), AlreadyObserved> {
        if self.shared.observed().is_some() {
            return Err(AlreadyObserved);
        }
        // First this: no sample is to stand for what was before.
        let all = self.shared.latest_first();
        all.iter().for_each(|actor| observer::begin(actor));
        self.shared.observed.set(Box::new(Observed::by(observer))).map_err(|_| AlreadyObserved)?;
        all.iter().for_each(|actor| observer::want(actor));
        Ok(())
    }
}

/// A runtime has one observer at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this runtime has an observer already")]
pub struct AlreadyObserved;

fn info(id: u64, parent: Option<u64>, actor: &Actor) -> SubsystemInfo {
    SubsystemInfo {
        id,
        name: actor.name.clone(),
        parent,
        has_started: actor.life.has_started(),
        is_suspended: actor.is_suspended(),
        is_stopping: actor.queue.is_closed(),
        overflow: actor.queue.policy(),
        in_mailbox: actor.queue.len() as u64,
        in_hand_for: observer::in_hand_for(actor),
        stats: actor.stats(),
        asks: actor.ledger.asks(),
        side_tasks: actor.ledger.side_tasks(),
        figures: actor.ledger.rare_if_any().and_then(|rare| rare.shown.get()),
    }
}

impl fmt::Debug for Inspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspector")
            .field("subsystems", &self.shared.registry.lock().len())
            .finish_non_exhaustive()
    }
}
