//! What a library has to offer to take part. Scenes know nothing else of it.

use std::future::Future;

use crate::message::{Item, Token};
use crate::paths::Paths;
use crate::tally::{Report, Tally};
use crate::workers::run_on_two_workers;

/// The room in every mailbox, where the library can bound it.
pub const CAPACITY: usize = 1024;

/// One library, in its best configuration that loses nothing.
///
/// Everything is dispatched statically and every future is the library's own, so that the harness adds nothing
/// to a message's way. The value is a handle to the library where it has something to hold, such as a runtime of
/// its own; `default()` starts it, on the threads that [`run`](Self::run) provides.
pub trait Contender: Clone + Default + Send + Sync + 'static {
    /// Its name in tables and on the command line.
    const NAME: &'static str;
    /// The package whose version is printed, as it is called in `Cargo.lock`.
    const PACKAGE: &'static str;
    /// Whether its messages say on whose behalf they were sent.
    const KNOWS_CALLERS: bool = false;

    /// The handle of an actor.
    type Address: Address;

    /// Messages by path: the library's own, or the [`Directory`](crate::contenders::directory::Directory) of its addresses.
    type Paths: Paths<Self>;

    /// What must be known to judge its figures fairly.
    fn notes() -> &'static str;

    /// Runs a scene to its end, on threads and a runtime that are made for it and gone afterwards: tokio with two
    /// workers, unless the library brings its own.
    fn run<S, F, T>(scene: S) -> T
    where
        S: FnOnce(Self) -> F + Send + 'static,
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        run_on_two_workers(async {
            let contender = Self::default();
            let outcome = scene(contender.clone()).await;
            contender.end().await;
            outcome
        })
    }

    /// Ends the library, where it has an end of its own.
    fn end(self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Starts an actor with an empty mailbox.
    fn spawn(&self, tally: Tally) -> impl Future<Output = Self::Address> + Send;

    /// Starts one more sender beside the scene itself.
    fn sender<F>(&self, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        tokio::spawn(work);
    }
}

/// The handle of one contender's actor. A message it cannot deliver is a panic: scenes lose nothing.
pub trait Address: Clone + Send + Sync + 'static {
    /// Hands an item over, waiting for room where the library can wait. The actor adds it to its tally.
    fn tell(&self, item: Item) -> impl Future<Output = ()> + Send;

    /// Hands an item over and waits for the actor's sum, that item included.
    fn ask(&self, item: Item) -> impl Future<Output = u64> + Send;

    /// Hands a token over. The actor adds its hop to the tally and passes it on to the actor it is linked to.
    fn pass(&self, token: Token) -> impl Future<Output = ()> + Send;

    /// Links the actor to the next in the ring, and waits until it is.
    fn link(&self, next: Self) -> impl Future<Output = ()> + Send;

    /// Asks what the actor has handled.
    fn report(&self) -> impl Future<Output = Report> + Send;

    /// Ends the actor. It may still be ending when this returns.
    fn stop(&self) -> impl Future<Output = ()> + Send;
}
