//! Who takes part.

mod actix_router;
mod matchit;
mod mycelia;
mod path_tree;
mod route_recognizer;
mod wayfind;

use crate::contender::{self, Contender, Pattern};
use crate::player::Player;
use crate::route::Route;

/// A contender by name.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    /// The package.
    pub(crate) name: &'static str,
    /// What must be known of its figures.
    pub(crate) note: &'static str,
    /// The routes in its syntax and its order.
    pub(crate) patterns: fn(&[Route]) -> Vec<Pattern>,
    /// A router with these patterns, or why it refuses one.
    pub(crate) build: Build,
}

/// How to fill a router.
pub(crate) type Build = fn(&[Pattern]) -> Result<Box<dyn Player>, String>;

/// Everyone, in the order of the tables.
pub(crate) const ALL: &[Entry] = &[
    entry::<mycelia::Mycelia>(),
    entry::<matchit::Matchit>(),
    entry::<wayfind::Wayfind>(),
    entry::<path_tree::Tree>(),
    entry::<actix_router::Actix>(),
    entry::<route_recognizer::Recognizer>(),
];

const fn entry<C: Contender>() -> Entry {
    Entry {
        name: C::PACKAGE,
        note: C::NOTE,
        patterns: contender::patterns::<C>,
        build: |patterns| Ok(Box::new(C::build(patterns)?)),
    }
}
