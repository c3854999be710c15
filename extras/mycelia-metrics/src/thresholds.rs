//! From when on a subsystem is not healthy.

use std::time::Duration;

/// Windows that shares are counted in. The oldest is forgotten as a whole.
pub(crate) const WINDOWS: u64 = 6;

/// From when on a subsystem is degraded or unhealthy.
///
/// | verdict | when | default |
/// |---|---|---|
/// | unhealthy | its mailbox is full, and nothing was handled for `stalled` | 5 s |
/// | unhealthy | one message has been in hand for `in_hand` | 30 s |
/// | degraded | more than `refused` of what came within `window` was refused or evicted | 0.1, 60 s |
/// | degraded | more than `failed` of what was handled within `window` failed | 0.05, 60 s |
///
/// Shares are of at least `min_messages` messages (20). A subsystem that is suspended is not judged.
///
/// Time is cut into windows by the clock, six of `window` / 6, and samples are taken once a second, or less often if there are more than
/// 20 000 subsystems (once in ten seconds, from 200 000 on). So `window` is the last 50 to 60 s, and a stall may be noticed a sample late.
///
/// ```
/// use std::time::Duration;
/// use mycelia_metrics::{Settings, Thresholds};
///
/// let thresholds = Thresholds::default().in_hand(Duration::from_secs(120)).failed(0.2);
/// let settings = Settings::default().thresholds(thresholds);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
#[must_use]
pub struct Thresholds {
    /// How long a subsystem with a full mailbox may handle nothing.
    pub stalled: Duration,
    /// How long one message may be in hand.
    pub in_hand: Duration,
    /// How long messages count for the shares.
    pub window: Duration,
    /// The share of refused and evicted messages, 0 to 1, among those that came.
    pub refused: f64,
    /// The share of failed messages, 0 to 1, among those that were handled or failed.
    pub failed: f64,
    /// The fewest messages that have a share.
    pub min_messages: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        let [stalled, in_hand, window] = [5, 30, 60].map(Duration::from_secs);
        Self { stalled, in_hand, window, refused: 0.1, failed: 0.05, min_messages: 20 }
    }
}

impl Thresholds {
    /// Sets [`stalled`](Self::stalled): unhealthy from then on.
    pub fn stalled(mut self, stalled: Duration) -> Self {
        self.stalled = stalled;
        self
    }

    /// Sets [`in_hand`](Self::in_hand): unhealthy from then on.
    pub fn in_hand(mut self, in_hand: Duration) -> Self {
        self.in_hand = in_hand;
        self
    }

    /// Sets [`window`](Self::window). Below six seconds it is coarse, for a sixth of it is not longer than a sample.
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// Sets [`refused`](Self::refused): degraded if it is more. 1 is never.
    pub fn refused(mut self, share: f64) -> Self {
        self.refused = share;
        self
    }

    /// Sets [`failed`](Self::failed): degraded if it is more. 1 is never.
    pub fn failed(mut self, share: f64) -> Self {
        self.failed = share;
        self
    }

    /// Sets [`min_messages`](Self::min_messages).
    pub fn min_messages(mut self, min_messages: u64) -> Self {
        self.min_messages = min_messages;
        self
    }
}
