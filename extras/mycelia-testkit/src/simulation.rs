//! Runs that a seed decides.

use std::env;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use mycelia_actors::{Faults, Runtime};

/// The variable that picks one seed, to run what has failed once more.
const SEED: &str = "MYCELIA_SEED";

/// Runs scenes on one thread, in paused time, with a schedule and with faults that a seed decides.
///
/// Each subsystem takes one message (or one batch, where its handler takes batches) at a time and lets all others run after it; a delayed message waits for some turns more, so
/// that with each seed subsystems meet in another order. (Messages of one sender to one subsystem keep theirs, of course.)
///
/// The same seed gives the same run, as long as the scene takes its chances from [`Runtime::builder`]'s seed, or from nowhere: no
/// threads, no sockets, no clock but tokio's, no iteration over a `HashMap`. If a scene panics, its seed is printed to standard
/// error; with `MYCELIA_SEED` set to it, only that run is done.
///
/// ```
/// use mycelia_testkit::Simulation;
///
/// let rolls = |seed| {
///     Simulation::new().delays(0.5).drops(0.01).run(seed, |runtime| async move {
///         // … spawn, send, assert …
///         runtime.len()
///     })
/// };
/// assert_eq!(rolls(7), rolls(7));
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "nothing runs before `run` or `seeds`"]
pub struct Simulation {
    faults: Faults,
}

impl Simulation {
    /// Without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Which share of messages waits for some turns, from 0.0 to 1.0.
    pub fn delays(mut self, share: f64) -> Self {
        self.faults.delay = share;
        self
    }

    /// Which share of messages is lost, from 0.0 to 1.0: counted as evicted, and told to their askers.
    pub fn drops(mut self, share: f64) -> Self {
        self.faults.drop = share;
        self
    }

    /// At which share of messages the handler panics, from 0.0 to 1.0. (Where it is large, subsystems soon use up the restarts they
    /// have, and end.)
    pub fn panics(mut self, share: f64) -> Self {
        self.faults.panic = share;
        self
    }

    /// Runs a scene with this seed.
    ///
    /// # Panics
    /// As the scene does.
    pub fn run<T, F: Future<Output = T>>(&self, seed: u64, scene: impl FnOnce(Runtime) -> F) -> T {
        let run = || {
            let mut tokio = tokio::runtime::Builder::new_current_thread();
            let tokio =
                tokio.enable_time().start_paused(true).build().expect("a thread has room for a runtime");
            tokio.block_on(async { scene(Runtime::builder().seed(seed).faults(self.faults).build()).await })
        };
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
            eprintln!("the run with seed {seed} has failed; {SEED}={seed} runs it alone");
            resume_unwind(panic)
        })
    }

    /// Runs a scene with each of these seeds, or with the one in `MYCELIA_SEED`.
    ///
    /// # Panics
    /// As the scene does, or if `MYCELIA_SEED` is no number.
    pub fn seeds<F: Future<Output = ()>>(&self, seeds: Range<u64>, mut scene: impl FnMut(Runtime) -> F) {
        match env::var(SEED) {
            Ok(seed) => self.run(seed.parse().expect("MYCELIA_SEED is a number"), scene),
            Err(_) => seeds.for_each(|seed| self.run(seed, &mut scene)),
        }
    }
}
