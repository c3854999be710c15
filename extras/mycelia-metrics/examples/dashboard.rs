//! A small shop under load, with its dashboard.
//!
//! Orders are taken by a `till`, cooked by `kitchen`s, and paid at a `bank` that sometimes panics; a `sensor` sends more readings
//! than anybody can take.
//!
//! ```text
//! cargo run --release -p mycelia-metrics --example dashboard -- 127.0.0.1:9100
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mycelia_actors::prelude::*;
use mycelia_actors::{Figure, Figures};
use mycelia_metrics::Metrics;
use tokio::time::{interval, sleep};

/// Takes orders, and has them cooked and paid for.
struct Till {
    kitchens: Option<Group<Kitchen>>,
    bank: Option<Address<Bank>>,
}

impl Subsystem for Till {
    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        let cooks: Result<Vec<_>, _> =
            (1..=3).map(|number| cx.configure(&format!("kitchen-{number}")).spawn_with(|| Kitchen)).collect();
        self.kitchens = Some(Group::new(cooks?, Choice::LeastLoaded)?);
        let restart = Restart::one_for_one().at_most(1_000_000, Duration::from_secs(60));
        self.bank = Some(cx.configure("bank").restart(restart).spawn_with(|| Bank)?);
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Order(u64);

impl Handler<Order> for Till {
    type Reply = ();
    async fn handle(&mut self, order: Order, _: &mut Context<Self>) {
        let (Some(kitchens), Some(bank)) = (&self.kitchens, &self.bank) else { return };
        let _ = kitchens.send(order).await;
        let _ = bank.tell(Payment(order.0));
    }
}

struct Kitchen;
impl Subsystem for Kitchen {}
impl Handler<Order> for Kitchen {
    type Reply = ();
    async fn handle(&mut self, Order(number): Order, _: &mut Context<Self>) {
        sleep(Duration::from_millis(number % 4)).await;
    }
}

struct Bank;
impl Subsystem for Bank {}
struct Payment(u64);
impl Handler<Payment> for Bank {
    type Reply = bool;
    async fn handle(&mut self, Payment(number): Payment, _: &mut Context<Self>) -> bool {
        assert_ne!(number % 97, 0, "the card reader is jammed");
        number.is_multiple_of(3)
    }
}

/// Keeps the newest readings, and shows the highest.
struct Gauge(u64, Arc<Highest>);

#[derive(Default)]
struct Highest {
    reading: AtomicU64,
}

impl Figures for Highest {
    fn figures(&self) -> Vec<Figure> {
        vec![Figure::gauge("highest_reading", self.reading.load(Ordering::Relaxed) as f64)]
    }
}

impl Subsystem for Gauge {
    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        cx.show(Arc::clone(&self.1));
        Ok(())
    }
}

struct Reading(u64);
impl Handler<Reading> for Gauge {
    type Reply = ();
    async fn handle(&mut self, Reading(value): Reading, _: &mut Context<Self>) {
        self.0 = self.0.max(value);
        self.1.reading.store(self.0, Ordering::Relaxed);
        sleep(Duration::from_millis(1)).await;
    }
}

/// One of many without a name.
struct Guest;
impl Subsystem for Guest {}
struct Eat;
impl Handler<Eat> for Guest {
    type Reply = ();
    async fn handle(&mut self, _: Eat, _: &mut Context<Self>) {}
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9100".to_owned());
    // How many seconds of load; for ever, if it is not said.
    let seconds: Option<u64> = std::env::args().nth(2).and_then(|seconds| seconds.parse().ok());
    std::panic::set_hook(Box::new(|_| {}));
    let runtime = Runtime::new();
    let metrics = Metrics::of(&runtime)?;
    let server = metrics.serve(address).await?;
    println!("http://{}", server.address());

    let till = runtime.spawn_with("till", || Till { kitchens: None, bank: None })?;
    let readings = Mailbox::bounded(64).overflow(OverflowPolicy::DropOldest);
    let gauge = runtime.configure("gauge").mailbox(readings).spawn_with(|| Gauge(0, Arc::default()))?;
    let guests: Result<Vec<_>, _> = (0..50).map(|_| runtime.spawn_unnamed(Guest)).collect();
    let guests = guests?;
    let work = async {
        let mut ticks = interval(Duration::from_millis(1));
        for number in 0.. {
            ticks.tick().await;
            let busy = number / 5000 % 2;
            for order in 0..=busy {
                let _ = till.tell(Order(number * 2 + order));
            }
            let _ = gauge.tell(Reading(number));
            let _ = gauge.tell(Reading(number + 1));
            let _ = guests[number as usize % guests.len()].ask(Eat).await;
        }
    };
    match seconds {
        None => work.await,
        Some(seconds) => {
            let _ = tokio::time::timeout(Duration::from_secs(seconds), work).await;
            println!("done");
            std::future::pending().await
        }
    }
    Ok(())
}
