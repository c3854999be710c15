//! What a bounded queue does with one item too many.

use std::fmt;

/// What becomes of an item that does not fit into a full queue.
///
/// ```text
///              full queue, pushing 4        afterwards
/// Error        [1 2 3] <- 4                 [1 2 3]   4 goes back to the sender inside an error
/// DropNewest   [1 2 3] <- 4                 [1 2 3]   4 is discarded, and the sender is told
/// DropOldest   [1 2 3] <- 4                 [2 3 4]   1 is evicted, and the sender is told
/// ```
///
/// No policy hides a loss: each is counted, and the item itself comes back to whoever can report it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OverflowPolicy {
    /// The item that was pushed out is the oldest one in the queue. For readings, where the newest count.
    DropOldest,
    /// The item that does not fit is the one that is lost. For samples, where any will do.
    DropNewest,
    /// The item comes back inside an error, and nothing is lost. The default.
    #[default]
    Error,
}

impl fmt::Display for OverflowPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DropOldest => "drop oldest",
            Self::DropNewest => "drop newest",
            Self::Error => "error",
        })
    }
}
