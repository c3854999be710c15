//! The ledger as a table, shared by the examples: a row for each fate, a column for each subsystem.

use std::fmt;

use indicatif::HumanCount;
use mycelia_actors::Stats;

/// The stats of each subsystem, by name.
pub(crate) struct Ledger(pub(crate) Vec<(&'static str, Stats)>);

type Column = (&'static str, fn(&Stats) -> u64);

/// Every message sent has exactly one of these fates.
const FATES: [Column; 9] = [
    ("handled", |stats| stats.handled),
    ("failed", |stats| stats.failed),
    ("evicted", |stats| stats.evicted),
    ("discarded", |stats| stats.discarded),
    ("returned", |stats| stats.returned),
    ("expired", |stats| stats.expired),
    ("undelivered", |stats| stats.undelivered),
    ("queued", |stats| stats.queued),
    ("in hand", |stats| stats.in_hand),
];

impl Ledger {
    /// What is wrong with it, for a program that wants every message handled. Empty if all is well.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (name, stats) in &self.0 {
            if stats.accounted() != stats.sent {
                problems.push(format!("{name}: sent {}, accounted for {}", stats.sent, stats.accounted()));
            }
            for (fate, count) in &FATES[1..] {
                if count(stats) != 0 {
                    problems.push(format!("{name}: {} messages {fate}", count(stats)));
                }
            }
        }
        problems
    }

    fn row(&self, f: &mut fmt::Formatter<'_>, title: &str, count: fn(&Stats) -> u64) -> fmt::Result {
        write!(f, "  {title:<12}")?;
        for (_, stats) in &self.0 {
            write!(f, "{:>14}", HumanCount(count(stats)).to_string())?;
        }
        writeln!(f)
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<14}", "ledger")?;
        for (name, _) in &self.0 {
            write!(f, "{name:>14}")?;
        }
        writeln!(f)?;
        self.row(f, "sent", |stats| stats.sent)?;
        for (fate, count) in FATES {
            self.row(f, fate, count)?;
        }
        self.row(f, "sum", Stats::accounted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_handled_message_is_no_problem() {
        let handled = Stats { sent: 2, handled: 2, ..Stats::default() };
        assert!(Ledger(vec![("a", handled)]).problems().is_empty());
        let evicted = Stats { sent: 2, handled: 1, evicted: 1, ..Stats::default() };
        assert_eq!(Ledger(vec![("a", handled), ("b", evicted)]).problems(), ["b: 1 messages evicted"]);
        let vanished = Stats { sent: 3, handled: 1, ..Stats::default() };
        assert_eq!(Ledger(vec![("a", vanished)]).problems(), ["a: sent 3, accounted for 1"]);
    }
}
