//! A run, from the first message to the report.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use mycelia_actors::prelude::*;
use mycelia_metrics::{Metrics, Process, Server};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::account::checks;
use crate::clock::Clock;
use crate::judge::{Verdict, judge, memory_mb_per_hour, steadiness};
use crate::latency::{Latency, add, curve, histogram};
use crate::plan::{Pace, Plan};
use crate::progress::Progress;
use crate::report::{Figures, Machine, PhaseReport, Report, Sample};
use crate::scenario::{Policy, Scenario, Subsystems};
use crate::sender::{Handed, Paths, Sending, Target};
use crate::worker::{Tally, Turns, Worker, hide_panics_on_purpose};

/// How long workers may take to handle what is queued when all is sent.
const DRAIN: Duration = Duration::from_secs(60);

/// Plays a scenario.
pub(crate) fn run(
    scenario: &Scenario,
    plan: &Plan,
    scale: f64,
    dashboard: Option<&str>,
) -> Result<Report, BoxError> {
    hide_panics_on_purpose();
    let mut tokio = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = scenario.workers {
        tokio.worker_threads(workers);
    }
    tokio.enable_all().build()?.block_on(async {
        let runtime = runtime(&scenario.subsystems);
        let _server = match dashboard {
            Some(address) => Some(serve(&runtime, address).await?),
            None => None,
        };
        let run = Run::begin(runtime, scenario, plan)?;
        run.play(scenario, scale).await
    })
}

fn runtime(subsystems: &Subsystems) -> Runtime {
    let pool = match subsystems.pool {
        Some(slots) => MessagePool::capacity(slots).warm(slots).fail_when_exhausted(),
        None => MessagePool::default(),
    };
    Runtime::builder().messages(pool).build()
}

async fn serve(runtime: &Runtime, address: &str) -> Result<Server, BoxError> {
    let server = Metrics::of(runtime)?.serve(address).await?;
    eprintln!("dashboard: http://{}", server.address());
    Ok(server)
}

struct Run {
    runtime: Runtime,
    sending: Arc<Sending>,
    tallies: Vec<Arc<Tally>>,
    clock: Clock,
    at: u64,
    all: Histogram<u64>,
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
    cpu_seconds: f64,
}

impl Run {
    fn begin(runtime: Runtime, scenario: &Scenario, plan: &Plan) -> Result<Self, SpawnError> {
        let Scenario { subsystems, handlers, bodies, seed, senders, .. } = scenario;
        let turns = Arc::new(Turns::new(*seed, handlers));
        let clock = Clock::start();
        let (mut targets, mut tallies) = (Vec::new(), Vec::new());
        for number in 0..subsystems.count {
            let tally = Arc::new(Tally::default());
            let name = format!("worker-{}", number + 1);
            let policy = subsystems.policies[number % subsystems.policies.len()];
            let overflow = match policy {
                Policy::Error | Policy::Wait => OverflowPolicy::Error,
                Policy::DropOldest => OverflowPolicy::DropOldest,
                Policy::DropNewest => OverflowPolicy::DropNewest,
            };
            let (turns, told) = (Arc::clone(&turns), Arc::clone(&tally));
            let mut configured = runtime
                .configure(&name)
                .mailbox(Mailbox::bounded(subsystems.capacity).overflow(overflow))
                .restart(Restart::one_for_one().at_most(u32::MAX, Duration::from_secs(1)));
            if let Some(messages) = subsystems.budget {
                configured = configured.budget(messages);
            }
            let address = configured.spawn_with(move || Worker {
                clock,
                turns: Arc::clone(&turns),
                tally: Arc::clone(&told),
            })?;
            let by_path = subsystems.by_path.then(|| Paths::new(&runtime, &name));
            targets.push(Target { address, policy, by_path });
            tallies.push(tally);
        }
        let sending = Sending {
            clock,
            plan: plan.clone(),
            targets,
            bodies: bodies.clone(),
            seed: *seed,
            senders: *senders,
            handed: Handed::default(),
            phase: AtomicUsize::new(0),
            is_cut_short: AtomicBool::new(false),
        };
        let counted = Counted {
            at: clock.seconds(),
            due: plan.due_by(clock.seconds()),
            offered: 0,
            handled: 0,
            lost: 0,
            cpu_seconds: Process::now().cpu_seconds,
        };
        Ok(Self {
            runtime,
            sending: Arc::new(sending),
            tallies,
            clock,
            at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            all: histogram(),
            by_phase: plan.phases.iter().map(|_| histogram()).collect(),
            samples: Vec::new(),
            counted,
        })
    }

