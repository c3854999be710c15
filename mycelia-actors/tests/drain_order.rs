//! Who ends when in a drain: those that are needed, parts with limits of their own, those that end last, and late ones.
#![cfg(not(mycelia_loom))]

mod drains;
mod subsystems;

use std::sync::Arc;
use std::task::{Context as Task, Wake, Waker};
use std::time::Duration;

use drains::{Desk, Log, Note, SECOND, Work, desk, in_time, lines, multi, pipe, settle, settled, with};
use mycelia_actors::SideTaskKind;
use mycelia_actors::prelude::*;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};

const MS: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Tasks that are left while a part is over its own limit and the others are not.
async fn tasks_while_a_part_is_late(with_child: bool) -> (usize, usize) {
    let runtime = Runtime::new();
    let part = runtime.configure("part").stop_timeout(10 * SECOND).spawn(desk().0).unwrap();
    let late = if with_child { with(&part, |cx| cx.spawn(desk().0).unwrap()).await } else { part };
    let other = runtime.spawn("other", desk().0).unwrap();
    late.tell(Work(60 * SECOND)).unwrap();
    other.tell(Work(30 * SECOND)).unwrap();
    tokio::task::yield_now().await;
    let before = Handle::current().metrics().num_alive_tasks();
    let shutdown = runtime.clone();
    let shutdown = tokio::spawn(async move { shutdown.shutdown_within(100 * SECOND).await });
    sleep(9 * SECOND + SECOND / 2).await;
    let now = Handle::current().metrics().num_alive_tasks();
    let error = shutdown.await.unwrap().unwrap_err();
    assert_eq!(error.killed, [late.name().clone()], "{error}");
    (before, now)
}

