//! A snapshot shows what the subsystems themselves say, and their health.

use std::time::Duration;

use mycelia_actors::prelude::*;
use mycelia_metrics::{Health, Metrics, Settings, Snapshot, State, Subsystem as Shown};
use tokio::time::advance;

const SECOND: Duration = Duration::from_secs(1);

/// Spawns two when it starts.
struct Parent;
impl Subsystem for Parent {
    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        cx.configure("child").spawn(Worker)?;
        cx.spawn(Worker)?;
        Ok(())
    }
}

struct Worker;
impl Subsystem for Worker {}

/// Takes this long.
struct Work(Duration);
impl Handler<Work> for Worker {
    type Reply = ();
    async fn handle(&mut self, Work(time): Work, _: &mut Context<Self>) {
        tokio::time::sleep(time).await;
    }
}

struct Fail;
impl Handler<Fail> for Worker {
    type Reply = ();
    async fn handle(&mut self, _: Fail, _: &mut Context<Self>) {
        panic!("on purpose");
    }
}

fn find<'a>(snapshot: &'a Snapshot, name: &str) -> &'a Shown {
    snapshot.subsystems.iter().find(|one| one.name == name).unwrap()
}

fn health(metrics: &Metrics, name: &str) -> (Health, String) {
    let snapshot = metrics.snapshot();
    let one = find(&snapshot, name);
    (one.health, one.reasons.join("; "))
}

#[tokio::test(start_paused = true)]
async fn it_says_what_the_subsystems_say_and_its_json_is_read_again() {
    let runtime = Runtime::new();
    let metrics = Metrics::of(&runtime).unwrap();
    let parent = runtime.spawn("parent", Parent).unwrap();
    parent.started().await.unwrap();
    let worker = runtime.spawn("worker", Worker).unwrap();
    for _ in 0..10 {
        worker.ask(Work(Duration::from_millis(20))).await.unwrap();
    }
    for _ in 0..3 {
        let unnamed = runtime.spawn_unnamed(Worker).unwrap();
        unnamed.ask(Work(SECOND)).await.unwrap();
        assert!(unnamed.ask(Work(9 * SECOND)).await.is_err(), "its deadline");
    }
    let snapshot = metrics.snapshot_by_message_type();
    let named: Vec<_> =
        snapshot.subsystems.iter().map(|one| (&*one.name, one.count, one.parent.as_deref())).collect();
    let kind = "snapshot::Worker";
    assert_eq!(
        named,
        [
            ("parent", 1, None),
            ("child", 1, Some("parent")),
            (kind, 1, Some("parent")),
            ("worker", 1, None),
            (kind, 3, None)
        ]
    );
    let shown = find(&snapshot, "worker");
    let stats = worker.stats();
    assert_eq!(
        (shown.ledger.sent, shown.ledger.handled, shown.ledger.capacity),
        (stats.sent, stats.handled, 1024)
    );
    assert_eq!(shown.asks.replied, 10);
    assert_eq!(
        (shown.state, shown.health, shown.took.count),
        (State::Running, Health::Healthy, 0),
        "long ago"
    );
    let [work] = &shown.message_types[..] else { panic!("{:?}", shown.message_types) };
    assert_eq!((&*work.name, work.took.count), ("snapshot::Work", 10));
    assert!((work.took.p50 - 0.02).abs() < 0.001 && work.took.max < 0.021, "{:?}", work.took);
    assert_eq!((snapshot.ledger.sent, snapshot.took.count), (16, 2), "of these two lately");
    let asks: Vec<_> = snapshot.asks.ends().into_iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(asks, [("replied", 13), ("deadline", 3)]);
    assert_eq!((snapshot.alive, snapshot.not_shown, snapshot.tokio.workers), (7, 0, 1));
    assert!(snapshot.process.resident_bytes > 1 << 20 && snapshot.process.threads > 0);
    let read: Snapshot = serde_json::from_str(&serde_json::to_string(&snapshot).unwrap()).unwrap();
    assert_eq!(read, snapshot);
    assert!(Metrics::of(&runtime).is_err(), "one is enough");
}

