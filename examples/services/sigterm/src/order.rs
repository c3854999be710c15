//! An order, and why it is refused.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// An order that is to be paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Chosen by the client, who may send the same order again: it is charged once.
    pub id: i64,
    /// The price, in cents.
    pub cents: NonZeroU32,
}

/// Why an order is not booked, or not yet.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refused {
    /// Another order has this id.
    #[error("order {0} is there already, with another price")]
    OtherPrice(i64),
    /// Too many orders wait for the bank.
    #[error("too many orders wait for the bank")]
    Busy,
    /// Something that the order needs does not work now. The order may have been charged: sent again, it is not charged again.
    #[error("not booked: {0}")]
    Unavailable(String),
}

/// What becomes of an order.
pub type Outcome = Result<(), Refused>;
