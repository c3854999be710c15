//! What happens to subsystems, for whoever wants to know.

use std::fmt;
use std::time::Duration;

use crate::lifecycle::Exit;
use crate::name::Name;
use crate::shared::Shared;

/// What has happened to a subsystem: on the [`Bus`](crate::Bus), on the topic `lifecycle/{subsystem}`.
///
/// ```
/// use mycelia_actors::prelude::*;
///
/// # struct Counter;
/// # impl Subsystem for Counter {}
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let runtime = Runtime::new();
/// let mut lives = runtime.bus().subscribe::<Lifecycle>("lifecycle/{subsystem}", 100)?;
/// runtime.spawn("counter", Counter)?;
/// runtime.shutdown().await?;
/// let mut lines = Vec::new();
/// while let Some(next) = lives.recv().await {
///     lines.push(next.event.to_string());
/// }
/// assert_eq!(lines, ["`counter` spawned", "`counter` started", "`counter` ended: stopped"]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Lifecycle {
    /// To whom.
    pub subsystem: Name,
    /// What.
    pub what: LifeEvent,
}

/// What may happen to a subsystem. They come in this order; after `Restarted` follows another `Started`, and those of the mailbox may come
/// at any time before the end. (The next subsystem of the same name may be there before the end of this one is told.)
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LifeEvent {
    /// It was made. Its task runs soon.
    Spawned,
    /// [`Subsystem::started`](crate::Subsystem::started) has run.
    Started,
    /// It has got a new state from its factory, which has not started yet.
    Restarted,
    /// Its mailbox is full: a message was refused, discarded or pushed out, or a sender waits for room. Told at most once a second; a
    /// mailbox that is full again before the second is over, and still is then, is told of then.
    MailboxFull,
    /// Its mailbox has come back below half. Follows `MailboxFull`, unless the subsystem ends before.
    MailboxRelieved {
        /// From when the mailbox was found full until it was below half; with what came since the last `MailboxRelieved` too soon to
        /// be told.
        full_for: Duration,
        /// How many messages were refused, discarded or pushed out meanwhile.
        refused: u64,
    },
    /// It has ended, and its name is free.
    Ended(Exit),
}

impl fmt::Display for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subsystem, what } = self;
        match what {
            LifeEvent::Spawned => write!(f, "`{subsystem}` spawned"),
            LifeEvent::Started => write!(f, "`{subsystem}` started"),
            LifeEvent::Restarted => write!(f, "`{subsystem}` restarted"),
            LifeEvent::MailboxFull => write!(f, "the mailbox of `{subsystem}` is full"),
            LifeEvent::MailboxRelieved { full_for, refused } => {
                write!(
                    f,
                    "the mailbox of `{subsystem}` was full for {full_for:.1?}, {refused} messages refused"
                )
            }
            LifeEvent::Ended(exit) => write!(f, "`{subsystem}` ended: {exit}"),
        }
    }
}

impl Shared {
    /// Says what has happened to a subsystem, if somebody wants to know.
    pub(crate) fn announce_life(&self, subsystem: &Name, what: impl FnOnce() -> LifeEvent) {
        let event = || Lifecycle { subsystem: subsystem.clone(), what: what() };
        self.bus.announce("lifecycle", subsystem, event);
    }
}
