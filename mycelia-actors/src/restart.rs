//! When a subsystem that has panicked gets a new state.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How often a subsystem that panics is given a new state from its factory, and how soon.
///
/// The restart happens inside the same task: mailbox, batch in hand, waiting senders and addresses stay. Only the message
/// that was in hand is lost (*failed*), and its asker told.
///
/// ```
/// use std::time::Duration;
/// use mycelia_actors::prelude::*;
///
/// // At most 3 in 5 seconds (the default); the first at once, then after 100 ms, 200 ms, … up to 2 s.
/// let restart = Restart::one_for_one()
///     .at_most(3, Duration::from_secs(5))
///     .backoff(Duration::from_millis(100), Duration::from_secs(2));
/// # let _ = restart;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Restart {
    most: u32,
    within: Duration,
    first: Duration,
    longest: Duration,
}

impl Restart {
    /// Restarts only the subsystem that panicked: at most 3 times in 5 seconds, without a pause.
    pub fn one_for_one() -> Self {
        Self { most: 3, within: Duration::from_secs(5), first: Duration::ZERO, longest: Duration::ZERO }
    }

    /// Ends the subsystem at the restart that would be one more than `most` within this time.
    pub fn at_most(mut self, most: u32, within: Duration) -> Self {
        self.most = most;
        self.within = within;
        self
    }

    /// Waits before the second restart in a row, and twice as long before each one after it, up to `longest`.
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.first = first;
        self.longest = longest;
        self
    }
}

impl Default for Restart {
    fn default() -> Self {
        Self::one_for_one()
    }
}

/// The restarts there were lately.
pub(crate) struct Record {
    restart: Restart,
    lately: VecDeque<Instant>,
}

impl Record {
    pub(crate) fn new(restart: Restart) -> Self {
        Self { restart, lately: VecDeque::new() }
    }

    /// How long to wait before another restart at this time; `None` if it would be one too many.
    pub(crate) fn another(&mut self, now: Instant) -> Option<Duration> {
        while self.lately.front().is_some_and(|&then| now.duration_since(then) > self.restart.within) {
            self.lately.pop_front();
        }
        let before = self.lately.len() as u32;
        if before >= self.restart.most {
            return None;
        }
        self.lately.push_back(now);
        let doublings = before.checked_sub(1);
        let pause = doublings.map(|times| self.restart.first.saturating_mul(1 << times.min(31)));
        Some(pause.unwrap_or(Duration::ZERO).min(self.restart.longest))
    }
}

#[cfg(all(test, not(mycelia_loom)))]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_then_it_is_enough() {
        let (second, now) = (Duration::from_secs(1), Instant::now());
        let mut record =
            Record::new(Restart::one_for_one().at_most(5, 60 * second).backoff(second, 3 * second));
        let pauses: Vec<_> = (0..6).map(|_| record.another(now)).collect();
        let expected = [0, 1, 2, 3, 3].map(|seconds| Some(seconds * second));
        assert_eq!((&pauses[..5], pauses[5]), (&expected[..], None));
        assert_eq!(record.another(now + 61 * second), Some(Duration::ZERO), "the old ones are forgotten");
    }
}
