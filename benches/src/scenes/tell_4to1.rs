//! `tell_4to1`: four senders, one actor, a million messages together.

use std::ops::Range;

use crate::contender::{Address, Contender};
use crate::cost::Cost;
use crate::failure::Failure;
use crate::latch::Latch;
use crate::message::Item;
use crate::meter::{Meter, Pass};
use crate::tally::Tally;

const SENDERS: u64 = 4;
const WARM_UP: u64 = 100_000;
const MESSAGES: u64 = 1_000_000;

/// Plays the scene: the cost of one message.
pub async fn play<C: Contender>(contender: C, pass: Pass) -> Result<Cost, Failure> {
    let latch = Latch::new();
    let actor = contender.spawn(Tally::new(WARM_UP, &latch)).await;
    latch.arm(1);
    tell(&contender, &actor, 0..WARM_UP);
    latch.opened().await?;

    latch.arm(MESSAGES / WARM_UP);
    let meter = Meter::start(pass);
    tell(&contender, &actor, WARM_UP..WARM_UP + MESSAGES);
    latch.opened().await?;
    let cost = meter.stop(MESSAGES);

    actor.report().await.verify(WARM_UP + MESSAGES)?;
    actor.stop().await;
    Ok(cost)
}

/// Starts the senders; sender `s` of four has the numbers `start + s`, `start + s + 4` and so on. The latch opens
/// when all of them are handled, and then all senders are done.
fn tell<C: Contender>(contender: &C, actor: &C::Address, numbers: Range<u64>) {
    for sender in 0..SENDERS {
        let actor = actor.clone();
        let numbers = (numbers.start + sender..numbers.end).step_by(SENDERS as usize);
        contender.sender(async move {
            for number in numbers {
                actor.tell(Item::new(number)).await;
            }
        });
    }
}
