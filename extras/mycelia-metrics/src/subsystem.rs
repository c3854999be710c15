//! One subsystem, as it is shown.

use mycelia_actors::{AskStats, Stats, SubsystemInfo};
use serde::{Deserialize, Serialize};

use crate::health::Health;
use crate::quantiles::Quantiles;

/// Where a subsystem is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum State {
    /// Its `started` has not returned.
    Starting,
    /// It handles messages, or waits for some.
    Running,
    /// It was told to handle nothing for a while.
    Suspended,
    /// It takes no more messages.
    Stopping,
}

impl State {
    pub(crate) fn of(one: &SubsystemInfo) -> Self {
        if one.is_stopping {
            Self::Stopping
        } else if one.is_suspended {
            Self::Suspended
        } else if one.has_started {
            Self::Running
        } else {
            Self::Starting
        }
    }
}

/// A subsystem with a name; or all without one together that are of one type, and whose parents have one name (or are of one type).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Subsystem {
    /// The name, or the type.
    pub name: String,
    /// How many these are: 1 with a name.
    pub count: u64,
    /// The name (or type) of the parent.
    pub parent: Option<String>,
    /// Of several, that of the first.
    pub state: State,
    /// Of several, that of the worst.
    pub health: Health,
    /// Why it is not healthy.
    pub reasons: Vec<String>,
    /// Messages in the mailbox, of the `ledger.capacity` that there is room for. (`ledger.queued` has those in the loop's hands as well.)
    pub in_mailbox: u64,
    /// What became of its messages. Without names, only of those that have not ended.
    pub ledger: Stats,
    /// How asks to it ended.
    pub asks: AskStats,
    /// How long messages waited for their turn, in the last 5 to 10 seconds. Without names, those of all of the type.
    pub waited: Quantiles,
    /// How long handlers took, in the last 5 to 10 seconds.
    pub took: Quantiles,
    /// What it counts itself, in its order; only of those with names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<Figure>,
    /// How long handlers took since the beginning, by type of message; where it was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub message_types: Vec<MessageType>,
}

/// A number that a subsystem [shows](mycelia_actors::Context::show).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Figure {
    /// What it is called.
    pub name: String,
    /// Whether it only rises.
    pub is_counter: bool,
    /// The number.
    pub value: f64,
}

impl From<mycelia_actors::Figure> for Figure {
    fn from(figure: mycelia_actors::Figure) -> Self {
        let mycelia_actors::Figure { name, is_counter, value, .. } = figure;
        Self { name: name.to_owned(), is_counter, value }
    }
}

/// How long messages of one type took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MessageType {
    /// The type.
    pub name: String,
    /// The times. The count is estimated from the samples.
    pub took: Quantiles,
}
