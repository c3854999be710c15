//! What somebody outside hears of single messages: some are timed, on their way and in hand.
//!
//! The run loop wants a sample; the next sender stamps its message; the loop looks at the clock when it takes the message, and
//! when that is settled. Samples of one subsystem are at least about 200 µs apart, so that a busy one spends less than a
//! hundredth of its time on them; a quiet one has every message timed (once it was busy, after 255 batches at most). Each says how
//! many messages it stands for.

use std::time::Duration;

use mycelia_core::contain;
use mycelia_core::sync::Mutex;
use mycelia_core::sync::atomic::Ordering;
use tokio::time::Instant;

use crate::actor::Actor;
use crate::envelope::Hands;
use crate::name::Name;
use crate::table::Kind;

/// Hears of samples: see [`Inspector::observe`](crate::Inspector::observe).
pub trait Observer: Send + Sync + 'static {
    /// A message was handled, or failed in hand. This runs in the subsystem's task, so it must be quick; a panic is contained.
    fn sampled(&self, sample: &Sample<'_>);
}

/// One message that was timed.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Sample<'a> {
    /// Who handled it.
    pub subsystem: &'a Name,
    /// The name of its type.
    pub message_type: &'static str,
    /// The pattern of the route it came through, if it came by path.
    pub pattern: Option<&'static str>,
    /// From when it was made to when it was taken up: what it waited for room and in the mailbox.
    pub waited: Duration,
    /// From then until its handler returned, or failed; of a batch, its share of that.
    pub took: Duration,
    /// How many messages the subsystem has begun since the last sample (or since it is observed), this one included.
    pub stands_for: u64,
}

/// An observer, and since when.
pub(crate) struct Observed {
    observer: Box<dyn Observer>,
    since: Instant,
}

impl Observed {
    pub(crate) fn by(observer: impl Observer) -> Self {
        Self { observer: Box::new(observer), since: Instant::now() }
    }

    /// Nanoseconds since then: enough for 584 years.
    fn now(&self) -> u64 {
        self.since.elapsed().as_nanos() as u64
    }
}

/// The closest that samples of one subsystem are, as a rule.
const SPACING: u64 = 200_000;
/// After this many batches another message is stamped, for the one before may have been lost on its way.
const LOST: u8 = 128;

/// The last sample of a subsystem.
#[derive(Debug, Default)]
pub(crate) struct Last {
    at: u64,
    begun: u64,
    /// Since when a message that is timed is in hand.
    in_hand_since: Option<u64>,
    /// Batches between samples.
    gap: u8,
}

/// What this subsystem has begun so far, no sample stands for.
pub(crate) fn begin(actor: &Actor) {
    actor.ledger.rare().last_sample.lock().begun = actor.ledger.begun.get();
}

/// The next message to it is to be timed.
pub(crate) fn want(actor: &Actor) {
    actor.wants_sample.store(true, Ordering::Relaxed);
}

/// How long a message has been in hand, if it is one that is timed.
pub(crate) fn in_hand_for(actor: &Actor) -> Option<Duration> {
    let observed = actor.runtime.observed()?;
    let since = actor.ledger.rare_if_any()?.last_sample.lock().in_hand_since?;
    Some(Duration::from_nanos(observed.now().saturating_sub(since)))
}

/// The sampling of an observed subsystem, whose loop is about to take a batch.
pub(crate) fn before_batch(actor: &Actor) {
    // Relaxed, here and below: only how many samples there are hangs on it.
    if actor.wants_sample.load(Ordering::Relaxed) {
        return;
    }
    match actor.batches_left.load(Ordering::Relaxed) {
        0 => {
            actor.batches_left.store(LOST, Ordering::Relaxed);
            want(actor);
        }
        left => actor.batches_left.store(left - 1, Ordering::Relaxed),
    }
}

/// The time, for the next message to a subsystem, if that wants a sample.
pub(crate) fn stamp(actor: &Actor) -> Option<u64> {
    // Looked at first, for a store disturbs the other senders.
    let wants =
        actor.wants_sample.load(Ordering::Relaxed) && actor.wants_sample.swap(false, Ordering::Relaxed);
    Some(actor.runtime.observed().filter(|_| wants)?.now())
}

/// A stamped message in hand. Dropped when that is settled.
pub(crate) struct Timing<'a> {
    actor: &'a Actor,
    kind: Kind,
    stamp: u64,
    began: u64,
    /// In the same batch, this one included.
    messages: u64,
}

impl<'a> Timing<'a> {
    #[cold]
    pub(crate) fn begin(actor: &'a Actor, hands: &Hands) -> Option<Self> {
        // Of a batch, the one that was stamped.
        let (kind, stamp) = hands.iter().find_map(|hand| Some((hand.kind(), hand.stamp()?)))?;
        let began = actor.runtime.observed()?.now();
        actor.ledger.rare().last_sample.lock().in_hand_since = Some(began);
        Some(Self { actor, kind, stamp, began, messages: hands.count() as u64 })
    }
}

impl Drop for Timing<'_> {
    fn drop(&mut self) {
        let Self { actor, kind, stamp, began, messages } = self;
        let Some(observed) = actor.runtime.observed() else { return };
        let now = observed.now();
        let begun = actor.ledger.begun.get();
        let last: &Mutex<Last> = &actor.ledger.rare().last_sample;
        let stands_for = {
            let mut last = last.lock();
            let ago = now.saturating_sub(last.at);
            last.gap = if ago < SPACING {
                last.gap.saturating_mul(2).max(1)
            } else {
                (u64::from(last.gap) * SPACING / ago) as u8
            };
            let stands_for = begun - last.begun;
            (last.at, last.begun, last.in_hand_since) = (now, begun, None);
            actor.batches_left.store(last.gap, Ordering::Relaxed);
            stands_for
        };
        let sample = Sample {
            subsystem: &actor.name,
            message_type: kind.message_type(),
            pattern: kind.pattern,
            waited: Duration::from_nanos(began.saturating_sub(*stamp)),
            took: Duration::from_nanos(now.saturating_sub(*began) / (*messages).max(1)),
            stands_for,
        };
        if let Err(text) = contain(|| observed.observer.sampled(&sample)) {
            tracing::error!(subsystem = %actor.name, %text, "the observer panicked");
        }
    }
}
