// `ended().await` and `shutdown().await` return before the futures beside the subsystem are dropped.
use mycelia_actors::prelude::*;
use std::sync::{Arc, Mutex};

struct Writer;
impl Subsystem for Writer {}
struct Hold(Arc<Mutex<()>>);
struct Done;
impl Handler<Hold> for Writer {
    type Reply = ();
    async fn handle(&mut self, Hold(file): Hold, cx: &mut Context<Self>) {
        cx.pipe(async move {
            let _file = file; // a lock file, a port, a connection of a pool
            std::future::pending::<()>().await;
            Done
        });
    }
}
impl Handler<Done> for Writer {
    type Reply = ();
    async fn handle(&mut self, _: Done, _: &mut Context<Self>) {}
}
fn main() -> std::process::ExitCode {
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let run = async {
        let mut early = [0; 2];
        for n in 0..2000 {
            let runtime = Runtime::new();
            let file = Arc::new(Mutex::new(()));
            let writer = runtime.spawn("writer", Writer).unwrap();
            writer.ask(Hold(Arc::clone(&file))).await.unwrap_or_else(|_| panic!());
            tokio::task::yield_now().await;
            if n % 2 == 0 {
                writer.stop();
                writer.ended().await;
            } else {
                runtime.shutdown().await.unwrap();
            }
            early[n % 2] += u32::from(Arc::strong_count(&file) > 1);
        }
        early
    };
    let [ended, shutdown] = tokio.block_on(async { tokio::spawn(run).await.unwrap() });
    figures::judge("still held after `ended()`, of 1000", ended, "0", ended == 0);
    figures::judge("still held after `shutdown()`, of 1000", shutdown, "0", shutdown == 0);
    figures::verdict()
}
