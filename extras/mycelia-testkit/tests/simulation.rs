//! The same seed gives the same run; other seeds give others; faults are counted; a failure prints its seed.

use std::collections::HashSet;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mycelia_actors::prelude::*;
use mycelia_testkit::Simulation;

/// What happened, in order.
type Log = Arc<Mutex<Vec<(usize, u32)>>>;

/// Writes down what it handles, and sends some of it on.
struct Node {
    number: usize,
    log: Log,
    next: Option<Address<Node>>,
}
impl Subsystem for Node {}

struct Hop(u32);
impl Handler<Hop> for Node {
    type Reply = ();
    async fn handle(&mut self, Hop(number): Hop, _: &mut Context<Self>) {
        self.log.lock().unwrap().push((self.number, number));
        if let Some(next) = self.next.as_ref().filter(|_| number % 3 == 0) {
            let _ = next.send(Hop(number + 1000)).await;
        }
        if number % 7 == 0 {
            tokio::time::sleep(Duration::from_millis(u64::from(number))).await;
        }
    }
}

/// Ten subsystems in a row, all of which are told a hundred numbers. What happened, and their ledgers.
async fn scene(runtime: Runtime) -> (Vec<(usize, u32)>, Vec<Stats>) {
    let log = Log::default();
    let mut nodes: Vec<Address<Node>> = Vec::new();
    for number in 0..10 {
        let (log, next) = (Arc::clone(&log), nodes.last().cloned());
        let restart = Restart::one_for_all()
            .at_most(1000, Duration::from_secs(1))
            .backoff(Duration::from_millis(1), Duration::from_millis(100));
        let make = move || Node { number, log: Arc::clone(&log), next: next.clone() };
        nodes.push(runtime.configure_unnamed().restart(restart).spawn_with(make).unwrap());
    }
    for number in 0..100 {
        for node in &nodes {
            node.send(Hop(number)).await.unwrap();
        }
    }
    runtime.shutdown().await.unwrap();
    let stats: Vec<_> = nodes.iter().map(Address::stats).collect();
    for stats in &stats {
        assert_eq!((stats.sent, stats.queued, stats.in_hand), (stats.accounted(), 0, 0), "{stats:?}");
    }
    let log = std::mem::take(&mut *log.lock().unwrap());
    (log, stats)
}

#[test]
fn the_same_seed_gives_the_same_run_a_hundred_times_of_a_hundred() {
    let simulation = Simulation::new().delays(0.3).drops(0.02).panics(0.02);
    let first = simulation.run(7, scene);
    assert!(first.1.iter().any(|stats| stats.restarts > 0), "something happens");
    for _ in 0..100 {
        assert!(simulation.run(7, scene) == first);
    }
}

#[test]
fn other_seeds_give_other_runs_but_each_sender_keeps_its_order() {
    let mut seen = HashSet::new();
    for seed in 0..50 {
        let (log, _) = Simulation::new().delays(0.3).run(seed, scene);
        assert_eq!(log.len(), 1000 + 9 * 34, "nothing is lost");
        for node in 0..10 {
            let own = log.iter().filter(|(number, _)| *number == node).map(|(_, number)| *number);
            let (from_here, from_there): (Vec<_>, Vec<_>) = own.partition(|number| *number < 1000);
            assert!(from_here.is_sorted() && from_there.is_sorted());
        }
        seen.insert(log);
    }
    assert!(seen.len() > 45, "{}", seen.len());
}

#[test]
fn faults_happen_in_their_share_and_are_counted() {
    let (_, stats) = Simulation::new().drops(0.1).run(7, scene);
    let (sent, evicted) =
        (stats.iter().map(|s| s.sent).sum::<u64>(), stats.iter().map(|s| s.evicted).sum::<u64>());
    assert!((sent / 20..sent / 5).contains(&evicted), "{evicted} of {sent}");
    let (_, stats) = Simulation::new().panics(0.1).run(7, scene);
    let failed = stats.iter().map(|s| s.failed).sum::<u64>();
    assert!((sent / 20..sent / 5).contains(&failed), "{failed} of {sent}");
    let (_, stats) = Simulation::new().run(7, scene);
    assert!(stats.iter().all(|stats| stats.lost() == 0));
}

