//! Whether subsystems are well.

use std::collections::HashMap;
use std::time::Duration;

use mycelia_actors::SubsystemInfo;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// How a subsystem is; the runtime is as the worst of them.
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
    /// Queued messages, as a share of the mailbox's capacity: 0.8 and 1.0.
    pub queue: [f64; 2],
    /// Failed messages, as a share of those handled and failed in the last 5 to 10 seconds (or since it was looked at): 0.05 and 0.1.
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
        let beginning = Counts { at: now, handled: 0, failed: 0 };
        let new = Seen { older: beginning, newer: beginning, done, in_hand_since: None };
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

        // The loop may have a batch more in its hands.
        let fill = (stats.queued as f64 / (stats.capacity as f64).max(1.0)).min(1.0);
        let (handled, failed) = (counts.handled - seen.older.handled, counts.failed - seen.older.failed);
        let failures = if failed == 0 { 0.0 } else { failed as f64 / (handled + failed) as f64 };
        let in_hand = seen.in_hand_since.map_or(Duration::ZERO, |since| now.duration_since(since));
        let signs = [
            (reached(&fill, &thresholds.queue), format!("its mailbox is {:.0} % full", fill * 100.0)),
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
    pub(crate) fn retain(&mut self, is_there: impl Fn(u64) -> bool) {
        self.seen.retain(|id, _| is_there(*id));
    }
}