#[tokio::test]
async fn what_has_ended_stays_in_the_totals() {
    let runtime = Runtime::new();
    let metrics = Metrics::of(&runtime).unwrap();
    for _ in 0..5 {
        let worker = runtime.spawn("worker", Worker).unwrap();
        worker.tell(Work(Duration::ZERO)).unwrap();
        worker.stop();
        worker.ended().await;
    }
    let snapshot = metrics.snapshot();
    assert_eq!((snapshot.ledger.sent, snapshot.ledger.handled, snapshot.alive), (5, 5, 0));
    assert!(snapshot.subsystems.is_empty());
    drop(runtime);
    assert_eq!(metrics.snapshot().ledger.handled, 5);
}

#[tokio::test]
async fn names_are_shown_one_by_one_up_to_a_limit() {
    let runtime = Runtime::new();
    let metrics = Metrics::with(&runtime, Settings::default().most_named(10)).unwrap();
    for number in 0..25 {
        runtime.spawn(&format!("worker-{number}"), Worker).unwrap().ask(Work(Duration::ZERO)).await.unwrap();
        runtime.spawn_unnamed(Worker).unwrap();
    }
    let snapshot = metrics.snapshot();
    assert_eq!((snapshot.subsystems.len(), snapshot.not_shown, snapshot.ledger.handled), (11, 15, 25));
    assert_eq!(snapshot.took.count, 25, "those that are not shown are in the totals");
    let text = metrics.openmetrics();
    assert!(text.contains("worker-9\"") && !text.contains("worker-10\""));
}

#[tokio::test]
async fn names_that_come_and_go_do_not_grow_a_database() {
    let runtime = Runtime::new();
    let metrics = Metrics::with(&runtime, Settings::default().most_named(10)).unwrap();
    for number in 0..30 {
        let session = runtime.spawn(&format!("session-{number}"), Worker).unwrap();
        session.ask(Work(Duration::ZERO)).await.unwrap();
        assert_eq!(metrics.snapshot().subsystems[0].name, format!("session-{number}"));
        let is_exported = metrics.openmetrics().contains(&format!("\"session-{number}\""));
        assert_eq!(is_exported, number < 10, "{number}");
        session.stop();
        session.ended().await;
    }
    assert_eq!(metrics.snapshot().took.count, 30, "they are still in the totals");
}

#[tokio::test]
async fn who_is_not_shown_is_not_well_either() {
    let runtime = Runtime::new();
    let metrics = Metrics::with(&runtime, Settings::default().most_named(1)).unwrap();
    runtime.spawn("first", Worker).unwrap();
    let full = ["second", "third"].map(|name| {
        let full = runtime.configure(name).mailbox(Mailbox::bounded(1)).spawn(Worker).unwrap();
        full.suspend();
        full.tell(Work(SECOND)).unwrap();
        full
    });
    let snapshot = metrics.snapshot();
    let shown: Vec<_> = snapshot.subsystems.iter().map(|one| &*one.name).collect();
    assert_eq!((shown, snapshot.not_shown), (vec!["first", "second"], 1));
    full[0].kill();
    full[0].ended().await;
    assert_eq!(metrics.snapshot().health, Health::Unhealthy);
}

#[tokio::test]
async fn rows_are_bounded_however_many_parents_there_are() {
    let runtime = Runtime::new();
    let metrics = Metrics::of(&runtime).unwrap();
    for _ in 0..100 {
        runtime.spawn_unnamed(Nest).unwrap().started().await.unwrap();
    }
    let snapshot = metrics.snapshot();
    let rows: Vec<_> = snapshot.subsystems.iter().map(|one| (one.count, one.parent.as_deref())).collect();
    assert_eq!(rows, [(100, None), (100, Some("snapshot::Nest"))]);
}

