//! What the ways to send cost beside one another: typed, by path, and by a route, on one thread.
//!
//! ```text
//! cargo run --release -p mycelia-benches --bin lanes
//! ```
//!
//! One operation is one `tell`, and its message handled: half a mailbox is filled, then the subsystem has its turn, on the same
//! thread. A million a run; the sum, and the ledger, are checked. Medians of 9 interleaved runs, and as parts of the typed lane.

use std::error::Error;
use std::time::Instant;

use mycelia_actors::Told;
use mycelia_actors::prelude::*;
use mycelia_benches::statistics::Spread;
use serde::{Deserialize, Serialize};

const MESSAGES: u64 = 999_936;
const FILL: u64 = 512;
const RUNS: usize = 9;
const ID: u64 = 10_007;

struct Api {
    sum: u64,
}

#[derive(Serialize, Deserialize)]
struct Get {
    id: u64,
}

#[derive(Serialize, Deserialize)]
struct Put {
    id: u64,
}

#[derive(Serialize, Deserialize)]
struct Touch;

/// The sum so far, which begins anew.
struct Sum;

impl Subsystem for Api {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Get>("users/{id}");
        routes.on::<Put>("users");
        routes.on::<Touch>("touch");
    }
}

impl Handler<Get> for Api {
    type Reply = ();
    async fn handle(&mut self, Get { id }: Get, _cx: &mut Context<Self>) {
        self.sum += id;
    }
}

impl Handler<Put> for Api {
    type Reply = ();
    async fn handle(&mut self, Put { id }: Put, _cx: &mut Context<Self>) {
        self.sum += id;
    }
}

impl Handler<Touch> for Api {
    type Reply = ();
    async fn handle(&mut self, Touch: Touch, _cx: &mut Context<Self>) {
        self.sum += ID;
    }
}

impl Handler<Sum> for Api {
    type Reply = u64;
    async fn handle(&mut self, Sum: Sum, _cx: &mut Context<Self>) -> u64 {
        std::mem::take(&mut self.sum)
    }
}

/// Nanoseconds per message.
async fn play(api: &Address<Api>, tell: &dyn Fn() -> Told) -> Result<f64, Box<dyn Error>> {
    let before = api.stats();
    let began = Instant::now();
    for _ in 0..MESSAGES / FILL {
        for _ in 0..FILL {
            let _ = tell();
        }
        while api.stats().queued > 0 {
            tokio::task::yield_now().await;
        }
    }
    let cost = began.elapsed().as_nanos() as f64 / MESSAGES as f64;
    assert_eq!(api.ask(Sum).await?, MESSAGES * ID, "every message was handled once");
    assert_eq!(api.stats().handled - before.handled, MESSAGES + 1, "and counted so");
    Ok(cost)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Runtime::new();
    let api = runtime.spawn("api", Api { sum: 0 })?;
    let path = format!("api://users/{ID}");
    let (user, users, touch) =
        (runtime.route(&path)?, runtime.route("api://users")?, runtime.route("api://touch")?);
    let lanes: [(&str, &dyn Fn() -> Told); 5] = [
        ("typed", &|| api.tell(Get { id: ID }).expect("there is room")),
        ("route, the message as its body", &|| users.tell(Put { id: ID }).expect("there is room")),
        ("route, no body", &|| touch.tell(()).expect("there is room")),
        ("route, a parameter", &|| user.tell(()).expect("there is room")),
        ("path, a parameter", &|| runtime.tell(&path, ()).expect("there is room")),
    ];
    let mut costs = lanes.map(|_| Vec::new());
    for run in 0..=RUNS {
        for ((_, tell), costs) in lanes.iter().zip(&mut costs) {
            let cost = play(&api, *tell).await?;
            // The first one warms up.
            if run > 0 {
                costs.push(cost);
            }
        }
    }
    println!("ns per message, {RUNS} runs");
    let spreads = costs.map(Spread::of);
    for ((name, _), Spread { median, min, max }) in lanes.iter().zip(&spreads) {
        let part = median / spreads[0].median;
        println!("  {name:<32}{median:>8.1}{part:>8.2}x   ({min:.1} to {max:.1})");
    }
    runtime.shutdown().await?;
    Ok(())
}
