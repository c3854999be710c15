//! Somebody to send to, for tests.

use std::any::type_name;
use std::fmt;
use std::time::Duration;

use mycelia_actors::prelude::*;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Stands for whoever takes an `M`: a subsystem that hands every message over to the test, in the order in which they came.
///
/// Times are those of tokio, so in a test with paused time nothing really waits.
///
/// ```
/// use std::time::Duration;
/// use mycelia_actors::prelude::*;
/// use mycelia_testkit::Probe;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let runtime = Runtime::new();
/// let mut probe = Probe::new(&runtime)?;
/// probe.recipient().tell(7)?;
/// assert_eq!(probe.expect(Duration::from_secs(1)).await?, 7);
/// probe.expect_nothing(Duration::from_secs(60)).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Limits
/// It is told things, and not asked: for a subsystem that asks, write a small one that replies. Its mailbox holds 1024 messages
/// (as every other by default), and the probe one more. What does not fit comes back to its sender.
pub struct Probe<M: Send + 'static> {
    address: Address<Recorder<M>>,
    received: mpsc::Receiver<M>,
}

/// The subsystem behind a probe.
struct Recorder<M: Send + 'static>(mpsc::Sender<M>);

impl<M: Send + 'static> Subsystem for Recorder<M> {}

impl<M: Send + 'static> Handler<M> for Recorder<M> {
    type Reply = ();

    async fn handle(&mut self, message: M, cx: &mut Context<Self>) {
        if self.0.send(message).await.is_err() {
            // The test has dropped the probe.
            cx.stop();
        }
    }
}

/// What was expected did not happen.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Expectation<M> {
    /// No such message came, or too few.
    #[error("what was expected did not come within {within:?}; messages that did: {came}")]
    Nothing {
        /// The time it had.
        within: Duration,
        /// How many messages came, which are dropped.
        came: usize,
    },
    /// A message came that was not expected.
    #[error("a `{}` came that was not expected", type_name::<M>())]
    Unexpected {
        /// The message. (It is not shown, for it need not be `Debug`.)
        message: M,
    },
}

impl<M> fmt::Debug for Expectation<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Messages that came before the one that was looked for, and that one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received<M> {
    /// What was looked for.
    pub found: M,
    /// Those before it, in order.
    pub before: Vec<M>,
}

impl<M: Send + 'static> Probe<M> {
    /// A probe in this runtime.
    ///
    /// # Errors
    /// As [`Runtime::spawn_unnamed`].
    pub fn new(runtime: &Runtime) -> Result<Self, SpawnError> {
        let (sender, received) = mpsc::channel(1);
        let address = runtime.spawn_unnamed(Recorder(sender))?;
        Ok(Self { address, received })
    }

    /// Where to send to.
    #[must_use]
    pub fn recipient(&self) -> Recipient<M> {
        self.address.recipient()
    }

    /// What became of every message that was sent here.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.address.stats()
    }

    /// The next message.
    ///
    /// # Errors
    /// [`Expectation::Nothing`], if none comes within this time.
    ///
    /// # Cancel safety
    /// A future that is dropped has taken nothing.
    pub async fn expect(&mut self, within: Duration) -> Result<M, Expectation<M>> {
        match timeout(within, self.received.recv()).await {
            Ok(Some(message)) => Ok(message),
            Ok(None) | Err(_) => Err(Expectation::Nothing { within, came: 0 }),
        }
    }

    /// The next message, which must be such a one.
    ///
    /// # Errors
    /// [`Expectation::Nothing`], if none comes within this time; [`Expectation::Unexpected`], with the message, if it is another.
    pub async fn expect_that(
        &mut self,
        within: Duration,
        is_such: impl FnOnce(&M) -> bool,
    ) -> Result<M, Expectation<M>> {
        let message = self.expect(within).await?;
        if is_such(&message) { Ok(message) } else { Err(Expectation::Unexpected { message }) }
    }

    /// The first such message, whatever comes before it.
    ///
    /// # Errors
    /// [`Expectation::Nothing`], if none comes within this time, all together. Those that came are dropped.
    pub async fn expect_among(
        &mut self,
        within: Duration,
        mut is_such: impl FnMut(&M) -> bool,
    ) -> Result<Received<M>, Expectation<M>> {
        let mut before = Vec::new();
        let search = async {
            while let Some(message) = self.received.recv().await {
                if is_such(&message) {
                    return Some(message);
                }
                before.push(message);
            }
            None
        };
        match timeout(within, search).await {
            Ok(Some(found)) => Ok(Received { found, before }),
            Ok(None) | Err(_) => Err(Expectation::Nothing { within, came: before.len() }),
        }
    }

    /// This many messages, in order.
    ///
    /// # Errors
    /// [`Expectation::Nothing`], if fewer come within this time, all together. Those that came are dropped.
    pub async fn expect_many(&mut self, within: Duration, count: usize) -> Result<Vec<M>, Expectation<M>> {
        let mut messages = Vec::with_capacity(count);
        let all = async {
            while messages.len() < count {
                messages.push(self.received.recv().await?);
            }
            Some(())
        };
        let in_time = timeout(within, all).await.is_ok_and(|all| all.is_some());
        if in_time { Ok(messages) } else { Err(Expectation::Nothing { within, came: messages.len() }) }
    }

    /// Waits for this long, in which nothing must come.
    ///
    /// # Errors
    /// [`Expectation::Unexpected`], with the message, as soon as one comes.
    pub async fn expect_nothing(&mut self, within: Duration) -> Result<(), Expectation<M>> {
        match self.expect(within).await {
            Ok(message) => Err(Expectation::Unexpected { message }),
            Err(_) => Ok(()),
        }
    }
}

impl<M: Send + 'static> fmt::Debug for Probe<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").field("stats", &self.stats()).finish()
    }
}
