//! When to give back memory that a burst has needed.

use std::sync::OnceLock;
use std::time::Instant;

/// Time is counted in quarters of a second.
const TICK_MILLIS: u128 = 250;
/// What grows again this soon after it was given back was given back too early.
const SOON: u16 = 4;
const MOST: u8 = 7;

/// Decides when a buffer that is much larger than what it holds is to give its memory back.
///
/// It does so at the first [`little`](Self::little) moment. If it has to [grow](Self::grow) again within a second, it waits for two such moments in a
/// row the next time, then for four, and so on up to 128; so a load of bursts finds its memory there. Growing later than that, it
/// begins anew.
///
/// Four bytes; reads the clock only when memory is given back, and at the first growth afterwards.
///
/// ```
/// use mycelia_core::Patience;
///
/// let mut patience = Patience::default();
/// assert!(patience.little(), "the first time at once");
/// patience.grow();
/// assert_eq!([patience.little(), patience.little()], [false, true]);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Patience {
    /// When memory was given back; 0 if it was not, since the last growth.
    given_back: u16,
    /// How many moments in a row there was little in it.
    few: u8,
    /// How many there must be: a power of two.
    power: u8,
}

impl Patience {
    /// That of a buffer which has never given memory back.
    #[must_use]
    pub const fn new() -> Self {
        Self { given_back: 0, few: 0, power: 0 }
    }

    /// Notes a moment at which a small part of the buffer would have done. True if the buffer is to give its memory back.
    pub fn little(&mut self) -> bool {
        self.little_at(ticks)
    }

    /// Notes a moment at which the buffer was needed.
    pub fn much(&mut self) {
        self.few = 0;
    }

    /// Notes that the buffer grows beyond a small one.
    pub fn grow(&mut self) {
        if self.given_back != 0 {
            self.grow_at(ticks());
        }
    }

    fn little_at(&mut self, now: impl FnOnce() -> u16) -> bool {
        self.few += 1;
        if self.few < 1 << self.power {
            return false;
        }
        (self.few, self.given_back) = (0, now());
        true
    }

    #[cold]
    fn grow_at(&mut self, now: u16) {
        let is_soon = now.wrapping_sub(self.given_back) <= SOON;
        self.power = if is_soon { (self.power + 1).min(MOST) } else { 0 };
        (self.few, self.given_back) = (0, 0);
    }
}

/// Never 0. Begins anew after some hours, and then may take something for soon that is not.
fn ticks() -> u16 {
    static START: OnceLock<Instant> = OnceLock::new();
    let ticks = START.get_or_init(Instant::now).elapsed().as_millis() / TICK_MILLIS;
    (ticks as u16).max(1)
}

#[cfg(all(test, not(mycelia_loom)))]
mod tests {
    use super::{MOST, Patience, SOON};

    /// How many moments with little in it there are until memory is given back.
    fn waits(patience: &mut Patience, now: u16) -> u32 {
        (1..).find(|_| patience.little_at(|| now)).unwrap_or_default()
    }

    #[test]
    fn it_waits_longer_for_what_comes_again_soon_and_begins_anew_for_what_comes_late() {
        let mut patience = Patience::default();
        let mut now = 1;
        for power in 0..20 {
            assert_eq!(waits(&mut patience, now), 1 << power.min(u32::from(MOST)));
            now += SOON;
            patience.grow_at(now);
        }
        assert_eq!(waits(&mut patience, now), 1 << MOST);
        patience.grow_at(now + SOON + 1);
        assert_eq!(waits(&mut patience, now), 1);
    }

    #[test]
    fn only_moments_in_a_row_count() {
        let mut patience = Patience::default();
        assert!(patience.little());
        patience.grow();
        for _ in 0..100 {
            assert!(!patience.little());
            patience.much();
        }
        assert!(!patience.little());
        assert!(patience.little());
    }
}
