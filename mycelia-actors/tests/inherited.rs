//! What a handler asks and sends ends no later than the message in hand must be answered.
#![cfg(not(mycelia_loom))]

mod subsystems;

use std::time::Duration;

use mycelia_actors::prelude::*;
use mycelia_actors::{AskFailure, Refusal};
use subsystems::{Add, Gated, Total, Wait, accounted};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Waits, then asks, sends or lets a task of its own ask the other; and says how that ended, and when.
struct Front {
    other: Address<Gated>,
    ends: mpsc::UnboundedSender<(String, Instant)>,
}
impl Subsystem for Front {}

enum Do {
    Ask,
    AskWith,
    Send,
    AskFromTask,
}

struct Job {
    pause: Duration,
    what: Do,
}

impl Handler<Job> for Front {
    type Reply = ();
    async fn handle(&mut self, Job { pause, what }: Job, _: &mut Context<Self>) {
        tokio::time::sleep(pause).await;
        let (other, ends) = (self.other.clone(), self.ends.clone());
        let end = move |end: String| ends.send((end, Instant::now())).unwrap();
        match what {
            Do::Ask => end(other.ask(Total).within(HOUR).await.unwrap_err().failure.to_string()),
            Do::AskWith => {
                let keep = |reply| Keep { _reply: reply };
                end(other.ask_with_within(HOUR, keep).await.unwrap_err().failure.to_string());
            }
            Do::Send => end(other
                .send(Add(1))
                .await
                .map_or_else(|error| error.refusal.to_string(), |()| "sent".into())),
            Do::AskFromTask => {
                tokio::spawn(async move {
                    end(other.ask(Total).within(HOUR).await.unwrap_err().failure.to_string());
                });
            }
        }
    }
}

/// A duty to reply that is kept in a mailbox.
struct Keep {
    _reply: ReplyTo<()>,
}
impl Handler<Keep> for Gated {
    type Reply = ();
    async fn handle(&mut self, _: Keep, _: &mut Context<Self>) {}
}

struct Scene {
    _runtime: Runtime,
    front: Address<Front>,
    back: Address<Gated>,
    ends: mpsc::UnboundedReceiver<(String, Instant)>,
}

/// Somebody in front of a subsystem that never replies, and whose mailbox has this much room left.
async fn scene(room: u64) -> Scene {
    let runtime = Runtime::new();
    let (state, gate) = Gated::new();
    let back = runtime.configure("back").mailbox(Mailbox::bounded(4)).spawn(state).unwrap();
    gate.wait_until_busy(&back).await;
    for _ in room..4 {
        back.tell(Wait).unwrap();
    }
    let (end, ends) = mpsc::unbounded_channel();
    let front = runtime.spawn("front", Front { other: back.clone(), ends: end }).unwrap();
    Scene { _runtime: runtime, front, back, ends }
}

impl Scene {
    /// Asks the one in front, which must hear of its end within a second (from when it was asked) and a hundredth.
    async fn ends_in_a_second(&mut self, job: Job) -> String {
        let began = Instant::now();
        // If what it waits for ends a moment before its own time is up, the handler may still reply.
        if let Err(error) = self.front.ask(job).within(SECOND).await {
            assert_eq!(error.failure, AskFailure::Deadline(SECOND));
        }
        let (end, when) = self.ends.recv().await.unwrap();
        let took = when - began;
        assert!(
            took >= SECOND - Duration::from_millis(5) && took <= SECOND + Duration::from_millis(10),
            "{took:?}"
        );
        end
    }
}

