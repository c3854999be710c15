//! Events on topics, for whoever subscribes.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;
use mycelia_core::OverflowPolicy;
use mycelia_core::sync::Mutex;
use mycelia_core::sync::atomic::{AtomicU64, Ordering};
use mycelia_router::{PathError, Router, normalize};

use crate::name::Name;
use crate::notation;
use crate::subscription::{Backlog, Subscription};

/// Publishes typed events on topics, to any number of subscribers, none of whom it waits for. From
/// [`Runtime::bus`](crate::Runtime::bus) and [`Context::bus`](crate::Context::bus).
///
/// A topic is a path, `orders/7/paid`. A subscriber names a type, and a pattern of [`mycelia_router`], `orders/{id}/paid` or
/// `orders/{*rest}` (`{*all}` is everything; a segment `*`, `+` or `#` is an error); it gets the events of exactly this type on
/// the topics that the pattern takes, whatever other patterns there are. So give each kind of event a type of its own.
///
/// Topics are percent-decoded as paths are, before they are compared, and refused for the same reasons: `orders/%6De` is
/// `orders/me`, and `orders/%2e%2e` is an error. [`encode_segment`](crate::encode_segment) writes any text as a segment. What
/// subscribers are given stays encoded, so `{*rest}` takes a `%2F` too, which it does not take of a path.
///
/// ```
/// use mycelia_actors::prelude::*;
///
/// struct Paid {
///     cents: u64,
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let runtime = Runtime::new();
/// let bus = runtime.bus();
/// let mut paid = bus.subscribe::<Paid>("orders/{id}/paid", 100)?;
/// assert_eq!(bus.publish("orders/7/paid", Paid { cents: 990 })?, 1);
///
/// let next = paid.recv().await.ok_or("the runtime has ended")?;
/// assert_eq!((next.param("id"), next.event.cents, next.missed), (Some("7"), 990, 0));
/// # Ok(())
/// # }
/// ```
///
/// # What the runtime publishes
///
/// | topic | type | when |
/// |---|---|---|
/// | `lifecycle/{subsystem}` | [`Lifecycle`](crate::Lifecycle) | a subsystem is spawned, has started, is restarted, has ended; its mailbox is full, is below half again |
/// | `dead_letters/{subsystem}` | [`DeadLetter`](crate::DeadLetter) | a message to it will never be handled |
///
/// A subsystem without a name stands there as [`Name::to_segment`] says, `Counter#7`; so `lifecycle/Counter#{number}` is all of one
/// type. Nothing of this is made while nobody subscribes to its type.
///
/// # Cost
/// Cloning is a reference count. An event that nobody subscribes to by its type costs the check of its topic and a look; else a
/// short lock, and a look at the topic for each subscriber of its type. With a subscriber that takes it, two allocations, for the
/// event and the topic, however many these are.
#[derive(Clone)]
pub struct Bus {
    audience: Arc<Audience>,
}

/// A topic that is no path. The event is inside.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("bad topic `{topic}`: {reason}")]
pub struct PublishError<E> {
    /// The event, back.
    pub event: E,
    /// The topic, at most its first 100 characters.
    pub topic: Box<str>,
    /// The rule that it breaks.
    pub reason: PathError,
}

impl<E> fmt::Debug for PublishError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, reason, .. } = self;
        f.debug_struct("PublishError").field("topic", topic).field("reason", reason).finish_non_exhaustive()
    }
}

/// Why there is no subscription.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The pattern is none.
    #[error(transparent)]
    Pattern(#[from] mycelia_router::Refusal),
    /// A segment is a wildcard of other brokers, which here would be literal text that no topic has.
    #[error(
        "bad pattern `{pattern}`: `{segment}` is not a wildcard here; one segment is `{{name}}`, the rest of a topic `{{*rest}}`"
    )]
    Wildcard {
        /// The pattern.
        pattern: Box<str>,
        /// The segment.
        segment: Box<str>,
    },
    /// A queue needs room for at least one event.
    #[error("a subscription of capacity 0 would miss every event")]
    NoCapacity,
    /// The policy `Error` has nobody to tell.
    #[error("a publisher is not told of full queues: use `DropOldest` or `DropNewest`")]
    Policy,
}

impl Bus {
    pub(crate) fn new() -> Self {
        Self { audience: Arc::default() }
    }

