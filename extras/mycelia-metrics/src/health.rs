//! Whether subsystems are well: a state over time, by samples that are taken by the clock.

use std::collections::HashMap;
use std::time::Duration;

use foldhash::fast::RandomState;
use mycelia_actors::{SubsystemInfo, Survey};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::thresholds::{Thresholds, WINDOWS};

/// How a subsystem is; the runtime is as the worst of those that have not ended. (One that has failed for good is gone:
/// [`Snapshot::failed_ends`](crate::Snapshot::failed_ends) counts it, and the runtime's bus tells of it.)
///
/// What is healthy is said by [`Thresholds`]. A subsystem that is suspended is healthy: [`State::Suspended`](crate::State) says that it
/// handles nothing.
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

/// What subsystems did lately, by their ids.
///
/// Samples write it, which are taken by the clock. Looks only read it, so that no verdict depends on who looks, or how often.
///
/// ```text
///   window     │  7  │  8  │  9  │ 10  │ 11  │ 12  │
///   samples    │·····│·····│·····│·····│·····│···  │      what came between two samples counts for the window of the first
///                                               └┴─ look: what came since the last sample counts as well
/// ```
#[derive(Debug)]
pub(crate) struct History {
    thresholds: Thresholds,
    /// Windows are counted from here.
    began: Instant,
    sampled_at: Option<Instant>,
    seen: HashMap<u64, Seen, RandomState>,
}

/// One subsystem, as it was at the last sample. Some 100 bytes, and 250 more if it did something lately.
#[derive(Debug, Default)]
struct Seen {
    counts: Counts,
    /// Set by a sample, and taken at its end.
    is_there: bool,
    was_suspended: bool,
    /// Since which sample it has had something to do, and done nothing.
    stalled_since: Option<Instant>,
    /// Since which sample the same message is in hand.
    in_hand_since: Option<Instant>,
    lately: Option<Box<Lately>>,
}

/// What was counted in the last windows.
#[derive(Debug, Default)]
struct Lately {
    newest: u64,
    windows: [Counts; WINDOWS as usize],
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counts {
    sent: u64,
    refused: u64,
    handled: u64,
    failed: u64,
    /// Whatever has left its hands.
    done: u64,
}

impl Counts {
    fn of(one: &SubsystemInfo) -> Self {
        let stats = &one.stats;
        Self {
            sent: stats.sent,
            refused: stats.returned + stats.discarded + stats.evicted,
            handled: stats.handled,
            failed: stats.failed,
            done: stats.handled + stats.failed + stats.expired + stats.undelivered,
        }
    }

    /// What was counted since then.
    fn since(&self, then: &Self) -> Self {
        Self {
            sent: self.sent.saturating_sub(then.sent),
            refused: self.refused.saturating_sub(then.refused),
            handled: self.handled.saturating_sub(then.handled),
            failed: self.failed.saturating_sub(then.failed),
            done: self.done.saturating_sub(then.done),
        }
    }

    fn add(&mut self, more: &Self) {
        self.sent += more.sent;
        self.refused += more.refused;
        self.handled += more.handled;
        self.failed += more.failed;
        self.done += more.done;
    }
}

impl History {
    pub(crate) fn new(thresholds: Thresholds, now: Instant) -> Self {
        Self { thresholds, began: now, sampled_at: None, seen: HashMap::default() }
    }

    /// When the last sample was taken.
    pub(crate) fn sampled_at(&self) -> Option<Instant> {
        self.sampled_at
    }

    /// Takes a sample of all subsystems.
    pub(crate) fn sample(&mut self, now: Instant, survey: &Survey) {
        let (window, newest) = (self.window(self.sampled_at.unwrap_or(now)), self.window(now));
        let is_first = self.sampled_at.is_none();
        for one in &survey.subsystems {
            let counts = Counts::of(one);
            // A subsystem that was not there at the last sample had nothing then. Before the first it is not known what is recent.
            let before = if is_first { counts } else { Counts::default() };
            let seen = self.seen.entry(one.id).or_insert_with(|| Seen { counts: before, ..Seen::default() });
            seen.sample(now, one, counts, window, newest);
        }
        // Those that have ended are forgotten, and the memory of a burst is given back.
        self.seen.retain(|_, seen| std::mem::take(&mut seen.is_there));
        if self.seen.capacity() / 4 > self.seen.len() {
            self.seen.shrink_to(self.seen.len() * 2);
        }
        self.sampled_at = Some(now);
    }

