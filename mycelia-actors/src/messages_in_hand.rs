//! The messages of a batch in hand: what each was sent with, and what all have in common.

use std::sync::{Arc, OnceLock};

use tokio::time::Instant;
use tracing::Span;

use crate::metadata::Metadata;

/// The messages that a handler was given together.
pub(crate) struct MessagesInHand {
    each: Box<[MessageInHand]>,
    /// Made when it is first looked at: few handlers of batches send anything.
    in_common: OnceLock<Option<Metadata>>,
    /// The latest deadline, if every message has one.
    deadline: Option<Instant>,
}

/// One message of a batch.
pub(crate) struct MessageInHand {
    /// What the message was sent with, as the parent of what its handler sends.
    pub(crate) metadata: Option<Metadata>,
    pub(crate) span: Option<Span>,
    /// The deadline of its metadata or of its asker, whichever is earlier.
    pub(crate) deadline: Option<Instant>,
}

impl MessageInHand {
    /// A batch of this message alone. (Its span stays with the batch: to clone it may run code of a user.)
    pub(crate) fn alone(&self) -> Arc<MessagesInHand> {
        let Self { metadata, deadline, .. } = self;
        let message = Self { metadata: metadata.clone(), span: None, deadline: *deadline };
        Arc::new(MessagesInHand::new([message].into()))
    }
}

impl MessagesInHand {
    pub(crate) fn new(each: Box<[MessageInHand]>) -> Self {
        // The batch is worked off for all its messages: it is worth its time as long as one of them is.
        let latest = each.iter().map(|message| message.deadline).collect::<Option<Vec<_>>>();
        let deadline = latest.and_then(|deadlines| deadlines.into_iter().max());
        Self { each, in_common: OnceLock::new(), deadline }
    }

    pub(crate) fn each(&self) -> &[MessageInHand] {
        &self.each
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// What all messages were sent with: see [`Metadata::in_common`].
    pub(crate) fn in_common(&self) -> Option<&Metadata> {
        let each = || self.each.iter().map(|message| message.metadata.as_ref());
        self.in_common.get_or_init(|| Metadata::in_common(each())).as_ref()
    }

    /// What a scope with this metadata has inside of this batch, if it is that of one message: itself, if it is unchanged, or what
    /// inherits from that message.
    pub(crate) fn on_behalf_of_one(&self, metadata: &Metadata) -> Option<Metadata> {
        let all = || self.each.iter().filter_map(|message| message.metadata.as_ref());
        if all().any(|own| own.is_same(metadata)) {
            return Some(metadata.clone());
        }
        let mut alike = all().filter(|own| own.id() == metadata.id());
        let first = alike.next()?;
        // Several messages on account of one may have different callers: then the rights are those of all.
        alike.all(|own| own.caller() == first.caller()).then(|| metadata.inheriting(first))
    }
}
