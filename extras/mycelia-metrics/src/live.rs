//! Snapshots once a second, for whoever watches; for nobody, none.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as Task, Poll};
use std::time::Duration;

use futures_core::Stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::metrics::Metrics;

const PERIOD: Duration = Duration::from_secs(1);
/// Watchers at a time.
const MOST: usize = 64;
/// Events that a watcher may be behind. One more, and it is dropped.
const BEHIND: usize = 4;

/// Who watches.
pub(crate) struct Live {
    watchers: Mutex<Vec<mpsc::Sender<Event>>>,
    room: Arc<Semaphore>,
}

/// A snapshot as JSON, shared by all watchers.
pub(crate) type Event = Arc<str>;

impl Default for Live {
    fn default() -> Self {
        Self { watchers: Mutex::default(), room: Arc::new(Semaphore::new(MOST)) }
    }
}

/// What one watcher gets: a snapshot now, and one a second. It ends when the watcher is too slow.
pub(crate) struct Watching {
    events: mpsc::Receiver<Event>,
    _permit: OwnedSemaphorePermit,
}

impl Stream for Watching {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<Event>> {
        self.events.poll_recv(task)
    }
}

/// Watches; `None` if too many do.
pub(crate) fn watch(metrics: &Metrics) -> Option<Watching> {
    let live = &metrics.inner().live;
    let permit = Arc::clone(&live.room).try_acquire_owned().ok()?;
    let (sender, events) = mpsc::channel(BEHIND);
    // There is room for the first.
    let _ = sender.try_send(event(metrics));
    let mut watchers = live.watchers.lock().unwrap_or_else(PoisonError::into_inner);
    watchers.push(sender);
    if watchers.len() == 1 {
        tokio::spawn(tick(metrics.clone()));
    }
    Some(Watching { events, _permit: permit })
}

/// Runs while anybody watches.
async fn tick(metrics: Metrics) {
    let mut ticks = interval_at(Instant::now() + PERIOD, PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let event = event(&metrics);
        let mut watchers = metrics.inner().live.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.retain(|watcher| watcher.try_send(Arc::clone(&event)).is_ok());
        if watchers.is_empty() {
            return;
        }
    }
}

fn event(metrics: &Metrics) -> Event {
    serde_json::to_string(&metrics.snapshot()).unwrap_or_default().into()
}
