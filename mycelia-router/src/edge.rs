//! Edges: from one node, over a piece of literal text, to the next.
//!
//! ```text
//!   piece    up to 16 bytes of text, little-endian, the rest zero (no text here contains a NUL), so that two pieces are
//!            the same text exactly when two numbers are equal: no pointer is followed to compare
//!   longer   is cut: "organization-memberships" is the edges More "organization-mem", Last "berships"
//! ```

use std::hash::{Hash, Hasher};
use std::ops::Range;

use crate::short::little_endian;
use crate::steps::{comparison, step};

/// How many bytes one piece holds.
const PIECE: usize = 16;

/// What the text of an edge is to its segment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The segment as a whole.
    Whole = 0,
    /// What stands before a parameter.
    Prefix = 2,
    /// What stands behind a parameter.
    Suffix = 4,
    /// What stands before the rest.
    Rest = 6,
}

/// The key of an edge.
#[derive(Clone, Copy, Eq)]
pub(crate) struct Edge {
    text: [u64; 2],
    from: u32,
    /// The kind; odd where more pieces follow.
    kind: u32,
}

impl Edge {
    fn new(from: u32, kind: Kind, more: bool, text: u128) -> Self {
        Self { text: [text as u64, (text >> 64) as u64], from, kind: kind as u32 | u32::from(more) }
    }

    /// The node that it leaves.
    pub(crate) fn from(&self) -> u32 {
        self.from
    }

    /// Whether its text ends here.
    pub(crate) fn is_last(&self) -> bool {
        self.kind & 1 == 0
    }
}

impl PartialEq for Edge {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        comparison();
        self.text == other.text && self.from == other.from && self.kind == other.kind
    }
}

impl Hash for Edge {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.text[0]);
        state.write_u64(self.text[1]);
        state.write_u64(u64::from(self.from) << 32 | u64::from(self.kind));
    }
}

/// Walks over the edges that spell a range of `path`: `next` says where an edge leads, and with it the walk goes on.
#[inline]
pub(crate) fn walk(
    path: &[u8],
    text: Range<usize>,
    kind: Kind,
    from: u32,
    mut next: impl FnMut(Edge) -> Option<u32>,
) -> Option<u32> {
    let (mut node, mut at) = (from, text.start);
    while text.end - at > PIECE {
        let piece = u128::from_le_bytes(*path[at..].first_chunk()?);
        step();
        node = next(Edge::new(node, kind, true, piece))?;
        at += PIECE;
    }
    step();
    next(Edge::new(node, kind, false, piece(path, at, text.end - at)))
}

/// The `length` bytes of `path` from `at` on, at most sixteen.
#[inline]
fn piece(path: &[u8], at: usize, length: usize) -> u128 {
    if length == 0 {
        return 0;
    }
    let from_here = if let Some(here) = path[at..].first_chunk::<PIECE>() {
        u128::from_le_bytes(*here)
    } else if let Some(last) = path.last_chunk::<PIECE>() {
        u128::from_le_bytes(*last) >> (8 * (at + PIECE - path.len()))
    } else {
        little_endian(path) >> (8 * at)
    };
    match length {
        PIECE => from_here,
        _ => from_here & ((1 << (8 * length)) - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_its_text_and_nothing_around_it() {
        let path: Vec<u8> = (1..=40).collect();
        for whole in 0..=path.len() {
            for at in 0..=whole {
                for length in 0..=(whole - at).min(PIECE) {
                    let mut expected = [0; PIECE];
                    expected[..length].copy_from_slice(&path[at..at + length]);
                    assert_eq!(piece(&path[..whole], at, length), u128::from_le_bytes(expected));
                }
            }
        }
    }
}
