//! What a run prints, and what must be true of it.

use std::collections::BTreeMap;
use std::fmt;

use indicatif::HumanCount;
use mycelia_actors::PoolStats;

use crate::ledger::Ledger;
use crate::timestamp::Day;
use crate::{DISTINCT_WORDS, Tally};

/// The words that are printed.
const MOST_FREQUENT: usize = 15;
/// The longest bar, and as much of a word as is printed, in characters.
const WIDTH: usize = 40;

pub(crate) struct Report {
    /// How often the reader was asked.
    pub(crate) asks: u64,
    pub(crate) lines_read: u64,
    pub(crate) outcome: Tally,
    pub(crate) pool: PoolStats,
    pub(crate) ledger: Ledger,
}

impl Report {
    /// Every way in which this run is not what it should be.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = self.ledger.problems();
        if self.outcome.lines != self.lines_read {
            problems.push(format!("{} lines read, {} tallied", self.lines_read, self.outcome.lines));
        }
        // The tally was asked once for its outcome.
        let expected = [self.asks, self.lines_read, self.lines_read + 1];
        for ((name, stats), expected) in self.ledger.0.iter().zip(expected) {
            if stats.handled != expected {
                problems.push(format!("{name}: {} messages handled instead of {expected}", stats.handled));
            }
        }
        if self.pool.in_use != 0 {
            problems.push(format!("{} slots of the message pool still in use", self.pool.in_use));
        }
        problems
    }

    /// Per day; or per hour, if there is one day only.
    fn lines_over_time(&self) -> (&'static str, Vec<(String, u64)>) {
        let hours = &self.outcome.lines_per_hour;
        let mut days = BTreeMap::<Day, u64>::new();
        for (hour, lines) in hours {
            *days.entry(hour.day).or_default() += lines;
        }
        if days.len() == 1 {
            ("lines per hour", hours.iter().map(|(hour, &lines)| (hour.to_string(), lines)).collect())
        } else {
            ("lines per day", days.iter().map(|(day, &lines)| (day.to_string(), lines)).collect())
        }
    }

    /// Ties by the alphabet, so that the same file always prints the same.
    fn most_frequent_words(&self) -> Vec<(String, u64)> {
        let mut words: Vec<_> = self.outcome.words.iter().collect();
        words.sort_unstable_by(|(a, a_count), (b, b_count)| b_count.cmp(a_count).then(a.cmp(b)));
        words.truncate(MOST_FREQUENT);
        words.into_iter().map(|(word, &count)| (shortened(word), count)).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { outcome, .. } = self;
        writeln!(f, "{} lines", HumanCount(self.lines_read))?;

        writeln!(f, "\nmost frequent of {} words", HumanCount(outcome.words.len() as u64))?;
        bars(f, &self.most_frequent_words())?;
        if outcome.words_beyond > 0 {
            let (beyond, distinct) = (HumanCount(outcome.words_beyond), HumanCount(DISTINCT_WORDS as u64));
            writeln!(f, "  ({beyond} more, of words not among the first {distinct} distinct ones)")?;
        }

        let (title, lines) = self.lines_over_time();
        writeln!(f, "\n{title}")?;
        bars(f, &lines)?;
        writeln!(f, "  lines without a timestamp: {}", HumanCount(outcome.lines_without_time))?;
        writeln!(
            f,
            "\nbytes that were not UTF-8: {}, in lines: {} (each ended a word; the rest of the line was counted)",
            HumanCount(outcome.foreign_bytes),
            HumanCount(outcome.lines_with_foreign_bytes)
        )?;

        writeln!(f, "\n{}", self.ledger)?;
        let verdict = if self.problems().is_empty() { "the same number" } else { "NOT as it should be" };
        writeln!(
            f,
            "lines read, parsed and tallied: {verdict} (the tally was also asked once, for the above)"
        )
    }
}

fn bars(f: &mut fmt::Formatter<'_>, rows: &[(String, u64)]) -> fmt::Result {
    let longest = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let most = rows.iter().map(|&(_, count)| count).max().unwrap_or(0);
    for (name, count) in rows {
        let length = (*count as f64 / most as f64 * WIDTH as f64).ceil() as usize;
        writeln!(f, "  {name:<longest$} {:>12}  {:#<length$}", HumanCount(*count).to_string(), "")?;
    }
    Ok(())
}

/// A word may be as long as the file.
fn shortened(word: &str) -> String {
    match word.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &word[..end]),
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_long_word_is_shortened() {
        assert_eq!(shortened("été"), "été");
        assert_eq!(shortened(&"é".repeat(40)), "é".repeat(40));
        assert_eq!(shortened(&"é".repeat(41)), format!("{}…", "é".repeat(40)));
    }
}
