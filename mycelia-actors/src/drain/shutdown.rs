//! The one drain of a whole runtime, and those who wait for its result.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use mycelia_core::sync::Mutex;
use tokio::runtime::Handle;
use tokio::task::coop::consume_budget;
use tokio::time::Instant;

use super::Drain;
use super::cut_offs::CutOffs;
use super::limit::Limit;
use crate::bell::Bell;
use crate::current;
use crate::error::{CutOff, ShutdownError};
use crate::registry::Phase;
use crate::shared::{Shared, has_timers};

/// A shutdown that has begun.
pub(crate) struct Shutdown {
    limit: Limit,
    carers: Mutex<Carers>,
    /// What was cut off, once it is over.
    result: OnceLock<Vec<CutOff>>,
    over: Bell,
}

/// Those who look after a shutdown, each on a tokio: that of each caller, and the one where the subsystems are. A tokio may go away, or be at
/// rest. All they do may be done twice, and it is over when the first comes to the end.
#[derive(Default)]
struct Carers {
    tokios: Vec<tokio::runtime::Id>,
    /// What they have cut off so far. It is theirs: subsystems are in it, and those keep the runtime alive.
    cut_off: Weak<Mutex<CutOffs>>,
}

impl Carers {
    /// Another one, unless there is one on this tokio: what they have cut off.
    fn add(&mut self, tokio: &Handle) -> Option<Arc<Mutex<CutOffs>>> {
        if self.tokios.contains(&tokio.id()) {
            return None;
        }
        self.tokios.push(tokio.id());
        let cut_off = self.cut_off.upgrade().unwrap_or_default();
        self.cut_off = Arc::downgrade(&cut_off);
        Some(cut_off)
    }
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
    let new = || Shutdown {
        limit: Limit::new(Some(within)),
        carers: Mutex::default(),
        result: OnceLock::new(),
        over: Bell::default(),
    };
    let shutdown = Arc::clone(runtime.drains.shutdown.lock().get_or_insert_with(|| Arc::new(new())));
    shutdown.limit.shorten(Instant::now(), within);
    // Each caller does all of it: the one that was first may not have come so far yet.
    let part = {
        let mut registry = runtime.registry.lock();
        if registry.phase == Phase::Open {
            registry.phase = Phase::Draining;
        }
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
        if shutdown.result.get().is_some() {
            return;
        }
        let added = shutdown.carers.lock().add(&tokio);
        let Some(cut_off) = added else { continue };
        let (shutdown, runtime) = (Arc::clone(shutdown), Arc::clone(runtime));
        tokio.spawn(async move {
            let drain = Drain::of_all(&runtime, shutdown.limit.clone(), cut_off);
            let cut_off = drain.run().await;
            shutdown.is_over(&runtime, cut_off);
        });
    }
    if shutdown.carers.lock().tokios.is_empty() {
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
