//! Events on topics, for whoever subscribes.

use std::any::{Any, TypeId};
use std::collections::HashMap;
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
        let backlogs = self.backlogs::<E>();
        let mut taking =
            backlogs.iter().flat_map(|all| all.iter()).filter(|one| one.takes(&topic)).peekable();
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
        self.join(&backlog);
        Ok(Subscription::new(self.clone(), backlog))
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

    fn backlogs<E: Send + Sync + 'static>(&self) -> Option<Arc<Vec<Arc<Backlog<E>>>>> {
        if !self.is_watched::<E>() {
            return None;
        }
        let found: Arc<dyn Any + Send + Sync> =
            self.audience.table.lock().by_type.get(&TypeId::of::<E>())?.clone();
        found.downcast().ok()
    }

    fn join<E: Send + Sync + 'static>(&self, backlog: &Arc<Backlog<E>>) {
        self.change::<E>(|all, closed| {
            if closed {
                backlog.close();
            } else {
                all.push(Arc::clone(backlog));
            }
        });
    }

    pub(crate) fn leave<E: Send + Sync + 'static>(&self, backlog: &Arc<Backlog<E>>) {
        self.change::<E>(|all, _| all.retain(|other| !Arc::ptr_eq(other, backlog)));
    }

    /// Replaces the backlogs for one type.
    fn change<E: Send + Sync + 'static>(&self, change: impl FnOnce(&mut Vec<Arc<Backlog<E>>>, bool)) {
        let id = TypeId::of::<E>();
        let mut table = self.audience.table.lock();
        let old = table.by_type.remove(&id);
        let known = old.as_deref().and_then(|old| (old as &dyn Any).downcast_ref::<Vec<_>>());
        let mut new = known.cloned().unwrap_or_default();
        change(&mut new, table.closed);
        if !new.is_empty() {
            table.by_type.insert(id, Arc::new(new));
        }
        let watched = table.by_type.keys().fold(0, |bits, id| bits | bit(*id));
        self.audience.watched.store(watched, Ordering::Relaxed);
        drop(table);
        drop(old);
    }

    /// There will be no more events.
    pub(crate) fn close(&self) {
        let mut table = self.audience.table.lock();
        table.closed = true;
        let all = std::mem::take(&mut table.by_type);
        self.audience.watched.store(0, Ordering::Relaxed);
        drop(table);
        all.values().for_each(|backlogs| backlogs.close());
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

#[derive(Default)]
struct Table {
    /// Never changed, only replaced: publishers use them outside the lock.
    by_type: HashMap<TypeId, Arc<dyn Backlogs>, FixedState>,
    closed: bool,
}

/// The backlogs for one type of event, with the type forgotten.
trait Backlogs: Any + Send + Sync {
    fn close(&self);
}

impl<E: Send + Sync + 'static> Backlogs for Vec<Arc<Backlog<E>>> {
    fn close(&self) {
        self.iter().for_each(|backlog| backlog.close());
    }
}

/// One of 64 for each type; two may share theirs.
#[inline]
fn bit(event: TypeId) -> u64 {
    1 << (FixedState::default().hash_one(event) % 64)
}
