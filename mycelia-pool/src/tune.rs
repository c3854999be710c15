//! How a pool gives back by itself what it does not need any more.
//!
//! It remembers the most slots that were out lately: a mark that halves every 30 seconds. Chunks beyond twice that mark go back when
//! they are empty, one at most for each 4096 releases. To find empty ones among slots that come back in any order, a step
//! sorts some of the free slots by their chunks; and slots that are sorted are used last, and of the first chunks first.

use std::time::{Duration, Instant};

/// How many releases of one thread lead to one step.
pub(crate) const TUNED_EVERY: u64 = if cfg!(mycelia_loom) { u64::MAX } else { 4096 };
/// Slots sorted in one step.
pub(crate) const SORTED: usize = 2048;
const HALVES_EVERY: Duration = Duration::from_secs(30);
/// After steps that found nothing to give back the next is left out, then the next two, four, and so on up to this power of two.
const MOST_PATIENT: u32 = 6;

/// The mark, and how the last steps went.
pub(crate) struct Tuning {
    most: u64,
    /// When it was halved last.
    since: Option<Instant>,
    /// Steps that gave nothing back, in a row.
    vain: u32,
    /// Steps to be left out.
    pause: u32,
}

impl Tuning {
    pub(crate) const fn new() -> Self {
        Self { most: 0, since: None, vain: 0, pause: 0 }
    }

    /// The mark at this moment, when so many are out, or were since the last look.
    pub(crate) fn mark(&mut self, out: u64, now: Instant) -> u64 {
        let since = *self.since.get_or_insert(now);
        let halvings = now.saturating_duration_since(since).as_secs() / HALVES_EVERY.as_secs();
        if halvings > 0 {
            self.most = self.most.checked_shr(u32::try_from(halvings).unwrap_or(u32::MAX)).unwrap_or(0);
            self.since = Some(now);
        }
        self.most = self.most.max(out);
        self.most
    }

    /// True if this step is to be left out.
    pub(crate) fn pauses(&mut self) -> bool {
        let pauses = self.pause > 0;
        self.pause = self.pause.saturating_sub(1);
        pauses
    }

    /// Notes whether a step was of use. True if it is time to empty the threads' caches: their slots may keep chunks from going.
    pub(crate) fn note(&mut self, was_of_use: bool) -> bool {
        if was_of_use {
            self.vain = 0;
            return false;
        }
        self.pause = (1 << self.vain) - 1;
        self.vain = (self.vain + 1).min(MOST_PATIENT);
        self.vain > 1
    }
}

#[cfg(all(test, not(mycelia_loom)))]
mod tests {
    use super::{Duration, HALVES_EVERY, Instant, Tuning};
    use crate::builder::{Builder, Exhaustion};
    use crate::pool::Pool;

    const BURST: usize = if cfg!(miri) { 2_000 } else { 50_000 };

    fn builder() -> Builder<Vec<u8>> {
        Pool::builder()
    }

    /// A pool after a burst that is over, and that was a while ago.
    fn after_a_burst(builder: Builder<Vec<u8>>, order: impl Fn(usize) -> usize) -> (Pool<Vec<u8>>, Instant) {
        let (pool, start) = (builder.build(), Instant::now());
        let mut guards: Vec<_> = (0..BURST).map(|_| pool.acquire().ok()).collect();
        pool.tune(start);
        assert_eq!(pool.stats().mark, BURST as u64);
        (0..BURST).for_each(|n| drop(guards[order(n)].take()));
        drop(guards);
        pool.tune(start + HALVES_EVERY);
        (pool, start + HALVES_EVERY * 40)
    }

