//! A quick no: whether a path could be one of a set, by its length and its last eight bytes.

/// A Bloom filter with one hash function (Bloom, 1970). It never says no to a path that was added; to others it says no about
/// fifteen times of sixteen.
#[derive(Clone, Default)]
pub(crate) struct Sieve {
    /// A power of two of words, or none.
    words: Vec<u64>,
    added: usize,
}

impl Sieve {
    /// Adds `path`. False if the sieve has no room for another: then it is to be made anew, with `for_all`.
    pub(crate) fn add(&mut self, path: &str) -> bool {
        if (self.added + 1) * 16 > self.words.len() * 64 {
            return false;
        }
        self.added += 1;
        let (word, bit) = self.place(path);
        self.words[word] |= bit;
        true
    }

    /// With room for twice as many.
    pub(crate) fn for_all<'a>(paths: impl ExactSizeIterator<Item = &'a str>) -> Self {
        let words = (paths.len().max(1) * 2 * 16).div_ceil(64).next_power_of_two();
        let mut sieve = Self { words: vec![0; words], added: 0 };
        for path in paths {
            sieve.add(path);
        }
        sieve
    }

    /// False if `path` was certainly not added.
    #[inline]
    pub(crate) fn may_have(&self, path: &str) -> bool {
        if self.words.is_empty() {
            return false;
        }
        let (word, bit) = self.place(path);
        self.words[word] & bit != 0
    }

    #[inline]
    fn place(&self, path: &str) -> (usize, u64) {
        let end = match path.as_bytes().last_chunk::<8>() {
            Some(end) => u64::from_le_bytes(*end),
            None => path.bytes().fold(0, |end, byte| end << 8 | u64::from(byte)),
        };
        // Multiplicative hashing (Knuth, volume 3), by the golden ratio; the upper bits are the good ones.
        let hash = (end ^ (path.len() as u64) << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let word = (hash >> 32) as usize & (self.words.len() - 1);
        (word, 1 << (hash >> 58))
    }
}
