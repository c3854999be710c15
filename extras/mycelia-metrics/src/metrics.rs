//! Where all of it comes together.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use mycelia_actors::{AlreadyObserved, Inspector, Runtime, SubsystemInfo, Survey};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::health::{Health, History};
use crate::live::Live;
use crate::process::Process;
use crate::quantiles::Quantiles;
use crate::settings::Settings;
use crate::snapshot::{Paths, Pool, Snapshot};
use crate::subsystem::{MessageType, State, Subsystem};
use crate::timings::Timings;
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
/// Everything is pulled: without a look nothing runs. While a runtime has metrics, some messages are timed (see
/// [`Inspector::observe`]); each subsystem takes some 20 KB for its histograms, those without names together.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    inspector: Inspector,
    pub(crate) settings: Settings,
    timings: Timings,
    history: Mutex<History>,
    tokio: Option<Handle>,
    since: Instant,
    pub(crate) live: Live,
}

impl Metrics {
    /// Metrics of this runtime, with the defaults. In a tokio runtime, which is then shown, too.
    ///
    /// # Errors
    /// [`AlreadyObserved`], if it has some (or another observer).
    pub fn of(runtime: &Runtime) -> Result<Self, AlreadyObserved> {
        Self::with(runtime, Settings::default())
    }

    /// Metrics of this runtime.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn with(runtime: &Runtime, settings: Settings) -> Result<Self, AlreadyObserved> {
        let (inspector, timings) = (runtime.inspector(), Timings::default());
        inspector.observe(timings.clone())?;
        let inner = Inner {
            inspector,
            settings,
            timings,
            history: Mutex::default(),
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
        crate::openmetrics::encode(&self.snapshot(), &self.inner.timings)
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
        let (subsystems, not_shown) = inner.subsystems(&survey, with_types);
        let (mut waited, mut took) = (histogram(), histogram());
        // Those of one type have theirs together, whatever their parents.
        let labels: HashSet<&str> = subsystems.iter().map(|one| &*one.name).collect();
        inner.timings.retain(|label| labels.contains(label));
        for label in labels {
            inner.timings.look(label, |times| {
                // They grow.
                let _ = waited.add(times.waited.lately());
                let _ = took.add(times.took.lately());
            });
        }
        let (pool, paths) = (inner.inspector.pool_stats(), inner.inspector.path_stats());
        Snapshot {
            at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as f64 / 1e3,
            uptime: inner.since.elapsed().as_secs_f64(),
            health: subsystems.iter().map(|one| one.health).max().unwrap_or_default(),
            ledger: survey.total(),
            asks: survey.total_asks(),
            alive: survey.subsystems.len() as u64,
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
            process: Process::now(),
            tokio: inner.tokio.as_ref().map(TokioRuntime::of).unwrap_or_default(),
        }
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new(2).expect("two digits are fine")
}

impl Inner {
    /// Those that are shown, and how many are not.
    fn subsystems(&self, survey: &Survey, with_types: bool) -> (Vec<Subsystem>, u64) {
        let now = Instant::now();
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let labels: HashMap<_, _> = survey.subsystems.iter().map(|one| (one.id, label(one))).collect();
        let mut shown: Vec<Subsystem> = Vec::new();
        let mut groups: HashMap<(&str, Option<u64>), usize> = HashMap::new();
        let (mut named, mut not_shown) = (0, 0);
        for one in &survey.subsystems {
            let (health, reasons) = history.assess(now, one, &self.settings.thresholds);
            let name = label(one);
            let is_named = one.name.as_given().is_some();
            let place = if is_named { None } else { groups.get(&(name, one.parent)).copied() };
            if let Some(place) = place {
                shown[place].join(one, health, reasons);
                continue;
            }
            if is_named && named == self.settings.most_named {
                not_shown += 1;
                continue;
            }
            if is_named {
                named += 1;
            } else {
                groups.insert((name, one.parent), shown.len());
            }
            let parent = one.parent.and_then(|parent| labels.get(&parent)).map(|&name| name.to_owned());
            shown.push(self.subsystem(one, parent, health, reasons, with_types));
        }
        history.retain(|id| labels.contains_key(&id));
        (shown, not_shown)
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
                message_types.extend(all.map(|(name, took)| MessageType {
                    name: name.to_owned(),
                    took: Quantiles::of(took.all()),
                }));
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
            ledger: one.stats,
            asks: one.asks,
            waited,
            took,
            message_types,
        }
    }
}

impl Subsystem {
    /// Another one without a name.
    fn join(&mut self, one: &SubsystemInfo, health: Health, reasons: Vec<String>) {
        self.count += 1;
        self.ledger += one.stats;
        self.asks += one.asks;
        if health > self.health {
            (self.health, self.reasons) = (health, reasons);
        }
    }
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
