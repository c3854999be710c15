//! Paths to look up: one for each route that must find it, and as many that must find nothing.

use std::collections::HashSet;

use crate::random::Random;
use crate::reference::Reference;
use crate::route::{Route, Segment};
use crate::values;
use crate::words::WORDS;

const SEED: u64 = 0x0073_616d_706c_6573;

/// A path, and what must come of it.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// Without a leading slash.
    pub(crate) path: String,
    /// The route that it finds, if any.
    pub(crate) route: Option<usize>,
    /// The parameters, in order: names and values.
    pub(crate) parameters: Vec<(String, String)>,
}

/// The paths of a table.
pub(crate) struct Samples {
    /// For each route without parameters, the only path that it has.
    pub(crate) literal: Vec<Sample>,
    /// For each route with parameters, a path with likely values.
    pub(crate) parameter: Vec<Sample>,
    /// Paths that no route matches: a third each of [`Miss`].
    pub(crate) missing: Vec<Sample>,
}

/// Why a path is not found. Each is made from a path that is.
#[derive(Clone, Copy)]
enum Miss {
    /// The first segment has another letter.
    First,
    /// A later literal, in the middle or at the end, has another letter.
    Later,
    /// There is a segment too many, or one is missing.
    Length,
}

impl Samples {
    /// The same samples for the same routes in every run.
    pub(crate) fn of(routes: &[Route]) -> Self {
        let reference = Reference::new(routes);
        let mut random = Random::from_seed(SEED);
        let hits: Vec<Sample> =
            (0..routes.len()).map(|number| hit(routes, number, &reference, &mut random)).collect();
        let missing = misses(routes, &hits, &reference, &mut random);
        let (literal, parameter) = hits.into_iter().partition(|sample| sample.parameters.is_empty());
        Self { literal, parameter, missing }
    }
}

/// A path that belongs to the route.
fn hit(routes: &[Route], number: usize, reference: &Reference<'_>, random: &mut Random) -> Sample {
    for _ in 0..100 {
        let mut parameters = Vec::new();
        let mut segments = Vec::new();
        for segment in &routes[number].segments {
            let (name, value) = match segment {
                Segment::Literal(text) => {
                    segments.push(text.clone());
                    continue;
                }
                Segment::Parameter(name) => (name, values::value(name, random)),
                Segment::Rest(name) => (name, values::value(&format!("*{name}"), random)),
            };
            segments.push(value.clone());
            parameters.push((name.clone(), value));
        }
        let path = segments.join("/");
        if reference.find(&path) == Some(number) {
            return Sample { path, route: Some(number), parameters };
        }
    }
    panic!("no path found that belongs to {}", routes[number].canonical(""));
}

/// A third of each kind, from routes in a drawn order; a kind takes further routes where one has no such miss.
fn misses(routes: &[Route], hits: &[Sample], reference: &Reference<'_>, random: &mut Random) -> Vec<Sample> {
    let mut order: Vec<usize> = (0..routes.len()).collect();
    random.shuffle(&mut order);
    let third = routes.len() / 3;
    let mut paths = HashSet::new();
    for kind in [Miss::First, Miss::Later, Miss::Length] {
        order.rotate_left(third);
        let mut found = 0;
        // Twice round: a table that is small has few ways to miss.
        for &number in order.iter().chain(&order) {
            if found == third {
                break;
            }
            let path = miss(&routes[number], &hits[number].path, kind, random);
            if path.is_some_and(|path| reference.find(&path).is_none() && paths.insert(path)) {
                found += 1;
            }
        }
    }
    let mut paths: Vec<String> = paths.into_iter().collect();
    paths.sort_unstable();
    paths.into_iter().map(|path| Sample { path, route: None, parameters: Vec::new() }).collect()
}

/// A path like that of a hit, and perhaps a miss.
fn miss(route: &Route, hit: &str, kind: Miss, random: &mut Random) -> Option<String> {
    let mut texts: Vec<String> = hit.split('/').map(str::to_owned).collect();
    match kind {
        Miss::First => texts[0] = misspelt(&texts[0], random),
        Miss::Later => {
            let is_literal = |&place: &usize| matches!(route.segments[place], Segment::Literal(_));
            let places: Vec<usize> = (1..route.segments.len()).filter(is_literal).collect();
            if places.is_empty() {
                return None;
            }
            let place = random.pick(&places);
            texts[place] = misspelt(&texts[place], random);
        }
        Miss::Length if random.below(2) == 0 => texts.push(random.pick(WORDS).to_owned()),
        Miss::Length => {
            texts.pop();
        }
    }
    (!texts.is_empty()).then(|| texts.join("/"))
}

/// The word with one letter changed, anywhere: trees notice late, too.
fn misspelt(word: &str, random: &mut Random) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    let place = random.below(letters.len());
    let other = [b'b', b'e', b'k', b'q', b's', b't', b'x', b'z'].map(char::from);
    let other: Vec<char> = other.into_iter().filter(|&letter| letter != letters[place]).collect();
    letters[place] = random.pick(&other);
    letters.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::Samples;
    use crate::reference::Reference;
    use crate::table::Table;

    #[test]
    fn every_route_has_a_path_and_misses_are_misses() {
        for table in [Table::github(), Table::synthetic(10), Table::synthetic(300)] {
            let samples = Samples::of(&table.routes);
            let reference = Reference::new(&table.routes);
            assert_eq!(samples.literal.len() + samples.parameter.len(), table.routes.len());
            assert_eq!(samples.missing.len(), table.routes.len() / 3 * 3);
            for sample in samples.literal.iter().chain(&samples.parameter).chain(&samples.missing) {
                assert_eq!(reference.find(&sample.path), sample.route, "{}", sample.path);
            }
        }
    }
}
