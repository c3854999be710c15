//! Samples by the clock, whoever looks.

use std::panic::catch_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use crate::metrics::Inner;

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(10);
/// A sample of so many subsystems takes some milliseconds.
const SUBSYSTEMS_A_SECOND: u32 = 20_000;

/// How far samples of this many subsystems are apart.
pub(crate) fn period(subsystems: usize) -> Duration {
    let seconds = u32::try_from(subsystems).unwrap_or(u32::MAX) / SUBSYSTEMS_A_SECOND;
    (SHORTEST * seconds).clamp(SHORTEST, LONGEST)
}

/// The task that takes samples. It ends with the metrics, with its tokio, and when a runtime that shuts down has no subsystem left.
#[derive(Default)]
pub(crate) struct Sampler(Mutex<Task>);

#[derive(Default)]
enum Task {
    #[default]
    None,
    Running(JoinHandle<()>),
    /// Tokio was built without timers: only looks take samples.
    Impossible,
}

impl Sampler {
    /// Takes samples of these metrics from now on: on the tokio that calls this, or on that of the metrics.
    pub(crate) fn start(&self, metrics: &Arc<Inner>) {
        let is_needed = |task: &Task| match task {
            Task::Impossible => false,
            Task::Running(running) => running.is_finished(),
            Task::None => true,
        };
        if !is_needed(&self.lock()) {
            return;
        }
        let tokio = Handle::try_current().ok().or_else(|| metrics.tokio.clone());
        let Some(tokio) = tokio.filter(|_| !metrics.inspector.is_closing()) else { return };
        let _inside = tokio.enter();
        // There is no other way to tell. Under no lock: the panic hook is code of the user.
        let new = match catch_unwind(|| drop(sleep(SHORTEST))) {
            Ok(()) => Task::Running(tokio.spawn(run(Arc::downgrade(metrics)))),
            Err(_) => Task::Impossible,
        };
        let mut task = self.lock();
        // Another thread may have been faster.
        let surplus = if is_needed(&task) { std::mem::replace(&mut *task, new) } else { new };
        drop(task);
        if let Task::Running(surplus) = surplus {
            surplus.abort();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Task> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        let task = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Task::Running(running) = task {
            running.abort();
        }
    }
}

async fn run(metrics: Weak<Inner>) {
    let began = Instant::now();
    let mut period = SHORTEST;
    loop {
        let missed = (began.elapsed().as_nanos() / period.as_nanos()) as u32;
        sleep_until(began + period * (missed + 1)).await;
        let Some(metrics) = metrics.upgrade() else { return };
        let subsystems = metrics.sample();
        if subsystems == 0 && metrics.inspector.is_closing() {
            return;
        }
        period = self::period(subsystems);
    }
}
