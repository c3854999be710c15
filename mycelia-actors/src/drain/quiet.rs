//! Whether there is anything left to do in a part of the forest.
//!
//! Nothing is queued, in line, in hand, promised or piped. Handlers run meanwhile, so one look at each subsystem after another proves
//! nothing: a message could pass from one not yet looked at to one already seen. So all that has *settled* is read first, and then
//! all that has *begun*. If both are equal, everything that had begun by the moment between the two had settled before it
//! (Mattern, *Algorithms for distributed termination detection*, 1987: the four-counter method in shared memory).
//!
//! An end is a message, too: to those who watch. So the ends of all that are not in the registry any more must be told before the looks,
//! and none may end between them.

use std::sync::Arc;

use mycelia_core::seeded::bug;

use crate::actor::Actor;
use crate::shared::Shared;

/// True if nothing is left to do. `witness` is one that had something to do when this was asked before, and is looked at first.
pub(crate) fn is_quiet(
    runtime: &Shared,
    root: Option<&Arc<Actor>>,
    last: bool,
    witness: &mut Option<Arc<Actor>>,
) -> bool {
    if witness.as_ref().is_some_and(|busy| is_busy(busy)) {
        return false;
    }
    loop {
        let (part, added) = {
            let registry = runtime.registry.lock();
            (registry.part(root, last), registry.added)
        };
        if !runtime.drains.all_are_told() {
            return false;
        }
        let busy = first_busy(&part, root);
        *witness = busy.map(|place| Arc::clone(&part[place]));
        if busy.is_some() {
            return false;
        }
        // A spawn between the looks may have been missed by both, with all that the newcomer was told.
        if runtime.registry.lock().added == added || bug("spawns between the looks are missed") {
            return true;
        }
    }
}

/// The first in which there is something left to do, or that ends meanwhile.
pub(crate) fn first_busy(part: &[Arc<Actor>], root: Option<&Arc<Actor>>) -> Option<usize> {
    let settled: Count = |one| one.ledger.settled(&one.queue.stats());
    let begun: Count = |one| one.ledger.begun_in_all(&one.queue.stats());
    let [first, then] = if bug("what has begun is read first") { [begun, settled] } else { [settled, begun] };
    // The root is in its part, also when it has ended.
    let ends = |one: &Arc<Actor>| one.is_gone() && !root.is_some_and(|root| Arc::ptr_eq(root, one));
    let mut before = Vec::with_capacity(part.len());
    for (place, one) in part.iter().enumerate() {
        if is_busy(one) || ends(one) {
            return Some(place);
        }
        before.push(first(one));
    }
    let differs = |one: &Arc<Actor>, before: u64| {
        ends(one) || !one.is_gone() && (then(one) != before || is_busy(one) || first(one) != before)
    };
    let busy = part.iter().zip(before).position(|(one, before)| differs(one, before));
    // Only then, for it looks at all side tasks.
    busy.or_else(|| part.iter().position(|one| !one.is_gone() && one.ledger.has_open()))
}

type Count = fn(&Actor) -> u64;

/// True if its loop has something to do, or a sender waits for capacity. One that has ended has not.
fn is_busy(one: &Actor) -> bool {
    !one.queue.is_idle() && !one.is_gone()
}
