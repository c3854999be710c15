//! `ring101`: 101 actors in a ring, each hands the one token to the next.

use crate::contender::{Address, Contender};
use crate::cost::Cost;
use crate::failure::Failure;
use crate::latch::Latch;
use crate::message::Token;
use crate::meter::{Meter, Pass};
use crate::tally::{Report, Tally};

const ACTORS: usize = 101;
const WARM_UP: u64 = 101 * 200;
const HOPS: u64 = 101 * 2_000;

/// Plays the scene: the cost of one hop.
pub async fn play<C: Contender>(contender: C, pass: Pass) -> Result<Cost, Failure> {
    let latch = Latch::new();
    let mut actors = Vec::new();
    for _ in 0..ACTORS {
        actors.push(contender.spawn(Tally::new(u64::MAX, &latch)).await);
    }
    for (actor, next) in actors.iter().zip(actors.iter().cycle().skip(1)) {
        actor.link(next.clone()).await;
    }
    latch.arm(1);
    actors[0].pass(Token::new(0, WARM_UP - 1)).await;
    latch.opened().await?;

    // The actor that ended the warm-up is the last of the ring, so that the first goes on.
    latch.arm(1);
    let meter = Meter::start(pass);
    actors[0].pass(Token::new(WARM_UP, WARM_UP + HOPS - 1)).await;
    latch.opened().await?;
    let cost = meter.stop(HOPS);

    let mut report = Report::default();
    for actor in &actors {
        report += actor.report().await;
        actor.stop().await;
    }
    report.verify(WARM_UP + HOPS)?;
    Ok(cost)
}
