//! Work that goes on in subsystems which are spawned meanwhile: a drain is not over before its end.
#![cfg(not(any(mycelia_loom, miri)))]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use mycelia_actors::prelude::*;

/// Passes its work on to one that it spawns.
struct Hop(Arc<AtomicU32>);
impl Subsystem for Hop {}

/// As roots of a runtime.
struct Roots(u32, Weak<Runtime>);
impl Handler<Roots> for Hop {
    type Reply = ();
    async fn handle(&mut self, Roots(left, runtime): Roots, _: &mut Context<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        if left > 0 {
            let next = runtime.upgrade().unwrap().spawn_unnamed(Hop(Arc::clone(&self.0))).unwrap();
            next.tell(Roots(left - 1, runtime)).unwrap();
        }
    }
}

/// Each as a child of the one before.
struct Children(u32);
impl Handler<Children> for Hop {
    type Reply = ();
    async fn handle(&mut self, Children(left): Children, cx: &mut Context<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        if left > 0 {
            cx.spawn(Hop(Arc::clone(&self.0))).unwrap().tell(Children(left - 1)).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roots_in_a_shutdown() {
    let (runtime, hops) = (Arc::new(Runtime::new()), Arc::default());
    let first = runtime.spawn_unnamed(Hop(Arc::clone(&hops))).unwrap();
    first.tell(Roots(5000, Arc::downgrade(&runtime))).unwrap();
    runtime.shutdown().await.unwrap();
    assert_eq!(hops.load(Ordering::SeqCst), 5001);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn children_of_children_in_a_stop() {
    let runtime = Runtime::new();
    for _ in 0..20 {
        let hops = Arc::default();
        let first = runtime.spawn_unnamed(Hop(Arc::clone(&hops))).unwrap();
        first.tell(Children(200)).unwrap();
        first.stop();
        first.ended().await;
        assert_eq!(hops.load(Ordering::SeqCst), 201);
    }
}
