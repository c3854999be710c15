//! How long a drain may take.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// A day that does not come: limits beyond it are none.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// How long a drain may take. It can be shortened.
#[derive(Clone)]
pub(crate) struct Limit {
    pub(crate) began: Instant,
    timeout: Arc<watch::Sender<Duration>>,
}

impl Limit {
    pub(crate) fn new(timeout: Option<Duration>) -> Self {
        Self::from(Instant::now(), timeout.unwrap_or(FAR))
    }

    pub(crate) fn from(began: Instant, timeout: Duration) -> Self {
        let (timeout, _) = watch::channel(timeout.min(FAR));
        Self { began, timeout: Arc::new(timeout) }
    }

    pub(crate) fn timeout(&self) -> Duration {
        *self.timeout.borrow()
    }

    /// Leaves no more time than this from now on.
    pub(crate) fn shorten(&self, now: Instant, within: Duration) {
        let shorter = now.saturating_duration_since(self.began).saturating_add(within);
        self.timeout.send_if_modified(|timeout| {
            let is_shorter = shorter < *timeout;
            *timeout = shorter.min(*timeout);
            is_shorter
        });
    }

    /// When the rest is killed.
    pub(crate) fn end(&self) -> Instant {
        self.began + self.timeout()
    }

    /// When those that are needed by others end, whether these have ended or not.
    pub(crate) fn late(&self) -> Instant {
        self.began + self.timeout() / 20 * 19
    }

    /// When what is left is told to end, quiet or not.
    pub(crate) fn force(&self) -> Instant {
        self.began + self.timeout() / 10 * 9
    }

    /// Waits for something until `when` says, which may change.
    pub(crate) async fn until<T>(
        &self,
        when: fn(&Self) -> Instant,
        something: impl Future<Output = T>,
    ) -> Option<T> {
        let mut something = pin!(something);
        let mut timeout = self.timeout.subscribe();
        loop {
            let mut shortened = pin!(timeout.changed());
            let either = poll_fn(|task| match something.as_mut().poll(task) {
                Poll::Ready(found) => Poll::Ready(Some(found)),
                Poll::Pending => shortened.as_mut().poll(task).map(|_| None),
            });
            match timeout_at(when(self), either).await {
                Ok(Some(found)) => return Some(found),
                Ok(None) => {}
                Err(_) => return None,
            }
        }
    }
}
