//! What a contender has to offer beside addresses to take part in the scenes by path.

use std::future::Future;

use crate::tally::{Report, Tally};

/// The name by which the actor of these scenes is found.
pub const NAME: &str = "api";

/// The patterns of its paths. A message to any of them is the number in it.
pub const PATTERNS: [&str; 6] = [
    "users/{id}",
    "users/{id}/address",
    "users/{id}/orders",
    "orders/{id}",
    "orders/{id}/items",
    "files/{id}/versions",
];

/// One more pattern, as long as the first. Where there are rights, only for those who hold [`RIGHT`].
pub const GUARDED: &str = "staff/{id}";

/// The right to send to [`GUARDED`].
pub const RIGHT: &str = "staff:read";

/// The path of a user.
pub fn user(id: u64) -> String {
    format!("{NAME}://users/{id}")
}

/// The path of one of the staff.
pub fn staff(id: u64) -> String {
    format!("{NAME}://staff/{id}")
}

/// An actor with a name, and messages to it by path. `C` is the contender. A message it cannot deliver is a panic.
pub trait Paths<C>: Clone + Send + Sync + 'static {
    /// A path, its way looked up.
    type Route: Route;

    /// Starts the actor.
    fn spawn(contender: &C, tally: Tally) -> impl Future<Output = Self> + Send;

    /// Finds the actor and the message that the path means, and hands it over, waiting for room where the library can wait.
    /// The actor adds the number in the path to its tally. For `turn` see [`Item`](crate::message::Item).
    fn tell(&self, path: &str, turn: u64) -> impl Future<Output = ()> + Send;

    /// The same, and waits for the actor's sum, that number included.
    fn ask(&self, path: &str) -> impl Future<Output = u64> + Send;

    /// Finds them once, for many messages.
    fn route(&self, path: &str) -> Self::Route;

    /// Does the work on behalf of somebody who holds [`RIGHT`], where the library knows such a thing.
    fn on_behalf<F: Future<Output: Send> + Send>(&self, work: F) -> impl Future<Output = F::Output> + Send {
        work
    }

    /// Asks what the actor has handled.
    fn report(&self) -> impl Future<Output = Report> + Send;

    /// Ends the actor. It may still be ending when this returns.
    fn stop(&self) -> impl Future<Output = ()> + Send;
}

/// A path, its way looked up.
pub trait Route: Clone + Send + Sync + 'static {
    /// As [`Paths::tell`].
    fn tell(&self, turn: u64) -> impl Future<Output = ()> + Send;
}
