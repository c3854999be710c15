// the factory runs while the old state is alive.
use mycelia_actors::prelude::*;
use std::net::TcpListener;
use std::time::Duration;

struct Server {
    _listener: TcpListener,
}
impl Subsystem for Server {}
struct Bad;
impl Handler<Bad> for Server {
    type Reply = ();
    async fn handle(&mut self, _: Bad, _: &mut Context<Self>) {
        panic!("one bad request")
    }
}
#[tokio::main]
async fn main() -> std::process::ExitCode {
    std::panic::set_hook(Box::new(|_| ()));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let runtime = Runtime::new();
    let factory = move || Server { _listener: TcpListener::bind(("127.0.0.1", port)).unwrap() };
    let server = runtime.spawn_with("server", factory).unwrap();
    let _ = server.ask(Bad).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let seen = (server.exit(), server.stats().restarts);
    figures::judge("exit and restarts", &seen, "(None, 1)", matches!(seen, (None, 1)));
    figures::verdict()
}
