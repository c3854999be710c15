//! The dashboard in a server of one's own, below a path, and a graceful end in the right order: first the server, then the runtime.
//!
//! ```text
//! cargo run -p mycelia-metrics --example nested -- 127.0.0.1:8080
//! ```

use mycelia_actors::prelude::*;
use mycelia_metrics::Metrics;

struct Echo;
impl Subsystem for Echo {}
impl Handler<u64> for Echo {
    type Reply = u64;
    async fn handle(&mut self, n: u64, _: &mut Context<Self>) -> u64 {
        n
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let runtime = Runtime::new();
    let metrics = Metrics::of(&runtime)?;
    let echo = runtime.spawn("echo", Echo)?;
    echo.ask(1).await?;

    let router = axum::Router::new().nest_service("/internal/mycelia", metrics.router());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("http://{}/internal/mycelia", listener.local_addr()?);
    let end = async move {
        let _ = terminated().await;
        // Or else the server waits for a dashboard that is open, up to three seconds.
        metrics.end_streams();
    };
    axum::serve(listener, router).with_graceful_shutdown(end).await?;
    runtime.shutdown().await?;
    println!("ended");
    Ok(())
}

/// Waits for the signal that asks the process to end.
async fn terminated() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        signal(SignalKind::terminate())?.recv().await;
        Ok(())
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
