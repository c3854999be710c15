//! Which subsystems there are, and who spawned whom.

use std::any::TypeId;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;

use mycelia_core::sync::atomic::Ordering;
use slab::Slab;

use crate::actor::Actor;
use crate::ask_stats::AskStats;
use crate::ledger::Stats;
use crate::side_task::SideTaskStats;

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
    /// A number for each type of subsystem.
    kinds: HashMap<TypeId, u32, FixedState>,
    /// By place, for the few that have any.
    stop_settings: HashMap<u32, StopSettings, FixedState>,
    /// Of the runtime as a whole.
    pub(crate) phase: Phase,
    /// In a shutdown: those that end last are closed to outside now, too.
    is_last: bool,
    /// How many were ever added.
    pub(crate) added: u64,
    /// No subsystem is at this place or above: an upper bound.
    top: usize,
    /// Steps that may be taken to lower it: two for each subsystem that has ended.
    steps: usize,
    /// What those have done that have ended.
    pub(crate) ended: (Stats, AskStats, SideTaskStats),
}

struct Registered {
    actor: Arc<Actor>,
    /// Rises with every spawn: who is the latest.
    id: u64,
    parent: Option<Arc<Actor>>,
    kind: u32,
    /// Of a drain that this is the root of.
    phase: Phase,
    /// A task looks after that drain.
    is_coordinated: bool,
    ends_last: bool,
}

/// How far a drain is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// There is none.
    #[default]
    Open,
    /// What was accepted is being handled.
    Draining,
    /// The subsystems end: none is spawned any more.
    Ending,
}

/// What was said at the spawn of a subsystem about its stop.
#[derive(Clone, Default)]
pub(crate) struct StopSettings {
    pub(crate) timeout: Option<Duration>,
    /// Those that must not end before it.
    pub(crate) needs: Vec<Arc<Actor>>,
}

/// A subsystem that is to be added.
pub(crate) struct Newcomer<'a> {
    pub(crate) actor: &'a Arc<Actor>,
    pub(crate) id: u64,
    pub(crate) parent: Option<&'a Arc<Actor>>,
    pub(crate) type_id: TypeId,
    pub(crate) ends_last: bool,
    pub(crate) stop: StopSettings,
}

/// Why no subsystem may be added.
pub(crate) enum NoPlace {
    ShutDown,
    /// This one is ending, and the newcomer would be below it.
    Ending(Arc<Actor>),
}

impl Registry {
    pub(crate) fn len(&self) -> usize {
        self.by_place.len()
    }

    /// Whether a subsystem may be added below this parent, by code of a subsystem of this runtime (or of none): `true` if it is closed
    /// to outside from the start.
    pub(crate) fn may_add(&self, parent: Option<&Arc<Actor>>, from_inside: bool) -> Result<bool, NoPlace> {
        match self.phase {
            Phase::Ending => return Err(NoPlace::ShutDown),
            Phase::Draining if !from_inside => return Err(NoPlace::ShutDown),
            Phase::Open | Phase::Draining => {}
        }
        let mut draining = self.phase == Phase::Draining;
        let mut ends_last = false;
        // Its first `started` runs to its end whenever it was told to end, so it may spawn what it always does.
        if let Some(parent) = parent.filter(|parent| parent.has_to_end() && parent.life.has_started()) {
            return Err(NoPlace::Ending(Arc::clone(parent)));
        }
        for above in self.and_above(parent.map(|parent| &**parent)) {
            match above.phase {
                Phase::Ending => return Err(NoPlace::Ending(Arc::clone(&above.actor))),
                Phase::Draining => draining = true,
                Phase::Open => {}
            }
            ends_last |= above.ends_last;
        }
        Ok(draining && (self.is_last || !ends_last))
    }

