//! What is answered, and to whom.

use axum::Router;
use axum::body::Body;
use axum::extract::{OriginalUri, Query, Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

use crate::health::Health;
use crate::live;
use crate::metrics::Metrics;
use crate::openmetrics;
use crate::pages::{INDEX, PAGES};
use crate::settings::Token;
use crate::subsystem::{State as Lifecycle, Subsystem};

impl Metrics {
    /// All of it as a router, to be nested in a server of one's own: under a path of its own, and behind whatever guards that server,
    /// unless a token is set.
    ///
    /// | path | what |
    /// |---|---|
    /// | `/` | the dashboard |
    /// | `/metrics` | OpenMetrics text, for Prometheus |
    /// | `/api/snapshot` | a [`Snapshot`](crate::Snapshot) as JSON; `?message_types=true` with those |
    /// | `/api/routes` | all routes as JSON |
    /// | `/api/live` | server-sent events: a snapshot a second, to 64 at a time; see below |
    /// | `/healthz` | 200 while the process can answer |
    /// | `/readyz` | 200, or 503 if a subsystem is unhealthy; which one, and why |
    ///
    /// With a token all need it but `/`, the files of that page, and `/healthz`.
    ///
    /// ```
    /// # use mycelia_actors::prelude::*;
    /// # use mycelia_metrics::Metrics;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let runtime = Runtime::new();
    /// let metrics = Metrics::of(&runtime)?;
    /// let server: axum::Router = axum::Router::new().nest_service("/internal/mycelia", metrics.router());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// `nest_service` answers with and without a slash at the end of the path, axum's `nest` only without. The page asks for everything
    /// else below the place where the browser has found it, so that a proxy may strip a prefix or leave it.
    ///
    /// # The stream of events
    /// axum's graceful shutdown waits for every answer, and cannot tell one that it is to end. So an answer of `/api/live` ends by itself
    /// after 3 seconds, and an `EventSource` asks for the next; with the runtime (when its shutdown begins, or it is dropped); when
    /// [`end_streams`](Self::end_streams) is called; and when its reader is 5 events behind.
    pub fn router(&self) -> Router {
        let mut secret = Router::new()
            .route("/metrics", get(metrics))
            .route("/api/snapshot", get(snapshot))
            .route("/api/routes", get(routes))
            .route("/api/live", get(live_events))
            .route("/readyz", get(ready));
        if let Some(token) = &self.inner().settings.token {
            secret = secret.route_layer(middleware::from_fn_with_state(token.clone(), only_with_token));
        }
        let mut router = secret.route("/", get(index)).route("/healthz", get(|| async { "ok\n" }));
        for page in PAGES {
            let answer = move || async move { ([(CONTENT_TYPE, page.content_type)], page.content) };
            router = router.route(page.path, get(answer));
        }
        router.layer(middleware::map_response(careful)).with_state(self.clone())
    }
}

impl Metrics {
    /// Ends every answer of `/api/live` that has begun. For a server that is to end: without this its graceful shutdown takes up to 3
    /// seconds while a dashboard is open. A dashboard asks again, if there is still a server.
    ///
    /// ```no_run
    /// # use mycelia_actors::prelude::*;
    /// # use mycelia_metrics::Metrics;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let runtime = Runtime::new();
    /// let metrics = Metrics::of(&runtime)?;
    /// let router = axum::Router::new().nest_service("/internal/mycelia", metrics.router());
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    /// # async fn sigterm() {}
    /// let end = async move {
    ///     sigterm().await;
    ///     metrics.end_streams();
    /// };
    /// axum::serve(listener, router).with_graceful_shutdown(end).await?;
    /// runtime.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn end_streams(&self) {
        self.inner().live.end();
    }
}

/// The page, whose links are relative to where it is. Asked for without a slash at the end, it says that they begin below. (Where a proxy
/// has stripped the whole path, only the page itself can know that: see its first script.)
async fn index(OriginalUri(uri): OriginalUri) -> impl IntoResponse {
    let last = uri.path().rsplit('/').next().unwrap_or_default();
    let last = last.replace('&', "&amp;").replace('"', "%22").replace('<', "%3C");
    let base = if last.is_empty() { String::new() } else { format!("<base href=\"./{last}/\">") };
    let page = INDEX.content.replacen("<head>", &format!("<head>{base}"), 1);
    ([(CONTENT_TYPE, INDEX.content_type)], page)
}

/// Browsers are told to be careful: nothing comes from elsewhere, and nothing is kept.
async fn careful(mut response: Response) -> Response {
    // The hash is that of the script in the page.
    let policy = "default-src 'self'; script-src 'self' 'sha256-7SLfKCop3yJ29ctCP9nPq8KgH+XUE1jVyNGdXMHkS/0='; \
         style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'self'; frame-ancestors 'none'";
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
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
    if is_known { next.run(request).await } else { needs_a_token() }
}

fn needs_a_token() -> Response {
    let text = "a token is needed: `Authorization: Bearer …`, or `?token=…`\n";
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")], text).into_response()
}

async fn metrics(State(metrics): State<Metrics>) -> impl IntoResponse {
    ([(CONTENT_TYPE, openmetrics::CONTENT_TYPE)], metrics.openmetrics())
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    message_types: bool,
}

const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
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
    let line = |one: &Subsystem| match (one.health, one.state) {
        (Health::Healthy, Lifecycle::Suspended) => Some(format!("{} suspended\n", one.name)),
        (Health::Healthy, _) => None,
        (health, _) => Some(format!("{} {}: {}\n", one.name, health.as_str(), one.reasons.join("; "))),
    };
    let lines = snapshot.subsystems.iter().filter_map(line);
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
            // nginx would keep events back until it has a few thousand bytes, or its compression a block.
            let headers =
                [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-cache"), (X_ACCEL_BUFFERING, "no")];
            (headers, Body::from_stream(watching)).into_response()
        }
        None => (StatusCode::SERVICE_UNAVAILABLE, "too many watch already\n").into_response(),
    }
}
