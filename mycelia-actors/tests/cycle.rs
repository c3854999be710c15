//! Handlers that would wait for one another get an error that names the circle; those that would not, do not.
#![cfg(not(mycelia_loom))]

mod subsystems;

use std::collections::VecDeque;
use std::time::Duration;

use mycelia_actors::prelude::*;
use mycelia_actors::{AskFailure, Refusal};
use subsystems::{Gate, accounted};
use tokio::sync::oneshot;

const SECOND: Duration = Duration::from_secs(1);

/// Does what its messages say.
#[derive(Default)]
struct Node;
impl Subsystem for Node {}

/// Asks the first of these to ask the rest, and replies with what came back.
struct Ask(VecDeque<Address<Node>>);
impl Handler<Ask> for Node {
    type Reply = Result<(), String>;
    async fn handle(&mut self, Ask(mut path): Ask, _: &mut Context<Self>) -> Self::Reply {
        let Some(next) = path.pop_front() else { return Ok(()) };
        next.ask(Ask(path)).await.map_err(|error| error.to_string())?
    }
}

/// Waits until somebody says so, or has gone.
struct Until(oneshot::Receiver<()>);
impl Handler<Until> for Node {
    type Reply = ();
    async fn handle(&mut self, Until(done): Until, _: &mut Context<Self>) {
        let _ = done.await;
    }
}

struct Nothing;
impl Handler<Nothing> for Node {
    type Reply = ();
    async fn handle(&mut self, _: Nothing, _: &mut Context<Self>) {}
}

/// Sends to another, waiting for room, and replies with the refusal.
struct Send(Address<Node>);
impl Handler<Send> for Node {
    type Reply = Option<Refusal>;
    async fn handle(&mut self, Send(to): Send, _: &mut Context<Self>) -> Self::Reply {
        to.send(Nothing).await.err().map(|error| error.refusal)
    }
}

fn nodes<const N: usize>(runtime: &Runtime, names: [&str; N]) -> [Address<Node>; N] {
    names.map(|name| runtime.configure(name).mailbox(Mailbox::bounded(4)).spawn(Node).unwrap())
}

fn path<'a>(nodes: impl IntoIterator<Item = &'a Address<Node>>) -> Ask {
    Ask(nodes.into_iter().cloned().collect())
}

