//! `ask`: one task asks one actor, one ask after another.

use std::ops::Range;

use crate::contender::{Address, Contender};
use crate::cost::Cost;
use crate::failure::Failure;
use crate::message::Item;
use crate::meter::{Meter, Pass};
use crate::tally::Tally;

const WARM_UP: u64 = 20_000;
const ASKS: u64 = 200_000;

/// Plays the scene: the cost of one ask, with its answer.
pub async fn play<C: Contender>(contender: C, pass: Pass) -> Result<Cost, Failure> {
    let actor = contender.spawn(Tally::without_quota()).await;
    let sum = ask(&actor, 0..WARM_UP, 0).await?;

    let meter = Meter::start(pass);
    ask(&actor, WARM_UP..WARM_UP + ASKS, sum).await?;
    let cost = meter.stop(ASKS);

    actor.report().await.verify(WARM_UP + ASKS)?;
    actor.stop().await;
    Ok(cost)
}

/// Asks with each number and checks each answer: the sum so far.
async fn ask<A: Address>(actor: &A, numbers: Range<u64>, mut sum: u64) -> Result<u64, Failure> {
    for number in numbers {
        sum += number;
        let received = actor.ask(Item::new(number)).await;
        if received != sum {
            return Err(Failure::WrongReply { expected: sum, received });
        }
    }
    Ok(sum)
}
