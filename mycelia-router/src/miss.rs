//! No route found.

use std::error::Error;
use std::fmt;

use crate::error::{AtError, PathError};
use crate::pattern::Pattern;
use crate::router::Router;

/// Why [`Router::at`](crate::Router::at) found nothing: the path breaks a rule, or no pattern takes it.
///
/// It is the question itself, and works its answers out when it is asked or shown, so that a miss that nobody looks at is
/// cheap. Because it borrows, it is no `Error`; `?` turns it into an [`AtError`], or into a `Box<dyn Error>`.
pub struct Miss<'r, 'p, T> {
    router: &'r Router<T>,
    path: &'p str,
}

impl<'r, 'p, T> Miss<'r, 'p, T> {
    #[inline]
    pub(crate) fn new(router: &'r Router<T>, path: &'p str) -> Self {
        Self { router, path }
    }

    /// The path.
    pub fn path(&self) -> &'p str {
        self.path
    }

    /// The rule that the path breaks, if it breaks one: that of its most specific pattern too, of which a `{*rest}` takes no
    /// encoded slash.
    pub fn broken_rule(&self) -> Option<PathError> {
        self.router.resolve(self.path).err()
    }

    /// The pattern that is most like the path, if any has something in common with it. Looks at every pattern.
    pub fn nearest(&self) -> Option<&'r Pattern> {
        self.router.nearest(self.path)
    }

    /// The same without borrowing.
    pub fn into_error(self) -> AtError {
        match self.broken_rule() {
            Some(reason) => AtError::Path { path: self.path.chars().take(100).collect(), reason },
            None => AtError::NoRoute {
                path: self.path.into(),
                nearest: self.nearest().map(|pattern| pattern.as_str().into()),
            },
        }
    }
}

impl<T> fmt::Display for Miss<'_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (*self).into_error().fmt(f)
    }
}

impl<T> fmt::Debug for Miss<'_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Miss").field(&(*self).into_error()).finish()
    }
}

impl<T> Clone for Miss<'_, '_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Miss<'_, '_, T> {}

impl<T> From<Miss<'_, '_, T>> for AtError {
    fn from(miss: Miss<'_, '_, T>) -> Self {
        miss.into_error()
    }
}

impl<T> From<Miss<'_, '_, T>> for Box<dyn Error> {
    fn from(miss: Miss<'_, '_, T>) -> Self {
        miss.into_error().into()
    }
}

impl<T> From<Miss<'_, '_, T>> for Box<dyn Error + Send + Sync> {
    fn from(miss: Miss<'_, '_, T>) -> Self {
        miss.into_error().into()
    }
}
