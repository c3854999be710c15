//! What is answered, and to whom.

use axum::Router;
use axum::body::Body;
use axum::extract::{OriginalUri, Query, Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
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
    /// | `/api/live` | server-sent events: a snapshot now, and one a second, to 64 at a time; whoever is 5 behind is dropped |
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
    /// let server: axum::Router = axum::Router::new().nest("/internal/mycelia", metrics.router());
    /// # Ok(())
    /// # }
    /// ```
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

/// The page, whose links begin where it is: it may be nested, and asked for without a slash at the end.
async fn index(OriginalUri(uri): OriginalUri) -> impl IntoResponse {
    let path = uri.path().trim_matches('/').replace('"', "%22").replace('<', "%3C");
    let base = if path.is_empty() { "/".to_owned() } else { format!("/{path}/") };
    let page = INDEX.content.replacen("<head>", &format!("<head><base href=\"{base}\">"), 1);
    ([(CONTENT_TYPE, INDEX.content_type)], page)
}

/// Browsers are told to be careful: nothing comes from elsewhere, and nothing is kept.
async fn careful(mut response: Response) -> Response {
    let policy = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'self'; \
         frame-ancestors 'none'";
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
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
            ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(watching)).into_response()
        }
        None => (StatusCode::SERVICE_UNAVAILABLE, "too many watch already\n").into_response(),
    }
}
