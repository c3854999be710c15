//! What can go wrong, one type per operation. What was not accepted is inside.

use std::fmt;
use std::time::Duration;

use crate::cycle::Cycle;
use crate::lifecycle::Exit;
use crate::name::Name;
use crate::side_task::SideTask;

/// Why a message was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The mailbox is full, and its policy is to say so.
    Full {
        /// Messages the mailbox holds at most.
        capacity: usize,
    },
    /// The subsystem is stopping, or has ended.
    Stopped,
    /// The runtime's message pool may not grow, and every slot is in use.
    PoolExhausted {
        /// Slots the pool may make.
        capacity: usize,
    },
    /// The sender's handler would wait for room that only it can make, perhaps by way of others.
    Cycle(Cycle),
    /// The deadline of the message that the sender has in hand, or that of its metadata, passed before there was room.
    Deadline,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { capacity } => write!(f, "its mailbox is full ({capacity} messages)"),
            Self::Stopped => f.write_str("it is stopping, or has ended"),
            Self::PoolExhausted { capacity } => {
                write!(f, "all {capacity} slots of the message pool are in use")
            }
            Self::Cycle(cycle) => write!(f, "the sender would wait for itself: {cycle}"),
            Self::Deadline => f.write_str("the deadline of the message in hand passed before there was room"),
        }
    }
}

/// A tell or send that was not accepted. The message is inside.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{subsystem}` did not accept the message: {refusal}")]
pub struct TellError<M> {
    /// The message, back.
    pub message: M,
    /// To whom it was sent.
    pub subsystem: Name,
    /// Why it was not accepted.
    pub refusal: Refusal,
}

impl<M> TellError<M> {
    /// The same error without the message, which fits `anyhow` and `Box<dyn Error>` whatever the message is.
    pub fn without_message(self) -> TellError<()> {
        TellError { message: (), subsystem: self.subsystem, refusal: self.refusal }
    }
}

impl<M> fmt::Debug for TellError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TellError")
            .field("subsystem", &self.subsystem)
            .field("refusal", &self.refusal)
            .finish_non_exhaustive()
    }
}

/// Why there is no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AskFailure {
    /// The message was not accepted; it is inside the error.
    Refused(Refusal),
    /// No reply came within this time. If the message was not accepted by then, it is inside the error.
    Deadline(Duration),
    /// The handler panicked.
    Panicked,
    /// The subsystem was killed while its handler was at it.
    Killed,
    /// The message was pushed out of a full mailbox by a newer one.
    Evicted,
    /// The message did not fit into a full mailbox.
    Discarded,
    /// The subsystem ended before it came to the message.
    Undelivered,
    /// The handler took over the duty to reply, and dropped it.
    Unanswered,
    /// The asker's handler would wait for itself, perhaps by way of others. The message is inside the error, unless it had been
    /// accepted before that was so.
    Cycle(Cycle),
}

impl fmt::Display for AskFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => write!(f, "{refusal}"),
            Self::Deadline(within) => write!(f, "no reply within {within:?}"),
            Self::Panicked => f.write_str("its handler panicked"),
            Self::Killed => f.write_str("it was killed"),
            Self::Evicted => f.write_str("a newer message pushed this one out of its full mailbox"),
            Self::Discarded => f.write_str("the message did not fit into its full mailbox"),
            Self::Undelivered => f.write_str("it ended before it came to the message"),
            Self::Unanswered => f.write_str("the reply was dropped unsent"),
            Self::Cycle(cycle) => write!(f, "the asker would wait for itself: {cycle}"),
        }
    }
}

/// An ask without a reply. If the message was not accepted, it is inside.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{subsystem}` did not reply: {failure}")]
pub struct AskError<M> {
    /// The message, back, if it never reached the mailbox.
    pub message: Option<M>,
    /// Who was asked.
    pub subsystem: Name,
    /// Why there is no reply.
    pub failure: AskFailure,
}

impl<M> AskError<M> {
    /// The same error without the message, which fits `anyhow` and `Box<dyn Error>` whatever the message is.
    pub fn without_message(self) -> AskError<()> {
        AskError { message: self.message.map(|_| ()), subsystem: self.subsystem, failure: self.failure }
    }
}

impl<M> fmt::Debug for AskError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AskError")
            .field("subsystem", &self.subsystem)
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}

/// Why a subsystem was not spawned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// A subsystem of this name is there.
    #[error("a subsystem named `{0}` is already there")]
    NameTaken(String),
    /// An empty name, or one that could not stand before `://` in a path.
    #[error("{0:?} is no name: use letters, digits, `-`, `_` and `.`, beginning with a letter or digit")]
    BadName(String),
    /// A mailbox needs room for at least one message.
    #[error("`{0}` has a mailbox of capacity 0: it could never take a message")]
    NoCapacity(Name),
    /// A run loop that handles no message before it yields would handle none at all.
    #[error("`{0}` has a budget of 0 messages: it could never handle one")]
    NoBudget(Name),
    /// It was to be restarted, but spawned with a state, of which there is only one.
    #[error("a restart takes a new state from a factory: spawn it with `spawn_with`")]
    NoFactory,
    /// Neither the runtime nor the calling thread knows a tokio runtime.
    #[error("no tokio runtime: call this inside one, or give its handle to `Runtime::builder().tokio(..)`")]
    NoTokio,
    /// The tokio runtime was built without timers, which the deadlines of asks need.
    #[error("tokio's timers are disabled: call `enable_time` on its builder")]
    NoTimers,
    /// The system gave no thread for a subsystem that was to have its own. The reason.
    #[error("no thread for the subsystem: {0}")]
    NoThread(String),
    /// The runtime is shutting down.
    #[error("the runtime is shutting down")]
    ShutDown,
    /// The subsystem that would be above it is ending.
    #[error("`{0}` is ending, and spawns no more")]
    Ending(Name),
    /// It was to end before a subsystem of another runtime.
    #[error("it needs `{0}`, which is a subsystem of another runtime")]
    NeedsOther(Name),
    /// The routes of the subsystem's type are not as they should be.
    #[error("the routes of `{subsystem}`: {reason}")]
    BadRoute {
        /// The subsystem's type.
        subsystem: &'static str,
        /// What is wrong.
        reason: RouteError,
    },
}

