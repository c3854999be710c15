//! What a subsystem can see of the world while it handles a message.

use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;

use crate::actor::Actor;
use crate::address::Address;
use crate::bus::Bus;
use crate::config::Configure;
use crate::current;
use crate::error::{SpawnError, TellError};
use crate::figures::Figures;
use crate::handler::Handler;
use crate::metadata::Metadata;
use crate::name::Name;
use crate::paths::Paths;
use crate::side_tasks;
use crate::subsystem::Subsystem;
use crate::tasks::{Stopping, TaskHandle};
use crate::watch::{self, Terminated};

/// Given to every hook and handler: its own address and name, children to spawn, timers, futures and streams beside it, whom it
/// watches, the bus.
pub struct Context<S: Subsystem> {
    address: Address<S>,
}

impl<S: Subsystem> Context<S> {
    pub(crate) fn new(actor: Arc<Actor>) -> Self {
        Self { address: Address::new(actor) }
    }

    /// The subsystem's own address.
    #[must_use]
    pub fn address(&self) -> &Address<S> {
        &self.address
    }

    /// The subsystem's own name.
    #[must_use]
    pub fn name(&self) -> &Name {
        self.address.name()
    }

    /// What the message in hand was sent with, if anything; what this handler sends inherits it.
    ///
    /// In a batch of several it is what these have in common: see [`metadata_of`](Self::metadata_of).
    #[must_use]
    pub fn metadata(&self) -> Option<Metadata> {
        current::metadata()
    }

    /// Returns what the message at this place of a batch was sent with, if anything, for
    /// [`handle_batch`](crate::Handler::handle_batch). The message of a single one is at place 0.
    ///
    /// To send on account of one message, [send in its scope](Metadata::in_scope), with its caller's rights. What `handle_batch` sends
    /// otherwise is sent for all messages of the batch:
    ///
    /// * If all have one [id](Metadata::id), it inherits what they have in common: the trace, and the headers that are the same in all.
    /// * Otherwise it inherits neither, and no id.
    /// * In both cases it has the rights that all callers hold, in the name of the first (`ada and others`). (Messages with and
    ///   without a caller are not handled together.)
    ///
    /// An ask or send of `handle_batch` ends with the latest deadline in hand, if every message has one.
    ///
    /// ```
    /// use mycelia_actors::prelude::*;
    ///
    /// struct Audit(Address<Archive>);
    /// impl Subsystem for Audit {}
    ///
    /// struct Entry(String);
    /// impl Handler<Entry> for Audit {
    ///     type Reply = ();
    ///     const BATCH: usize = 64;
    ///
    ///     async fn handle(&mut self, entry: Entry, cx: &mut Context<Self>) {
    ///         self.handle_batch(vec![entry], cx).await;
    ///     }
    ///
    ///     async fn handle_batch(&mut self, entries: Vec<Entry>, cx: &mut Context<Self>) -> Vec<()> {
    ///         let mut replies = Vec::new();
    ///         for (index, entry) in entries.into_iter().enumerate() {
    ///             let told = match cx.metadata_of(index) {
    ///                 Some(metadata) => metadata.in_scope(|| self.0.tell(entry)),
    ///                 None => self.0.tell(entry),
    ///             };
    ///             replies.push(drop(told));
    ///         }
    ///         replies
    ///     }
    /// }
    /// # struct Archive;
    /// # impl Subsystem for Archive {}
    /// # impl Handler<Entry> for Archive {
    /// #     type Reply = ();
    /// #     async fn handle(&mut self, _: Entry, _: &mut Context<Self>) {}
    /// # }
    /// ```
    ///
    /// # Cost
    /// A reference count.
    #[must_use]
    pub fn metadata_of(&self, index: usize) -> Option<Metadata> {
        current::metadata_of(index)
    }

    /// Sends to other subsystems by path. (To ask its own runtime for a path of its own would be to wait for itself: an error.)
    #[must_use]
    pub fn paths(&self) -> Paths {
        Paths::new(&self.address.actor().runtime)
    }

    /// Shows numbers of its own to whoever looks at the runtime ([`SubsystemInfo::figures`](crate::SubsystemInfo::figures), and with
    /// `mycelia-metrics` the snapshot, `/metrics` and the dashboard): from now on, across restarts, in place of those shown before.
    ///
    /// Costs some 300 bytes, once, for a subsystem that had nothing rare before (a child, a timer, a restart).
    pub fn show(&self, figures: Arc<impl Figures>) {
        self.address.actor().ledger.rare().shown.set(figures);
    }

