//! The bounded queue with waiting on both sides.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use mycelia_core::OverflowPolicy;
use mycelia_core::seeded::bug;
use mycelia_core::sync::atomic::{AtomicBool, Ordering};
use mycelia_core::sync::{Mutex, MutexGuard};
use mycelia_core::{contain, drop_waker, wake_all};

use crate::error::{PushError, SendError};
use crate::in_a_row::InARow;
use crate::pushed::{Pushed, PushedMany};
use crate::ring::Ring;
use crate::send::Send;
use crate::stats::Stats;
use crate::wait::{Outcome, Rewoken, WaitList};

/// Senders woken per turn of the lock, so that their wakers fit on the stack.
const WAKES: usize = 16;

/// A bounded queue from many senders to one receiver, both of which may wait. Needs no async runtime.
///
/// * [`push`](Self::push) never waits: the policy decides. [`send`](Self::send) waits for room under every policy.
/// * Freed room belongs to the waiting senders, in order. While any wait, a push finds the queue full.
/// * One task at a time may wait for items; if several do, the last one to ask is woken.
/// * Waiting is by [`Waker`]: the receiver is woken when the queue turns from empty to not empty while it waits, not at
///   every item.
///
/// # Cost
/// Each call takes a lock for a few instructions. Items are dropped, and wakers cloned, woken and dropped, outside of it.
///
/// ```
/// use mycelia_queue::{Channel, OverflowPolicy};
///
/// # fn block_on<F: Future>(future: F) -> F::Output {
/// #     let mut future = std::pin::pin!(future);
/// #     loop {
/// #         if let std::task::Poll::Ready(output) =
/// #             future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
/// #         {
/// #             return output;
/// #         }
/// #     }
/// # }
/// # block_on(async {
/// let channel = Channel::new(8, OverflowPolicy::Error);
/// channel.send(1).await?;
/// channel.push(2)?;
/// channel.close();
/// assert_eq!((channel.recv().await, channel.recv().await, channel.recv().await), (Some(1), Some(2), None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct Channel<T> {
    state: Mutex<State<T>>,
    /// Senders were let in and not woken yet. Written under the lock.
    owes_wakes: AtomicBool,
    /// The receiver's wakers are cloned under the lock, and not lent.
    clones_wakers: bool,
    pub(crate) sent: InARow,
    received: InARow,
}

struct State<T> {
    ring: Ring<T>,
    /// Stays registered from the receiver's first wait on, so that [`Channel::wake_receiver`] always works. Lent to the thread that
    /// wakes it, for which the waker must not be cloned under the lock.
    receiver: Option<Waker>,
    lent: Lent,
    /// The receiver found nothing and waits: the next item wakes it.
    idle: bool,
    /// Senders that were let in are woken when no more items than this are left.
    low_water: u32,
    /// Made when the first sender waits. While any waits the ring has no room to spare.
    senders: Option<Box<WaitList<T>>>,
}

/// Where the receiver's waker is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lent {
    /// In its place, if there is one.
    No,
    /// With a thread that wakes it, and puts it back.
    Yes,
    /// The same, and it is to be woken once more.
    Again,
    /// With a thread that wakes it, and drops it: the receiver has registered another one, or is forgotten.
    Replaced,
    /// The same, and the other one is to be woken, too.
    ReplacedAgain,
}

impl<T> State<T> {
    fn waiting(&self) -> usize {
        self.senders.as_ref().map_or(0, |senders| senders.waiting())
    }

    /// Room in the ring belongs to the senders that wait.
    fn reserved(&self) -> bool {
        self.waiting() > 0
    }

    /// Whom to wake, if the receiver waits for the item that has just come.
    #[inline]
    fn edge(&mut self, clones: bool) -> Option<Waker> {
        if !self.idle || self.ring.is_empty() {
            return None;
        }
        self.idle = false;
        if clones { self.receiver.clone() } else { self.lend(false) }
    }

