//! Side tasks at a stop: which of them it waits for, and what becomes of them and their messages.
#![cfg(not(mycelia_loom))]

mod drains;
mod subsystems;

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context as Task, Poll, Wake, Waker};
use std::time::Duration;

use drains::{Desk, Log, Note, SECOND, With, desk, lines, settle, settled, with};
use futures_core::Stream;
use mycelia_actors::prelude::*;
use mycelia_actors::{AtStop, DeadLetter, Metadata, OverflowPolicy, Reason, ReplyTo, TaskHandle};
use tokio::time::{Instant, sleep};

const HOUR: Duration = Duration::from_secs(3600);

/// Makes a pipe of this future.
async fn pipe(desk: &Address<Desk>, future: impl Future<Output = Note> + Send + 'static) -> TaskHandle {
    with(desk, move |cx| cx.pipe(future)).await
}

fn spawn(runtime: &Runtime) -> (Address<Desk>, Log) {
    let (desk, log) = desk();
    (runtime.spawn_unnamed(desk).unwrap(), log)
}

/// Stops it; what it has written down then. A stop that takes this long waits for what does not come.
async fn stop(desk: &Address<Desk>, log: &Log) -> Vec<String> {
    desk.stop();
    let ended = tokio::time::timeout(HOUR, desk.ended()).await;
    assert!(matches!(ended, Ok(Exit::Stopped)), "{ended:?}, {:?}", desk.side_tasks());
    settled(desk);
    let own = desk.name().to_string();
    lines(log).iter().map(|line| line.trim_start_matches(&own).trim().to_owned()).collect()
}

/// Waits once, and wakes itself like this before.
async fn wake(how: impl Fn(&Waker)) {
    let mut woken = false;
    poll_fn(|task| {
        if std::mem::replace(&mut woken, true) {
            return Poll::Ready(());
        }
        how(task.waker());
        Poll::Pending
    })
    .await;
}