#[tokio::test(start_paused = true)]
async fn a_part_over_its_own_limit_is_cut_once() {
    for with_child in [false, true] {
        let (before, now) = tasks_while_a_part_is_late(with_child).await;
        assert!(now <= before + 5, "{before} tasks, then {now}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_the_own_stop_of_one_that_needs_it() {
    let runtime = Runtime::new();
    let (store, log) = desk();
    let cart = store.clone();
    let store = runtime.spawn("store", store).unwrap();
    with(&store, |cx| drop(cx.spawn(desk().0).unwrap())).await;
    let cart = runtime.configure("cart").needs(&store).spawn(cart).unwrap();
    pipe(&cart, 5 * SECOND, "paid").await;
    cart.stop();
    sleep(SECOND).await;
    store.stop();
    store.ended().await;
    assert_eq!(lines(&log), ["paid", "cart stopped", "store stopped"]);
    assert_eq!(cart.side_tasks().abandoned, 0);
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_one_that_ends_last_begins_when_it_is_its_turn() {
    let runtime = Runtime::new();
    let audit = runtime.configure("audit").ends_last().stop_timeout(2 * SECOND).spawn(desk().0).unwrap();
    let other = runtime.spawn("other", desk().0).unwrap();
    other.tell(Work(10 * SECOND)).unwrap();
    pipe(&audit, 11 * SECOND, "audited").await;
    let watch = audit.clone();
    let ended = tokio::spawn(async move {
        let began = Instant::now();
        (watch.ended().await, began.elapsed())
    });
    runtime.shutdown().await.unwrap();
    let (exit, took) = ended.await.unwrap();
    assert!(matches!(exit, Exit::Stopped) && took >= 11 * SECOND, "{exit:?} after {took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_one_that_ends_last_spawns_meanwhile_is_as_open_as_it_is() {
    let runtime = Runtime::new();
    let (audit, log) = desk();
    let audit = runtime.configure("audit").ends_last().spawn(audit).unwrap();
    let other = runtime.spawn("other", desk().0).unwrap();
    other.tell(Work(10 * SECOND)).unwrap();
    let shutdown = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.shutdown().await }
    });
    sleep(SECOND).await;
    let child = with(&audit, |cx| cx.spawn(Desk::default()).unwrap()).await;
    child.ask(Note("from outside")).await.unwrap();
    shutdown.await.unwrap().unwrap();
    assert_eq!(lines(&log), ["audit stopped"]);
}

/// Ends before the desks, for its type came later; and leaves them work at its end.
struct Front(Address<Desk>, Address<Desk>);
impl Subsystem for Front {
    async fn stopped(&mut self, _: &Exit, _: &mut Context<Self>) {
        self.0.tell(Work(3600 * SECOND)).unwrap();
        for _ in 0..100 {
            self.1.tell(Work(SECOND)).unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_late_does_not_keep_a_siblings_stopped_from_running() {
    let runtime = Runtime::new();
    let (desk, log) = desk();
    let first = runtime.spawn("first", desk.clone()).unwrap();
    let second = runtime.spawn("second", desk).unwrap();
    runtime.spawn("front", Front(first.clone(), second)).unwrap();
    let error = runtime.shutdown_within(100 * SECOND).await.unwrap_err();
    assert_eq!(lines(&log), ["second stopped"]);
    assert_eq!(error.killed, [first.name().clone()]);
}

#[tokio::test]
async fn a_thousand_in_a_row_that_need_one_another_end_in_their_order() {
    let runtime = Runtime::new();
    let (desk, log) = desk();
    let mut last = runtime.spawn("0", desk.clone()).unwrap();
    for number in 1..1000 {
        last = runtime.configure(&number.to_string()).needs(&last).spawn(desk.clone()).unwrap();
    }
    last.started().await.unwrap();
    runtime.shutdown().await.unwrap();
    assert_eq!(lines(&log), (0..1000).rev().map(|number| format!("{number} stopped")).collect::<Vec<_>>());
}

/// A waker of a user, which asks the runtime something.
struct Asks(Runtime);
impl Wake for Asks {
    fn wake(self: Arc<Self>) {
        assert!(!self.0.is_empty());
    }
}

#[test]
fn wakers_of_those_that_end_last_run_under_no_lock() {
    in_time(|| {
        multi().block_on(async {
            let runtime = Runtime::new();
            let audit = runtime.configure("audit").ends_last().spawn(desk().0).unwrap();
            let mut stopping = Box::pin(with(&audit, Context::stopping).await);
            let waker = Waker::from(Arc::new(Asks(runtime.clone())));
            assert!(stopping.as_mut().poll(&mut Task::from_waker(&waker)).is_pending());
            timeout(30 * SECOND, runtime.shutdown()).await.expect("it hangs").unwrap();
        });
    });
}

#[tokio::test(start_paused = true)]
async fn what_the_limit_of_a_shutdown_cuts_off_is_told_in_dead_letters() {
    for ends_last in [false, true] {
        let runtime = Runtime::new();
        let letters = runtime.dead_letters(1000);
        if ends_last {
            runtime.configure("audit").ends_last().spawn(desk().0).unwrap();
        }
        let all: Vec<_> = (0..8).map(|_| runtime.spawn_unnamed(desk().0).unwrap()).collect();
        all.iter().for_each(|one| (0..5).for_each(|_| _ = one.tell(Work(3600 * SECOND)).unwrap()));
        let error = runtime.shutdown_within(SECOND).await.unwrap_err();
        assert_eq!(error.killed.len(), 8);
        let told = std::iter::from_fn(|| letters.try_recv()).count();
        let (undelivered, failed) = all
            .iter()
            .map(|one| one.stats())
            .fold((0, 0), |sum, stats| (sum.0 + stats.undelivered, sum.1 + stats.failed));
        assert_eq!((told, undelivered, failed), (40, 32, 8), "ends_last: {ends_last}");
        assert!(letters.recv().await.is_none(), "they end");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_limit_of_its_own_cuts_off_says_so() {
    let runtime = Runtime::new();
    let one = runtime.configure("one").stop_timeout(2 * SECOND).spawn(desk().0).unwrap();
    (0..5).for_each(|_| _ = one.tell(Work(3600 * SECOND)).unwrap());
    let error = runtime.shutdown().await.unwrap_err();
    let [cut_off] = &error.cut_off[..] else { panic!("{error}") };
    assert_eq!((cut_off.queued, cut_off.in_hand, cut_off.stop_timeout), (4, 1, Some(2 * SECOND)));
    assert!(error.to_string().ends_with("`one`: 4 queued, 1 in hand, after its own 2s, killed"), "{error}");
}

/// Asks the one it needs, at its end.
struct Saves(Address<Desk>);
impl Subsystem for Saves {
    async fn stopped(&mut self, _: &Exit, _: &mut Context<Self>) {
        self.0.ask(Note("saved")).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_needed_is_there_also_when_another_is_late() {
    for late in [95, 3600] {
        let runtime = Runtime::new();
        let (journal, log) = desk();
        let journal = runtime.spawn("journal", journal).unwrap();
        runtime.configure("saves").needs(&journal).spawn(Saves(journal.clone())).unwrap();
        let other = runtime.spawn("other", desk().0).unwrap();
        other.tell(Work(late * SECOND)).unwrap();
        let result = runtime.shutdown_within(100 * SECOND).await;
        assert_eq!(
            (lines(&log), result.is_ok()),
            (vec!["saved".into(), "journal stopped".into()], late == 95)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn siblings_of_one_type_stop_at_the_same_time() {
    struct Connection;
    impl Subsystem for Connection {
        async fn stopped(&mut self, _: &Exit, _: &mut Context<Self>) {
            sleep(100 * MS).await;
        }
    }
    let runtime = Runtime::new();
    for _ in 0..50 {
        runtime.spawn_unnamed(Connection).unwrap();
    }
    settle().await;
    let began = Instant::now();
    runtime.shutdown_within(2 * SECOND).await.unwrap();
    assert!(began.elapsed() < 150 * MS, "{:?}", began.elapsed());
}

/// Asks another at its end.
struct Cart(Address<Desk>);
impl Subsystem for Cart {
    async fn stopped(&mut self, _: &Exit, _: &mut Context<Self>) {
        self.0.ask(Note("cart saved")).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_type_that_was_spawned_first_ends_last_so_that_others_can_use_it() {
    let runtime = Runtime::new();
    let (state, log) = desk();
    let database = runtime.spawn("database", state).unwrap();
    for _ in 0..3 {
        runtime.spawn_unnamed(Cart(database.clone())).unwrap();
    }
    // A later one of the first type changes nothing.
    runtime.spawn("another", Desk::default()).unwrap();
    runtime.shutdown().await.unwrap();
    assert_eq!(lines(&log), ["cart saved", "cart saved", "cart saved", "database stopped"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_needs_another_ends_before_it() {
    let runtime = Runtime::new();
    // Of the type that would end last.
    let early = runtime.spawn("early", Desk::default()).unwrap();
    struct Late(Log);
    impl Subsystem for Late {
        async fn stopped(&mut self, _: &Exit, _: &mut Context<Self>) {
            self.0.lock().unwrap().push("late stopped".to_owned());
        }
    }
    let (state, log) = desk();
    let late = runtime.spawn("late", Late(Arc::clone(&log))).unwrap();
    runtime.configure("user").needs(&late).needs(&early).spawn(state).unwrap();
    runtime.shutdown().await.unwrap();
    assert_eq!(lines(&log), ["user stopped", "late stopped"]);
    let other = Runtime::new();
    let refused = other.configure("x").needs(&late).spawn(Desk::default()).unwrap_err();
    assert_eq!(refused.to_string(), "it needs `late`, which is a subsystem of another runtime");
}

#[tokio::test(start_paused = true)]
async fn at_nine_tenths_of_the_limit_the_others_stop_and_at_the_limit_the_rest_is_killed() {
    let runtime = Runtime::new();
    let letters = runtime.dead_letters(100);
    let (state, log) = desk();
    let idle = runtime.spawn("idle", state).unwrap();
    let hangs = runtime.spawn("hangs", Desk::default()).unwrap();
    let pipes = runtime.spawn("pipes", Desk::default()).unwrap();
    let slow = runtime.spawn("slow", Desk::default()).unwrap();
    hangs.tell(Work(MINUTE * 60)).unwrap();
    with(&pipes, |cx| {
        cx.pipe(async {
            sleep(60 * MINUTE).await;
            Note("never")
        })
    })
    .await;
    // Ends with the message in hand at the ninth second, and leaves two.
    for _ in 0..3 {
        slow.tell(Work(5 * SECOND)).unwrap();
    }
    settle().await;
    let began = Instant::now();
    let error = runtime.shutdown_within(10 * SECOND).await.unwrap_err();
    let took = began.elapsed();
    assert!(took >= 10 * SECOND && took <= 10 * SECOND + 100 * MS, "{took:?}");
    assert_eq!(lines(&log), ["idle stopped"]);
    assert!(matches!(idle.exit(), Some(Exit::Stopped)));
    assert_eq!(error.killed.iter().map(ToString::to_string).collect::<Vec<_>>(), ["hangs"]);
    let found = |name: &str| error.cut_off.iter().find(|one| one.subsystem == *name).unwrap().clone();
    assert_eq!((found("hangs").is_killed, found("hangs").in_hand), (true, 1));
    let piped = found("pipes").side_tasks;
    assert_eq!((piped.len(), piped[0].kind), (1, SideTaskKind::Pipe));
    assert!(piped[0].age >= 9 * SECOND && piped[0].type_name.ends_with("Note"));
    assert_eq!((found("slow").queued, found("slow").is_killed), (1, false), "{error}");
    assert_eq!(error.cut_off.len(), 3, "{error}");
    assert_eq!(pipes.side_tasks().abandoned, 1);
    let reasons: Vec<_> = letters.drain().map(|letter| letter.reason()).collect();
    assert_eq!(reasons.iter().filter(|reason| **reason == Reason::Abandoned).count(), 1, "{reasons:?}");
    assert_eq!(reasons.iter().filter(|reason| **reason == Reason::Undelivered).count(), 1, "{reasons:?}");
    for one in [&idle, &hangs, &pipes, &slow] {
        settled(one);
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_may_have_a_limit_of_its_own() {
    let runtime = Runtime::new();
    let quick = runtime.configure("quick").stop_timeout(SECOND).spawn(Desk::default()).unwrap();
    quick.tell(Work(MINUTE)).unwrap();
    let (state, log) = desk();
    let other = runtime.spawn("other", state).unwrap();
    other.tell(Work(10 * SECOND)).unwrap();
    other.tell(Note("done")).unwrap();
    settle().await;
    let began = Instant::now();
    let watch = tokio::spawn({
        let quick = quick.clone();
        async move { (quick.ended().await, began.elapsed()) }
    });
    let error = runtime.shutdown().await.unwrap_err();
    assert_eq!(lines(&log), ["done", "other stopped"]);
    let (exit, after) = watch.await.unwrap();
    assert!(matches!(exit, Exit::Killed) && after >= SECOND && after < 2 * SECOND, "{exit} after {after:?}");
    assert!(began.elapsed() < 11 * SECOND);
    assert_eq!((error.cut_off.len(), error.cut_off[0].is_killed), (1, true), "{error}");
    // By itself as well.
    let runtime = Runtime::new();
    let alone = runtime.configure("alone").stop_timeout(SECOND).spawn(Desk::default()).unwrap();
    alone.tell(Work(MINUTE)).unwrap();
    settle().await;
    let began = Instant::now();
    alone.stop();
    assert!(matches!(alone.ended().await, Exit::Killed));
    assert!(began.elapsed() >= SECOND && began.elapsed() < 2 * SECOND, "{:?}", began.elapsed());
}