    /// Adds a subsystem, which has no place yet. (If its parent has ended meanwhile, it has none.)
    pub(crate) fn add(&mut self, newcomer: Newcomer<'_>) {
        let Newcomer { actor, id, parent, type_id, ends_last, stop } = newcomer;
        let parent = parent.filter(|parent| !parent.is_gone()).cloned();
        let above = parent.as_ref().map(|parent| {
            // Relaxed: read by the parent's task, which spawns children, or under this lock.
            parent.has_children.store(true, Ordering::Relaxed);
            place(parent)
        });
        let next = self.kinds.len() as u32;
        let kind = *self.kinds.entry(type_id).or_insert(next);
        let registered = Registered {
            actor: Arc::clone(actor),
            id,
            parent,
            kind,
            phase: Phase::Open,
            is_coordinated: false,
            ends_last,
        };
        let place = self.by_place.insert(registered);
        self.added += 1;
        self.top = self.top.max(place + 1);
        let place = place as u32;
        // Relaxed: read under the same lock, or as a hint.
        actor.place.store(place, Ordering::Relaxed);
        self.children.extend(above.map(|above| ((above, id), place)));
        if stop.timeout.is_some() || !stop.needs.is_empty() {
            self.stop_settings.insert(place, stop);
        }
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
        self.ended.2 += actor.ledger.side_tasks();
        let stop = self.stop_settings.remove(&own);
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
        let (_parent, _actor) = (registered.parent, registered.actor);
        Some(Removed { orphans, gives_back, _parent, _actor, _stop: stop })
    }

