//! Parents and children: who restarts with whom, what survives, how failure climbs, and in which order a tree ends.
#![cfg(not(mycelia_loom))]

mod subsystems;

use std::pin::pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context as Task, Wake, Waker};
use std::time::Duration;

use mycelia_actors::AskFailure;
use mycelia_actors::prelude::*;
use subsystems::accounted;
use tokio::sync::oneshot;
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// What happened, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn add(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A subsystem of a tree: writes down what happens to it, and spawns its children when it starts.
struct Node {
    log: Log,
    children: Vec<Child>,
    handled: u32,
}

/// How a child is spawned.
#[derive(Clone)]
struct Child {
    name: &'static str,
    restart: Option<Restart>,
    children: Vec<Child>,
}

fn child(name: &'static str, restart: Restart) -> Child {
    Child { name, restart: Some(restart), children: Vec::new() }
}

impl Child {
    fn over(mut self, children: impl IntoIterator<Item = Child>) -> Self {
        self.children = children.into_iter().collect();
        self
    }

    fn without_factory(mut self) -> Self {
        self.restart = None;
        self
    }

    fn spawn(self, configured: mycelia_actors::Configure<'_>, log: &Log) -> Address<Node> {
        let log = log.clone();
        let Self { restart, children, .. } = self;
        let make = move || Node { log: log.clone(), children: children.clone(), handled: 0 };
        match restart {
            Some(restart) => configured.restart(restart).spawn_with(make).unwrap(),
            None => configured.spawn(make()).unwrap(),
        }
    }

    fn spawn_root(self, runtime: &Runtime, log: &Log) -> Address<Node> {
        let name = self.name;
        self.spawn(runtime.configure(name), log)
    }
}