    /// The receiver's waker, for [`Channel::wake_lent`]. If another thread has it, that wakes once more.
    #[inline(never)]
    fn lend(&mut self, clones: bool) -> Option<Waker> {
        if clones {
            return self.receiver.clone();
        }
        match self.lent {
            Lent::No => {
                let waker = self.receiver.take();
                if waker.is_some() {
                    self.lent = Lent::Yes;
                }
                waker
            }
            Lent::Yes | Lent::Again => {
                if !bug("a waker that is lent is not woken again") {
                    self.lent = Lent::Again;
                }
                None
            }
            Lent::Replaced | Lent::ReplacedAgain => {
                self.lent = Lent::ReplacedAgain;
                None
            }
        }
    }

    fn is_registered(&self, waker: &Waker) -> bool {
        self.receiver.as_ref().is_some_and(|own| own.will_wake(waker))
    }

    /// Puts another waker, or none, in the receiver's place. The old one is to be dropped outside the lock.
    fn register(&mut self, waker: Option<Waker>) -> Option<Waker> {
        match self.lent {
            Lent::Yes => self.lent = Lent::Replaced,
            Lent::Again => self.lent = Lent::ReplacedAgain,
            Lent::No | Lent::Replaced | Lent::ReplacedAgain => {}
        }
        std::mem::replace(&mut self.receiver, waker)
    }
}

impl<T> Channel<T> {
    /// A channel of at most `capacity` items (and 2³² - 1), and what becomes of one pushed too many. A capacity of 0 never
    /// has room.
    #[must_use]
    pub fn new(capacity: usize, policy: OverflowPolicy) -> Self {
        Self::with_low_water(capacity, policy, capacity)
    }

    /// A channel that wakes waiting senders late: not before it holds at most `low_water` items.
    ///
    /// Their items go in as soon as there is room all the same. A receiver that is slower than its senders then trades
    /// with each of them once for many items, instead of once for every item or batch. At the latest they are woken when
    /// `capacity` items more have been taken. In return the receiver must call [`wake_senders`](Self::wake_senders) before it
    /// waits for anything but this channel.
    #[must_use]
    pub fn with_low_water(capacity: usize, policy: OverflowPolicy, low_water: usize) -> Self {
        Self {
            state: Mutex::new(State {
                ring: Ring::new(capacity, policy),
                receiver: None,
                lent: Lent::No,
                idle: false,
                // More than 32 bits of items fit into no memory.
                low_water: u32::try_from(low_water).unwrap_or(u32::MAX),
                senders: None,
            }),
            owes_wakes: AtomicBool::new(false),
            clones_wakers: false,
            sent: InARow::default(),
            received: InARow::default(),
        }
    }

    /// Says that the receiver's wakers run no code of a user when they are cloned and woken, as those of tokio's tasks: the queue then
    /// clones them under its lock. It spares a second look at the lock whenever the receiver is woken.
    #[must_use]
    pub fn with_plain_receiver(self) -> Self {
        Self { clones_wakers: true, ..self }
    }

    /// Pushes without waiting, by the policy if the queue is full (or its room belongs to waiting senders).
    ///
    /// # Errors
    /// As [`BoundedQueue::push`](crate::BoundedQueue::push); the item is inside.
    #[inline]
    pub fn push(&self, item: T) -> Result<Pushed<T>, PushError<T>> {
        if bug("evicting in two steps") {
            let oldest = Some(self.state.lock())
                .and_then(|mut state| (!state.ring.has_room()).then(|| state.ring.pop()).flatten());
            self.state.lock().ring.accept(item);
            return Ok(oldest.map_or(Pushed::Queued, Pushed::Evicted));
        }
        if bug("closed or not, looked at beforehand") && !self.is_closed() {
            self.state.lock().ring.accept(item);
            return Ok(Pushed::Queued);
        }
        let mut state = self.state.lock();
        let reserved = state.reserved();
        let pushed = state.ring.push(item, reserved);
        let wake = state.edge(self.clones_wakers);
        drop(state);
        self.wake_lent(wake);
        pushed
    }

