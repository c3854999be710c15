//! Messages that will never be handled, for whoever wants to know.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use mycelia_core::Counter;
use mycelia_core::sync::atomic::{AtomicBool, Ordering};

use crate::awaited::awaited;
use crate::blocking::block_on;
use crate::letter_box::{self, LetterBox};
use crate::metadata::Metadata;
use crate::name::Name;
use crate::shared::Shared;
use crate::table::Kind;
use crate::trace::TraceParent;

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
    /// Its deadline had passed, or its asker (or the state that had watched for it) had gone, by the time its turn came.
    Expired,
    /// Still queued when the subsystem ended; or sent by a side task of the subsystem, which took no more.
    Undelivered,
    /// Sent by a side task of an earlier state: see [`TaskHandle::across_restarts`](crate::TaskHandle::across_restarts).
    OldState,
    /// A side task was cut off by a restart, a kill or the limit of a stop, before it had its message.
    Abandoned,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed => "failed",
            Self::Evicted => "evicted",
            Self::Discarded => "discarded",
            Self::Expired => "expired",
            Self::Undelivered => "undelivered",
            Self::OldState => "sent for an earlier state",
            Self::Abandoned => "abandoned",
        })
    }
}

/// A message that will never be handled. Clones share the one message.
#[derive(Clone)]
pub struct DeadLetter {
    inner: Arc<Inner>,
}

struct Inner {
    subsystem: Name,
    kind: Kind,
    reason: Reason,
    metadata: Option<Metadata>,
    message: Mutex<Option<Box<dyn Any + Send>>>,
}

impl DeadLetter {
    pub(crate) fn new(
        subsystem: Name,
        kind: Kind,
        reason: Reason,
        message: Option<Box<dyn Any + Send>>,
    ) -> Self {
        let message = Mutex::new(message);
        Self { inner: Arc::new(Inner { subsystem, kind, reason, metadata: None, message }) }
    }

    /// Says what the message was sent with, before anybody else has the letter.
    pub(crate) fn with_metadata(mut self, metadata: Option<Metadata>) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.metadata = metadata;
        }
        self
    }

    /// The subsystem it was sent to.
    #[must_use]
    pub fn subsystem(&self) -> &Name {
        &self.inner.subsystem
    }

    /// The name of the message's type, as [`std::any::type_name`] gives it.
    #[must_use]
    pub fn message_type(&self) -> &'static str {
        self.inner.kind.message_type()
    }

    /// The pattern of the route it came through, `users/{id}`, if it was sent by path. (What the parameters were is in the message.)
    #[must_use]
    pub fn pattern(&self) -> Option<&'static str> {
        self.inner.kind.pattern
    }

    /// What happened.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.inner.reason
    }

    /// The metadata that the message was sent with, if there was any. Of a failed one it is that of its handler, with the handler's own
    /// place in the trace.
    #[must_use]
    pub fn metadata(&self) -> Option<&Metadata> {
        self.inner.metadata.as_ref()
    }

    /// The trace that the message belongs to, if it was sent in one.
    #[must_use]
    pub fn trace(&self) -> Option<TraceParent> {
        self.metadata()?.trace()
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

/// ``a `post::Mail` for `mailer`: evicted``; by path ``a `post::Mail` for `mailer://outbox/{id}`: evicted``; in a trace with
/// `(trace 4bf92f3577b34da6a3ce929d0e0e4736)` behind it.
impl fmt::Display for DeadLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, pattern) = self.pattern().map_or(("", ""), |pattern| ("://", pattern));
        write!(
            f,
            "a `{}` for `{}{scheme}{pattern}`: {}",
            self.message_type(),
            self.subsystem(),
            self.reason()
        )?;
        self.trace().map_or(Ok(()), |trace| write!(f, " (trace {:032x})", trace.trace_id()))
    }
}

impl fmt::Debug for DeadLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetter")
            .field("subsystem", self.subsystem())
            .field("message_type", &self.message_type())
            .field("pattern", &self.pattern())
            .field("reason", &self.reason())
            .field("metadata", &self.metadata())
            .finish_non_exhaustive()
    }
}

