//! A table with every contender's router over it, checked, and its courses laid out.

use crate::contenders::Entry;
use crate::course::Course;
use crate::player::{Found, Player};
use crate::samples::{Sample, Samples};
use crate::scene::Scene;
use crate::table::Table;

/// Whoever sees a path otherwise than [`Reference`](crate::reference::Reference) does, loses it for everyone; but not
/// this one: its rules are those of the reference.
const NEVER_OTHERWISE: &str = "mycelia-router";

/// Everything that scenes over one table need.
pub(crate) struct Stage {
    pub(crate) table: &'static str,
    pub(crate) routes: usize,
    pub(crate) players: Vec<Box<dyn Player>>,
    /// Paths that somebody resolves otherwise.
    pub(crate) left_out: Vec<LeftOut>,
    /// How many paths of each kind are left: literal, with parameters, misses.
    pub(crate) paths: [usize; 3],
    /// By the kind of the paths, then without and with a leading slash.
    courses: [[Course; 2]; 3],
}

/// A path that somebody resolves otherwise, and is therefore visited by nobody.
pub(crate) struct LeftOut {
    pub(crate) path: String,
    pub(crate) contender: &'static str,
    pub(crate) expected: Option<usize>,
    pub(crate) found: Found,
}

impl Stage {
    /// Fills the routers, and checks every route and every parameter of every path.
    pub(crate) fn set(table: &Table, entries: &[Entry]) -> Result<Self, String> {
        let players = entries.iter().map(|entry| (entry.build)(&(entry.patterns)(&table.routes)));
        let players = players.collect::<Result<Vec<_>, _>>()?;
        let Samples { literal, parameter, missing } = Samples::of(&table.routes);
        let mut left_out = Vec::new();
        let mut paths = [0; 3];
        let mut place = 0;
        let courses = [("literal paths", literal), ("paths with parameters", parameter), ("misses", missing)];
        let courses = courses.map(|(kind, mut samples)| {
            samples.retain(|sample| agreed(sample, &players, &mut left_out));
            paths[place] = samples.len();
            place += 1;
            if samples.is_empty() {
                return Err(format!("{}: there are no {kind} that all agree on", table.name));
            }
            Ok(["", "/"].map(|start| Course::over(&samples, start)))
        });
        if let Some(wrong) = left_out.iter().find(|one| one.contender == NEVER_OTHERWISE) {
            return Err(format!("{}: {wrong}", table.name));
        }
        let [literal, parameter, missing] = courses;
        let courses = [literal?, parameter?, missing?];
        Ok(Self { table: table.name, routes: table.routes.len(), players, left_out, paths, courses })
    }

    /// The course of a scene, for routers whose paths begin like that.
    pub(crate) fn course(&self, scene: Scene, start: &str) -> &Course {
        let kind = match scene {
            Scene::Literal => 0,
            Scene::Parameters | Scene::Values | Scene::Names => 1,
            Scene::Misses => 2,
        };
        &self.courses[kind][start.len()]
    }
}

/// Whether all find the right route and the right values; who does not is noted.
fn agreed(sample: &Sample, players: &[Box<dyn Player>], left_out: &mut Vec<LeftOut>) -> bool {
    let mut expected = sample.parameters.clone();
    expected.sort_unstable();
    let before = left_out.len();
    for player in players {
        let mut found = player.find(&sample.path);
        found.1.sort_unstable();
        if found.0 != sample.route || found.1 != expected {
            left_out.push(LeftOut {
                path: sample.path.clone(),
                contender: player.name(),
                expected: sample.route,
                found,
            });
        }
    }
    left_out.len() == before
}

impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let route = |number: Option<usize>| number.map_or("none".to_owned(), |number| number.to_string());
        let Self { path, contender, expected, found } = self;
        write!(
            f,
            "{contender} finds route {} for {path} with {:?}, and not {}",
            route(found.0),
            found.1,
            route(*expected)
        )
    }
}
