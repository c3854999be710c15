// the new state is sent what the old one had started, also after `started` of the new one has run.
use mycelia_actors::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

static MADE: AtomicU64 = AtomicU64::new(0);
static STALE: AtomicU64 = AtomicU64::new(0);
static LATE: AtomicU64 = AtomicU64::new(0);
struct Reader {
    state: u64,
    born: Instant,
}
impl Subsystem for Reader {
    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        self.born = Instant::now();
        let state = self.state;
        for n in 0..4 {
            cx.pipe(async move {
                tokio::task::yield_now().await;
                figures::spin(Duration::from_micros(3 * n + state % 17));
                Row(state, Instant::now())
            });
        }
        Ok(())
    }
}
struct Row(u64, Instant);
impl Handler<Row> for Reader {
    type Reply = ();
    async fn handle(&mut self, Row(of, sent): Row, _: &mut Context<Self>) {
        STALE.fetch_add(u64::from(of != self.state), Relaxed);
        LATE.fetch_add(u64::from(of != self.state && sent > self.born), Relaxed);
    }
}
#[tokio::main(worker_threads = 2)]
async fn main() -> std::process::ExitCode {
    let runtime = Runtime::new();
    let make = || Reader { state: MADE.fetch_add(1, Relaxed), born: Instant::now() };
    let reader = runtime.spawn_with("reader", make).unwrap();
    for n in 0..20_000 {
        figures::spin(Duration::from_micros(n % 40));
        reader.restart();
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    // right: 0 sent after `started`; and of the others 0, or a way to tell
    let (restarts, stale, late) = (reader.stats().restarts, STALE.load(Relaxed), LATE.load(Relaxed));
    figures::judge("restarts", restarts, "more than 100", restarts > 100);
    figures::judge("messages of an older state", stale, "0", stale == 0);
    figures::judge("of these sent after `started` of the new", late, "0", late == 0);
    figures::verdict()
}
