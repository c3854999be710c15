//! Limits of time depend on no particular thread and no particular tokio. A limit that does not come is a test that does not end.
#![cfg(not(mycelia_loom))]

use std::pin::{Pin, pin};
use std::sync::{Arc, mpsc};
use std::task::{Context as Task, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use mycelia_actors::prelude::*;
use tokio::runtime::{Builder, Runtime as Tokio};

const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(3600);

struct Silent;
impl Subsystem for Silent {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Question>("question");
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Question {}
impl Handler<Question> for Silent {
    type Reply = ();
    async fn handle(&mut self, _: Question, _: &mut Context<Self>) {
        std::future::pending().await
    }
}

/// Keeps the duty to reply for ever.
impl Handler<ReplyTo<()>> for Silent {
    type Reply = ();
    async fn handle(&mut self, reply: ReplyTo<()>, _: &mut Context<Self>) {
        std::mem::forget(reply);
    }
}

/// Blocks its thread until the other end of the channel is dropped.
struct Block(mpsc::Receiver<()>, mpsc::Sender<()>);
impl Handler<Block> for Silent {
    type Reply = ();
    async fn handle(&mut self, Block(until, begun): Block, _: &mut Context<Self>) {
        begun.send(()).unwrap();
        let _ = until.recv();
    }
}

/// Asks another, and tells how that ended.
struct Asks(Address<Silent>, mpsc::Sender<AskFailure>);
impl Handler<Asks> for Silent {
    type Reply = ();
    async fn handle(&mut self, Asks(other, failed): Asks, _: &mut Context<Self>) {
        failed.send(other.ask(Question {}).within(SHORT).await.unwrap_err().failure).unwrap();
    }
}

fn single() -> Tokio {
    Builder::new_current_thread().enable_time().build().unwrap()
}

fn paused() -> Tokio {
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

fn workers(count: usize) -> Tokio {
    Builder::new_multi_thread().worker_threads(count).enable_time().build().unwrap()
}

/// A runtime on this tokio, and one of its subsystems, which has been spawned from outside.
fn silent_on(tokio: &Tokio) -> (Runtime, Address<Silent>) {
    let runtime = Runtime::builder().tokio(tokio.handle().clone()).build();
    let silent = runtime.configure("silent").mailbox(Mailbox::bounded(1)).spawn(Silent).unwrap();
    (runtime, silent)
}

fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Task::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}

/// Every verb that waits with a limit, where its runtime's own tokio does not help. The mailbox is full at last.
async fn all_end(runtime: &Runtime, silent: &Address<Silent>) {
    let is_late = |failure| assert!(matches!(failure, AskFailure::Deadline(_)), "{failure:?}");
    let within = Metadata::new().with_timeout(SHORT);
    is_late(silent.ask(Question {}).within(SHORT).await.unwrap_err().failure);
    while silent.tell(Question {}).is_ok() {}
    is_late(silent.ask(Question {}).within(SHORT).await.unwrap_err().failure);
    is_late(silent.ask_with_within(SHORT, |reply: ReplyTo<()>| reply).await.unwrap_err().failure);
    let by_path = runtime.ask::<(), _>("silent://question", Question {}).within(SHORT).await.unwrap_err();
    assert!(matches!(by_path.failure, mycelia_actors::PathAskFailure::Ask(AskFailure::Deadline(_))));
    let sent = within.in_scope(|| silent.send(Question {})).await.unwrap_err();
    assert_eq!(sent.refusal, Refusal::Deadline);
    assert!(within.in_scope(|| runtime.send("silent://question", Question {})).await.is_err());
}

/// The same, of those that block the thread.
fn all_blocking_end(silent: &Address<Silent>) {
    let failure = silent.blocking_ask(Question {}, SHORT).unwrap_err().failure;
    assert!(matches!(failure, AskFailure::Deadline(_)), "{failure:?}");
    while silent.tell(Question {}).is_ok() {}
    let within = Metadata::new().with_timeout(SHORT);
    let sent = within.in_scope(|| silent.blocking_send(Question {})).unwrap_err();
    assert_eq!(sent.refusal, Refusal::Deadline);
}

#[test]
fn where_no_thread_drives_the_tokio() {
    for tokio in [single(), paused()] {
        let (runtime, silent) = silent_on(&tokio);
        all_blocking_end(&silent);
        block_on(all_end(&runtime, &silent));
        for other in [single(), paused(), workers(1)] {
            other.block_on(all_end(&runtime, &silent));
            other.block_on(async { all_blocking_end(&silent) });
        }
    }
}

#[test]
fn where_a_thread_blocks_its_own_tokio() {
    for tokio in [single(), paused(), workers(1)] {
        let (_runtime, silent) = silent_on(&tokio);
        tokio.block_on(async { all_blocking_end(&silent) });
    }
}

#[test]
fn where_all_workers_are_blocked() {
    let tokio = workers(1);
    let (runtime, silent) = silent_on(&tokio);
    let (release, until) = mpsc::channel();
    let (begun, has_begun) = mpsc::channel();
    silent.tell(Block(until, begun)).unwrap();
    has_begun.recv().unwrap();
    all_blocking_end(&silent);
    block_on(all_end(&runtime, &silent));
    for other in [single(), paused(), workers(1)] {
        other.block_on(all_end(&runtime, &silent));
    }
    // Its own tasks hear of it as soon as they are polled; this one is on another thread.
    tokio.block_on(all_end(&runtime, &silent));
    drop(release);
}

#[test]
fn an_ask_on_a_blocked_tokio_has_ended_by_its_next_poll() {
    for tokio in [single(), workers(1)] {
        let (_runtime, silent) = silent_on(&tokio);
        let other = silent.clone();
        let task = tokio.spawn(async move {
            let mut ask = pin!(other.ask(Question {}).within(SHORT));
            assert!(poll_once(ask.as_mut()).is_pending());
            // As long as it takes another ask, which began later, to end.
            assert!(other.blocking_ask(Question {}, SHORT * 4).is_err());
            let Poll::Ready(Err(error)) = poll_once(ask.as_mut()) else { panic!("it has not ended") };
            error.failure
        });
        let failure = tokio.block_on(task).unwrap();
        assert_eq!(failure, AskFailure::Deadline(SHORT));
    }
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Task::from_waker(Waker::noop()))
}

#[test]
fn where_tokios_come_and_go() {
    let home = workers(1);
    let (runtime, silent) = silent_on(&home);
    for _ in 0..3 {
        let kept = [single(), paused(), workers(1)];
        for tokio in [single(), paused(), workers(1)] {
            // Each leaves an ask behind when it goes, or when nobody drives it any more.
            for tokio in kept.iter().chain([&tokio]) {
                tokio.block_on(async {
                    assert!(poll_once(pin!(silent.ask(Question {}).within(LONG))).is_pending())
                });
            }
            drop(tokio);
            kept.iter().for_each(|tokio| tokio.block_on(all_end(&runtime, &silent)));
            block_on(all_end(&runtime, &silent));
        }
    }
}

#[test]
fn an_ask_that_outlives_the_tokio_it_was_polled_on_ends_all_the_same() {
    let home = workers(1);
    let (_runtime, silent) = silent_on(&home);
    for tokio in [single(), paused(), workers(1)] {
        let mut ask = pin!(silent.ask(Question {}).within(SHORT));
        tokio.block_on(async { assert!(poll_once(ask.as_mut()).is_pending()) });
        drop(tokio);
        assert_eq!(block_on(ask).unwrap_err().failure, AskFailure::Deadline(SHORT));
    }
}

#[test]
fn where_a_subsystem_has_a_thread_of_its_own_and_its_tokio_none() {
    let tokio = single();
    let (runtime, silent) = silent_on(&tokio);
    let own = runtime.configure("own").own_thread().spawn(Silent).unwrap();
    let (failed, failure) = mpsc::channel();
    own.tell(Asks(silent, failed)).unwrap();
    assert_eq!(failure.recv().unwrap(), AskFailure::Deadline(SHORT));
}

/// In a tokio whose clock is paused, its time is what counts: an hour passes at once, and not early.
#[test]
fn a_paused_clock_is_the_only_one_that_counts() {
    for pauses_later in [false, true] {
        let tokio = if pauses_later { single() } else { paused() };
        tokio.block_on(async {
            let runtime = Runtime::new();
            let silent = runtime.spawn("silent", Silent).unwrap();
            if pauses_later {
                assert!(silent.ask(Question {}).within(SHORT).await.is_err());
                tokio::time::pause();
            }
            let since = tokio::time::Instant::now();
            assert!(silent.ask(Question {}).within(LONG).await.is_err());
            assert!(since.elapsed() >= LONG && since.elapsed() <= LONG + LONG / 100);
            // Real time goes by, and its own does not.
            let mut ask = pin!(silent.ask(Question {}).within(SHORT));
            assert!(poll_once(ask.as_mut()).is_pending());
            assert!(silent.blocking_ask(Question {}, SHORT * 4).is_err());
            assert!(poll_once(ask.as_mut()).is_pending());
            tokio::time::advance(SHORT * 4).await;
            assert!(ask.await.is_err());
        });
    }
}

#[test]
fn a_thread_that_is_unparked_by_others_hears_of_the_reply_all_the_same() {
    struct Echo;
    impl Subsystem for Echo {}
    impl Handler<u64> for Echo {
        type Reply = u64;
        async fn handle(&mut self, n: u64, _: &mut Context<Self>) -> u64 {
            n
        }
    }
    let tokio = workers(1);
    // The first ask of each starts the thread that looks at deadlines, and waits for it while the reply comes.
    for n in 0..200 {
        let runtime = Runtime::builder().tokio(tokio.handle().clone()).build();
        let echo = runtime.spawn_unnamed(Echo).unwrap();
        assert_eq!(echo.blocking_ask(n, LONG).unwrap(), n);
        assert_eq!(block_on(echo.ask(n).within(LONG)).unwrap(), n);
        thread::current().unpark();
        assert_eq!(echo.blocking_ask(n, LONG).unwrap(), n);
    }
}