    /// How many slots are left in the end, and after how many steps.
    fn settled(pool: &Pool<Vec<u8>>, now: Instant, largest: usize) -> (u64, u64) {
        let mut steps = 0;
        let mut last = (0, pool.stats().created);
        // The pauses between steps in vain are 64 steps at most.
        while steps - last.0 < 300 {
            let before = pool.stats().created;
            // What a load does meanwhile.
            drop((pool.acquire(), pool.acquire()));
            pool.tune(now);
            steps += 1;
            let created = pool.stats().created;
            assert!(before - created <= largest as u64, "one chunk at a time");
            if created != last.1 {
                last = (steps, created);
            }
        }
        assert_eq!(pool.stats().in_use, 0);
        (last.1, last.0)
    }

    #[test]
    fn what_a_burst_has_left_goes_back_by_itself_in_whatever_order_it_came() {
        let scattered = |n: usize| n * 7919 % BURST;
        for exhaustion in [Exhaustion::Grow, Exhaustion::Fail] {
            for order in
                [|n| n, |n| BURST - 1 - n, scattered].into_iter().skip(if cfg!(miri) { 2 } else { 0 })
            {
                let (pool, now) = after_a_burst(builder().exhaustion(exhaustion), order);
                let created = pool.stats().created;
                assert!(created >= BURST as u64 - 1024, "the mark is still high");
                let (left, steps) = settled(&pool, now, 1024);
                assert!(left <= 2 * 1024, "{left} left");
                assert!(steps <= created / 1024 * 3 + 100, "{steps} steps");
                assert!(pool.stats().trimmed >= created - left);
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "many thousand slots, again and again: half an hour under miri")]
    fn twice_the_mark_stays_and_what_was_made_beforehand_and_what_is_to_be_kept() {
        let half = |left| (BURST as u64 / 2..BURST as u64 / 2 + 2048).contains(&left);
        let (pool, now) = after_a_burst(builder(), |n| n);
        let some: Vec<_> = (0..BURST / 4).map(|_| pool.acquire().unwrap()).collect();
        let left = settled_with(&pool, now);
        assert!(half(left), "{left}");
        drop(some);
        for builder in [builder().warm(BURST / 2), builder().keep(BURST / 2)] {
            let (pool, now) = after_a_burst(builder, |n| n);
            let left = settled(&pool, now, BURST / 2).0;
            assert!(half(left), "{left}");
        }
        let (pool, now) = after_a_burst(builder().no_trim(), |n| n);
        assert!(settled(&pool, now, 0).0 >= BURST as u64);
        assert_eq!(pool.stats().trimmed, 0);
    }

    fn settled_with(pool: &Pool<Vec<u8>>, now: Instant) -> u64 {
        (0..1000).for_each(|_| pool.tune(now));
        pool.stats().created
    }

    #[test]
    fn it_is_the_thread_that_releases_which_does_it() {
        let pool = builder().build();
        drop((0..100).map(|_| pool.acquire()).collect::<Vec<_>>());
        let mark = || pool.stats().mark;
        assert_eq!(mark(), 0, "no step yet");
        (0..super::TUNED_EVERY).for_each(|_| drop(pool.acquire()));
        // As exact as `high_water`.
        assert!((36..=100).contains(&mark()), "{}", mark());
    }

    #[test]
    fn the_mark_halves_every_thirty_seconds_and_rises_at_once() {
        let (mut tuning, start) = (Tuning::new(), Instant::now());
        let mut at = |seconds, out| tuning.mark(out, start + Duration::from_secs(seconds));
        assert_eq!(
            [at(0, 1000), at(29, 10), at(30, 10), at(59, 10), at(60, 10)],
            [1000, 1000, 500, 500, 250]
        );
        assert_eq!([at(61, 700), at(150, 10), at(100_000, 10)], [700, 87, 10]);
    }

    #[test]
    fn steps_in_vain_become_rare() {
        let mut tuning = Tuning::new();
        tuning.mark(0, Instant::now() + HALVES_EVERY);
        let mut steps = 0;
        for _ in 0..10_000 {
            if !tuning.pauses() {
                steps += 1;
                tuning.note(false);
            }
        }
        assert!((150..170).contains(&steps), "{steps}");
        tuning.note(true);
        while tuning.pauses() {}
        assert!(!tuning.pauses());
    }
}
