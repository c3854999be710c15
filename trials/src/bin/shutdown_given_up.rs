//! A drain goes on when the future of `shutdown` is dropped, and another call joins it.
use mycelia_actors::prelude::*;
use std::process::ExitCode;
use std::time::Duration;

struct Slow;
impl Subsystem for Slow {}
struct Work;
impl Handler<Work> for Slow {
    type Reply = ();
    async fn handle(&mut self, _: Work, _: &mut Context<Self>) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> ExitCode {
    let runtime = Runtime::new();
    let all: Vec<_> = (0..3).map(|n| runtime.spawn(&format!("slow-{n}"), Slow).unwrap()).collect();
    for one in &all {
        one.started().await.unwrap();
        (0..3).for_each(|_| _ = one.tell(Work).unwrap());
    }
    let given_up = tokio::time::timeout(Duration::from_millis(50), runtime.shutdown()).await;
    assert!(given_up.is_err());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let ended: Vec<_> = all.iter().map(|one| (one.exit().is_some(), one.stats().handled)).collect();
    let right = ended.iter().all(|one| *one == (true, 3));
    figures::judge("ended and handled, 10 s after `shutdown` was given up", &ended, "(true, 3) each", right);
    let joined = runtime.shutdown().await;
    figures::judge("another call", &joined, "Ok(())", joined.is_ok());
    figures::verdict()
}
