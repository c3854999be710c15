//! A batch handler gets single messages as soon as they have metadata.
use mycelia_actors::prelude::*;
#[derive(Default)]
struct Audit {
    batches: u64,
    rows: u64,
}
impl Subsystem for Audit {}
struct Row;
impl Handler<Row> for Audit {
    type Reply = ();
    const BATCH: usize = 64;
    async fn handle(&mut self, _: Row, _: &mut Context<Self>) {
        unreachable!()
    }
    async fn handle_batch(&mut self, rows: Vec<Row>, _: &mut Context<Self>) -> Vec<()> {
        self.batches += 1;
        self.rows += rows.len() as u64;
        rows.iter().map(|_| ()).collect()
    }
}
struct Count;
impl Handler<Count> for Audit {
    type Reply = (u64, u64);
    async fn handle(&mut self, _: Count, _: &mut Context<Self>) -> (u64, u64) {
        (self.rows, self.batches)
    }
}
#[tokio::main]
async fn main() -> std::process::ExitCode {
    let runtime = Runtime::new();
    for with in [false, true] {
        let audit = runtime.spawn_unnamed(Audit::default()).unwrap();
        audit.suspend();
        let metadata = Metadata::new();
        for _ in 0..640 {
            if with {
                metadata.in_scope(|| audit.tell(Row)).unwrap();
            } else {
                audit.tell(Row).unwrap();
            }
        }
        audit.resume();
        let seen = audit.ask(Count).await.unwrap();
        figures::judge(&format!("metadata {with}: rows and batches"), seen, "(640, 10)", seen == (640, 10));
    }
    figures::verdict()
}
