//! The subsystem under load.

use std::panic::{self, panic_any};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use mycelia_actors::prelude::*;

use crate::body::{Body, Large, Medium, Size, Small, Stamp};
use crate::chance;
use crate::clock::Clock;
use crate::latency::{add, histogram, record};
use crate::plan::Plan;
use crate::scenario::Handlers;

/// Reads what it gets; is slow, or fails, where the seed says so.
pub(crate) struct Worker {
    pub(crate) clock: Clock,
    pub(crate) plan: Arc<Plan>,
    pub(crate) turns: Arc<Turns>,
    pub(crate) tally: Arc<Tally>,
    pub(crate) times: Arc<Times>,
}

impl Subsystem for Worker {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Small>(Size::Small.route());
        routes.on::<Medium>(Size::Medium.route());
        routes.on::<Large>(Size::Large.route());
    }
}

impl<M: Body> Handler<M> for Worker {
    type Reply = ();
    async fn handle(&mut self, message: M, _: &mut Context<Self>) {
        let Stamp { due, number } = message.stamp();
        let Tally { handled, failed, numbers, strange, worker } = &*self.tally;
        numbers.fetch_add(number, Ordering::Relaxed);
        if !message.is_whole() || self.plan.worker_of(number) != *worker {
            strange.fetch_add(1, Ordering::Relaxed);
        }
        match self.turns.of(number) {
            Turn::Fine => {}
            Turn::Slow(time) => tokio::time::sleep(time).await,
            Turn::Fails => {
                failed.fetch_add(1, Ordering::Relaxed);
                panic_any(OnPurpose);
            }
        }
        handled.fetch_add(1, Ordering::Relaxed);
        let time = self.clock.now().saturating_sub(due);
        self.times.record(*worker, self.plan.phase_of(number), time);
    }
}

/// What the handlers of one worker have counted by themselves: its ledger is compared with it. Relaxed: it is when all is over.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) worker: usize,
    pub(crate) handled: AtomicU64,
    pub(crate) failed: AtomicU64,
    /// The sum of the numbers of all messages: none came twice in place of another.
    pub(crate) numbers: AtomicU64,
    /// Messages that were another's, or not what was sent.
    pub(crate) strange: AtomicU64,
}

/// Workers share this many histograms.
const SHARDS: usize = 16;

/// From when messages were due until they were handled, by phase; since the last `take`.
#[derive(Debug)]
pub(crate) struct Times([Mutex<Vec<Histogram<u64>>>; SHARDS]);

impl Times {
    pub(crate) fn new(phases: usize) -> Self {
        Self([(); SHARDS].map(|()| Mutex::new(vec![histogram(); phases])))
    }

    fn record(&self, worker: usize, phase: usize, time: u64) {
        let mut times = self.0[worker % SHARDS].lock().unwrap_or_else(PoisonError::into_inner);
        record(&mut times[phase], time);
    }

    /// Takes the times.
    pub(crate) fn take(&self, by_phase: &mut [Histogram<u64>]) {
        for shard in &self.0 {
            let mut taken = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for (times, taken) in by_phase.iter_mut().zip(&mut *taken) {
                add(times, taken);
                taken.reset();
            }
        }
    }
}

/// Which messages are handled how.
#[derive(Debug)]
pub(crate) struct Turns {
    seed: u64,
    handlers: Handlers,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Turn {
    Fine,
    Slow(Duration),
    Fails,
}

impl Turns {
    pub(crate) fn new(seed: u64, handlers: &Handlers) -> Self {
        Self { seed, handlers: handlers.clone() }
    }

    fn of(&self, number: u64) -> Turn {
        let Handlers { slow, slow_ms, fail } = self.handlers;
        if slow + fail == 0.0 {
            return Turn::Fine;
        }
        // Not the seed that the sizes are drawn with.
        let drawn = chance::of(!self.seed, number).f64();
        if drawn < fail {
            Turn::Fails
        } else if drawn < fail + slow {
            Turn::Slow(Duration::from_millis(slow_ms))
        } else {
            Turn::Fine
        }
    }
}

/// The panic of a handler that fails by seed.
struct OnPurpose;

/// Keeps panics on purpose off the terminal.
pub(crate) fn hide_panics_on_purpose() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !info.payload().is::<OnPurpose>() {
            usual(info);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_slow_and_some_fail() {
        let handlers = Handlers { slow: 0.2, slow_ms: 1, fail: 0.1 };
        let turns = Turns::new(3, &handlers);
        let count = |turn| (0..10_000).filter(|&number| turns.of(number) == turn).count();
        assert!(count(Turn::Fails).abs_diff(1000) < 150);
        assert!(count(Turn::Slow(Duration::from_millis(1))).abs_diff(2000) < 200);
    }
}
