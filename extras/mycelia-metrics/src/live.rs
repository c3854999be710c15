//! Snapshots once a second while there are watchers.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context as Task, Poll};
use std::time::Duration;

use axum::body::Bytes;
use futures_core::Stream;
use mycelia_actors::Inspector;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use crate::metrics::Metrics;

const PERIOD: Duration = Duration::from_secs(1);
/// How long one answer goes on. A server that ends gracefully waits for its answers, and tells them nothing: so none is long.
const LONGEST: Duration = Duration::from_secs(3);
/// Tells an `EventSource` to ask for the next answer after this many milliseconds.
const RETRY: &[u8] = b"retry: 500\n\n";
/// Watchers at a time.
const MOST: usize = 64;
/// Events that a watcher may be behind. One more, and it is dropped.
const BEHIND: usize = 4;

/// The watchers.
#[derive(Default)]
pub(crate) struct Live {
    watchers: Mutex<Watchers>,
    /// Changes when all answers are to end.
    ends: watch::Sender<()>,
}

#[derive(Default)]
struct Watchers {
    /// To be told, and dropped, outside of the lock: both wake watchers, which is code of the user.
    senders: Vec<mpsc::Sender<Bytes>>,
    /// The last event, while a task ticks. A new answer begins with it.
    latest: Option<(Instant, Bytes)>,
    /// Alive while a task ticks for them.
    ticking: Weak<()>,
}

impl Live {
    fn lock(&self) -> MutexGuard<'_, Watchers> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all answers that have begun.
    pub(crate) fn end(&self) {
        self.ends.send_replace(());
    }
}

/// One answer: the latest snapshot, and one a second, as server-sent events. It ends after some seconds, with the runtime, and when the
/// watcher is too slow.
pub(crate) struct Watching {
    events: mpsc::Receiver<Bytes>,
    ended: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Stream for Watching {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<Self::Item>> {
        // First these: what there is goes out before the end.
        if let Poll::Ready(event) = self.events.poll_recv(task) {
            return Poll::Ready(event.map(Ok));
        }
        self.ended.as_mut().poll(task).map(|()| {
            self.events.close();
            None
        })
    }
}

/// Ready when an answer is to end.
async fn ended(inspector: Inspector, mut ends: watch::Receiver<()>) {
    let (mut closing, mut ended) = (pin!(inspector.closing()), pin!(ends.changed()));
    let mut longest = pin!(sleep(LONGEST));
    poll_fn(|task| {
        let is_over = closing.as_mut().poll(task).is_ready()
            || ended.as_mut().poll(task).is_ready()
            || longest.as_mut().poll(task).is_ready();
        if is_over { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Watches; `None` if too many do.
pub(crate) fn watch(metrics: &Metrics) -> Option<Watching> {
    let live = &metrics.inner().live;
    let latest = live.lock().latest.clone().filter(|(at, _)| at.elapsed() < PERIOD);
    let (at, event) = latest.unwrap_or_else(|| (Instant::now(), event(metrics)));
    let (sender, events) = mpsc::channel(BEHIND + 1);
    // There is room for these, and nobody to be woken.
    let _ = sender.try_send(Bytes::from_static(RETRY));
    let _ = sender.try_send(event.clone());
    let mut watchers = live.lock();
    let closed: Vec<_> = watchers.senders.extract_if(.., |sender| sender.is_closed()).collect();
    let has_room = watchers.senders.len() < MOST;
    if has_room {
        watchers.senders.push(sender);
    }
    // The task may have gone with its tokio.
    let ticking = (has_room && watchers.ticking.strong_count() == 0).then(|| Arc::new(()));
    if let Some(ticking) = &ticking {
        watchers.ticking = Arc::downgrade(ticking);
        watchers.latest = Some((at, event));
    }
    drop(watchers);
    drop(closed);
    if !has_room {
        return None;
    }
    if let Some(ticking) = ticking {
        tokio::spawn(tick(metrics.clone(), ticking));
    }
    let ended = Box::pin(ended(metrics.inspector().clone(), live.ends.subscribe()));
    Some(Watching { events, ended })
}

/// Runs while there are watchers, and for another event: one that asks for the next answer finds none missing.
async fn tick(metrics: Metrics, _ticking: Arc<()>) {
    let mut ticks = interval_at(Instant::now() + PERIOD, PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut is_alone = false;
    loop {
        ticks.tick().await;
        let event = event(&metrics);
        let live = &metrics.inner().live;
        let senders = live.lock().senders.clone();
        let late: Vec<_> = senders.iter().filter(|sender| sender.try_send(event.clone()).is_err()).collect();
        let mut watchers = live.lock();
        let is_late = |sender: &mpsc::Sender<Bytes>| late.iter().any(|late| late.same_channel(sender));
        // Not the last ones: those are dropped with `senders`, after the lock.
        watchers.senders.retain(|sender| !is_late(sender));
        watchers.latest = Some((Instant::now(), event));
        let was_alone = std::mem::replace(&mut is_alone, watchers.senders.is_empty());
        if was_alone && is_alone {
            // Under the lock: the next watcher has a task of its own.
            (watchers.ticking, watchers.latest) = (Weak::new(), None);
            return;
        }
    }
}

/// One server-sent event, shared by all watchers. JSON has no line breaks of its own.
fn event(metrics: &Metrics) -> Bytes {
    let json = serde_json::to_string(&metrics.snapshot()).unwrap_or_default();
    format!("data: {json}\n\n").into()
}
