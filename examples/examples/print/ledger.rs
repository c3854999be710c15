//! The ledger as a table, shared by the examples: a row for each fate, a column for each subsystem.

use std::fmt;

use indicatif::HumanCount;
use mycelia_actors::Stats;

/// The stats of each subsystem, by name.
pub(crate) struct Ledger(pub(crate) Vec<(&'static str, Stats)>);

impl Ledger {
    /// What is wrong with it, for a program that wants every message handled. Empty if all is well.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (name, stats) in &self.0 {
            if stats.accounted() != stats.sent {
                problems.push(format!("{name}: sent {}, accounted for {}", stats.sent, stats.accounted()));
            }
            for (fate, count) in stats.fates() {
                if fate != "handled" && count != 0 {
                    problems.push(format!("{name}: {count} messages {fate}"));
                }
            }
        }
        problems
    }

    fn row(&self, f: &mut fmt::Formatter<'_>, title: &str, count: impl Fn(&Stats) -> u64) -> fmt::Result {
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
        for (column, (fate, _)) in Stats::default().fates().into_iter().enumerate() {
            self.row(f, fate, |stats| stats.fates()[column].1)?;
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