    async fn play(mut self, scenario: &Scenario, scale: f64) -> Result<Report, BoxError> {
        let cpu_before = self.counted.cpu_seconds;
        let mut progress = Progress::new(&self.sending.plan);
        let mut senders = JoinSet::new();
        for sender in 0..self.sending.senders {
            let (sending, tokio) = (Arc::clone(&self.sending), tokio::runtime::Handle::current());
            senders.spawn_blocking(move || tokio.block_on(sending.send_all(sender)));
        }
        // Short runs have some samples, too.
        let period = self.sending.plan.seconds().map_or(0.1, |seconds| (seconds / 60.0).clamp(0.1, 1.0));
        let mut ticks = interval(Duration::from_secs_f64(period));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        let mut interrupt = pin!(tokio::signal::ctrl_c());
        let mut is_interrupted = false;
        loop {
            tokio::select! {
                ended = senders.join_next() => match ended {
                    None => break,
                    Some(ended) => ended?,
                },
                _ = ticks.tick() => {
                    self.sample();
                    progress.show(&self.samples, self.counted.offered);
                }
                _ = &mut interrupt, if !is_interrupted => {
                    is_interrupted = true;
                    self.sending.is_cut_short.store(true, Ordering::Relaxed);
                }
            }
        }
        self.drain().await;
        self.sample();
        progress.end();
        let seconds = self.clock.seconds();
        let cpu_seconds = Process::now().cpu_seconds - cpu_before;
        Ok(self.report(scenario, scale, seconds, cpu_seconds))
    }

    /// Until what is queued has been handled, or that takes too long, or there is another interrupt.
    async fn drain(&self) {
        let targets = &self.sending.targets;
        let all_ended = async || {
            for target in targets {
                target.address.ended().await;
            }
        };
        targets.iter().for_each(|target| target.address.stop());
        tokio::select! {
            () = all_ended() => {}
            () = sleep(DRAIN) => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        targets.iter().for_each(|target| target.address.kill());
        all_ended().await;
    }

    fn sample(&mut self) {
        let (sending, before) = (&self.sending, self.counted);
        let sum = |count: fn(&Tally) -> &std::sync::atomic::AtomicU64| -> u64 {
            self.tallies.iter().map(|tally| count(tally).load(Ordering::Relaxed)).sum()
        };
        let process = Process::now();
        let at = self.clock.seconds();
        let now = Counted {
            at,
            due: sending.plan.due_by(at),
            offered: sending.handed.offered.load(Ordering::Relaxed),
            handled: sum(|tally| &tally.handled),
            lost: sending.handed.lost() + sum(|tally| &tally.failed),
            cpu_seconds: process.cpu_seconds,
        };
        let mut times = histogram();
        self.tallies.iter().for_each(|tally| tally.take(&mut times));
        let phase = sending.phase.load(Ordering::Relaxed);
        add(&mut self.all, &times);
        add(&mut self.by_phase[phase], &times);
        let seconds = now.at - before.at;
        self.samples.push(Sample {
            at,
            seconds,
            phase,
            due: now.due.zip(before.due).map(|(now, before)| now - before),
            offered: now.offered - before.offered,
            handled: now.handled - before.handled,
            lost: now.lost - before.lost,
            queued: sending.targets.iter().map(|target| target.address.stats().queued).sum(),
            latency: Latency::of(&times),
            memory_mb: process.resident_bytes as f64 / 1e6,
            cpu_percent: (now.cpu_seconds - before.cpu_seconds) / seconds * 100.0,
        });
        self.counted = now;
    }

    fn report(self, scenario: &Scenario, scale: f64, seconds: f64, cpu: f64) -> Report {
        let (sending, samples) = (&self.sending, &self.samples);
        let mut ledger = Stats::default();
        sending.targets.iter().for_each(|target| ledger += target.address.stats());
        let checks = checks(&ledger, &sending.handed, &self.tallies, &self.runtime.path_stats());
        let latency = Latency::of(&self.all);
        let memory = || samples.iter().map(|sample| sample.memory_mb);
        let into_mailboxes = ledger.sent - ledger.discarded - ledger.returned;
        let figures = Figures {
            throughput: ledger.handled as f64 / seconds,
            // All that went in has come out.
            queue_operations: 2.0 * into_mailboxes as f64 / seconds,
            steadiness: steadiness(samples),
            loss: if ledger.sent == 0 { 0.0 } else { 1.0 - ledger.handled as f64 / ledger.sent as f64 },
            cpu_percent: cpu / seconds * 100.0,
            memory_mb: [
                memory().next().unwrap_or_default(),
                memory().next_back().unwrap_or_default(),
                memory().fold(0.0, f64::max),
            ],
            memory_mb_per_hour: memory_mb_per_hour(samples),
        };
        let judgements = judge(&scenario.pass, sending.plan.rates_changed, seconds, &figures, &latency);
        let cut_short = sending.is_cut_short.load(Ordering::Relaxed);
        let passed = !cut_short
            && checks.iter().all(|check| check.holds())
            && judgements.iter().all(|one| one.verdict != Verdict::Failed);
        let phases = sending.plan.phases.iter().zip(&self.by_phase);
        let phases = phases.map(|(phase, times): (&Pace, _)| PhaseReport {
            rate: phase.rate(),
            messages: phase.messages(),
            latency: Latency::of(times),
        });
        Report {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            machine: Machine {
                system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
                cores: std::thread::available_parallelism().map_or(1, usize::from),
            },
            at: self.at,
            scenario: scenario.clone(),
            scale,
            cut_short,
            seconds,
            figures,
            latency,
            late: Latency::of(&sending.handed.late()),
            curve: curve(&self.all),
            phases: phases.collect(),
            ledger,
            checks,
            judgements,
            passed,
            samples: self.samples,
        }
    }
}
