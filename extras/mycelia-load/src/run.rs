//! A run, from the first message to the report.

use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as Task, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use mycelia_actors::prelude::*;
use mycelia_metrics::{Metrics, Process, Server, Settings, Token};
use tokio::runtime::Handle;
use tokio::signal::ctrl_c;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::account::{Account, Check, checks};
use crate::clock::Clock;
use crate::judge::{Verdict, judge, memory_mb_per_hour, steadiness};
use crate::latency::{Latency, add, curve, histogram};
use crate::plan::Plan;
use crate::progress::{Progress, say};
use crate::report::{Figures, Machine, PhaseReport, Report, Sample};
use crate::scenario::{Policy, Scenario, Subsystems};
use crate::sender::{Handed, Paths, Sending, Target};
use crate::worker::{Tally, Times, Turns, Worker, hide_panics_on_purpose};

/// How long workers may take to handle what is queued when all is sent.
const DRAIN: Duration = Duration::from_secs(60);
/// How late the last message may be sent, in seconds: else the load is more than there is room for.
const LATEST: f64 = 60.0;
/// The shortest, and at full speed the usual time between samples, in seconds.
const SHORTEST_PERIOD: f64 = 0.02;

/// Somebody wants the run to end: with Ctrl-C, or as `timeout` and containers do.
async fn interrupted() -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            ended = ctrl_c() => ended,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    ctrl_c().await
}

type Interrupt = Pin<Box<dyn Future<Output = io::Result<()>>>>;

/// What is to be played, and how.
pub(crate) struct Order<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) plan: Plan,
    pub(crate) scale: f64,
    /// As it was given.
    pub(crate) command: String,
    /// Where to serve it, and who may look.
    pub(crate) dashboard: Option<&'a str>,
    pub(crate) token: Option<Token>,
}

/// Plays a scenario.
pub(crate) fn run(order: Order<'_>) -> Result<Report, BoxError> {
    hide_panics_on_purpose();
    let mut tokio = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = order.scenario.workers {
        tokio.worker_threads(workers);
    }
    tokio.enable_all().build()?.block_on(async {
        // From here on an interrupt is one of this run, and not of the whole program.
        let mut interrupt: Interrupt = Box::pin(interrupted());
        let _ = interrupt.as_mut().poll(&mut Task::from_waker(Waker::noop()));
        let runtime = runtime(&order.scenario.subsystems);
        let settings = order.token.iter().cloned().fold(Settings::default(), Settings::token);
        let metrics = order.dashboard.map(|_| Metrics::with(&runtime, settings)).transpose()?;
        let run = Run::begin(runtime, &order)?;
        let _server = match (metrics, order.dashboard) {
            (Some(metrics), Some(address)) => Some(serve(&metrics, address).await?),
            _ => None,
        };
        run.play(&order, interrupt).await
    })
}

fn runtime(subsystems: &Subsystems) -> Runtime {
    let pool = match subsystems.pool {
        Some(slots) => MessagePool::capacity(slots).warm(slots).fail_when_exhausted(),
        None => MessagePool::default(),
    };
    Runtime::builder().messages(pool).build()
}

async fn serve(metrics: &Metrics, address: &str) -> Result<Server, BoxError> {
    let server = metrics.serve(address).await.map_err(|error| format!("{address}: {error}"))?;
    say(&format!("dashboard: http://{}", server.address()));
    Ok(server)
}

struct Run {
    runtime: Runtime,
    sending: Arc<Sending>,
    times: Arc<Times>,
    at: u64,
    by_phase: Vec<Histogram<u64>>,
    samples: Vec<Sample>,
    /// What the last sample has counted.
    counted: Counted,
}

/// Counts at one moment.
#[derive(Clone, Copy)]
struct Counted {
    at: f64,
    due: Option<f64>,
    offered: u64,
    handled: u64,
    lost: u64,
    process: Process,
}

/// Sends no more when the run is gone, however that came about: senders have threads that end by themselves only.
struct CutShort(Arc<Sending>);

impl Drop for CutShort {
    fn drop(&mut self) {
        self.0.is_cut_short.store(true, Ordering::Relaxed);
    }
}

