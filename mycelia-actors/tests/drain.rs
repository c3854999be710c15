//! Ending subsystems without losing what was accepted: stops of a subtree, and shutdowns.
#![cfg(not(mycelia_loom))]

mod drains;
mod subsystems;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use drains::{Desk, Log, Note, SECOND, Work, desk, lines, settle, settled, with};
use mycelia_actors::prelude::*;
use mycelia_actors::{AskFailure, AtStop, DeadLetter, Reason, Refusal, SpawnError};
use subsystems::accounted;
use tokio::time::{Instant, sleep};

const MS: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);

struct Watches(Arc<AtomicU64>);
impl Subsystem for Watches {}
impl Handler<Terminated> for Watches {
    type Reply = ();
    async fn handle(&mut self, _: Terminated, _: &mut Context<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
struct Watch(Address<Desk>);
impl Handler<Watch> for Watches {
    type Reply = ();
    async fn handle(&mut self, Watch(other): Watch, cx: &mut Context<Self>) {
        cx.watch(&other).unwrap();
    }
}

/// Found by `sequences`: suspended, and told of an end, before its loop had looked at either.
#[tokio::test(start_paused = true)]
async fn one_that_is_suspended_hears_of_ends_in_a_shutdown() {
    let runtime = Runtime::new();
    let heard = Arc::new(AtomicU64::new(0));
    let watches = runtime.spawn("watches", Watches(Arc::clone(&heard))).unwrap();
    let other = runtime.spawn("other", Desk::default()).unwrap();
    watches.ask(Watch(other.clone())).await.unwrap();
    tokio::task::yield_now().await;
    other.kill();
    watches.suspend();
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    let began = Instant::now();
    runtime.shutdown().await.unwrap();
    assert_eq!((heard.load(Ordering::Relaxed), began.elapsed()), (1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_stop_and_a_shutdown_wait_for_what_was_piped() {
    for shutdown in [false, true] {
        let runtime = Runtime::new();
        let (state, log) = desk();
        let one = runtime.spawn("one", state).unwrap();
        with(&one, |cx| {
            cx.pipe(async {
                sleep(5 * SECOND).await;
                Note("paid")
            })
        })
        .await;
        if shutdown {
            runtime.shutdown().await.unwrap();
        } else {
            one.stop();
            assert!(matches!(one.ended().await, Exit::Stopped));
        }
        assert_eq!(lines(&log), ["paid", "one stopped"]);
        assert_eq!(one.side_tasks().finished, 1);
        settled(&one);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pipe_that_nothing_can_wake_holds_no_stop_up() {
    let runtime = Runtime::new();
    let (state, log) = desk();
    let one = runtime.spawn("one", state).unwrap();
    let letters = runtime.dead_letters(8);
    let held = Arc::new(());
    let mine = Arc::clone(&held);
    with(&one, move |cx| {
        cx.pipe(async move {
            let _mine = mine;
            std::future::pending::<Note>().await
        })
    })
    .await;
    one.stop();
    assert!(matches!(one.ended().await, Exit::Stopped));
    assert_eq!(Arc::strong_count(&held), 1, "what it held is gone when the end is told");
    assert_eq!((lines(&log), one.side_tasks().abandoned), (vec!["one stopped".to_owned()], 1));
    let letter = letters.try_recv().unwrap();
    assert_eq!(letter.reason(), Reason::Abandoned);
    assert!(letter.message_type().ends_with("Note"), "{letter}");
    settled(&one);
}

#[tokio::test(start_paused = true)]
async fn what_was_accepted_is_passed_on_to_children_and_they_may_answer() {
    /// Gives each number to a child of its own, which tells it back.
    #[derive(Default)]
    struct Router {
        children: BTreeMap<u32, Address<Worker>>,
        done: Vec<u32>,
        at_the_end: Arc<Mutex<Vec<u32>>>,
    }
    struct Worker(Address<Router>);
    struct Job(u32);
    struct Done(u32);
    impl Subsystem for Router {
        async fn stopped(&mut self, _: &Exit, _: &mut Context<Self>) {
            self.at_the_end.lock().unwrap().append(&mut self.done);
        }
    }
    impl Subsystem for Worker {}
    impl Handler<Job> for Router {
        type Reply = ();
        async fn handle(&mut self, Job(number): Job, cx: &mut Context<Self>) {
            let address = cx.address().clone();
            let key = number % 50;
            let worker = self.children.entry(key).or_insert_with(|| cx.spawn(Worker(address)).unwrap());
            worker.send(Job(number)).await.unwrap();
        }
    }
    impl Handler<Done> for Router {
        type Reply = ();
        async fn handle(&mut self, Done(number): Done, _: &mut Context<Self>) {
            self.done.push(number);
        }
    }
    impl Handler<Job> for Worker {
        type Reply = ();
        async fn handle(&mut self, Job(number): Job, _: &mut Context<Self>) {
            sleep(MS).await;
            if number % 2 == 0 {
                self.0.tell(Done(number)).unwrap();
            } else {
                self.0.ask(Done(number)).await.unwrap();
            }
        }
    }
    for shutdown in [false, true] {
        let runtime = Runtime::new();
        let done = Arc::default();
        let router = Router { at_the_end: Arc::clone(&done), ..Router::default() };
        let router = runtime.spawn("router", router).unwrap();
        for number in 0..500 {
            router.tell(Job(number)).unwrap();
        }
        if shutdown {
            runtime.shutdown().await.unwrap();
        } else {
            router.stop();
            let refused = router.tell(Job(0)).unwrap_err();
            assert_eq!(refused.refusal, Refusal::Stopped, "from outside");
            assert!(matches!(router.ended().await, Exit::Stopped));
        }
        let mut done = std::mem::take(&mut *done.lock().unwrap());
        done.sort_unstable();
        assert_eq!(done, (0..500).collect::<Vec<_>>());
        let survey = runtime.inspector().survey();
        assert_eq!((survey.total().accounted(), survey.total().lost()), (survey.total().sent, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn side_tasks_end_as_they_say_at_a_stop() {
    let runtime = Runtime::new();
    let (state, log) = desk();
    let one = runtime.spawn("one", state).unwrap();
    with(&one, |cx| {
        cx.send_every(SECOND, Note("kept")).at_stop(AtStop::Keep);
        cx.send_after(SECOND * 3 / 2, Note("waited for")).at_stop(AtStop::Wait);
        cx.send_every(SECOND, Note("never"));
        cx.pipe(async {
            sleep(SECOND).await;
            Note("ended")
        })
        .at_stop(AtStop::End);
        let stopping = cx.stopping();
        cx.pipe(async move {
            stopping.await;
            Note("stopping")
        });
    })
    .await;
    settle().await;
    one.stop();
    assert!(matches!(one.ended().await, Exit::Stopped));
    assert_eq!(lines(&log), ["stopping", "kept", "waited for", "one stopped"]);
    let side_tasks = one.side_tasks();
    assert_eq!((side_tasks.finished, side_tasks.cancelled), (2, 3), "{side_tasks:?}");
    settled(&one);
}

#[tokio::test(start_paused = true)]
async fn an_item_that_a_stream_has_given_still_goes_in() {
    struct Items(u32);
    impl futures_core::Stream for Items {
        type Item = Note;
        fn poll_next(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Note>> {
            self.0 += 1;
            std::task::Poll::Ready(Some(Note("item")))
        }
    }
    let runtime = Runtime::new();
    let (state, log) = desk();
    let one = runtime.configure("one").mailbox(Mailbox::bounded(2)).budget(1).spawn(state).unwrap();
    with(&one, |cx| {
        cx.address().tell(Work(SECOND)).unwrap();
        cx.attach(Items(0));
    })
    .await;
    settle().await;
    assert_eq!((one.stats().waiting, one.stats().queued), (1, 2));
    let before = lines(&log).len();
    one.stop();
    assert!(matches!(one.ended().await, Exit::Stopped));
    // Those in the mailbox, and the one that waited for capacity.
    assert_eq!(lines(&log).len() - before, 3 + 1, "{:?}", lines(&log));
    assert_eq!(one.side_tasks().cancelled, 1);
    settled(&one);
}

#[tokio::test(start_paused = true)]
async fn a_pipe_that_waits_for_an_end_or_a_subscription_holds_no_stop_up() {
    let runtime = Runtime::new();
    let one = runtime.spawn("one", Desk::default()).unwrap();
    let other = runtime.spawn("other", Desk::default()).unwrap();
    let (bus, letters) = (runtime.bus(), runtime.dead_letters(1));
    let (it, to) = (other.clone(), one.clone());
    with(&one, move |cx| {
        let child = cx.spawn(Desk::default()).unwrap();
        cx.pipe(async move {
            child.ended().await;
            Note("child ended")
        });
        cx.pipe(async move {
            it.ended().await;
            Note("other ended")
        });
        let mut events = bus.subscribe::<u8>("{*all}", 1).unwrap();
        cx.pipe(async move {
            events.recv().await;
            Note("event")
        });
        cx.pipe(async move {
            letters.recv().await;
            Note("letter")
        });
    })
    .await;
    with(&other, move |cx| {
        cx.pipe(async move {
            to.ended().await;
            Note("one ended")
        })
    })
    .await;
    settle().await;
    let began = Instant::now();
    runtime.shutdown().await.unwrap();
    assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
    settled(&one);
    settled(&other);
}

#[tokio::test(start_paused = true)]
async fn a_promised_reply_is_waited_for() {
    struct Query(ReplyTo<u8>);
    impl Handler<Query> for Desk {
        type Reply = ();
        async fn handle(&mut self, Query(reply): Query, _: &mut Context<Self>) {
            tokio::spawn(async move {
                sleep(SECOND).await;
                reply.reply(7);
            });
        }
    }
    let runtime = Runtime::new();
    let one = runtime.spawn("one", Desk::default()).unwrap();
    let asker = one.clone();
    let asked = tokio::spawn(async move { asker.ask_with(Query).await });
    settle().await;
    let began = Instant::now();
    one.stop();
    assert!(matches!(one.ended().await, Exit::Stopped));
    assert!(began.elapsed() >= SECOND);
    assert_eq!(asked.await.unwrap().unwrap(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_is_one_whoever_calls_it() {
    let runtime = Runtime::new();
    let one = runtime.spawn("one", Desk::default()).unwrap();
    one.tell(Work(MINUTE)).unwrap();
    settle().await;
    let began = Instant::now();
    {
        // Given up half way: it goes on.
        let mut given_up = Box::pin(runtime.shutdown_within(MINUTE / 2));
        assert!(tokio::time::timeout(SECOND, &mut given_up).await.is_err());
    }
    assert_eq!(runtime.spawn("late", Desk::default()).unwrap_err(), SpawnError::ShutDown);
    // Another joins, and has less time.
    let first = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.shutdown().await }
    });
    let second = runtime.shutdown_within(9 * SECOND).await;
    assert!(
        began.elapsed() >= 10 * SECOND && began.elapsed() <= 10 * SECOND + 100 * MS,
        "{:?}",
        began.elapsed()
    );
    assert_eq!(first.await.unwrap(), second);
    let error = second.unwrap_err();
    assert_eq!((error.killed.len(), error.timeout), (1, 10 * SECOND));
    assert_eq!(runtime.shutdown().await.unwrap_err(), error, "also when it is over");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_awaited_inside_is_an_error_at_once() {
    struct End(Runtime);
    impl Handler<End> for Desk {
        type Reply = String;
        async fn handle(&mut self, End(runtime): End, cx: &mut Context<Self>) -> String {
            let again = runtime.clone();
            cx.pipe(async move {
                assert!(again.shutdown().await.unwrap_err().awaited_in.is_some());
                Note("refused")
            });
            runtime.shutdown().await.unwrap_err().to_string()
        }
    }
    let runtime = Runtime::new();
    let (state, log) = desk();
    let one = runtime.spawn("one", state).unwrap();
    let told = one.ask(End(runtime.clone())).await.unwrap();
    assert_eq!(told, "`one` would wait for itself: it awaited the shutdown of its own runtime");
    runtime.shutdown().await.unwrap();
    assert_eq!(lines(&log), ["refused", "one stopped"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_ends_last_reads_how_the_others_ended() {
    struct Audit(Log);
    impl Subsystem for Audit {
        async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
            cx.attach(cx.bus().subscribe::<Lifecycle>("lifecycle/{*all}", 100)?);
            cx.attach(cx.bus().subscribe::<DeadLetter>("dead_letters/{*all}", 100)?);
            Ok(())
        }
        async fn stopped(&mut self, _: &Exit, _: &mut Context<Self>) {
            self.0.lock().unwrap().push("audit stopped".to_owned());
        }
    }
    impl Handler<mycelia_actors::Event<Lifecycle>> for Audit {
        type Reply = ();
        async fn handle(&mut self, event: mycelia_actors::Event<Lifecycle>, _: &mut Context<Self>) {
            self.0.lock().unwrap().push(event.event.to_string());
        }
    }
    impl Handler<mycelia_actors::Event<DeadLetter>> for Audit {
        type Reply = ();
        async fn handle(&mut self, event: mycelia_actors::Event<DeadLetter>, _: &mut Context<Self>) {
            self.0.lock().unwrap().push(event.event.reason().to_string());
        }
    }
    let runtime = Runtime::new();
    let log = Log::default();
    let audit = runtime.configure("audit").ends_last().spawn(Audit(Arc::clone(&log))).unwrap();
    audit.started().await.unwrap();
    let one = runtime.spawn("one", Desk::default()).unwrap();
    with(&one, |cx| cx.pipe(std::future::pending::<Note>())).await;
    runtime.shutdown().await.unwrap();
    let told = lines(&log);
    assert_eq!(told.last().unwrap(), "audit stopped");
    for line in ["`one` started", "`one` ended: stopped", "abandoned"] {
        assert!(told.iter().any(|told| told == line), "{line}: {told:?}");
    }
    assert!(matches!(audit.exit(), Some(Exit::Stopped)));
}

#[tokio::test(start_paused = true)]
async fn senders_in_line_from_outside_come_back_and_those_inside_stay() {
    let runtime = Runtime::new();
    let (state, log) = desk();
    let parent = runtime.configure("parent").mailbox(Mailbox::bounded(1)).budget(1).spawn(state).unwrap();
    let child = with(&parent, |cx| cx.spawn(Desk::default()).unwrap()).await;
    parent.tell(Work(SECOND)).unwrap();
    settle().await;
    parent.tell(Note("queued")).unwrap();
    let to = parent.clone();
    with(&child, move |cx| {
        cx.pipe(async move {
            to.send(Note("from inside")).await.unwrap();
            Note("sent")
        })
    })
    .await;
    let outside = tokio::spawn({
        let parent = parent.clone();
        async move { parent.send(Note("from outside")).await.unwrap_err().refusal }
    });
    settle().await;
    assert_eq!(parent.stats().waiting, 2);
    parent.stop();
    assert_eq!(outside.await.unwrap(), Refusal::Stopped);
    let asked = parent.ask(Note("late")).await.unwrap_err();
    assert_eq!(asked.failure, AskFailure::Refused(Refusal::Stopped));
    assert!(matches!(parent.ended().await, Exit::Stopped));
    assert_eq!(lines(&log), ["queued", "from inside", "parent stopped"]);
    settled(&parent);
    settled(&child);
}

/// The queue refuses what comes to a mailbox that is closed to outside, and hears only then that it comes from inside.
#[tokio::test(start_paused = true)]
async fn a_send_from_inside_that_is_given_up_before_it_got_in_line_was_never_sent() {
    let runtime = Runtime::new();
    let (state, log) = desk();
    let parent = runtime.configure("parent").mailbox(Mailbox::bounded(256)).spawn(state).unwrap();
    let child = with(&parent, |cx| cx.spawn(Desk::default()).unwrap()).await;
    let is_closed = Arc::new(tokio::sync::Notify::new());
    let (to, begin) = (parent.clone(), Arc::clone(&is_closed));
    with(&child, move |cx| {
        cx.pipe(async move {
            begin.notified().await;
            // After so many that are ready at once, the next lets others run.
            for _ in 0..128 {
                to.send(Note("from inside")).await.unwrap();
            }
            tokio::task::yield_now().await;
            let mut given_up = Box::pin(to.send(Note("given up")));
            let poll =
                std::future::poll_fn(|task| std::task::Poll::Ready(given_up.as_mut().poll(task))).await;
            assert!(poll.is_pending());
            drop(given_up);
            Note("done")
        })
    })
    .await;
    let before = parent.stats().sent;
    parent.tell(Work(SECOND)).unwrap();
    settle().await;
    parent.stop();
    settle().await;
    is_closed.notify_one();
    assert!(matches!(parent.ended().await, Exit::Stopped));
    assert_eq!(lines(&log).len(), 129, "with its end");
    let stats = parent.stats();
    assert_eq!((stats.sent - before, stats.returned), (129, 0));
    settled(&parent);
    settled(&child);
}

#[tokio::test(start_paused = true)]
async fn one_that_ends_spawns_no_more_and_starts_no_side_tasks() {
    let runtime = Runtime::new();
    let (mut state, log) = desk();
    state.at_end = Some(|log, cx| {
        let spawned = cx.spawn(Desk::default()).unwrap_err().to_string();
        log.lock().unwrap().push(spawned);
        cx.send_after(Duration::ZERO, Note("never"));
    });
    let one = runtime.spawn("one", state).unwrap();
    one.stop();
    assert!(matches!(one.ended().await, Exit::Stopped));
    assert_eq!(lines(&log), ["`one` is ending, and spawns no more", "one stopped"]);
    assert_eq!(one.side_tasks().cancelled, 1);
    settled(&one);
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_while_it_drains_restarts_at_once() {
    struct Fails(Log);
    struct Fail;
    impl Subsystem for Fails {
        async fn stopped(&mut self, _: &Exit, _: &mut Context<Self>) {
            self.0.lock().unwrap().push("stopped".to_owned());
        }
    }
    impl Handler<Fail> for Fails {
        type Reply = ();
        async fn handle(&mut self, _: Fail, _: &mut Context<Self>) {
            panic!("on purpose");
        }
    }
    impl Handler<Note> for Fails {
        type Reply = ();
        async fn handle(&mut self, Note(text): Note, _: &mut Context<Self>) {
            self.0.lock().unwrap().push(text.to_owned());
        }
    }
    let runtime = Runtime::new();
    let log = Log::default();
    let to = Arc::clone(&log);
    let restart = Restart::one_for_one().at_most(9, MINUTE).backoff(60 * MINUTE, 60 * MINUTE);
    let one = runtime.configure("one").restart(restart).spawn_with(move || Fails(Arc::clone(&to))).unwrap();
    for _ in 0..3 {
        one.tell(Fail).unwrap();
    }
    one.tell(Note("after them")).unwrap();
    let began = Instant::now();
    runtime.shutdown().await.unwrap();
    assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
    assert_eq!(lines(&log), ["after them", "stopped"]);
    assert_eq!((one.stats().restarts, one.stats().failed), (3, 3));
    accounted(&one);
}

#[tokio::test(start_paused = true)]
async fn one_that_tells_itself_in_steps_is_worked_off() {
    struct Steps(u32);
    struct Step(u32);
    impl Subsystem for Steps {}
    impl Handler<Step> for Steps {
        type Reply = ();
        async fn handle(&mut self, Step(left): Step, cx: &mut Context<Self>) {
            self.0 += 1;
            if left > 0 {
                sleep(MS).await;
                cx.address().tell(Step(left - 1)).unwrap();
            }
        }
    }
    let runtime = Runtime::new();
    let one = runtime.spawn("one", Steps(0)).unwrap();
    one.tell(Step(99)).unwrap();
    one.stop();
    assert!(matches!(one.ended().await, Exit::Stopped));
    assert_eq!(one.stats().handled, 100);
}

/// Ends in many steps, after its child.
struct Tidy {
    log: Log,
    child: Option<Log>,
}

impl Subsystem for Tidy {
    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        if let Some(log) = self.child.take() {
            cx.configure("child").spawn(Tidy { log, child: None })?.started().await?;
        }
        Ok(())
    }
    async fn stopped(&mut self, _: &Exit, cx: &mut Context<Self>) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        self.log.lock().unwrap().push(format!("{} stopped", cx.name()));
    }
}

/// A second SIGTERM: a kill does not overtake the end of those that have nothing to do.
#[tokio::test(start_paused = true)]
async fn a_shutdown_without_any_time_ends_what_is_idle() {
    let runtime = Runtime::new();
    let log = Log::default();
    let idle = runtime.spawn("idle", Tidy { log: log.clone(), child: Some(log.clone()) }).unwrap();
    idle.started().await.unwrap();
    assert_eq!(runtime.shutdown_within(Duration::ZERO).await, Ok(()));
    assert!(matches!(idle.exit(), Some(Exit::Stopped)));
    assert_eq!(*log.lock().unwrap(), ["child stopped", "idle stopped"]);
}

/// The same for a shutdown that is shortened while another subsystem holds it up.
#[tokio::test(start_paused = true)]
async fn a_shutdown_that_is_shortened_ends_what_is_idle() {
    let runtime = Runtime::new();
    let log = Log::default();
    let idle = runtime.spawn("idle", Tidy { log: log.clone(), child: Some(log.clone()) }).unwrap();
    let busy = runtime.spawn("busy", Desk::default()).unwrap();
    idle.started().await.unwrap();
    busy.tell(Work(MINUTE)).unwrap();
    settle().await;
    let (first, second) = tokio::join!(runtime.shutdown(), runtime.shutdown_within(Duration::ZERO));
    assert_eq!(first, second);
    let killed: Vec<_> = first.unwrap_err().killed.iter().map(ToString::to_string).collect();
    assert_eq!(killed, ["busy"]);
    assert_eq!(*log.lock().unwrap(), ["child stopped", "idle stopped"]);
}

/// The same for a part with a limit of its own.
#[tokio::test(start_paused = true)]
async fn a_part_without_any_time_ends_what_is_idle() {
    let runtime = Runtime::new();
    let log = Log::default();
    let idle = runtime.configure("idle").stop_timeout(Duration::ZERO);
    let idle = idle.spawn(Tidy { log: log.clone(), child: Some(log.clone()) }).unwrap();
    let busy = runtime.spawn("busy", Desk::default()).unwrap();
    idle.started().await.unwrap();
    busy.tell(Work(SECOND)).unwrap();
    settle().await;
    assert_eq!(runtime.shutdown().await, Ok(()));
    assert_eq!(*log.lock().unwrap(), ["child stopped", "idle stopped"]);
}
