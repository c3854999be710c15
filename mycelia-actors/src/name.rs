//! What a subsystem is called.

use std::fmt;
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
                // `path::Type<path::Other>`: only the path before the type goes.
                let plain = type_name.split('<').next().unwrap_or(type_name);
                let path = plain.rfind("::").map_or(0, |at| at + 2);
                write!(f, "{}#{id}", &type_name[path..])
            }
        }
    }
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
