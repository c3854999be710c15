//! What a subsystem does with a message.

use crate::context::Context;
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
    note = "write `impl Handler<{M}> for {Self} {{ type Reply = …; async fn handle(…) … }}`"
)]
pub trait Handler<M: Send + 'static>: Subsystem {
    /// What an asker gets; `()` if there is nothing to say.
    type Reply: Send + 'static;

    /// Handles one message.
    fn handle(&mut self, message: M, cx: &mut Context<Self>) -> impl Future<Output = Self::Reply> + Send;
}
