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
use crate::names::Names;
use crate::process::Process;
use crate::quantiles::Quantiles;
use crate::sampler::{self, Sampler};
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
/// A snapshot is made when somebody looks. Between looks, until this and all its clones are dropped:
/// * Some messages are timed (see [`Inspector::observe`]). A subsystem has 20 to 110 KB for its histograms,
///   those without names together; there are 400 of these at most, and all others share some.
/// * Once a second a task looks at the [health](Health) of all subsystems: some 300 ns and 100 bytes for each, 350 bytes if it did something
///   lately. (The task runs on the tokio in which this was made, or later looked at.)
///
/// While this is there, or a server of it, [`DeadLetters`](mycelia_actors::DeadLetters) and other subscriptions of the runtime do not end.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) inspector: Inspector,
    pub(crate) settings: Settings,
    timings: Arc<Timings>,
    history: Mutex<History>,
    sampler: Sampler,
    exported: Mutex<Names>,
    /// As it was when it could last be read.
    process: Mutex<Process>,
    pub(crate) tokio: Option<Handle>,
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
        let since = Instant::now();
        let inner = Inner {
            inspector,
            timings,
            history: Mutex::new(History::new(settings.thresholds, since)),
            sampler: Sampler::default(),
            exported: Mutex::new(Names::new(settings.most_named)),
            settings,
            process: Mutex::default(),
            tokio: Handle::try_current().ok(),
            since,
            live: Live::default(),
        };
        inner.sample();
        let inner = Arc::new(inner);
        inner.sampler.start(&inner);
        Ok(Self { inner })
    }

    /// All that there is to see, at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.look(Rows::Shown { with_types: false })
    }

    /// The same, with how long each type of message took.
    #[must_use]
    pub fn snapshot_by_message_type(&self) -> Snapshot {
        self.look(Rows::Shown { with_types: true })
    }

    /// All of it in the text format of OpenMetrics, which Prometheus reads.
    #[must_use]
    pub fn openmetrics(&self) -> String {
        crate::openmetrics::encode(self.exported(), &self.inner.timings)
    }

    /// A snapshot with those subsystems only that time series are made of.
    pub(crate) fn exported(&self) -> Snapshot {
        self.look(Rows::Exported)
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    pub(crate) fn inspector(&self) -> &Inspector {
        &self.inner.inspector
    }

    fn look(&self, rows: Rows) -> Snapshot {
        let inner = &*self.inner;
        // The tokio that took samples may have gone.
        inner.sampler.start(&self.inner);
        let (survey, verdicts) = inner.survey();
        let labels: HashSet<&str> = survey.subsystems.iter().map(label).collect();
        inner.timings.retain(|label| labels.contains(label));
        let not_exported = {
            let mut names = lock(&inner.exported);
            names.see(Instant::now(), survey.subsystems.iter().filter_map(|one| one.name.as_given()));
            names.left_out()
        };
        let Chosen { subsystems, not_shown, health } = inner.subsystems(&survey, verdicts, rows);
        let [waited, took] = inner.timings.lately();
        let process = {
            let mut process = lock(&inner.process);
            *process = Process::now().unwrap_or(*process);
            *process
        };
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
            not_exported,
            not_timed: inner.timings.missing_of(labels.len()),
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
            process,
            tokio: inner.tokio.as_ref().map(TokioRuntime::of).unwrap_or_default(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a subsystem is, and why.
type Verdict = (Health, Vec<String>);

/// The rows of a snapshot.
#[derive(Clone, Copy)]
enum Rows {
    /// The first names, others that are not well, and those without names by type.
    Shown { with_types: bool },
    /// The names that have time series. Subsystems without names come and go together, so that their counts are no counters.
    Exported,
}

/// The rows, how many with names have none, and how the worst of all subsystems are.
struct Chosen {
    subsystems: Vec<Subsystem>,
    not_shown: u64,
    health: Health,
}

impl Inner {
    /// Takes a sample for the health of all subsystems; how many these are.
    pub(crate) fn sample(&self) -> usize {
        let survey;
        {
            // In this order: a survey that has waited for the lock would be older than the sample before. It is dropped outside of the
            // lock, for the figures in it are the user's.
            let mut history = lock(&self.history);
            survey = self.inspector.survey();
            history.sample(Instant::now(), &survey);
        }
        survey.subsystems.len()
    }

    /// All subsystems, each with how it is, and why.
    fn survey(&self) -> (Survey, Vec<Verdict>) {
        // In this order: as in `sample`.
        let mut history = lock(&self.history);
        let (survey, now) = (self.inspector.survey(), Instant::now());
        // Where nothing takes samples by the clock, looks do.
        let late = 2 * sampler::period(survey.subsystems.len());
        if history.sampled_at().is_none_or(|at| now.saturating_duration_since(at) >= late) {
            history.sample(now, &survey);
        }
        let verdicts = survey.subsystems.iter().map(|one| history.assess(now, one)).collect();
        (survey, verdicts)
    }

    /// Under no lock, for what subsystems show is their own code.
    fn subsystems(&self, survey: &Survey, verdicts: Vec<Verdict>, rows: Rows) -> Chosen {
        let mut chosen = Chosen { subsystems: Vec::new(), not_shown: 0, health: Health::Healthy };
        // Of those that are shown, by their ids: parents come before their children.
        let mut labels: HashMap<u64, &str> = HashMap::new();
        let mut groups: HashMap<(&str, Option<&str>), usize> = HashMap::new();
        let most = self.settings.most_named;
        let mut named = 0;
        for (one, (health, reasons)) in survey.subsystems.iter().zip(verdicts) {
            chosen.health = chosen.health.max(health);
            let parent = one.parent.and_then(|parent| labels.get(&parent)).copied();
            let name = label(one);
            let is_named = one.name.as_given().is_some();
            let is_chosen = match rows {
                Rows::Exported => is_named && lock(&self.exported).contain(name),
                // Those that are not well are shown beside the first ones, as many again.
                Rows::Shown { .. } => {
                    !is_named || named < most || health > Health::Healthy && named < 2 * most
                }
            };
            if !is_chosen {
                chosen.not_shown += u64::from(is_named);
                continue;
            }
            if is_named {
                named += 1;
            } else if let Some(&place) = groups.get(&(name, parent)) {
                labels.insert(one.id, name);
                chosen.subsystems[place].join(one, health, reasons);
                continue;
            } else {
                groups.insert((name, parent), chosen.subsystems.len());
            }
            labels.insert(one.id, name);
            let parent = parent.map(str::to_owned);
            let with_types = matches!(rows, Rows::Shown { with_types: true });
            chosen.subsystems.push(self.subsystem(one, parent, health, reasons, with_types));
        }
        chosen
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
