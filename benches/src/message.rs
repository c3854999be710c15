//! The messages of all scenes, the same for every contender.

use serde::{Deserialize, Serialize};

/// What a tell carries: 32 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Item {
    /// What the handler adds to its sum.
    pub number: u64,
    /// Rises from message to message. By it a sender goes slow that cannot wait for room.
    pub turn: u64,
    /// Makes the message as large as a small real one.
    pub ballast: [u64; 2],
}

impl Item {
    /// An item with this number.
    pub fn new(number: u64) -> Self {
        Self { number, turn: number, ballast: [number; 2] }
    }

    /// The same in the place of another.
    pub fn in_turn(self, turn: u64) -> Self {
        Self { turn, ..self }
    }
}

/// What a path with a number becomes, where the library has paths: as large as an [`Item`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct GetUser {
    /// What the handler adds to its sum, which it replies with.
    pub id: u64,
    /// Makes the message as large as an [`Item`].
    #[serde(skip)]
    pub ballast: [u64; 3],
}

/// An item whose sender wants to know the sum so far (`u64`).
#[derive(Clone, Copy, Debug)]
pub struct Ask(pub Item);

/// What goes round the ring: 32 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Token {
    /// How often it was passed on before; the handler adds it to its sum.
    pub hop: u64,
    /// The hop at which its way ends.
    pub last: u64,
    /// Makes the message as large as an [`Item`].
    pub ballast: [u64; 2],
}

impl Token {
    /// A token for the hops from `hop` to `last`, both handled.
    pub fn new(hop: u64, last: u64) -> Self {
        Self { hop, last, ballast: [hop; 2] }
    }

    /// The token for the next actor, or `None` at the end of the way.
    pub fn next(self) -> Option<Self> {
        (self.hop < self.last).then(|| Self { hop: self.hop + 1, ..self })
    }
}

/// Asks an actor what it has handled ([`Report`](crate::tally::Report)).
#[derive(Clone, Copy, Debug)]
pub struct AskReport;

/// Tells an actor of the ring who comes after it.
#[derive(Clone, Debug)]
pub struct Link<A>(pub A);

/// Ends an actor whose library ends it by a message.
#[derive(Clone, Copy, Debug)]
pub struct Stop;

const _: () = assert!(
    size_of::<Item>() == 32
        && size_of::<Token>() == 32
        && size_of::<Ask>() == 32
        && size_of::<GetUser>() == 32
);
