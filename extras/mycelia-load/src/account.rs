//! Whether what senders, handlers and the ledger say agrees.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mycelia_actors::Stats;
use serde::{Deserialize, Serialize};

use crate::sender::Handed;
use crate::worker::Tally;

/// Two counts that must be the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Check {
    pub(crate) what: String,
    pub(crate) counts: [u64; 2],
}

impl Check {
    pub(crate) fn holds(&self) -> bool {
        self.counts[0] == self.counts[1]
    }
}

/// All of them, when nothing is on its way any more.
pub(crate) fn checks(ledger: &Stats, handed: &Handed, tallies: &[Arc<Tally>]) -> Vec<Check> {
    let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let sum = |count: fn(&Tally) -> &AtomicU64| tallies.iter().map(|one| get(count(one))).sum();
    [
        ("sent = offered by the senders", ledger.sent, get(&handed.offered)),
        ("sent = the sum of all fates", ledger.sent, ledger.accounted()),
        ("handled = sent - losses", ledger.handled, ledger.sent - ledger.lost() - ledger.returned),
        ("handled = counted by the handlers", ledger.handled, sum(|tally| &tally.handled)),
        ("failed = counted by the handlers", ledger.failed, sum(|tally| &tally.failed)),
        ("evicted = told to the senders", ledger.evicted, get(&handed.evicted)),
        ("discarded = told to the senders", ledger.discarded, get(&handed.discarded)),
        ("returned = given back to the senders", ledger.returned, get(&handed.returned)),
        ("nothing is left", ledger.queued + ledger.in_hand, 0),
    ]
    .map(|(what, one, other)| Check { what: what.to_owned(), counts: [one, other] })
    .into()
}
