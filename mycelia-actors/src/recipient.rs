//! The handle of "whoever takes messages of this type".

use std::fmt;
use std::sync::Arc;

use crate::actor::Actor;
use crate::error::TellError;
use crate::name::Name;
use crate::sending::Sending;
use crate::tell::{self, Enveloping, Told};

/// An [`Address`](crate::Address) that forgot everything about its subsystem but that it handles `M`.
///
/// For lists of different subsystems that take the same message. Costs the same as an address.
pub struct Recipient<M: Send + 'static> {
    actor: Arc<Actor>,
    envelop: Enveloping<M>,
}

impl<M: Send + 'static> Recipient<M> {
    pub(crate) fn new(actor: Arc<Actor>, envelop: Enveloping<M>) -> Self {
        Self { actor, envelop }
    }

    /// The name of the subsystem behind it.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.actor.name
    }

    /// As [`Address::tell`](crate::Address::tell).
    ///
    /// # Errors
    /// As [`Address::tell`](crate::Address::tell).
    pub fn tell(&self, message: M) -> Result<Told, TellError<M>> {
        tell::tell(&self.actor, message, self.envelop)
    }

    /// As [`Address::send`](crate::Address::send).
    pub fn send(&self, message: M) -> Sending<'_, M> {
        Sending::new(&self.actor, message, self.envelop)
    }
}

impl<M: Send + 'static> Clone for Recipient<M> {
    fn clone(&self) -> Self {
        Self { actor: Arc::clone(&self.actor), envelop: self.envelop }
    }
}

impl<M: Send + 'static> fmt::Debug for Recipient<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Recipient").field(&format_args!("{}", self.name())).finish()
    }
}
