//! What a subsystem can see of the world while it handles a message.

use std::sync::Arc;

use crate::actor::Actor;
use crate::address::Address;
use crate::config::Configure;
use crate::current;
use crate::error::SpawnError;
use crate::metadata::Metadata;
use crate::name::Name;
use crate::paths::Paths;
use crate::subsystem::Subsystem;

/// Given to every hook and handler: who I am, and how to make others.
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
    #[must_use]
    pub fn metadata(&self) -> Option<Metadata> {
        current::metadata()
    }

    /// Sends to other subsystems by path. (To ask its own runtime for a path of its own would be to wait for itself: an error.)
    #[must_use]
    pub fn paths(&self) -> Paths {
        Paths::new(&self.address.actor().runtime)
    }

    /// Ends this subsystem after what its mailbox has accepted so far.
    pub fn stop(&self) {
        self.address.stop();
    }

    /// Spawns a child without a name: it ends before this subsystem does, and when this one restarts.
    ///
    /// # Errors
    /// As [`Runtime::spawn_unnamed`](crate::Runtime::spawn_unnamed).
    pub fn spawn<T: Subsystem>(&self, subsystem: T) -> Result<Address<T>, SpawnError> {
        Configure::child(self.address.actor(), None).spawn(subsystem)
    }

    /// Configures a child, with a name.
    pub fn configure<'a>(&'a self, name: &'a str) -> Configure<'a> {
        Configure::child(self.address.actor(), Some(name))
    }
}
