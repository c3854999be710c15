// after ONE panic a server never comes back: `started` runs before what the old state had attached is gone.
use mycelia_actors::prelude::*;
use std::{
    pin::Pin,
    task::{Context as Task, Poll},
    time::Duration,
};
use tokio::net::{TcpListener, TcpStream};

struct Accept(TcpListener);
struct Connection(#[allow(dead_code)] TcpStream);
impl futures::Stream for Accept {
    type Item = Connection;
    fn poll_next(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<Connection>> {
        self.0.poll_accept(task).map(|r| r.ok().map(|(stream, _)| Connection(stream)))
    }
}
struct Web(u16);
impl Subsystem for Web {
    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        cx.attach(Accept(TcpListener::bind(("127.0.0.1", self.0)).await?));
        Ok(())
    }
}
impl Handler<Connection> for Web {
    type Reply = ();
    async fn handle(&mut self, _: Connection, _: &mut Context<Self>) {}
}
struct Bad;
impl Handler<Bad> for Web {
    type Reply = ();
    async fn handle(&mut self, _: Bad, _: &mut Context<Self>) {
        panic!("one bad request")
    }
}
#[tokio::main]
async fn main() -> std::process::ExitCode {
    std::panic::set_hook(Box::new(|_| ()));
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let runtime = Runtime::new();
    let pause = Duration::from_millis(100);
    for (name, restart) in
        [("web", Restart::one_for_one()), ("web2", Restart::one_for_one().backoff(pause, pause))]
    {
        let web = runtime.configure(name).restart(restart).spawn_with(move || Web(port)).unwrap();
        web.started().await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
        let _ = web.ask(Bad).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        // right: None, 1 restart, and the port answers
        let seen = (web.exit(), web.stats().restarts);
        figures::judge(&format!("{name}: exit and restarts"), &seen, "(None, 1)", matches!(seen, (None, 1)));
        let answers = TcpStream::connect(("127.0.0.1", port)).await.map(drop);
        figures::judge(&format!("{name}: the port answers"), &answers, "Ok(())", answers.is_ok());
        web.kill();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    figures::verdict()
}
