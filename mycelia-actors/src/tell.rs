//! Handing messages over without waiting: one, or many at once.

use std::collections::VecDeque;
use std::fmt;

use mycelia_queue::{PushError, Rest};

use crate::actor::Actor;
use crate::dead_letters::Reason;
use crate::envelope::Envelope;
use crate::error::{Refusal, TellError};
use crate::slot::Fate;

/// What a tell did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The message is in the mailbox.
    Queued,
    /// The message is in the mailbox, and the oldest one was pushed out and lost (`DropOldest`).
    Evicted,
    /// The message did not fit and was lost (`DropNewest`).
    Discarded,
}

/// What telling many messages did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ToldMany {
    /// Messages that went into the mailbox, counting those that later ones of the same call pushed out again.
    pub queued: usize,
    /// Messages that were pushed out and lost (`DropOldest`).
    pub evicted: usize,
    /// Messages that did not fit and were lost (`DropNewest`).
    pub discarded: usize,
}

/// Messages that were not accepted. They are inside, in order; [`told`](Self::told) says what became of those before them.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{subsystem}` did not accept {} of the messages: {refusal}", messages.len())]
pub struct TellManyError<M> {
    /// The messages, back.
    pub messages: Vec<M>,
    /// What became of the ones before them.
    pub told: ToldMany,
    /// To whom they were sent.
    pub subsystem: crate::Name,
    /// Why they were not accepted.
    pub refusal: Refusal,
}

impl<M> fmt::Debug for TellManyError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TellManyError")
            .field("messages", &self.messages.len())
            .field("told", &self.told)
            .field("subsystem", &self.subsystem)
            .field("refusal", &self.refusal)
            .finish()
    }
}

/// How messages of type `M` get into envelopes for one type of subsystem.
pub(crate) type Enveloping<M> = fn(&Actor, M) -> Result<Envelope, (M, Refusal)>;

/// The refusal of the queue, and the envelope.
pub(crate) fn refusal(error: PushError<Envelope>) -> (Envelope, Refusal) {
    match error {
        PushError::Full { item, capacity } => (item, Refusal::Full { capacity }),
        PushError::Closed { item } => (item, Refusal::Stopped),
    }
}

#[inline]
pub(crate) fn tell<M>(actor: &Actor, message: M, envelop: Enveloping<M>) -> Result<Told, TellError<M>> {
    let envelope = match envelop(actor, message) {
        Ok(envelope) => envelope,
        Err((message, refusal)) => return Err(actor.give_back(message, refusal)),
    };
    actor.push(envelope).map_err(|error| {
        let (envelope, refusal) = refusal(error);
        // SAFETY: this is the envelope of the message from above.
        unsafe { actor.refused(envelope, refusal) }
    })
}

pub(crate) fn tell_many<M>(
    actor: &Actor,
    messages: impl IntoIterator<Item = M>,
    envelop: Enveloping<M>,
) -> Result<ToldMany, TellManyError<M>> {
    let mut messages = messages.into_iter();
    // The hint is only that; more than the mailbox holds is seldom sent.
    let expected = messages.size_hint().0.min(actor.queue.capacity());
    let mut batch = VecDeque::with_capacity(expected);
    let mut exhausted = None;
    for message in &mut messages {
        match envelop(actor, message) {
            Ok(envelope) => batch.push_back(envelope),
            Err(refused) => {
                exhausted = Some(refused);
                break;
            }
        }
    }
    let mut told = ToldMany::default();
    let mut pushed = actor.queue.push_many(&mut batch);
    if matches!(pushed.rest, Rest::Closed) && actor.is_sent_from_inside() {
        actor.is_sent_again(batch.len());
        pushed = actor.queue.push_many_inside(&mut batch);
    }
    told.queued = pushed.queued;
    let mut back = Vec::new();
    let mut why = None;
    match pushed.rest {
        Rest::None => {}
        Rest::Evicted => {
            told.evicted = batch.len();
            batch.drain(..).for_each(|envelope| actor.lose(envelope, Reason::Evicted, Fate::Evicted));
            actor.found_full(told.evicted);
        }
        Rest::Discarded => {
            told.discarded = batch.len();
            batch.drain(..).for_each(|envelope| actor.lose(envelope, Reason::Discarded, Fate::Discarded));
            actor.found_full(told.discarded);
        }
        Rest::Full | Rest::Closed => {
            why = Some(match pushed.rest {
                Rest::Closed => Refusal::Stopped,
                _ => Refusal::Full { capacity: actor.queue.capacity() },
            });
            // SAFETY: these are envelopes of the messages from above.
            back.extend(batch.drain(..).map(|envelope| unsafe { envelope.into_message() }));
            if pushed.rest == Rest::Full {
                actor.found_full(back.len());
            }
        }
    }
    if let Some((message, refusal)) = exhausted {
        let queued = back.len();
        back.push(message);
        back.extend(messages);
        actor.ledger.rare().returned.add((back.len() - queued) as u64);
        why = why.or(Some(refusal));
    }
    match why {
        None => Ok(told),
        Some(refusal) => Err(TellManyError { messages: back, told, subsystem: actor.name.clone(), refusal }),
    }
}
