//! The dashboard behind a proxy that strips a prefix; probes that name no host; names that are left out.
use mycelia_actors::prelude::*;
use mycelia_metrics::Metrics;
use std::net::SocketAddr;
use std::process::ExitCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

struct Silent;
impl Subsystem for Silent {}
/// What is answered, as far as `end`.
async fn answer(to: SocketAddr, request: &str, end: &str) -> String {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let (mut text, mut some) = (String::new(), [0; 4096]);
    while !text.contains(end) {
        match stream.read(&mut some).await {
            Ok(0) | Err(_) => break,
            Ok(n) => text.push_str(&String::from_utf8_lossy(&some[..n])),
        }
    }
    text
}
fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    text.split_once(before)?.1.split_once(after).map(|(found, _)| found)
}
/// Where a browser at `page` looks for `link`: as far as paths without `..` go.
fn resolved(page: &str, base: Option<&str>, link: &str) -> String {
    let join = |at: &str, link: &str| match link.starts_with('/') {
        true => link.to_owned(),
        false => format!(
            "{}/{}",
            at.rsplit_once('/').unwrap().0,
            link.trim_start_matches("./").trim_start_matches('.')
        ),
    };
    join(&join(page, base.unwrap_or("")), link)
}
#[tokio::main]
async fn main() -> ExitCode {
    let runtime = Runtime::new();
    let metrics = Metrics::of(&runtime).unwrap();
    let server = metrics.serve("127.0.0.1:0").await.unwrap();
    let to = server.address();
    // A proxy that serves `/ops/` from this server's `/`.
    let page = answer(to, &format!("GET / HTTP/1.1\r\nHost: {to}\r\n\r\n"), "</html>").await;
    let script = between(&page, "<script src=\"", "\"").expect("the page loads a script");
    let script = resolved("/ops/", between(&page, "<base href=\"", "\""), script);
    figures::judge("the page at /ops/ loads", &script, "/ops/…", script.starts_with("/ops/"));
    let live =
        answer(to, &format!("GET /api/live HTTP/1.1\r\nHost: {to}\r\n\r\n"), "\r\n\r\n").await.to_lowercase();
    let header = live.lines().find(|line| line.starts_with("x-accel-buffering"));
    figures::judge(
        "/api/live says to a proxy",
        header,
        "x-accel-buffering: no",
        header == Some("x-accel-buffering: no"),
    );
    for request in ["GET /healthz HTTP/1.0\r\n\r\n", "GET /healthz HTTP/1.1\r\nHost: LOCALHOST\r\n\r\n"] {
        let status = answer(to, request, "\r\n").await.lines().next().map(str::to_owned).unwrap_or_default();
        figures::judge(request, &status, "200", status.contains(" 200 "));
    }
    for n in 0..200 {
        runtime.spawn(&format!("shop-{n}"), Silent).unwrap();
    }
    let _ = metrics.openmetrics();
    runtime.spawn("database", Silent).unwrap();
    let text = metrics.openmetrics();
    let said = |line: &&str| {
        let words = ["left_out", "not_exported", "not_named", "omitted", "unnamed", "not_shown"];
        !line.starts_with('#')
            && words.iter().any(|word| line.contains(word))
            && (line.ends_with(" 1") || line.ends_with(" 1.0"))
    };
    let seen = (text.contains("database"), text.lines().find(said));
    figures::judge(
        "after 200 names `database` is exported, or counted as left out",
        seen,
        "either",
        seen.0 || seen.1.is_some(),
    );
    figures::verdict()
}