/// Polls what is inside with a waker of its own, as many combinators do.
async fn behind<T>(inside: impl Future<Output = T>) -> T {
    struct Own(Waker);
    impl Wake for Own {
        fn wake(self: Arc<Self>) {
            self.0.wake_by_ref();
        }
    }
    let mut inside = pin!(inside);
    let mut own = None;
    poll_fn(|task| {
        let own = own.get_or_insert_with(|| Waker::from(Arc::new(Own(task.waker().clone()))));
        inside.as_mut().poll(&mut Task::from_waker(own))
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_pipe_that_was_woken_while_it_was_polled_is_waited_for() {
    let by_itself = |waker: &Waker| waker.wake_by_ref();
    let by_another_thread = |waker: &Waker| {
        // The clone is used up before the poll returns.
        let waker = waker.clone();
        std::thread::scope(|scope| drop(scope.spawn(|| waker.wake())));
    };
    for how in [by_itself as fn(&Waker), by_another_thread] {
        for shuts_down in [false, true] {
            let runtime = Runtime::new();
            let (one, log) = spawn(&runtime);
            pipe(&one, async move {
                for _ in 0..100 {
                    wake(how).await;
                }
                Note("done")
            })
            .await;
            if shuts_down {
                runtime.shutdown().await.unwrap();
            }
            assert_eq!(stop(&one, &log).await, ["done", "stopped"]);
        }
    }
}

/// Such a channel wakes its reader itself, after 128 items in a row.
#[tokio::test(start_paused = true)]
async fn a_pipe_that_reads_a_channel_is_waited_for() {
    let runtime = Runtime::new();
    let (one, log) = spawn(&runtime);
    let channel = mycelia_queue::Channel::new(1000, OverflowPolicy::Error);
    (0..1000).for_each(|number| assert!(channel.push(number).is_ok()));
    channel.close();
    let stopping = one.clone();
    pipe(&one, async move {
        stopping.stop();
        while channel.recv().await.is_some() {}
        Note("all read")
    })
    .await;
    assert_eq!(stop(&one, &log).await, ["all read", "stopped"]);
}

#[tokio::test(start_paused = true)]
async fn a_pipe_that_waits_for_several_ends_holds_no_stop_up() {
    for is_behind in [false, true] {
        let runtime = Runtime::new();
        let (parent, log) = spawn(&runtime);
        let first = with(&parent, move |cx| {
            let children: [Address<Desk>; 2] = std::array::from_fn(|_| cx.spawn(Desk::default()).unwrap());
            let first = children[0].clone();
            let [a, b] = children;
            let both = async move {
                tokio::join!(b.ended(), a.ended());
                Note("both")
            };
            if is_behind {
                cx.pipe(behind(both))
            } else {
                cx.pipe(both)
            };
            first
        })
        .await;
        settle().await;
        first.stop();
        first.ended().await;
        settle().await;
        stop(&parent, &log).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_pipe_with_work_beside_an_end_is_waited_for() {
    for waits_for_event in [false, true] {
        let runtime = Runtime::new();
        let (one, log) = spawn(&runtime);
        let (other, _) = spawn(&runtime);
        let mut events = runtime.bus().subscribe::<u8>("{*all}", 1).unwrap();
        pipe(&one, async move {
            let other = async {
                if waits_for_event {
                    poll_fn(|task| Pin::new(&mut events).poll_next(task)).await;
                } else {
                    other.ended().await;
                }
            };
            tokio::select! {
                () = other => Note("no work"),
                () = sleep(5 * SECOND) => Note("work"),
            }
        })
        .await;
        settle().await;
        assert_eq!(stop(&one, &log).await, ["work", "stopped"]);
    }
}

/// Read as a stream, and then not at all.
#[tokio::test(start_paused = true)]
async fn a_pipe_that_waits_for_the_next_event_holds_no_stop_up() {
    let runtime = Runtime::new();
    for works_then in [false, true] {
        let (one, log) = spawn(&runtime);
        let mut events = runtime.bus().subscribe::<u8>("{*all}", 1).unwrap();
        pipe(&one, async move {
            let mut next = pin!(poll_fn(|task| Pin::new(&mut events).poll_next(task)));
            tokio::select! {
                biased;
                _ = &mut next => {}
                () = wake(Waker::wake_by_ref), if works_then => sleep(SECOND).await,
            }
            Note("done")
        })
        .await;
        settle().await;
        let done = stop(&one, &log).await;
        assert_eq!(done.len(), if works_then { 2 } else { 1 }, "{done:?}");
    }
}

/// Others are told of the end before the pipe is, and one of them stops its subsystem meanwhile.
#[test]
fn a_pipe_that_is_about_to_hear_of_an_end_is_waited_for() {
    struct Stops(Address<Desk>, AtomicBool);
    impl Wake for Stops {
        fn wake(self: Arc<Self>) {
            // On a thread of its own, for this one's worker is busy: with this.
            std::thread::scope(|scope| drop(scope.spawn(|| self.0.stop())));
            // Time enough for a stop that does not wait.
            let tries = std::iter::repeat_with(std::thread::yield_now).take(20_000);
            let ended = tries.fold(false, |ended, ()| ended | self.0.exit().is_some());
            self.1.store(ended, Ordering::SeqCst);
        }
    }
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    tokio.block_on(async {
        let runtime = Runtime::new();
        let (one, log) = spawn(&runtime);
        let (other, _) = spawn(&runtime);
        other.started().await.unwrap();
        let stops = Arc::new(Stops(one.clone(), AtomicBool::new(false)));
        let mut first = Box::pin(other.ended());
        let waker = Waker::from(Arc::clone(&stops));
        assert!(first.as_mut().poll(&mut Task::from_waker(&waker)).is_pending());
        let (waits, does_wait) = tokio::sync::oneshot::channel();
        let it = other.clone();
        pipe(&one, async move {
            let mut ended = pin!(it.ended());
            let mut waits = Some(waits);
            poll_fn(|task| {
                let poll = ended.as_mut().poll(task);
                waits.take().map(|waits| waits.send(()));
                poll
            })
            .await;
            Note("heard")
        })
        .await;
        does_wait.await.unwrap();
        other.stop();
        assert!(matches!(one.ended().await, Exit::Stopped));
        assert!(!stops.1.load(Ordering::SeqCst), "ended before the pipe was woken");
        assert_eq!(*log.lock().unwrap(), ["heard", "Desk#0 stopped"]);
    });
}

struct Later(ReplyTo<u8>);
impl Handler<Later> for Desk {
    type Reply = ();
    async fn handle(&mut self, Later(reply): Later, cx: &mut Context<Self>) {
        cx.pipe(async move {
            sleep(SECOND).await;
            reply.reply(7);
            Note("replied")
        });
    }
}

/// Carries the duty to reply to a handler that keeps it.
struct Keep(ReplyTo<u8>, Arc<Mutex<Option<ReplyTo<u8>>>>);
impl Handler<Keep> for Desk {
    type Reply = ();
    async fn handle(&mut self, Keep(reply, kept): Keep, _: &mut Context<Self>) {
        *kept.lock().unwrap() = Some(reply);
    }
}

async fn poll_once<F: Future>(mut future: Pin<&mut F>) {
    poll_fn(|task| {
        assert!(future.as_mut().poll(task).is_pending());
        Poll::Ready(())
    })
    .await;
}

/// The asker holds its ask and does not look: it may be in a `select!`, whose other branch is at work.
#[tokio::test(start_paused = true)]
async fn a_promise_is_over_when_it_is_kept_broken_or_late() {
    let runtime = Runtime::new();
    let began = Instant::now();
    let (one, log) = spawn(&runtime);
    let mut ask = pin!(one.ask_with(Later));
    poll_once(ask.as_mut()).await;
    settle().await;
    assert_eq!(stop(&one, &log).await, ["replied", "stopped"]);
    assert_eq!(ask.await.unwrap(), 7);

    for breaks in [true, false] {
        let (one, log) = spawn(&runtime);
        let kept = Arc::default();
        let mut ask = pin!(one.ask_with_within(10 * SECOND, |reply| Keep(reply, Arc::clone(&kept))));
        poll_once(ask.as_mut()).await;
        settle().await;
        let stopped = tokio::spawn({
            let one = one.clone();
            async move { stop(&one, &log).await }
        });
        settle().await;
        assert!(!stopped.is_finished(), "its asker waits");
        if breaks {
            drop(kept.lock().unwrap().take());
        }
        stopped.await.unwrap();
        assert!(ask.await.is_err());
    }
    assert!(began.elapsed() < 12 * SECOND, "{:?}", began.elapsed());
}

/// Also what is said of a side task from outside, during the stop.
#[tokio::test(start_paused = true)]
async fn at_stop_is_heard_during_a_stop() {
    for at_stop in [AtStop::Keep, AtStop::End] {
        let runtime = Runtime::new();
        let (one, log) = spawn(&runtime);
        let never = async {
            sleep(24 * HOUR).await;
            Note("late")
        };
        let late = pipe(&one, never).await;
        one.stop();
        settle().await;
        assert!(one.exit().is_none());
        let _ = late.at_stop(at_stop);
        assert_eq!(stop(&one, &log).await, ["stopped"]);
        assert_eq!(one.side_tasks().cancelled, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn stopping_is_ready_also_after_a_failure() {
    struct Fail;
    impl Handler<Fail> for Desk {
        type Reply = ();
        async fn handle(&mut self, _: Fail, _: &mut Context<Self>) {
            panic!("on purpose");
        }
    }
    let runtime = Runtime::new();
    let (one, _) = spawn(&runtime);
    let heard = tokio::spawn(with(&one, |cx| cx.stopping()).await);
    settle().await;
    one.ask(Fail).await.unwrap_err();
    one.ended().await;
    tokio::time::timeout(HOUR, heard).await.expect("never told").unwrap();
}

/// The same for one whose tokio has gone.
#[test]
fn stopping_is_ready_also_when_tokio_has_gone() {
    struct Flag(AtomicBool);
    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_runtime, one, mut stopping) = tokio.block_on(async {
        let runtime = Runtime::new();
        let (one, _) = spawn(&runtime);
        let stopping = with(&one, |cx| cx.stopping()).await;
        (runtime, one, Box::pin(stopping))
    });
    let flag = Arc::new(Flag(AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&flag));
    assert!(stopping.as_mut().poll(&mut Task::from_waker(&waker)).is_pending());
    drop(tokio);
    assert!(matches!(one.exit(), Some(Exit::Abandoned)));
    assert!(flag.0.load(Ordering::SeqCst), "never told");
}

/// Cancelled in the middle of a poll that has its message: by another thread, for all that the side task knows.
#[tokio::test(start_paused = true)]
async fn a_side_task_that_was_cancelled_sends_nothing() {
    let runtime = Runtime::new();
    let letters = runtime.dead_letters(8);
    let (one, log) = spawn(&runtime);
    let own = Arc::new(Mutex::new(None::<TaskHandle>));
    let mine = Arc::clone(&own);
    let traced = Metadata::new().with_trace(TRACE.parse().unwrap());
    let work = With(move |cx: &Context<Desk>| {
        let handle = cx.pipe(async move {
            mine.lock().unwrap().take().unwrap().cancel();
            Note("late")
        });
        *own.lock().unwrap() = Some(handle);
    });
    traced.in_scope(|| one.ask(work)).await.unwrap();
    settle().await;
    assert_eq!((one.side_tasks().cancelled, one.stats().undelivered), (1, 1));
    let letter = letters.try_recv().unwrap();
    assert_eq!((letter.reason(), trace(&letter)), (Reason::Undelivered, TRACE_ID.to_owned()));
    assert_eq!(stop(&one, &log).await, ["stopped"]);
}

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn trace(letter: &DeadLetter) -> String {
    let trace = letter.metadata().and_then(Metadata::trace).expect("no trace");
    format!("{:032x}", trace.trace_id())
}

#[tokio::test(start_paused = true)]
async fn the_dead_letter_of_an_abandoned_side_task_has_its_metadata() {
    let runtime = Runtime::new();
    let letters = runtime.dead_letters(8);
    let (one, log) = spawn(&runtime);
    let traced = Metadata::new().with_trace(TRACE.parse().unwrap());
    let work = With(|cx: &Context<Desk>| drop(cx.pipe(std::future::pending::<Note>())));
    traced.in_scope(|| one.ask(work)).await.unwrap();
    stop(&one, &log).await;
    let letter = letters.try_recv().unwrap();
    assert_eq!((letter.reason(), trace(&letter)), (Reason::Abandoned, TRACE_ID.to_owned()));
}

/// What it was told, and how that counts, is seen at the same time.
#[test]
fn a_pipe_that_was_cancelled_counts_as_cancelled() {
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    tokio.block_on(async {
        let runtime = Runtime::new();
        let (one, _) = spawn(&runtime);
        for _ in 0..300 {
            let never = async {
                loop {
                    wake(Waker::wake_by_ref).await;
                }
            };
            let handle = pipe(&one, never).await;
            handle.cancel();
            while !handle.is_finished() {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(one.side_tasks().cancelled, 300, "{:?}", one.side_tasks());
    });
}

/// Takes a millisecond.
struct Work;
impl Handler<Work> for Desk {
    type Reply = ();
    async fn handle(&mut self, _: Work, _: &mut Context<Self>) {
        sleep(Duration::from_millis(1)).await;
    }
}

/// Its messages alone would keep the subsystem at work for ever.
#[tokio::test(start_paused = true)]
async fn a_kept_stream_that_is_always_ready_holds_no_stop_up() {
    struct Always;
    impl Stream for Always {
        type Item = Work;
        fn poll_next(self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<Option<Work>> {
            Poll::Ready(Some(Work))
        }
    }
    for (streams, has_child) in [(1, false), (3, false), (1, true), (3, true)] {
        let runtime = Runtime::new();
        let (one, log) = spawn(&runtime);
        with(&one, move |cx| {
            (0..streams).for_each(|_| _ = cx.attach(Always).at_stop(AtStop::Keep));
            cx.send_every(SECOND, Note("kept")).at_stop(AtStop::Keep);
            cx.pipe(async {
                sleep(5 * SECOND).await;
                Note("done")
            });
            has_child.then(|| cx.spawn(Desk::default()).unwrap());
        })
        .await;
        settle().await;
        let began = Instant::now();
        let log = stop(&one, &log).await;
        let kept = log.iter().filter(|line| **line == "kept").count();
        assert!(log.iter().any(|line| line == "done") && (1..7).contains(&kept), "{log:?}");
        assert!(began.elapsed() < 10 * SECOND, "{:?}", began.elapsed());
    }
}
