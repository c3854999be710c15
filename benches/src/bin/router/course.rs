//! The paths of a scene in the order in which they are visited, laid out so that the router is measured and not memory.
//!
//! A visit's path is behind that of the visit before, so that it is in the cache when its turn comes, as a path that
//! was just received would be. Which route comes next is drawn: a course goes over all samples several times, each
//! time in another order, so that the processor does not learn the order by heart.

use std::collections::HashMap;
use std::ops::Range;

use crate::random::Random;
use crate::samples::Sample;

const SEED: u64 = 0x636f_7572_7365;

/// A course has at least so many visits.
const SHORTEST: usize = 4096;

/// One lookup. The texts are kept for good: there are few courses, and they are in use until the end.
#[derive(Clone, Copy)]
pub(crate) struct Visit {
    pub(crate) path: &'static str,
    pub(crate) names: &'static [&'static str],
}

/// What some visits found. Sums that wrap, to be compared with what they must be.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    /// How many found a route.
    pub(crate) found: u64,
    /// The sum of the numbers of these routes.
    pub(crate) routes: u64,
    /// The sum of what was read of the parameters, see [`weigh`].
    pub(crate) read: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.found += other.found;
        self.routes += other.routes;
        self.read += other.read;
    }
}

/// Touches a value: its length and its first byte.
#[inline]
pub(crate) fn weigh(value: &str) -> u64 {
    value.len() as u64 + u64::from(value.as_bytes().first().copied().unwrap_or_default())
}

/// Visits, and what each must find.
pub(crate) struct Course {
    visits: Vec<Visit>,
    expected: Vec<Tally>,
}

impl Course {
    /// A course over some samples, for routers whose paths begin with `start`.
    pub(crate) fn over(samples: &[Sample], start: &str) -> Self {
        let order = order(samples.len());
        let mut paths = String::new();
        let (mut names, mut known) = (Vec::new(), HashMap::new());
        let mut places = Vec::new();
        let mut expected = Vec::new();
        for sample in order.iter().map(|&number| &samples[number]) {
            let began = (paths.len(), names.len());
            paths.push_str(start);
            paths.push_str(&sample.path);
            for (name, _) in &sample.parameters {
                names.push(*known.entry(name).or_insert_with(|| &*name.clone().leak()));
            }
            places.push((began.0..paths.len(), began.1..names.len()));
            expected.push(Tally {
                found: sample.route.is_some().into(),
                routes: sample.route.unwrap_or_default() as u64,
                read: sample.parameters.iter().map(|(_, value)| weigh(value)).sum(),
            });
        }
        let (paths, names): (&str, &[&str]) = (paths.leak(), names.leak());
        let visit =
            |(path, own): (Range<usize>, Range<usize>)| Visit { path: &paths[path], names: &names[own] };
        Self { visits: places.into_iter().map(visit).collect(), expected }
    }

    /// The next so many visits from one of them on, round and round.
    pub(crate) fn visits(&self, from: usize, count: usize) -> impl Iterator<Item = &[Visit]> {
        self.laps(from, count).map(|lap| &self.visits[lap])
    }

    /// What these visits must find.
    pub(crate) fn expected(&self, from: usize, count: usize) -> Tally {
        let mut sum = Tally::default();
        self.laps(from, count).flat_map(|lap| &self.expected[lap]).for_each(|&one| sum += one);
        sum
    }

    /// Where those stand that come so many visits later.
    pub(crate) fn after(&self, from: usize, count: usize) -> usize {
        (from + count) % self.visits.len()
    }

    fn laps(&self, mut from: usize, mut count: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let length = self.visits.len();
        std::iter::from_fn(move || {
            let lap = from..length.min(from + count);
            count -= lap.len();
            from = lap.end % length;
            (!lap.is_empty()).then_some(lap)
        })
    }
}

/// Each of `count` numbers equally often, in drawn orders.
fn order(count: usize) -> Vec<usize> {
    let mut random = Random::from_seed(SEED);
    let mut round: Vec<usize> = (0..count).collect();
    let mut order = Vec::new();
    while order.len() < SHORTEST {
        random.shuffle(&mut round);
        order.extend(&round);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::{Course, Tally, weigh};
    use crate::samples::Sample;

    #[test]
    fn a_course_goes_round() {
        let sample = |number: usize| Sample {
            path: format!("orders/{number}"),
            route: Some(number),
            parameters: vec![("order_id".to_owned(), number.to_string())],
        };
        let course = Course::over(&[sample(1), sample(2), sample(3)], "/");
        let length = course.visits.len();
        assert!(length >= 4096 && length.is_multiple_of(3));
        let visits: Vec<_> = course.visits(length - 2, length + 2).flatten().collect();
        assert_eq!(visits.len(), length + 2);
        assert_eq!(visits[2].path, course.visits[0].path);
        assert!(visits.iter().all(|visit| visit.path.starts_with("/orders/") && visit.names == ["order_id"]));
        let read =
            (length / 3) as u64 * [1, 2, 3].map(|number: u64| weigh(&number.to_string())).iter().sum::<u64>();
        let whole = Tally { found: length as u64, routes: length as u64 * 2, read };
        assert_eq!(course.expected(5, length), whole);
        assert_eq!(course.after(length - 1, 3), 2);
    }
}
