//! `path_ask`: one task asks one actor by path, one ask after another.

use crate::contender::Contender;
use crate::cost::Cost;
use crate::failure::Failure;
use crate::meter::{Meter, Pass};
use crate::paths::{self, Paths};
use crate::tally::Tally;

const WARM_UP: u64 = 20_000;
const ASKS: u64 = 200_000;
/// The numbers in the paths, which come in turn. All have five digits; they divide the warm-up.
const IDS: std::ops::Range<u64> = 10_000..10_100;

/// Plays the scene: the cost of one ask, with its answer.
pub async fn play<C: Contender>(contender: C, pass: Pass) -> Result<Cost, Failure> {
    let actor = C::Paths::spawn(&contender, Tally::without_quota()).await;
    let paths: Vec<_> = IDS.map(|id| (id, paths::user(id))).collect();
    let sum = ask::<C>(&actor, &paths, WARM_UP, 0).await?;

    let meter = Meter::start(pass);
    let sum = ask::<C>(&actor, &paths, ASKS, sum).await?;
    let cost = meter.stop(ASKS);

    actor.report().await.verify_sum(WARM_UP + ASKS, sum)?;
    actor.stop().await;
    Ok(cost)
}

/// Asks so many times and checks each answer: the sum so far.
async fn ask<C: Contender>(
    actor: &C::Paths,
    paths: &[(u64, String)],
    asks: u64,
    mut sum: u64,
) -> Result<u64, Failure> {
    for (_, (id, path)) in (0..asks).zip(paths.iter().cycle()) {
        sum += id;
        let received = actor.ask(path).await;
        if received != sum {
            return Err(Failure::WrongReply { expected: sum, received });
        }
    }
    Ok(sum)
}
