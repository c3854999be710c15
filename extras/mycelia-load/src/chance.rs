//! Chance that the seed decides, for each message anew: whichever thread asks, the message gets the same.

use fastrand::Rng;

/// What chance has for the message of this number.
pub(crate) fn of(seed: u64, number: u64) -> Rng {
    // Neighbouring seeds are to have nothing in common.
    Rng::with_seed(Rng::with_seed(seed).u64(..).wrapping_add(number))
}