async fn busy(address: &Address<Node>) {
    while address.stats().in_hand == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_asks_itself_gets_an_error_and_the_message_back() {
    struct Loner;
    impl Subsystem for Loner {}
    struct Recurse;
    impl Handler<Recurse> for Loner {
        type Reply = (bool, AskFailure);
        async fn handle(&mut self, _: Recurse, cx: &mut Context<Self>) -> Self::Reply {
            let error = cx.address().ask(Recurse).await.unwrap_err();
            (error.message.is_some(), error.failure)
        }
    }
    let runtime = Runtime::new();
    let loner = runtime.spawn("loner", Loner).unwrap();
    let (back, failure) = loner.ask(Recurse).await.unwrap();
    assert_eq!(failure.to_string(), "the asker would wait for itself: `loner` -> `loner`");
    let AskFailure::Cycle(cycle) = failure else { panic!("{failure}") };
    assert!(back && cycle.path().iter().all(|name| *name == *"loner"));
    assert_eq!(loner.stats().returned, 1);
    accounted(&loner);
}

#[tokio::test]
async fn a_circle_is_named_by_the_one_that_would_close_it() {
    let runtime = Runtime::new();
    let [a, b, c] = nodes(&runtime, ["a", "b", "c"]);
    let error = a.ask(path([&b, &c, &a])).await.unwrap().unwrap_err();
    assert_eq!(error, "`a` did not reply: the asker would wait for itself: `c` -> `a` -> `b` -> `c`");
    let error = a.ask(path([&b, &c, &b])).await.unwrap().unwrap_err();
    assert_eq!(error, "`b` did not reply: the asker would wait for itself: `c` -> `b` -> `c`");
    assert_eq!(a.ask(path([&b, &c])).await.unwrap(), Ok(()), "all of them go on");
    [&a, &b, &c].into_iter().for_each(accounted);
    assert_eq!(runtime.pool_stats().in_use, 0);
}

#[tokio::test]
async fn a_long_chain_is_walked() {
    let runtime = Runtime::new();
    let nodes: Vec<_> = (0..200).map(|_| runtime.spawn_unnamed(Node).unwrap()).collect();
    assert_eq!(nodes[0].ask(path(&nodes[1..])).await.unwrap(), Ok(()));
    let circle = nodes[1..].iter().chain(&nodes[..1]);
    let error = nodes[0].ask(path(circle)).await.unwrap().unwrap_err();
    assert_eq!(error.matches(" -> ").count(), 200);
}

#[tokio::test]
async fn a_reply_of_which_the_asker_has_not_heard_makes_no_circle() {
    let runtime = Runtime::new();
    let [a, b] = nodes(&runtime, ["a", "b"]);
    // On one thread: `b` handles both before `a` is polled again.
    let (open, gate) = oneshot::channel();
    b.tell(Until(gate)).unwrap();
    busy(&b).await;
    a.tell(path([&b])).unwrap();
    while b.stats().queued == 0 {
        tokio::task::yield_now().await;
    }
    let other = a.clone();
    let asked = b.ask(Ask([other].into()));
    let opened = async { open.send(()).unwrap() };
    let (asked, ()) = tokio::join!(asked, opened);
    assert_eq!(asked.unwrap(), Ok(()));
}

#[tokio::test]
async fn asks_that_ended_early_make_no_circle() {
    /// Begins to ask, and lets it be.
    struct Begin(Address<Node>, bool);
    impl Handler<Begin> for Node {
        type Reply = Result<(), String>;
        async fn handle(&mut self, Begin(other, keeps): Begin, cx: &mut Context<Self>) -> Self::Reply {
            let mut ask = Box::pin(async move { other.ask(path([])).await.map(|_| ()) });
            std::future::poll_fn(|task| {
                assert!(ask.as_mut().poll(task).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
            if keeps {
                tokio::spawn(ask);
            } else {
                drop(ask);
            }
            let _ = cx;
            Ok(())
        }
    }
    let runtime = Runtime::new();
    let [a, b] = nodes(&runtime, ["a", "b"]);
    for keeps in [false, true] {
        a.ask(Begin(b.clone(), keeps)).await.unwrap().unwrap();
        assert_eq!(b.ask(path([&a])).await.unwrap(), Ok(()));
    }
}

#[tokio::test]
async fn a_send_that_waits_for_room_takes_part() {
    let runtime = Runtime::new();
    let [a, b] = nodes(&runtime, ["a", "b"]);
    // `b` waits for `a`, which is full and then sends to `b`, which is full.
    let (open_a, gate_a) = oneshot::channel();
    a.tell(Until(gate_a)).unwrap();
    busy(&a).await;
    let sent = a.ask(Send(b.clone()));
    let mut sent = std::pin::pin!(sent);
    std::future::poll_fn(|task| {
        assert!(sent.as_mut().poll(task).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
    for _ in 0..3 {
        a.tell(Nothing).unwrap();
    }
    b.tell(Send(a.clone())).unwrap();
    while a.stats().waiting == 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..4 {
        b.tell(Nothing).unwrap();
    }
    open_a.send(()).unwrap();
    let refusal = sent.await.unwrap();
    // `a` has taken its batch by then: `b` has been let in, though it may not have heard of it.
    assert_eq!(refusal, None);
    for address in [&a, &b] {
        address.stop();
        address.ended().await;
        accounted(address);
    }
}

#[tokio::test]
async fn senders_to_each_others_full_mailboxes_get_an_error() {
    let runtime = Runtime::new();
    let [a, b] = nodes(&runtime, ["a", "b"]);
    let full = |address: &Address<Node>| while address.tell(Nothing).is_ok() {};
    let gates = [Gate::default(), Gate::default()];
    /// Waits at the gate, and then sends.
    struct Later(Gate, Address<Node>);
    impl Handler<Later> for Node {
        type Reply = Option<Refusal>;
        async fn handle(&mut self, Later(gate, to): Later, _: &mut Context<Self>) -> Self::Reply {
            gate.pass().await;
            to.send(Nothing).await.err().map(|error| error.refusal)
        }
    }
    let asks = [(&a, &b), (&b, &a)].into_iter().zip(&gates).map(|((from, to), gate)| {
        let (from, message) = (from.clone(), Later(gate.clone(), to.clone()));
        tokio::spawn(async move { from.ask(message).await.unwrap() })
    });
    let asks: Vec<_> = asks.collect();
    for address in [&a, &b] {
        busy(address).await;
        full(address);
    }
    gates.iter().for_each(Gate::open);
    let mut refusals = Vec::new();
    for ask in asks {
        refusals.push(ask.await.unwrap().map(|refusal| refusal.to_string()));
    }
    assert_eq!(refusals, [None, Some("the sender would wait for itself: `b` -> `a` -> `b`".to_owned())]);
    for address in [&a, &b] {
        address.stop();
        address.ended().await;
        accounted(address);
    }
    assert_eq!((a.stats().returned, b.stats().returned), (2, 1), "those that filled it up, and the send");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_seen_ends_by_its_deadline() {
    /// Asks two at once.
    struct Both(Ask, Address<Node>, Address<Node>);
    impl Handler<Both> for Node {
        type Reply = Vec<String>;
        async fn handle(&mut self, Both(second, one, other): Both, _: &mut Context<Self>) -> Self::Reply {
            let (_gate, wait) = oneshot::channel();
            let first = one.ask(Until(wait)).within(SECOND);
            let second = other.ask(second).within(SECOND);
            let (first, second) = tokio::join!(first, second);
            vec![first.unwrap_err().to_string(), second.map(|_| ()).unwrap_err().to_string()]
        }
    }
    let runtime = Runtime::new();
    let [a, b, c] = nodes(&runtime, ["a", "b", "c"]);
    let replies = a.ask(Both(path([&a]), c.clone(), b)).await.unwrap();
    assert_eq!(replies, ["`c` did not reply: no reply within 1s", "`b` did not reply: no reply within 1s"]);
}

#[tokio::test]
async fn what_is_asked_from_a_task_holds_nobody_up() {
    /// Asks from a task of its own, and replies from there.
    struct Elsewhere(Ask, Address<Node>, ReplyTo<Result<(), String>>);
    impl Handler<Elsewhere> for Node {
        type Reply = ();
        async fn handle(&mut self, Elsewhere(ask, other, reply): Elsewhere, _: &mut Context<Self>) {
            tokio::spawn(async move { reply.reply(other.ask(ask).await.unwrap()) });
        }
    }
    let runtime = Runtime::new();
    let [a, b] = nodes(&runtime, ["a", "b"]);
    let asked = a.ask_with(|reply| Elsewhere(path([&a]), b.clone(), reply)).await;
    assert_eq!(asked.unwrap(), Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_that_begin_at_the_same_moment_do_not_hang() {
    let runtime = Runtime::new();
    let [a, b, c] = nodes(&runtime, ["a", "b", "c"]);
    for _ in 0..2000 {
        // Five minutes: a circle that is not seen would hang the test.
        let forever = 300 * SECOND;
        let asks = tokio::join!(
            a.ask(path([&b])).within(forever),
            b.ask(path([&c])).within(forever),
            c.ask(path([&a])).within(forever),
        );
        for reply in [asks.0, asks.1, asks.2] {
            let reply = reply.unwrap();
            assert!(reply.is_ok() || reply.unwrap_err().contains(" -> "));
        }
    }
    [&a, &b, &c].into_iter().for_each(accounted);
    assert_eq!(runtime.pool_stats().in_use, 0);
}

#[tokio::test]
async fn who_has_replied_early_may_ask_the_one_that_waited() {
    enum Job {
        B(Address<Member>, Address<Member>), // ask c, who asks a
        C(Address<Member>, Address<Member>),
        A(Address<Member>, ReplyTo<u32>),
        Ping,
    }
    struct Member(Option<oneshot::Sender<Result<(), AskFailure>>>);
    impl Subsystem for Member {}
    impl Handler<Job> for Member {
        type Reply = ();
        async fn handle(&mut self, job: Job, cx: &mut Context<Self>) {
            match job {
                Job::B(c, a) => {
                    c.ask(Job::C(a, cx.address().clone())).await.unwrap();
                }
                Job::C(a, b) => {
                    assert_eq!(a.ask_with(|reply| Job::A(b, reply)).await.unwrap(), 7);
                }
                Job::A(b, reply) => {
                    reply.reply(7);
                    let outcome = b.ask(Job::Ping).await.map_err(|error| error.failure);
                    self.0.take().unwrap().send(outcome).unwrap();
                }
                Job::Ping => {}
            }
        }
    }
    let runtime = Runtime::new();
    let (sender, outcome) = oneshot::channel();
    let a = runtime.spawn("a", Member(Some(sender))).unwrap();
    let [b, c] = ["b", "c"].map(|name| runtime.spawn(name, Member(None)).unwrap());
    b.ask(Job::B(c, a)).await.unwrap();
    assert_eq!(outcome.await.unwrap(), Ok(()));
}
