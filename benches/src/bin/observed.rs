//! What it costs to be watched: tells to a subsystem without metrics, with metrics that nobody looks at, and with a dashboard open
//! and Prometheus coming by, both once a second.
//!
//! ```text
//! cargo run --release -p mycelia-benches --bin observed
//! ```
//!
//! One operation is one `send`, by one task to one subsystem, and its handling; a million a round, on two workers and on one thread.
//! They take turns, each in every place; the ledger is checked in each round. Medians of 45 rounds, and of how much of the throughput
//! is left in a round.

use std::error::Error;
use std::time::{Duration, Instant};

use mycelia_actors::prelude::*;
use mycelia_benches::statistics::Spread;
use mycelia_metrics::{Metrics, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const MESSAGES: u64 = 1_000_000;
const ROUNDS: usize = 45;

struct Counter {
    sum: u64,
}

struct Add(u64);
struct Sum;

impl Subsystem for Counter {}

impl Handler<Add> for Counter {
    type Reply = ();
    async fn handle(&mut self, Add(n): Add, _cx: &mut Context<Self>) {
        self.sum += n;
    }
}

impl Handler<Sum> for Counter {
    type Reply = u64;
    async fn handle(&mut self, Sum: Sum, _cx: &mut Context<Self>) -> u64 {
        std::mem::take(&mut self.sum)
    }
}

/// A runtime, and who watches it.
struct Setting {
    name: &'static str,
    _runtime: Runtime,
    counter: Address<Counter>,
    _metrics: Option<Metrics>,
    _server: Option<Server>,
    _watchers: JoinSet<()>,
}

async fn setting(name: &'static str, has_metrics: bool, is_scraped: bool) -> Result<Setting, Box<dyn Error>> {
    let runtime = Runtime::new();
    let metrics = if has_metrics { Some(Metrics::of(&runtime)?) } else { None };
    let (mut server, mut watchers) = (None, JoinSet::new());
    if let (Some(metrics), true) = (&metrics, is_scraped) {
        let serving = metrics.serve("127.0.0.1:0").await?;
        let address = serving.address();
        watchers.spawn(async move {
            let _ = read(address, "/api/live", false).await;
        });
        watchers.spawn(async move {
            loop {
                let _ = read(address, "/metrics", true).await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        server = Some(serving);
    }
    let counter = runtime.spawn("counter", Counter { sum: 0 })?;
    Ok(Setting { name, _runtime: runtime, counter, _metrics: metrics, _server: server, _watchers: watchers })
}

/// Reads an answer to its end.
async fn read(address: std::net::SocketAddr, path: &str, close: bool) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let connection = if close { "Connection: close\r\n" } else { "" };
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{connection}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut buffer = vec![0; 1 << 16];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// Nanoseconds per message.
async fn play(counter: Address<Counter>) -> f64 {
    let before = counter.stats().handled;
    let began = Instant::now();
    for _ in 0..MESSAGES {
        counter.send(Add(1)).await.expect("it runs");
    }
    let sum = counter.ask(Sum).await.expect("it runs");
    let cost = began.elapsed().as_nanos() as f64 / MESSAGES as f64;
    assert_eq!(
        (sum, counter.stats().handled - before),
        (MESSAGES, MESSAGES + 1),
        "every message was handled once"
    );
    cost
}

async fn compare() -> Result<(), Box<dyn Error>> {
    let settings = [
        setting("no metrics", false, false).await?,
        setting("metrics", true, false).await?,
        setting("dashboard and scraping", true, true).await?,
    ];
    let mut costs = [(); 3].map(|()| Vec::new());
    for round in 0..=ROUNDS {
        for turn in 0..3 {
            let which = (round + turn) % 3;
            let cost = tokio::spawn(play(settings[which].counter.clone())).await?;
            // The first round warms up.
            if round > 0 {
                costs[which].push(cost);
            }
        }
    }
    for (setting, costs_of) in settings.iter().zip(&costs) {
        let left = costs[0].iter().zip(costs_of).map(|(without, with)| without / with);
        let left = Spread::of(left).median;
        let Spread { median, min, max } = Spread::of(costs_of.iter().copied());
        println!("  {:<28}{median:>8.1}{left:>8.3}   ({min:.1} to {max:.1})", setting.name);
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("ns per message, and the throughput that is left; {ROUNDS} rounds");
    println!("two workers:");
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(compare())?;
    println!("one thread:");
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(compare())
}
