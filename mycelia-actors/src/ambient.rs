//! What the running code was called with: what its messages inherit, and what limits them.

use std::sync::Arc;

use tokio::time::Instant;

use crate::messages_in_hand::{MessageInHand, MessagesInHand};
use crate::metadata::Metadata;

/// What the running code was called with.
#[derive(Clone)]
pub(crate) enum Ambient {
    /// The metadata of the message in hand, or of a scope. It is the limit as well: a scope has inherited the limits around it.
    One(Metadata),
    /// Several messages in hand.
    Batch(Arc<MessagesInHand>),
    /// One message of a batch, whose turn it is.
    OneOf(Arc<MessagesInHand>, usize),
    /// A scope that inherits nothing, or one inside of it or of a batch; the messages in hand are the limit.
    Scope { metadata: Option<Metadata>, in_hand: Arc<MessagesInHand> },
}

impl Ambient {
    /// What is sent inherits this.
    pub(crate) fn metadata(&self) -> Option<&Metadata> {
        match self {
            Self::One(metadata) => Some(metadata),
            Self::Batch(in_hand) => in_hand.in_common(),
            Self::OneOf(in_hand, index) => in_hand.each()[*index].metadata.as_ref(),
            Self::Scope { metadata, .. } => metadata.as_ref(),
        }
    }

    /// What the message at this place of the batch in hand was sent with.
    pub(crate) fn metadata_of(&self, index: usize) -> Option<&Metadata> {
        match self {
            Self::Batch(in_hand) | Self::Scope { in_hand, .. } => {
                in_hand.each().get(index)?.metadata.as_ref()
            }
            Self::One(_) | Self::OneOf(..) => self.metadata().filter(|_| index == 0),
        }
    }

    /// Until when this code may wait for what it asks.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::One(metadata) => metadata.deadline(),
            Self::Batch(in_hand) => in_hand.deadline(),
            Self::OneOf(in_hand, index) => in_hand.each()[*index].deadline,
            Self::Scope { metadata, in_hand } => {
                metadata.as_ref().and_then(Metadata::deadline).into_iter().chain(in_hand.deadline()).min()
            }
        }
    }

    /// What code has that runs in the scope of this metadata.
    pub(crate) fn scope(outer: Option<&Self>, own: &Metadata) -> Self {
        let (metadata, in_hand) = match outer {
            None => return Self::One(own.clone()),
            Some(Self::One(outer)) => return Self::One(own.inheriting(outer)),
            Some(Self::OneOf(in_hand, index)) => {
                let message = &in_hand.each()[*index];
                let metadata = message.metadata.as_ref().map(|outer| own.inheriting(outer));
                (metadata, message.alone())
            }
            Some(Self::Scope { metadata: Some(outer), in_hand }) => {
                let inherited = own.inheriting(outer);
                let limit = if outer.caller().is_none() { in_hand.in_common() } else { None };
                (Some(inherited.with_rights_of(limit)), Arc::clone(in_hand))
            }
            Some(Self::Batch(in_hand)) => {
                let inherited = || Some(own.inheriting(in_hand.in_common()?));
                (in_hand.on_behalf_of_one(own).or_else(inherited), Arc::clone(in_hand))
            }
            Some(Self::Scope { metadata: None, in_hand }) => {
                let limited = || own.clone().with_rights_of(in_hand.in_common());
                (Some(in_hand.on_behalf_of_one(own).unwrap_or_else(limited)), Arc::clone(in_hand))
            }
        };
        Self::Scope { metadata: Some(metadata.unwrap_or_else(|| own.clone())), in_hand }
    }

    /// What code has that inherits nothing. The limits stay.
    pub(crate) fn empty_scope(&self) -> Self {
        let in_hand = match self {
            Self::Batch(in_hand) | Self::Scope { in_hand, .. } => Arc::clone(in_hand),
            Self::OneOf(in_hand, index) => in_hand.each()[*index].alone(),
            Self::One(metadata) => {
                MessageInHand { deadline: metadata.deadline(), metadata: Some(metadata.clone()), span: None }
                    .alone()
            }
        };
        Self::Scope { metadata: None, in_hand }
    }
}