    /// Sends itself the result of a future, which runs beside it on tokio: the subsystem goes on with its messages meanwhile. (What
    /// the future asks holds nobody up, and is not bound by the deadline of the message in hand.)
    ///
    /// The message waits for capacity, and for a slot where the message pool is exhausted. If the future panics there is no message, and
    /// the panic is logged: what must be heard of is in a `Result`.
    ///
    /// A stop waits for the future, within its limit ([`TaskHandle::at_stop`] says otherwise); but not while the future waits for the end
    /// or start of a subsystem, or for an event, or where nothing can wake it any more. A restart drops the future before there is
    /// another state; so does a kill, and the limit of a stop. Then it is *abandoned*: counted ([`Address::side_tasks`]), logged, and
    /// told as a dead letter with the reason [`Reason::Abandoned`](crate::Reason::Abandoned). A message that was sent before a restart
    /// expires ([`TaskHandle::across_restarts`] says otherwise).
    ///
    /// ```
    /// use mycelia_actors::prelude::*;
    ///
    /// struct Reader;
    /// struct Fetch(u64);
    /// struct Fetched(String);
    ///
    /// impl Subsystem for Reader {}
    /// impl Handler<Fetch> for Reader {
    ///     type Reply = ();
    ///     async fn handle(&mut self, Fetch(id): Fetch, cx: &mut Context<Self>) {
    ///         cx.pipe(async move { Fetched(format!("row {id}")) });
    ///     }
    /// }
    /// impl Handler<Fetched> for Reader {
    ///     type Reply = ();
    ///     async fn handle(&mut self, Fetched(row): Fetched, cx: &mut Context<Self>) {
    ///         assert_eq!(row, "row 7");
    ///         cx.stop();
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let runtime = Runtime::new();
    /// let reader = runtime.spawn("reader", Reader)?;
    /// reader.tell(Fetch(7))?;
    /// reader.ended().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cost
    /// A task of tokio's.
    pub fn pipe<F>(&self, future: F) -> TaskHandle
    where
        F: Future<Output: Send> + Send + 'static,
        S: Handler<F::Output>,
    {
        side_tasks::pipe(&self.address, future)
    }

    /// Sends itself each item of a stream, one after another, and waits for room before it takes the next: so the mailbox holds a
    /// quick stream up. Ends with the stream (chain an item to it to hear of that), when the stream panics (which is logged), or when the
    /// subsystem restarts or begins to stop ([`TaskHandle::at_stop`] says otherwise). A stream that is always ready lets other tasks run
    /// after some 128 items.
    ///
    /// # Cost
    /// A task of tokio's.
    pub fn attach<T>(&self, stream: T) -> TaskHandle
    where
        T: Stream<Item: Send> + Send + 'static,
        S: Handler<T::Item>,
    {
        side_tasks::attach(&self.address, stream)
    }

    /// Sends itself a message after this time, waiting for capacity if need be. Ends when the subsystem restarts or begins to stop
    /// ([`TaskHandle::at_stop`] says otherwise).
    ///
    /// # Cost
    /// A task of tokio's. Times are those of tokio: a millisecond coarse, never early.
    pub fn send_after<M: Send + 'static>(&self, delay: Duration, message: M) -> TaskHandle
    where
        S: Handler<M>,
    {
        side_tasks::send_after(&self.address, delay, message)
    }

    /// Sends itself a message again and again, the first after one period, until it is cancelled, or the subsystem restarts or begins to
    /// stop ([`TaskHandle::at_stop`] says otherwise). Periods under a millisecond are one.
    ///
    /// The times are those of the first schedule, however late a message was: there is no drift. While the mailbox is full one
    /// message waits for room; the times that pass meanwhile are left out.
    ///
    /// # Cost
    /// A task of tokio's.
    pub fn send_every<M: Clone + Send + 'static>(&self, period: Duration, message: M) -> TaskHandle
    where
        S: Handler<M>,
    {
        side_tasks::send_every(&self.address, period, message)
    }

