//! Whether there is anything left to do in a part of the forest.
//!
//! Nothing is queued, in line, in hand, promised or piped. Handlers run meanwhile, so one look at each subsystem after another proves
//! nothing: a message could pass from one not yet looked at to one already seen. So all that has *settled* is read first, and then
//! all that has *begun*. If both are equal, everything that had begun by the moment between the two had settled before it
//! (Mattern, *Algorithms for distributed termination detection*, 1987: the four-counter method in shared memory).

use std::sync::Arc;

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
    let part = runtime.registry.lock().part(root, last);
    let busy = first_busy(&part);
    *witness = busy.map(|place| Arc::clone(&part[place]));
    busy.is_none()
}

fn first_busy(part: &[Arc<Actor>]) -> Option<usize> {
    let mut settled = Vec::with_capacity(part.len());
    for (place, one) in part.iter().enumerate() {
        if is_busy(one) {
            return Some(place);
        }
        settled.push(one.ledger.settled(&one.queue.stats()));
    }
    let begun = |one: &Actor| one.ledger.begun_in_all(&one.queue.stats());
    let differs = |one: &Actor, settled: u64| !one.is_gone() && (begun(one) != settled || is_busy(one));
    part.iter().zip(settled).position(|(one, settled)| differs(one, settled))
}

/// True if its loop has something to do, or somebody waits for capacity. One that has ended has not.
fn is_busy(one: &Actor) -> bool {
    !one.queue.is_idle() && !one.is_gone()
}
