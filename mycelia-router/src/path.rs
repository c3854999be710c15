//! Paths: their limits, and where their segments end.

use crate::error::PathError;

/// How many bytes a path, or a pattern, has at most.
pub const MAX_BYTES: usize = 2048;

/// How many segments a path, or a pattern, has at most.
pub const MAX_SEGMENTS: usize = 32;

/// Where the segments of a path end. A path that breaks a rule has none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segments {
    ends: [u16; MAX_SEGMENTS],
    count: u8,
}

impl Segments {
    /// Of a path without parameters, which nobody asks.
    pub(crate) const NONE: Self = Self { ends: [0; MAX_SEGMENTS], count: 0 };

    /// Cuts `path`, and checks every rule for paths on the way. Which one was broken, [`check`] says.
    #[inline]
    pub(crate) fn of(path: &str) -> Option<Self> {
        let bytes = path.as_bytes();
        if bytes.len() > MAX_BYTES {
            return None;
        }
        let mut cut = Cut { segments: Self::NONE, start: 0 };
        let mut suspicious = 0;
        let mut rest = bytes;
        let mut base = 0;
        // 64 bytes at a time: one bit for each slash.
        while rest.len() >= 8 {
            let mut slashes = 0;
            let mut width = 0;
            while let Some((word, after)) = rest.split_first_chunk::<8>() {
                if width == 64 {
                    break;
                }
                let word = u64::from_le_bytes(*word);
                suspicious |= unprintable(word);
                slashes |= slash_bits(word) << width;
                width += 8;
                rest = after;
            }
            cut.at_slashes(bytes, base, slashes)?;
            base += width as usize;
        }
        if !rest.is_empty() {
            let mut word = [b'-'; 8];
            word[..rest.len()].copy_from_slice(rest);
            let word = u64::from_le_bytes(word);
            suspicious |= unprintable(word);
            cut.at_slashes(bytes, base, slash_bits(word))?;
        }
        cut.end(bytes, bytes.len())?;
        (suspicious & HIGH_BITS == 0 || !path.chars().any(char::is_control)).then_some(cut.segments)
    }

    /// How many segments there are.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        usize::from(self.count)
    }

    /// Where segment `index` begins.
    #[inline]
    pub(crate) fn start(&self, index: usize) -> usize {
        if index == 0 { 0 } else { usize::from(self.ends[index - 1]) + 1 }
    }

    /// Where segment `index` ends.
    #[inline]
    pub(crate) fn end(&self, index: usize) -> usize {
        usize::from(self.ends[index])
    }
}

/// Segments in the making.
struct Cut {
    segments: Segments,
    start: usize,
}

impl Cut {
    #[inline]
    fn at_slashes(&mut self, bytes: &[u8], base: usize, mut slashes: u64) -> Option<()> {
        while slashes != 0 {
            let end = base + slashes.trailing_zeros() as usize;
            self.end(bytes, end)?;
            slashes &= slashes - 1;
        }
        Some(())
    }

    #[inline]
    fn end(&mut self, bytes: &[u8], end: usize) -> Option<()> {
        let length = end - self.start;
        if length <= 2 && (length == 0 || &bytes[self.start..end] == b"..") {
            return None;
        }
        *self.segments.ends.get_mut(usize::from(self.segments.count))? = end as u16;
        self.segments.count += 1;
        self.start = end + 1;
        Some(())
    }
}

const LOW_BITS: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGH_BITS: u64 = LOW_BITS << 7;

/// One bit for each of eight bytes: is it a slash? (Exact zero-byte test, then the bits gathered by a product: both from
/// Warren, "Hacker's Delight", and the collections around it.)
#[inline]
fn slash_bits(word: u64) -> u64 {
    let zero_where_slash = word ^ (LOW_BITS * b'/' as u64);
    let low_seven = (zero_where_slash & !HIGH_BITS) + !HIGH_BITS;
    let found = !(low_seven | zero_where_slash) & HIGH_BITS;
    (found >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

/// Sets a byte's high bit where the byte may be (part of) a control character: below space, delete, or not ASCII.
#[inline]
fn unprintable(word: u64) -> u64 {
    let from_space_on = (word | HIGH_BITS) - LOW_BITS * b' ' as u64;
    word | word.wrapping_add(LOW_BITS) | !from_space_on
}

/// Which rule `path` breaks, if any; the first from the left.
pub(crate) fn check(path: &str) -> Result<(), PathError> {
    if path.is_empty() {
        return Err(PathError::Empty);
    }
    if path.len() > MAX_BYTES {
        return Err(PathError::TooLong { bytes: path.len() });
    }
    if let Some((at, character)) = path.char_indices().find(|(_, character)| character.is_control()) {
        return Err(PathError::Control { at, character });
    }
    let mut at = 0;
    for segment in path.split('/') {
        match segment {
            "" => return Err(PathError::EmptySegment { at }),
            ".." => return Err(PathError::Parent { at }),
            _ => at += segment.len() + 1,
        }
    }
    match path.split('/').count() {
        segments if segments > MAX_SEGMENTS => Err(PathError::TooManySegments { segments }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(path: &str) -> Option<Vec<&str>> {
        let segments = Segments::of(path)?;
        Some((0..segments.count()).map(|index| &path[segments.start(index)..segments.end(index)]).collect())
    }

    proptest! {
        #[test]
        fn cuts_like_split_and_refuses_what_check_refuses(path in "([a-c/.\u{0}-\u{1f}\u{7f}-\u{a0}é]|(/[a-z.]{0,20})){0,40}") {
            let expected = check(&path).is_ok().then(|| path.split('/').collect::<Vec<_>>());
            prop_assert_eq!(cut(&path), expected);
        }

        #[test]
        fn cuts_long_paths(segments in prop::collection::vec("[a-z.é-]{1,90}", 1..36)) {
            let path = segments.join("/");
            let expected = check(&path).is_ok().then(|| path.split('/').collect::<Vec<_>>());
            prop_assert_eq!(cut(&path), expected);
        }
    }

    #[test]
    fn every_byte_at_every_place_of_a_word() {
        for byte in 0..=u8::MAX {
            for place in 0..8 {
                for filler in [b'a', b'/', b'0', b'.', 0x7e, 0xc3] {
                    let mut word = [filler; 8];
                    word[place] = byte;
                    let expected =
                        word.iter().enumerate().fold(0, |bits, (i, b)| bits | (u64::from(*b == b'/') << i));
                    let word_bits = u64::from_le_bytes(word);
                    assert_eq!(slash_bits(word_bits), expected, "{word:?}");
                    let plain = word.iter().all(|b| (0x20..0x7f).contains(b));
                    assert_eq!(unprintable(word_bits) & HIGH_BITS == 0, plain, "{word:?}");
                }
            }
        }
    }

    #[test]
    fn the_limits_are_inclusive() {
        let longest = "a".repeat(MAX_BYTES);
        assert!(Segments::of(&longest).is_some() && check(&longest).is_ok());
        let longer = "a".repeat(MAX_BYTES + 1);
        assert!(Segments::of(&longer).is_none());
        assert_eq!(check(&longer), Err(PathError::TooLong { bytes: MAX_BYTES + 1 }));
        let deepest = ["a"; MAX_SEGMENTS].join("/");
        assert_eq!(Segments::of(&deepest).map(|s| s.count()), Some(MAX_SEGMENTS));
        let deeper = ["a"; MAX_SEGMENTS + 1].join("/");
        assert!(Segments::of(&deeper).is_none());
        assert_eq!(check(&deeper), Err(PathError::TooManySegments { segments: MAX_SEGMENTS + 1 }));
    }
}
