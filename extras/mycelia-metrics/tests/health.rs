//! Health is a state over time: the verdicts, and that it does not matter who looks. (First rung; all in paused time.)

use std::time::Duration;

use mycelia_actors::prelude::*;
use mycelia_metrics::{Health, Metrics, Settings, Snapshot, State, Thresholds};
use tokio::time::{Instant, advance, sleep};

const SECOND: Duration = Duration::from_secs(1);

struct Worker;
impl Subsystem for Worker {}

/// Takes this long.
struct Work(Duration);
impl Handler<Work> for Worker {
    type Reply = ();
    async fn handle(&mut self, Work(time): Work, _: &mut Context<Self>) {
        sleep(time).await;
    }
}

struct Fail;
impl Handler<Fail> for Worker {
    type Reply = ();
    async fn handle(&mut self, _: Fail, _: &mut Context<Self>) {
        panic!("on purpose");
    }
}

/// Does not get over its start.
struct Slow;
impl Subsystem for Slow {
    async fn started(&mut self, _: &mut Context<Self>) -> Result<(), BoxError> {
        sleep(1000 * SECOND).await;
        Ok(())
    }
}
impl Handler<Work> for Slow {
    type Reply = ();
    async fn handle(&mut self, _: Work, _: &mut Context<Self>) {}
}

fn verdict(snapshot: &Snapshot) -> (Health, String) {
    let one = &snapshot.subsystems[0];
    assert_eq!(one.health, snapshot.health);
    (one.health, one.reasons.join("; "))
}

fn healthy() -> (Health, String) {
    (Health::Healthy, String::new())
}

fn scene(capacity: usize, overflow: OverflowPolicy) -> (Runtime, Metrics, Address<Worker>) {
    let runtime = Runtime::new();
    let metrics = Metrics::of(&runtime).unwrap();
    let mailbox = Mailbox::bounded(capacity).overflow(overflow);
    let restart = Restart::one_for_one().at_most(1_000_000, SECOND);
    let worker = runtime.configure("worker").mailbox(mailbox).restart(restart).spawn_with(|| Worker).unwrap();
    (runtime, metrics, worker)
}