    /// Hears of the end of another subsystem, by the message [`Terminated`]: at once, if it has ended.
    ///
    /// The message comes after everything that the other's handlers and hooks have sent to this one, and has room even if the
    /// mailbox is full. To watch twice is to watch once. A new state, after a restart, watches nobody, and one
    /// that ends does not hear of the ends of its children.
    ///
    /// ```
    /// use mycelia_actors::prelude::*;
    /// use mycelia_actors::Terminated;
    ///
    /// struct Worker;
    /// impl Subsystem for Worker {}
    ///
    /// struct Chief(Address<Worker>);
    /// impl Subsystem for Chief {
    ///     async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
    ///         cx.watch(&self.0)?;
    ///         Ok(())
    ///     }
    /// }
    /// impl Handler<Terminated> for Chief {
    ///     type Reply = ();
    ///     async fn handle(&mut self, end: Terminated, cx: &mut Context<Self>) {
    ///         println!("{} {}", end.name(), end.exit());
    ///         cx.stop();
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let runtime = Runtime::new();
    /// let worker = runtime.spawn("worker", Worker)?;
    /// let chief = runtime.spawn("chief", Chief(worker.clone()))?;
    /// worker.stop();
    /// chief.ended().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`TellError`], if the message pool is exhausted: the message gets its slot here.
    pub fn watch<T: Subsystem>(&self, other: &Address<T>) -> Result<(), TellError<()>>
    where
        S: Handler<Terminated>,
    {
        watch::watch::<S>(self.address.actor(), other.actor())
    }

    /// Hears of its end no more, unless the message is on its way already. True if it was watched and has not ended.
    pub fn unwatch<T: Subsystem>(&self, other: &Address<T>) -> bool {
        watch::unwatch(self.address.actor(), other.actor())
    }

    /// Where events are published.
    #[must_use]
    pub fn bus(&self) -> &Bus {
        &self.address.actor().runtime.bus
    }

    /// Waits until this subsystem is to stop: by a stop of itself or of a subsystem above it, or by a shutdown. The future is `'static`, so
    /// that a pipe can watch for it beside its work. It is cancel-safe.
    ///
    /// ```
    /// # use mycelia_actors::prelude::*;
    /// # struct Downloads;
    /// # impl Subsystem for Downloads {}
    /// # struct Got(Option<Vec<u8>>);
    /// # impl Handler<Got> for Downloads {
    /// #     type Reply = ();
    /// #     async fn handle(&mut self, _: Got, _: &mut Context<Self>) {}
    /// # }
    /// # async fn download() -> Vec<u8> { Vec::new() }
    /// # fn example(cx: &Context<Downloads>) {
    /// let stopping = cx.stopping();
    /// cx.pipe(async {
    ///     tokio::select! {
    ///         file = download() => Got(Some(file)),
    ///         () = stopping => Got(None), // the rest can be fetched another time
    ///     }
    /// });
    /// # }
    /// ```
    pub fn stopping(&self) -> Stopping {
        Stopping::new(self.address.actor())
    }

    /// Ends this subsystem after what its mailbox has accepted so far: see [`Address::stop`].
    pub fn stop(&self) {
        self.address.stop();
    }

    /// Spawns a child without a name: it ends before this subsystem does, and before this one restarts. If this one is killed, it is
    /// killed, too. If a handler of the child panics, it ends, and this one goes on: see [`Restart`](crate::Restart) for more.
    ///
    /// # Errors
    /// As [`Runtime::spawn_unnamed`](crate::Runtime::spawn_unnamed).
    pub fn spawn<T: Subsystem>(&self, subsystem: T) -> Result<Address<T>, SpawnError> {
        Configure::child(self.address.actor(), None).spawn(subsystem)
    }

    /// Spawns a child without a name from a factory: it restarts when a handler of it panics.
    ///
    /// # Errors
    /// As [`Runtime::spawn_unnamed`](crate::Runtime::spawn_unnamed).
    pub fn spawn_with<T: Subsystem>(
        &self,
        factory: impl Fn() -> T + Send + Sync + 'static,
    ) -> Result<Address<T>, SpawnError> {
        Configure::child(self.address.actor(), None).spawn_with(factory)
    }

    /// Configures a child, with a name, which must be free: names are the runtime's, not the parent's.
    pub fn configure<'a>(&'a self, name: &'a str) -> Configure<'a> {
        Configure::child(self.address.actor(), Some(name))
    }

    /// Configures a child without a name.
    pub fn configure_unnamed(&self) -> Configure<'_> {
        Configure::child(self.address.actor(), None)
    }
}
