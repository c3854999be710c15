//! Whether subsystems are well.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use mycelia_actors::{OverflowPolicy, SubsystemInfo};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// How a subsystem is; the runtime is as the worst of those that have not ended. (One that has failed for good is gone:
/// [`Snapshot::failed_ends`](crate::Snapshot::failed_ends) counts it, and the runtime's bus tells of it.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Health {
    /// Nothing stands out.
    #[default]
    Healthy,
    /// Worth a look.
    Degraded,
    /// It does not do what it is there for.
    Unhealthy,
}

impl Health {
    /// As text: `healthy`, `degraded`, `unhealthy`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// From when on a subsystem is degraded, and from when on unhealthy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// Messages in the mailbox, as a share of its capacity: 0.8 and 1.0. Not where the oldest are pushed out of a full one.
    pub queue: [f64; 2],
    /// Failed messages, if there are two at least, as a share of those handled and failed in the last 5 to 10 seconds: 0.05 and 0.1. As far
    /// as it was looked at: the first look only begins to count, and of rare looks each is a window.
    pub failures: [f64; 2],
    /// How long the message in hand has been there, as far as it was looked at: 5 s and 30 s.
    pub in_hand: [Duration; 2],
}

impl Default for Thresholds {
    fn default() -> Self {
        let in_hand = [5, 30].map(Duration::from_secs);
        Self { queue: [0.8, 1.0], failures: [0.05, 0.1], in_hand }
    }
}

/// Which of two thresholds a value has reached.
fn reached<T: PartialOrd>(value: &T, [degraded, unhealthy]: &[T; 2]) -> Health {
    if value >= unhealthy {
        Health::Unhealthy
    } else if value >= degraded {
        Health::Degraded
    } else {
        Health::Healthy
    }
}

/// How long counts of failures are remembered: twice this at the most.
const WINDOW: Duration = Duration::from_secs(5);

/// What was seen of subsystems before, by their ids.
#[derive(Debug, Default)]
pub(crate) struct History {
    seen: HashMap<u64, Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    /// Counts of handled and failed messages, of two moments.
    older: Counts,
    newer: Counts,
    /// Since when the same message is in hand, at the latest.
    done: u64,
    in_hand_since: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Counts {
    at: Instant,
    handled: u64,
    failed: u64,
}

impl History {
    /// Looks at a subsystem. How it is, and why.
    pub(crate) fn assess(
        &mut self,
        now: Instant,
        one: &SubsystemInfo,
        thresholds: &Thresholds,
    ) -> (Health, Vec<String>) {
        let stats = &one.stats;
        let counts = Counts { at: now, handled: stats.handled, failed: stats.failed };
        let done = stats.handled + stats.failed + stats.expired + stats.undelivered;
        let new = Seen { older: counts, newer: counts, done, in_hand_since: None };
        let seen = self.seen.entry(one.id).or_insert(new);
        if now.duration_since(seen.newer.at) >= WINDOW {
            (seen.older, seen.newer) = (seen.newer, counts);
        }
        seen.in_hand_since = match stats.in_hand {
            0 => None,
            _ if done == seen.done => Some(seen.in_hand_since.unwrap_or(now)),
            _ => Some(now),
        };
        seen.done = done;

        // Where the oldest are pushed out a mailbox is meant to be full.
        let can_be_too_full = one.overflow != OverflowPolicy::DropOldest;
        let full = one.in_mailbox as f64 / (stats.capacity as f64).max(1.0);
        let fill = if can_be_too_full { full } else { 0.0 };
        let handled = counts.handled.saturating_sub(seen.older.handled);
        let failed = counts.failed.saturating_sub(seen.older.failed);
        // A single one is no rate.
        let failures = if failed < 2 { 0.0 } else { failed as f64 / (handled + failed) as f64 };
        let in_hand = seen.in_hand_since.map_or(Duration::ZERO, |since| now.duration_since(since));
        let signs = [
            (reached(&fill, &thresholds.queue), format!("its mailbox is {} % full", (fill * 100.0) as u64)),
            (
                reached(&failures, &thresholds.failures),
                format!("{:.0} % of its messages fail", failures * 100.0),
            ),
            (reached(&in_hand, &thresholds.in_hand), format!("a message has been in hand for {in_hand:.0?}")),
        ];
        let health = signs.iter().map(|(health, _)| *health).max().unwrap_or_default();
        let bad = signs.into_iter().filter(|(health, _)| *health > Health::Healthy);
        (health, bad.map(|(_, reason)| reason).collect())
    }

    /// Forgets those that have ended.
    pub(crate) fn retain(&mut self, there: HashSet<u64>) {
        self.seen.retain(|id, _| there.contains(id));
    }
}
