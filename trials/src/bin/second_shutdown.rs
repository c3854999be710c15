//! Two calls of `shutdown` get the same result.
use mycelia_actors::prelude::*;
use std::process::ExitCode;
use std::time::Duration;

struct Endless;
impl Subsystem for Endless {}
struct Work;
impl Handler<Work> for Endless {
    type Reply = ();
    async fn handle(&mut self, _: Work, _: &mut Context<Self>) {
        std::future::pending().await
    }
}
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> ExitCode {
    let second = Duration::from_secs(1);
    // At the same time; the second a moment later; the second when all is over.
    for pause in [Duration::ZERO, second / 2, second * 60] {
        let runtime = Runtime::new();
        let endless = runtime.spawn("endless", Endless).unwrap();
        endless.started().await.unwrap();
        endless.tell(Work).unwrap();
        let later = async {
            tokio::time::sleep(pause).await;
            runtime.shutdown().await
        };
        let (first, later) = tokio::join!(runtime.shutdown_within(second), later);
        let seen = (first.is_err(), later.is_err());
        let what = format!("the first had to kill; the other, {pause:?} later, is told so");
        figures::judge(&what, seen, "(true, true)", seen == (true, true));
    }
    figures::verdict()
}
