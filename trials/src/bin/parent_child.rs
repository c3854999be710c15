//! A parent that passes messages on to its children: `runtime.shutdown()` ends the children first, and refuses new ones.
use mycelia_actors::prelude::*;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
static LOST: AtomicUsize = AtomicUsize::new(0);
static WORKED: AtomicUsize = AtomicUsize::new(0);
#[derive(Default)]
struct Router {
    children: HashMap<u32, Address<Worker>>,
    lost: Vec<String>,
}
struct Worker;
struct Work(u32);
impl Subsystem for Worker {}
impl Handler<Work> for Worker {
    type Reply = ();
    async fn handle(&mut self, _: Work, _: &mut Context<Self>) {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        WORKED.fetch_add(1, SeqCst);
    }
}
impl Subsystem for Router {
    async fn stopped(&mut self, _: &Exit, _: &mut Context<Self>) {
        LOST.store(self.lost.len(), SeqCst);
        println!(
            "   router could not pass on {}: {:?}",
            self.lost.len(),
            self.lost.iter().collect::<std::collections::BTreeSet<_>>()
        );
    }
}
impl Handler<Work> for Router {
    type Reply = ();
    async fn handle(&mut self, Work(key): Work, cx: &mut Context<Self>) {
        if !self.children.contains_key(&key) {
            match cx.configure_unnamed().spawn(Worker) {
                Ok(worker) => {
                    self.children.insert(key, worker);
                }
                Err(error) => {
                    self.lost.push(error.to_string());
                    return;
                }
            }
        }
        if let Err(error) = self.children[&key].send(Work(key)).await {
            self.lost.push(error.refusal.to_string());
        }
    }
}
#[tokio::main]
async fn main() -> std::process::ExitCode {
    for (how, distinct) in [
        ("runtime.shutdown()", 5),
        ("runtime.shutdown()", 500),
        ("router.stop(), ended(), then shutdown()", 500),
    ] {
        let runtime = Runtime::new();
        let router = runtime.spawn("router", Router::default()).unwrap();
        for number in 0..5 {
            router.ask(Work(number)).await.unwrap();
        }
        for number in 0..500 {
            router.tell(Work(number % distinct)).unwrap();
        }
        println!("{how}, {distinct} keys");
        if how.starts_with("router") {
            router.stop();
            router.ended().await;
        }
        let shutdown = runtime.shutdown().await;
        println!("   router: {}", router.stats());
        let (lost, worked) = (LOST.swap(0, SeqCst), WORKED.swap(0, SeqCst));
        figures::judge(
            "   shutdown; could not be passed on; worked off",
            (&shutdown, lost, worked),
            "(Ok(()), 0, 505)",
            shutdown.is_ok() && lost == 0 && worked == 505,
        );
    }
    figures::verdict()
}
