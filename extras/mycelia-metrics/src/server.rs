//! All of it over HTTP.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::header::HOST;
use axum::http::uri::PathAndQuery;
use axum::http::{StatusCode, Uri, Version};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;
use tokio_io_timeout::TimeoutStream;

use crate::metrics::Metrics;

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address cannot be had.
    #[error("cannot listen: {0}")]
    Listen(#[from] io::Error),
    /// Others than this machine could read all of it.
    #[error("{0} is not loopback: whoever can reach it could read all of this; set a token")]
    Open(SocketAddr),
}

/// How long a connection may take nothing of what it is sent, or say nothing whole.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections at a time; the next ones wait for their turn.
const MOST_CONNECTIONS: usize = 256;
/// Until the next try, when there are too many open files.
const PAUSE: Duration = Duration::from_secs(1);

/// A server of metrics. It stops when this is dropped, and all its connections with it.
#[derive(Debug)]
#[must_use = "the server stops when this is dropped"]
pub struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Metrics {
    /// Serves the dashboard and all the rest, until what comes back is dropped. On tokio; 256 connections at a time, of which none may
    /// take nothing, or say nothing whole, for more than ten seconds.
    ///
    /// ```no_run
    /// # use mycelia_actors::prelude::*;
    /// # use mycelia_metrics::Metrics;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let runtime = Runtime::new();
    /// let metrics = Metrics::of(&runtime)?;
    /// let server = metrics.serve("127.0.0.1:9100").await?;
    /// println!("http://{}", server.address());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ServeError`], if the address cannot be had, or is not loopback and there is no token.
    pub async fn serve(&self, address: impl ToSocketAddrs) -> Result<Server, ServeError> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let has_token = self.inner().settings.token.is_some();
        if !address.ip().is_loopback() && !has_token {
            return Err(ServeError::Open(address));
        }
        let mut router = self.router();
        if !has_token {
            router = router.layer(middleware::from_fn(only_by_a_local_name));
        }
        let task = tokio::spawn(accept(listener, router));
        Ok(Server { address, task })
    }
}

async fn accept(listener: TcpListener, router: Router) {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    // Dropped with this task, and all connections with it.
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let connection = serve_one(stream, router.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}

async fn serve_one(stream: TcpStream, router: Router) {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(PATIENCE));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    // What goes wrong here goes wrong for the client only.
    let router = TowerToHyperService::new(router);
    let service = service_fn(|request| router.call(without_doubled_slash(request)));
    let _ = http.serve_connection(TokioIo::new(Box::pin(stream)), service).await;
}

/// What a request for another name is told.
const NOT_HERE: &str = "this server has no token, so it answers only to names of its own machine: localhost, 127.0.0.1, [::1]. \
     Set one (`Settings::token`), or let the proxy in front send `Host: localhost`.\n";

/// A page of another site that has a name for this machine made up (DNS rebinding) is not answered: its browser sends that name. A request
/// of HTTP/1.0 without any name is from no browser.
async fn only_by_a_local_name(request: Request, next: Next) -> Response {
    let host = match (request.uri().host(), request.headers().get(HOST)) {
        (Some(host), _) => Some(host),
        (None, Some(host)) => Some(host.to_str().unwrap_or_default()),
        (None, None) => None,
    };
    match host {
        Some(host) if is_local(host) => next.run(request).await,
        None if request.version() <= Version::HTTP_10 => next.run(request).await,
        None => (StatusCode::BAD_REQUEST, "HTTP/1.1 needs the header `Host`\n").into_response(),
        Some(_) => (StatusCode::MISDIRECTED_REQUEST, NOT_HERE).into_response(),
    }
}

/// True for `localhost` and loopback addresses, with or without a port.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    name.eq_ignore_ascii_case("localhost")
        || name.parse().is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback())
}

/// A proxy that strips a prefix without its slash leaves two.
fn without_doubled_slash<B>(mut request: axum::http::Request<B>) -> axum::http::Request<B> {
    let target = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    if target.starts_with("//")
        && let Ok(uri) = Uri::try_from(format!("/{}", target.trim_start_matches('/')))
    {
        *request.uri_mut() = uri;
    }
    request
}
