//! Paths: their limits, and where their segments end.

use std::ops::Range;

use wide::i8x16;

use crate::error::PathError;
use crate::short::little_endian;
use crate::steps::step;

/// How many bytes a path, or a pattern, has at most.
pub const MAX_BYTES: usize = 2048;

/// How many segments a path, or a pattern, has at most.
pub const MAX_SEGMENTS: usize = 32;

/// Where the segments of a path are: two numbers, to be kept in registers. A path that breaks a rule has none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segments {
    /// One bit for each of the first 64 bytes: is it a slash?
    slashes: u64,
    count: u32,
}

impl Segments {
    /// Of a path without parameters, which nobody asks.
    pub(crate) const NONE: Self = Self { slashes: 0, count: 0 };

    /// Looks for slashes, and checks every rule for paths on the way. Which one was broken, [`check`] says.
    #[inline]
    pub(crate) fn of(path: &str) -> Option<Self> {
        let bytes = path.as_bytes();
        let mut look = Look::default();
        let segments = if bytes.is_empty() || bytes.len() > MAX_BYTES {
            return None;
        } else if bytes.len() <= BLOCK {
            Self::of_short(bytes, &mut look)?
        } else {
            Self::of_long(bytes, &mut look)?
        };
        (!look.suspicious.any() || !path.chars().any(char::is_control)).then_some(segments)
    }

    /// In one block the rules are questions about bits.
    #[inline]
    fn of_short(bytes: &[u8], look: &mut Look) -> Option<Self> {
        let slashes = look.at(bytes, 0);
        let empty = slashes & (slashes >> 1 | 1 | 1 << (bytes.len() - 1));
        // Two dots with a slash, or an end of the path, on either side.
        let end = (u128::from(slashes) | 1 << bytes.len()) >> 2;
        let parent = look.dots & look.dots >> 1 & (slashes << 1 | 1) & end as u64;
        let count = slashes.count_ones() + 1;
        (empty | parent == 0 && count <= MAX_SEGMENTS as u32).then_some(Self { slashes, count })
    }

    #[inline(never)]
    fn of_long(bytes: &[u8], look: &mut Look) -> Option<Self> {
        let (mut count, mut start) = (0, 0);
        let mut end_at = |end: usize| {
            let segment = &bytes[start..end];
            start = end + 1;
            count += 1;
            !segment.is_empty() && segment != b".." && count <= MAX_SEGMENTS as u32
        };
        for base in (0..bytes.len()).step_by(BLOCK) {
            let mut slashes = look.at(&bytes[..bytes.len().min(base + BLOCK)], base);
            while slashes != 0 {
                end_at(base + slashes.trailing_zeros() as usize).then_some(())?;
                slashes &= slashes - 1;
            }
        }
        end_at(bytes.len()).then_some(())?;
        let slashes = Look::default().at(&bytes[..BLOCK], 0);
        Some(Self { slashes, count })
    }

    /// How many segments there are.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        self.count as usize
    }

    /// From the first segment on.
    #[inline]
    pub(crate) fn cursor(&self) -> Cursor {
        Cursor { slashes: self.slashes, base: 0, start: 0 }
    }

    /// Where segment `index` of `path` is.
    #[inline]
    pub(crate) fn range(&self, path: &str, index: usize) -> Range<usize> {
        let (mut cursor, text) = (self.cursor(), Text::new(path));
        for _ in 0..index {
            cursor.next(&text);
        }
        cursor.next(&text)
    }
}

/// Goes from segment to segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor {
    /// The slashes to come in the block that begins at `base`.
    slashes: u64,
    base: usize,
    start: usize,
}

impl Cursor {
    /// Where the next segment is. There must be one.
    #[inline]
    pub(crate) fn next(&mut self, path: &Text<'_>) -> Range<usize> {
        if self.slashes == 0 && self.base + BLOCK < path.bytes.len() {
            self.next_block(path);
        }
        if self.slashes == 0 {
            return self.start..path.bytes.len();
        }
        let end = self.base + self.slashes.trailing_zeros() as usize;
        self.slashes &= self.slashes - 1;
        std::mem::replace(&mut self.start, end + 1)..end
    }

    /// Goes on to the next block with a slash in it, or to the last.
    #[cold]
    fn next_block(&mut self, path: &Text<'_>) {
        while self.slashes == 0 && self.base + BLOCK < path.bytes.len() {
            self.base += BLOCK;
            self.slashes = match path.blocks.get(self.base / BLOCK) {
                Some(slashes) => *slashes,
                None => block(path.bytes, self.base),
            };
        }
    }
}

