//! `spawn`: actors are spawned, and each handles one message.

use crate::contender::{Address, Contender};
use crate::cost::Cost;
use crate::failure::Failure;
use crate::latch::Latch;
use crate::message::Item;
use crate::meter::{Meter, Pass};
use crate::tally::{Report, Tally};

const WARM_UP: u64 = 1_000;
const ACTORS: u64 = 20_000;

/// Plays the scene: the cost of one actor and its message. Actors end after the clock has stopped.
pub async fn play<C: Contender>(contender: C, pass: Pass) -> Result<Cost, Failure> {
    let latch = Latch::new();
    let mut actors = Vec::with_capacity(ACTORS as usize);
    spawn(&contender, &latch, WARM_UP, &mut actors).await?;
    end(&mut actors, WARM_UP).await?;

    let meter = Meter::start(pass);
    spawn(&contender, &latch, ACTORS, &mut actors).await?;
    let cost = meter.stop(ACTORS);

    end(&mut actors, ACTORS).await?;
    Ok(cost)
}

/// Spawns the actors, tells each its number, and waits until all have handled it.
async fn spawn<C: Contender>(
    contender: &C,
    latch: &std::sync::Arc<Latch>,
    count: u64,
    actors: &mut Vec<C::Address>,
) -> Result<(), Failure> {
    latch.arm(count);
    for number in 0..count {
        let actor = contender.spawn(Tally::new(1, latch)).await;
        actor.tell(Item::new(number)).await;
        actors.push(actor);
    }
    latch.opened().await
}

/// Adds up what the actors handled, and ends them.
async fn end<A: Address>(actors: &mut Vec<A>, count: u64) -> Result<(), Failure> {
    let mut report = Report::default();
    for actor in actors.drain(..) {
        report += actor.report().await;
        actor.stop().await;
    }
    report.verify(count)
}
