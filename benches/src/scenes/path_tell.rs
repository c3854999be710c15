//! `path_tell` and its variants: one sender, one actor, a million messages by path.

use std::ops::Range;

use crate::contender::Contender;
use crate::cost::Cost;
use crate::failure::Failure;
use crate::latch::Latch;
use crate::meter::{Meter, Pass};
use crate::paths::{self, Paths};
use crate::tally::Tally;

const WARM_UP: u64 = 100_000;
const MESSAGES: u64 = 1_000_000;
/// The first number in a path. All have five digits.
const FIRST: u64 = 10_000;

/// What the variants differ in.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// How many paths there are, which come in turn. They divide the warm-up.
    paths: u64,
    path: fn(u64) -> String,
    /// Whether the sender sends on behalf of somebody.
    on_behalf: bool,
}

/// To a hundred paths.
pub const FEW: Variant = Variant { paths: 100, path: paths::user, on_behalf: false };
/// To ten thousand paths.
pub const MANY: Variant = Variant { paths: 10_000, ..FEW };
/// To a hundred paths, on behalf of somebody.
pub const ON_BEHALF: Variant = Variant { on_behalf: true, ..FEW };
/// To a hundred paths that require a right, on behalf of somebody who holds it.
pub const GUARDED: Variant = Variant { path: paths::staff, ..ON_BEHALF };

/// Plays the scene: the cost of one message.
pub async fn play<C: Contender>(contender: C, pass: Pass, variant: Variant) -> Result<Cost, Failure> {
    let latch = Latch::new();
    let actor = C::Paths::spawn(&contender, Tally::new(WARM_UP, &latch)).await;
    let ids = FIRST..FIRST + variant.paths;
    let texts: Vec<_> = ids.clone().map(variant.path).collect();

    let work = async {
        latch.arm(1);
        tell::<C>(&actor, &texts, 0..WARM_UP).await;
        latch.opened().await?;

        latch.arm(MESSAGES / WARM_UP);
        let meter = Meter::start(pass);
        tell::<C>(&actor, &texts, WARM_UP..WARM_UP + MESSAGES).await;
        latch.opened().await?;
        Ok(meter.stop(MESSAGES))
    };
    let cost = if variant.on_behalf { actor.on_behalf(work).await } else { work.await }?;

    let rounds = (WARM_UP + MESSAGES) / variant.paths;
    actor.report().await.verify_sum(WARM_UP + MESSAGES, rounds * ids.sum::<u64>())?;
    actor.stop().await;
    Ok(cost)
}

async fn tell<C: Contender>(actor: &C::Paths, paths: &[String], turns: Range<u64>) {
    for (turn, path) in turns.zip(paths.iter().cycle()) {
        actor.tell(path, turn).await;
    }
}
