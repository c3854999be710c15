//! Chance that the seed decides, for each message anew: whichever thread asks, the message gets the same.

use fastrand::Rng;

/// What chance has for the message of this number.
pub(crate) fn of(seed: u64, number: u64) -> Rng {
    // Twice: the first draws of neighbouring seeds are neighbours themselves.
    let mixed = |seed| Rng::with_seed(seed).u64(..);
    Rng::with_seed(mixed(mixed(seed).wrapping_add(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_no_rhythm() {
        for seed in 0..10 {
            let rare: Vec<u64> = (0..20_000).filter(|&number| of(seed, number).f64() < 0.01).collect();
            let mut gaps: Vec<_> = rare.windows(2).map(|pair| pair[1] - pair[0]).collect();
            gaps.sort_unstable();
            let most = gaps.chunk_by(|one, other| one == other).map(<[u64]>::len).max().unwrap();
            assert!(rare.len().abs_diff(200) < 60 && most < 15, "seed {seed}: {} and {most}", rare.len());
        }
    }
}