    /// How a subsystem is, and why.
    pub(crate) fn assess(&self, now: Instant, one: &SubsystemInfo) -> (Health, Vec<String>) {
        // It does what it was told to.
        if one.is_suspended {
            return (Health::Healthy, Vec::new());
        }
        let new = Seen::default();
        let (seen, counts) = (self.seen.get(&one.id).unwrap_or(&new), Counts::of(one));
        let mut lately = seen.recent(&counts, one);
        if self.window(self.sampled_at.unwrap_or(now)) + WINDOWS <= self.window(now) {
            lately = Counts::default();
        }
        seen.lately.iter().for_each(|windows| lately.add(&windows.sum(self.window(now))));
        let unchanged = |since: Option<Instant>| {
            let since = since.filter(|_| counts.done == seen.counts.done);
            since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
        };
        let in_hand = match one.stats.in_hand {
            0 => Duration::ZERO,
            _ => unchanged(seen.in_hand_since).max(one.in_hand_for.unwrap_or_default()),
        };
        let is_full = one.in_mailbox >= one.stats.capacity || one.stats.waiting > 0;
        let stalled = if is_full { unchanged(seen.stalled_since).max(in_hand) } else { Duration::ZERO };

        let Thresholds { stalled: most_stalled, in_hand: most_in_hand, window, .. } = self.thresholds;
        let Thresholds { refused, failed, min_messages, .. } = self.thresholds;
        let settled = lately.handled + lately.failed;
        let is_over =
            |part: u64, whole: u64, share: f64| whole >= min_messages && part as f64 > share * whole as f64;
        let percent = |part: u64, whole: u64| part as f64 * 100.0 / whole.max(1) as f64;
        let mut reasons = Vec::new();
        if stalled >= most_stalled && is_full {
            reasons.push(format!("its mailbox is full, and nothing was handled for {stalled:.0?}"));
        }
        if in_hand >= most_in_hand && one.stats.in_hand > 0 {
            reasons.push(format!("a message has been in hand for {in_hand:.0?}"));
        }
        let health = if reasons.is_empty() { Health::Degraded } else { Health::Unhealthy };
        if is_over(lately.refused, lately.sent, refused) {
            let percent = percent(lately.refused, lately.sent);
            reasons.push(format!(
                "{percent:.0} % of its messages were refused or evicted in the last {window:.0?}"
            ));
        }
        if is_over(lately.failed, settled, failed) {
            let percent = percent(lately.failed, settled);
            reasons.push(format!("{percent:.0} % of its messages failed in the last {window:.0?}"));
        }
        (if reasons.is_empty() { Health::Healthy } else { health }, reasons)
    }

    fn window(&self, at: Instant) -> u64 {
        let length = (self.thresholds.window / WINDOWS as u32).max(Duration::from_millis(1));
        (at.saturating_duration_since(self.began).as_nanos() / length.as_nanos()) as u64
    }
}

impl Seen {
    /// Takes another sample. What was counted since the last belongs to `window`; `newest` is the present one.
    fn sample(&mut self, now: Instant, one: &SubsystemInfo, counts: Counts, window: u64, newest: u64) {
        let recent = self.recent(&counts, one);
        if recent != Counts::default() {
            self.lately.get_or_insert_default().add(window, &recent);
        }
        // Memory is given back.
        self.lately.take_if(|lately| lately.newest + WINDOWS <= newest);
        let has_moved = counts.done != self.counts.done || one.is_suspended;
        let since = |before: Option<Instant>, holds: bool| match holds && !one.is_suspended {
            true => before.filter(|_| !has_moved).or(Some(now)),
            false => None,
        };
        self.stalled_since = since(self.stalled_since, one.stats.queued + one.stats.in_hand > 0);
        self.in_hand_since = since(self.in_hand_since, one.stats.in_hand > 0);
        (self.counts, self.was_suspended, self.is_there) = (counts, one.is_suspended, true);
    }

    /// What was counted since the last sample, and speaks for or against it: neither what it did while it was suspended, nor what it
    /// refuses because it is to end.
    fn recent(&self, counts: &Counts, one: &SubsystemInfo) -> Counts {
        if self.was_suspended || one.is_suspended {
            return Counts::default();
        }
        let recent = counts.since(&self.counts);
        if one.is_stopping { Counts { refused: 0, ..recent } } else { recent }
    }
}

impl Lately {
    fn add(&mut self, window: u64, more: &Counts) {
        for new in (self.newest + 1).max((window + 1).saturating_sub(WINDOWS))..=window {
            self.windows[(new % WINDOWS) as usize] = Counts::default();
        }
        self.newest = self.newest.max(window);
        self.windows[(window % WINDOWS) as usize].add(more);
    }

    /// The sum of those that belong to the last windows, of which `newest` is the newest.
    fn sum(&self, newest: u64) -> Counts {
        let mut sum = Counts::default();
        for window in (newest + 1).saturating_sub(WINDOWS)..=self.newest.min(newest) {
            sum.add(&self.windows[(window % WINDOWS) as usize]);
        }
        sum
    }
}
