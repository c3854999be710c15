//! The reading end of the bus: a bounded queue that knows what it has missed.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll, Waker};

use futures_core::Stream;
use mycelia_core::sync::Mutex;
use mycelia_core::{OverflowPolicy, Patience, contain, drop_waker, wake_all};
use mycelia_router::Router;

use crate::awaited::{Awaited, Mark, awaited, poll_awaited};
use crate::blocking::block_on;
use crate::budget::within_budget;
use crate::bus::Bus;
use crate::current;

/// What a [`Subscription`] receives: an event, shared with the other subscribers.
#[derive(Debug)]
pub struct Event<E> {
    /// On which topic it was published.
    pub topic: Arc<str>,
    /// The event.
    pub event: Arc<E>,
    /// How many events this subscription has missed directly before this one.
    pub missed: u64,
    pattern: Arc<Router<()>>,
}

impl<E> Event<E> {
    /// What stands in the topic where the subscription's pattern has `{name}`, as it is: not percent-decoded, for which there is
    /// [`decode`](crate::decode). (Letters, digits and `-._~` are never encoded in `topic`, however it was published.) Cost: another look at the topic.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.pattern.at(&self.topic).ok()?.params().get(name)
    }
}

impl<E> Clone for Event<E> {
    fn clone(&self) -> Self {
        let (topic, event, pattern) = (self.topic.clone(), self.event.clone(), self.pattern.clone());
        Self { topic, event, missed: self.missed, pattern }
    }
}

/// A subscription to events of type `E`, with a queue of its own. Made by [`Bus::subscribe`](crate::Bus::subscribe). Dropping it
/// unsubscribes.
///
/// Async code reads it with [`recv`](Self::recv), threads with [`blocking_recv`](Self::blocking_recv), both of which wait;
/// [`try_recv`](Self::try_recv) takes what is there. It is a stream as well: `cx.attach(subscription)` makes its events messages of
/// a subsystem. Events of one publisher come in the order in which they were published.
///
/// It keeps no subsystem and no runtime alive, and ends after its last event once the runtime has been
/// [shut down](crate::Runtime::shutdown), or has gone with all its addresses.
pub struct Subscription<E: Send + Sync + 'static> {
    bus: Bus,
    backlog: Arc<Backlog<E>>,
    /// For the bus.
    number: u64,
    /// The side task that waits for the next event of the stream.
    mark: Option<Mark>,
}

impl<E: Send + Sync + 'static> Subscription<E> {
    pub(crate) fn new(bus: Bus, backlog: Arc<Backlog<E>>, number: u64) -> Self {
        Self { bus, backlog, number, mark: None }
    }

    /// Waits for the next event; `None` if there will be no more.
    ///
    /// Cancel-safe: a dropped future took nothing.
    pub async fn recv(&mut self) -> Option<Event<E>> {
        awaited(|| Arc::clone(&self.backlog) as _, poll_fn(|task| self.backlog.poll(task))).await
    }

    /// [`recv`](Self::recv) for threads without an async runtime: blocks the thread until there is an event.
    pub fn blocking_recv(&mut self) -> Option<Event<E>> {
        self.try_recv().or_else(|| block_on(self.recv()))
    }

    /// Takes the next event, if there is one.
    pub fn try_recv(&mut self) -> Option<Event<E>> {
        self.backlog.take()
    }

    /// How many events it has missed so far, because its queue was full. Where they are missing, [`Event::missed`] says.
    ///
    /// Every event published for it was received, is in the queue, or is counted here.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.backlog.state.lock().missed
    }

    /// How many events are in the queue.
    #[must_use]
    pub fn len(&self) -> usize {
        self.backlog.state.lock().events.len()
    }

    /// True if no event is in the queue.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<E: Send + Sync + 'static> Stream for Subscription<E> {
    type Item = Event<E>;

    fn poll_next(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<Event<E>>> {
        let Self { backlog, mark, .. } = self.get_mut();
        poll_awaited(mark, || Arc::clone(backlog) as _, task, |task| backlog.poll(task))
    }
}

impl<E: Send + Sync + 'static> Drop for Subscription<E> {
    fn drop(&mut self) {
        self.bus.leave::<E>(self.number);
        let (events, reader) = self.backlog.end();
        drop_waker(reader);
        // One by one, for a second panic while the first unwinds would end the process.
        events.into_iter().for_each(|event| _ = contain(|| drop(event)));
    }
}

impl<E: Send + Sync + 'static> fmt::Debug for Subscription<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.backlog.state.lock();
        let (queued, missed) = (state.events.len(), state.missed);
        drop(state);
        f.debug_struct("Subscription")
            .field("patterns", &self.backlog.pattern)
            .field("queued", &queued)
            .field("missed", &missed)
            .finish_non_exhaustive()
    }
}

