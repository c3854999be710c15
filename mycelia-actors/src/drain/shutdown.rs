//! The one drain of a whole runtime, and those who wait for its result.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, timeout};

use super::{Drain, Limit};
use crate::current;
use crate::error::{CutOff, ShutdownError};
use crate::registry::Phase;
use crate::shared::Shared;

/// A shutdown that has begun.
pub(crate) struct Shutdown {
    limit: Limit,
    /// What was cut off, once it is over.
    result: watch::Receiver<Option<Arc<Vec<CutOff>>>>,
}

/// Begins the shutdown of a runtime, or joins the one that has begun, and waits for its result.
pub(crate) async fn shutdown(runtime: &Arc<Shared>, within: Duration) -> Result<(), ShutdownError> {
    if let Some(name) = current::with_origin(|origin| {
        origin.filter(|origin| Arc::ptr_eq(&origin.runtime, runtime)).map(|origin| origin.name.clone())
    }) {
        consume_budget().await;
        return Err(ShutdownError { awaited_in: Some(name), ..ShutdownError::new(within) });
    }
    let (shutdown, began) = join(runtime, within);
    let mut result = shutdown.result.clone();
    let cut_off = match result.wait_for(Option::is_some).await {
        Ok(result) => result.as_deref().cloned().unwrap_or_default(),
        // The tokio that looked after it has gone.
        Err(_) => Vec::new(),
    };
    let cut_off = if began { cut_off } else { still_left(runtime, cut_off, within).await };
    let mut error = ShutdownError::new(shutdown.limit.timeout());
    let names = |which: fn(&CutOff) -> bool| {
        cut_off.iter().filter(|one| which(one)).map(|one| one.subsystem.clone()).collect()
    };
    error.killed = names(|one| one.is_killed);
    error.left = names(|one| one.is_left);
    if error.left.is_empty() {
        let left = runtime.latest_first();
        error.left = left.iter().map(|one| one.name.clone()).collect();
    }
    if cut_off.is_empty() && error.left.is_empty() {
        return Ok(());
    }
    error.cut_off = cut_off;
    Err(error)
}

/// The shutdown of this runtime, with no more time than this from now on; and whether it was begun by this call.
fn join(runtime: &Arc<Shared>, within: Duration) -> (Arc<Shutdown>, bool) {
    let mut current = runtime.drains.shutdown.lock();
    if let Some(shutdown) = &*current {
        let shutdown = Arc::clone(shutdown);
        drop(current);
        shutdown.limit.shorten(Instant::now(), within);
        return (shutdown, false);
    }
    let limit = Limit::new(Some(within));
    let (publish, result) = watch::channel(None);
    let shutdown = Arc::new(Shutdown { limit: limit.clone(), result });
    *current = Some(Arc::clone(&shutdown));
    drop(current);
    let part = {
        let mut registry = runtime.registry.lock();
        registry.phase = Phase::Draining;
        registry.part(None, false)
    };
    runtime.begin_closing();
    part.iter().for_each(|one| one.close_to_outside());
    let drain = Drain::of_all(runtime, limit);
    let shared = Arc::clone(runtime);
    let run = async move {
        let cut_off = drain.run().await;
        tell_of_slots_out(&shared);
        publish.send_replace(Some(Arc::new(cut_off)));
    };
    // The tokio of the caller, who waits for it.
    tokio::spawn(run);
    (shutdown, true)
}

/// In debug builds: which messages and replies are still held somewhere, by code that is no subsystem's.
fn tell_of_slots_out(runtime: &Shared) {
    let mut counts = BTreeMap::<_, usize>::new();
    for out in runtime.slots.out() {
        *counts.entry(out.label.unwrap_or_default()).or_default() += 1;
    }
    for (message_type, slots) in counts {
        tracing::warn!(message_type, slots, "still out after the shutdown");
    }
}

/// Of what an earlier call has left behind, that which is still there after this time.
async fn still_left(runtime: &Shared, mut cut_off: Vec<CutOff>, within: Duration) -> Vec<CutOff> {
    let left = runtime.latest_first();
    let ended = async {
        for one in &left {
            one.life.ended().await;
        }
    };
    let _ = timeout(within, ended).await;
    for one in cut_off.iter_mut().filter(|one| one.is_left) {
        one.is_left = runtime.latest_first().iter().any(|other| other.name == one.subsystem);
        one.is_killed = !one.is_left;
    }
    cut_off
}
