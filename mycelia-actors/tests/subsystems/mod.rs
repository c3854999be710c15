//! Subsystems that several tests use.
#![allow(dead_code, reason = "each test uses some of it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mycelia_actors::prelude::*;
use tokio::sync::Notify;

/// Adds a number to the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Add(pub(crate) u64);

/// Asks for the list.
pub(crate) struct Total;

/// Makes the handler wait at the gate.
pub(crate) struct Wait;

/// Keeps a list, and handles nothing that came after a [`Wait`] until its gate is opened.
pub(crate) struct Gated {
    list: Vec<u64>,
    gate: Gate,
}

#[derive(Clone, Default)]
pub(crate) struct Gate {
    inner: Arc<(AtomicBool, Notify)>,
}

impl Gate {
    pub(crate) fn open(&self) {
        self.inner.0.store(true, Ordering::SeqCst);
        self.inner.1.notify_waiters();
    }

    pub(crate) async fn pass(&self) {
        let opened = self.inner.1.notified();
        if !self.inner.0.load(Ordering::SeqCst) {
            opened.await;
        }
    }

    /// Returns when the subsystem is inside its handler, waiting at the gate, with an empty mailbox.
    pub(crate) async fn wait_until_busy(&self, address: &Address<Gated>) {
        address.tell(Wait).unwrap();
        while address.stats().in_hand == 0 || address.stats().queued > 0 {
            tokio::task::yield_now().await;
        }
    }
}

impl Gated {
    pub(crate) fn new() -> (Self, Gate) {
        let gate = Gate::default();
        (Self { list: Vec::new(), gate: gate.clone() }, gate)
    }
}

impl Subsystem for Gated {}

impl Handler<Wait> for Gated {
    type Reply = ();
    async fn handle(&mut self, _: Wait, _: &mut Context<Self>) {
        self.gate.pass().await;
    }
}

impl Handler<Add> for Gated {
    type Reply = usize;
    async fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> usize {
        self.gate.pass().await;
        self.list.push(n);
        self.list.len()
    }
}

impl Handler<Total> for Gated {
    type Reply = Vec<u64>;
    async fn handle(&mut self, _: Total, _: &mut Context<Self>) -> Vec<u64> {
        self.gate.pass().await;
        self.list.clone()
    }
}

/// The ledger adds up.
#[track_caller]
pub(crate) fn accounted<S: Subsystem>(address: &Address<S>) {
    let stats = address.stats();
    assert_eq!(stats.sent, stats.accounted(), "{stats:?}");
    assert_eq!((stats.queued, stats.in_hand), (0, 0), "{stats:?}");
}
