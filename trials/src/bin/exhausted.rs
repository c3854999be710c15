// where the pool may not grow, one moment without a slot ends every timer and stream for good, and results are lost unsaid.
use mycelia_actors::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

static LOADED: AtomicU64 = AtomicU64::new(0);
struct Clock(u64);
impl Subsystem for Clock {
    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        cx.send_every(Duration::from_millis(10), Tick);
        cx.pipe(async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            Loaded
        });
        Ok(())
    }
}
#[derive(Clone)]
struct Tick;
impl Handler<Tick> for Clock {
    type Reply = ();
    async fn handle(&mut self, _: Tick, _: &mut Context<Self>) {
        self.0 += 1;
    }
}
struct Loaded;
impl Handler<Loaded> for Clock {
    type Reply = ();
    async fn handle(&mut self, _: Loaded, _: &mut Context<Self>) {
        LOADED.fetch_add(1, Relaxed);
        println!("loaded");
    }
}
struct Ticks;
impl Handler<Ticks> for Clock {
    type Reply = u64;
    async fn handle(&mut self, _: Ticks, _: &mut Context<Self>) -> u64 {
        std::mem::take(&mut self.0)
    }
}
#[tokio::main]
async fn main() -> std::process::ExitCode {
    let ms = |n| tokio::time::sleep(Duration::from_millis(n));
    let runtime = Runtime::builder().messages(MessagePool::capacity(20).fail_when_exhausted()).build();
    let letters = runtime.dead_letters(100);
    let (clock, busy) = (runtime.spawn("clock", Clock(0)).unwrap(), runtime.spawn("busy", Clock(0)).unwrap());
    busy.started().await.unwrap();
    ms(100).await;
    println!("ticks in 100 ms: {}", clock.ask(Ticks).await.unwrap());
    busy.suspend();
    while busy.tell(Tick).is_ok() {} // every slot is out, for 100 ms
    ms(100).await;
    busy.resume();
    ms(10).await;
    clock.ask(Ticks).await.unwrap();
    ms(1000).await;
    // right: about 100 ticks, and "loaded" above
    let ticks = clock.ask(Ticks).await.unwrap();
    println!("{}; letters {}", clock.stats(), letters.len());
    figures::judge("ticks in the second after it", ticks, "about 100", (80..=110).contains(&ticks));
    let loaded = LOADED.load(Relaxed);
    figures::judge("results of the two pipes", loaded, "2", loaded == 2);
    figures::verdict()
}
