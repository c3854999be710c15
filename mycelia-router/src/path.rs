//! Paths: their limits, and where their segments end.

use std::ops::Range;

use wide::i8x16;

use crate::encoding::{Buffer, decode_into};
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
    /// And [`ENCODED`], if something in the path is.
    count: u32,
}

/// A bit beyond all counts.
const ENCODED: u32 = 1 << 31;

impl Segments {
    /// Of a path without parameters, which nobody asks.
    pub(crate) const NONE: Self = Self { slashes: 0, count: 0 };

    /// Looks for slashes, and checks every rule for paths on the way. None for a path that breaks one, or has a `%`: which it is,
    /// [`check`] says.
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
        let plain = (!look.suspicious.any() || is_plain(path)) && (look.first_dots == 0 || !has_dots(path));
        plain.then_some(segments)
    }

    /// Of a path that breaks no rule.
    pub(crate) fn of_checked(path: &str) -> Self {
        let (mut slashes, mut count) = (0, 1);
        for (at, _) in path.bytes().enumerate().filter(|(_, byte)| *byte == b'/') {
            slashes |= 1_u64.checked_shl(at as u32).unwrap_or(0);
            count += 1;
        }
        Self { slashes, count }
    }

    /// These, of a path in which something is percent-encoded.
    pub(crate) fn encoded(self) -> Self {
        Self { count: self.count | ENCODED, ..self }
    }

    /// These, counted from a slash that stands before them.
    pub(crate) fn rooted(self) -> Self {
        Self { slashes: self.slashes << 1 | 1, count: self.count + 1 }
    }

    /// In one block the rules are questions about bits.
    #[inline]
    fn of_short(bytes: &[u8], look: &mut Look) -> Option<Self> {
        let slashes = look.at::<true>(bytes, 0);
        let empty = slashes & (slashes >> 1 | 1 | 1 << (bytes.len() - 1));
        look.first_dots = look.dots & (slashes << 1 | 1);
        let count = slashes.count_ones() + 1;
        (empty == 0 && count <= MAX_SEGMENTS as u32).then_some(Self { slashes, count })
    }

    #[inline(never)]
    fn of_long(bytes: &[u8], look: &mut Look) -> Option<Self> {
        let (mut count, mut start) = (0, 0);
        let (mut first_block, mut first_dots) = (None, 0);
        let mut end_at = |end: usize| {
            let segment = &bytes[start..end];
            start = end + 1;
            count += 1;
            first_dots |= u64::from(segment.first() == Some(&b'.'));
            !segment.is_empty() && count <= MAX_SEGMENTS as u32
        };
        for base in (0..bytes.len()).step_by(BLOCK) {
            let mut slashes = look.at::<true>(&bytes[..bytes.len().min(base + BLOCK)], base);
            first_block.get_or_insert(slashes);
            while slashes != 0 {
                end_at(base + slashes.trailing_zeros() as usize).then_some(())?;
                slashes &= slashes - 1;
            }
        }
        end_at(bytes.len()).then_some(())?;
        look.first_dots = first_dots;
        Some(Self { slashes: first_block?, count })
    }

    /// How many segments there are, if nothing is encoded.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        self.count as usize
    }

    /// Whether something in the path is percent-encoded.
    #[inline]
    pub(crate) fn is_encoded(&self) -> bool {
        self.count & ENCODED != 0
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
    Look::default().at::<false>(&bytes[..bytes.len().min(base + BLOCK)], base)
}

/// How many bytes are looked at at a time: a bit each in a word.
const BLOCK: usize = 64;
const LANES: usize = 16;

/// What was seen in a path, sixteen bytes at a time.
#[derive(Default)]
struct Look {
    /// One bit for each byte of the last block: is it a dot?
    dots: u64,
    /// Not 0 if a segment begins with a dot: it may be `.` or `..`.
    first_dots: u64,
    /// Lanes are set where some byte is `%`, or may be (part of) a control character: below space, delete, or not ASCII.
    suspicious: i8x16,
}

impl Look {
    /// One bit for each byte from `base` on, at most 64: is it a slash? Looks for `ALL`, or for slashes only.
    #[inline]
    fn at<const ALL: bool>(&mut self, bytes: &[u8], base: usize) -> u64 {
        let (chunks, rest) = bytes[base..].as_chunks::<LANES>();
        let mut slashes = 0;
        self.dots = 0;
        for (index, chunk) in chunks.iter().enumerate() {
            let (slash, dot) = self.lanes::<ALL>(chunk);
            slashes |= slash << (index * LANES);
            self.dots |= dot << (index * LANES);
        }
        if !rest.is_empty() {
            let shift = chunks.len() * LANES;
            let (slash, dot) = match bytes.last_chunk::<LANES>() {
                // Some of them are looked at again.
                Some(last) => {
                    let (slash, dot) = self.lanes::<ALL>(last);
                    (slash >> (LANES - rest.len()), dot >> (LANES - rest.len()))
                }
                None => {
                    let dashes = u128::from_le_bytes([b'-'; LANES]) << (8 * rest.len());
                    self.lanes::<ALL>(&(little_endian(rest) | dashes).to_le_bytes())
                }
            };
            slashes |= slash << shift;
            self.dots |= dot << shift;
        }
        slashes
    }

