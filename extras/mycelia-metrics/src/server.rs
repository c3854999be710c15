//! All of it over HTTP.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context as Task, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::Listener;
use futures_core::Stream;
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::task::JoinHandle;
use tokio_io_timeout::TimeoutStream;

use crate::health::Health;
use crate::live::{self, Watching};
use crate::metrics::Metrics;
use crate::openmetrics;
use crate::pages::PAGES;
use crate::settings::Token;

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

/// How long a connection may take nothing of what it is sent.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server of metrics. It stops when this is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    task: JoinHandle<io::Result<()>>,
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
    /// Serves the dashboard and all the rest, until what comes back is dropped. On tokio.
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
        let task = tokio::spawn(axum::serve(Impatient(listener), router).into_future());
        Ok(Server { address, task })
    }

    /// The same as a router, to be nested in a server of one's own: under a path of its own, and behind whatever guards that server,
    /// unless a token is set.
    ///
    /// | path | what |
    /// |---|---|
    /// | `/` | the dashboard |
    /// | `/metrics` | OpenMetrics text, for Prometheus |
    /// | `/api/snapshot` | a [`Snapshot`](crate::Snapshot) as JSON; `?message_types=true` with those |
    /// | `/api/routes` | all routes as JSON |
    /// | `/api/live` | server-sent events: a snapshot now, and one a second |
    /// | `/healthz` | 200 while the process can answer |
    /// | `/readyz` | 200, or 503 if a subsystem is unhealthy; which one, and why |
    pub fn router(&self) -> Router {
        let mut router = Router::new()
            .route("/metrics", get(metrics))
            .route("/api/snapshot", get(snapshot))
            .route("/api/routes", get(routes))
            .route("/api/live", get(live_events))
            .route("/readyz", get(ready));
        for page in PAGES {
            let answer = move || async move { ([(CONTENT_TYPE, page.content_type)], page.content) };
            router = router.route(page.path, get(answer));
        }
        if let Some(token) = &self.inner().settings.token {
            router = router.layer(middleware::from_fn_with_state(token.clone(), only_with_token));
        }
        router
            .route("/healthz", get(|| async { "ok\n" }))
            .layer(middleware::map_response(careful))
            .with_state(self.clone())
    }
}

/// Drops connections that take nothing any more.
struct Impatient(TcpListener);

impl Listener for Impatient {
    type Io = Pin<Box<TimeoutStream<TcpStream>>>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(PATIENCE));
        (Box::pin(stream), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// Browsers are told to be careful: nothing comes from elsewhere, and nothing is kept.
async fn careful(mut response: Response) -> Response {
    let policy =
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'";
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A page of somebody else's that has a name for this machine made up (DNS rebinding) is not answered.
async fn only_by_a_local_name(request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let is_local = name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    if is_local { next.run(request).await } else { StatusCode::MISDIRECTED_REQUEST.into_response() }
}

#[derive(Deserialize)]
struct WithToken {
    token: Option<String>,
}

async fn only_with_token(State(token): State<Token>, request: Request, next: Next) -> Response {
    let header = request.headers().get(AUTHORIZATION).and_then(|header| header.to_str().ok());
    let bearer = header.and_then(|header| header.strip_prefix("Bearer ")).map(str::to_owned);
    let query = || Query::<WithToken>::try_from_uri(request.uri()).ok()?.0.token;
    let is_known = bearer.or_else(query).is_some_and(|said| token.is(&said));
    // The dashboard's own files are no secret, and cannot send headers.
    let is_secret = request.uri().path() == "/metrics"
        || request.uri().path().starts_with("/api/")
        || request.uri().path() == "/readyz";
    if is_known || !is_secret { next.run(request).await } else { StatusCode::UNAUTHORIZED.into_response() }
}

async fn metrics(State(metrics): State<Metrics>) -> impl IntoResponse {
    ([(CONTENT_TYPE, openmetrics::CONTENT_TYPE)], metrics.openmetrics())
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    message_types: bool,
}

const JSON: &str = "application/json";

async fn snapshot(State(metrics): State<Metrics>, Query(wanted): Query<Wanted>) -> Response {
    let snapshot = if wanted.message_types { metrics.snapshot_by_message_type() } else { metrics.snapshot() };
    json(&snapshot)
}

async fn routes(State(metrics): State<Metrics>) -> Response {
    json(&metrics.inspector().routes())
}

fn json(value: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(text) => ([(CONTENT_TYPE, JSON)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn ready(State(metrics): State<Metrics>) -> Response {
    let snapshot = metrics.snapshot();
    let unwell = snapshot.subsystems.iter().filter(|one| one.health > Health::Healthy);
    let lines =
        unwell.map(|one| format!("{} {}: {}\n", one.name, one.health.as_str(), one.reasons.join("; ")));
    let text = format!("{}\n{}", snapshot.health.as_str(), lines.collect::<String>());
    let code = match snapshot.health {
        Health::Healthy | Health::Degraded => StatusCode::OK,
        Health::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
    };
    (code, text).into_response()
}

async fn live_events(State(metrics): State<Metrics>) -> Response {
    match live::watch(&metrics) {
        Some(watching) => {
            ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(Frames(watching))).into_response()
        }
        None => (StatusCode::SERVICE_UNAVAILABLE, "too many watch already\n").into_response(),
    }
}

/// Snapshots as server-sent events.
struct Frames(Watching);

impl Stream for Frames {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.0).poll_next(task).map(|event| {
            // JSON has no line breaks of its own.
            event.map(|event| Ok(format!("data: {event}\n\n").into()))
        })
    }
}
