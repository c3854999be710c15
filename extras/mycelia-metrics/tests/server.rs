//! What is served, to whom.

use std::net::SocketAddr;
use std::time::Duration;

use mycelia_actors::prelude::*;
use mycelia_metrics::{Metrics, ServeError, Server, Settings, Snapshot, Thresholds, Token};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

struct Echo;
impl Subsystem for Echo {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<u64>("echo/{n}");
    }
}
impl Handler<u64> for Echo {
    type Reply = u64;
    async fn handle(&mut self, n: u64, _: &mut Context<Self>) -> u64 {
        n
    }
}

/// Does not get over its start.
struct Stuck;
impl Subsystem for Stuck {
    async fn started(&mut self, _: &mut Context<Self>) -> Result<(), BoxError> {
        std::future::pending().await
    }
}
impl Handler<u64> for Stuck {
    type Reply = ();
    async fn handle(&mut self, _: u64, _: &mut Context<Self>) {}
}

struct Answer {
    code: u16,
    headers: String,
    body: String,
}

/// One request on a connection of its own.
async fn ask(to: SocketAddr, path: &str, headers: &str) -> Answer {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let host = if headers.contains("Host:") { String::new() } else { format!("Host: {to}\r\n") };
    let request = format!("GET {path} HTTP/1.1\r\n{host}{headers}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (headers, body) = text.split_once("\r\n\r\n").unwrap();
    let code = headers.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { code, headers: headers.to_lowercase(), body: body.to_owned() }
}

/// A connection on which events come.
async fn watch(to: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let request = format!("GET /api/live HTTP/1.1\r\nHost: {to}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn served(settings: Settings) -> (Runtime, Metrics, Server) {
    let runtime = Runtime::new();
    let metrics = Metrics::with(&runtime, settings).unwrap();
    let echo = runtime.spawn("echo", Echo).unwrap();
    for n in 0..100 {
        echo.ask(n).await.unwrap();
    }
    let server = metrics.serve("127.0.0.1:0").await.unwrap();
    (runtime, metrics, server)
}

#[tokio::test]
async fn every_path_has_its_answer() {
    let (_runtime, _, server) = served(Settings::default()).await;
    let to = server.address();
    let page = ask(to, "/", "").await;
    assert!(page.code == 200 && page.body.contains("<title>Mycelia</title>"));
    assert!(page.headers.contains("content-security-policy: default-src 'self'"), "{}", page.headers);
    for file in ["/dashboard.js", "/dashboard.css", "/uplot.js", "/uplot.css", "/healthz", "/readyz"] {
        assert_eq!(ask(to, file, "").await.code, 200, "{file}");
    }
    let snapshot: Snapshot = serde_json::from_str(&ask(to, "/api/snapshot", "").await.body).unwrap();
    assert_eq!(snapshot.ledger.handled, 100);
    assert!(snapshot.subsystems[0].message_types.is_empty());
    let typed: Snapshot =
        serde_json::from_str(&ask(to, "/api/snapshot?message_types=true", "").await.body).unwrap();
    assert_eq!(typed.subsystems[0].message_types[0].name, "u64");
    let routes = ask(to, "/api/routes", "").await.body;
    assert!(routes.contains("\"pattern\":\"echo/{n}\""), "{routes}");
    assert_eq!(ask(to, "/nothing", "").await.code, 404);
    assert!(ask(to, "/metrics", "").await.headers.contains("application/openmetrics-text; version=1.0.0"));
}

#[tokio::test]
async fn an_unhealthy_subsystem_makes_it_not_ready() {
    let thresholds = Thresholds::default().stalled(Duration::ZERO);
    let (runtime, _, server) = served(Settings::default().thresholds(thresholds)).await;
    let suspended = runtime.configure("suspended").mailbox(Mailbox::bounded(2)).spawn(Echo).unwrap();
    suspended.suspend();
    while suspended.tell(1).is_ok() {}
    let answer = ask(server.address(), "/readyz", "").await;
    assert_eq!((answer.code, &*answer.body), (200, "healthy\nsuspended suspended\n"));
    let full = runtime.configure("full").mailbox(Mailbox::bounded(2)).spawn(Stuck).unwrap();
    while full.tell(1).is_ok() {}
    let answer = ask(server.address(), "/readyz", "").await;
    assert_eq!(answer.code, 503);
    let expected =
        "unhealthy\nsuspended suspended\nfull unhealthy: its mailbox is full, and nothing was handled for 0";
    assert!(answer.body.starts_with(expected), "{}", answer.body);
    assert_eq!(ask(server.address(), "/healthz", "").await.code, 200);
}

#[tokio::test]
async fn others_than_this_machine_need_a_token() {
    let (_runtime, metrics, server) = served(Settings::default()).await;
    assert!(matches!(metrics.serve("0.0.0.0:0").await, Err(ServeError::Open(_))));
    // A name that somebody else has made point here.
    for (host, code) in [
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example", 421),
        ("evil.example:127", 421),
        ("10.0.0.1", 421),
        ("[::2]", 421),
        ("", 421),
        ("localhost:80", 200),
        ("LOCALHOST", 200),
        ("LocalHost.:9100", 200),
        ("127.1.2.3", 200),
        ("[::1]:80", 200),
        ("[::ffff:127.0.0.1]:80", 200),
    ] {
        let answer = ask(server.address(), "/api/snapshot", &format!("Host: {host}\r\n")).await;
        assert_eq!(answer.code, code, "{host}");
        assert_eq!(
            answer.body.contains("Settings::token") && answer.body.contains("Host: localhost"),
            code == 421
        );
    }
}

#[tokio::test]
async fn a_probe_of_old_that_names_no_host_is_answered() {
    let (_runtime, _, server) = served(Settings::default()).await;
    let raw = async |request: &str| {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    };
    for path in ["/healthz", "/readyz", "/metrics", "/"] {
        let answer = raw(&format!("GET {path} HTTP/1.0\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.0 200"), "{path}: {answer}");
    }
    let answer = raw("GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.ends_with("needs the header `Host`\n"), "{answer}");
    for (target, code) in [("http://LOCALHOST/healthz", 200), ("http://evil.example/healthz", 421)] {
        let answer =
            raw(&format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {code}")), "{answer}");
    }
}

#[tokio::test]
async fn proxies_are_told_to_pass_events_on_at_once() {
    let (_runtime, _, server) = served(Settings::default()).await;
    let mut stream = BufReader::new(watch(server.address()).await).lines();
    let mut headers = Vec::new();
    while let Some(line) = stream.next_line().await.unwrap().filter(|line| !line.is_empty()) {
        headers.push(line.to_lowercase());
    }
    for header in ["x-accel-buffering: no", "cache-control: no-cache", "content-type: text/event-stream"] {
        assert!(headers.iter().any(|found| found == header), "{headers:?}");
    }
    assert!(ask(server.address(), "/api/snapshot", "").await.headers.contains("cache-control: no-store"));
}

#[tokio::test]
async fn a_prefix_that_was_stripped_without_its_slash_leaves_two() {
    let (_runtime, _, server) = served(Settings::default()).await;
    for path in ["/", "//", "//dashboard.js", "//api/snapshot?message_types=true", "///readyz"] {
        assert_eq!(ask(server.address(), path, "").await.code, 200, "{path}");
    }
    assert!(!ask(server.address(), "//", "").await.body.contains("<base "));
}

#[tokio::test]
async fn with_a_token_nobody_else_gets_anything() {
    assert!(Token::new("too short").is_none());
    let token = Token::new("a long enough secret").unwrap();
    assert_eq!(format!("{token:?}"), "Token(…)");
    let (_runtime, metrics, _server) = served(Settings::default().token(token)).await;
    let server = metrics.serve("0.0.0.0:0").await.unwrap();
    let to = SocketAddr::from(([127, 0, 0, 1], server.address().port()));
    for path in ["/api/snapshot", "/api/live", "/api/routes", "/metrics", "/readyz"] {
        assert_eq!(ask(to, path, "").await.code, 401, "{path}");
        assert_eq!(ask(to, &format!("{path}?token=a%20long%20enough%20secre"), "").await.code, 401);
        assert_eq!(ask(to, path, "Authorization: Bearer wrong\r\n").await.code, 401);
    }
    let bearer = "Authorization: Bearer a long enough secret\r\n";
    assert_eq!(ask(to, "/metrics", bearer).await.code, 200);
    assert_eq!(ask(to, "/metrics?token=a%20long%20enough%20secret", "").await.code, 200);
    // The page itself is no secret.
    assert_eq!((ask(to, "/", "").await.code, ask(to, "/healthz", "").await.code), (200, 200));
}

#[tokio::test]
async fn watchers_get_a_snapshot_now_and_one_a_second() {
    let (_runtime, _, server) = served(Settings::default()).await;
    let mut lines = BufReader::new(watch(server.address()).await).lines();
    let mut snapshots: Vec<Snapshot> = Vec::new();
    while snapshots.len() < 3 {
        let line = lines.next_line().await.unwrap().unwrap();
        if let Some(json) = line.strip_prefix("data: ") {
            snapshots.push(serde_json::from_str(json).unwrap());
        }
    }
    assert!(snapshots.windows(2).all(|pair| pair[1].uptime > pair[0].uptime));
}

#[tokio::test]
async fn there_is_room_for_so_many_watchers_only_and_it_is_given_back() {
    let (_runtime, _, server) = served(Settings::default()).await;
    let request = format!("GET /api/live HTTP/1.1\r\nHost: {}\r\n\r\n", server.address());
    let mut watchers = Vec::new();
    for _ in 0..64 {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        watchers.push(stream);
    }
    assert_eq!(ask(server.address(), "/api/live", "").await.code, 503);
    drop(watchers);
    let again = async {
        loop {
            let mut stream = TcpStream::connect(server.address()).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut start = [0; 12];
            stream.read_exact(&mut start).await.unwrap();
            if &start == b"HTTP/1.1 200" {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), again).await.unwrap();
}

#[tokio::test]
async fn hostile_names_stay_text() {
    let runtime = Runtime::new();
    let metrics = Metrics::of(&runtime).unwrap();
    for name in ["<script>alert(1)</script>", "quote\"", "back\\slash", "line\nbreak"] {
        assert!(runtime.spawn(name, Echo).is_err(), "no such names: {name}");
    }
    struct Sneaky<const QUOTE: char>;
    impl<const QUOTE: char> Subsystem for Sneaky<QUOTE> {}
    runtime.spawn_unnamed(Sneaky::<'"'>).unwrap();
    let server = metrics.serve("127.0.0.1:0").await.unwrap();
    let snapshot = ask(server.address(), "/api/snapshot", "").await.body;
    assert!(serde_json::from_str::<Snapshot>(&snapshot).unwrap().subsystems[0].name.contains('"'));
}

#[tokio::test]
async fn it_can_be_nested_anywhere() {
    let runtime = Runtime::new();
    let token = Token::new("a long enough secret").unwrap();
    let metrics = Metrics::with(&runtime, Settings::default().token(token)).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    let own = axum::Router::new()
        .nest("/internal/mycelia", metrics.router())
        .nest_service("/other", metrics.router())
        .merge(metrics.router());
    let server = tokio::spawn(axum::serve(listener, own).into_future());
    // Where its links begin: below the place where it is.
    for (path, base) in [
        ("/internal/mycelia", Some("./mycelia/")),
        ("/other", Some("./other/")),
        ("/other/", None),
        ("/", None),
        ("/other?token=a", Some("./other/")),
    ] {
        let page = ask(to, path, "").await;
        assert_eq!(page.code, 200, "{path}");
        let found = page.body.split_once("<base href=\"").map(|(_, rest)| rest.split('"').next().unwrap());
        assert_eq!(found, base, "{path}");
    }
    assert_eq!(ask(to, "/other/dashboard.js", "").await.code, 200);
    assert_eq!(ask(to, "/internal/mycelia/dashboard.js", "").await.code, 200);
    let secret =
        ["/api/snapshot", "/api/live", "/api/routes", "/metrics", "/readyz", "//metrics", "/%6detrics"];
    for path in secret {
        assert_ne!(ask(to, &format!("/internal/mycelia{path}"), "").await.code, 200, "{path}");
    }
    assert_eq!(ask(to, "/internal/mycelia/readyz?token=a+long+enough+secret", "").await.code, 200);
    server.abort();
}

#[test]
fn events_go_on_when_the_first_tokio_has_gone() {
    let runtime = Runtime::builder().build();
    let metrics = Metrics::of(&runtime).unwrap();
    let tokio = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = tokio();
    let _server = first.block_on(async {
        let server = metrics.serve("127.0.0.1:0").await.unwrap();
        let mut byte = [0];
        watch(server.address()).await.read_exact(&mut byte).await.unwrap();
        server
    });
    drop(first);
    tokio().block_on(async {
        let server = metrics.serve("127.0.0.1:0").await.unwrap();
        let mut lines = BufReader::new(watch(server.address()).await).lines();
        let mut events = 0;
        while events < 3 {
            let line = tokio::time::timeout(Duration::from_secs(30), lines.next_line()).await;
            let line = line.expect("another event").unwrap().unwrap();
            events += usize::from(line.starts_with("data: "));
        }
    });
}

#[tokio::test]
async fn the_server_goes_with_its_handle_and_so_do_those_who_watch() {
    let (_runtime, _, server) = served(Settings::default()).await;
    let to = server.address();
    let mut watcher = watch(to).await;
    drop(server);
    let mut rest = Vec::new();
    // To its end, or an error: no more events.
    let _ = tokio::time::timeout(Duration::from_secs(30), watcher.read_to_end(&mut rest)).await.unwrap();
    let closed = async {
        while TcpStream::connect(to).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), closed).await.unwrap();
}