/// The bytes of a path, and where its slashes are, for those who go over it more than once.
pub(crate) struct Text<'a> {
    pub(crate) bytes: &'a [u8],
    /// One word for each block, or none: then they are looked for again.
    blocks: &'a [u64],
}

impl<'a> Text<'a> {
    #[inline]
    pub(crate) fn new(path: &'a str) -> Self {
        Self { bytes: path.as_bytes(), blocks: &[] }
    }

    /// True if looking for slashes again would cost more than they do for one block.
    #[inline]
    pub(crate) fn is_long(&self) -> bool {
        self.bytes.len() > BLOCK
    }

    /// With its slashes, kept in `blocks`.
    #[cold]
    pub(crate) fn with_blocks(self, blocks: &'a mut Blocks) -> Self {
        for (index, slashes) in blocks.iter_mut().enumerate().take(self.bytes.len().div_ceil(BLOCK)) {
            *slashes = block(self.bytes, index * BLOCK);
        }
        Self { blocks, ..self }
    }
}

/// Room for the slashes of the longest path.
pub(crate) type Blocks = [u64; MAX_BYTES / BLOCK];

/// The slashes of the block that begins at `base`.
fn block(bytes: &[u8], base: usize) -> u64 {
    step();
    Look::default().at(&bytes[..bytes.len().min(base + BLOCK)], base)
}

/// How many bytes are looked at at a time: a bit each in a word.
const BLOCK: usize = 64;
const LANES: usize = 16;

/// What was seen in a path, sixteen bytes at a time.
#[derive(Default)]
struct Look {
    /// One bit for each byte of the last block: is it a dot?
    dots: u64,
    /// Lanes are set where some byte may be (part of) a control character: below space, delete, or not ASCII.
    suspicious: i8x16,
}

impl Look {
    /// One bit for each byte from `base` on, at most 64: is it a slash?
    #[inline]
    fn at(&mut self, bytes: &[u8], base: usize) -> u64 {
        let (chunks, rest) = bytes[base..].as_chunks::<LANES>();
        let mut slashes = 0;
        self.dots = 0;
        for (index, chunk) in chunks.iter().enumerate() {
            let (slash, dot) = self.lanes(chunk);
            slashes |= slash << (index * LANES);
            self.dots |= dot << (index * LANES);
        }
        if !rest.is_empty() {
            let shift = chunks.len() * LANES;
            let (slash, dot) = match bytes.last_chunk::<LANES>() {
                // Some of them are looked at again.
                Some(last) => {
                    let (slash, dot) = self.lanes(last);
                    (slash >> (LANES - rest.len()), dot >> (LANES - rest.len()))
                }
                None => {
                    let dashes = u128::from_le_bytes([b'-'; LANES]) << (8 * rest.len());
                    self.lanes(&(little_endian(rest) | dashes).to_le_bytes())
                }
            };
            slashes |= slash << shift;
            self.dots |= dot << shift;
        }
        slashes
    }

    #[inline]
    fn lanes(&mut self, bytes: &[u8; LANES]) -> (u64, u64) {
        let lanes = i8x16::new(bytes.map(|byte| byte as i8));
        let is = |byte: u8| lanes.simd_eq(i8x16::splat(byte as i8));
        // As signed numbers, bytes beyond ASCII are below space, too.
        self.suspicious |= lanes.simd_lt(i8x16::splat(b' ' as i8)) | is(0x7f);
        (u64::from(is(b'/').to_bitmask()), u64::from(is(b'.').to_bitmask()))
    }
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
        let mut cursor = segments.cursor();
        let by_cursor =
            (0..segments.count()).map(|_| &path[cursor.next(&Text::new(path))]).collect::<Vec<_>>();
        let by_index =
            (0..segments.count()).map(|index| &path[segments.range(path, index)]).collect::<Vec<_>>();
        assert_eq!(by_cursor, by_index);
        Some(by_cursor)
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
                    let mut look = Look::default();
                    let slashes = look.at(&bytes, 0);
                    assert_eq!(slashes, u64::from(byte == b'/') << place, "{bytes:?}");
                    assert_eq!(look.dots, u64::from(byte == b'.') << place, "{bytes:?}");
                    assert_eq!(look.suspicious.any(), !(0x20..0x7f).contains(&byte), "{bytes:?}");
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