async fn busy(worker: &Address<Worker>) {
    while worker.stats().in_hand == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_mailbox_that_is_full_and_handles_nothing_for_five_seconds_is_unhealthy() {
    for capacity in [1, 10] {
        for overflow in [OverflowPolicy::Error, OverflowPolicy::DropOldest, OverflowPolicy::DropNewest] {
            // In one leap, or step by step.
            for step in [5 * SECOND - Duration::from_millis(1), SECOND / 10] {
                let (_runtime, metrics, worker) = scene(capacity, overflow);
                worker.tell(Work(20 * SECOND)).unwrap();
                busy(&worker).await;
                worker.tell_many((0..capacity).map(|_| Work(Duration::ZERO))).unwrap();
                let began = Instant::now();
                while began.elapsed() + step < 5 * SECOND {
                    advance(step).await;
                    assert_eq!(verdict(&metrics.snapshot()), healthy(), "{:?}", began.elapsed());
                }
                sleep(5 * SECOND - began.elapsed()).await;
                let expected = "its mailbox is full, and nothing was handled for 5s";
                assert_eq!(verdict(&metrics.snapshot()), (Health::Unhealthy, expected.to_owned()));
                sleep(16 * SECOND).await;
                assert_eq!(verdict(&metrics.snapshot()), healthy());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn documented_backpressure_is_healthy_at_every_moment() {
    for capacity in [1, 4, 1024] {
        let (_runtime, metrics, worker) = scene(capacity, OverflowPolicy::Error);
        let sender = tokio::spawn(async move {
            loop {
                worker.send(Work(SECOND * 4)).await.unwrap();
            }
        });
        for _ in 0..500 {
            sleep(Duration::from_millis(730)).await;
            assert_eq!(verdict(&metrics.snapshot()), healthy());
        }
        let one = &metrics.snapshot().subsystems[0];
        assert!(
            capacity == 1024 || one.in_mailbox == one.ledger.capacity && one.ledger.waiting == 1,
            "it is full"
        );
        sender.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_was_idle_for_long_and_gets_a_burst_is_healthy() {
    let (_runtime, metrics, worker) = scene(10, OverflowPolicy::Error);
    sleep(Duration::from_millis(100_700)).await;
    worker.tell(Work(SECOND * 4)).unwrap();
    busy(&worker).await;
    while worker.tell(Work(SECOND * 4)).is_ok() {}
    for _ in 0..40 {
        assert_eq!(verdict(&metrics.snapshot()), healthy());
        sleep(SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_get_over_its_start_is_unhealthy_when_its_mailbox_is_full() {
    let runtime = Runtime::new();
    let metrics = Metrics::of(&runtime).unwrap();
    let slow = runtime.configure("slow").mailbox(Mailbox::bounded(2)).spawn(Slow).unwrap();
    slow.tell(Work(SECOND)).unwrap();
    sleep(100 * SECOND).await;
    assert_eq!(verdict(&metrics.snapshot()), healthy(), "there is room");
    slow.tell(Work(SECOND)).unwrap();
    assert_eq!(metrics.snapshot().health, Health::Unhealthy);
}

#[tokio::test(start_paused = true)]
async fn one_message_may_be_in_hand_for_thirty_seconds() {
    for step in [29 * SECOND, SECOND / 3] {
        let (_runtime, metrics, worker) = scene(10, OverflowPolicy::Error);
        worker.tell(Work(40 * SECOND)).unwrap();
        busy(&worker).await;
        let began = Instant::now();
        while began.elapsed() + step < 30 * SECOND {
            advance(step).await;
            assert_eq!(verdict(&metrics.snapshot()), healthy(), "{:?}", began.elapsed());
        }
        sleep(30 * SECOND - began.elapsed()).await;
        let expected = "a message has been in hand for 30s";
        assert_eq!(verdict(&metrics.snapshot()), (Health::Unhealthy, expected.to_owned()));
        sleep(11 * SECOND).await;
        assert_eq!(verdict(&metrics.snapshot()), healthy());
    }
    // Many that take long each are not one; nor is it when nothing is timed, as where messages have metadata.
    let (_runtime, metrics, worker) = scene(100, OverflowPolicy::Error);
    worker.tell_many((0..20).map(|_| Work(20 * SECOND))).unwrap();
    for _ in 0..350 {
        assert_eq!(verdict(&metrics.snapshot()), healthy());
        sleep(SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_suspended_is_reported_and_not_judged() {
    let (_runtime, metrics, worker) = scene(10, OverflowPolicy::DropNewest);
    worker.suspend();
    for _ in 0..100 {
        worker.tell(Work(Duration::ZERO)).unwrap();
        let snapshot = metrics.snapshot();
        assert_eq!((verdict(&snapshot), snapshot.subsystems[0].state), (healthy(), State::Suspended));
        sleep(SECOND).await;
    }
    assert!(metrics.openmetrics().contains("mycelia_subsystem_suspended{subsystem=\"worker\"} 1"));
    worker.resume();
    assert_eq!(verdict(&metrics.snapshot()), healthy(), "what it refused meanwhile is not held against it");
    sleep(SECOND).await;
    assert_eq!(verdict(&metrics.snapshot()), healthy());
}

#[tokio::test(start_paused = true)]
async fn shares_of_refused_messages_are_of_twenty_at_least_and_of_the_last_minute() {
    for (came, refused, overflow, is_degraded) in [
        (3, 2, OverflowPolicy::Error, false),
        (19, 19, OverflowPolicy::Error, false),
        (20, 2, OverflowPolicy::Error, false),
        (20, 3, OverflowPolicy::Error, true),
        (20, 3, OverflowPolicy::DropNewest, true),
        (20, 3, OverflowPolicy::DropOldest, true),
        (1000, 100, OverflowPolicy::DropNewest, false),
        (1000, 101, OverflowPolicy::DropNewest, true),
    ] {
        let (_runtime, metrics, worker) = scene((came - refused).max(1), overflow);
        sleep(Duration::from_millis(12_345)).await;
        // Nothing is handled in between: this is one task, on one thread.
        (0..came).for_each(|_| drop(worker.tell(Work(Duration::ZERO))));
        let stats = worker.stats();
        let counted = stats.returned + stats.evicted + stats.discarded;
        assert_eq!(counted, refused.min(came - 1) as u64);
        for second in 0..70 {
            let (health, reason) = verdict(&metrics.snapshot());
            // It was in the window from 10 to 20 s, which is forgotten at 70 s.
            let expected = if is_degraded && second < 58 { Health::Degraded } else { Health::Healthy };
            assert_eq!(health, expected, "{came} {refused} {overflow:?}, after {second} s: {reason}");
            sleep(SECOND).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn shares_of_failed_messages_are_of_twenty_at_least_and_of_the_last_minute() {
    for (handled, failed, is_degraded) in
        [(1, 2, false), (0, 19, false), (19, 1, false), (18, 2, true), (38, 2, false)]
    {
        let (_runtime, metrics, worker) = scene(100, OverflowPolicy::Error);
        for _ in 0..handled {
            worker.ask(Work(Duration::ZERO)).await.unwrap();
        }
        for _ in 0..failed {
            worker.ask(Fail).await.unwrap_err();
        }
        sleep(59 * SECOND).await;
        let (health, reason) = verdict(&metrics.snapshot());
        let expected = if is_degraded {
            (Health::Degraded, "10 % of its messages failed in the last 60s")
        } else {
            (Health::Healthy, "")
        };
        assert_eq!((health, &*reason), expected, "{handled} {failed}");
        sleep(SECOND).await;
        assert_eq!(verdict(&metrics.snapshot()), healthy());
    }
}

/// The verdicts every 30 seconds, of a load that is sometimes too high, where somebody looks this often.
async fn verdicts(looks: Option<Duration>) -> Vec<(Health, String)> {
    let (_runtime, metrics, worker) = scene(10, OverflowPolicy::Error);
    let load = tokio::spawn(async move {
        for round in 0_u64.. {
            let burst = if (100..120).contains(&(round % 400)) { 12 } else { 3 };
            (0..burst).for_each(|_| drop(worker.tell(Work(SECOND / 100))));
            match round % 400 {
                200..240 if round % 3 == 0 => drop(worker.tell(Fail)),
                300 => drop(worker.tell(Work(33 * SECOND))),
                _ => {}
            }
            sleep(SECOND).await;
        }
    });
    let others = tokio::spawn({
        let metrics = metrics.clone();
        async move {
            let Some(looks) = looks else { return };
            loop {
                let _ = metrics.snapshot();
                sleep(looks).await;
            }
        }
    });
    let mut verdicts = Vec::new();
    for _ in 0..14 {
        sleep(30 * SECOND + Duration::from_millis(1)).await;
        verdicts.push(verdict(&metrics.snapshot()));
    }
    load.abort();
    others.abort();
    verdicts
}

#[tokio::test(start_paused = true)]
async fn it_does_not_matter_who_looks_nor_how_often() {
    let alone = verdicts(None).await;
    for health in [Health::Healthy, Health::Degraded, Health::Unhealthy] {
        assert!(alone.iter().any(|(one, _)| *one == health), "{alone:#?}");
    }
    for looks in [SECOND / 5, SECOND, Duration::from_millis(3700), 15 * SECOND] {
        assert_eq!(verdicts(Some(looks)).await, alone, "{looks:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_after_five_minutes_sees_the_last_minute() {
    let (_runtime, metrics, worker) = scene(1, OverflowPolicy::Error);
    (0..100).for_each(|_| drop(worker.tell(Work(Duration::ZERO))));
    sleep(300 * SECOND).await;
    assert_eq!(verdict(&metrics.snapshot()), healthy());
    (0..100).for_each(|_| drop(worker.tell(Work(Duration::ZERO))));
    sleep(10 * SECOND).await;
    let expected = "99 % of its messages were refused or evicted in the last 60s";
    assert_eq!(verdict(&metrics.snapshot()), (Health::Degraded, expected.to_owned()));
    // One leap, in which no sample is taken: it is not known when in it something happened.
    advance(300 * SECOND).await;
    assert_eq!(verdict(&metrics.snapshot()), healthy());
}

#[tokio::test(start_paused = true)]
async fn what_was_before_the_metrics_is_not_recent() {
    let runtime = Runtime::new();
    let worker = runtime.configure("worker").mailbox(Mailbox::bounded(1)).spawn(Worker).unwrap();
    (0..100).for_each(|_| drop(worker.tell(Work(Duration::ZERO))));
    let metrics = Metrics::of(&runtime).unwrap();
    assert_eq!(verdict(&metrics.snapshot()), healthy());
    // What came later has no past, so all of it is recent.
    let late = runtime.configure("late").mailbox(Mailbox::bounded(1)).spawn(Worker).unwrap();
    (0..100).for_each(|_| drop(late.tell(Work(Duration::ZERO))));
    assert_eq!(metrics.snapshot().subsystems[1].health, Health::Degraded);
    sleep(SECOND).await;
    assert_eq!(metrics.snapshot().subsystems[1].health, Health::Degraded);
}

#[tokio::test(start_paused = true)]
async fn every_figure_can_be_chosen() {
    let thresholds = Thresholds::default().stalled(SECOND).in_hand(2 * SECOND).window(12 * SECOND);
    let thresholds = thresholds.refused(0.5).failed(0.25).min_messages(4);
    let runtime = Runtime::new();
    let metrics = Metrics::with(&runtime, Settings::default().thresholds(thresholds)).unwrap();
    let worker = runtime.configure("worker").mailbox(Mailbox::bounded(2)).spawn_with(|| Worker).unwrap();
    (0..4).for_each(|_| drop(worker.tell(Work(Duration::ZERO))));
    assert_eq!(verdict(&metrics.snapshot()), healthy(), "a half is not more than a half");
    worker.tell(Work(Duration::ZERO)).unwrap_err();
    assert_eq!(
        verdict(&metrics.snapshot()).1,
        "60 % of its messages were refused or evicted in the last 12s"
    );
    sleep(12 * SECOND).await;
    assert_eq!(verdict(&metrics.snapshot()), healthy());
    worker.ask(Work(Duration::ZERO)).await.unwrap();
    worker.ask(Fail).await.unwrap_err();
    worker.ask(Fail).await.unwrap_err();
    assert_eq!(verdict(&metrics.snapshot()), healthy(), "three messages");
    worker.tell(Work(3 * SECOND)).unwrap();
    busy(&worker).await;
    sleep(2 * SECOND).await;
    assert_eq!(verdict(&metrics.snapshot()).1, "a message has been in hand for 2s");
    (0..2).for_each(|_| worker.tell(Work(Duration::ZERO)).map(drop).unwrap());
    assert!(
        verdict(&metrics.snapshot()).1.starts_with("its mailbox is full, and nothing was handled for 2s; ")
    );
    sleep(SECOND + SECOND / 2).await;
    assert_eq!(verdict(&metrics.snapshot()).1, "33 % of its messages failed in the last 12s");
}

#[tokio::test(start_paused = true)]
async fn what_takes_samples_ends_with_the_metrics_and_with_the_runtime() {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let (runtime, metrics, worker) = scene(1, OverflowPolicy::Error);
    sleep(3 * SECOND).await;
    assert_eq!(tasks(), before + 2);
    drop(metrics);
    tokio::task::yield_now().await;
    assert_eq!(tasks(), before + 1, "at once");
    drop((runtime, worker));

    let (runtime, metrics, worker) = scene(1, OverflowPolicy::Error);
    sleep(3 * SECOND).await;
    runtime.shutdown().await.unwrap();
    sleep(2 * SECOND).await;
    assert_eq!((tasks(), metrics.snapshot().alive), (before, 0));
    drop(worker);
    sleep(SECOND).await;
    assert_eq!(tasks(), before, "a look afterwards starts no other");
}

#[test]
fn without_a_tokio_looks_take_the_samples() {
    let runtime = Runtime::builder().build();
    let metrics = Metrics::of(&runtime).unwrap();
    assert_eq!(metrics.snapshot().health, Health::Healthy);
    // On a tokio that goes, and on another one.
    for round in 0..2 {
        let tokio =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        tokio.block_on(async {
            // Each has a clock of its own, which begins at the present.
            advance(round * 200 * SECOND).await;
            let worker = runtime.configure_unnamed().mailbox(Mailbox::bounded(1)).spawn(Worker).unwrap();
            let _ = metrics.snapshot();
            (0..100).for_each(|_| drop(worker.tell(Work(Duration::ZERO))));
            sleep(20 * SECOND).await;
            assert_eq!(verdict(&metrics.snapshot()).0, Health::Degraded);
            sleep(60 * SECOND).await;
            assert_eq!(verdict(&metrics.snapshot()).0, Health::Healthy);
        });
    }
    // And on one that has no timers.
    let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
    tokio.block_on(async { assert_eq!(metrics.snapshot().health, Health::Healthy) });
}
