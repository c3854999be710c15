//! Shutting down ten thousand subsystems, some of which do not return: within its time and a tenth of a second.
#![cfg(not(mycelia_loom))]

mod subsystems;

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mycelia_actors::prelude::*;
use mycelia_actors::{AskFailure, Configure, Name, ShutdownError};
use tokio::task::JoinSet;

use subsystems::accounted;

const PARENTS: usize = 100;
const CHILDREN: usize = 99;
/// What a shutdown may take beyond its time.
const GRACE: Duration = Duration::from_millis(100);

/// A parent, who spawns its children when it starts; or a child.
struct Node {
    children: Option<Family>,
    hangs: Option<Hook>,
}

#[derive(Clone, Copy, PartialEq)]
enum Hook {
    Started,
    Stopped,
}

/// Which hook of this one never returns.
type Hangs = fn(&str) -> Option<Hook>;

/// The parents are named `0` to `99`, and the children of `3` are `3.1` to `3.99`.
#[derive(Clone)]
struct Family {
    all: Arc<Mutex<Vec<Address<Node>>>>,
    hangs: Hangs,
}

impl Family {
    fn spawn(&self, configured: Configure<'_>, name: &str, children: Option<Self>) {
        let address = configured.spawn(Node { children, hangs: (self.hangs)(name) }).unwrap();
        self.all.lock().unwrap().push(address);
    }
}

impl Subsystem for Node {
    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        if let Some(family) = self.children.take() {
            for child in 1..=CHILDREN {
                let name = format!("{}.{child}", cx.name());
                family.spawn(cx.configure(&name), &name, None);
            }
        }
        if self.hangs == Some(Hook::Started) {
            pending::<()>().await;
        }
        Ok(())
    }

    async fn stopped(&mut self, _: &Exit, _: &mut Context<Self>) {
        if self.hangs == Some(Hook::Stopped) {
            pending::<()>().await;
        }
    }
}

struct Quick;
impl Handler<Quick> for Node {
    type Reply = ();
    async fn handle(&mut self, _: Quick, _: &mut Context<Self>) {}
}

/// Never returns, but can be killed.
struct Hang;
impl Handler<Hang> for Node {
    type Reply = ();
    async fn handle(&mut self, _: Hang, _: &mut Context<Self>) {
        pending::<()>().await;
    }
}

/// Blocks its thread.
struct Block(Receiver<()>);
impl Handler<Block> for Node {
    type Reply = ();
    async fn handle(&mut self, Block(until): Block, _: &mut Context<Self>) {
        let _ = until.recv();
    }
}

/// All ten thousand, one parent after another with its children.
async fn spawn(runtime: &Runtime, hangs: Hangs) -> Vec<Address<Node>> {
    let family = Family { all: Arc::default(), hangs };
    for parent in 0..PARENTS {
        let name = parent.to_string();
        family.spawn(runtime.configure(&name), &name, Some(family.clone()));
        while family.all.lock().unwrap().len() < (parent + 1) * (CHILDREN + 1) {
            tokio::task::yield_now().await;
        }
    }
    let all = std::mem::take(&mut *family.all.lock().unwrap());
    assert_eq!((all.len(), runtime.len()), (10_000, 10_000));
    all
}

fn find<'a>(all: &'a [Address<Node>], name: &str) -> &'a Address<Node> {
    all.iter().find(|address| *address.name() == *name).unwrap()
}

fn names(names: &[Name]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(String::from).into()
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_ever_is_killed_in_time_and_named() {
    let runtime = Runtime::new();
    let all = spawn(&runtime, |name| match name {
        "20.7" => Some(Hook::Started),
        "21.99" | "22.1" | "23" => Some(Hook::Stopped),
        _ => None,
    })
    .await;
    for address in &all {
        address.tell(Quick).unwrap();
    }
    // Children, the last one of all among them, and parents.
    let hanging = ["0.1", "50.50", "50.51", "99.99", "98", "0"].map(|name| find(&all, name).clone());
    let mut asking = JoinSet::new();
    for address in &hanging {
        let address = address.clone();
        asking.spawn(async move { address.ask(Hang).within(Duration::MAX).await.unwrap_err().failure });
    }
    // These end all the same.
    find(&all, "60").suspend();
    find(&all, "60.1").suspend();
    while hanging.iter().any(|address| address.stats().in_hand == 0) {
        tokio::task::yield_now().await;
    }
    let within = Duration::from_secs(10);
    let began = tokio::time::Instant::now();
    let error = runtime.shutdown_within(within).await.unwrap_err();
    let took = began.elapsed();
    assert!(took >= within && took <= within + GRACE, "{took:?}");
    assert_eq!((error.timeout, error.left.len()), (within, 0));
    // And not those who waited for their children to end.
    let expected = set(["0.1", "50.50", "50.51", "99.99", "98", "0", "20.7", "21.99", "22.1", "23"]);
    assert_eq!(names(&error.killed), expected);
    assert!(runtime.is_empty());
    for address in &all {
        let killed = matches!(address.exit().unwrap(), Exit::Killed);
        assert_eq!(killed, expected.contains(&address.name().to_string()), "{address:?}");
        accounted(address);
    }
    let stopped = all.iter().filter(|address| matches!(address.exit(), Some(Exit::Stopped))).count();
    assert_eq!(stopped, 10_000 - expected.len());
    while let Some(asked) = asking.join_next().await {
        assert_eq!(asked.unwrap(), AskFailure::Killed);
    }
    assert_eq!(runtime.pool_stats().in_use, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn whoever_blocks_its_thread_is_left_and_named_and_all_others_have_ended() {
    let runtime = Runtime::new();
    let all = spawn(&runtime, |_| None).await;
    for address in &all {
        address.tell(Quick).unwrap();
    }
    let (unblock, blocked): (Vec<_>, Vec<_>) = ["0", "1.7"]
        .map(|name| {
            let (unblock, until) = mpsc::channel();
            let address = find(&all, name).clone();
            address.tell(Block(until)).unwrap();
            (unblock, address)
        })
        .into_iter()
        .unzip();
    while blocked.iter().any(|address| address.stats().handled == 0 || address.stats().in_hand == 0) {
        tokio::task::yield_now().await;
    }
    // The last tenth is long enough for the others to end, on any machine.
    let within = Duration::from_secs(10);
    let began = Instant::now();
    let error = runtime.shutdown_within(within).await.unwrap_err();
    println!("within {within:?}: took {:?}", began.elapsed());
    let ShutdownError { killed, left, .. } = error;
    // The parent of the one waits for it until it is killed.
    assert_eq!((names(&left), names(&killed)), (set(["0", "1.7"]), set(["1"])));
    assert_eq!(runtime.len(), 2);
    for address in &all {
        let is_blocked = left.contains(address.name());
        assert_eq!(address.exit().is_none(), is_blocked, "{address:?}");
        let stopped = matches!(address.exit(), Some(Exit::Stopped));
        assert!(is_blocked || stopped || killed.contains(address.name()), "{address:?}");
    }
    drop(unblock);
    for address in &blocked {
        assert!(matches!(address.ended().await, Exit::Killed), "{address:?}");
    }
    let again = runtime.shutdown().await.unwrap_err();
    assert_eq!(
        (names(&again.killed).len(), again.left.len()),
        (3, 0),
        "the same result, but that none is left"
    );
    all.iter().for_each(accounted);
    assert_eq!(runtime.pool_stats().in_use, 0);
}
