//! A snapshot shows what the subsystems themselves say, and their health.

use std::time::Duration;

use mycelia_actors::prelude::*;
use mycelia_metrics::{Health, Metrics, Settings, Snapshot, State, Subsystem as Shown};

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

#[tokio::test(start_paused = true)]
async fn who_is_not_shown_is_not_well_either() {
    let runtime = Runtime::new();
    let metrics = Metrics::with(&runtime, Settings::default().most_named(1)).unwrap();
    runtime.spawn("first", Worker).unwrap();
    let full = ["second", "third"].map(|name| {
        let full = runtime.configure(name).mailbox(Mailbox::bounded(1)).budget(1).spawn(Worker).unwrap();
        full.tell(Work(100 * SECOND)).unwrap();
        full
    });
    tokio::time::sleep(SECOND).await;
    full.iter().for_each(|full| drop(full.tell(Work(SECOND))));
    tokio::time::sleep(6 * SECOND).await;
    let snapshot = metrics.snapshot();
    let shown: Vec<_> = snapshot.subsystems.iter().map(|one| &*one.name).collect();
    assert_eq!((shown, snapshot.not_shown), (vec!["first", "second"], 1));
    full[0].kill();
    full[0].ended().await;
    assert_eq!(metrics.snapshot().health, Health::Unhealthy);
}

#[tokio::test(start_paused = true)]
async fn names_that_are_left_out_are_counted_and_get_a_place_when_one_is_free() {
    let runtime = Runtime::new();
    let metrics = Metrics::with(&runtime, Settings::default().most_named(3)).unwrap();
    let sessions = [1, 2, 3].map(|n| runtime.spawn(&format!("session-{n}"), Worker).unwrap());
    let is_exported = || metrics.openmetrics().contains("subsystem=\"database\"");
    let left_out = || {
        let text = metrics.openmetrics();
        let line = text.lines().find_map(|line| line.strip_prefix("mycelia_subsystems_not_exported "));
        assert_eq!(line.unwrap(), format!("{}.0", metrics.snapshot().not_exported));
        metrics.snapshot().not_exported
    };
    assert_eq!(left_out(), 0);
    let database = runtime.spawn("database", Worker).unwrap();
    database.ask(Work(Duration::ZERO)).await.unwrap();
    assert_eq!((is_exported(), left_out()), (false, 1));
    // A restart, or another of the same name, keeps the place, wherever it then stands.
    sessions.iter().for_each(Address::stop);
    for session in &sessions {
        session.ended().await;
    }
    runtime.spawn("session-1", Worker).unwrap();
    assert!(metrics.openmetrics().contains("subsystem=\"session-1\""));
    tokio::time::sleep(3599 * SECOND).await;
    assert_eq!((is_exported(), left_out()), (false, 1), "the others have kept theirs for an hour");
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!((is_exported(), left_out()), (true, 0));
    assert!(metrics.openmetrics().contains("subsystem=\"session-1\""));
}

#[tokio::test]
async fn a_name_that_has_time_series_keeps_them_whatever_is_shown() {
    let runtime = Runtime::new();
    let metrics = Metrics::with(&runtime, Settings::default().most_named(2)).unwrap();
    let _ = (runtime.spawn("a", Worker).unwrap(), metrics.snapshot());
    let b = runtime.spawn("b", Worker).unwrap();
    let _ = (metrics.snapshot(), runtime.spawn("c", Worker).unwrap());
    b.stop();
    b.ended().await;
    runtime.spawn("b", Worker).unwrap();
    let snapshot = metrics.snapshot();
    let shown: Vec<_> = snapshot.subsystems.iter().map(|one| &*one.name).collect();
    assert_eq!(shown, ["a", "c"], "in the order of their spawns");
    let text = metrics.openmetrics();
    let has = |name| text.contains(&format!("mycelia_mailbox_messages{{subsystem=\"{name}\"}}"));
    assert_eq!((has("a"), has("b"), has("c")), (true, true, false));
}

/// Shows a figure that it gets from the metrics themselves.
struct Curious(std::sync::Mutex<Option<Metrics>>);
impl mycelia_actors::Figures for Curious {
    fn figures(&self) -> Vec<mycelia_actors::Figure> {
        let metrics = self.0.lock().unwrap().take();
        metrics
            .into_iter()
            .map(|metrics| mycelia_actors::Figure::gauge("alive", metrics.snapshot().alive as f64))
            .collect()
    }
}
struct Shows(std::sync::Arc<Curious>);
impl Subsystem for Shows {
    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        cx.show(std::sync::Arc::clone(&self.0));
        Ok(())
    }
}

#[tokio::test]
async fn no_lock_is_held_while_subsystems_are_asked_for_their_figures() {
    let runtime = Runtime::new();
    let metrics = Metrics::of(&runtime).unwrap();
    let curious = std::sync::Arc::new(Curious(std::sync::Mutex::new(Some(metrics.clone()))));
    runtime.spawn("curious", Shows(curious)).unwrap().started().await.unwrap();
    assert_eq!(metrics.snapshot().subsystems[0].figures[0].value, 1.0);
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

struct Kind<const N: usize>;
impl<const N: usize> Handler<Kind<N>> for Worker {
    type Reply = ();
    async fn handle(&mut self, _: Kind<N>, _: &mut Context<Self>) {}
}

#[tokio::test(start_paused = true)]
async fn types_of_messages_beyond_twenty_are_told_together() {
    let runtime = Runtime::new();
    let metrics = Metrics::of(&runtime).unwrap();
    let worker = runtime.spawn("worker", Worker).unwrap();
    macro_rules! ask {
        ($($n:literal)*) => { $(
            worker.ask(Kind::<$n>).await.unwrap();
            // Each is timed.
            tokio::time::sleep(Duration::from_millis(1)).await;
        )* };
    }
    ask!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23);
    let types = &metrics.snapshot_by_message_type().subsystems[0].message_types;
    assert_eq!((types.len(), &*types[0].name, types[0].took.count), (21, "(other types)", 4));
}

#[tokio::test]
async fn labels_that_have_no_times_of_their_own_are_counted() {
    let runtime = Runtime::new();
    let metrics = Metrics::with(&runtime, Settings::default().most_named(500)).unwrap();
    for number in 0..403 {
        runtime.spawn(&format!("worker-{number}"), Worker).unwrap().ask(Work(Duration::ZERO)).await.unwrap();
    }
    let snapshot = metrics.snapshot();
    assert_eq!((snapshot.not_timed, snapshot.took.count), (3, 403));
    assert_eq!(snapshot.subsystems.iter().filter(|one| one.took.count == 0).count(), 3);
}
