//! The one thing that can go wrong.

/// Every slot that the pool may make is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pool exhausted: all {capacity} slots are in use")]
pub struct Exhausted {
    /// The number of slots the pool may make.
    pub capacity: usize,
}
