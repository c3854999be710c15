//! `tell_1to1`: one sender, one actor, a million messages.

use std::ops::Range;

use crate::contender::{Address, Contender};
use crate::cost::Cost;
use crate::failure::Failure;
use crate::latch::Latch;
use crate::message::Item;
use crate::meter::{Meter, Pass};
use crate::tally::Tally;

const WARM_UP: u64 = 100_000;
const MESSAGES: u64 = 1_000_000;

/// Plays the scene: the cost of one message.
pub async fn play<C: Contender>(contender: C, pass: Pass) -> Result<Cost, Failure> {
    let latch = Latch::new();
    let actor = contender.spawn(Tally::new(WARM_UP, &latch)).await;
    latch.arm(1);
    tell(&actor, 0..WARM_UP).await;
    latch.opened().await?;

    latch.arm(MESSAGES / WARM_UP);
    let meter = Meter::start(pass);
    tell(&actor, WARM_UP..WARM_UP + MESSAGES).await;
    latch.opened().await?;
    let cost = meter.stop(MESSAGES);

    actor.report().await.verify(WARM_UP + MESSAGES)?;
    actor.stop().await;
    Ok(cost)
}

async fn tell<A: Address>(actor: &A, numbers: Range<u64>) {
    for number in numbers {
        actor.tell(Item::new(number)).await;
    }
}
