//! A subsystem on a thread of its own.

use std::future::pending;
use std::sync::Arc;
use std::thread;

use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::actor::{Actor, Request};
use crate::clock_hold::{ClockHold, Holding};
use crate::error::SpawnError;

/// Runs the task of a subsystem on a new thread, until it ends or the tokio runtime goes away.
pub(crate) fn start(
    tokio: &Handle,
    actor: &Arc<Actor>,
    task: impl Future<Output = ()> + Send + 'static,
) -> Result<(), SpawnError> {
    // Tokio does not know of the thread; but it drops its tasks when it goes.
    let clock = ClockHold::begin(tokio);
    let lives = Lives { actor: Arc::clone(actor), clock: clock.clone() };
    // A set, for it ends with its owner: the thread, or if there is none, this.
    let mut watch = JoinSet::new();
    let watching = async move {
        let _lives = lives;
        pending::<()>().await;
    };
    watch.spawn_on(watching, tokio);
    let handle = tokio.clone();
    let run = move || {
        let _watch = watch;
        match clock {
            Some(clock) => handle.block_on(Holding::new(clock, task)),
            None => handle.block_on(task),
        }
    };
    let started = thread::Builder::new().name(actor.name.to_string()).spawn(run);
    started.map(drop).map_err(|error| SpawnError::NoThread(error.to_string()))
}

/// Kills the subsystem when it is dropped, unless that has ended.
struct Lives {
    actor: Arc<Actor>,
    clock: Option<Arc<ClockHold>>,
}

impl Drop for Lives {
    fn drop(&mut self) {
        // First: the tokio that goes away would wait for it.
        self.clock.iter().for_each(|clock| clock.end());
        if self.actor.life.exit().is_none() {
            self.actor.request(Request::Kill);
        }
    }
}
