//! A contender behind one face, whatever its types: it looks paths up, one to be checked or many to be timed.

use std::hint::black_box;

use crate::contender::Contender;
use crate::course::{Tally, Visit, weigh};
use crate::scene::Scene;

/// What a lookup found: the route's number, and the parameters.
pub(crate) type Found = (Option<usize>, Vec<(String, String)>);

/// A filled router.
pub(crate) trait Player {
    /// The package.
    fn name(&self) -> &'static str;

    /// What its paths begin with.
    fn start(&self) -> &'static str;

    /// One lookup, to be checked. The path is without a leading slash.
    fn find(&self, path: &str) -> Found;

    /// Many lookups, to be timed.
    fn play(&self, scene: Scene, visits: &[Visit]) -> Tally;
}

impl<C: Contender> Player for C {
    fn name(&self) -> &'static str {
        C::PACKAGE
    }

    fn start(&self) -> &'static str {
        C::START
    }

    fn find(&self, path: &str) -> Found {
        let path = C::START.to_owned() + path;
        let outcome = self.at(&path);
        (C::value(&outcome), C::parameters(&outcome))
    }

    fn play(&self, scene: Scene, visits: &[Visit]) -> Tally {
        match scene {
            Scene::Literal | Scene::Parameters | Scene::Misses => lookups::<C, Nothing>(self, visits),
            Scene::Values => lookups::<C, InOrder>(self, visits),
            Scene::Names => lookups::<C, ByName>(self, visits),
        }
    }
}

/// What is read of a hit.
trait Reading<C: Contender> {
    fn read(outcome: &C::Outcome<'_>, names: &[&str]) -> u64;
}

struct Nothing;
struct InOrder;
struct ByName;

impl<C: Contender> Reading<C> for Nothing {
    #[inline]
    fn read(_outcome: &C::Outcome<'_>, _names: &[&str]) -> u64 {
        0
    }
}

impl<C: Contender> Reading<C> for InOrder {
    #[inline]
    fn read(outcome: &C::Outcome<'_>, _names: &[&str]) -> u64 {
        let mut sum = 0;
        C::values(outcome, |value| sum += weigh(value));
        sum
    }
}

impl<C: Contender> Reading<C> for ByName {
    #[inline]
    fn read(outcome: &C::Outcome<'_>, names: &[&str]) -> u64 {
        names.iter().filter_map(|name| C::get(outcome, name)).map(weigh).sum()
    }
}

/// The timed loop. It is the same for every contender, but for what the contender itself does.
fn lookups<C: Contender, R: Reading<C>>(router: &C, visits: &[Visit]) -> Tally {
    let mut tally = Tally::default();
    for visit in visits {
        let outcome = router.at(black_box(visit.path));
        // All of it is made, parameters included, though nobody may read them.
        black_box(&outcome);
        if let Some(route) = C::value(&outcome) {
            tally += Tally { found: 1, routes: route as u64, read: R::read(&outcome, visit.names) };
        }
    }
    black_box(tally)
}
