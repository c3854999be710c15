//! What a subsystem lets run beside itself: timers, futures and streams whose results come as messages.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use futures_core::Stream;
use mycelia_core::contain;
use mycelia_core::sync::Mutex;
use tokio::runtime::Handle;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use crate::address::Address;
use crate::current;
use crate::handler::Handler;
use crate::metadata::Metadata;

/// Tokio's timers are as fine as this.
const SHORTEST_PERIOD: Duration = Duration::from_millis(1);
/// Longer periods never come; what lies further ahead cannot be counted.
const LONGEST_PERIOD: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// Something that runs beside a subsystem, until it is done, is cancelled by this, or the subsystem ends or restarts. Dropping the
/// handle changes nothing.
#[derive(Clone)]
pub struct TaskHandle(AbortHandle);

impl TaskHandle {
    /// Ends it at its next await. What it has sent is in the mailbox, and stays. Returns at once.
    pub fn cancel(&self) {
        self.0.abort();
    }

    /// True if it is done, or was cancelled.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl fmt::Debug for TaskHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHandle").field("is_finished", &self.is_finished()).finish()
    }
}

/// The tasks of one subsystem.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Mutex<JoinSet<()>>);

impl Tasks {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static, tokio: &Handle) -> TaskHandle {
        let mut tasks = self.0.lock();
        while tasks.try_join_next().is_some() {}
        TaskHandle(tasks.spawn_on(task, tokio))
    }

    /// Cancels all of them.
    pub(crate) fn end(&self) {
        let tasks = std::mem::take(&mut *self.0.lock());
        drop(tasks);
    }
}

/// Runs something beside a subsystem, with the metadata that holds now, but for the deadline. A panic is its end, and logged.
fn beside<S: Handler<M>, M: Send + 'static>(
    address: &Address<S>,
    work: impl Future<Output = ()> + Send + 'static,
) -> TaskHandle {
    let metadata = current::metadata().map(Metadata::without_deadline);
    let (actor, name) = (address.actor(), address.name().clone());
    let Some(tokio) = actor.runtime.any_tokio() else { unreachable!("it was spawned on one") };
    let task = async move {
        let mut work = pin!(work);
        let contained = poll_fn(|task| match contain(|| work.as_mut().poll(task)) {
            Ok(poll) => poll,
            Err(text) => {
                tracing::error!(subsystem = %name, %text, "a task beside it panicked");
                std::task::Poll::Ready(())
            }
        });
        match metadata {
            Some(metadata) => metadata.scope(contained).await,
            None => contained.await,
        }
    };
    actor.ledger.rare().tasks.spawn(task, &tokio)
}

pub(crate) fn pipe<S: Handler<F::Output>, F: Future<Output: Send> + Send + 'static>(
    address: &Address<S>,
    future: F,
) -> TaskHandle {
    let to = address.clone();
    beside::<S, F::Output>(address, async move {
        let output = future.await;
        // If it has ended meanwhile, it has no use for it.
        drop(to.send(output).await);
    })
}

pub(crate) fn attach<S: Handler<T::Item>, T: Stream<Item: Send> + Send + 'static>(
    address: &Address<S>,
    stream: T,
) -> TaskHandle {
    let to = address.clone();
    beside::<S, T::Item>(address, async move {
        let mut stream = pin!(stream);
        while let Some(item) = poll_fn(|task| stream.as_mut().poll_next(task)).await {
            if to.send(item).await.is_err() {
                return;
            }
        }
    })
}

pub(crate) fn send_after<S: Handler<M>, M: Send + 'static>(
    address: &Address<S>,
    delay: Duration,
    message: M,
) -> TaskHandle {
    pipe(address, async move {
        sleep(delay).await;
        message
    })
}

pub(crate) fn send_every<S: Handler<M>, M: Clone + Send + 'static>(
    address: &Address<S>,
    period: Duration,
    message: M,
) -> TaskHandle {
    let to = address.clone();
    let period = period.clamp(SHORTEST_PERIOD, LONGEST_PERIOD);
    let mut next = Instant::now() + period;
    beside::<S, M>(address, async move {
        loop {
            sleep_until(next).await;
            if to.send(message.clone()).await.is_err() {
                return;
            }
            let now = Instant::now();
            let behind = (now - next).as_nanos() % period.as_nanos();
            next = now - Duration::from_nanos(behind as u64) + period;
        }
    })
}
