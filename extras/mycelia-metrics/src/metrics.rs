//! Where all of it comes together.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use mycelia_actors::{AlreadyObserved, Inspector, Runtime, SubsystemInfo, Survey};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::health::{Health, History};
use crate::live::Live;
use crate::process::Process;
use crate::quantiles::Quantiles;
use crate::settings::Settings;
use crate::snapshot::{Paths, Pool, Snapshot};
use crate::subsystem::{Figure, MessageType, State, Subsystem};
use crate::timings::{Listener, Timings};
use crate::tokio_runtime::TokioRuntime;

/// The metrics of one runtime. Cloning gives another handle, which keeps no subsystem running.
///
/// ```
/// use mycelia_actors::prelude::*;
/// use mycelia_metrics::Metrics;
///
/// struct Counter(u64);
/// impl Subsystem for Counter {}
/// impl Handler<u64> for Counter {
///     type Reply = u64;
///     async fn handle(&mut self, n: u64, _cx: &mut Context<Self>) -> u64 {
///         self.0 += n;
///         self.0
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let runtime = Runtime::new();
/// let metrics = Metrics::of(&runtime)?;
/// let counter = runtime.spawn("counter", Counter(0))?;
/// counter.ask(7).await?;
///
/// let snapshot = metrics.snapshot();
/// assert_eq!((snapshot.ledger.sent, snapshot.ledger.handled), (1, 1));
/// assert_eq!(snapshot.subsystems[0].name, "counter");
/// # Ok(())
/// # }
/// ```
///
/// # Cost
/// A snapshot is made when somebody looks; between looks, some messages are timed (see [`Inspector::observe`]), until this and all its clones are dropped. A subsystem has 20 to 110 KB for its histograms, those without names together; there are
/// 400 of these at most, and all others share some.
///
/// While this is there, or a server of it, [`DeadLetters`](mycelia_actors::DeadLetters) and other subscriptions of the runtime do not end.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    inspector: Inspector,
    pub(crate) settings: Settings,
    timings: Arc<Timings>,
    history: Mutex<History>,
    /// Names that time series databases were told of.
    exported: Mutex<HashSet<Box<str>>>,
    /// As it was when it could last be read.
    process: Mutex<Process>,
    tokio: Option<Handle>,
    since: Instant,
    pub(crate) live: Live,
}

impl Metrics {
    /// Metrics of this runtime, with the defaults. In a tokio runtime, which is then shown, too.
    ///
    /// # Errors
    /// [`AlreadyObserved`], if it has some, or had (or another observer).
    pub fn of(runtime: &Runtime) -> Result<Self, AlreadyObserved> {
        Self::with(runtime, Settings::default())
    }

    /// Metrics of this runtime.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn with(runtime: &Runtime, settings: Settings) -> Result<Self, AlreadyObserved> {
        let (inspector, timings) = (runtime.inspector(), Arc::new(Timings::default()));
        inspector.observe(Listener(Arc::downgrade(&timings)))?;
        let inner = Inner {
            inspector,
            settings,
            timings,
            history: Mutex::default(),
            exported: Mutex::default(),
            process: Mutex::default(),
            tokio: Handle::try_current().ok(),
            since: Instant::now(),
            live: Live::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// All that there is to see, at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.look(false)
    }

    /// The same, with how long each type of message took.
    #[must_use]
    pub fn snapshot_by_message_type(&self) -> Snapshot {
        self.look(true)
    }

    /// All of it in the text format of OpenMetrics, which Prometheus reads.
    #[must_use]
    pub fn openmetrics(&self) -> String {
        crate::openmetrics::encode(self.exported(), &self.inner.timings)
    }

