//! Figures of subsystems are code of the user: they may look at the metrics, which run them under no lock.

use std::cell::Cell;
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use mycelia_actors::prelude::*;
use mycelia_actors::{Figure, Figures};
use mycelia_metrics::Metrics;

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

struct Looks(Arc<OnceLock<Metrics>>);

impl Drop for Looks {
    fn drop(&mut self) {
        self.0.get().map(Metrics::snapshot);
    }
}

impl Figures for Looks {
    fn figures(&self) -> Vec<Figure> {
        // Once on a stack: a snapshot asks the figures again.
        if !INSIDE.replace(true) {
            self.0.get().map(Metrics::snapshot);
            INSIDE.set(false);
        }
        vec![Figure::gauge("looks", 1.0)]
    }
}

struct Desk(Arc<OnceLock<Metrics>>);

impl Subsystem for Desk {
    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        cx.show(Arc::new(Looks(Arc::clone(&self.0))));
        Ok(())
    }
}

#[test]
fn figures_may_look_at_the_metrics() {
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio.block_on(async {
            let (runtime, home) = (Runtime::new(), Arc::new(OnceLock::new()));
            let metrics = Metrics::of(&runtime).unwrap();
            home.get_or_init(|| metrics.clone());
            let desk = runtime.spawn("desk", Desk(home)).unwrap();
            desk.started().await.unwrap();
            drop((metrics.snapshot(), metrics.snapshot()));
            desk.stop();
            desk.ended().await;
            drop(desk);
            drop((metrics.snapshot(), metrics.snapshot()));
        });
        done.send(()).unwrap();
    });
    is_done.recv_timeout(Duration::from_secs(60)).expect("figures run under a lock, or failed");
}
