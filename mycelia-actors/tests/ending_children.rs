//! A subsystem that waits for its children to end, while they, or others on their account, wait for it.
#![cfg(not(mycelia_loom))]

mod subsystems;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mycelia_actors::AskFailure;
use mycelia_actors::prelude::*;
use subsystems::accounted;
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Spawns a line of others when it starts, each the child of the one before.
struct Node {
    below: Vec<&'static str>,
    all: Arc<Mutex<Vec<Address<Node>>>>,
}

impl Subsystem for Node {
    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        self.all.lock().unwrap().push(cx.address().clone());
        if let Some((name, below)) = self.below.split_first() {
            let (below, all) = (below.to_vec(), Arc::clone(&self.all));
            let make = move || Node { below: below.clone(), all: Arc::clone(&all) };
            cx.configure(name).spawn_with(make)?;
        }
        Ok(())
    }
}

/// The tree: the first is the root. All have started.
async fn line(runtime: &Runtime, names: &[&'static str]) -> Vec<Address<Node>> {
    let all = Arc::<Mutex<Vec<_>>>::default();
    let (below, nodes) = (names[1..].to_vec(), Arc::clone(&all));
    let make = move || Node { below: below.clone(), all: Arc::clone(&nodes) };
    runtime.configure(names[0]).spawn_with(make).unwrap();
    while all.lock().unwrap().len() < names.len() {
        tokio::task::yield_now().await;
    }
    let all = all.lock().unwrap().clone();
    all.last().unwrap().started().await.unwrap();
    all
}

/// Takes a second, and panics then if asked to.
struct Work {
    panic: bool,
}
impl Handler<Work> for Node {
    type Reply = ();
    async fn handle(&mut self, Work { panic }: Work, _: &mut Context<Self>) {
        tokio::time::sleep(SECOND).await;
        assert!(!panic, "on purpose");
    }
}

/// Asks somebody, and so on along the list; after a second, if that is wanted. The error as text.
struct Ask {
    later: bool,
    path: Vec<Address<Node>>,
}
impl Handler<Ask> for Node {
    type Reply = Result<(), String>;
    async fn handle(&mut self, mut ask: Ask, _: &mut Context<Self>) -> Self::Reply {
        if std::mem::take(&mut ask.later) {
            tokio::time::sleep(3 * SECOND / 2).await;
        }
        if ask.path.is_empty() {
            return Ok(());
        }
        let next = ask.path.remove(0);
        let asked = next.ask(ask).within(MINUTE).await;
        asked.map_err(|error| error.to_string()).and_then(|reply| reply)
    }
}

/// How it ended, seconds (in tenths) after the beginning of the test.
type Answer = (String, u128);

/// Has `from` ask along the path, from a task beside the test.
fn asking(
    from: &Address<Node>,
    later: bool,
    path: &[&Address<Node>],
) -> impl Future<Output = Answer> + use<> {
    let (from, path, began) = (from.clone(), path.iter().copied().cloned().collect(), Instant::now());
    let answer = tokio::spawn(async move {
        let answer = match from.ask(Ask { later, path }).within(MINUTE).await {
            Ok(Ok(())) => "ok".to_owned(),
            Ok(Err(inner)) => inner,
            Err(error) => error.to_string(),
        };
        (answer, began.elapsed().as_millis() / 100)
    });
    async { answer.await.unwrap() }
}

async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

fn answer(text: &str, tenths: u128) -> Answer {
    (text.to_owned(), tenths)
}

fn cycle(asked: &str, path: &str) -> String {
    format!("`{asked}` did not reply: the asker would wait for itself: {path}")
}

#[tokio::test(start_paused = true)]
async fn who_waits_already_is_told_and_the_parent_goes_on() {
    let runtime = Runtime::new();
    let tree = line(&runtime, &["root", "a", "b"]).await;
    let [root, a, b] = &tree[..] else { unreachable!() };
    let other = &line(&runtime, &["other"]).await[0];
    root.tell(Work { panic: true }).unwrap();
    let child = asking(a, false, &[root]);
    let through_another = asking(b, false, &[other, root]);
    assert_eq!(child.await, answer(&cycle("root", "`a` -> `root` -> `a`"), 10));
    assert_eq!(through_another.await, answer(&cycle("other", "`b` -> `other` -> `root` -> `b`"), 10));
    for ended in [a, b] {
        assert!(matches!(ended.ended().await, Exit::Stopped), "{ended:?}");
        accounted(ended);
    }
    // The asks of the one that was told, and of the one that was not.
    assert_eq!(asking(other, false, &[root]).await.0, "ok");
    assert_eq!((root.stats().restarts, root.stats().handled, root.stats().expired), (1, 2, 1));
    accounted(root);
    runtime.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_ask_that_ends_by_itself_is_left_alone() {
    let runtime = Runtime::new();
    let tree = line(&runtime, &["root", "a"]).await;
    let [root, a] = &tree[..] else { unreachable!() };
    root.tell(Work { panic: true }).unwrap();
    tokio::time::sleep(99 * SECOND / 100).await;
    let asked = a.ask(Ask { later: false, path: vec![root.clone()] }).within(SECOND / 50).await;
    assert!(matches!(asked.unwrap_err().failure, AskFailure::Deadline(_)));
    assert!(matches!(a.ended().await, Exit::Stopped));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_room_in_a_mailbox_of_its_parent_is_told() {
    let runtime = Runtime::new();
    let tree = line(&runtime, &["root", "a"]).await;
    let [root, a] = &tree[..] else { unreachable!() };
    root.tell(Work { panic: true }).unwrap();
    while root.stats().in_hand == 0 {
        tokio::task::yield_now().await;
    }
    while root.tell(Work { panic: false }).is_ok() {}
    let began = Instant::now();
    let sent = a.ask(SendTo(root.clone())).within(MINUTE).await;
    let told = "`root` did not accept the message: the sender would wait for itself: `a` -> `root` -> `a`";
    assert_eq!(sent.unwrap().unwrap_err(), told);
    assert!(began.elapsed() < 2 * SECOND, "{:?}", began.elapsed());
    root.kill();
}

/// Sends it something, waiting for room.
struct SendTo(Address<Node>);
impl Handler<SendTo> for Node {
    type Reply = Result<(), String>;
    async fn handle(&mut self, SendTo(other): SendTo, _: &mut Context<Self>) -> Self::Reply {
        other.send(Work { panic: false }).await.map_err(|error| error.to_string())
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_delegate_of_its_parent_gets_the_reply() {
    /// Hands the duty to reply to a task that takes its time.
    struct Query(ReplyTo<u8>);
    impl Handler<Query> for Node {
        type Reply = ();
        async fn handle(&mut self, Query(reply_to): Query, _: &mut Context<Self>) {
            tokio::spawn(async move {
                tokio::time::sleep(3 * SECOND).await;
                reply_to.reply(7);
            });
        }
    }
    struct AskFor(Address<Node>);
    impl Handler<AskFor> for Node {
        type Reply = u8;
        async fn handle(&mut self, AskFor(other): AskFor, _: &mut Context<Self>) -> u8 {
            other.ask_with(Query).await.unwrap()
        }
    }
    let runtime = Runtime::new();
    let tree = line(&runtime, &["root", "a"]).await;
    let [root, a] = &tree[..] else { unreachable!() };
    root.tell(Work { panic: false }).unwrap();
    let (from, to) = (a.clone(), root.clone());
    let asked = tokio::spawn(async move { from.ask(AskFor(to)).await.unwrap() });
    while (root.stats().in_hand, root.stats().queued) != (1, 1) {
        tokio::task::yield_now().await;
    }
    root.tell(Work { panic: true }).unwrap();
    assert_eq!(asked.await.unwrap(), 7);
    assert!(matches!(a.ended().await, Exit::Stopped));
}

#[tokio::test(start_paused = true)]
async fn a_child_may_ask_a_parent_that_stops() {
    let runtime = Runtime::new();
    let tree = line(&runtime, &["root", "a"]).await;
    let [root, a] = &tree[..] else { unreachable!() };
    let asked = asking(a, true, &[root]);
    settle().await;
    root.stop();
    assert_eq!(asked.await.0, "ok");
    assert!(matches!(root.ended().await, Exit::Stopped));
}

#[tokio::test(start_paused = true)]
async fn who_begins_to_wait_is_told() {
    let runtime = Runtime::new();
    let tree = line(&runtime, &["root", "a", "b"]).await;
    let [root, a, b] = &tree[..] else { unreachable!() };
    let other = &line(&runtime, &["other"]).await[0];
    root.tell(Work { panic: true }).unwrap();
    // It is not below the root, and gets its reply from the root's next state.
    let waits = asking(other, false, &[root]);
    let child = asking(a, true, &[root]);
    let through_another = asking(b, true, &[other, root]);
    assert_eq!(child.await, answer(&cycle("root", "`a` -> `root` -> `a`"), 15));
    assert_eq!(through_another.await, answer(&cycle("other", "`b` -> `other` -> `root` -> `b`"), 15));
    assert_eq!(waits.await, answer("ok", 15));
    for ended in [a, b] {
        assert!(matches!(ended.ended().await, Exit::Stopped), "{ended:?}");
        accounted(ended);
    }
    assert_eq!(root.stats().restarts, 1);
    runtime.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_stops_now_does_not_wait_for_those_who_wait_for_it() {
    let runtime = Runtime::new();
    let tree = line(&runtime, &["root", "a", "b"]).await;
    let [root, a, b] = &tree[..] else { unreachable!() };
    root.tell(Work { panic: false }).unwrap();
    let grandchild = asking(b, false, &[root]);
    while (root.stats().in_hand, root.stats().queued) != (1, 1) {
        tokio::task::yield_now().await;
    }
    let began = Instant::now();
    root.stop_now();
    assert!(matches!(root.ended().await, Exit::Stopped));
    assert_eq!(began.elapsed().as_millis() / 100, 10, "after the message in hand, and no later");
    assert!(matches!((a.exit(), b.exit()), (Some(Exit::Stopped), Some(Exit::Stopped))));
    assert_eq!(grandchild.await, answer(&cycle("root", "`b` -> `root` -> `b`"), 10));
    tree.iter().for_each(accounted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_killed_one_has_ended_the_names_below_it_are_free() {
    let runtime = Runtime::new();
    for round in 0..100 {
        let tree = line(&runtime, &["root", "a", "b", "c"]).await;
        if round % 2 == 0 {
            tree[2].tell(Work { panic: false }).unwrap();
        }
        tree[0].kill();
        assert!(matches!(tree[0].ended().await, Exit::Killed));
        assert!(runtime.is_empty(), "{round}");
    }
}
