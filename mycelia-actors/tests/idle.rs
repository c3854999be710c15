//! What costs nothing when nothing happens, and what is given back when it is over.
#![cfg(not(mycelia_loom))]

mod subsystems;

use std::time::Duration;

use mycelia_actors::prelude::*;
use subsystems::{Add, Gated, Total};

#[tokio::test(start_paused = true)]
async fn a_thousand_idle_subsystems_are_never_woken() {
    let runtime = Runtime::new();
    let mut all = Vec::new();
    for _ in 0..1000 {
        let (state, gate) = Gated::new();
        gate.open();
        let address = runtime.spawn_unnamed(state).unwrap();
        address.ask(Add(1)).await.unwrap();
        all.push(address);
    }
    // Lets the sweeper of deadlines find out that no ask is out.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let polls = || all.iter().map(|address| address.stats().polls).sum::<u64>();
    let (before, sweeps) = (polls(), runtime.sweeps());
    // With time paused, an hour passes at once, but for every timer that somebody has set.
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(polls() - before, 0, "subsystems were woken");
    assert_eq!(runtime.sweeps() - sweeps, 0, "the sweeper was woken");
}

#[tokio::test]
async fn memory_comes_back_down_after_a_burst() {
    const BURST: u64 = 100_000;
    let runtime = Runtime::new();
    let (state, gate) = Gated::new();
    let mailbox = Mailbox::bounded(BURST as usize);
    let address = runtime.configure("burst").mailbox(mailbox).spawn(state).unwrap();
    for n in 0..BURST {
        address.tell(Add(n)).unwrap();
    }
    assert_eq!(address.stats().allocated, BURST);
    assert!(runtime.pool_stats().created >= BURST);
    gate.open();
    while address.stats().handled < BURST {
        tokio::task::yield_now().await;
    }
    tokio::task::yield_now().await;
    assert!(address.stats().allocated <= 4, "{} places", address.stats().allocated);
    runtime.trim();
    assert_eq!(runtime.pool_stats().created, 0, "slots, 128 bytes each");
    assert_eq!(address.ask(Total).await.unwrap().len() as u64, BURST);
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_is_gone_leaves_no_task_behind() {
    let runtime = Runtime::new();
    let (state, gate) = Gated::new();
    let address = runtime.spawn_unnamed(state).unwrap();
    let other = address.clone();
    let asking = tokio::spawn(async move { other.ask(Add(1)).await.unwrap() });
    // Long enough for the sweeper to have seen the ask.
    tokio::time::sleep(Duration::from_millis(100)).await;
    gate.open();
    assert_eq!(asking.await.unwrap(), 1);
    drop((address, runtime));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
}
