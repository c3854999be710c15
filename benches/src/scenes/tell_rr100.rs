//! `tell_rr100`: one sender, a hundred actors in turn, a million messages.

use std::ops::Range;

use crate::contender::{Address, Contender};
use crate::cost::Cost;
use crate::failure::Failure;
use crate::latch::Latch;
use crate::message::Item;
use crate::meter::{Meter, Pass};
use crate::tally::{Report, Tally};

const ACTORS: u64 = 100;
const WARM_UP: u64 = 100_000;
const MESSAGES: u64 = 1_000_000;

/// Plays the scene: the cost of one message.
pub async fn play<C: Contender>(contender: C, pass: Pass) -> Result<Cost, Failure> {
    let latch = Latch::new();
    let mut actors = Vec::new();
    for _ in 0..ACTORS {
        actors.push(contender.spawn(Tally::new(WARM_UP / ACTORS, &latch)).await);
    }
    latch.arm(ACTORS);
    tell(&actors, 0..WARM_UP).await;
    latch.opened().await?;

    latch.arm(ACTORS * MESSAGES / WARM_UP);
    let meter = Meter::start(pass);
    tell(&actors, WARM_UP..WARM_UP + MESSAGES).await;
    latch.opened().await?;
    let cost = meter.stop(MESSAGES);

    let mut report = Report::default();
    for actor in &actors {
        report += actor.report().await;
        actor.stop().await;
    }
    report.verify(WARM_UP + MESSAGES)?;
    Ok(cost)
}

async fn tell<A: Address>(actors: &[A], numbers: Range<u64>) {
    for (number, actor) in numbers.zip(actors.iter().cycle()) {
        actor.tell(Item::new(number)).await;
    }
}
