//! The one drain of a whole runtime, and those who wait for its result.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mycelia_core::sync::Mutex;
use tokio::runtime::Handle;
use tokio::task::coop::consume_budget;
use tokio::time::Instant;

use super::Drain;
use super::limit::Limit;
use crate::bell::Bell;
use crate::current;
use crate::error::{CutOff, ShutdownError};
use crate::registry::Phase;
use crate::shared::{Shared, has_timers};

/// A shutdown that has begun.
pub(crate) struct Shutdown {
    limit: Limit,
    /// The tokios that look after it: that of each caller, and the one where the subsystems are. A tokio may go away, or be at rest. All
    /// they do may be done twice, and the first to come to the end says what was cut off.
    tokios: Mutex<Vec<tokio::runtime::Id>>,
    /// What was cut off, once it is over.
    result: OnceLock<Vec<CutOff>>,
    over: Bell,
}

impl Shutdown {
    /// One of those who look after it has come to the end.
    fn is_over(&self, runtime: &Shared, cut_off: Vec<CutOff>) {
        if self.result.set(cut_off).is_ok() {
            tell_of_slots_out(runtime);
            self.over.ring();
        }
    }
}

/// Begins the shutdown of a runtime, or joins the one that has begun, and waits for its result.
pub(crate) async fn shutdown(runtime: &Arc<Shared>, within: Duration) -> Result<(), ShutdownError> {
    if let Some(name) = current::with_origin(|origin| {
        origin.filter(|origin| Arc::ptr_eq(&origin.runtime, runtime)).map(|origin| origin.name.clone())
    }) {
        consume_budget().await;
        return Err(ShutdownError { awaited_in: Some(name), ..ShutdownError::new(within) });
    }
    let here = Handle::current();
    let shutdown = join(runtime, within);
    look_after(&shutdown, runtime, here);
    shutdown.over.heard(|| shutdown.result.get().is_some()).await;
    let mut cut_off = shutdown.result.get().cloned().unwrap_or_default();
    for one in cut_off.iter_mut().filter(|one| one.is_left) {
        one.is_left = runtime.latest_first().iter().any(|other| other.name == one.subsystem);
        one.is_killed = !one.is_left;
    }
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

/// The shutdown of this runtime, with no more time than this from now on.
fn join(runtime: &Arc<Shared>, within: Duration) -> Arc<Shutdown> {
    let mut current = runtime.drains.shutdown.lock();
    if let Some(shutdown) = &*current {
        let shutdown = Arc::clone(shutdown);
        drop(current);
        shutdown.limit.shorten(Instant::now(), within);
        return shutdown;
    }
    let shutdown = Arc::new(Shutdown {
        limit: Limit::new(Some(within)),
        tokios: Mutex::default(),
        result: OnceLock::new(),
        over: Bell::default(),
    });
    *current = Some(Arc::clone(&shutdown));
    drop(current);
    let part = {
        let mut registry = runtime.registry.lock();
        registry.phase = Phase::Draining;
        registry.part(None, false)
    };
    runtime.begin_closing();
    part.iter().for_each(|one| one.close_to_outside());
    shutdown
}

/// Has a shutdown looked after on the tokio of the caller and where the subsystems are.
fn look_after(shutdown: &Arc<Shutdown>, runtime: &Arc<Shared>, here: Handle) {
    // Of the caller's it is not known whether it has timers.
    let here = Some(here).filter(|here| runtime.has_subsystems_on(here) || has_timers(here));
    for tokio in here.into_iter().chain(runtime.home()) {
        let mut tokios = shutdown.tokios.lock();
        if shutdown.result.get().is_some() || tokios.contains(&tokio.id()) {
            continue;
        }
        tokios.push(tokio.id());
        drop(tokios);
        let (shutdown, runtime) = (Arc::clone(shutdown), Arc::clone(runtime));
        tokio.spawn(async move {
            let cut_off = Drain::of_all(&runtime, shutdown.limit.clone()).run().await;
            shutdown.is_over(&runtime, cut_off);
        });
    }
    if shutdown.tokios.lock().is_empty() {
        // Without timers there are no subsystems.
        runtime.close_topics();
        shutdown.is_over(runtime, Vec::new());
    }
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
