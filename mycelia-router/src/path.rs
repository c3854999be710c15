//! Paths: their limits, and where their segments end.

use wide::i8x16;

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
        let mut suspicious = i8x16::ZERO;
        let mut base = 0;
        while base < bytes.len() {
            let end = bytes.len().min(base + BLOCK);
            let slashes = slashes(&bytes[..end], base, &mut suspicious);
            cut.at_slashes(bytes, base, slashes)?;
            base = end;
        }
        cut.end(bytes, bytes.len())?;
        (!suspicious.any() || !path.chars().any(char::is_control)).then_some(cut.segments)
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

/// How many bytes are looked at before their slashes are: one bit each in a word.
const BLOCK: usize = 64;
const LANES: usize = 16;

/// One bit for each byte from `base` on, at most 64: is it a slash? Sixteen at a time. Lanes of `suspicious` are set where a byte
/// may be (part of) a control character: below space, delete, or not ASCII.
#[inline]
fn slashes(bytes: &[u8], base: usize, suspicious: &mut i8x16) -> u64 {
    let mut look = |lanes: &[u8; LANES]| {
        let lanes = i8x16::new(lanes.map(|byte| byte as i8));
        // As signed numbers, bytes beyond ASCII are below space, too.
        *suspicious |= lanes.simd_lt(i8x16::splat(b' ' as i8)) | lanes.simd_eq(i8x16::splat(0x7f));
        u64::from(lanes.simd_eq(i8x16::splat(b'/' as i8)).to_bitmask())
    };
    let (chunks, rest) = bytes[base..].as_chunks::<LANES>();
    let mut found = 0;
    for (index, chunk) in chunks.iter().enumerate() {
        found |= look(chunk) << (index * LANES);
    }
    if !rest.is_empty() {
        let shift = chunks.len() * LANES;
        found |= match bytes.last_chunk::<LANES>() {
            // Some of them are looked at again.
            Some(last) => look(last) >> (LANES - rest.len()) << shift,
            None => {
                let mut padded = [b'-'; LANES];
                padded[..rest.len()].copy_from_slice(rest);
                look(&padded) << shift
            }
        };
    }
    found
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
    fn every_byte_at_every_place_of_a_block() {
        for length in [1, 8, 15, 16, 17, 40, 63, 64] {
            for byte in 0..=u8::MAX {
                for place in 0..length {
                    let mut bytes = vec![b'a'; length];
                    bytes[place] = byte;
                    let mut suspicious = i8x16::ZERO;
                    let found = slashes(&bytes, 0, &mut suspicious);
                    assert_eq!(found, u64::from(byte == b'/') << place, "{bytes:?}");
                    assert_eq!(suspicious.any(), !(0x20..0x7f).contains(&byte), "{bytes:?}");
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
