//! What an actor is.

use std::sync::Arc;

use crate::context::Context;
use crate::lifecycle::Exit;
use crate::routes::Routes;

/// Any error, for [`Subsystem::started`].
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An actor: a value that one task owns, and that handles one message at a time.
///
/// An empty implementation is enough. What it does with messages is said by [`Handler`](crate::Handler).
///
/// ```
/// use mycelia_actors::prelude::*;
///
/// struct Database {
///     open: bool,
/// }
///
/// impl Subsystem for Database {
///     async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
///         println!("{} opens its file", cx.name());
///         self.open = true;
///         Ok(())
///     }
///
///     async fn stopped(&mut self, exit: &Exit, cx: &mut Context<Self>) {
///         println!("{} closes its file: {exit}", cx.name());
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no subsystem",
    label = "there is no `impl Subsystem` for this type",
    note = "if it is the type of an actor, write `impl Subsystem for {Self} {{}}`; its methods have defaults",
    note = "if there is an actor in it (a reference, an `Arc`, a `Result`), spawn what is inside"
)]
pub trait Subsystem: Sized + Send + 'static {
    /// Lists the paths that subsystems of this type take. Called at the first spawn with a name, and its result kept (should it
    /// panic, or two threads come at once, it is called again).
    fn routes(routes: &mut Routes<Self>) {
        let _ = routes;
    }

    /// Runs first in the subsystem's task, before any message, and again after each restart.
    ///
    /// # Errors
    /// At the first start an error ends the subsystem, and what is in its mailbox becomes undelivered: see
    /// [`Address::started`](crate::Address::started). In a restart it counts as a failure, like a panic: there is another try, up to the
    /// limits of its [`Restart`](crate::Restart).
    fn started(&mut self, cx: &mut Context<Self>) -> impl Future<Output = Result<(), BoxError>> + Send {
        let _ = cx;
        async { Ok(()) }
    }

    /// Runs last, if the subsystem was stopped: not if it was killed, never started, or has panicked for good (its state may
    /// be broken then).
    ///
    /// The mailbox is closed by now, and side tasks and children have ended. No others can be started. Siblings of types that were spawned
    /// before are still there, and can be asked: see [`Runtime::shutdown`](crate::Runtime::shutdown). A panic in here is contained and
    /// logged.
    fn stopped(&mut self, exit: &Exit, cx: &mut Context<Self>) -> impl Future<Output = ()> + Send {
        let _ = (exit, cx);
        async {}
    }
}

/// Makes the first state of a subsystem and each later one.
pub(crate) type Factory<S> = Arc<dyn Fn() -> S + Send + Sync>;