    /// Pushes a batch in one step, as [`BoundedQueue::push_many`](crate::BoundedQueue::push_many) does.
    pub fn push_many(&self, batch: &mut VecDeque<T>) -> PushedMany {
        let mut state = self.state.lock();
        let reserved = state.reserved();
        let pushed = state.ring.push_many(batch, reserved);
        let wake = state.edge(self.clones_wakers);
        drop(state);
        self.wake_lent(wake);
        pushed
    }

    /// Pushes only if there is room, under every policy. For those who would wait otherwise.
    ///
    /// # Errors
    /// As [`push`](Self::push) under the policy `Error`; but a refusal because the channel is full is not counted, for the
    /// item has not met its fate yet.
    #[inline]
    pub fn try_send(&self, item: T) -> Result<(), PushError<T>> {
        let mut state = self.state.lock();
        if state.ring.is_closed() {
            state.ring.count_refused(1);
            return Err(PushError::Closed { item });
        }
        if !state.ring.has_room() || state.reserved() {
            return Err(PushError::Full { item, capacity: state.ring.capacity() });
        }
        state.ring.accept(item);
        let wake = state.edge(self.clones_wakers);
        drop(state);
        self.wake_lent(wake);
        Ok(())
    }

    /// Sends an item, waiting for room if need be. Nothing happens before the first poll. After 128 sends in a row that were ready at once,
    /// the next lets other tasks run before it looks.
    pub fn send(&self, item: T) -> Send<&Self, T> {
        Send::to(self, item)
    }

    /// Waits for the next item; `None` once the channel is closed and empty. After 128 items in a row without a wait it lets other tasks
    /// run once.
    ///
    /// Cancel-safe: a dropped future took nothing.
    pub async fn recv(&self) -> Option<T> {
        poll_fn(|cx| {
            if self.received.is_over(cx) {
                return Poll::Pending;
            }
            let (taken, _) = self.poll_take(cx, Ring::pop);
            self.received.count(taken.is_ready());
            taken
        })
        .await
    }

    /// Moves up to `limit` items (at least 1) to the end of `batch`, or waits for the first. The batch may lose its spare room then.
    ///
    /// Ready with the number of items, which is 0 only if the channel is closed and empty.
    #[inline]
    pub fn poll_recv_many(&self, cx: &mut Context<'_>, batch: &mut VecDeque<T>, limit: usize) -> Poll<usize> {
        let take = |ring: &mut Ring<T>| Some(ring.pop_many(batch, limit.max(1))).filter(|&count| count > 0);
        let (taken, gave_back) = self.poll_take(cx, take);
        if gave_back && batch.is_empty() {
            // The memory of a burst is here as well.
            *batch = VecDeque::new();
        }
        taken.map(Option::unwrap_or_default)
    }

    /// Takes what `take` finds, or `None` at the end, or waits. True if the ring gave memory back.
    #[inline]
    fn poll_take<R>(
        &self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(&mut Ring<T>) -> Option<R>,
    ) -> (Poll<Option<R>>, bool) {
        let mut is_registered = false;
        loop {
            let mut state = self.state.lock();
            let before = state.ring.len();
            if let Some(taken) = take(&mut state.ring) {
                if state.senders.is_some() {
                    let count = before - state.ring.len();
                    self.let_senders_in(state, count);
                }
                return (Poll::Ready(Some(taken)), false);
            }
            if state.ring.is_shut() {
                return (Poll::Ready(None), false);
            }
            if is_registered || state.is_registered(cx.waker()) {
                if bug("going idle in two steps") {
                    drop(state);
                    state = self.state.lock();
                }
                state.idle = true;
                let memory = state.ring.idle();
                drop(state);
                return (Poll::Pending, memory.is_some());
            }
            // The waker is cloned and dropped outside of the lock; then this looks again. It is not compared once more: the clone of a
            // waker need not be known by it.
            drop(state);
            self.register_receiver(cx.waker());
            is_registered = true;
        }
    }

    /// Registers whom [`wake_receiver`](Self::wake_receiver) and the next item wake, without looking for items.
    #[inline(never)]
    pub fn register_receiver(&self, waker: &Waker) {
        if self.state.lock().is_registered(waker) {
            return;
        }
        let new = Some(waker.clone());
        let old = self.state.lock().register(new);
        drop_waker(old);
    }

