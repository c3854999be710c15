//! What a subsystem does with a message.

use crate::context::Context;
use crate::scoped::Turns;
use crate::subsystem::Subsystem;

/// What a subsystem does with a message of type `M`.
///
/// Write it with `async fn`; the method is called with one message at a time, in the order of their arrival. Awaiting
/// inside it holds up this subsystem's later messages, and nobody else's.
///
/// # Panics
/// A panic fails this message only: its asker is told, and the subsystem is restarted if it has a factory
/// ([`Configure::spawn_with`](crate::Configure::spawn_with)), or ends.
///
/// # Cancellation
/// [`Address::kill`](crate::Address::kill) drops the future at its current await.
///
/// ```
/// use mycelia_actors::prelude::*;
///
/// struct Counter(u64);
/// impl Subsystem for Counter {}
///
/// struct Add(u64);
/// impl Handler<Add> for Counter {
///     type Reply = u64;
///     async fn handle(&mut self, Add(n): Add, _cx: &mut Context<Self>) -> u64 {
///         self.0 += n;
///         self.0
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no handler for `{M}`",
    label = "`{M}` cannot be sent to `{Self}`",
    note = "write `impl Handler<{M}> for {Self} {{ type Reply = …; async fn handle(…) … }}`",
    note = "a handler is for exactly this type: not for a reference to it, nor for a field of it"
)]
pub trait Handler<M: Send + 'static>: Subsystem {
    /// What an asker gets; `()` if there is nothing to say.
    ///
    /// A reply to a message that nobody asked for is dropped, also if it is an error: a handler that may fail at a `tell`
    /// should see to its failure itself.
    type Reply: Send + 'static;

    /// How many queued neighbours of this type [`handle_batch`](Self::handle_batch) is given at once, at the most. With 1,
    /// the default, it is not called; with more, it is given single messages too, and nothing but `handle_batch` calls
    /// [`handle`](Self::handle).
    ///
    /// A run loop takes [`budget`](crate::Configure::budget) messages at a time out of its mailbox (64, and no more than that
    /// holds), and looks for neighbours among them: for larger batches set a larger budget.
    const BATCH: usize = 1;

    /// Handles one message.
    ///
    /// The future moves between threads at its awaits, so what it holds over one must be `Send`: let a `MutexGuard` of std go
    /// before it (in a block of its own), and use `Arc` instead of `Rc`.
    fn handle(&mut self, message: M, cx: &mut Context<Self>) -> impl Future<Output = Self::Reply> + Send;

    /// Handles messages that were queued next to each other, in order: for one SQL statement or one `fsync` for all of
    /// them. There may be any number from 1 to [`BATCH`](Self::BATCH); nobody waits for a batch to become full.
    ///
    /// Returns one reply for each message, in order. The batch has one fate: a panic or a kill fails all of it, and so does
    /// a wrong number of replies. So let bad messages be errors in the replies. Costs a few allocations for each batch.
    ///
    /// By default calls [`handle`](Self::handle) for each, with its own metadata, deadline and span.
    ///
    /// Each message keeps its own metadata: [`cx.metadata_of(index)`](Context::metadata_of), which also says what is inherited by what
    /// this sends. Messages with a caller are not handled together with messages without.
    ///
    /// ```
    /// use mycelia_actors::prelude::*;
    ///
    /// #[derive(Default)]
    /// struct Table {
    ///     rows: Vec<u64>,
    ///     statements: u64,
    /// }
    /// impl Subsystem for Table {}
    ///
    /// struct Insert(u64);
    /// impl Handler<Insert> for Table {
    ///     type Reply = usize;
    ///     const BATCH: usize = 64;
    ///
    ///     async fn handle(&mut self, row: Insert, cx: &mut Context<Self>) -> usize {
    ///         self.handle_batch(vec![row], cx).await.remove(0)
    ///     }
    ///
    ///     async fn handle_batch(&mut self, rows: Vec<Insert>, _cx: &mut Context<Self>) -> Vec<usize> {
    ///         let first = self.rows.len();
    ///         self.rows.extend(rows.into_iter().map(|Insert(row)| row));
    ///         self.statements += 1;
    ///         (first..self.rows.len()).collect()
    ///     }
    /// }
    /// ```
    fn handle_batch(
        &mut self,
        messages: Vec<M>,
        cx: &mut Context<Self>,
    ) -> impl Future<Output = Vec<Self::Reply>> + Send {
        async {
            let mut replies = Vec::with_capacity(messages.len());
            let turns = Turns::of_batch(messages.len());
            for (index, message) in messages.into_iter().enumerate() {
                // `handle` is called inside the future, for it may send before there is one of its own.
                let handler = async { self.handle(message, cx).await };
                replies.push(turns.run(index, handler).await);
            }
            replies
        }
    }
}
