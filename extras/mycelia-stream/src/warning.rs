//! What is wrong with a configuration, but no reason to refuse it.

use std::fmt;

use strsim::normalized_damerau_levenshtein;

use crate::place::{Place, Places};

/// Something in a configuration that will hardly do what was meant: see [`Processor::warnings`](crate::Processor::warnings).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    place: Place,
    problem: String,
}

impl Warning {
    pub(crate) fn new(field: &[&str], problem: impl Into<String>) -> Self {
        Self { place: Place::of(field), problem: problem.into() }
    }

    /// The keys that lead to the field.
    #[must_use]
    pub fn field(&self) -> &[String] {
        &self.place.field
    }

    /// Line and column of the field's value in the text, from 1, if it was looked up in one.
    #[must_use]
    pub fn position(&self) -> Option<(u32, u32)> {
        self.place.line_and_column()
    }

    /// What is wrong.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// The same, with the position of the field in the text that the configuration was read from.
    /// [`Processor::from_text`](crate::Processor::from_text) does this by itself.
    #[must_use]
    pub fn located_in(mut self, text: &str) -> Self {
        look_up(std::slice::from_mut(&mut self), text);
        self
    }
}

/// Looks up the positions of all.
pub(crate) fn look_up(warnings: &mut [Warning], text: &str) {
    if warnings.is_empty() {
        return;
    }
    let places = Places::read(text);
    for warning in warnings {
        warning.place.look_up(&places);
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)?;
        f.write_str(&self.problem)
    }
}

/// What to say of a name that is neither an alias nor one of the language.
pub(crate) fn unknown_name<'a>(name: &str, aliases: impl Iterator<Item = &'a str>) -> String {
    let meant = nearest(name, aliases).map_or(String::new(), |alias| format!("; did you mean `{alias}`?"));
    format!("`{name}` is neither a source nor a name of the language{meant}")
}

/// The alias that is most like a name, if one is.
fn nearest<'a>(name: &str, aliases: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |alias: &str| {
        if alias.eq_ignore_ascii_case(name) { 1.0 } else { normalized_damerau_levenshtein(name, alias) }
    };
    aliases
        .filter(|alias| alias.len().max(name.len()) <= COMPARED)
        .map(|alias| (likeness(alias), alias))
        .filter(|&(likeness, _)| likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, alias)| alias)
}

/// Names that are longer than this are nobody's slip of the finger.
const COMPARED: usize = 64;
/// Of 1, which is the same.
const ALIKE: f64 = 0.7;