    /// Wakes the receiver whether there are items or not, so that it looks at something else.
    pub fn wake_receiver(&self) {
        let mut state = self.state.lock();
        if bug("a receiver that is awake is not woken") && !state.idle {
            return;
        }
        state.idle = false;
        let waker = state.lend(self.clones_wakers);
        drop(state);
        self.wake_lent(waker);
    }

    /// Forgets the receiver's waker, and with it whatever the waker keeps alive.
    pub fn forget_receiver(&self) {
        let mut state = self.state.lock();
        state.idle = false;
        let old = state.register(None);
        drop(state);
        drop_waker(old);
    }

    /// Refuses every later item, gives waiting senders theirs back, and wakes the receiver, which may take what is left.
    pub fn close(&self) {
        let mut state = self.state.lock();
        if state.ring.is_shut() {
            // Also for a waker that closes the channel which wakes it.
            return;
        }
        state.ring.close();
        let line = state.senders.as_mut().filter(|_| !bug("a close that forgets the line"));
        let refused = line.map_or(0, |senders| senders.refuse_all());
        state.ring.count_refused(refused);
        state.idle = false;
        let receiver = if bug("a close that wakes nobody") { None } else { state.lend(self.clones_wakers) };
        if state.senders.is_some() {
            self.wake_senders_of(state);
        } else {
            drop(state);
        }
        self.wake_lent(receiver);
    }

    /// [Closes](Self::close), if the receiver waits for items, and there are none, nor senders in line. False if it does not.
    pub fn close_if_idle(&self) -> bool {
        let mut state = self.state.lock();
        if !state.idle || !state.ring.is_empty() || state.waiting() > 0 {
            return false;
        }
        if bug("idle or not, looked at beforehand") {
            drop(state);
            state = self.state.lock();
        }
        state.ring.close();
        state.idle = false;
        let receiver = state.lend(self.clones_wakers);
        drop(state);
        self.wake_lent(receiver);
        true
    }

    /// Refuses every later item from outside, and gives waiting senders theirs back. The channel stays open inside: for items that
    /// come through [`push_inside`](Self::push_inside), [`push_many_inside`](Self::push_many_inside), or [`Send::to_inside`], until
    /// [`close`](Self::close). Who is inside, the callers of these know.
    ///
    /// Does not wake the receiver. Returns true if the receiver has something else to do than to wait for items, so that it may have
    /// to be [woken](Self::wake_receiver); false also if the channel was closed before.
    pub fn close_to_outside(&self) -> bool {
        let mut state = self.state.lock();
        if !state.ring.close_to_outside() {
            return false;
        }
        let line = state.senders.as_mut().filter(|_| !bug("a close to outside that forgets the line"));
        let refused = line.map_or(0, |senders| senders.refuse_all());
        state.ring.count_refused(refused);
        let busy = !state.idle;
        if refused > 0 {
            self.wake_senders_of(state);
        }
        busy
    }

    /// Pushes an item from inside of a channel that may be [closed to outside](Self::close_to_outside). Otherwise as
    /// [`push`](Self::push).
    ///
    /// An item that `push` has refused before is another push for [`stats`](Self::stats): one was refused, and one has the fate that
    /// this gives it.
    ///
    /// # Errors
    /// As [`push`](Self::push); `Closed` only after [`close`](Self::close).
    pub fn push_inside(&self, item: T) -> Result<Pushed<T>, PushError<T>> {
        let mut state = self.state.lock();
        let reserved = state.reserved();
        let pushed = state.ring.push_inside(item, reserved);
        let wake = state.edge(self.clones_wakers);
        drop(state);
        self.wake_lent(wake);
        pushed
    }

    /// Pushes a batch in one step, as [`push_many`](Self::push_many) does, from inside as [`push_inside`](Self::push_inside) does.
    pub fn push_many_inside(&self, batch: &mut VecDeque<T>) -> PushedMany {
        let mut state = self.state.lock();
        let reserved = state.reserved();
        let pushed = state.ring.push_many_inside(batch, reserved);
        let wake = state.edge(self.clones_wakers);
        drop(state);
        self.wake_lent(wake);
        pushed
    }

