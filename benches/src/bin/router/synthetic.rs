//! Made-up routes, as many as wanted, the same in every run.
//!
//! Routes come in tens. Each ten adds one collection of its own at the root (a word, or two joined by a dash once the
//! single words are used up), so that ten thousand routes have a thousand first segments with ten routes under each,
//! more or less. Within a ten, half the routes are literal and half have parameters, each half once at every depth
//! from 2 to 6 segments; a parameter route has 1 parameter at depth 2 and 3, 2 at depth 4 and 5, and 3 at depth 6.
//! A table of 10 routes and one of 10 000 therefore hold the same mixture, and only their size differs.
//!
//! The first segment is the ten's own collection for every other route and for `collection/{id}`, else one of an
//! earlier ten, early ones more often. Deeper literals are words, one in five of them two joined by a dash. Where
//! parameters stand is drawn, never at the root. A parameter is called after the literal before it (`orders/{order_id}`)
//! or, behind another parameter, by its place; so a name never differs where the routes before it agree. No two routes
//! have the same shape.

use std::collections::HashSet;

use crate::random::Random;
use crate::route::{Route, Segment};
use crate::words::WORDS;

const SEED: u64 = 0x006d_7963_656c_6961;

/// The first `count` made-up routes.
pub(crate) fn routes(count: usize) -> Vec<Route> {
    let mut random = Random::from_seed(SEED);
    let mut roots = Roots::new(&mut random);
    let mut shapes = HashSet::new();
    let mut routes = Vec::with_capacity(count);
    for number in 0..count {
        if number % 10 == 0 {
            roots.add(&mut random);
        }
        let depth = 2 + (number / 2) % 5;
        let parameters = if number % 2 == 0 { 0 } else { depth / 2 };
        loop {
            let route = route(depth, parameters, &roots, &mut random);
            let names: HashSet<&str> = route.names().collect();
            if names.len() == parameters && shapes.insert(route.shape()) {
                routes.push(route);
                break;
            }
        }
    }
    routes
}

/// One route, perhaps of a shape that is there already.
fn route(depth: usize, parameters: usize, roots: &Roots, random: &mut Random) -> Route {
    let mut places: Vec<usize> = (1..depth).collect();
    random.shuffle(&mut places);
    let places = &places[..parameters];
    let only_shape = depth == 2 && parameters == 1;
    let first = if only_shape || random.below(2) == 0 { roots.newest() } else { roots.any(random) };
    let mut segments = vec![Segment::Literal(first.to_owned())];
    for place in 1..depth {
        segments.push(match (places.contains(&place), &segments[place - 1]) {
            (false, _) if random.below(5) == 0 => Segment::Literal(two_words(random)),
            (false, _) => Segment::Literal(random.pick(WORDS).to_owned()),
            (true, Segment::Literal(before)) => Segment::Parameter(one_of(before)),
            (true, _) => Segment::Parameter(["", "", "key", "name", "tag", "version"][place].to_owned()),
        });
    }
    Route { segments }
}

/// The collections at the root.
struct Roots {
    unused: Vec<&'static str>,
    names: Vec<String>,
    taken: HashSet<String>,
}

impl Roots {
    fn new(random: &mut Random) -> Self {
        let mut unused = WORDS.to_vec();
        random.shuffle(&mut unused);
        Self { unused, names: Vec::new(), taken: HashSet::new() }
    }

    fn add(&mut self, random: &mut Random) {
        let mut name = self.unused.pop().map(str::to_owned).unwrap_or_else(|| two_words(random));
        while !self.taken.insert(name.clone()) {
            name = two_words(random);
        }
        self.names.push(name);
    }

    fn newest(&self) -> &str {
        self.names.last().expect("the first ten added one")
    }

    /// One of all; the product of two draws prefers the early ones.
    fn any(&self, random: &mut Random) -> &str {
        let count = self.names.len();
        &self.names[random.below(count) * random.below(count) / count]
    }
}

fn two_words(random: &mut Random) -> String {
    format!("{}-{}", one_word(random.pick(WORDS)), random.pick(WORDS))
}

/// What one thing of a collection is called as a parameter: `order_id` for `orders`.
fn one_of(collection: &str) -> String {
    format!("{}_id", one_word(collection).replace('-', "_"))
}

fn one_word(words: &str) -> String {
    if let Some(stem) = words.strip_suffix("ies") {
        return format!("{stem}y");
    }
    let hissing = ["sses", "shes", "ches", "xes", "uses"];
    let ending = if hissing.iter().any(|ending| words.ends_with(ending)) { "es" } else { "s" };
    words.strip_suffix(ending).unwrap_or(words).to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::routes;

    #[test]
    fn every_ten_holds_the_same_mixture() {
        let made = routes(1000);
        assert_eq!(made[..10], routes(10)[..]);
        let shapes: HashSet<String> = made.iter().map(|route| route.shape()).collect();
        assert_eq!(shapes.len(), 1000);
        for ten in made.chunks(10) {
            assert_eq!(ten.iter().filter(|route| route.names().next().is_none()).count(), 5);
            assert_eq!(ten.iter().map(|route| route.names().count()).sum::<usize>(), 9);
            assert_eq!(ten.iter().map(|route| route.segments.len()).sum::<usize>(), 40);
        }
    }
}
