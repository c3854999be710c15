//! A ledger and asks, as they are shown.

use mycelia_actors::{AskStats, Stats};
use serde::{Deserialize, Serialize};

/// What became of messages, and how asks ended. The fields are those of [`Stats`] and [`AskStats`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "they are documented there")]
#[non_exhaustive]
pub struct Ledger {
    pub sent: u64,
    pub handled: u64,
    pub failed: u64,
    pub evicted: u64,
    pub discarded: u64,
    pub returned: u64,
    pub expired: u64,
    pub undelivered: u64,
    pub queued: u64,
    pub in_hand: u64,
    pub waiting: u64,
    pub capacity: u64,
    pub restarts: u64,
    pub polls: u64,
    pub drop_panics: u64,
    /// How asks ended: `replied`, and why not.
    pub asks: Vec<(String, u64)>,
}

impl Ledger {
    pub(crate) fn new(stats: &Stats, asks: &AskStats) -> Self {
        let asks = asks.ends().into_iter().map(|(end, count)| (end.to_owned(), count)).collect();
        Self {
            sent: stats.sent,
            handled: stats.handled,
            failed: stats.failed,
            evicted: stats.evicted,
            discarded: stats.discarded,
            returned: stats.returned,
            expired: stats.expired,
            undelivered: stats.undelivered,
            queued: stats.queued,
            in_hand: stats.in_hand,
            waiting: stats.waiting,
            capacity: stats.capacity,
            restarts: stats.restarts,
            polls: stats.polls,
            drop_panics: stats.drop_panics,
            asks,
        }
    }

    /// The fates that a message ends with, each with its count: all of the ledger but *queued* and *in hand*.
    #[must_use]
    pub fn fates(&self) -> [(&'static str, u64); 7] {
        [
            ("handled", self.handled),
            ("failed", self.failed),
            ("evicted", self.evicted),
            ("discarded", self.discarded),
            ("returned", self.returned),
            ("expired", self.expired),
            ("undelivered", self.undelivered),
        ]
    }

    /// Adds another one up.
    pub(crate) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.handled += other.handled;
        self.failed += other.failed;
        self.evicted += other.evicted;
        self.discarded += other.discarded;
        self.returned += other.returned;
        self.expired += other.expired;
        self.undelivered += other.undelivered;
        self.queued += other.queued;
        self.in_hand += other.in_hand;
        self.waiting += other.waiting;
        self.capacity += other.capacity;
        self.restarts += other.restarts;
        self.polls += other.polls;
        self.drop_panics += other.drop_panics;
        for (sum, (_, count)) in self.asks.iter_mut().zip(&other.asks) {
            sum.1 += count;
        }
    }
}
