//! The typed handle of a subsystem.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use crate::actor::{Actor, Request};
use crate::ask::Ask;
use crate::asking::DEFAULT_DEADLINE;
use crate::awaited::{Awaited, awaited};
use crate::blocking::block_on;
use crate::drain;
use crate::error::{AskError, StartError, TellError};
use crate::handler::Handler;
use crate::ledger::Stats;
use crate::lifecycle::Exit;
use crate::name::Name;
use crate::recipient::Recipient;
use crate::reply_to::{self, ReplyTo};
use crate::sending::Sending;
use crate::side_task::SideTaskStats;
use crate::subsystem::Subsystem;
use crate::tell::{self, TellManyError, Told, ToldMany};

/// The typed handle of a subsystem: how to send it messages, and how to end it.
///
/// Cheap to clone (a reference count). Dropping addresses ends nothing; an address outlives its subsystem, gives every later
/// message back, and then has nothing to stop, suspend, kill or restart.
///
/// It is for exactly this type of subsystem:
///
/// ```compile_fail,E0308
/// # use mycelia_actors::prelude::*;
/// # type Any = for<'a> fn(&'a str);
/// # type Static = fn(&'static str);
/// # struct Calls<T>(T);
/// # #[allow(coherence_leak_check)]
/// # impl Subsystem for Calls<Any> {}
/// # impl Subsystem for Calls<Static> {}
/// fn coerce(address: Address<Calls<Static>>) -> Address<Calls<Any>> {
///     address
/// }
/// ```
pub struct Address<S: Subsystem> {
    actor: Arc<Actor>,
    /// Invariant: an `Address` must never pass for one of another type, not even of a subtype.
    subsystem: PhantomData<fn(S) -> S>,
}

impl<S: Subsystem> Address<S> {
    /// The actor must be of type `S`: every envelope that this address sends is made for that.
    pub(crate) fn new(actor: Arc<Actor>) -> Self {
        Self { actor, subsystem: PhantomData }
    }

    pub(crate) fn actor(&self) -> &Arc<Actor> {
        &self.actor
    }