impl Run {
    fn begin(runtime: Runtime, order: &Order<'_>) -> Result<Self, SpawnError> {
        let Scenario { subsystems, handlers, bodies, seed, .. } = order.scenario;
        let plan = Arc::new(order.plan.clone());
        let turns = Arc::new(Turns::new(*seed, handlers));
        let times = Arc::new(Times::new(plan.phases.len()));
        let clock = Clock::start();
        let mut targets = Vec::new();
        for worker in 0..subsystems.count {
            let tally = Arc::new(Tally { worker, ..Tally::default() });
            let name = format!("worker-{}", worker + 1);
            let policy = subsystems.policies[worker % subsystems.policies.len()];
            let overflow = match policy {
                Policy::Error | Policy::Wait => OverflowPolicy::Error,
                Policy::DropOldest => OverflowPolicy::DropOldest,
                Policy::DropNewest => OverflowPolicy::DropNewest,
            };
            let mut configured = runtime
                .configure(&name)
                .mailbox(Mailbox::bounded(subsystems.capacity).overflow(overflow))
                .restart(Restart::one_for_one().at_most(u32::MAX, Duration::from_secs(1)));
            if let Some(messages) = subsystems.budget {
                configured = configured.budget(messages);
            }
            let (plan, turns) = (Arc::clone(&plan), Arc::clone(&turns));
            let (told, times) = (Arc::clone(&tally), Arc::clone(&times));
            let address = configured.spawn_with(move || Worker {
                clock,
                plan: Arc::clone(&plan),
                turns: Arc::clone(&turns),
                tally: Arc::clone(&told),
                times: Arc::clone(&times),
            })?;
            let by_path = subsystems.by_path.then(|| Paths::new(&runtime, &name));
            targets.push(Target { address, policy, by_path, handed: Handed::default(), tally });
        }
        let begin = clock.now();
        let sending = Sending {
            clock,
            begin,
            between: Barrier::new(plan.senders as usize),
            next_begins: AtomicU64::new(begin),
            plan,
            targets,
            bodies: bodies.clone(),
            seed: *seed,
            late: Mutex::new(histogram()),
            phase: AtomicUsize::new(0),
            is_cut_short: AtomicBool::new(false),
        };
        let counted = Counted {
            at: 0.0,
            due: order.plan.due_by(0.0),
            offered: 0,
            handled: 0,
            lost: 0,
            process: Process::now().unwrap_or_default(),
        };
        Ok(Self {
            runtime,
            by_phase: vec![histogram(); order.plan.phases.len()],
            sending: Arc::new(sending),
            times,
            at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            samples: Vec::new(),
            counted,
        })
    }

    async fn play(mut self, order: &Order<'_>, mut interrupt: Interrupt) -> Result<Report, BoxError> {
        let before = self.counted.process;
        let mut progress = Progress::new(&order.scenario.name, &order.plan);
        let sending = Arc::clone(&self.sending);
        let _cut_short = CutShort(Arc::clone(&sending));
        let mut senders = JoinSet::new();
        for sender in 0..order.plan.senders {
            let (sending, tokio) = (Arc::clone(&sending), Handle::current());
            senders.spawn_blocking(move || tokio.block_on(sending.send_all(sender)));
        }
        let period = order.plan.seconds().map_or(SHORTEST_PERIOD, |seconds| (seconds / 60.0).clamp(0.1, 1.0));
        let mut ticks = interval(Duration::from_secs_f64(period));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        let mut all_ended = pin!(async {
            for target in &sending.targets {
                target.address.ended().await;
            }
        });
        let stop = || sending.targets.iter().for_each(|target| target.address.stop());
        let kill = || sending.targets.iter().for_each(|target| target.address.kill());
        let (mut cut_short, mut was_killed, mut drains_until) = (None, false, None);
        let too_late = order.plan.seconds().map(|seconds| seconds + LATEST);
        loop {
            tokio::select! {
                ended = senders.join_next(), if drains_until.is_none() => match ended {
                    Some(ended) => ended?,
                    None => {
                        // What is queued is still handled.
                        stop();
                        drains_until = Some(Instant::now() + DRAIN);
                    }
                },
                () = &mut all_ended, if drains_until.is_some() => break,
                () = sleep_until(drains_until.unwrap_or_else(Instant::now)), if drains_until.is_some() && !was_killed => {
                    was_killed = true;
                    cut_short = Some(format!("what was queued was not handled within {} s", DRAIN.as_secs()));
                    kill();
                }
                _ = &mut interrupt, if !was_killed => {
                    if cut_short.is_some() || drains_until.is_some() {
                        was_killed = true;
                        kill();
                    }
                    cut_short = Some("it was interrupted".to_owned());
                    sending.is_cut_short.store(true, Ordering::Relaxed);
                    // Senders that wait for room get their messages back.
                    stop();
                    interrupt = Box::pin(interrupted());
                    if !was_killed {
                        say("interrupted: what is queued is still handled; another one ends that too");
                    }
                }
                _ = ticks.tick() => {
                    self.sample();
                    progress.show(&self.samples, self.counted.offered);
                    let is_too_late = too_late.is_some_and(|latest| self.counted.at > latest);
                    if is_too_late && drains_until.is_none() && cut_short.is_none() {
                        let left = order.plan.messages() - self.counted.offered;
                        cut_short = Some(format!("{LATEST} s after its time {left} messages were still to be sent"));
                        sending.is_cut_short.store(true, Ordering::Relaxed);
                        stop();
                    }
                }
            }
        }
        self.sample();
        progress.end();
        Ok(self.report(order, before, cut_short, was_killed))
    }

