//! A subsystem in each state of its life.

use std::time::Duration;

use mycelia_actors::prelude::*;
use serde::{Deserialize, Serialize};

use crate::subsystems::{Gate, accounted};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// Messages its mailbox holds.
pub(crate) const CAPACITY: usize = 2;

/// What `started` does.
#[derive(Clone, Copy, PartialEq)]
enum Start {
    Returns,
    WaitsAtTheGate,
    Fails,
}

/// Whose start and handlers may wait at the gate.
pub(crate) struct Node {
    gate: Gate,
    start: Start,
}

impl Subsystem for Node {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Ping>("ping");
    }

    async fn started(&mut self, _: &mut Context<Self>) -> Result<(), BoxError> {
        match self.start {
            Start::Returns => Ok(()),
            Start::WaitsAtTheGate => {
                self.gate.pass().await;
                Ok(())
            }
            Start::Fails => Err("on purpose".into()),
        }
    }
}

/// Comes back as a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ping(pub(crate) u64);
impl Handler<Ping> for Node {
    type Reply = u64;
    async fn handle(&mut self, Ping(n): Ping, _: &mut Context<Self>) -> u64 {
        n
    }
}

/// The same, with the duty to reply inside.
pub(crate) struct Query(pub(crate) ReplyTo<u64>);
impl Handler<Query> for Node {
    type Reply = ();
    async fn handle(&mut self, Query(reply): Query, _: &mut Context<Self>) {
        reply.reply(7);
    }
}

/// Waits at the gate.
struct Hold;
impl Handler<Hold> for Node {
    type Reply = ();
    async fn handle(&mut self, _: Hold, _: &mut Context<Self>) {
        self.gate.pass().await;
    }
}

struct Fail;
impl Handler<Fail> for Node {
    type Reply = ();
    async fn handle(&mut self, _: Fail, _: &mut Context<Self>) {
        panic!("on purpose");
    }
}

/// Spawns a child.
struct Adopt;
impl Handler<Adopt> for Node {
    type Reply = Address<Self>;
    async fn handle(&mut self, _: Adopt, cx: &mut Context<Self>) -> Address<Self> {
        cx.spawn(Self { gate: self.gate.clone(), start: Start::Returns }).unwrap()
    }
}

/// A subsystem in some state, and what belongs to it.
pub(crate) struct Stage {
    pub(crate) runtime: Runtime,
    pub(crate) node: Address<Node>,
    /// From before.
    pub(crate) route: Route,
    child: Option<Address<Node>>,
    gate: Gate,
}

/// Lets every task run that can.
pub(crate) async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

impl Stage {
    /// Brings a fresh subsystem into this state. One that is to be abandoned is so when the tokio runtime is dropped that runs this.
    pub(crate) async fn enter(state: &str) -> Self {
        let start = match state {
            "starting" => Start::WaitsAtTheGate,
            "start failed" => Start::Fails,
            _ => Start::Returns,
        };
        let policy = match state {
            "full, DropOldest" => OverflowPolicy::DropOldest,
            "full, DropNewest" => OverflowPolicy::DropNewest,
            _ => OverflowPolicy::Error,
        };
        let restarts = if state == "panicked" { 0 } else { 3 };
        let stage = Self::spawn(start, policy, restarts);
        settle().await;
        stage.bring_to(state).await
    }

    fn spawn(start: Start, policy: OverflowPolicy, restarts: u32) -> Self {
        let (runtime, gate) = (Runtime::new(), Gate::default());
        let factory = {
            let gate = gate.clone();
            move || Node { gate: gate.clone(), start }
        };
        let node = runtime
            .configure("node")
            .mailbox(Mailbox::bounded(CAPACITY).overflow(policy))
            .budget(1)
            .restart(Restart::one_for_one().at_most(restarts, 10 * HOUR).backoff(HOUR, HOUR))
            .spawn_with(factory)
            .unwrap();
        let route = runtime.route("node://ping").unwrap();
        Self { runtime, node, route, child: None, gate }
    }

    async fn bring_to(mut self, state: &str) -> Self {
        let node = self.node.clone();
        match state {
            "starting" | "idle" => {}
            "busy" => self.hold().await,
            "full" | "full, DropOldest" | "full, DropNewest" => {
                self.hold().await;
                self.fill();
            }
            "suspended" => node.suspend(),
            "suspended, full" => {
                node.suspend();
                settle().await;
                self.fill();
            }
            "stopping" => {
                self.hold().await;
                node.tell(Ping(0)).unwrap();
                node.stop();
            }
            "stopping now" => {
                self.hold().await;
                node.tell(Ping(0)).unwrap();
                node.stop_now();
            }
            // The first restart is at once.
            "pausing" => {
                node.tell(Fail).unwrap();
                node.tell(Fail).unwrap();
                settle().await;
                assert_eq!((node.stats().failed, node.stats().restarts), (2, 1));
            }
            "ending children" => {
                self.adopt().await;
                node.stop();
            }
            "renewing" => {
                self.adopt().await;
                node.restart();
                // Its child has five.
                tokio::time::sleep(SECOND).await;
            }
            "stopped" => node.stop(),
            "killed" => {
                self.hold().await;
                node.tell(Ping(0)).unwrap();
                node.kill();
            }
            "panicked" => {
                node.tell(Fail).unwrap();
                node.tell(Ping(0)).unwrap();
            }
            "start failed" => {}
            "abandoned" => {
                self.hold().await;
                node.tell(Ping(0)).unwrap();
            }
            unknown => panic!("no state is called {unknown}"),
        }
        settle().await;
        self
    }

    /// Makes the handler wait at the gate, with nothing behind.
    async fn hold(&self) {
        self.node.tell(Hold).unwrap();
        settle().await;
        assert_eq!((self.node.stats().in_hand, self.node.stats().queued), (1, 0));
    }

    fn fill(&self) {
        for _ in 0..CAPACITY {
            self.node.tell(Ping(0)).unwrap();
        }
    }

    /// Gives it a child whose handler waits.
    async fn adopt(&mut self) {
        let child = self.node.ask(Adopt).await.unwrap();
        child.tell(Hold).unwrap();
        settle().await;
        self.child = Some(child);
    }

    /// Lets everything go on that has waited: what is at the gate, and pauses.
    pub(crate) async fn release(&self) {
        self.gate.open();
        tokio::time::sleep(2 * HOUR).await;
        settle().await;
    }

    /// Brings it to its end, and looks into the books.
    #[track_caller]
    pub(crate) fn end(self) -> impl Future<Output = ()> {
        let Self { runtime, node, child, gate, route } = self;
        async move {
            gate.open();
            runtime.shutdown_within(2 * HOUR).await.unwrap();
            assert!(node.exit().is_some() && runtime.is_empty());
            accounted(&node);
            child.iter().for_each(accounted);
            drop(route);
            assert_eq!(runtime.pool_stats().in_use, 0, "every slot is back");
        }
    }
}
