//! Snapshots once a second, for whoever watches; for nobody, none.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context as Task, Poll};
use std::time::Duration;

use axum::body::Bytes;
use futures_core::Stream;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::metrics::Metrics;

const PERIOD: Duration = Duration::from_secs(1);
/// Watchers at a time.
const MOST: usize = 64;
/// Events that a watcher may be behind. One more, and it is dropped.
const BEHIND: usize = 4;

/// Who watches.
#[derive(Default)]
pub(crate) struct Live(Mutex<Watchers>);

#[derive(Default)]
struct Watchers {
    senders: Vec<mpsc::Sender<Bytes>>,
    /// Alive while a task ticks for them.
    ticking: Weak<()>,
}

impl Live {
    fn lock(&self) -> MutexGuard<'_, Watchers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one watcher gets: a snapshot now, and one a second, as server-sent events. It ends when the watcher is too slow.
pub(crate) struct Watching(mpsc::Receiver<Bytes>);

impl Stream for Watching {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(task).map(|event| event.map(Ok))
    }
}

/// Watches; `None` if too many do.
pub(crate) fn watch(metrics: &Metrics) -> Option<Watching> {
    let event = event(metrics);
    let mut watchers = metrics.inner().live.lock();
    watchers.senders.retain(|sender| !sender.is_closed());
    if watchers.senders.len() >= MOST {
        return None;
    }
    let (sender, events) = mpsc::channel(BEHIND);
    // There is room for the first.
    let _ = sender.try_send(event);
    watchers.senders.push(sender);
    // The task may have gone with its tokio.
    if watchers.ticking.strong_count() == 0 {
        let ticking = Arc::new(());
        watchers.ticking = Arc::downgrade(&ticking);
        tokio::spawn(tick(metrics.clone(), ticking));
    }
    Some(Watching(events))
}

/// Runs while anybody watches.
async fn tick(metrics: Metrics, _ticking: Arc<()>) {
    let mut ticks = interval_at(Instant::now() + PERIOD, PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let event = event(&metrics);
        let mut watchers = metrics.inner().live.lock();
        watchers.senders.retain(|sender| sender.try_send(event.clone()).is_ok());
        if watchers.senders.is_empty() {
            // Under the lock: the next watcher has a task of its own.
            watchers.ticking = Weak::new();
            return;
        }
    }
}

/// One server-sent event, shared by all watchers. JSON has no line breaks of its own.
fn event(metrics: &Metrics) -> Bytes {
    let json = serde_json::to_string(&metrics.snapshot()).unwrap_or_default();
    format!("data: {json}\n\n").into()
}
