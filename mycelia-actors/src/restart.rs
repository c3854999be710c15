//! When a subsystem that has failed gets a new state, and who else does.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How often a subsystem that fails is given a new state from its factory, how soon, and who else is then.
///
/// The restart happens inside the same task: mailbox, batch in hand, waiting senders and addresses stay. Only the message that was
/// in hand is lost (*failed*), and its asker told; and what its state had under way beside the mailbox, which belongs to that state. (Work
/// that is not to be lost with it belongs into a subsystem of its own: a child for each job, say, or one that pipes and does nothing else.)
///
/// Between two states, in this order: side tasks are told to end, and waited for (a second at most; one that blocks its thread is
/// abandoned then); children are stopped, with all of theirs: each handles its message in hand, within 5 seconds; the old state is dropped; then, after the pause, the factory makes the next
/// state, and its `started` runs. So ports, files and locks of the old state are free. Messages that side tasks of the old state have
/// sent expire ([`TaskHandle::across_restarts`](crate::TaskHandle::across_restarts) says otherwise); all others stay. Whom the old
/// state watched, the new one does not.
///
/// | what fails | with a factory | without |
/// |---|---|---|
/// | a handler or [`started`](crate::Subsystem::started) panics | restarts, up to its limit; then *fails for good* | ends |
/// | the factory panics | as a panic; there is no state until one succeeds | |
/// | `started` returns an error: the first time | ends | ends |
/// | … in a restart | as a panic | |
/// | a child fails for good | as a panic, after the message in hand | ends, and fails its own parent |
///
/// One that fails for good ends as [`Exit::Panicked`](crate::Exit) or [`Exit::StartFailed`](crate::Exit), is logged as an error, and
/// fails its parent, unless it [escalates](Self::escalate) nothing or was told to stop. One that just ends fails nobody: the
/// parent may [watch](crate::Context::watch) it, and whoever has its address can await its end. (To watch a child does not keep the
/// parent from failing with it.)
///
/// ```
/// use std::time::Duration;
/// use mycelia_actors::prelude::*;
///
/// struct Office;
/// struct Printer;
///
/// impl Subsystem for Printer {}
/// impl Subsystem for Office {
///     async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
///         // A panic of the printer is its own affair, at most 3 times in 5 seconds (the default); the first restart is at once,
///         // the next ones after about 100 ms, 200 ms, … up to 2 s. One panic more is the office's.
///         let restart = Restart::one_for_one()
///             .at_most(3, Duration::from_secs(5))
///             .backoff(Duration::from_millis(100), Duration::from_secs(2));
///         cx.configure("printer").restart(restart).spawn_with(|| Printer)?;
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let runtime = Runtime::new();
/// runtime.configure("office").restart(Restart::one_for_one()).spawn_with(|| Office)?;
/// runtime.shutdown().await?;
/// # Ok(())
/// # }
/// ```
///
/// These are the supervisors of Erlang/OTP, with the strategy chosen by each child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Restart {
    others: Others,
    most: u32,
    within: Duration,
    first: Duration,
    longest: Duration,
    escalates: bool,
}

/// Who restarts beside the one that has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Others {
    Nobody,
    Siblings,
    LaterSiblings,
}

impl Restart {
    /// Restarts only the subsystem that has failed: at most 3 times in 5 seconds, without a pause.
    pub fn one_for_one() -> Self {
        Self {
            others: Others::Nobody,
            most: 3,
            within: Duration::from_secs(5),
            first: Duration::ZERO,
            longest: Duration::ZERO,
            escalates: true,
        }
    }

    /// Restarts its siblings, too: all that the same parent (or the runtime) has spawned from factories, each after its message in
    /// hand. Their own limits do not count it.
    pub fn one_for_all() -> Self {
        Self { others: Others::Siblings, ..Self::one_for_one() }
    }

    /// Restarts those of its siblings, too, that were spawned later. As [`one_for_all`](Self::one_for_all) otherwise.
    pub fn rest_for_one() -> Self {
        Self { others: Others::LaterSiblings, ..Self::one_for_one() }
    }

    /// Ends the subsystem at the restart that would be one more than `most` within this time. Only the time counts in which the
    /// subsystem runs, not that of pauses. (It remembers when each of these was: 16 bytes a restart.)
    pub fn at_most(mut self, most: u32, within: Duration) -> Self {
        self.most = most;
        self.within = within;
        self
    }

