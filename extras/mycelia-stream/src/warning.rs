//! What is wrong with a configuration, but no reason to refuse it.

use std::fmt;

use strsim::normalized_damerau_levenshtein;

use crate::mapping::{BUILTIN, Doubt};
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

    /// Line and column of the field's value in the text, from 1, if it was read from one.
    #[must_use]
    pub fn position(&self) -> Option<(u32, u32)> {
        self.place.line_and_column()
    }

    /// What is wrong.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }

    pub(crate) fn look_up(&mut self, places: &Places<'_>) {
        self.place.position = places.find(&self.place);
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)?;
        f.write_str(&self.problem)
    }
}

/// Leaves no more than somebody reads.
pub(crate) fn shorten(warnings: &mut Vec<Warning>) {
    if let Some(more) = warnings.len().checked_sub(MOST).filter(|more| *more > 0) {
        warnings.truncate(MOST);
        warnings.push(Warning::new(&[], format!("there are {more} more warnings")));
    }
}

const MOST: usize = 1000;

/// What to say of a doubt about an expression.
pub(crate) fn of_doubt<'a>(doubt: &Doubt, aliases: impl Iterator<Item = &'a str>) -> String {
    let name = match doubt {
        Doubt::UnknownName(name) => name,
        doubt => return doubt.to_string(),
    };
    let meant = nearest(name, aliases.chain(BUILTIN));
    doubt.to_string() + &meant.map_or(String::new(), |meant| format!("; did you mean `{meant}`?"))
}

/// The one that is most like a name, if one is.
fn nearest<'a>(name: &str, others: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |other: &str| {
        if other.eq_ignore_ascii_case(name) { 1.0 } else { normalized_damerau_levenshtein(name, other) }
    };
    others
        .filter(|other| {
            other.len().max(name.len()) <= COMPARED && other.len().abs_diff(name.len()) <= COMPARED / 3
        })
        .map(|other| (likeness(other), other))
        .filter(|&(likeness, _)| likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, other)| other)
}

/// Names that are longer than this are nobody's slip of the finger.
const COMPARED: usize = 64;
/// Of 1, which is the same.
const ALIKE: f64 = 0.7;
