//! What a run prints, and what must be true of it.

use std::fmt;
use std::time::Duration;

use indicatif::HumanCount;
use mycelia_actors::PoolStats;

use crate::ledger::Ledger;
use crate::memory::Memory;
use crate::pace::Pace;
use crate::waits::Waits;

/// What clients have sent.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sent {
    pub(crate) asks: u64,
    pub(crate) tells: u64,
}

impl Sent {
    pub(crate) fn add(&mut self, other: Self) {
        self.asks += other.asks;
        self.tells += other.tells;
    }

    /// The messages that this makes: an ask of the api is an ask of the db, too.
    pub(crate) fn messages(&self) -> u64 {
        2 * self.asks + self.tells
    }
}

pub(crate) struct Report {
    pub(crate) messages: u64,
    pub(crate) clients: u64,
    pub(crate) sent: Sent,
    pub(crate) elapsed: Duration,
    pub(crate) pace: Pace,
    pub(crate) waits: [(&'static str, Waits); 2],
    pub(crate) pool: PoolStats,
    pub(crate) memory: (Memory, Memory),
    pub(crate) ledger: Ledger,
}

impl Report {
    /// Every way in which this run is not what it should be.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = self.ledger.problems();
        if self.sent.messages() != self.messages {
            problems.push(format!("{} messages wanted, {} sent", self.messages, self.sent.messages()));
        }
        let expected = [self.sent.asks + self.sent.tells, self.sent.asks];
        for (((name, waits), (_, stats)), expected) in self.waits.iter().zip(&self.ledger.0).zip(expected) {
            // The ledger has one more: the ask for these very figures.
            if waits.handled != expected || stats.sent != expected + 1 || stats.handled != expected + 1 {
                problems.push(format!(
                    "{name}: the clients sent {expected} and 1 at the end, its handlers saw {}, the ledger says \
                     {} sent and {} handled",
                    waits.handled, stats.sent, stats.handled
                ));
            }
        }
        if self.pool.in_use != 0 {
            problems.push(format!("{} slots of the message pool still in use", self.pool.in_use));
        }
        problems
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, pool, .. } = self;
        let rate = self.messages as f64 / self.elapsed.as_secs_f64();
        writeln!(
            f,
            "{} messages in {:.2?} from {} clients",
            HumanCount(self.messages),
            self.elapsed,
            self.clients
        )?;
        writeln!(f, "  asks of api     {:>12}   (each asks db)", count(sent.asks))?;
        writeln!(f, "  tells to api    {:>12}", count(sent.tells))?;

        writeln!(f, "\nmessages a second")?;
        writeln!(f, "  overall         {:>12}", count(rate as u64))?;
        match self.pace.slices() {
            Some(slices) => {
                writeln!(f, "  slowest slice   {:>12}", count(slices.min as u64))?;
                writeln!(f, "  median slice    {:>12}", count(slices.median as u64))?;
                writeln!(f, "  fastest slice   {:>12}", count(slices.max as u64))?;
                writeln!(f, "  ({} slices of {:?})", slices.count, slices.length)?;
            }
            None => writeln!(f, "  (too short a run for slices)")?,
        }

        writeln!(f, "\nwait for the handler       p50         p95         p99         max       timed")?;
        for (name, waits) in &self.waits {
            write!(f, "  {name:<16}")?;
            for quantile in [0.5, 0.95, 0.99, 1.0] {
                if waits.times.is_empty() {
                    write!(f, "{:>12}", "-")?;
                } else {
                    let time = Duration::from_nanos(waits.times.value_at_quantile(quantile));
                    write!(f, "{time:>12.1?}")?;
                }
            }
            writeln!(f, "{:>12}", count(waits.times.len()))?;
        }

        writeln!(f, "  (one message in 64 is timed)")?;

        writeln!(f, "\nmessage pool")?;
        writeln!(f, "  slots created   {:>12}", count(pool.created))?;
        writeln!(f, "  reused          {:>12}", count(pool.reused))?;
        writeln!(f, "  high water      {:>12}", count(pool.high_water))?;
        writeln!(f, "  reuse rate      {:>11.4}%", 100.0 * pool.reuse_rate())?;
        writeln!(f, "  in use at end   {:>12}", count(pool.in_use))?;

        writeln!(f, "\nresident memory")?;
        writeln!(f, "  before          {:>12}", self.memory.0.to_string())?;
        writeln!(f, "  after           {:>12}", self.memory.1.to_string())?;

        writeln!(f, "\n{}", self.ledger)?;
        let verdict =
            if self.problems().is_empty() { "every message was handled" } else { "NOT as it should be" };
        writeln!(f, "{verdict} (and one more by each subsystem: the question how long they had waited)")
    }
}

fn count(number: u64) -> String {
    HumanCount(number).to_string()
}