    /// A snapshot with those subsystems only that time series are made of: the first so many names that there ever were.
    pub(crate) fn exported(&self) -> Snapshot {
        let mut snapshot = self.snapshot();
        let mut names = lock(&self.inner.exported);
        snapshot.subsystems.retain(|one| {
            // Those without names come and go together, so their counts are no counters.
            let is_named = !one.name.contains("::");
            is_named
                && (names.contains(&*one.name)
                    || names.len() < self.inner.settings.most_named && names.insert((&*one.name).into()))
        });
        snapshot
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    pub(crate) fn inspector(&self) -> &Inspector {
        &self.inner.inspector
    }

    fn look(&self, with_types: bool) -> Snapshot {
        let inner = &*self.inner;
        let survey = inner.inspector.survey();
        let Shown { subsystems, not_shown, health } = inner.subsystems(&survey, with_types);
        let labels: HashSet<&str> = survey.subsystems.iter().map(label).collect();
        inner.timings.retain(|label| labels.contains(label));
        let [waited, took] = inner.timings.lately();
        let mut process = lock(&inner.process);
        *process = Process::now().unwrap_or(*process);
        let (pool, paths) = (inner.inspector.pool_stats(), inner.inspector.path_stats());
        Snapshot {
            at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as f64 / 1e3,
            uptime: inner.since.elapsed().as_secs_f64(),
            health,
            ledger: survey.total(),
            asks: survey.total_asks(),
            alive: survey.subsystems.len() as u64,
            failed_ends: survey.failed_ends,
            waited: Quantiles::of(&waited),
            took: Quantiles::of(&took),
            subsystems,
            not_shown,
            pool: Pool {
                created: pool.created,
                acquired: pool.acquired,
                reused: pool.reused,
                in_use: pool.in_use,
                high_water: pool.high_water,
            },
            paths: Paths {
                no_subsystem: paths.no_subsystem,
                no_route: paths.no_route,
                denied: paths.denied,
                bad_body: paths.bad_body,
            },
            routes: inner.inspector.routes().len() as u64,
            missed_dead_letters: inner.inspector.missed_dead_letters(),
            process: *process,
            tokio: inner.tokio.as_ref().map(TokioRuntime::of).unwrap_or_default(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Those that are shown, how many are not, and how the worst of all are.
struct Shown {
    subsystems: Vec<Subsystem>,
    not_shown: u64,
    health: Health,
}

impl Inner {
    fn subsystems(&self, survey: &Survey, with_types: bool) -> Shown {
        let now = Instant::now();
        let mut history = lock(&self.history);
        let mut shown = Shown { subsystems: Vec::new(), not_shown: 0, health: Health::Healthy };
        // Of those that are shown, by their ids: parents come before their children.
        let mut labels: HashMap<u64, &str> = HashMap::new();
        let mut groups: HashMap<(&str, Option<&str>), usize> = HashMap::new();
        let most = self.settings.most_named;
        let mut named = 0;
        for one in &survey.subsystems {
            let (health, reasons) = history.assess(now, one, &self.settings.thresholds);
            shown.health = shown.health.max(health);
            let parent = one.parent.and_then(|parent| labels.get(&parent)).copied();
            let name = label(one);
            if one.name.as_given().is_some() {
                // Those that are not well are shown beside the first ones, as many again.
                if named >= most && (health == Health::Healthy || named >= 2 * most) {
                    shown.not_shown += 1;
                    continue;
                }
                named += 1;
            } else if let Some(&place) = groups.get(&(name, parent)) {
                labels.insert(one.id, name);
                shown.subsystems[place].join(one, health, reasons);
                continue;
            } else {
                groups.insert((name, parent), shown.subsystems.len());
            }
            labels.insert(one.id, name);
            let parent = parent.map(str::to_owned);
            shown.subsystems.push(self.subsystem(one, parent, health, reasons, with_types));
        }
        history.retain(survey.subsystems.iter().map(|one| one.id).collect());
        shown
    }

    fn subsystem(
        &self,
        one: &SubsystemInfo,
        parent: Option<String>,
        health: Health,
        reasons: Vec<String>,
        with_types: bool,
    ) -> Subsystem {
        let name = label(one);
        let mut message_types = Vec::new();
        let times = self.timings.look(name, |times| {
            if with_types {
                let all = times.by_type();
                message_types.extend(
                    all.map(|(name, took)| MessageType { name: name.to_owned(), took: Quantiles::of(took) }),
                );
            }
            (Quantiles::of(&times.waited.lately()), Quantiles::of(&times.took.lately()))
        });
        message_types.sort_by(|one, other| one.name.cmp(&other.name));
        let (waited, took) = times.unwrap_or_default();
        Subsystem {
            name: name.to_owned(),
            count: 1,
            parent,
            state: State::of(one),
            health,
            reasons,
            in_mailbox: one.in_mailbox,
            ledger: one.stats,
            asks: one.asks,
            waited,
            took,
            figures: one.name.as_given().map_or_else(Vec::new, |_| figures(one)),
            message_types,
        }
    }
}

impl Subsystem {
    /// Another one without a name.
    fn join(&mut self, one: &SubsystemInfo, health: Health, reasons: Vec<String>) {
        self.count += 1;
        self.in_mailbox += one.in_mailbox;
        self.ledger += one.stats;
        self.asks += one.asks;
        if health > self.health {
            (self.health, self.reasons) = (health, reasons);
        }
    }
}

/// Those that can be shown: JSON and the text formats have no other numbers.
fn figures(one: &SubsystemInfo) -> Vec<Figure> {
    one.figures().into_iter().filter(|figure| figure.value.is_finite()).map(Figure::from).collect()
}

/// The name, or the type of one without.
fn label(one: &SubsystemInfo) -> &str {
    one.name.as_given().or(one.name.as_type()).unwrap_or_default()
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("of", &self.inner.inspector).finish_non_exhaustive()
    }
}
