//! Which subsystems there are, and who spawned whom.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use mycelia_core::sync::atomic::Ordering;
use slab::Slab;

use crate::actor::Actor;
use crate::ask_stats::AskStats;
use crate::ledger::Stats;

/// The subsystems of a runtime that have not ended, as a forest.
///
/// ```text
///  by_place   ┌───┬───┬───┬───┬───┐
///             │ a │ b │ c │   │ d │     each with its number (who is the latest) and its parent
///             └───┴───┴───┴───┴───┘
///  children   (place of a, number of c) -> place of c        made by those who have a parent only
///             (place of a, number of d) -> place of d
/// ```
#[derive(Default)]
pub(crate) struct Registry {
    by_place: Slab<Registered>,
    children: BTreeMap<(u32, u64), u32>,
    /// How many have ended since it last gave memory back.
    removed: usize,
    /// What those have done that have ended.
    pub(crate) ended: (Stats, AskStats),
}

struct Registered {
    actor: Arc<Actor>,
    /// Rises with every spawn: who is the latest.
    id: u64,
    parent: Option<Arc<Actor>>,
}

impl Registry {
    pub(crate) fn len(&self) -> usize {
        self.by_place.len()
    }

    /// Adds a subsystem, which has no place yet. (If its parent has ended meanwhile, it has none.)
    pub(crate) fn add(&mut self, actor: &Arc<Actor>, id: u64, parent: Option<&Arc<Actor>>) {
        let parent = parent.filter(|parent| !parent.is_gone()).cloned();
        let above = parent.as_ref().map(|parent| {
            // Relaxed: read by the parent's task, which spawns children, or under this lock.
            parent.has_children.store(true, Ordering::Relaxed);
            place(parent)
        });
        let place = self.by_place.insert(Registered { actor: Arc::clone(actor), id, parent }) as u32;
        // Relaxed: read under the same lock, or as a hint.
        actor.place.store(place, Ordering::Relaxed);
        self.children.extend(above.map(|above| ((above, id), place)));
    }

    /// Takes a subsystem out, once, and adds up what it has done. What comes back is to be dropped outside the lock. Its children have
    /// no parent from now on.
    pub(crate) fn remove(&mut self, actor: &Actor, stats: Stats) -> Option<Removed> {
        // The place may be somebody else's afterwards. Relaxed: as in `add`.
        let own = actor.place.swap(u32::MAX, Ordering::Relaxed);
        let registered = self.by_place.try_remove(own as usize)?;
        if let Some(parent) = &registered.parent {
            self.children.remove(&(place(parent), registered.id));
        }
        self.ended.0 += stats;
        self.ended.1 += actor.ledger.take_asks();
        let children: Vec<_> =
            self.children.range((own, 0)..=(own, u64::MAX)).map(|(&key, &place)| (key, place)).collect();
        let orphans = children.into_iter().filter_map(|(key, place)| {
            self.children.remove(&key);
            let child = self.by_place.get_mut(place as usize)?;
            child.parent = None;
            Some(Arc::clone(&child.actor))
        });
        let orphans = orphans.collect();
        let gives_back = self.gives_back();
        Some(Removed { orphans, gives_back, _parent: registered.parent, _actor: registered.actor })
    }

    /// Gives back what many have needed that have ended. It takes a step for each place, so not before half as many have ended.
    fn gives_back(&mut self) -> bool {
        const LARGE: usize = 64;
        self.removed += 1;
        let places = self.by_place.capacity();
        let gives_back = places > LARGE && self.by_place.len() < places / 4 && self.removed >= places / 2;
        if gives_back {
            self.removed = 0;
            self.by_place.shrink_to_fit();
        }
        gives_back
    }

    /// The subsystem that is there at the moment.
    pub(crate) fn at(&self, place: u32) -> Option<Arc<Actor>> {
        self.by_place.get(place as usize).map(|registered| Arc::clone(&registered.actor))
    }

    /// All of them, with their numbers and those of their parents.
    pub(crate) fn all(&self) -> Vec<(u64, Option<u64>, Arc<Actor>)> {
        let number = |parent: &Arc<Actor>| Some(self.by_place.get(place(parent) as usize)?.id);
        let all = self.by_place.iter();
        all.map(|(_, one)| (one.id, one.parent.as_ref().and_then(number), Arc::clone(&one.actor))).collect()
    }

    /// All of them, the latest first.
    pub(crate) fn latest_first(&self) -> Vec<Arc<Actor>> {
        let mut all: Vec<_> = self.by_place.iter().map(|(_, one)| (one.id, &one.actor)).collect();
        all.sort_unstable_by_key(|(id, _)| Reverse(*id));
        all.into_iter().map(|(_, actor)| Arc::clone(actor)).collect()
    }

    /// Who has spawned this one, unless that has ended.
    pub(crate) fn parent(&self, actor: &Actor) -> Option<Arc<Actor>> {
        self.by_place.get(place(actor) as usize)?.parent.clone()
    }

    /// True if this one was spawned by the other, or by one that was, and so on.
    pub(crate) fn is_below(&self, actor: &Actor, other: &Arc<Actor>) -> bool {
        let above = |actor| self.by_place.get(place(actor) as usize)?.parent.as_ref();
        std::iter::successors(above(actor), |parent| above(parent)).any(|parent| Arc::ptr_eq(parent, other))
    }

    /// Those that this one has spawned, the latest first.
    pub(crate) fn children(&self, actor: &Actor) -> Vec<Arc<Actor>> {
        if self.children.is_empty() {
            return Vec::new();
        }
        let own = place(actor);
        let children = self.children.range((own, 0)..=(own, u64::MAX)).rev();
        children.filter_map(|(_, &place)| self.at(place)).collect()
    }

    /// The others that the same parent has spawned (or the runtime itself), in the order of their spawns; if asked so, only those
    /// after this one.
    pub(crate) fn siblings(&self, actor: &Actor, only_later: bool) -> Vec<Arc<Actor>> {
        let Some(own) = self.by_place.get(place(actor) as usize) else { return Vec::new() };
        let wanted = |id: u64| if only_later { id > own.id } else { id != own.id };
        if let Some(parent) = &own.parent {
            let children = self.children.range((place(parent), 0)..=(place(parent), u64::MAX));
            return children.filter(|((_, id), _)| wanted(*id)).filter_map(|(_, &place)| self.at(place)).collect();
        }
        let roots = self.by_place.iter().map(|(_, one)| one).filter(|one| one.parent.is_none());
        let mut all: Vec<_> = roots.filter(|one| wanted(one.id)).collect();
        all.sort_unstable_by_key(|one| one.id);
        all.into_iter().map(|one| Arc::clone(&one.actor)).collect()
    }
}

/// What a subsystem that has ended leaves behind.
pub(crate) struct Removed {
    /// Its children that have not ended.
    pub(crate) orphans: Vec<Arc<Actor>>,
    /// Many have ended: it is time for others to give memory back, too.
    pub(crate) gives_back: bool,
    _parent: Option<Arc<Actor>>,
    _actor: Arc<Actor>,
}

fn place(actor: &Actor) -> u32 {
    // Relaxed: written under the lock that the registry is behind.
    actor.place.load(Ordering::Relaxed)
}
