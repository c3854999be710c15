//! Principals: who is asking, and the rights held.

use std::fmt;

use crate::scope::{Scope, ScopeError, well_formed};

/// Who is asking, and the rights held: scopes (`users:write`), or all below a part (`users:*`), or all (`*`).
///
/// Rights can be handed on, and become fewer on the way, never more.
///
/// ```
/// use mycelia_router::{Principal, Scope};
///
/// let admin = Principal::new("ada", ["users:*", "files:read"])?;
/// let clerk = admin.narrowed("ada's clerk", ["users:write"])?;
/// let write: Scope = "users:write".parse()?;
/// let read: Scope = "files:read".parse()?;
/// assert!(admin.holds(&write) && admin.holds(&read));
/// assert!(clerk.holds(&write) && !clerk.holds(&read));
/// assert!(clerk.narrowed("mallory", ["users:*"]).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    name: Box<str>,
    /// Sorted.
    scopes: Box<[Box<str>]>,
    /// `users:*`, as `users`; sorted.
    families: Box<[Box<str>]>,
    everything: bool,
}

impl Principal {
    /// Of that name, with those rights, in any order.
    ///
    /// # Errors
    /// A right that is neither a scope, nor one with `*` as its last part, nor `*`.
    pub fn new<R: AsRef<str>>(
        name: impl Into<Box<str>>,
        rights: impl IntoIterator<Item = R>,
    ) -> Result<Self, ScopeError> {
        let (mut scopes, mut families, mut everything) = (Vec::new(), Vec::new(), false);
        for right in rights {
            match Right::of(right.as_ref())? {
                Right::Scope(scope) => scopes.push(scope.into()),
                Right::Family(above) => families.push(above.into()),
                Right::Everything => everything = true,
            }
        }
        let sorted = |mut list: Vec<Box<str>>| {
            list.sort_unstable();
            list.dedup();
            list.into_boxed_slice()
        };
        Ok(Self { name: name.into(), scopes: sorted(scopes), families: sorted(families), everything })
    }

    /// Who it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The rights held: scopes, then `…:*`, then `*`, each in order.
    pub fn rights(&self) -> impl Iterator<Item = String> {
        let scopes = self.scopes.iter().map(|scope| scope.to_string());
        let families = self.families.iter().map(|above| format!("{above}:*"));
        scopes.chain(families).chain(self.everything.then(|| "*".to_owned()))
    }

    /// Whether `scope` is among the rights. Cost: a binary search for the scope, and one for each of its parts.
    pub fn holds(&self, scope: &Scope) -> bool {
        self.covers(Right::Scope(scope.as_str()))
    }

    /// Somebody with some of these rights.
    ///
    /// # Errors
    /// [`WidenError`] names a right that is not held.
    pub fn narrowed<R: AsRef<str>>(
        &self,
        name: impl Into<Box<str>>,
        rights: impl IntoIterator<Item = R>,
    ) -> Result<Self, WidenError> {
        let narrow = Self::new(name, rights)?;
        let unheld = narrow.rights().find(|right| !Right::of(right).is_ok_and(|right| self.covers(right)));
        match unheld {
            Some(right) => Err(WidenError::NotHeld { principal: self.name.clone(), right: right.into() }),
            None => Ok(narrow),
        }
    }

    /// `limit` in this one's name: with those rights only that both hold, and both names (`ada as clerk`). Never fails: what is not
    /// held by both is gone.
    #[must_use]
    pub fn limited_to(&self, limit: &Self) -> Self {
        let held_by =
            |holder: &Self, right: &String| Right::of(right).is_ok_and(|right| holder.covers(right));
        let own = self.rights().filter(|right| held_by(limit, right));
        let others = limit.rights().filter(|right| held_by(self, right));
        let name = if self.name == limit.name {
            self.name.clone()
        } else {
            // Only the first and the last of those that it went through, so that names do not grow.
            let first = limit.name.split(" as ").next().unwrap_or_default();
            let last = self.name.rsplit(" as ").next().unwrap_or_default();
            format!("{first} as {last}").into()
        };
        Self::new(name, own.chain(others)).expect("rights that were checked before")
    }

    #[inline]
    fn covers(&self, right: Right<'_>) -> bool {
        let has = |list: &[Box<str>], text: &str| list.binary_search_by(|held| (**held).cmp(text)).is_ok();
        let above =
            |text: &str| text.match_indices(':').any(|(colon, _)| has(&self.families, &text[..colon]));
        self.everything
            || match right {
                Right::Scope(scope) => has(&self.scopes, scope) || above(scope),
                Right::Family(family) => has(&self.families, family) || above(family),
                Right::Everything => false,
            }
    }
}

/// One entry in a list of rights.
enum Right<'t> {
    Scope(&'t str),
    /// All below this.
    Family(&'t str),
    Everything,
}

impl<'t> Right<'t> {
    fn of(text: &'t str) -> Result<Self, ScopeError> {
        match text.strip_suffix(":*") {
            _ if text == "*" => Ok(Self::Everything),
            Some(above) if well_formed(above) => Ok(Self::Family(above)),
            None if well_formed(text) => Ok(Self::Scope(text)),
            _ => Err(ScopeError::new(text)),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Rights that cannot be handed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WidenError {
    /// A text that is no right.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// A right that is not held.
    #[error("`{principal}` cannot hand on `{right}`, which it does not hold")]
    NotHeld {
        /// Who would hand on.
        principal: Box<str>,
        /// The right.
        right: Box<str>,
    },
}

/// Somebody asked for what he has no right to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` requires the scope `{scope}`, {}", Why(.principal.as_deref()))]
pub struct Denied {
    /// What was asked for.
    pub pattern: Box<str>,
    /// The right that it requires.
    pub scope: Scope,
    /// Who asked; nobody, where nobody was named.
    pub principal: Option<Box<str>>,
}

/// How the text of [`Denied`] ends.
struct Why<'a>(Option<&'a str>);

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(principal) => write!(f, "which {principal} does not hold"),
            None => f.write_str("and it is not said who asks"),
        }
    }
}
