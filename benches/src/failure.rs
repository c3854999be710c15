//! Why a run does not count. Any of these fails the whole program.

use std::fmt;

/// A scene that did not do what it claims to measure.
#[derive(Debug)]
pub enum Failure {
    /// What the actors handled is not what was sent.
    Unequal {
        /// Messages sent.
        sent: u64,
        /// Messages handled, by the actors' own account.
        handled: u64,
        /// What the numbers in the messages add up to.
        sum_sent: u64,
        /// What the actors added up.
        sum_handled: u64,
    },
    /// Some messages were not handled after a minute.
    Stuck {
        /// Actors (or rounds of theirs) that were still waited for.
        missing: u64,
    },
    /// An ask was answered with the wrong number.
    WrongReply {
        /// The right answer.
        expected: u64,
        /// The answer that came.
        received: u64,
    },
    /// The process that measures memory did not give an answer.
    Child(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unequal { sent, handled, sum_sent, sum_handled } => {
                write!(f, "sent {sent} messages (sum {sum_sent}), handled {handled} (sum {sum_handled})")
            }
            Self::Stuck { missing } => {
                write!(f, "not everything was handled within a minute, {missing} missing")
            }
            Self::WrongReply { expected, received } => write!(f, "asked for {expected}, received {received}"),
            Self::Child(reason) => write!(f, "no figure from the child process: {reason}"),
        }
    }
}

impl std::error::Error for Failure {}