    #[inline]
    fn lanes<const ALL: bool>(&mut self, bytes: &[u8; LANES]) -> (u64, u64) {
        let lanes = i8x16::new(bytes.map(|byte| byte as i8));
        let is = |byte: u8| lanes.simd_eq(i8x16::splat(byte as i8));
        let slash = u64::from(is(b'/').to_bitmask());
        if !ALL {
            return (slash, 0);
        }
        // As signed numbers, bytes beyond ASCII are below space, too; and delete, the greatest, when one is added.
        let one_more = lanes + i8x16::splat(1);
        self.suspicious |= one_more.simd_lt(i8x16::splat(b' ' as i8 + 1)) | is(b'%');
        (slash, u64::from(is(b'.').to_bitmask()))
    }
}

/// True if nothing in `path` is encoded, and it has no control character.
#[cold]
#[inline(never)]
fn is_plain(path: &str) -> bool {
    let bytes = path.as_bytes();
    // All bytes are looked at, so that many are at a time. Beyond ASCII, U+0080 to U+009F are the byte C2 and one of these.
    let odd = |odd, byte: &u8| odd | (*byte == b'%') | byte.is_ascii_control();
    let control = |control, (before, byte): (&u8, &u8)| control | ((*before == 0xc2) & (*byte < 0xa0));
    !bytes.iter().fold(false, odd) && !bytes.iter().zip(&bytes[1..]).fold(false, control)
}

/// True if `path` has a segment that is `.` or `..`.
#[cold]
#[inline(never)]
fn has_dots(path: &str) -> bool {
    path.split('/').any(|segment| matches!(segment, "." | ".."))
}

/// Checks every rule for paths, and decodes the path. A `rooted` one begins with a slash, and may be nothing else.
pub(crate) fn check<'b>(path: &str, rooted: bool, buffer: &'b mut Buffer) -> Result<&'b str, PathError> {
    if path.is_empty() {
        return Err(PathError::Empty);
    }
    if path.len() > MAX_BYTES {
        return Err(PathError::TooLong { bytes: path.len() });
    }
    match (path.starts_with('/'), rooted) {
        (true, false) => return Err(PathError::LeadingSlash),
        (false, true) => return Err(PathError::NoLeadingSlash),
        _ => {}
    }
    let decoded = decode_into(path, 0, buffer)?;
    if path == "/" {
        return Ok(decoded);
    }
    let (mut at, mut segments) = (usize::from(rooted), 0);
    for (segment, written) in decoded[at..].split('/').zip(path[at..].split('/')) {
        check_segment(segment, at)?;
        at += written.len() + 1;
        segments += 1;
    }
    if segments > MAX_SEGMENTS {
        return Err(PathError::TooManySegments { segments });
    }
    Ok(decoded)
}

/// Checks one segment, decoded, which begins at byte `at`.
pub(crate) fn check_segment(segment: &str, at: usize) -> Result<(), PathError> {
    match segment {
        "" => Err(PathError::EmptySegment { at }),
        "." => Err(PathError::Dot { at }),
        ".." => Err(PathError::Parent { at }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(path: &str) -> Result<(), PathError> {
        super::check(path, false, &mut [0; MAX_BYTES]).map(drop)
    }

    fn cut(path: &str) -> Option<Vec<&str>> {
        let segments = Segments::of(path)?;
        let again = Segments::of_checked(path);
        assert_eq!((segments.slashes, segments.count), (again.slashes, again.count));
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
                    let slashes = look.at::<true>(&bytes, 0);
                    assert_eq!(Look::default().at::<false>(&bytes, 0), slashes, "{bytes:?}");
                    assert_eq!(slashes, u64::from(byte == b'/') << place, "{bytes:?}");
                    assert_eq!(look.dots, u64::from(byte == b'.') << place, "{bytes:?}");
                    let suspicious = byte == b'%' || !(0x20..0x7f).contains(&byte);
                    assert_eq!(look.suspicious.any(), suspicious, "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_encoded_is_left_to_the_check() {
        for path in
            ["%61", "a/b%2Fc/d", "aaaaaaaaaaaaaaaaaaaaaaaa%41", "a%", &format!("{}/%61", "a".repeat(100))]
        {
            assert!(Segments::of(path).is_none(), "{path}");
        }
        assert_eq!((check("a/%61"), check("a%")), (Ok(()), Err(PathError::Encoding { at: 1 })));
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
