//! A subsystem on a thread of its own.

use std::future::pending;
use std::sync::Arc;
use std::thread;

use tokio::runtime::Handle;

use crate::actor::{Actor, Request};
use crate::error::SpawnError;

/// Runs the task of a subsystem on a new thread, until it ends or the tokio runtime goes away.
pub(crate) fn start(
    tokio: &Handle,
    actor: &Arc<Actor>,
    task: impl Future<Output = ()> + Send + 'static,
) -> Result<(), SpawnError> {
    // Tokio does not know of the thread; but it drops its tasks when it goes.
    let lives = Lives(Arc::clone(actor));
    let watch = tokio.spawn(async move {
        let _lives = lives;
        pending::<()>().await;
    });
    let handle = tokio.clone();
    let run = move || {
        handle.block_on(task);
        watch.abort();
    };
    let started = thread::Builder::new().name(actor.name.to_string()).spawn(run);
    started.map(drop).map_err(|error| SpawnError::NoThread(error.to_string()))
}

/// Kills the subsystem when it is dropped.
struct Lives(Arc<Actor>);

impl Drop for Lives {
    fn drop(&mut self) {
        self.0.request(Request::Kill);
    }
}
