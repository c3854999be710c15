//! Times of a subsystem all of whose messages are traced: there are none.
use mycelia_actors::prelude::*;
use mycelia_metrics::Metrics;
struct Echo;
impl Subsystem for Echo {}
impl Handler<u8> for Echo {
    type Reply = u8;
    async fn handle(&mut self, n: u8, _: &mut Context<Self>) -> u8 {
        n
    }
}
#[tokio::main]
async fn main() -> std::process::ExitCode {
    let runtime = Runtime::new();
    let metrics = Metrics::of(&runtime).unwrap();
    for (name, traced) in [("plain", false), ("traced", true)] {
        let echo = runtime.spawn(name, Echo).unwrap();
        for n in 0..100 {
            if traced {
                Metadata::new()
                    .with_trace(mycelia_actors::TraceParent::new())
                    .in_scope(|| echo.ask(n))
                    .await
                    .unwrap();
            } else {
                echo.ask(n).await.unwrap();
            }
        }
    }
    for one in metrics.snapshot().subsystems {
        println!(
            "{}: handled {}, timed: took {}, waited {}",
            one.name, one.ledger.handled, one.took.count, one.waited.count
        );
        figures::judge(
            &format!("{} is timed", one.name),
            (one.took.count, one.waited.count),
            "as many as plain ones, about 100",
            one.took.count > 0 && one.waited.count > 0,
        );
    }
    figures::verdict()
}
