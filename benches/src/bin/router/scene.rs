//! What is looked up, and what is read of a hit.

/// One thing to measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scene {
    /// Paths of routes without parameters.
    Literal,
    /// Paths of routes with parameters, which stay unread.
    Parameters,
    /// The same, and every value is read: by position, or in the router's own order.
    Values,
    /// The same, and every value is asked for by its name.
    Names,
    /// Paths that no route matches.
    Misses,
}

impl Scene {
    /// All, in the order in which they are played.
    pub(crate) const ALL: [Self; 5] =
        [Self::Literal, Self::Parameters, Self::Values, Self::Names, Self::Misses];

    /// Those that are played again with growing tables.
    pub(crate) const GROWTH: [Self; 3] = [Self::Literal, Self::Parameters, Self::Misses];

    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Literal => "literal",
            Self::Parameters => "parameters",
            Self::Values => "values",
            Self::Names => "names",
            Self::Misses => "misses",
        }
    }

    /// What it is, in words.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Literal => "literal hits",
            Self::Parameters => "parameter hits, parameters not read",
            Self::Values => "parameter hits, all parameters read in order",
            Self::Names => "parameter hits, all parameters read by name",
            Self::Misses => "misses",
        }
    }
}
