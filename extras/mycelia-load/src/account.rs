//! Whether what senders, handlers and the ledger say agrees.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mycelia_actors::{PathStats, Stats};
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
pub(crate) fn checks(
    ledger: &Stats,
    handed: &Handed,
    tallies: &[Arc<Tally>],
    paths: &PathStats,
) -> Vec<Check> {
    let PathStats { no_subsystem, no_route, denied, bad_body } = *paths;
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
        ("no path has missed", no_subsystem + no_route + denied + bad_body, 0),
        ("nothing is left", ledger.queued + ledger.in_hand, 0),
    ]
    .map(|(what, one, other)| Check { what: what.to_owned(), counts: [one, other] })
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_only_one_side_knows_of_is_found() {
        let (handed, tally) = (Handed::default(), Arc::new(Tally::default()));
        handed.offered.store(3, Ordering::Relaxed);
        handed.returned.store(1, Ordering::Relaxed);
        tally.handled.store(2, Ordering::Relaxed);
        let ledger = Stats { sent: 3, handled: 2, returned: 1, ..Stats::default() };
        let broken = |ledger: Stats| {
            let checks = checks(&ledger, &handed, &[Arc::clone(&tally)], &PathStats::default());
            checks.into_iter().filter(|check| !check.holds()).map(|check| check.what).collect::<Vec<_>>()
        };
        assert_eq!(broken(ledger), [""; 0]);
        let unsent = broken(Stats { sent: 2, handled: 1, ..ledger });
        assert_eq!(unsent, ["sent = offered by the senders", "handled = counted by the handlers"]);
        assert_eq!(broken(Stats { returned: 0, evicted: 1, ..ledger }).len(), 2);
        let stuck = broken(Stats { handled: 1, queued: 1, ..ledger });
        assert!(stuck.contains(&"nothing is left".to_owned()));
    }
}
