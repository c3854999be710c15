// pauses longer than the window: the limit is never reached, the pause never grows to `longest`, and every second one is none.
use mycelia_actors::prelude::*;
use std::time::Duration;

struct Database;
impl Subsystem for Database {
    async fn started(&mut self, _: &mut Context<Self>) -> Result<(), BoxError> {
        let now = EPOCH.with(|epoch| epoch.elapsed().as_secs_f64());
        println!("{now:6.1} s");
        STARTS.with_borrow_mut(|starts| starts.push(now));
        panic!("down")
    }
}
thread_local!(static STARTS: std::cell::RefCell<Vec<f64>> = const { std::cell::RefCell::new(Vec::new()) });
thread_local!(static EPOCH: tokio::time::Instant = tokio::time::Instant::now());
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> std::process::ExitCode {
    std::panic::set_hook(Box::new(|_| ()));
    EPOCH.with(|_| ());
    let seconds = Duration::from_secs;
    let restart = Restart::one_for_one().at_most(3, seconds(5)).backoff(seconds(10), seconds(60));
    let database = Runtime::new();
    let database = database.configure("database").restart(restart).spawn_with(|| Database).unwrap();
    let _ = tokio::time::timeout(seconds(60), database.ended()).await;
    // right: either the end after the fourth failure, or 0, 10, 30, 70, 130 s …: "twice as long before each one after it, up to 60 s"
    let (exit, restarts) = (database.exit(), database.stats().restarts);
    println!("after a minute: exit {exit:?}, restarts {restarts}");
    let starts = STARTS.take();
    let pauses: Vec<_> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // With jitter a pause may be half as long as it says.
    let grows =
        pauses.len() < 6 && pauses.iter().all(|pause| *pause >= 5.0) && pauses.last() > pauses.first();
    let holds = if exit.is_some() { restarts <= 3 && starts.len() <= 4 } else { grows && restarts >= 1 };
    figures::judge(
        "starts, and the exit",
        (&starts, exit),
        "[0, 10, 30, 70, ..], or the end after the fourth",
        holds,
    );
    figures::verdict()
}
