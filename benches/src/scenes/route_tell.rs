//! `route_tell`: one sender, one actor, a million messages to a path that was looked up once.

use std::ops::Range;

use crate::contender::Contender;
use crate::cost::Cost;
use crate::failure::Failure;
use crate::latch::Latch;
use crate::meter::{Meter, Pass};
use crate::paths::{self, Paths, Route};
use crate::tally::Tally;

const WARM_UP: u64 = 100_000;
const MESSAGES: u64 = 1_000_000;
const ID: u64 = 10_007;

/// Plays the scene: the cost of one message.
pub async fn play<C: Contender>(contender: C, pass: Pass) -> Result<Cost, Failure> {
    let latch = Latch::new();
    let actor = C::Paths::spawn(&contender, Tally::new(WARM_UP, &latch)).await;
    let route = actor.route(&paths::user(ID));
    latch.arm(1);
    tell(&route, 0..WARM_UP).await;
    latch.opened().await?;

    latch.arm(MESSAGES / WARM_UP);
    let meter = Meter::start(pass);
    tell(&route, WARM_UP..WARM_UP + MESSAGES).await;
    latch.opened().await?;
    let cost = meter.stop(MESSAGES);

    actor.report().await.verify_sum(WARM_UP + MESSAGES, (WARM_UP + MESSAGES) * ID)?;
    actor.stop().await;
    Ok(cost)
}

async fn tell<R: Route>(route: &R, turns: Range<u64>) {
    for turn in turns {
        route.tell(turn).await;
    }
}