    /// The subsystem's name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.actor.name
    }

    /// Hands a message over without waiting for anything. A reply is dropped.
    ///
    /// If the mailbox is full, its [`OverflowPolicy`](crate::OverflowPolicy) decides; [`Told`] says what happened.
    ///
    /// # Errors
    /// [`TellError`], with the message: full (under the policy `Error`), stopped, or the message pool is exhausted. Where `?`
    /// does not take it, because the message is not `Sync`: `map_err(TellError::without_message)?`.
    #[inline]
    pub fn tell<M: Send + 'static>(&self, message: M) -> Result<Told, TellError<M>>
    where
        S: Handler<M>,
    {
        tell::tell(&self.actor, message, Actor::envelope::<S, M>)
    }

    /// Hands many messages over in one step: no other sender's message comes between. Never waits.
    ///
    /// The messages are collected first, with one allocation for their envelopes; the iterator must end.
    ///
    /// # Errors
    /// [`TellManyError`], with the messages that were not accepted; those before them were.
    pub fn tell_many<M: Send + 'static>(
        &self,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<ToldMany, TellManyError<M>>
    where
        S: Handler<M>,
    {
        tell::tell_many(&self.actor, messages, Actor::envelope::<S, M>)
    }

    /// Hands a message over, waiting for room under every policy. A reply is dropped.
    ///
    /// Waiting senders get freed room in the order of their first polls.
    ///
    /// Errors and cancel safety: see [`Sending`].
    #[inline]
    pub fn send<M: Send + 'static>(&self, message: M) -> Sending<'_, M>
    where
        S: Handler<M>,
    {
        Sending::new(&self.actor, message, Actor::envelope::<S, M>)
    }

    /// Sends a message, waiting for room if need be, and awaits the reply: for 5 seconds, or as
    /// [`within`](Ask::within) says.
    #[inline]
    pub fn ask<M: Send + 'static>(&self, message: M) -> Ask<'_, M, S::Reply>
    where
        S: Handler<M>,
    {
        Ask::new(&self.actor, message, Actor::envelope::<S, M>, true)
    }

    /// Like [`ask`](Self::ask), but does not wait for room: if the mailbox is full, its policy decides.
    #[inline]
    pub fn try_ask<M: Send + 'static>(&self, message: M) -> Ask<'_, M, S::Reply>
    where
        S: Handler<M>,
    {
        Ask::new(&self.actor, message, Actor::envelope::<S, M>, false)
    }

    /// Sends a message that carries the duty to reply, and awaits that reply, for 5 seconds.
    ///
    /// The handler may keep the [`ReplyTo`], move it to another task, or forward it inside another message.
    ///
    /// ```
    /// use mycelia_actors::prelude::*;
    ///
    /// struct Query {
    ///     key: u64,
    ///     reply: ReplyTo<String>,
    /// }
    ///
    /// struct Store;
    /// impl Subsystem for Store {}
    /// impl Handler<Query> for Store {
    ///     type Reply = ();
    ///     async fn handle(&mut self, query: Query, _cx: &mut Context<Self>) {
    ///         // The store goes on with its next message while a task looks the value up.
    ///         tokio::spawn(async move { query.reply.reply(format!("value {}", query.key)) });
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let runtime = Runtime::new();
    /// let store = runtime.spawn("store", Store)?;
    /// let value = store.ask_with(|reply| Query { key: 7, reply }).await?;
    /// assert_eq!(value, "value 7");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Ask`]; whoever drops the `ReplyTo` ends the ask as
    /// [`Unanswered`](crate::AskFailure::Unanswered).
    pub fn ask_with<M: Send + 'static, R: Send + 'static>(
        &self,
        make: impl FnOnce(ReplyTo<R>) -> M + Send,
    ) -> impl Future<Output = Result<R, AskError<M>>> + Send
    where
        S: Handler<M>,
    {
        self.ask_with_within(DEFAULT_DEADLINE, make)
    }

    /// Like [`ask_with`](Self::ask_with), with another deadline.
    ///
    /// # Errors
    /// As [`ask_with`](Self::ask_with).
    pub fn ask_with_within<M: Send + 'static, R: Send + 'static>(
        &self,
        within: Duration,
        make: impl FnOnce(ReplyTo<R>) -> M + Send,
    ) -> impl Future<Output = Result<R, AskError<M>>> + Send
    where
        S: Handler<M>,
    {
        reply_to::ask_with::<M, R, S::Reply>(&self.actor, within, make, Actor::envelope::<S, M>)
    }

    /// [`send`](Self::send) for threads without an async runtime: blocks the thread until there is room, or the subsystem is stopped.
    ///
    /// Called on a worker thread of tokio, it holds up the tasks of that worker, perhaps the one that has to make room.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn blocking_send<M: Send + 'static>(&self, message: M) -> Result<(), TellError<M>>
    where
        S: Handler<M>,
    {
        block_on(self.send(message))
    }

    /// [`ask`](Self::ask) for threads without an async runtime: blocks the thread until there is a reply, for at most
    /// `within`.
    ///
    /// Called on a worker thread of tokio, it holds up the tasks of that worker, perhaps the one that has to reply; then it ends with
    /// its limit, at most 10 ms or 1 % late. The limit is real time, also inside a tokio whose clock is paused.
    ///
    /// # Errors
    /// As [`Ask`].
    pub fn blocking_ask<M: Send + 'static>(
        &self,
        message: M,
        within: Duration,
    ) -> Result<S::Reply, AskError<M>>
    where
        S: Handler<M>,
    {
        block_on(self.ask(message).within(within))
    }

    /// This subsystem as "whoever takes an `M`".
    #[must_use]
    pub fn recipient<M: Send + 'static>(&self) -> Recipient<M>
    where
        S: Handler<M>,
    {
        Recipient::new(Arc::clone(&self.actor), Actor::envelope::<S, M>)
    }

    /// Ends the subsystem, with all below it, when what they have accepted is worked off. Returns at once.
    ///
    /// Messages from outside of this part of the tree are refused from now on, and senders from outside that wait for capacity get theirs
    /// back. Handlers, hooks and side tasks inside go on sending to one another, and may spawn children, until nothing is queued, in
    /// hand, promised ([`ReplyTo`]) or [piped](crate::Context::pipe); then they end, children before parents. Timers and streams end at
    /// once: see [`TaskHandle::at_stop`](crate::TaskHandle::at_stop). There is no limit but that of
    /// [`Configure::stop_timeout`](crate::Configure::stop_timeout): a subsystem that tells itself for ever does not end.
    ///
    /// One that has not started yet does that first, and so does one that pauses before a restart and has messages left. A suspended one
    /// goes on. One that fails meanwhile restarts at once.
    pub fn stop(&self) {
        drain::stop(&self.actor);
    }

    /// Ends the subsystem after the message in hand, however many are in its mailbox: those are undelivered. Returns at once.
    ///
    /// Unlike a [`kill`](Self::kill) it waits for the handler (or `started`), and [`Subsystem::stopped`] runs. Children have 5 seconds for
    /// their messages in hand, then they are killed. One that pauses before a restart ends as it has failed, and so does one whose message
    /// in hand (or `started`) fails: there is no other state.
    pub fn stop_now(&self) {
        self.actor.request(Request::StopNow);
    }

    /// Makes the subsystem handle nothing more after the message in hand, until it is [resumed](Self::resume). Returns at once. One that
    /// has not started yet does so.
    ///
    /// Its mailbox takes messages meanwhile, up to its capacity, and asks run into their deadlines. What ends a subsystem ends a
    /// suspended one: [`stop`](Self::stop) lets it handle what it had accepted. A [`restart`](Self::restart) leaves it suspended.
    pub fn suspend(&self) {
        self.actor.request(Request::Suspend);
    }

    /// Lets a suspended subsystem go on. Changes nothing if it is not suspended; a later [`suspend`](Self::suspend) holds.
    pub fn resume(&self) {
        self.actor.resume();
    }

    /// Ends the subsystem at its handler's (or hook's) next await, or at once if it waits for something else. The message in hand fails,
    /// and those in the mailbox are undelivered. Returns at once.
    ///
    /// Its children are killed as well, and it waits for their ends, for 8 ms at the most (or 0.8 µs for each of more than 10 000). A
    /// handler that never reaches an await cannot be killed.
    pub fn kill(&self) {
        self.actor.request(Request::Kill);
    }

    /// Gives the subsystem a new state from its factory, after the message in hand. Mailbox and addresses stay.
    ///
    /// A subsystem that was spawned without a factory goes on as it is. One that drains its mailbox after a [`stop`](Self::stop) does so
    /// with the new state. One that pauses before a restart, or ends its children, has none beside that. Returns at once.
    pub fn restart(&self) {
        self.actor.request(Request::Restart);
    }

    /// Waits until [`Subsystem::started`] has run for the first time. A handler that awaits this for a child, or for itself, holds its own
    /// mailbox up until then.
    ///
    /// # Errors
    /// [`StartError`], if the subsystem ended instead.
    pub async fn started(&self) -> Result<(), StartError> {
        let awaits = || Arc::new(Start(Arc::clone(&self.actor))) as _;
        awaited(awaits, self.actor.life.started())
            .await
            .map_err(|exit| StartError { subsystem: self.name().clone(), exit })
    }

    /// Waits until the subsystem has ended, and says how. At the latest it has when its tokio runtime is gone. A handler of its own would
    /// wait until it is killed.
    pub async fn ended(&self) -> Exit {
        awaited(|| Arc::new(End(Arc::clone(&self.actor))) as _, self.actor.life.ended()).await
    }

    /// How the subsystem ended, if it has.
    #[must_use]
    pub fn exit(&self) -> Option<Exit> {
        self.actor.life.exit()
    }

    /// What became of every side task of the subsystem so far: timers, pipes and attached streams.
    #[must_use]
    pub fn side_tasks(&self) -> SideTaskStats {
        self.actor.ledger.side_tasks()
    }

    /// What became of every message so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.actor.stats()
    }
}

/// The start of a subsystem, for side tasks that wait for it.
struct Start(Arc<Actor>);

impl Awaited for Start {
    fn is_awaited(&self) -> bool {
        !self.0.life.has_started() && self.0.life.exit().is_none()
    }
}

/// Its end.
struct End(Arc<Actor>);

impl Awaited for End {
    fn is_awaited(&self) -> bool {
        self.0.life.exit().is_none()
    }
}

impl<S: Subsystem> Clone for Address<S> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.actor))
    }
}

impl<S: Subsystem> fmt::Debug for Address<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Address").field(&format_args!("{}", self.name())).finish()
    }
}
