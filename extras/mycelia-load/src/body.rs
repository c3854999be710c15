//! The messages: small, medium and large.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::chance;
use crate::scenario::Bodies;

/// What every message says about itself.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// When it was to be sent, by the run's clock.
    pub(crate) due: u64,
    pub(crate) number: u64,
}

/// A message.
pub(crate) trait Body: Serialize + DeserializeOwned + Send + 'static {
    fn new(stamp: Stamp) -> Self;
    fn stamp(&self) -> Stamp;
    /// Reads all of it: true if it is what was sent.
    fn is_whole(&self) -> bool;
}

/// Fits into a slot.
#[derive(Serialize, Deserialize)]
pub(crate) struct Small(Stamp, u64);

/// Too large for a slot: the pool puts it into a box.
#[derive(Serialize, Deserialize)]
pub(crate) struct Medium(Stamp, [[u8; 32]; 16]);

/// Has 8 KiB of its own.
#[derive(Serialize, Deserialize)]
pub(crate) struct Large(Stamp, Vec<u8>);

impl Stamp {
    /// What every byte of the message is.
    fn byte(self) -> u8 {
        self.number as u8
    }

    fn are_its(self, bytes: &[u8]) -> bool {
        let sum: u64 = bytes.iter().map(|&byte| u64::from(byte)).sum();
        sum == u64::from(self.byte()) * bytes.len() as u64
    }
}

impl Body for Small {
    fn new(stamp: Stamp) -> Self {
        Self(stamp, !stamp.number)
    }

    fn stamp(&self) -> Stamp {
        self.0
    }

    fn is_whole(&self) -> bool {
        self.1 == !self.0.number
    }
}

impl Body for Medium {
    fn new(stamp: Stamp) -> Self {
        Self(stamp, [[stamp.byte(); 32]; 16])
    }

    fn stamp(&self) -> Stamp {
        self.0
    }

    fn is_whole(&self) -> bool {
        self.0.are_its(self.1.as_flattened())
    }
}

impl Body for Large {
    fn new(stamp: Stamp) -> Self {
        Self(stamp, vec![stamp.byte(); 8192])
    }

    fn stamp(&self) -> Stamp {
        self.0
    }

    fn is_whole(&self) -> bool {
        self.0.are_its(&self.1)
    }
}

/// Which of the three a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Small,
    Medium,
    Large,
}

impl Size {
    /// The path of its route.
    pub(crate) const fn route(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
        }
    }
}

impl Bodies {
    /// The size of the message of this number: always the same with one seed.
    pub(crate) fn size(&self, seed: u64, number: u64) -> Size {
        let Self { small, medium, .. } = *self;
        if u64::from(small) == self.total() {
            return Size::Small;
        }
        let drawn = chance::of(seed, number).u64(..self.total());
        match drawn.checked_sub(u64::from(small)) {
            None => Size::Small,
            Some(rest) if rest < u64::from(medium) => Size::Medium,
            Some(_) => Size::Large,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_come_by_their_weights_and_by_the_seed() {
        let bodies = Bodies { small: 7, medium: 2, large: 1 };
        let count = |size| (0..10_000).filter(|&number| bodies.size(5, number) == size).count();
        for (size, expected) in [(Size::Small, 7000), (Size::Medium, 2000), (Size::Large, 1000)] {
            assert!(count(size).abs_diff(expected) < 200, "{size:?}: {}", count(size));
        }
        assert!((0..100).any(|number| bodies.size(5, number) != bodies.size(6, number)));
    }
}