/// Has a child without a name.
struct Nest;
impl Subsystem for Nest {
    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        cx.spawn(Worker)?;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_is_not_healthy() {
    let runtime = Runtime::new();
    let metrics = Metrics::of(&runtime).unwrap();
    let worker = runtime.configure("worker").mailbox(Mailbox::bounded(10)).budget(1).spawn(Worker).unwrap();
    worker.tell(Work(SECOND)).unwrap();
    while worker.stats().in_hand == 0 {
        tokio::task::yield_now().await;
    }
    for (queued, expected) in [
        (7, (Health::Healthy, "")),
        (8, (Health::Degraded, "its mailbox is 80 % full")),
        (10, (Health::Unhealthy, "its mailbox is 100 % full")),
    ] {
        while worker.stats().queued < queued {
            worker.tell(Work(Duration::ZERO)).unwrap();
        }
        assert_eq!(health(&metrics, "worker"), (expected.0, expected.1.to_owned()));
    }
    assert_eq!(metrics.snapshot().health, Health::Unhealthy);
    advance(2 * SECOND).await;
    while worker.stats().queued > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(metrics.snapshot().health, Health::Healthy);
}

#[tokio::test(start_paused = true)]
async fn failures_count_for_ten_seconds() {
    let runtime = Runtime::new();
    let metrics = Metrics::of(&runtime).unwrap();
    let restart = Restart::one_for_one().at_most(1000, SECOND);
    let worker = runtime.configure("worker").restart(restart).spawn_with(|| Worker).unwrap();
    let round = async |failures: u32| {
        for number in 0..100 {
            let failed = if number < failures {
                worker.ask(Fail).await.is_err()
            } else {
                worker.ask(Work(Duration::ZERO)).await.is_err()
            };
            assert_eq!(failed, number < failures);
        }
    };
    for (failures, expected) in [
        (4, (Health::Healthy, "")),
        (5, (Health::Degraded, "5 % of its messages fail")),
        (10, (Health::Unhealthy, "10 % of its messages fail")),
        (0, (Health::Healthy, "")),
    ] {
        // What was before is forgotten.
        for _ in 0..3 {
            let _ = metrics.snapshot();
            advance(5 * SECOND).await;
        }
        let _ = metrics.snapshot();
        round(failures).await;
        assert_eq!(health(&metrics, "worker"), (expected.0, expected.1.to_owned()), "{failures}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_stays_in_hand_is_noticed() {
    let runtime = Runtime::new();
    let metrics = Metrics::of(&runtime).unwrap();
    let worker = runtime.spawn("worker", Worker).unwrap();
    worker.tell(Work(100 * SECOND)).unwrap();
    while worker.stats().in_hand == 0 {
        tokio::task::yield_now().await;
    }
    let mut seen = Vec::new();
    for _ in 0..9 {
        seen.push(health(&metrics, "worker"));
        advance(4 * SECOND).await;
    }
    let expected = [Health::Healthy, Health::Healthy, Health::Degraded, Health::Degraded];
    assert_eq!(seen[..4].iter().map(|(health, _)| *health).collect::<Vec<_>>(), expected);
    assert_eq!(seen[8], (Health::Unhealthy, "a message has been in hand for 32s".to_owned()));
    advance(100 * SECOND).await;
    worker.ask(Work(Duration::ZERO)).await.unwrap();
    assert_eq!(health(&metrics, "worker").0, Health::Healthy);
}

struct Level;
impl mycelia_actors::Figures for Level {
    fn figures(&self) -> Vec<mycelia_actors::Figure> {
        use mycelia_actors::Figure;
        vec![Figure::counter("made", 7.0), Figure::gauge("level", -0.5), Figure::gauge("nowhere", f64::NAN)]
    }
}

struct Tank;
impl Subsystem for Tank {
    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        cx.show(std::sync::Arc::new(Level));
        Ok(())
    }
}

#[tokio::test]
async fn what_a_subsystem_shows_itself_is_in_the_snapshot_and_in_the_text() {
    let runtime = Runtime::new();
    let metrics = Metrics::of(&runtime).unwrap();
    runtime.spawn("tank", Tank).unwrap().started().await.unwrap();
    runtime.spawn_unnamed(Tank).unwrap().started().await.unwrap();
    let snapshot = metrics.snapshot();
    let figures: Vec<_> =
        find(&snapshot, "tank").figures.iter().map(|one| (&*one.name, one.is_counter, one.value)).collect();
    assert_eq!(figures, [("made", true, 7.0), ("level", false, -0.5)]);
    let json = serde_json::to_string(&snapshot).unwrap();
    assert_eq!(serde_json::from_str::<Snapshot>(&json).unwrap(), snapshot);
    let text = metrics.openmetrics();
    for line in [
        "mycelia_subsystem_counts_total{subsystem=\"tank\",name=\"made\"} 7.0",
        "mycelia_subsystem_figures{subsystem=\"tank\",name=\"level\"} -0.5",
    ] {
        assert!(text.lines().any(|found| found == line), "{text}");
    }
    assert_eq!(text.matches("name=\"made\"").count(), 1);
}
