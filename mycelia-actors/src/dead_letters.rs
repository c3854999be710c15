//! Messages that will never be handled, for whoever wants to know.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use mycelia_core::Counter;
use mycelia_core::sync::atomic::{AtomicBool, Ordering};

use crate::name::Name;

/// Why a message will never be handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The handler panicked, or was killed, with it in hand. The handler had the message, so it is not in the letter.
    Failed,
    /// Pushed out of a full mailbox by a newer message.
    Evicted,
    /// Did not fit into a full mailbox.
    Discarded,
    /// Its deadline had passed, or its asker had gone, by the time its turn came.
    Expired,
    /// Still queued when the subsystem ended.
    Undelivered,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed => "failed",
            Self::Evicted => "evicted",
            Self::Discarded => "discarded",
            Self::Expired => "expired",
            Self::Undelivered => "undelivered",
        })
    }
}

/// A message that will never be handled. Clones share the one message.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    subsystem: Name,
    message_type: &'static str,
    reason: Reason,
    message: Mutex<Option<Box<dyn Any + Send>>>,
}

impl DeadLetter {
    pub(crate) fn new(
        subsystem: Name,
        message_type: &'static str,
        reason: Reason,
        message: Option<Box<dyn Any + Send>>,
    ) -> Self {
        Self { inner: Arc::new(Inner { subsystem, message_type, reason, message: Mutex::new(message) }) }
    }

    /// The subsystem it was sent to.
    #[must_use]
    pub fn subsystem(&self) -> &Name {
        &self.inner.subsystem
    }

    /// The name of the message's type, as [`std::any::type_name`] gives it.
    #[must_use]
    pub fn message_type(&self) -> &'static str {
        self.inner.message_type
    }

    /// What happened.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.inner.reason
    }

    /// The message, if it is an `M` and nobody has taken it yet.
    pub fn take_message<M: 'static>(&self) -> Option<M> {
        let mut message = self.inner.message.lock().unwrap_or_else(PoisonError::into_inner);
        match message.take()?.downcast::<M>() {
            Ok(found) => Some(*found),
            Err(other) => {
                *message = Some(other);
                None
            }
        }
    }
}

/// A subscription to dead letters: read it with [`recv_async`](flume::Receiver::recv_async) in async code, or
/// [`recv`](flume::Receiver::recv) in a thread. Dropping it unsubscribes.
pub type DeadLetters = flume::Receiver<DeadLetter>;

/// Who gets dead letters.
#[derive(Default)]
pub(crate) struct Offices {
    watched: AtomicBool,
    subscribers: RwLock<Vec<flume::Sender<DeadLetter>>>,
    pub(crate) missed: Counter,
}

impl Offices {
    /// True if somebody may be subscribed; then letters carry their message.
    pub(crate) fn is_watched(&self) -> bool {
        // Relaxed: a subscriber that comes at this very moment may miss this letter.
        self.watched.load(Ordering::Relaxed)
    }

    pub(crate) fn subscribe(&self, capacity: usize) -> DeadLetters {
        let (sender, receiver) = flume::bounded(capacity);
        self.subscribers.write().unwrap_or_else(PoisonError::into_inner).push(sender);
        self.watched.store(true, Ordering::Relaxed);
        receiver
    }

    pub(crate) fn publish(&self, letter: DeadLetter) {
        let mut gone = false;
        for subscriber in self.subscribers.read().unwrap_or_else(PoisonError::into_inner).iter() {
            match subscriber.try_send(letter.clone()) {
                Ok(()) => {}
                Err(flume::TrySendError::Full(_)) => self.missed.add(1),
                Err(flume::TrySendError::Disconnected(_)) => gone = true,
            }
        }
        if gone {
            let mut subscribers = self.subscribers.write().unwrap_or_else(PoisonError::into_inner);
            subscribers.retain(|subscriber| !subscriber.is_disconnected());
            self.watched.store(!subscribers.is_empty(), Ordering::Relaxed);
        }
    }
}