// Time is paused: it passes when everybody waits for ever.
#[tokio::test(start_paused = true)]
async fn an_ask_in_a_handler_ends_with_the_one_in_hand() {
    for what in [|| Do::Ask, || Do::AskWith] {
        // Before the sweeper has seen the ask in hand, and after.
        for pause in [Duration::ZERO, SECOND / 2, SECOND * 9 / 10] {
            let mut scene = scene(4).await;
            let end = scene.ends_in_a_second(Job { pause, what: what() }).await;
            assert!(end.starts_with("no reply within"), "{end}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_ask_begun_too_late_is_not_sent() {
    let mut scene = scene(4).await;
    let sent = scene.back.stats().sent;
    scene.front.ask(Job { pause: 2 * SECOND, what: Do::Ask }).within(SECOND).await.unwrap_err();
    assert_eq!(scene.ends.recv().await.unwrap().0, "no reply within 0ns");
    assert_eq!((scene.back.stats().sent, scene.back.stats().returned), (sent + 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_send_in_a_handler_waits_no_longer_than_the_ask_in_hand() {
    for pause in [Duration::ZERO, SECOND / 2] {
        let mut scene = scene(0).await;
        let end = scene.ends_in_a_second(Job { pause, what: Do::Send }).await;
        assert_eq!(end, Refusal::Deadline.to_string());
        let stats = scene.back.stats();
        assert_eq!((stats.waiting, stats.returned), (0, 1), "{stats:?}");
        assert_eq!(stats.sent, stats.accounted());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_in_a_mailbox_is_handled_whatever_its_sender_had_in_hand() {
    let mut scene = scene(4).await;
    scene.front.ask(Job { pause: Duration::ZERO, what: Do::Send }).within(SECOND).await.unwrap();
    assert_eq!(scene.ends.recv().await.unwrap().0, "sent");
    tokio::time::advance(HOUR).await;
    assert_eq!(scene.back.stats().queued, 1);
    scene.back.kill();
    scene.back.ended().await;
    assert_eq!(scene.back.stats().undelivered, 1, "it has not expired");
}

#[tokio::test(start_paused = true)]
async fn a_told_message_has_no_deadline_and_inherits_none_from_the_one_before() {
    let mut scene = scene(0).await;
    let began = Instant::now();
    scene.ends_in_a_second(Job { pause: Duration::ZERO, what: Do::Send }).await;
    scene.front.tell(Job { pause: Duration::ZERO, what: Do::Ask }).unwrap();
    let (end, when) = scene.ends.recv().await.unwrap();
    assert_eq!(end, "no reply within 3600s");
    assert!(when - began >= HOUR);
}

#[tokio::test(start_paused = true)]
async fn a_task_of_its_own_is_not_bound() {
    let mut scene = scene(4).await;
    let began = Instant::now();
    scene.front.ask(Job { pause: Duration::ZERO, what: Do::AskFromTask }).within(SECOND).await.unwrap();
    let (end, when) = scene.ends.recv().await.unwrap();
    assert_eq!(end, "no reply within 3600s");
    assert!(when - began >= HOUR);
}

#[tokio::test(start_paused = true)]
async fn nested_asks_all_end_with_the_first() {
    /// Asks itself down a chain of subsystems, the last of which never replies.
    struct Link(Option<Address<Link>>);
    impl Subsystem for Link {}
    struct Down;
    impl Handler<Down> for Link {
        type Reply = ();
        async fn handle(&mut self, _: Down, _: &mut Context<Self>) {
            match &self.0 {
                Some(next) => drop(next.ask(Down).within(HOUR).await),
                None => std::future::pending().await,
            }
        }
    }
    let runtime = Runtime::new();
    let mut chain = vec![runtime.spawn_unnamed(Link(None)).unwrap()];
    for _ in 0..20 {
        let next = chain.last().cloned();
        chain.push(runtime.spawn_unnamed(Link(next)).unwrap());
    }
    let began = Instant::now();
    chain[20].ask(Down).within(SECOND).await.unwrap_err();
    // Those in between hear of the end of their own asks, and are free.
    chain.iter().skip(1).for_each(Address::stop);
    for link in &chain[1..] {
        link.ended().await;
        accounted(link);
    }
    let took = began.elapsed();
    assert!(took <= SECOND + Duration::from_millis(20), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_in_metadata_bounds_sends_from_anywhere() {
    let scene = scene(0).await;
    let began = Instant::now();
    let metadata = Metadata::new().with_timeout(SECOND);
    let error = metadata.scope(async { scene.back.send(Add(7)).await }).await.unwrap_err();
    assert_eq!((error.message, error.refusal), (Add(7), Refusal::Deadline));
    assert!(began.elapsed() >= SECOND && began.elapsed() <= SECOND + Duration::from_millis(2));
    let late = Metadata::new().with_timeout(Duration::ZERO);
    let error = late.scope(async { scene.back.send(Add(8)).await }).await.unwrap_err();
    assert_eq!((error.message, error.refusal), (Add(8), Refusal::Deadline));
}

#[test]
fn a_thread_without_a_runtime_gives_up_as_well() {
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let runtime = Runtime::builder().tokio(tokio.handle().clone()).build();
    let (state, gate) = Gated::new();
    let back = runtime.configure("back").mailbox(Mailbox::bounded(1)).spawn(state).unwrap();
    tokio.block_on(gate.wait_until_busy(&back));
    back.tell(Wait).unwrap();
    let metadata = Metadata::new().with_timeout(Duration::from_millis(20));
    let error = metadata.in_scope(|| back.blocking_send(Add(7))).unwrap_err();
    assert_eq!((error.message, error.refusal), (Add(7), Refusal::Deadline));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_inherited_into_an_older_runtime() {
    struct Far(Address<Gated>);
    impl Subsystem for Far {}
    impl Handler<Wait> for Far {
        type Reply = Result<usize, AskFailure>;
        async fn handle(&mut self, _: Wait, _: &mut Context<Self>) -> Self::Reply {
            tokio::time::sleep(SECOND).await;
            self.0.ask(Add(1)).await.map_err(|error| error.failure)
        }
    }
    let (old, young) = (Runtime::new(), Runtime::new());
    let (state, gate) = Gated::new();
    gate.open();
    let back = old.spawn("back", state).unwrap();
    back.ask(Add(1)).await.unwrap();
    tokio::time::sleep(HOUR).await;
    let front = young.spawn("front", Far(back)).unwrap();
    assert_eq!(front.ask(Wait).await.unwrap(), Ok(2));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_inherited_into_a_younger_runtime() {
    struct Far(Address<Gated>, Option<oneshot::Sender<Duration>>);
    impl Subsystem for Far {}
    impl Handler<Wait> for Far {
        type Reply = ();
        async fn handle(&mut self, _: Wait, _: &mut Context<Self>) {
            let began = tokio::time::Instant::now();
            tokio::time::sleep(SECOND).await;
            let _ = self.0.ask(Add(1)).await;
            self.1.take().unwrap().send(began.elapsed()).unwrap();
        }
    }
    let (old, young) = (Runtime::new(), Runtime::new());
    let (state, gate) = Gated::new();
    gate.open();
    old.spawn("other", state).unwrap().ask(Add(1)).await.unwrap();
    tokio::time::sleep(HOUR).await;
    let back = young.spawn("back", Gated::new().0).unwrap();
    let (sender, took) = oneshot::channel();
    let front = old.spawn("front", Far(back, Some(sender))).unwrap();
    front.ask(Wait).within(2 * SECOND).await.unwrap_err();
    let took = took.await.unwrap();
    assert!(took < 3 * SECOND, "{took:?}");
}