impl Subsystem for Node {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Panic>("panic");
        routes.on::<Count>("count");
        routes.on::<Nothing>("nothing");
    }

    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        self.log.add(format!("{} started", cx.name()));
        for child in std::mem::take(&mut self.children) {
            child.clone().spawn(cx.configure(child.name), &self.log);
            self.children.push(child);
        }
        Ok(())
    }

    async fn stopped(&mut self, exit: &Exit, cx: &mut Context<Self>) {
        self.log.add(format!("{} {exit}", cx.name()));
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Panic;
impl Handler<Panic> for Node {
    type Reply = ();
    async fn handle(&mut self, _: Panic, cx: &mut Context<Self>) {
        self.log.add(format!("{} panics", cx.name()));
        panic!("on purpose");
    }
}

/// How many of these this state has handled.
#[derive(serde::Serialize, serde::Deserialize)]
struct Count;
impl Handler<Count> for Node {
    type Reply = u32;
    async fn handle(&mut self, _: Count, _: &mut Context<Self>) -> u32 {
        self.handled += 1;
        self.handled
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Nothing;
impl Handler<Nothing> for Node {
    type Reply = ();
    async fn handle(&mut self, _: Nothing, _: &mut Context<Self>) {}
}

/// Waits until somebody says so, or for ever.
struct Until(oneshot::Receiver<()>);
impl Handler<Until> for Node {
    type Reply = ();
    async fn handle(&mut self, Until(done): Until, _: &mut Context<Self>) {
        let _ = done.await;
    }
}

/// Panics a subsystem that may have ended and come back under its name, and waits until it has panicked.
async fn fail(runtime: &Runtime, name: &str) {
    let failed = runtime.ask::<(), _>(&format!("{name}://panic"), ()).await.unwrap_err();
    assert!(failed.to_string().contains("panicked"), "{failed}");
}

/// How many messages the state of this subsystem has counted, this one included.
async fn count(runtime: &Runtime, name: &str) -> u32 {
    runtime.ask(&format!("{name}://count"), ()).await.unwrap()
}

async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn strategies_say_which_siblings_restart() {
    for (restart, expected) in [
        (Restart::one_for_one(), [2, 1, 2, 2]),
        (Restart::one_for_all(), [1, 1, 1, 2]),
        (Restart::rest_for_one(), [2, 1, 1, 2]),
    ] {
        let (runtime, log) = (Runtime::new(), Log::default());
        let one = Restart::one_for_one();
        let children =
            [child("a", one), child("b", restart), child("c", one), child("d", one).without_factory()];
        // A cousin is no sibling.
        child("other", one).over([child("cousin", one)]).spawn_root(&runtime, &log);
        child("top", one).over(children).spawn_root(&runtime, &log).started().await.unwrap();
        for name in ["a", "b", "c", "d", "cousin", "top"] {
            assert_eq!(count(&runtime, name).await, 1);
        }
        fail(&runtime, "b").await;
        settle().await;
        for (name, expected) in ["a", "b", "c", "d"].into_iter().zip(expected) {
            assert_eq!(count(&runtime, name).await, expected, "{name} with {restart:?}");
        }
        assert_eq!((count(&runtime, "cousin").await, count(&runtime, "top").await), (2, 2));
    }
}

#[tokio::test]
async fn those_that_the_runtime_spawned_are_siblings_too() {
    let (runtime, log) = (Runtime::new(), Log::default());
    for name in ["a", "b", "c"] {
        child(name, Restart::rest_for_one()).spawn_root(&runtime, &log);
    }
    for name in ["a", "b", "c"] {
        count(&runtime, name).await;
    }
    fail(&runtime, "b").await;
    settle().await;
    let counts = [count(&runtime, "a").await, count(&runtime, "b").await, count(&runtime, "c").await];
    assert_eq!(counts, [2, 1, 1]);
}

#[tokio::test]
async fn a_sibling_ends_its_message_in_hand_before_it_restarts() {
    let (runtime, log) = (Runtime::new(), Log::default());
    let a = child("a", Restart::one_for_all()).spawn_root(&runtime, &log);
    let b = child("b", Restart::one_for_one()).spawn_root(&runtime, &log);
    let (open, gate) = oneshot::channel();
    let (waits, counts) = (b.ask(Until(gate)), b.ask(Count));
    let opens = async {
        while b.stats().in_hand == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(a.ask(Panic).await.unwrap_err().failure, AskFailure::Panicked);
        settle().await;
        assert_eq!((b.stats().restarts, b.stats().in_hand), (0, 1));
        open.send(()).unwrap();
    };
    let (waited, counted, ()) = tokio::join!(waits, counts, opens);
    assert_eq!((waited.unwrap(), counted.unwrap()), ((), 1), "the rest waits for the new state");
    assert_eq!(b.stats().restarts, 1);
    accounted(&b);
}

#[tokio::test]
async fn mailbox_batch_and_waiting_senders_survive_a_restart_in_order() {
    let (runtime, log) = (Runtime::new(), Log::default());
    let mailbox = Mailbox::bounded(4);
    let node = child("node", Restart::one_for_one());
    let node = node.spawn(runtime.configure("node").mailbox(mailbox), &log);
    let (open, gate) = oneshot::channel();
    node.tell(Until(gate)).unwrap();
    // Taken into the batch together, behind the one that waits.
    node.tell(Panic).unwrap();
    node.tell(Nothing).unwrap();
    settle().await;
    node.tell(Nothing).unwrap();
    node.tell(Panic).unwrap();
    node.tell(Nothing).unwrap();
    node.tell(Nothing).unwrap();
    let (waiting, last) = (node.send(Panic), node.ask(Count));
    let opens = async { open.send(()).unwrap() };
    let (sent, counted, ()) = tokio::join!(waiting, last, opens);
    assert!(sent.is_ok());
    assert_eq!(counted.unwrap(), 1, "by the fourth state");
    let stats = node.stats();
    assert_eq!((stats.restarts, stats.failed, stats.handled), (3, 3, 6), "{stats:?}");
    accounted(&node);
}

#[tokio::test]
async fn children_end_before_their_parents_the_latest_first() {
    let one = Restart::one_for_one();
    for stop in [Address::stop as fn(&Address<Node>), Address::stop_now] {
        let (runtime, log) = (Runtime::new(), Log::default());
        let children = [child("a", one).over([child("a1", one), child("a2", one)]), child("b", one)];
        let top = child("top", one).over(children).spawn_root(&runtime, &log);
        let last = async {
            while runtime.len() < 5 {
                tokio::task::yield_now().await;
            }
        };
        last.await;
        settle().await;
        log.take();
        stop(&top);
        top.ended().await;
        let ends = log.take();
        let place = |name: &str| ends.iter().position(|end| *end == format!("{name} stopped")).unwrap();
        assert_eq!(ends.len(), 5, "{ends:?}");
        assert!(place("a1") < place("a") && place("a2") < place("a"), "{ends:?}");
        assert!(place("a") < place("top") && place("b") < place("top"), "{ends:?}");
        assert!(runtime.is_empty());
    }
}

#[tokio::test]
async fn a_parent_that_drains_is_served_by_its_children_to_the_end() {
    struct Front(Option<Address<Node>>);
    impl Subsystem for Front {
        async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
            let back = child("back", Restart::one_for_one());
            self.0 = Some(back.spawn(cx.configure("back"), &Log::default()));
            Ok(())
        }
    }
    impl Handler<Count> for Front {
        type Reply = u32;
        async fn handle(&mut self, _: Count, _: &mut Context<Self>) -> u32 {
            self.0.as_ref().unwrap().ask(Count).await.unwrap()
        }
    }
    let runtime = Runtime::new();
    let front = runtime.spawn("front", Front(None)).unwrap();
    let (first, second) = (front.ask(Count), front.ask(Count));
    let stops = async { front.stop() };
    let (first, second, ()) = tokio::join!(first, second, stops);
    assert_eq!((first.unwrap(), second.unwrap()), (1, 2));
    front.ended().await;
    assert!(runtime.is_empty());
}

#[tokio::test]
async fn a_kill_takes_the_whole_tree_along() {
    let (runtime, log) = (Runtime::new(), Log::default());
    let one = Restart::one_for_one();
    let tree = child("top", one).over([child("a", one).over([child("a1", one)]), child("b", one)]);
    let top = tree.spawn_root(&runtime, &log);
    count(&runtime, "top").await;
    while runtime.len() < 4 {
        tokio::task::yield_now().await;
    }
    log.take();
    top.kill();
    assert!(matches!(top.ended().await, Exit::Killed));
    while !runtime.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(log.take(), [""; 0], "who is killed does not stop");
}

#[tokio::test]
async fn a_restart_ends_the_children_and_starts_new_ones() {
    let (runtime, log) = (Runtime::new(), Log::default());
    let one = Restart::one_for_one();
    let top = child("top", one).over([child("a", one)]).spawn_root(&runtime, &log);
    for failure in [true, false] {
        top.started().await.unwrap();
        assert_eq!((count(&runtime, "top").await, count(&runtime, "a").await), (1, 1));
        log.take();
        if failure {
            fail(&runtime, "top").await;
        } else {
            top.restart();
        }
        settle().await;
        let happened = log.take();
        let happened = happened.iter().filter(|line| !line.ends_with("panics")).collect::<Vec<_>>();
        assert_eq!(happened, ["a stopped", "top started", "a started"]);
    }
}

#[tokio::test]
async fn one_restart_too_many_is_the_parents_failure() {
    let (runtime, log) = (Runtime::new(), Log::default());
    let once = Restart::one_for_one().at_most(1, SECOND);
    let top = child("top", once).over([child("a", once), child("b", once)]).spawn_root(&runtime, &log);
    top.started().await.unwrap();
    assert_eq!(count(&runtime, "b").await, 1);
    fail(&runtime, "a").await;
    settle().await;
    assert_eq!(
        (count(&runtime, "b").await, top.stats().restarts),
        (2, 0),
        "the first is the affair of the child"
    );
    fail(&runtime, "a").await;
    settle().await;
    assert_eq!(top.stats().restarts, 1);
    assert_eq!(count(&runtime, "b").await, 1, "it is another one");
    // The children have their own limits again, and the parent has used up its own.
    fail(&runtime, "a").await;
    settle().await;
    fail(&runtime, "a").await;
    let Exit::Panicked(text) = top.ended().await else { panic!("it ends") };
    assert_eq!(&*text, "its child `a` panicked: on purpose");
    assert!(runtime.is_empty());
    accounted(&top);
}

#[tokio::test]
async fn failure_climbs_to_the_root() {
    let (runtime, log) = (Runtime::new(), Log::default());
    let never = Restart::one_for_one().at_most(0, SECOND);
    let leaf = child("leaf", never);
    // The one in between was not to be restarted at all; but it is of no use without its child.
    let tree = child("top", never).over([child("middle", never).over([leaf]).without_factory()]);
    let top = tree.spawn_root(&runtime, &log);
    while runtime.len() < 3 {
        tokio::task::yield_now().await;
    }
    fail(&runtime, "leaf").await;
    let exit = top.ended().await.to_string();
    assert_eq!(exit, "panicked: its child `middle` panicked: its child `leaf` panicked: on purpose");
    assert!(runtime.is_empty());
}

#[tokio::test]
async fn a_child_without_a_factory_fails_alone() {
    let (runtime, log) = (Runtime::new(), Log::default());
    let one = Restart::one_for_one();
    let top = child("top", one).over([child("a", one).without_factory()]).spawn_root(&runtime, &log);
    count(&runtime, "top").await;
    fail(&runtime, "a").await;
    settle().await;
    assert_eq!((count(&runtime, "top").await, top.stats().restarts, runtime.len()), (2, 0, 1));
}

#[tokio::test]
async fn a_child_spawned_at_the_very_end_does_not_stay() {
    struct Late;
    impl Subsystem for Late {
        async fn stopped(&mut self, _: &Exit, cx: &mut Context<Self>) {
            let child = child("late", Restart::one_for_one()).without_factory();
            child.spawn(cx.configure("late"), &Log::default());
        }
    }
    let runtime = Runtime::new();
    let address = runtime.spawn_unnamed(Late).unwrap();
    address.stop();
    address.ended().await;
    while !runtime.is_empty() {
        tokio::task::yield_now().await;
    }
}

// Time is paused: it passes when everybody waits.
#[tokio::test(start_paused = true)]
async fn a_child_that_does_not_return_holds_a_restart_up_for_five_seconds() {
    let (runtime, log) = (Runtime::new(), Log::default());
    let one = Restart::one_for_one();
    let top = child("top", one).over([child("a", one)]).spawn_root(&runtime, &log);
    count(&runtime, "top").await;
    struct Hang;
    impl Subsystem for Hang {}
    impl Handler<Until> for Hang {
        type Reply = ();
        async fn handle(&mut self, _: Until, _: &mut Context<Self>) {
            std::future::pending().await
        }
    }
    struct Adopt(Arc<Mutex<Option<Address<Hang>>>>);
    impl Handler<Adopt> for Node {
        type Reply = ();
        async fn handle(&mut self, Adopt(place): Adopt, cx: &mut Context<Self>) {
            *place.lock().unwrap() = Some(cx.spawn(Hang).unwrap());
        }
    }
    let place = Arc::default();
    top.ask(Adopt(Arc::clone(&place))).await.unwrap();
    let hang = place.lock().unwrap().clone().unwrap();
    let (_never, gate) = oneshot::channel();
    hang.tell(Until(gate)).unwrap();
    settle().await;
    let began = Instant::now();
    top.restart();
    assert!(matches!(hang.ended().await, Exit::Killed));
    assert!(
        began.elapsed() >= 5 * SECOND && began.elapsed() < 5 * SECOND + SECOND / 10,
        "{:?}",
        began.elapsed()
    );
    assert_eq!(count(&runtime, "top").await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_restarts_ends_in_bounded_time() {
    /// Cannot start.
    struct Broken;
    impl Subsystem for Broken {
        async fn started(&mut self, _: &mut Context<Self>) -> Result<(), BoxError> {
            panic!("as always");
        }
    }
    struct Top;
    impl Subsystem for Top {
        async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
            for name in 0..20 {
                let restart = Restart::one_for_all().backoff(SECOND / 10, SECOND);
                cx.configure(&format!("broken{name}")).restart(restart).spawn_with(|| Broken)?;
            }
            Ok(())
        }
    }
    let runtime = Runtime::new();
    let began = Instant::now();
    let top = runtime.configure("top").spawn_with(|| Top).unwrap();
    let Exit::Panicked(text) = top.ended().await else { panic!("it ends") };
    assert!(text.starts_with("its child `broken") && text.ends_with("` panicked: as always"), "{text}");
    assert_eq!(top.stats().restarts, 3);
    while !runtime.is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(began.elapsed() < 10 * SECOND, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn pauses_between_restarts_are_the_same_with_the_same_seed() {
    async fn pauses(seed: u64) -> Vec<Duration> {
        let (runtime, log) = (Runtime::builder().seed(seed).build(), Log::default());
        let restart = Restart::one_for_one().at_most(5, 1000 * SECOND).backoff(SECOND, 4 * SECOND);
        let node = child("node", restart).spawn_root(&runtime, &log);
        let mut pauses = Vec::new();
        for _ in 0..5 {
            fail(&runtime, "node").await;
            let began = Instant::now();
            node.ask(Count).await.unwrap();
            pauses.push(began.elapsed());
        }
        pauses
    }
    let first = pauses(7).await;
    for (pause, longest) in first.iter().zip([0, 1, 2, 4, 4]) {
        // Tokio's timers are a millisecond coarse.
        let rounded = SECOND / 500;
        assert!(*pause >= longest * SECOND / 2 && *pause <= longest * SECOND + rounded, "{first:?}");
    }
    assert_eq!(first, pauses(7).await);
    assert_ne!(first, pauses(8).await);
}

/// Wakes nobody, and takes its time: until it is let go.
struct Slow(Mutex<mpsc::Receiver<()>>);
impl Wake for Slow {
    fn wake(self: Arc<Self>) {
        self.0.lock().unwrap().recv().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_fails_while_its_parent_restarts_does_not_fail_the_new_state() {
    struct Child;
    impl Subsystem for Child {}
    impl Handler<Until> for Child {
        type Reply = ();
        async fn handle(&mut self, Until(done): Until, _: &mut Context<Self>) {
            let _ = done.await;
            panic!("on purpose");
        }
    }
    struct Top(mpsc::Sender<Address<Child>>);
    impl Subsystem for Top {
        async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
            let never = Restart::one_for_one().at_most(0, SECOND);
            self.0.send(cx.configure("a").restart(never).spawn_with(|| Child)?)?;
            Ok(())
        }
    }
    impl Handler<Nothing> for Top {
        type Reply = ();
        async fn handle(&mut self, _: Nothing, _: &mut Context<Self>) {}
    }
    let runtime = Runtime::new();
    let (sender, children) = mpsc::channel();
    // On a thread of its own it goes on as soon as it is woken.
    let top = runtime.configure("top").own_thread().spawn_with(move || Top(sender.clone())).unwrap();
    let a = children.recv().unwrap();
    let (end, ends) = oneshot::channel();
    a.tell(Until(ends)).unwrap();
    while a.stats().in_hand == 0 {
        std::thread::yield_now();
    }
    top.restart();
    // Until it has told its child to stop, and waits.
    let mut looks = 0;
    while looks < 10_000 {
        looks += u32::from(a.tell(Until(oneshot::channel().1)).is_err());
        std::thread::yield_now();
    }
    // Somebody who hears of the child's end after it holds that up.
    let (go, slow) = mpsc::channel();
    let waker = Waker::from(Arc::new(Slow(Mutex::new(slow))));
    let mut ended = pin!(a.ended());
    assert!(ended.as_mut().poll(&mut Task::from_waker(&waker)).is_pending());
    end.send(()).unwrap();
    children.recv().unwrap();
    top.ask(Nothing).await.unwrap();
    go.send(()).unwrap();
    ended.await;
    settle().await;
    top.ask(Nothing).await.unwrap();
    assert_eq!(top.stats().restarts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_child_that_is_stopped_in_its_pause_does_not_fail_its_parent() {
    struct Top(mpsc::Sender<Address<Node>>);
    impl Subsystem for Top {
        async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
            let hour = Duration::from_secs(3600);
            let restart = Restart::one_for_one().backoff(hour, hour);
            self.0.send(child("a", restart).spawn(cx.configure("a"), &Log::default()))?;
            Ok(())
        }
    }
    for stop in [Address::stop as fn(&Address<Node>), Address::stop_now] {
        let runtime = Runtime::new();
        let (sender, children) = mpsc::channel();
        let top = runtime.configure("top").spawn_with(move || Top(sender.clone())).unwrap();
        top.started().await.unwrap();
        let a = children.recv().unwrap();
        a.tell(Panic).unwrap();
        a.tell(Panic).unwrap();
        settle().await;
        assert_eq!((a.stats().failed, a.stats().restarts), (2, 1), "it pauses");
        let began = Instant::now();
        stop(&a);
        assert_eq!(a.ended().await.to_string(), "panicked: on purpose");
        assert!(began.elapsed() < SECOND, "there is nothing to be drained");
        settle().await;
        assert_eq!(top.stats().restarts, 0);
        accounted(&a);
    }
}
