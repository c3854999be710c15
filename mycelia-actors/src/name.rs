//! What a subsystem is called.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A subsystem's name as it was given, or for one without a name its type and number: `counter`, `Counter#7`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(Kind);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Kind {
    Given(Arc<str>),
    Unnamed { type_name: &'static str, id: u64 },
}

impl Name {
    pub(crate) fn given(name: Arc<str>) -> Self {
        Self(Kind::Given(name))
    }

    pub(crate) fn unnamed(type_name: &'static str, id: u64) -> Self {
        Self(Kind::Unnamed { type_name, id })
    }

    pub(crate) fn as_arc(&self) -> Option<Arc<str>> {
        match &self.0 {
            Kind::Given(name) => Some(Arc::clone(name)),
            Kind::Unnamed { .. } => None,
        }
    }

    /// As one segment of a topic: the name as it was given, or the type without its parameters and the number. That of a
    /// `Cache<User>` is `Cache#7`.
    #[must_use]
    pub fn to_segment(&self) -> String {
        match &self.0 {
            Kind::Given(name) => name.to_string(),
            Kind::Unnamed { type_name, id } => format!("{}#{id}", &type_name[last_of_path(type_name)]),
        }
    }

    /// The type, as [`std::any::type_name`] gives it, of one without a name.
    #[must_use]
    pub fn as_type(&self) -> Option<&'static str> {
        match &self.0 {
            Kind::Given(_) => None,
            Kind::Unnamed { type_name, .. } => Some(type_name),
        }
    }

    /// The name, if one was given.
    #[must_use]
    pub fn as_given(&self) -> Option<&str> {
        match &self.0 {
            Kind::Given(name) => Some(name),
            Kind::Unnamed { .. } => None,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Given(name) => f.write_str(name),
            Kind::Unnamed { type_name, id } => {
                write!(f, "{}#{id}", &type_name[last_of_path(type_name).start..])
            }
        }
    }
}

/// Where the `Type` is in `path::Type<path::Other>`.
fn last_of_path(type_name: &str) -> Range<usize> {
    let end = type_name.find('<').unwrap_or(type_name.len());
    type_name[..end].rfind("::").map_or(0, |at| at + 2)..end
}

/// As the text, quoted.
impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string(), f)
    }
}

/// Whether it is a given name, and this one.
impl PartialEq<str> for Name {
    fn eq(&self, text: &str) -> bool {
        self.as_given() == Some(text)
    }
}
