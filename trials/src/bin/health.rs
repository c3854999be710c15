//! Documented backpressure, a pause and two bad messages of three are no sickness; a mailbox that nothing leaves is.
use mycelia_actors::prelude::*;
use mycelia_metrics::{Health, Metrics};
use std::process::ExitCode;
use std::time::Duration;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}
struct Worker;
impl Subsystem for Worker {}
/// A message that takes so long.
struct Take(Duration);
impl Handler<Take> for Worker {
    type Reply = ();
    async fn handle(&mut self, Take(time): Take, _: &mut Context<Self>) {
        tokio::time::sleep(time).await;
    }
}
struct Bad;
impl Handler<Bad> for Worker {
    type Reply = ();
    async fn handle(&mut self, _: Bad, _: &mut Context<Self>) {
        panic!("bad")
    }
}
/// How many of so many looks found something worse than `most`.
async fn looks(metrics: &Metrics, count: u32, pause: Duration, most: Health) -> u32 {
    let mut worse = 0;
    for _ in 0..count {
        tokio::time::sleep(pause).await;
        worse += u32::from(metrics.snapshot().health > most);
    }
    worse
}
/// A sender that waits, and so keeps the mailbox full.
async fn backpressure(capacity: usize) -> u32 {
    let runtime = Runtime::new();
    let metrics = Metrics::of(&runtime).unwrap();
    let worker = runtime.configure("worker").mailbox(Mailbox::bounded(capacity)).spawn(Worker).unwrap();
    let sender = tokio::spawn(async move { while worker.send(Take(ms(10))).await.is_ok() {} });
    let unhealthy = looks(&metrics, 147, ms(107), Health::Degraded).await;
    sender.abort();
    unhealthy
}
async fn suspended() -> u32 {
    let runtime = Runtime::new();
    let metrics = Metrics::of(&runtime).unwrap();
    let worker = runtime.configure("worker").mailbox(Mailbox::bounded(4)).spawn(Worker).unwrap();
    worker.suspend();
    while worker.tell(Take(ms(1))).is_ok() {}
    looks(&metrics, 60, ms(1000), Health::Degraded).await
}
/// Two bad of three messages, looked at every so often.
async fn two_of_three(pause: Duration) -> u32 {
    let runtime = Runtime::new();
    let metrics = Metrics::of(&runtime).unwrap();
    let restart = Restart::one_for_one();
    let worker = runtime.configure("worker").restart(restart).spawn_with(|| Worker).unwrap();
    worker.started().await.unwrap();
    let _ = metrics.snapshot();
    worker.ask(Take(ms(1))).await.unwrap();
    for _ in 0..2 {
        worker.ask(Bad).await.unwrap_err();
    }
    looks(&metrics, 60_000 / pause.as_millis() as u32, pause, Health::Healthy).await
}
/// A full mailbox of which nothing is handled.
async fn stuck() -> (u32, u32) {
    let runtime = Runtime::new();
    let metrics = Metrics::of(&runtime).unwrap();
    let worker = runtime.configure("worker").mailbox(Mailbox::bounded(4)).spawn(Worker).unwrap();
    worker.started().await.unwrap();
    for _ in 0..2 {
        while worker.tell(Take(ms(60_000))).is_ok() {}
        tokio::time::sleep(ms(1)).await;
    }
    let early = looks(&metrics, 4, ms(1000), Health::Degraded).await;
    tokio::time::sleep(ms(2000)).await;
    (early, looks(&metrics, 1, ms(1000), Health::Degraded).await)
}
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|_| ()));
    for capacity in [16, 1] {
        let seen = backpressure(capacity).await;
        let what = format!("a sender that waits for bounded({capacity}): unhealthy in so many of 147 looks");
        figures::judge(&what, seen, "0", seen == 0);
    }
    let seen = suspended().await;
    figures::judge(
        "a suspended subsystem with a full mailbox: unhealthy in so many of 60 looks",
        seen,
        "0",
        seen == 0,
    );
    for pause in [1_000, 15_000] {
        let seen = two_of_three(ms(pause)).await;
        let what =
            format!("2 bad of 3 messages: not healthy in so many looks of a minute, one every {pause} ms");
        figures::judge(&what, seen, "0", seen == 0);
    }
    let seen = stuck().await;
    figures::judge(
        "full and nothing handled: unhealthy in the first 4 s, and after 7 s",
        seen,
        "(0, 1)",
        seen == (0, 1),
    );
    figures::verdict()
}
