//! What runs beside a subsystem, as plain values: kinds, what becomes of them at a stop, and their ledger.

use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The kind of a side task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SideTaskKind {
    /// A future whose result is a message: [`Context::pipe`](crate::Context::pipe).
    Pipe,
    /// A message that is sent later, once or periodically: [`Context::send_after`](crate::Context::send_after),
    /// [`Context::send_every`](crate::Context::send_every).
    Timer,
    /// A stream whose items are messages: [`Context::attach`](crate::Context::attach).
    Stream,
}

impl fmt::Display for SideTaskKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pipe => "pipe",
            Self::Timer => "timer",
            Self::Stream => "stream",
        })
    }
}

/// How a stop treats a side task. Set with [`TaskHandle::at_stop`](crate::TaskHandle::at_stop).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum AtStop {
    /// The stop waits for the side task, within its limit. The default of pipes.
    ///
    /// It does not wait while nothing can wake the side task but the start or end of a subsystem, an event of a subscription, or a dead
    /// letter: these may come of the stop itself. Where a future in the side task has wakers of its own (`FuturesUnordered`), one such thing
    /// that it waits for is enough. Nor does it wait for a side task that nothing can wake.
    Wait,
    /// The side task runs on while accepted messages are handled, and is then cancelled. The stop does not wait for it, nor for its
    /// messages: once the stop has begun, a message goes into the mailbox only behind a message of others. So a side task whose messages
    /// come faster than they are handled holds no stop up.
    Keep,
    /// The side task is cancelled when the stop begins. A message that it already has in hand is still sent. The default of timers
    /// and streams.
    End,
}

/// A side task that is running.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SideTask {
    /// The kind of the side task.
    pub kind: SideTaskKind,
    /// The type of its messages, as [`std::any::type_name`] gives it.
    pub type_name: &'static str,
    /// The time since it was started.
    pub age: Duration,
}

/// `pipe of shop::Paid for 1.2s`.
impl fmt::Display for SideTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} for {:?}", self.kind, self.type_name, self.age)
    }
}

/// The ledger of the side tasks of one subsystem: each has exactly one end.
///
/// ```text
/// started = finished + panicked + cancelled + abandoned + running
/// ```
///
/// ```
/// # use mycelia_actors::SideTaskStats;
/// assert_eq!(SideTaskStats::default().accounted(), 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SideTaskStats {
    /// Side tasks started so far.
    pub started: u64,
    /// Side tasks that came to their own end. If the last message found no place, it is a dead letter.
    pub finished: u64,
    /// Side tasks that panicked.
    pub panicked: u64,
    /// Side tasks that were cancelled by their handle, and timers and streams that a stop or restart ended.
    pub cancelled: u64,
    /// Pipes that a restart, a kill or the limit of a stop cut off, and side tasks that did not end within a second when told to. Each
    /// is a dead letter with the reason [`Reason::Abandoned`](crate::Reason::Abandoned).
    pub abandoned: u64,
    /// Side tasks that are running now.
    pub running: u64,
}

impl SideTaskStats {
    /// The sum of all ends and of what is running; equal to `started` whenever no side task is just starting or ending.
    #[must_use]
    pub fn accounted(&self) -> u64 {
        self.finished + self.panicked + self.cancelled + self.abandoned + self.running
    }
}

/// Adds another ledger up, column by column.
impl AddAssign for SideTaskStats {
    fn add_assign(&mut self, other: Self) {
        self.started += other.started;
        self.finished += other.finished;
        self.panicked += other.panicked;
        self.cancelled += other.cancelled;
        self.abandoned += other.abandoned;
        self.running += other.running;
    }
}
