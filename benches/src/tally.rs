//! What an actor keeps in every scene: how many messages it handled, and what they add up to.

use std::ops::AddAssign;
use std::sync::Arc;

use crate::failure::Failure;
use crate::latch::Latch;

/// The state of every contender's actor. All its handlers do is [`add`](Self::add).
#[derive(Debug)]
pub struct Tally {
    report: Report,
    left: u64,
    quota: u64,
    latch: Arc<Latch>,
}

impl Tally {
    /// A tally that counts the latch down each time `quota` more messages have been handled.
    pub fn new(quota: u64, latch: &Arc<Latch>) -> Self {
        Self { report: Report::default(), left: quota, quota, latch: Arc::clone(latch) }
    }

    /// A tally for actors that are only ever asked.
    pub fn without_quota() -> Self {
        Self::new(u64::MAX, &Latch::new())
    }

    /// Handles one message.
    #[inline]
    pub fn add(&mut self, number: u64) {
        self.report.handled += 1;
        self.report.sum = self.report.sum.wrapping_add(number);
        self.left -= 1;
        if self.left == 0 {
            self.left = self.quota;
            self.latch.count_down();
        }
    }

    /// The sum so far.
    #[inline]
    pub fn sum(&self) -> u64 {
        self.report.sum
    }

    /// Tells the scene that the token has come to its end.
    pub fn finish(&self) {
        self.latch.count_down();
    }

    /// What was handled so far.
    pub fn report(&self) -> Report {
        self.report
    }
}

/// What one actor handled, or several together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Messages handled.
    pub handled: u64,
    /// The sum of their numbers.
    pub sum: u64,
}

impl Report {
    /// Holds if the numbers `0..sent` were handled, each once.
    pub fn verify(self, sent: u64) -> Result<(), Failure> {
        self.verify_sum(sent, (0..sent).sum())
    }

    /// Holds if as many were handled as were sent, and their numbers add up to the same.
    pub fn verify_sum(self, sent: u64, sum_sent: u64) -> Result<(), Failure> {
        if self == (Self { handled: sent, sum: sum_sent }) {
            return Ok(());
        }
        Err(Failure::Unequal { sent, handled: self.handled, sum_sent, sum_handled: self.sum })
    }
}

impl AddAssign for Report {
    fn add_assign(&mut self, other: Self) {
        self.handled += other.handled;
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

#[cfg(test)]
mod tests {
    use super::{Report, Tally};

    #[test]
    fn a_lost_a_doubled_and_a_wrong_message_are_all_found() {
        let handled = |numbers: &[u64]| {
            let mut tally = Tally::without_quota();
            numbers.iter().for_each(|&number| tally.add(number));
            tally.report().verify(4).is_ok()
        };
        assert!(handled(&[0, 1, 2, 3]));
        assert!(!handled(&[0, 1, 2]));
        assert!(!handled(&[0, 1, 2, 3, 3]));
        assert!(!handled(&[0, 1, 3, 3]));
        assert!(Report::default().verify(0).is_ok());
        let seven_twice = Report { handled: 2, sum: 14 };
        assert!(seven_twice.verify_sum(2, 14).is_ok());
        assert!(seven_twice.verify_sum(3, 14).is_err() && seven_twice.verify_sum(2, 15).is_err());
    }
}
