//! Siblings whose `stopped` takes 100 ms: shutdown takes them one after another.
use mycelia_actors::prelude::*;
use std::time::{Duration, Instant};
struct Connection;
impl Subsystem for Connection {
    async fn stopped(&mut self, _: &Exit, _: &mut Context<Self>) {
        tokio::time::sleep(Duration::from_millis(100)).await; // says goodbye to its peer
    }
}
#[tokio::main]
async fn main() -> std::process::ExitCode {
    for count in [1, 10, 50] {
        let runtime = Runtime::new();
        for _ in 0..count {
            runtime.spawn_unnamed(Connection).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        let began = Instant::now();
        let ended = runtime.shutdown().await;
        println!("{count}: {:?} {}", began.elapsed(), ended.is_ok());
    }
    let took = figures::best_of_three_async(async || {
        let runtime = Runtime::new();
        for _ in 0..50 {
            runtime.spawn_unnamed(Connection).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        let began = Instant::now();
        let ended = runtime.shutdown().await;
        figures::judge("50: shutdown", &ended, "Ok(())", ended.is_ok());
        began.elapsed()
    })
    .await;
    let limit = Duration::from_millis(100);
    figures::judge(
        "50: the quickest of three",
        took,
        "100 to 110 ms",
        took <= limit + figures::lateness(limit),
    );
    // with a limit
    let runtime = Runtime::new();
    for _ in 0..50 {
        runtime.spawn_unnamed(Connection).unwrap();
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let began = Instant::now();
    let ended = runtime.shutdown_within(Duration::from_secs(2)).await;
    println!("50 within 2 s: {:?}", began.elapsed());
    figures::judge("50 within 2 s", ended.as_ref().map_err(ToString::to_string), "Ok(())", ended.is_ok());
    figures::verdict()
}