/// A subscription to dead letters. Dropping it unsubscribes.
///
/// Async code reads it with [`recv`](Self::recv), threads with [`blocking_recv`](Self::blocking_recv), both of which wait;
/// [`drain`](Self::drain) takes what is there.
pub struct DeadLetters {
    subscribers: Weak<Subscribers>,
    id: u64,
    letters: Arc<LetterBox>,
}

impl DeadLetters {
    /// Waits for the next letter; `None` if there will be no more.
    ///
    /// Cancel-safe: a dropped future took nothing.
    pub async fn recv(&self) -> Option<DeadLetter> {
        awaited(|| Arc::clone(&self.letters) as _, self.letters.recv()).await
    }

    /// [`recv`](Self::recv) for threads without an async runtime: blocks the thread until there is a letter.
    pub fn blocking_recv(&self) -> Option<DeadLetter> {
        block_on(self.letters.recv())
    }

    /// Takes the next letter, if there is one.
    pub fn try_recv(&self) -> Option<DeadLetter> {
        self.letters.take()
    }

    /// Takes all the letters that are there.
    pub fn drain(&self) -> impl Iterator<Item = DeadLetter> + '_ {
        (0..self.len()).map_while(|_| self.try_recv())
    }

    /// How many letters are there.
    #[must_use]
    pub fn len(&self) -> usize {
        self.letters.len()
    }

    /// True if no letter is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for DeadLetters {
    fn drop(&mut self) {
        if let Some(subscribers) = self.subscribers.upgrade() {
            subscribers.remove(self.id);
        }
        letter_box::end(&self.letters);
    }
}

impl fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetters").field("queued", &self.len()).finish_non_exhaustive()
    }
}

impl Shared {
    /// True if somebody may want to know of lost messages; then letters carry theirs.
    pub(crate) fn wants_letters(&self) -> bool {
        self.dead_letters.is_watched() || self.bus.is_watched::<DeadLetter>()
    }

    pub(crate) fn deliver(&self, letter: DeadLetter) {
        self.bus.announce("dead_letters", letter.subsystem(), || letter.clone());
        self.dead_letters.publish(letter);
    }
}

/// Who gets dead letters.
#[derive(Default)]
pub(crate) struct Subscribers {
    watched: AtomicBool,
    senders: RwLock<Senders>,
    pub(crate) missed: Counter,
}

#[derive(Default)]
struct Senders {
    next_id: u64,
    by_id: BTreeMap<u64, Arc<LetterBox>>,
}

impl Subscribers {
    /// True if somebody may be subscribed.
    fn is_watched(&self) -> bool {
        // Relaxed: a subscriber that comes at this very moment may miss this letter.
        self.watched.load(Ordering::Relaxed)
    }

    pub(crate) fn subscribe(self: &Arc<Self>, capacity: usize) -> DeadLetters {
        let letters = Arc::new(LetterBox::new(capacity));
        let mut senders = self.senders.write().unwrap_or_else(PoisonError::into_inner);
        let id = senders.next_id;
        senders.next_id += 1;
        senders.by_id.insert(id, Arc::clone(&letters));
        self.watched.store(true, Ordering::Relaxed);
        DeadLetters { subscribers: Arc::downgrade(self), id, letters }
    }

    /// Letters that were not read are dropped with the receiver, and not under the lock.
    fn remove(&self, id: u64) {
        let mut senders = self.senders.write().unwrap_or_else(PoisonError::into_inner);
        let removed = senders.by_id.remove(&id);
        self.watched.store(!senders.by_id.is_empty(), Ordering::Relaxed);
        drop(senders);
        drop(removed);
    }

    /// There will be no more letters.
    pub(crate) fn close(&self) {
        let mut senders = self.senders.write().unwrap_or_else(PoisonError::into_inner);
        let removed = std::mem::take(&mut senders.by_id);
        self.watched.store(false, Ordering::Relaxed);
        drop(senders);
        removed.values().for_each(|letters| letters.close());
    }

    fn publish(&self, letter: DeadLetter) {
        // Wakes readers outside of the lock.
        let all: Vec<_> = {
            let senders = self.senders.read().unwrap_or_else(PoisonError::into_inner);
            senders.by_id.values().cloned().collect()
        };
        for letters in all {
            if !letters.put(&letter) {
                self.missed.add(1);
            }
        }
    }
}

impl Drop for Subscribers {
    /// The runtime has gone.
    fn drop(&mut self) {
        self.close();
    }
}
