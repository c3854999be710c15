//! The subsystem by path, as Mycelia has it.

use std::future::poll_fn;
use std::pin::pin;

use mycelia_actors::prelude::*;

use crate::contenders::mycelia::{Counter, Mycelia};
use crate::message::AskReport;
use crate::paths::{self, NAME, RIGHT};
use crate::tally::{Report, Tally};

/// A subsystem with a name, and its runtime.
#[derive(Clone, Debug)]
pub struct ByPath {
    runtime: Runtime,
    address: Address<Counter>,
}

impl<const WORKERS: usize> paths::Paths<Mycelia<WORKERS>> for ByPath {
    type Route = Route;

    async fn spawn(Mycelia(runtime): &Mycelia<WORKERS>, tally: Tally) -> Self {
        let address = runtime.spawn(NAME, Counter { tally, next: None });
        Self { runtime: runtime.clone(), address: address.expect("the subsystem can be spawned") }
    }

    async fn tell(&self, path: &str, _: u64) {
        self.runtime.send(path, ()).await.expect("the path leads to the subsystem");
    }

    async fn ask(&self, path: &str) -> u64 {
        self.runtime.ask::<u64, _>(path, ()).await.expect("the subsystem answers")
    }

    fn route(&self, path: &str) -> Route {
        self.runtime.route(path).expect("the path leads to the subsystem")
    }

    async fn on_behalf<F: Future<Output: Send> + Send>(&self, work: F) -> F::Output {
        let clerk = Principal::new("clerk", [RIGHT, "users:*"]).expect("these are rights");
        let metadata = Metadata::new().with_caller(clerk);
        let mut work = pin!(work);
        poll_fn(|task| metadata.in_scope(|| work.as_mut().poll(task))).await
    }

    async fn report(&self) -> Report {
        self.address.ask(AskReport).await.expect("the subsystem answers")
    }

    /// Looks at the ledger, too.
    async fn stop(&self) {
        self.address.stop();
        self.address.ended().await;
        let stats = self.address.stats();
        assert_eq!(stats.sent, stats.handled, "what was sent was handled");
    }
}

impl paths::Route for Route {
    async fn tell(&self, _: u64) {
        self.send(()).await.expect("the path leads to the subsystem");
    }
}