    /// Gives back what many have needed that have ended: the places above the last that is in use, once they are most. (One that goes on
    /// there keeps all below it.)
    fn gives_back(&mut self) -> bool {
        const LARGE: usize = 64;
        self.steps = (self.steps + 2).min(2 * self.top);
        while self.steps > 0 && self.top > 0 && !self.by_place.contains(self.top - 1) {
            self.top -= 1;
            self.steps -= 1;
        }
        let gives_back = self.by_place.capacity().saturating_sub(self.top) > self.top.max(LARGE);
        if gives_back {
            self.by_place.shrink_to_fit();
            self.stop_settings.shrink_to_fit();
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

    /// This one, who has spawned it, and so on.
    fn and_above(&self, actor: Option<&Actor>) -> impl Iterator<Item = &Registered> {
        let at = |actor: &Actor| self.by_place.get(place(actor) as usize);
        std::iter::successors(actor.and_then(at), move |one| one.parent.as_deref().and_then(at))
    }

    /// Makes this one the root of a drain. True if it was none.
    pub(crate) fn begin_drain(&mut self, root: &Actor) -> bool {
        let root = self.by_place.get_mut(place(root) as usize).filter(|root| root.phase == Phase::Open);
        root.map(|root| root.phase = Phase::Draining).is_some()
    }

    /// How far the drain is that this one is the root of, and whether a task looks after it.
    pub(crate) fn drain_of(&self, root: &Actor) -> (Phase, bool) {
        let root = self.by_place.get(place(root) as usize);
        root.map_or((Phase::Open, false), |root| (root.phase, root.is_coordinated))
    }

    /// Says that a task looks after the drain of this one. False if one does already.
    pub(crate) fn coordinate(&mut self, root: &Actor) -> bool {
        let root = self.by_place.get_mut(place(root) as usize).filter(|root| !root.is_coordinated);
        root.map(|root| root.is_coordinated = true).is_some()
    }

    /// No task looks after the drain of this one any more. False if it has come to its third step.
    pub(crate) fn leave(&mut self, root: &Actor) -> bool {
        let root = self.by_place.get_mut(place(root) as usize).filter(|root| root.phase == Phase::Draining);
        root.map(|root| root.is_coordinated = false).is_some()
    }

    /// Those that end last are closed to outside from now on.
    pub(crate) fn begin_last(&mut self) -> Vec<Arc<Actor>> {
        self.is_last = true;
        self.part(None, true)
    }

    /// No more subsystems below this one, or anywhere.
    pub(crate) fn end_drain(&mut self, root: Option<&Actor>) {
        let root = root.map(|root| self.by_place.get_mut(place(root) as usize).map(|root| &mut root.phase));
        *root.unwrap_or(Some(&mut self.phase)).unwrap_or(&mut Phase::Open) = Phase::Ending;
    }

    /// True if a message from this one is accepted by another that is closed to outside: both are in the part of the forest that is
    /// being drained.
    pub(crate) fn is_inside(&self, target: &Actor, sender: &Arc<Actor>) -> bool {
        match self.and_above(Some(target)).find(|one| one.phase != Phase::Open) {
            Some(root) => Arc::ptr_eq(&root.actor, sender) || self.is_below(sender, &root.actor),
            None => self.phase != Phase::Open,
        }
    }

    /// This one and all below it; or all there are. With those that end last, and all below them, or without.
    pub(crate) fn part(&self, root: Option<&Arc<Actor>>, last: bool) -> Vec<Arc<Actor>> {
        let Some(root) = root else {
            let is_last = |one: &Registered| self.and_above(Some(&one.actor)).any(|one| one.ends_last);
            let all = self.by_place.iter().map(|(_, one)| one).filter(|one| last || !is_last(one));
            return all.map(|one| Arc::clone(&one.actor)).collect();
        };
        let mut part = vec![Arc::clone(root)];
        let mut next = 0;
        while let Some(parent) = part.get(next).cloned() {
            part.extend(self.children(&parent));
            next += 1;
        }
        part
    }

    /// True if this one, or one above it, ends last.
    pub(crate) fn ends_last(&self, actor: &Actor) -> bool {
        self.and_above(Some(actor)).any(|one| one.ends_last)
    }

    /// Those that the runtime itself has spawned: the ones that end last, or all others.
    pub(crate) fn roots(&self, last: bool) -> Vec<Arc<Actor>> {
        let roots = self.by_place.iter().map(|(_, one)| one).filter(|one| one.parent.is_none());
        roots.filter(|one| one.ends_last == last).map(|one| Arc::clone(&one.actor)).collect()
    }

    /// Siblings by their types, in the order in which they end: the type whose first one was spawned last goes first.
    pub(crate) fn in_order_of_end(&self, siblings: &[Arc<Actor>]) -> Vec<Vec<Arc<Actor>>> {
        let mut types: HashMap<u32, (u64, Vec<Arc<Actor>>), FixedState> = HashMap::default();
        for sibling in siblings {
            let Some(one) = self.by_place.get(place(sibling) as usize) else { continue };
            let of_type = types.entry(one.kind).or_insert_with(|| (u64::MAX, Vec::new()));
            of_type.0 = of_type.0.min(one.id);
            of_type.1.push(Arc::clone(sibling));
        }
        let mut types: Vec<_> = types.into_values().collect();
        types.sort_unstable_by_key(|(first, _)| Reverse(*first));
        types.into_iter().map(|(_, all)| all).collect()
    }

    /// Who needs whom: the first of each pair must end before the second.
    pub(crate) fn needs(&self) -> Vec<(Arc<Actor>, Arc<Actor>)> {
        let pairs = self.stop_settings.iter().filter_map(|(&place, stop)| Some((self.at(place)?, stop)));
        pairs
            .flat_map(|(who, stop)| stop.needs.iter().map(move |whom| (Arc::clone(&who), Arc::clone(whom))))
            .collect()
    }

    /// How long the stop of this one may take, with all below it.
    pub(crate) fn stop_timeout(&self, actor: &Actor) -> Option<Duration> {
        self.stop_settings.get(&place(actor))?.timeout
    }

    /// All that have a limit of their own.
    pub(crate) fn stop_timeouts(&self) -> Vec<(Arc<Actor>, Duration)> {
        let all = self.stop_settings.iter();
        all.filter_map(|(&place, stop)| Some((self.at(place)?, stop.timeout?))).collect()
    }

    /// True if this one has spawned any that have not ended.
    pub(crate) fn has_children(&self, actor: &Actor) -> bool {
        let own = place(actor);
        !self.children.is_empty() && self.children.range((own, 0)..=(own, u64::MAX)).next().is_some()
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
            return children
                .filter(|((_, id), _)| wanted(*id))
                .filter_map(|(_, &place)| self.at(place))
                .collect();
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
    _stop: Option<StopSettings>,
}

pub(crate) fn place(actor: &Actor) -> u32 {
    // Relaxed: written under the lock that the registry is behind.
    actor.place.load(Ordering::Relaxed)
}
