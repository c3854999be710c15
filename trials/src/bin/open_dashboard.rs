//! A dashboard that is open in a browser holds up the graceful end of the axum server it is nested in.
use mycelia_actors::prelude::*;
use mycelia_metrics::Metrics;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
#[tokio::main]
async fn main() -> std::process::ExitCode {
    for shutdown_first in [false, true] {
        let runtime = Runtime::new();
        let metrics = Metrics::of(&runtime).unwrap();
        let router = axum::Router::new().nest("/internal", metrics.router());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let server = tokio::spawn(async move {
            axum::serve(listener, router)
                .with_graceful_shutdown(async {
                    let _ = ended.await;
                })
                .await
        });
        let mut tab = tokio::net::TcpStream::connect(address).await.unwrap();
        tab.write_all(b"GET /internal/api/live HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut some = [0; 100];
        tab.read_exact(&mut some).await.unwrap();
        end.send(()).unwrap();
        if shutdown_first {
            runtime.shutdown().await.unwrap();
            drop(metrics);
            drop(runtime);
        }
        let ended = tokio::time::timeout(Duration::from_secs(5), server).await.is_ok();
        println!("runtime shut down first: {shutdown_first}; server ended: {ended:?}");
        // A stream cannot see that its server is to end, so only the end of the runtime is judged.
        if shutdown_first {
            figures::judge("the server ends after the runtime", ended, "true", ended);
        }
    }
    figures::verdict()
}
