//! Whether what senders, handlers and ledgers say agrees, for each worker by itself.

use std::sync::atomic::{AtomicU64, Ordering};

use mycelia_actors::{PathStats, Stats};
use serde::{Deserialize, Serialize};

use crate::sender::Handed;
use crate::worker::Tally;

/// Two counts that must be the same for every worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Check {
    pub(crate) what: String,
    /// Those of all workers, added up.
    pub(crate) counts: [u64; 2],
    /// Workers whose counts differ.
    pub(crate) unequal: u64,
}

impl Check {
    pub(crate) fn holds(&self) -> bool {
        self.unequal == 0
    }

    fn add(&mut self, [one, other]: [u64; 2]) {
        self.counts[0] = self.counts[0].wrapping_add(one);
        self.counts[1] = self.counts[1].wrapping_add(other);
        self.unequal += u64::from(one != other);
    }
}

/// What is known of one worker when nothing is on its way any more.
pub(crate) struct Account<'a> {
    pub(crate) ledger: Stats,
    pub(crate) handed: &'a Handed,
    pub(crate) tally: &'a Tally,
    /// It was killed, perhaps with a message in hand, which its handler knows nothing of.
    pub(crate) was_killed: bool,
}

impl Account<'_> {
    fn checks(&self) -> Vec<(&'static str, [u64; 2])> {
        let Self { ledger, handed, tally, was_killed } = self;
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let mut checks = vec![
            ("sent = offered by the senders", [ledger.sent, get(&handed.offered)]),
            ("sent = the sum of all fates", [ledger.sent, ledger.accounted()]),
            ("handled = counted by the handlers", [ledger.handled, get(&tally.handled)]),
            ("evicted = told to the senders", [ledger.evicted, get(&handed.evicted)]),
            ("discarded = told to the senders", [ledger.discarded, get(&handed.discarded)]),
            ("returned = given back to the senders", [ledger.returned, get(&handed.returned)]),
            ("every message was whole, and for this worker", [get(&tally.strange), 0]),
            ("nothing is left", [ledger.queued + ledger.in_hand, 0]),
        ];
        if !was_killed {
            checks.push(("failed = counted by the handlers", [ledger.failed, get(&tally.failed)]));
        }
        if !was_killed && ledger.evicted == 0 {
            let sums = [get(&handed.numbers), get(&tally.numbers)];
            checks.push(("the numbers that were sent are those that came", sums));
        }
        checks
    }
}

/// All of them.
pub(crate) fn checks<'a>(workers: impl IntoIterator<Item = Account<'a>>, paths: &PathStats) -> Vec<Check> {
    let PathStats { no_subsystem, no_route, denied, bad_body } = *paths;
    let missed = [no_subsystem + no_route + denied + bad_body, 0];
    let all = workers.into_iter().flat_map(|worker| worker.checks()).chain([("no path has missed", missed)]);
    let mut checks: Vec<Check> = Vec::new();
    for (what, counts) in all {
        let place = checks.iter().position(|check| check.what == what).unwrap_or_else(|| {
            checks.push(Check { what: what.to_owned(), counts: [0; 2], unequal: 0 });
            checks.len() - 1
        });
        checks[place].add(counts);
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(ledgers: &[Stats]) -> Vec<String> {
        let (handed, tally) = (Handed::default(), Tally::default());
        handed.offered.store(3, Ordering::Relaxed);
        handed.returned.store(1, Ordering::Relaxed);
        tally.handled.store(2, Ordering::Relaxed);
        let accounts = ledgers.iter().map(|ledger| Account {
            ledger: *ledger,
            handed: &handed,
            tally: &tally,
            was_killed: false,
        });
        let checks = checks(accounts, &PathStats::default());
        checks.into_iter().filter(|check| !check.holds()).map(|check| check.what).collect()
    }

    #[test]
    fn a_message_that_only_one_side_knows_of_is_found() {
        let ledger = Stats { sent: 3, handled: 2, returned: 1, ..Stats::default() };
        assert_eq!(broken(&[ledger, ledger]), [""; 0]);
        let unsent = broken(&[Stats { sent: 2, handled: 1, ..ledger }]);
        assert_eq!(unsent, ["sent = offered by the senders", "handled = counted by the handlers"]);
        assert_eq!(broken(&[Stats { returned: 0, evicted: 1, ..ledger }]).len(), 2);
        let stuck = broken(&[Stats { handled: 1, queued: 1, ..ledger }]);
        assert!(stuck.contains(&"nothing is left".to_owned()));
        assert!(!broken(&[Stats { sent: 0, returned: 1, ..Stats::default() }]).is_empty());
    }

    #[test]
    fn one_too_many_here_and_one_too_few_there_are_two_errors() {
        let ledger = Stats { sent: 3, handled: 2, returned: 1, ..Stats::default() };
        let more = Stats { sent: 4, handled: 3, ..ledger };
        let less = Stats { sent: 2, handled: 1, ..ledger };
        assert_eq!(
            broken(&[more, less]),
            ["sent = offered by the senders", "handled = counted by the handlers"]
        );
    }
}
