//! Which trace did the message belong to that made a handler panic? Neither the event nor the dead letter says.
use mycelia_actors::prelude::*;
use std::sync::{Arc, Mutex};
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);
impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        print!("{}", String::from_utf8_lossy(bytes));
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
struct Flaky;
impl Subsystem for Flaky {}
struct Work;
impl Handler<Work> for Flaky {
    type Reply = ();
    async fn handle(&mut self, _: Work, _: &mut Context<Self>) {
        panic!("no paper");
    }
}
#[tokio::main]
async fn main() -> std::process::ExitCode {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .init();
    std::panic::set_hook(Box::new(|_| {}));
    let runtime = Runtime::new();
    let letters = runtime.dead_letters(10);
    let flaky = runtime.spawn_with("flaky", || Flaky).unwrap();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
    let error = Metadata::new().with_trace(trace).in_scope(|| flaky.ask(Work)).await.unwrap_err();
    println!("{error}");
    let letter = format!("{:?}", letters.recv().await.unwrap());
    let says = |text: &str| text.contains("4bf92f3577b34da6a3ce929d0e0e4736") && text.contains("Work");
    figures::judge("the dead letter", &letter, "with trace id and message type", says(&letter));
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let event: Vec<_> = log.lines().filter(|line| line.contains("panic")).collect();
    figures::judge(
        "the event",
        &event,
        "with trace id and message type",
        event.iter().any(|line| says(line)),
    );
    figures::verdict()
}
