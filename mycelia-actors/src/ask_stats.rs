//! How the asks to one subsystem ended.

use std::ops::AddAssign;

use mycelia_core::Counter;
use serde::{Deserialize, Serialize};

use crate::error::AskFailure;
use crate::slot::Fate;

/// How asks ended, written by whoever asked.
#[derive(Debug, Default)]
pub(crate) struct AskCounters([Counter; AskEnd::COUNT]);

impl AskCounters {
    pub(crate) fn count(&self, end: AskEnd) {
        self.0[end as usize].add(1);
    }

    pub(crate) fn read(&self, read: fn(&Counter) -> u64) -> AskStats {
        let mut asks = AskStats::default();
        asks.columns().into_iter().zip(&self.0).for_each(|(column, counter)| *column = read(counter));
        asks
    }
}

/// How an ask ended.
#[derive(Clone, Copy)]
#[repr(usize)]
pub(crate) enum AskEnd {
    Replied,
    Panicked,
    Killed,
    Evicted,
    Discarded,
    Undelivered,
    Unanswered,
    Deadline,
    Cycle,
    Refused,
    Cancelled,
}

impl AskEnd {
    const COUNT: usize = Self::Cancelled as usize + 1;
}

impl From<Fate> for AskEnd {
    fn from(fate: Fate) -> Self {
        match fate {
            Fate::Replied => Self::Replied,
            Fate::Panicked => Self::Panicked,
            Fate::Killed => Self::Killed,
            Fate::Evicted => Self::Evicted,
            Fate::Discarded => Self::Discarded,
            Fate::Undelivered => Self::Undelivered,
            Fate::Unanswered => Self::Unanswered,
            Fate::Deadline => Self::Deadline,
            Fate::Cancelled => Self::Cancelled,
            Fate::Cycle => Self::Cycle,
        }
    }
}

impl From<&AskFailure> for AskEnd {
    fn from(failure: &AskFailure) -> Self {
        match failure {
            AskFailure::Refused(_) => Self::Refused,
            AskFailure::Deadline(_) => Self::Deadline,
            AskFailure::Panicked => Self::Panicked,
            AskFailure::Killed => Self::Killed,
            AskFailure::Evicted => Self::Evicted,
            AskFailure::Discarded => Self::Discarded,
            AskFailure::Undelivered => Self::Undelivered,
            AskFailure::Unanswered => Self::Unanswered,
            AskFailure::Cycle(_) => Self::Cycle,
        }
    }
}

/// How the asks to one subsystem ended, since its runtime is [observed](crate::Inspector::observe): the variants of
/// [`AskFailure`], and two more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "they are those of `AskFailure`")]
pub struct AskStats {
    /// With a reply.
    pub replied: u64,
    pub panicked: u64,
    pub killed: u64,
    pub evicted: u64,
    pub discarded: u64,
    pub undelivered: u64,
    pub unanswered: u64,
    pub deadline: u64,
    pub cycle: u64,
    pub refused: u64,
    /// The asker dropped the future.
    pub cancelled: u64,
}

impl AskStats {
    /// Each end with its count.
    #[must_use]
    pub fn ends(&self) -> [(&'static str, u64); 11] {
        [
            ("replied", self.replied),
            ("panicked", self.panicked),
            ("killed", self.killed),
            ("evicted", self.evicted),
            ("discarded", self.discarded),
            ("undelivered", self.undelivered),
            ("unanswered", self.unanswered),
            ("deadline", self.deadline),
            ("cycle", self.cycle),
            ("refused", self.refused),
            ("cancelled", self.cancelled),
        ]
    }

    /// In the order of `AskEnd`.
    fn columns(&mut self) -> [&mut u64; AskEnd::COUNT] {
        [
            &mut self.replied,
            &mut self.panicked,
            &mut self.killed,
            &mut self.evicted,
            &mut self.discarded,
            &mut self.undelivered,
            &mut self.unanswered,
            &mut self.deadline,
            &mut self.cycle,
            &mut self.refused,
            &mut self.cancelled,
        ]
    }

    pub(crate) fn count(&mut self, end: AskEnd) {
        *self.columns()[end as usize] += 1;
    }
}

/// Adds those to another subsystem up, end by end.
impl AddAssign for AskStats {
    fn add_assign(&mut self, other: Self) {
        self.columns().into_iter().zip(other.ends()).for_each(|(column, (_, count))| *column += count);
    }
}