#[test]
fn an_asker_hears_of_each_fault() {
    struct Echo;
    impl Subsystem for Echo {}
    impl Handler<u32> for Echo {
        type Reply = u32;
        async fn handle(&mut self, number: u32, _: &mut Context<Self>) -> u32 {
            number
        }
    }
    Simulation::new().delays(0.2).drops(0.2).panics(0.2).seeds(0..50, |runtime| async move {
        let restart = Restart::one_for_one().at_most(u32::MAX, Duration::from_secs(1));
        let echo = runtime.configure("echo").restart(restart).spawn_with(|| Echo).unwrap();
        for number in 0..50 {
            match echo.ask(number).await.map_err(|error| error.failure) {
                Ok(reply) => assert_eq!(reply, number),
                Err(AskFailure::Evicted | AskFailure::Panicked) => {}
                Err(other) => panic!("{other}"),
            }
        }
        let stats = echo.stats();
        assert_eq!(stats.handled + stats.evicted + stats.failed, 50);
    });
}

#[test]
fn a_handler_of_batches_gets_batches_and_the_seed_decides_what_happens_to_them() {
    struct Table(Arc<Mutex<Vec<Vec<u32>>>>);
    impl Subsystem for Table {}
    struct Row(u32);
    impl Handler<Row> for Table {
        type Reply = ();
        const BATCH: usize = 8;
        async fn handle(&mut self, row: Row, cx: &mut Context<Self>) {
            self.handle_batch(vec![row], cx).await;
        }
        async fn handle_batch(&mut self, rows: Vec<Row>, _: &mut Context<Self>) -> Vec<()> {
            self.0.lock().unwrap().push(rows.iter().map(|Row(row)| *row).collect());
            vec![(); rows.len()]
        }
    }
    let batches = async |runtime: Runtime| {
        let log = Arc::<Mutex<Vec<_>>>::default();
        let rows = Arc::clone(&log);
        let restart = Restart::one_for_one().at_most(1000, Duration::from_secs(1));
        let table =
            runtime.configure("table").restart(restart).spawn_with(move || Table(Arc::clone(&rows))).unwrap();
        table.tell_many((0..100).map(Row)).unwrap();
        runtime.shutdown().await.unwrap();
        let stats = table.stats();
        assert_eq!((stats.sent, stats.queued, stats.in_hand), (stats.accounted(), 0, 0), "{stats:?}");
        let batches: Vec<Vec<u32>> = log.lock().unwrap().clone();
        assert!(batches.concat().is_sorted(), "in order, whatever happens");
        batches
    };
    let whole: Vec<Vec<u32>> = (0..100).collect::<Vec<_>>().chunks(8).map(<[u32]>::to_vec).collect();
    assert_eq!(Simulation::new().run(7, batches), whole);
    let faulty = Simulation::new().delays(0.2).drops(0.05).panics(0.02);
    let first = faulty.run(7, batches);
    assert_ne!(first, whole);
    assert_eq!(faulty.run(7, batches), first);
    assert_ne!(faulty.run(8, batches), first);
}

#[test]
fn a_run_that_fails_prints_its_seed_and_the_variable_runs_it_alone() {
    const CHILD: &str = "TESTKIT_CHILD";
    if std::env::var(CHILD).is_ok() {
        let mut ran = 0;
        Simulation::new().seeds(0..10, |_runtime| {
            ran += 1;
            // The third, or whatever the variable says.
            let fails = ran == 3 || std::env::var("MYCELIA_SEED").is_ok();
            async move { assert!(!fails, "after {ran} runs") }
        });
        return;
    }
    let run = |seed: Option<&str>| {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args([
            "--exact",
            "a_run_that_fails_prints_its_seed_and_the_variable_runs_it_alone",
            "--nocapture",
        ]);
        child.env(CHILD, "1").envs(seed.map(|seed| ("MYCELIA_SEED", seed)));
        let output = child.output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let text = run(None);
    assert!(text.contains("after 3 runs") && text.contains("seed 2 has failed; MYCELIA_SEED=2"), "{text}");
    let text = run(Some("42"));
    assert!(text.contains("after 1 runs") && text.contains("seed 42 has failed"), "{text}");
}
