//! `memory`: resident bytes of an idle actor, with the one address that keeps it reachable.
//!
//! Played in a process of its own, for a heap that has been used has holes to hide actors in.

use std::time::Duration;

use crate::contender::{Address, Contender};
use crate::failure::Failure;
use crate::latch::Latch;
use crate::message::Item;
use crate::resident::{Resident, resident_bytes};
use crate::tally::{Report, Tally};

const ACTORS: usize = 100_000;

/// Plays the scene: bytes per actor before its first message, and after it.
pub async fn play<C: Contender>(contender: C) -> Result<Resident, Failure> {
    let latch = Latch::new();
    // Both workers, the first actor and its whole way are warm before the first look.
    let first = contender.spawn(Tally::without_quota()).await;
    for number in 0..1_000 {
        first.ask(Item::new(number)).await;
    }
    first.report().await.verify(1_000)?;
    let mut actors: Vec<C::Address> = Vec::with_capacity(ACTORS);

    let before = resident_bytes();
    for _ in 0..ACTORS {
        actors.push(contender.spawn(Tally::new(1, &latch)).await);
    }
    // An actor is idle when its task was polled once and sleeps; nothing tells when the last one does.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let idle = resident_bytes();

    latch.arm(ACTORS as u64);
    for (number, actor) in actors.iter().enumerate() {
        actor.tell(Item::new(number as u64)).await;
    }
    latch.opened().await?;
    let used = resident_bytes();

    let mut report = Report::default();
    for actor in &actors {
        report += actor.report().await;
    }
    report.verify(ACTORS as u64)?;
    let share = |bytes: u64| bytes.saturating_sub(before) as f64 / ACTORS as f64;
    Ok(Resident { idle: share(idle), used: share(used) })
}
