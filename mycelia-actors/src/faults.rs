//! Faults on purpose, for tests.

/// How often, between 0.0 and 1.0, something happens to a message that a subsystem has taken out of its mailbox. For tests: see
/// [`Builder::faults`](crate::Builder::faults), and the crate `mycelia-testkit`.
///
/// Which messages it happens to is up to the runtime's [seed](crate::Builder::seed). With any faults, even none, each subsystem takes
/// one message at a time (or one [batch](crate::Handler::BATCH)) and lets all others run after it. A panic fails all of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// It has to wait: up to 8 times all others that are ready run before it.
    pub delay: f64,
    /// It is lost, and counted as evicted.
    pub drop: f64,
    /// Its handler panics before it has done anything.
    pub panic: f64,
}

/// What happens to one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// So many turns go by.
    Delay(u32),
    Drop,
    Panic,
}

impl Faults {
    /// What happens to the next message, by a row of random numbers.
    pub(crate) fn next(&self, mut random: impl FnMut() -> u64) -> Option<Fault> {
        let mut happens = |share: f64| (random() as f64 / u64::MAX as f64) < share;
        // Three numbers for each message, so that one share does not change what the others do.
        let (delay, drop, panic) = (happens(self.delay), happens(self.drop), happens(self.panic));
        if panic {
            Some(Fault::Panic)
        } else if drop {
            Some(Fault::Drop)
        } else {
            delay.then(|| Fault::Delay(random() as u32 % 8 + 1))
        }
    }
}
