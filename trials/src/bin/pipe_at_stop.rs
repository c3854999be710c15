//! `stop` ends a subsystem with the futures it has piped, whatever they have done already.
use mycelia_actors::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;
static PAID: AtomicU64 = AtomicU64::new(0);
static CHARGED: AtomicU64 = AtomicU64::new(0);
struct Bank;
impl Subsystem for Bank {}
struct Charge;
impl Handler<Charge> for Bank {
    type Reply = ();
    async fn handle(&mut self, _: Charge, _: &mut Context<Self>) {
        CHARGED.fetch_add(1, SeqCst);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
struct Orders {
    bank: Address<Bank>,
    paid: u64,
}
impl Subsystem for Orders {
    async fn stopped(&mut self, _: &Exit, _: &mut Context<Self>) {
        PAID.store(self.paid, SeqCst);
    }
}
struct Pay;
struct Paid;
impl Handler<Pay> for Orders {
    type Reply = ();
    async fn handle(&mut self, _: Pay, cx: &mut Context<Self>) {
        let bank = self.bank.clone();
        cx.pipe(async move {
            bank.ask(Charge).await.ok();
            Paid
        });
    }
}
impl Handler<Paid> for Orders {
    type Reply = ();
    async fn handle(&mut self, _: Paid, _: &mut Context<Self>) {
        self.paid += 1;
    }
}
#[tokio::main]
async fn main() -> std::process::ExitCode {
    let runtime = Runtime::new();
    let bank = runtime.spawn("bank", Bank).unwrap();
    let orders = runtime.spawn("orders", Orders { bank: bank.clone(), paid: 0 }).unwrap();
    orders.tell(Pay).unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    let shutdown = runtime.shutdown().await;
    let (charged, paid) = (CHARGED.load(SeqCst), PAID.load(SeqCst));
    println!("orders {}; bank {}", orders.stats(), bank.stats());
    figures::judge(
        "shutdown; charged; in the book",
        (&shutdown, charged, paid),
        "(Ok(()), 1, 1)",
        shutdown.is_ok() && charged == 1 && paid == 1,
    );
    figures::verdict()
}
