//! A route found.

use crate::params::Params;
use crate::pattern::Pattern;
use crate::principal::{Denied, Principal};

/// What [`Router::at`](crate::Router::at) found.
#[derive(Clone, Copy, Debug)]
pub struct Match<'r, 'p, T> {
    value: &'r T,
    params: Params<'r, 'p>,
}

impl<'r, 'p, T> Match<'r, 'p, T> {
    #[inline]
    pub(crate) fn new(value: &'r T, params: Params<'r, 'p>) -> Self {
        Self { value, params }
    }

    /// The value of the route.
    pub fn value(&self) -> &'r T {
        self.value
    }

    /// The pattern that took the path.
    pub fn pattern(&self) -> &'r Pattern {
        self.params.pattern()
    }

    /// The parameters.
    pub fn params(&self) -> &Params<'r, 'p> {
        &self.params
    }

    /// Whether `principal` may use this route.
    ///
    /// # Errors
    /// As [`Pattern::permit`].
    #[inline]
    pub fn permit(&self, principal: Option<&Principal>) -> Result<(), Denied> {
        self.pattern().permit(principal)
    }
}