    /// Publishes an event, and says how many subscribers got it: 0, if nobody wants it. Never waits; who is slow misses
    /// something, and is told how much.
    ///
    /// # Errors
    /// [`PublishError`], with the event: the topic is no path.
    pub fn publish<E: Send + Sync + 'static>(&self, topic: &str, event: E) -> Result<usize, PublishError<E>> {
        let normal = match topic.starts_with('/') {
            true => Err(PathError::LeadingSlash),
            false => normalize(topic),
        };
        let topic = match normal {
            Ok(normal) => normal,
            Err(reason) => {
                return Err(PublishError { event, topic: topic.chars().take(100).collect(), reason });
            }
        };
        let readers = self.readers::<E>().map(|readers| readers.all());
        let mut taking = readers.iter().flat_map(|all| all.iter()).filter(|one| one.takes(&topic)).peekable();
        if taking.peek().is_none() {
            return Ok(0);
        }
        let (topic, event) = (Arc::from(&*topic), Arc::new(event));
        Ok(taking.filter(|backlog| backlog.push(&topic, &event)).count())
    }

    /// Subscribes to the events of type `E` on the topics that `pattern` takes, with a queue of at most `capacity` of them. When
    /// it is full, the oldest event is dropped (and counted) for a new one.
    ///
    /// On the bus of a runtime that was shut down the subscription has already ended.
    ///
    /// # Errors
    /// [`SubscribeError`]: a bad pattern, or a capacity of 0.
    pub fn subscribe<E: Send + Sync + 'static>(
        &self,
        pattern: &str,
        capacity: usize,
    ) -> Result<Subscription<E>, SubscribeError> {
        self.subscribe_with(pattern, capacity, OverflowPolicy::DropOldest)
    }

    /// [`subscribe`](Self::subscribe) with a policy: `DropOldest`, or `DropNewest`, with which a full queue takes no new event.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe), and the policy `Error`, for publishers are not told.
    pub fn subscribe_with<E: Send + Sync + 'static>(
        &self,
        pattern: &str,
        capacity: usize,
        policy: OverflowPolicy,
    ) -> Result<Subscription<E>, SubscribeError> {
        if capacity == 0 {
            return Err(SubscribeError::NoCapacity);
        }
        if policy == OverflowPolicy::Error {
            return Err(SubscribeError::Policy);
        }
        if let Some(segment) = notation::wildcard(pattern) {
            return Err(SubscribeError::Wildcard { pattern: pattern.into(), segment: segment.into() });
        }
        // Subscribers are given parameters as they are written.
        let mut router = Router::new().with_encoded_slash_in_rest();
        router.insert(pattern, ()).map_err(|error| error.reason)?;
        if let Some(instead) = notation::instead_of(pattern) {
            tracing::warn!(
                "the subscription to `{pattern}` has no parameter where it looks like it: perhaps `{instead}` is meant"
            );
        }
        let backlog = Arc::new(Backlog::new(router, capacity, policy));
        let number = self.join(&backlog);
        Ok(Subscription::new(self.clone(), backlog, number))
    }

    /// True if somebody may be subscribed to events of this type.
    #[inline]
    pub(crate) fn is_watched<E: 'static>(&self) -> bool {
        // Relaxed: a subscriber that comes at this very moment may miss this event.
        self.audience.watched.load(Ordering::Relaxed) & bit(TypeId::of::<E>()) != 0
    }

    /// Publishes what the runtime has to say of a subsystem, on `{about}/{subsystem}`, if somebody wants to know.
    #[inline]
    pub(crate) fn announce<E: Send + Sync + 'static>(
        &self,
        about: &str,
        subsystem: &Name,
        event: impl FnOnce() -> E,
    ) {
        if self.is_watched::<E>() {
            // A name that is too long for a topic has none.
            let _ = self.publish(&format!("{about}/{}", subsystem.to_segment()), event());
        }
    }

    /// Those who read events of this type.
    fn readers<E: Send + Sync + 'static>(&self) -> Option<Arc<Readers<E>>> {
        if !self.is_watched::<E>() {
            return None;
        }
        self.audience.table.lock().get()
    }

    /// The number to leave with.
    fn join<E: Send + Sync + 'static>(&self, backlog: &Arc<Backlog<E>>) -> u64 {
        loop {
            let mut table = self.audience.table.lock();
            if table.closed {
                drop(table);
                backlog.close();
                return 0;
            }
            let readers = table.get().unwrap_or_else(|| table.add(&self.audience.watched));
            drop(table);
            if let Some(number) = readers.join(backlog) {
                return number;
            }
            // The last of them has left at this moment, and these will be no more.
            self.audience.forget(&readers);
        }
    }

    pub(crate) fn leave<E: Send + Sync + 'static>(&self, number: u64) {
        if let Some(readers) = self.readers::<E>()
            && readers.leave(number)
        {
            self.audience.forget(&readers);
        }
    }

    /// There will be no more events.
    pub(crate) fn close(&self) {
        let mut table = self.audience.table.lock();
        table.closed = true;
        let all = std::mem::take(&mut table.by_type);
        table.types = [0; 64];
        self.audience.watched.store(0, Ordering::Relaxed);
        drop(table);
        all.values().for_each(|readers| readers.close());
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus").finish_non_exhaustive()
    }
}

