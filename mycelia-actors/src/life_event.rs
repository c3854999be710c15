//! What happens to subsystems, for whoever wants to know.

use std::fmt;

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

/// What may happen to a subsystem. They come in this order; after `Restarted` follows another `Started`. (The next subsystem of the
/// same name may be there before the end of this one is told.)
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LifeEvent {
    /// It was made. Its task runs soon.
    Spawned,
    /// [`Subsystem::started`](crate::Subsystem::started) has run.
    Started,
    /// It has got a new state from its factory, which has not started yet.
    Restarted,
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
