//! Errors, which give the item back.

use std::fmt;

/// Why an item was not pushed. The item is inside.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PushError<T> {
    /// The queue is full, and its policy is to say so.
    #[error("queue full: {capacity} items are waiting")]
    Full {
        /// The item, back.
        item: T,
        /// How many items the queue holds at most.
        capacity: usize,
    },
    /// The queue was closed.
    #[error("queue closed")]
    Closed {
        /// The item, back.
        item: T,
    },
}

impl<T> PushError<T> {
    /// The item.
    pub fn into_item(self) -> T {
        match self {
            Self::Full { item, .. } | Self::Closed { item } => item,
        }
    }
}

impl<T> fmt::Debug for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { capacity, .. } => {
                f.debug_struct("Full").field("capacity", capacity).finish_non_exhaustive()
            }
            Self::Closed { .. } => f.debug_struct("Closed").finish_non_exhaustive(),
        }
    }
}

/// Why an item was not sent: the channel was closed, or can never have room. The item is inside.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("channel closed")]
pub struct SendError<T>(
    /// The item, back.
    pub T,
);

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SendError").finish_non_exhaustive()
    }
}