    /// True after [`close_to_outside`](Self::close_to_outside), until [`close`](Self::close).
    #[must_use]
    pub fn is_open_inside(&self) -> bool {
        let state = self.state.lock();
        state.ring.is_closed() && !state.ring.is_shut()
    }

    /// True if the receiver waits for items, and there are none, nor senders in line.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let state = self.state.lock();
        state.idle && state.ring.is_empty() && state.waiting() == 0
    }

    /// Wakes the senders that were let in and not woken yet. To be called by the receiver of a channel
    /// [with low water](Self::with_low_water) that is about to wait for something else. Costs a load if there are none.
    #[inline]
    pub fn wake_senders(&self) {
        // Relaxed: only the receiver lets senders in, so it has written this itself.
        if self.owes_wakes.load(Ordering::Relaxed) && !bug("senders that were let in are forgotten") {
            self.wake_senders_of(self.state.lock());
        }
    }

    /// True while the sender at this [place](Send::place) waits for room: it was neither let in nor refused, though it may not
    /// have heard of that yet. A place means another sender once its own is done.
    #[must_use]
    pub fn is_waiting(&self, place: usize) -> bool {
        self.state.lock().senders.as_ref().is_some_and(|senders| senders.is_waiting(place))
    }

    /// Takes everything that is in the queue, at once, and lets waiting senders in.
    pub fn drain(&self) -> VecDeque<T> {
        let mut state = self.state.lock();
        let all = state.ring.take_all();
        if state.senders.is_some() {
            self.let_senders_in(state, all.len());
        }
        all
    }

    /// True after [`close`](Self::close) or [`close_to_outside`](Self::close_to_outside).
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state.lock().ring.is_closed()
    }

    /// The number of items in the queue; those of waiting senders do not count.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.lock().ring.len()
    }

    /// The number of items that have got into the queue so far.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.state.lock().ring.accepted()
    }

    /// The number of items that have left the queue so far, taken or evicted.
    #[must_use]
    pub fn gone(&self) -> u64 {
        let state = self.state.lock();
        state.ring.accepted() - state.ring.len() as u64
    }

    /// True if no item is in the queue.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most items the queue can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.state.lock().ring.capacity()
    }

    /// What becomes of one item too many, if it is pushed.
    #[must_use]
    pub fn policy(&self) -> OverflowPolicy {
        self.state.lock().ring.policy()
    }

    /// What became of all items so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let state = self.state.lock();
        state.ring.stats(state.waiting())
    }

    /// The first step of a send: in if there is room, else in line, with this key. `Err` gives the item back.
    pub(crate) fn start_sending(
        &self,
        item: T,
        inside: bool,
        cx: &Context<'_>,
    ) -> Result<Option<usize>, SendError<T>> {
        let mut state = self.state.lock();
        let closed = if inside { state.ring.is_shut() } else { state.ring.is_closed() };
        if closed || state.ring.capacity() == 0 {
            state.ring.count_refused(1);
            return Err(SendError(item));
        }
        if !state.ring.has_room() || state.reserved() {
            drop(state);
            return self.get_in_line(item, inside, cx);
        }
        state.ring.accept(item);
        let wake = state.edge(self.clones_wakers);
        drop(state);
        self.wake_lent(wake);
        Ok(None)
    }

    /// Gets in line, with a waker that is cloned outside of the lock; if there is still no room then.
    #[cold]
    fn get_in_line(&self, item: T, inside: bool, cx: &Context<'_>) -> Result<Option<usize>, SendError<T>> {
        let waker = cx.waker().clone();
        let mut state = self.state.lock();
        let closed = if inside { state.ring.is_shut() } else { state.ring.is_closed() };
        if closed || state.ring.has_room() && !state.reserved() {
            drop(state);
            drop_waker(Some(waker));
            return self.start_sending(item, inside, cx);
        }
        if bug("getting in line in two steps") {
            drop(state);
            state = self.state.lock();
        }
        let senders = state.senders.get_or_insert_with(|| Box::new(WaitList::new()));
        Ok(Some(senders.add(item, waker)))
    }

    /// Asks for the outcome of waiting.
    pub(crate) fn poll_sending(&self, key: usize, cx: &Context<'_>) -> Poll<Result<(), SendError<T>>> {
        // As in `start_sending`.
        let mut waker = None;
        let outcome = loop {
            let mut state = self.state.lock();
            let Some(senders) = &mut state.senders else { unreachable!("a sender has a key from this list") };
            match senders.rewake(key, cx.waker(), &mut waker) {
                Rewoken::Waits => break None,
                Rewoken::NeedsWaker => {
                    drop(state);
                    waker = Some(cx.waker().clone());
                }
                Rewoken::Over => break Some(senders.remove(key)),
            }
        };
        drop_waker(waker);
        match outcome.map(Outcome::into_item) {
            None => Poll::Pending,
            Some(None) => Poll::Ready(Ok(())),
            Some(Some(item)) => Poll::Ready(Err(SendError(item))),
        }
    }

    /// Leaves the line. The item, if it was not let in.
    pub(crate) fn stop_sending(&self, key: usize) -> Option<T> {
        if bug("a sender that gives up stays in line") {
            return None;
        }
        let mut state = self.state.lock();
        let outcome = state.senders.as_mut().map(|senders| senders.remove(key));
        if let Some(Outcome::Refused(..)) = outcome {
            // Nobody saw the refusal, which the close has counted: it was never sent.
            state.ring.forget_a_refusal();
        }
        drop(state);
        outcome?.into_item()
    }

    /// Moves items of waiting senders into the room that was freed by taking this many items. Wakes the senders if few items
    /// are left, or all that were before theirs have been taken.
    fn let_senders_in<'a>(&'a self, mut state: MutexGuard<'a, State<T>>, taken: usize) {
        let inner = &mut *state;
        let Some(senders) = &mut inner.senders else { return };
        while inner.ring.has_room() {
            let Some(item) = senders.accept_first() else { break };
            inner.ring.accept(item);
        }
        senders.taken += taken;
        if !senders.owes_wakes() {
            senders.taken = 0;
        } else if inner.ring.len() <= inner.low_water as usize || senders.taken > inner.ring.capacity() {
            self.wake_senders_of(state);
        } else {
            self.owes_wakes.store(true, Ordering::Relaxed);
        }
    }

    /// Wakes the receiver by the waker that was lent, and puts that back. A panic of the waker has been printed by the panic hook.
    #[inline]
    fn wake_lent(&self, waker: Option<Waker>) {
        let Some(waker) = waker else { return };
        if self.clones_wakers {
            waker.wake();
        } else {
            self.wake_and_put_back(waker);
        }
    }

    #[cold]
    fn wake_and_put_back(&self, waker: Waker) {
        let mut lent = Some(waker);
        while let Some(waker) = lent {
            let _ = contain(|| waker.wake_by_ref());
            let mut state = self.state.lock();
            let before = std::mem::replace(&mut state.lent, Lent::No);
            let mut old = Some(waker);
            if matches!(before, Lent::Yes | Lent::Again) {
                std::mem::swap(&mut state.receiver, &mut old);
            }
            lent = match before {
                Lent::Again | Lent::ReplacedAgain => state.lend(false),
                Lent::No | Lent::Yes | Lent::Replaced => None,
            };
            drop(state);
            drop_waker(old);
        }
    }

    #[cold]
    fn wake_senders_of<'a>(&'a self, mut state: MutexGuard<'a, State<T>>) {
        self.owes_wakes.store(false, Ordering::Relaxed);
        loop {
            let mut wakers = [const { None }; WAKES];
            if let Some(senders) = &mut state.senders {
                wakers.fill_with(|| senders.next_to_wake());
            }
            let more = wakers[WAKES - 1].is_some();
            drop(state);
            wake_all(wakers.into_iter().flatten());
            if !more {
                return;
            }
            state = self.state.lock();
        }
    }
}

impl<T> fmt::Debug for Channel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
