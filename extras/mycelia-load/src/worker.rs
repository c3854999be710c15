//! The subsystem under load.

use std::hint::black_box;
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
use crate::scenario::Handlers;

/// Reads what it gets; is slow, or fails, where the seed says so.
pub(crate) struct Worker {
    pub(crate) clock: Clock,
    pub(crate) turns: Arc<Turns>,
    pub(crate) tally: Arc<Tally>,
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
        black_box(message.sum());
        match self.turns.of(number) {
            Turn::Fine => {}
            Turn::Slow(time) => tokio::time::sleep(time).await,
            Turn::Fails => {
                self.tally.failed.fetch_add(1, Ordering::Relaxed);
                panic_any(OnPurpose);
            }
        }
        self.tally.handled.fetch_add(1, Ordering::Relaxed);
        record(&mut self.tally.lock(), self.clock.now().saturating_sub(due));
    }
}

/// What the handlers of one worker have counted by themselves: the ledger is compared with it.
#[derive(Debug)]
pub(crate) struct Tally {
    // Relaxed: counts, which are compared when all is over.
    pub(crate) handled: AtomicU64,
    pub(crate) failed: AtomicU64,
    /// From when messages were due until they were handled; since the last `take`.
    times: Mutex<Histogram<u64>>,
}

impl Default for Tally {
    fn default() -> Self {
        Self { handled: AtomicU64::new(0), failed: AtomicU64::new(0), times: Mutex::new(histogram()) }
    }
}

impl Tally {
    fn lock(&self) -> std::sync::MutexGuard<'_, Histogram<u64>> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the times.
    pub(crate) fn take(&self, times: &mut Histogram<u64>) {
        let mut taken = self.lock();
        add(times, &taken);
        taken.reset();
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