    fn sample(&mut self) {
        let (sending, before) = (&self.sending, self.counted);
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let sum = |count: fn(&Target) -> &AtomicU64| -> u64 {
            sending.targets.iter().map(|target| get(count(target))).sum()
        };
        // As it was, where it cannot be read.
        let process = Process::now().unwrap_or(before.process);
        let at = (sending.clock.now() - sending.begin) as f64 / 1e9;
        let lost: u64 = sending.targets.iter().map(|target| target.handed.lost()).sum();
        let now = Counted {
            at,
            due: sending.plan.due_by(at),
            offered: sum(|target| &target.handed.offered),
            handled: sum(|target| &target.tally.handled),
            lost: lost + sum(|target| &target.tally.failed),
            process,
        };
        let mut by_phase = vec![histogram(); self.by_phase.len()];
        self.times.take(&mut by_phase);
        let mut times = histogram();
        for (all, new) in self.by_phase.iter_mut().zip(&by_phase) {
            add(all, new);
            add(&mut times, new);
        }
        let seconds = now.at - before.at;
        self.samples.push(Sample {
            at,
            seconds,
            phase: sending.phase.load(Ordering::Relaxed),
            due: now.due.zip(before.due).map(|(now, before)| now - before),
            offered: now.offered - before.offered,
            handled: now.handled - before.handled,
            lost: now.lost - before.lost,
            queued: sending.targets.iter().map(|target| target.address.stats().queued).sum(),
            latency: Latency::of(&times),
            memory_mb: process.resident_bytes as f64 / 1e6,
            cpu_percent: (process.cpu_seconds - before.process.cpu_seconds) / seconds * 100.0,
        });
        self.counted = now;
    }

    fn report(
        self,
        order: &Order<'_>,
        before: Process,
        cut_short: Option<String>,
        was_killed: bool,
    ) -> Report {
        let Self { runtime, sending, samples, by_phase, counted, .. } = self;
        let accounts = sending.targets.iter().map(|target| Account {
            ledger: target.address.stats(),
            handed: &target.handed,
            tally: &target.tally,
            was_killed,
        });
        let mut ledger = Stats::default();
        accounts.clone().for_each(|account| ledger += account.ledger);
        let checks = checks(accounts, &runtime.path_stats());
        let mut all = histogram();
        by_phase.iter().for_each(|times| add(&mut all, times));
        let (latency, seconds) = (Latency::of(&all), counted.at);
        let memory = || samples.iter().map(|sample| sample.memory_mb);
        let into_mailboxes = ledger.sent.saturating_sub(ledger.discarded + ledger.returned);
        let cpu_seconds = counted.process.cpu_seconds - before.cpu_seconds;
        let figures = Figures {
            throughput: ledger.handled as f64 / seconds,
            // All that went in has come out.
            queue_operations: 2.0 * into_mailboxes as f64 / seconds,
            steadiness: steadiness(&samples),
            loss: if ledger.sent == 0 { 0.0 } else { 1.0 - ledger.handled as f64 / ledger.sent as f64 },
            cpu_percent: (counted.process.resident_bytes > 0).then_some(cpu_seconds / seconds * 100.0),
            memory_mb: [
                memory().next().unwrap_or_default(),
                memory().next_back().unwrap_or_default(),
                memory().fold(0.0, f64::max),
            ],
            memory_mb_per_hour: memory_mb_per_hour(&samples),
        };
        let judgements = judge(&order.scenario.pass, order.plan.rates_changed, seconds, &figures, &latency);
        let passed = cut_short.is_none()
            && checks.iter().all(Check::holds)
            && judgements.iter().all(|one| one.verdict != Verdict::Failed);
        let phases = order.plan.phases.iter().zip(&by_phase).map(|(phase, times)| PhaseReport {
            rate: phase.rate(),
            messages: phase.messages(),
            latency: Latency::of(times),
        });
        Report {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            machine: Machine::this(),
            at: self.at,
            scenario: order.scenario.clone(),
            scale: order.scale,
            cut_short,
            command: order.command.clone(),
            has_dashboard: order.dashboard.is_some(),
            seconds,
            figures,
            latency,
            late: Latency::of(&sending.late.lock().unwrap_or_else(PoisonError::into_inner)),
            curve: curve(&all),
            phases: phases.collect(),
            ledger,
            checks,
            judgements,
            passed,
            samples,
        }
    }
}
