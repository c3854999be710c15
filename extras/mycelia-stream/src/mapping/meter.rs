//! What an evaluation may use up.

use std::time::{Duration, Instant};

/// How much one evaluation may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    pub(crate) time: Duration,
    pub(crate) memory: usize,
}

/// The limit that was hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exceeded {
    Time,
    Memory,
}

/// Bytes that are looked through between two looks at the clock: some tenth of a millisecond.
const BETWEEN: usize = 1 << 18;

/// Counts what a native evaluation uses. Nothing in it loops but over texts and arrays, so their sizes say when to look at the clock;
/// an expression that handles less than a quarter of a megabyte never does.
pub(crate) struct Meter {
    budget: Budget,
    made: usize,
    read: usize,
    next_look: usize,
    began: Option<Instant>,
}

impl Meter {
    pub(crate) fn new(budget: Budget) -> Self {
        Self { budget, made: 0, read: 0, next_look: BETWEEN, began: None }
    }

    /// So many bytes are about to be made. All of one evaluation count, as if they were kept until its end.
    #[inline]
    pub(crate) fn make(&mut self, bytes: usize) -> Result<(), Exceeded> {
        self.made = self.made.saturating_add(bytes);
        if self.made > self.budget.memory { Err(Exceeded::Memory) } else { self.read(bytes) }
    }

    /// So many bytes are about to be looked through.
    #[inline]
    pub(crate) fn read(&mut self, bytes: usize) -> Result<(), Exceeded> {
        self.read = self.read.saturating_add(bytes);
        if self.read >= self.next_look { self.look() } else { Ok(()) }
    }

    #[cold]
    fn look(&mut self) -> Result<(), Exceeded> {
        self.next_look = self.read.saturating_add(BETWEEN);
        let now = Instant::now();
        let began = *self.began.get_or_insert(now);
        if now - began > self.budget.time { Err(Exceeded::Time) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_counts_altogether() {
        let mut meter = Meter::new(Budget { time: Duration::MAX, memory: 100 });
        assert_eq!(meter.make(60), Ok(()));
        assert_eq!(meter.read(1 << 30), Ok(()));
        assert_eq!(meter.make(40), Ok(()));
        assert_eq!(meter.make(1), Err(Exceeded::Memory));
        assert_eq!(meter.make(usize::MAX), Err(Exceeded::Memory));
    }

    #[test]
    fn whoever_reads_on_runs_out_of_time() {
        let mut meter = Meter::new(Budget { time: Duration::ZERO, memory: 0 });
        assert_eq!(meter.read(BETWEEN - 1), Ok(()));
        let mut done = Ok(());
        while done.is_ok() {
            done = meter.read(BETWEEN);
        }
        assert_eq!(done, Err(Exceeded::Time));
    }
}
