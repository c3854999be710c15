//! Mailboxes that become full, and come back: told as lifecycle events.

use std::sync::Arc;
use std::time::Duration;

use mycelia_core::contain;
use mycelia_core::sync::Mutex;
use mycelia_core::sync::atomic::{AtomicBool, Ordering};
use tokio::time::{Instant, sleep_until};

use crate::actor::Actor;
use crate::life_event::LifeEvent;
use crate::registry::place;

/// The shortest time between two `MailboxFull` of one subsystem.
const SPACING: Duration = Duration::from_secs(1);

/// What is known of one mailbox. Made when it is first found full while `Lifecycle` has a subscriber.
///
/// ```text
///              found full               below half
///   not full ────────────▶ full, untold ──────────▶ not full      within a second of the last `MailboxFull`: summed up
///       ▲                       │ a second is over
///       │                       ▼ MailboxFull
///       └─────────────── full, told
///       MailboxRelieved
/// ```
#[derive(Debug, Default)]
pub(crate) struct Fullness {
    /// Written under the lock. The loop looks at it with each batch.
    is_full: AtomicBool,
    spell: Mutex<Spell>,
}

#[derive(Debug, Default)]
struct Spell {
    full_since: Option<Instant>,
    /// `MailboxFull` was told, and `MailboxRelieved` was not.
    is_told: bool,
    /// A thread is publishing. It looks again afterwards, so that events come in order.
    is_telling: bool,
    /// A task waits for the second to be over.
    is_timed: bool,
    told_at: Option<Instant>,
    /// Since the last `MailboxRelieved`.
    full_for: Duration,
    refused: u64,
}

/// What follows from a look.
#[derive(Default)]
struct Next {
    event: Option<LifeEvent>,
    look_again_at: Option<Instant>,
}

impl Fullness {
    /// True from when the mailbox was found full until it is below half.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        // Relaxed: a sender that sets this looks at the mailbox afterwards. Under the queue's lock either the sender sees that the loop
        // has taken a batch, or the loop, which takes its batch later, sees this.
        self.is_full.load(Ordering::Relaxed)
    }

    /// A sender has found the mailbox full, and this many messages were refused.
    pub(crate) fn found(&self, actor: &Actor, refused: u64) {
        {
            let mut spell = self.spell.lock();
            spell.refused += refused;
            spell.full_since.get_or_insert_with(Instant::now);
            // Relaxed: as in `is_full`.
            self.is_full.store(true, Ordering::Relaxed);
        }
        self.look(actor);
    }

    /// Tells what there is to tell, unless another thread does.
    pub(crate) fn look(&self, actor: &Actor) {
        let mut is_mine = false;
        loop {
            let Next { event, look_again_at } = self.next(actor, is_mine);
            if let Some(at) = look_again_at {
                look_again(actor, at);
            }
            // Outside of the lock: subscribers are woken.
            let Some(event) = event else { return };
            is_mine = true;
            let told = contain(|| actor.runtime.announce_life(&actor.name, || event));
            if let Err(text) = told {
                tracing::error!(subsystem = %actor.name, %text, "a subscriber to `Lifecycle` panicked");
            }
        }
    }

    fn next(&self, actor: &Actor, is_mine: bool) -> Next {
        let mut spell = self.spell.lock();
        let mut next = Next::default();
        if spell.is_telling && !is_mine {
            return next;
        }
        let now = Instant::now();
        let too_early = spell.told_at.map(|at| at + SPACING).filter(|&at| now < at);
        if let Some(since) = spell.full_since
            && (spell.is_told || too_early.is_some())
            && 2 * actor.queue.len() < actor.queue.capacity()
        {
            spell.full_for += now.saturating_duration_since(since);
            spell.full_since = None;
            // Relaxed: as in `is_full`.
            self.is_full.store(false, Ordering::Relaxed);
        }
        match (spell.full_since.is_some(), spell.is_told, too_early) {
            (true, false, Some(at)) => {
                next.look_again_at = (!std::mem::replace(&mut spell.is_timed, true)).then_some(at);
            }
            (true, false, None) => {
                (spell.is_told, spell.told_at) = (true, Some(now));
                next.event = Some(LifeEvent::MailboxFull);
            }
            (false, true, _) => {
                spell.is_told = false;
                let full_for = std::mem::take(&mut spell.full_for);
                let refused = std::mem::take(&mut spell.refused);
                next.event = Some(LifeEvent::MailboxRelieved { full_for, refused });
            }
            (true, true, _) | (false, false, _) => {}
        }
        spell.is_telling = next.event.is_some();
        next
    }
}

/// Looks again when the second is over. Where there is no tokio, the next sender or batch does.
fn look_again(actor: &Actor, at: Instant) {
    let own = actor.runtime.registry.lock().at(place(actor));
    let own = own.filter(|own| std::ptr::eq(&**own, actor)).as_ref().map(Arc::downgrade);
    let Some((tokio, own)) = actor.runtime.any_tokio().zip(own) else { return };
    tokio.spawn(async move {
        sleep_until(at).await;
        let own = own.upgrade();
        let fullness =
            own.as_ref().and_then(|actor| Some((actor, actor.ledger.rare_if_any()?.fullness.get()?)));
        if let Some((actor, fullness)) = fullness {
            fullness.spell.lock().is_timed = false;
            fullness.look(actor);
        }
    });
}