/// The queue between publishers and one subscriber.
pub(crate) struct Backlog<E> {
    /// With one route: what it takes.
    pattern: Arc<Router<()>>,
    capacity: usize,
    policy: OverflowPolicy,
    state: Mutex<State<E>>,
}

struct State<E> {
    /// Each with the number of those that are missing before it.
    events: VecDeque<Event<E>>,
    /// How many are missing behind the last of them (`DropNewest`).
    gap: u64,
    missed: u64,
    reader: Option<Waker>,
    closed: bool,
    /// The most events since the reader last found none.
    peak: usize,
    patience: Patience,
}

/// Room for more events than this is given back when the reader finds none.
const LARGE: usize = 1024;
/// Less, but for so many, if an eighth would have done for a while.
const SMALL: usize = 16;

impl<E> State<E> {
    /// The reader found nothing: memory of a burst, to be dropped outside of the lock.
    fn idle(&mut self) -> Option<VecDeque<Event<E>>> {
        let room = self.events.capacity();
        let is_little = room > SMALL && self.peak < room / 8;
        self.peak = 0;
        if !is_little {
            self.patience.much();
        }
        (room > LARGE || is_little && self.patience.little()).then(|| std::mem::take(&mut self.events))
    }
}

/// An event, for side tasks that wait for it.
impl<E: Send + Sync> Awaited for Backlog<E> {
    fn is_awaited(&self) -> bool {
        let state = self.state.lock();
        state.events.is_empty() && !state.closed
    }
}

impl<E> Backlog<E> {
    /// Holds at least one event.
    pub(crate) fn new(pattern: Router<()>, capacity: usize, policy: OverflowPolicy) -> Self {
        let (events, reader) = (VecDeque::new(), None);
        let state =
            State { events, gap: 0, missed: 0, reader, closed: false, peak: 0, patience: Patience::new() };
        Self { pattern: Arc::new(pattern), capacity, policy, state: Mutex::new(state) }
    }

    pub(crate) fn takes(&self, topic: &str) -> bool {
        self.pattern.at(topic).is_ok()
    }

    /// Puts an event into the queue, by the policy if that is full. True if it went in.
    pub(crate) fn push(&self, topic: &Arc<str>, event: &Arc<E>) -> bool {
        let mut state = self.state.lock();
        if state.closed {
            return false;
        }
        let full = state.events.len() == self.capacity;
        state.missed += u64::from(full);
        if full && self.policy == OverflowPolicy::DropNewest {
            state.gap += 1;
            return false;
        }
        let oldest = if full { state.events.pop_front() } else { None };
        let (topic, event) = (Arc::clone(topic), Arc::clone(event));
        let (missed, pattern) = (std::mem::take(&mut state.gap), Arc::clone(&self.pattern));
        if state.events.len() == state.events.capacity() && state.events.len() >= SMALL {
            state.patience.grow();
        }
        state.events.push_back(Event { topic, event, missed, pattern });
        state.peak = state.peak.max(state.events.len());
        if let (Some(oldest), Some(next)) = (&oldest, state.events.front_mut()) {
            next.missed += oldest.missed + 1;
        }
        let reader = state.reader.take();
        drop(state);
        wake_all(reader);
        if oldest.is_some() {
            // Its drop is none of the publisher's business.
            let _nobody = current::has_metadata().then(|| current::with(None));
            // A panic has been printed by the panic hook.
            let _ = contain(|| drop(oldest));
        }
        true
    }

    fn poll(&self, task: &mut Task<'_>) -> Poll<Option<Event<E>>> {
        within_budget(task, |task| self.look(task))
    }

    fn look(&self, task: &mut Task<'_>) -> Poll<Option<Event<E>>> {
        // Made outside of the lock: it is the user's code.
        let mut waker = None;
        loop {
            let mut state = self.state.lock();
            if let Some(event) = state.events.pop_front() {
                return Poll::Ready(Some(event));
            }
            let memory = state.idle();
            if state.closed {
                return Poll::Ready(None);
            }
            if state.reader.as_ref().is_some_and(|reader| reader.will_wake(task.waker())) {
                return Poll::Pending;
            }
            if let Some(waker) = waker.take() {
                let old = state.reader.replace(waker);
                drop(state);
                drop_waker(old);
                drop(memory);
                return Poll::Pending;
            }
            drop(state);
            waker = Some(task.waker().clone());
        }
    }

    fn take(&self) -> Option<Event<E>> {
        let mut state = self.state.lock();
        let event = state.events.pop_front();
        let memory = if event.is_none() { state.idle() } else { None };
        drop(state);
        drop(memory);
        event
    }

    /// There will be no more events.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let reader = state.reader.take();
        drop(state);
        wake_all(reader);
    }

    /// Nobody reads it any more. What is left, to be dropped.
    fn end(&self) -> (VecDeque<Event<E>>, Option<Waker>) {
        let mut state = self.state.lock();
        state.closed = true;
        (std::mem::take(&mut state.events), state.reader.take())
    }
}
