//! The settings of a runtime.

use mycelia_router::Policy;
use tokio::runtime::Handle;

use crate::body::MAX_BODY;
use crate::faults::Faults;
use crate::message_pool::MessagePool;
use crate::runtime::Runtime;
use crate::shared::Shared;

/// Sets up a [`Runtime`].
///
/// ```
/// use mycelia_actors::prelude::*;
///
/// let runtime = Runtime::builder().messages(MessagePool::capacity(10_000).warm(1_000)).build();
/// assert_eq!(runtime.pool_stats().created, 1_000);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    pub(crate) messages: MessagePool,
    pub(crate) tokio: Option<Handle>,
    pub(crate) max_body: usize,
    pub(crate) policy: Policy,
    pub(crate) seed: Option<u64>,
    pub(crate) faults: Option<Faults>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            messages: MessagePool::default(),
            tokio: None,
            max_body: MAX_BODY,
            policy: Policy::Open,
            seed: None,
            faults: None,
        }
    }

    /// The pool that messages travel in; one that grows if this is not called.
    pub fn messages(mut self, messages: MessagePool) -> Self {
        self.messages = messages;
        self
    }

    /// The tokio runtime to run on, for runtimes that are made outside of one.
    pub fn tokio(mut self, tokio: Handle) -> Self {
        self.tokio = Some(tokio);
        self
    }

    /// How many bytes the body of a message to a path may have: 1 MiB if this is not called. The text of JSON counts, also where
    /// the body is a JSON value.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Whether every route must say who may use it: not if this is not called. With [`Policy::Scoped`] a subsystem is not
    /// spawned (with a name) if a route of its type requires no scope.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Where its chances begin, which are those of the pauses between restarts, and of faults: somewhere else each time if this
    /// is not called.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Lets faults happen to messages, for tests.
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = Some(faults);
        self
    }

    /// Builds the runtime.
    #[must_use]
    pub fn build(self) -> Runtime {
        Runtime::of(Shared::new(self))
    }
}