/// Who gets what.
#[derive(Default)]
struct Audience {
    /// A [`bit`] for each type of event that somebody subscribes to, so that the others need no lock.
    watched: AtomicU64,
    table: Mutex<Table>,
}

impl Audience {
    /// These have no reader, and will have none.
    fn forget<E: Send + Sync + 'static>(&self, readers: &Arc<Readers<E>>) {
        let mut table = self.table.lock();
        let is_same = table.get::<E>().is_some_and(|other| Arc::ptr_eq(&other, readers));
        let old = if is_same { table.remove(TypeId::of::<E>(), &self.watched) } else { None };
        drop(table);
        drop(old);
    }
}

/// The readers by the types of their events. It is locked for a look or a change of one entry.
struct Table {
    by_type: HashMap<TypeId, Arc<dyn AnyReaders>, FixedState>,
    /// How many types have each bit.
    types: [u32; 64],
    closed: bool,
}

impl Default for Table {
    fn default() -> Self {
        Self { by_type: HashMap::default(), types: [0; 64], closed: false }
    }
}

impl Table {
    fn get<E: Send + Sync + 'static>(&self) -> Option<Arc<Readers<E>>> {
        let found: Arc<dyn Any + Send + Sync> = self.by_type.get(&TypeId::of::<E>())?.clone();
        found.downcast().ok()
    }

    fn add<E: Send + Sync + 'static>(&mut self, watched: &AtomicU64) -> Arc<Readers<E>> {
        let readers = Arc::new(Readers::<E>(Mutex::default()));
        let id = TypeId::of::<E>();
        self.by_type.insert(id, readers.clone());
        self.types[place(id)] += 1;
        // Relaxed: written under the lock, and a hint to those who read it.
        watched.fetch_or(bit(id), Ordering::Relaxed);
        readers
    }

    fn remove(&mut self, id: TypeId, watched: &AtomicU64) -> Option<Arc<dyn AnyReaders>> {
        let old = self.by_type.remove(&id)?;
        self.types[place(id)] -= 1;
        if self.types[place(id)] == 0 {
            watched.fetch_and(!bit(id), Ordering::Relaxed);
        }
        Some(old)
    }
}

/// The backlogs for one type of event.
struct Readers<E>(Mutex<Members<E>>);

/// To join and to leave is one step. Publishers use a copy, which the first of them makes after a change: it takes as long as its
/// publishing does.
struct Members<E> {
    /// By their numbers: in the order in which they came.
    all: BTreeMap<u64, Arc<Backlog<E>>>,
    next: u64,
    copy: Option<Arc<Vec<Arc<Backlog<E>>>>>,
    /// The last one has left, or the bus is closed: nobody joins any more.
    is_over: bool,
}

impl<E> Default for Members<E> {
    fn default() -> Self {
        Self { all: BTreeMap::new(), next: 0, copy: None, is_over: false }
    }
}

impl<E> Readers<E> {
    fn all(&self) -> Arc<Vec<Arc<Backlog<E>>>> {
        let members = &mut *self.0.lock();
        Arc::clone(members.copy.get_or_insert_with(|| Arc::new(members.all.values().cloned().collect())))
    }

    /// Its number. `None` if they are over.
    fn join(&self, backlog: &Arc<Backlog<E>>) -> Option<u64> {
        let mut members = self.0.lock();
        if members.is_over {
            return None;
        }
        let number = members.next;
        members.next += 1;
        members.all.insert(number, Arc::clone(backlog));
        let old = members.copy.take();
        drop(members);
        drop(old);
        Some(number)
    }

    /// True if they are over now.
    fn leave(&self, number: u64) -> bool {
        let mut members = self.0.lock();
        let own = members.all.remove(&number);
        members.is_over |= members.all.is_empty();
        let (is_over, old) = (members.is_over, members.copy.take());
        drop(members);
        drop((own, old));
        is_over
    }
}

/// Readers with the type of their events forgotten.
trait AnyReaders: Any + Send + Sync {
    fn close(&self);
}

impl<E: Send + Sync + 'static> AnyReaders for Readers<E> {
    fn close(&self) {
        let mut members = self.0.lock();
        members.is_over = true;
        let (all, copy) = (std::mem::take(&mut members.all), members.copy.take());
        drop(members);
        drop(copy);
        all.values().for_each(|backlog| backlog.close());
    }
}

/// One of 64 for each type; two may share theirs.
#[inline]
fn bit(event: TypeId) -> u64 {
    1 << place(event)
}

#[inline]
fn place(event: TypeId) -> usize {
    (FixedState::default().hash_one(event) % 64) as usize
}