/// What is wrong with the routes of a type of subsystem.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// A pattern that is none, or takes the same paths as another.
    #[error(transparent)]
    Pattern(#[from] mycelia_router::Refusal),
    /// A scope that is none.
    #[error(transparent)]
    Scope(#[from] mycelia_router::ScopeError),
    /// Two fallbacks.
    #[error("there is a second fallback")]
    TwoFallbacks,
    /// The runtime's policy is that every route says who may use it.
    #[error("`{pattern}` requires no scope, and the runtime's policy is that every route does")]
    NoScope {
        /// The pattern of the route, or `(fallback)`.
        pattern: Box<str>,
    },
}

/// Why a subsystem did not start.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{subsystem}` did not start: {exit}")]
pub struct StartError {
    /// Which.
    pub subsystem: Name,
    /// How it ended instead.
    pub exit: Exit,
}

/// A shutdown that had to use force, or that could not be waited for.
///
/// Its text names the subsystems, and for each what was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownError {
    /// The time that the shutdown was given, from its beginning.
    pub timeout: Duration,
    /// Subsystems that did not come to their own end, or lost something at it.
    pub cut_off: Vec<CutOff>,
    /// Of these: the subsystems that had to be killed.
    pub killed: Vec<Name>,
    /// Subsystems that have not ended even so: their handlers do not return, nor reach an await, or they were too many.
    pub left: Vec<Name>,
    /// The subsystem of the same runtime whose handler, hook or side task awaited the shutdown. The shutdown would wait for it, so it
    /// was not begun.
    pub awaited_in: Option<Name>,
}

impl ShutdownError {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self { timeout, cut_off: Vec::new(), killed: Vec::new(), left: Vec::new(), awaited_in: None }
    }
}

impl fmt::Display for ShutdownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { timeout, cut_off, left, awaited_in, .. } = self;
        if let Some(name) = awaited_in {
            return write!(f, "`{name}` would wait for itself: it awaited the shutdown of its own runtime");
        }
        write!(f, "not stopped within {timeout:?}: ")?;
        for (place, one) in cut_off.iter().enumerate() {
            write!(f, "{}{one}", if place > 0 { "; " } else { "" })?;
        }
        let mut others =
            left.iter().filter(|name| !cut_off.iter().any(|one| one.subsystem == **name)).peekable();
        if others.peek().is_some() {
            let others: Vec<_> = others.map(ToString::to_string).collect();
            write!(f, "; not ended: {}", others.join(", "))?;
        }
        Ok(())
    }
}

impl std::error::Error for ShutdownError {}

/// What a stop has cut off of one subsystem, at its limit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CutOff {
    /// The subsystem.
    pub subsystem: Name,
    /// Messages that were in its mailbox, and are undelivered.
    pub queued: u64,
    /// Messages that were in hand when it was killed.
    pub in_hand: u64,
    /// Side tasks that the stop waited for, and that were abandoned.
    pub side_tasks: Vec<SideTask>,
    /// The [limit of its own](crate::Configure::stop_timeout), or of one above it, that cut it off; `None` if it was that of the whole.
    pub stop_timeout: Option<Duration>,
    /// True if it had to be killed.
    pub is_killed: bool,
    /// True if it has not even ended then: its handler does not return, nor reach an await.
    pub is_left: bool,
}

impl CutOff {
    pub(crate) fn of(subsystem: Name) -> Self {
        Self {
            subsystem,
            queued: 0,
            in_hand: 0,
            side_tasks: Vec::new(),
            stop_timeout: None,
            is_killed: false,
            is_left: false,
        }
    }
}

/// `` `orders`: 3 queued, pipe of shop::Paid for 1.2s, killed ``.
impl fmt::Display for CutOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        let counts = [(self.queued, "queued"), (self.in_hand, "in hand")];
        parts.extend(
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")),
        );
        parts.extend(self.side_tasks.iter().map(ToString::to_string));
        parts.extend(self.stop_timeout.map(|timeout| format!("after its own {timeout:?}")));
        parts.extend(self.is_killed.then(|| "killed".to_owned()));
        parts.extend(self.is_left.then(|| "cannot be killed, for it reaches no await".to_owned()));
        write!(f, "`{}`: {}", self.subsystem, parts.join(", "))
    }
}

/// What a message cannot carry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// A text that is no W3C `traceparent`.
    #[error("`{0}` is no traceparent")]
    TraceParent(Box<str>),
    /// A header without a name, or with a control character.
    #[error("header `{name}` has no name, or a control character in name or value")]
    BadHeader {
        /// Its name.
        name: Box<str>,
    },
    /// One header too many, or too long.
    #[error("header `{name}` is one too many: the limits are 16 headers and 8 KiB")]
    TooManyHeaders {
        /// Its name.
        name: Box<str>,
    },
}