    /// Waits before the second restart in a row, and twice as long before each one after it, up to `longest`. A row ends when the
    /// subsystem has run without a failure for the longer of the window and the last pause. A subsystem that is stopping does not wait.
    ///
    /// Each pause is shortened by chance, to no less than its half, so that those who failed together do not come back together
    /// (the equal jitter of Marc Brooker's measurements; [`Builder::seed`](crate::Builder::seed) makes it repeatable).
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.first = first;
        self.longest = longest;
        self
    }

    /// Whether its parent fails when it has failed for good; yes, if this is not called.
    pub fn escalate(mut self, escalate: bool) -> Self {
        self.escalates = escalate;
        self
    }
}

impl Default for Restart {
    fn default() -> Self {
        Self::one_for_one()
    }
}

/// The restarts there were lately, on a clock that stands still while the subsystem does not run: a window then means the same however
/// long the pauses are.
pub(crate) struct Record {
    restart: Restart,
    /// For how long it has run so far, and since when it runs now.
    ran: Duration,
    began: Option<Instant>,
    /// When each of the latest failures was, by that clock.
    lately: VecDeque<Duration>,
    /// Failures in a row, and the last pause.
    in_a_row: u32,
    pause: Duration,
}

impl Record {
    pub(crate) fn new(restart: Restart) -> Self {
        let (ran, began, lately) = (Duration::ZERO, None, VecDeque::new());
        Self { restart, ran, began, lately, in_a_row: 0, pause: Duration::ZERO }
    }

    /// Whether its parent fails with it.
    pub(crate) fn escalates(&self) -> bool {
        self.restart.escalates
    }

    /// Who else restarts.
    pub(crate) fn others(&self) -> Others {
        self.restart.others
    }

    /// It runs from now on.
    pub(crate) fn began(&mut self, now: Instant) {
        self.ran(now);
        self.began = Some(now);
    }

    /// It does not run any more. For how long it has.
    fn ran(&mut self, now: Instant) -> Duration {
        let ran = self.began.take().map_or(Duration::ZERO, |began| now.duration_since(began));
        self.ran += ran;
        ran
    }

    /// It has failed. How long to wait before another restart; `None` if it would be one too many.
    pub(crate) fn failed(&mut self, now: Instant, chance: u64) -> Option<Duration> {
        let ran = self.ran(now);
        while self.lately.front().is_some_and(|&then| self.ran - then > self.restart.within) {
            self.lately.pop_front();
        }
        if self.lately.len() >= self.restart.most as usize {
            return None;
        }
        self.lately.push_back(self.ran);
        if !ran.is_zero() && ran >= self.restart.within.max(self.pause) {
            self.in_a_row = 0;
        }
        let doublings = self.in_a_row.checked_sub(1);
        self.in_a_row = self.in_a_row.saturating_add(1);
        let pause = doublings.map(|times| self.restart.first.saturating_mul(1 << times.min(31)));
        self.pause = pause.unwrap_or(Duration::ZERO).min(self.restart.longest);
        let half = self.pause / 2;
        Some(self.pause - half.mul_f64(chance as f64 / u64::MAX as f64).min(half))
    }
}

#[cfg(all(test, not(mycelia_loom)))]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn record() -> Record {
        Record::new(Restart::one_for_one().at_most(5, 60 * SECOND).backoff(SECOND, 3 * SECOND))
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_then_it_is_enough() {
        let now = Instant::now();
        for (chance, halves) in [(0, 2), (u64::MAX, 1)] {
            let mut record = record();
            let pauses: Vec<_> = (0..6).map(|_| record.failed(now, chance)).collect();
            let expected = [0, 1, 2, 3, 3].map(|seconds| Some(seconds * halves * SECOND / 2));
            assert_eq!((&pauses[..5], pauses[5]), (&expected[..], None));
            assert_eq!(record.failed(now + 61 * SECOND, chance), None, "it has not run since");
            record.began(now);
            let later = record.failed(now + 61 * SECOND, chance);
            assert_eq!(later, Some(Duration::ZERO), "the old ones are forgotten");
        }
    }

    #[test]
    fn the_longest_pauses_there_are_do_not_overflow() {
        let endless =
            Restart::one_for_one().at_most(u32::MAX, Duration::MAX).backoff(Duration::MAX, Duration::MAX);
        for chance in [0, 1, u64::MAX / 2, u64::MAX] {
            let mut record = Record::new(endless);
            for restart in 0..100 {
                let pause = record.failed(Instant::now(), chance).unwrap();
                assert!(restart == 0 || pause >= Duration::MAX / 2, "{pause:?}");
            }
        }
    }
}
