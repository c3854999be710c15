//! What became of every message of one subsystem.

use std::fmt;
use std::ops::AddAssign;
use std::sync::Arc;

use mycelia_core::Counter;
use mycelia_core::sync::{Mutex, OnceBox};
use serde::{Deserialize, Serialize};

use crate::ask_stats::{AskCounters, AskStats};
use crate::figures::Shown;
use crate::fullness::Fullness;
use crate::observer::Last;
use crate::side_task::SideTaskStats;
use crate::tasks::Tasks;
use crate::watch::{Notices, Watches};

/// The part of the ledger that the queue does not know.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    // Written by the run loop only.
    pub(crate) begun: Counter,
    pub(crate) handled: Counter,
    pub(crate) polls: Counter,
    rare: OnceBox<Rare>,
}

/// What most subsystems never see. Made on first use, for it decides the memory of an idle subsystem.
#[derive(Debug, Default)]
pub(crate) struct Rare {
    // Written by the run loop only.
    pub(crate) failed: Counter,
    pub(crate) expired: Counter,
    pub(crate) undelivered: Counter,
    /// Evicted on purpose, by a fault.
    pub(crate) dropped: Counter,
    pub(crate) restarts: Counter,
    // Written by anybody.
    pub(crate) returned: Counter,
    /// Of those that were returned: given up by side tasks, and so undelivered.
    pub(crate) given_up: Counter,
    /// Of those that the queue has refused: sent again from inside, so the queue counts them once more.
    pub(crate) again: Counter,
    /// What a stop waits for beside the messages.
    pub(crate) open: Open,
    pub(crate) drop_panics: Counter,
    /// Why a child has failed for good.
    pub(crate) failed_child: Mutex<Option<Arc<str>>>,
    pub(crate) notices: Mutex<Notices>,
    pub(crate) watches: Mutex<Watches>,
    pub(crate) tasks: Tasks,
    pub(crate) shown: Shown,
    /// Since it was found full while `Lifecycle` had a subscriber.
    pub(crate) fullness: OnceBox<Fullness>,
    // While the runtime is observed.
    pub(crate) asks: AskCounters,
    pub(crate) last_sample: Mutex<Last>,
}

/// What a stop waits for beside the messages: promised replies and side tasks. How many have been opened, and how many are over. (A side
/// task that rests is over, and is opened anew when it is woken: so both counts only rise, and can be read one after the other.)
#[derive(Debug, Default)]
pub(crate) struct Open {
    begun: Counter,
    over: Counter,
}

impl Open {
    /// Counts one that is open from now on, or one that is over: after all that it has led to.
    pub(crate) fn count(&self, is_open: bool) {
        if is_open { self.begun.add(1) } else { self.over.publish(1) }
    }

    pub(crate) fn is_zero(&self) -> bool {
        // What is over first: then each is seen as begun at least as soon as it is over.
        self.over.get_after() == self.begun.get()
    }
}

/// The ledger of one subsystem: every message sent to it has exactly one fate.
///
/// ```text
/// sent = handled + failed + evicted + discarded + returned + expired + undelivered + queued + in_hand
/// ```
///
/// This holds whenever nothing is on its way; in between, a message may have left one column and not yet reached the
/// next.
///
/// ```
/// # use mycelia_actors::Stats;
/// let stats = Stats { sent: 3, handled: 2, failed: 1, ..Stats::default() };
/// assert_eq!(stats.accounted(), stats.sent);
/// assert_eq!(stats.to_string(), "sent 3 = handled 2 + failed 1");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Messages whose first fate is known: accepted, discarded or given back.
    pub sent: u64,
    /// The handler returned.
    pub handled: u64,
    /// The handler panicked, or was killed at an await.
    pub failed: u64,
    /// Pushed out of a full mailbox by a newer message (`DropOldest`).
    pub evicted: u64,
    /// Refused by a full mailbox and dropped (`DropNewest`).
    pub discarded: u64,
    /// Given back to the sender inside an error.
    pub returned: u64,
    /// Not handled, because the deadline had passed or the asker had gone by the time its turn came; or, of the end of another, since
    /// the state that had watched was no more.
    pub expired: u64,
    /// Still queued when the subsystem ended for good.
    pub undelivered: u64,
    /// Accepted, and waiting for their turn.
    pub queued: u64,
    /// With the handler right now.
    pub in_hand: u64,
    /// Senders waiting for room; their messages are not sent yet.
    pub waiting: u64,
    /// Messages the mailbox holds at most.
    pub capacity: u64,
    /// Messages for which the mailbox has memory at the moment.
    pub allocated: u64,
    /// How often the subsystem was restarted.
    pub restarts: u64,
    /// How often its task was woken.
    pub polls: u64,
    /// Messages (or states) whose own `drop` panicked; contained.
    pub drop_panics: u64,
}

impl Stats {
    /// The columns of the ledger: each fate with its count, in the order of the equation.
    #[must_use]
    pub fn fates(&self) -> [(&'static str, u64); 9] {
        [
            ("handled", self.handled),
            ("failed", self.failed),
            ("evicted", self.evicted),
            ("discarded", self.discarded),
            ("returned", self.returned),
            ("expired", self.expired),
            ("undelivered", self.undelivered),
            ("queued", self.queued),
            ("in hand", self.in_hand),
        ]
    }

    /// The sum over all fates; equal to `sent` whenever nothing is on its way.
    #[must_use]
    pub fn accounted(&self) -> u64 {
        self.fates().iter().map(|(_, count)| count).sum()
    }

    /// What it has counted, without what there is at the moment.
    pub(crate) fn counts(self) -> Self {
        Self { queued: 0, in_hand: 0, waiting: 0, capacity: 0, allocated: 0, ..self }
    }

    /// Messages that will never be handled and were not given back.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.failed + self.evicted + self.discarded + self.expired + self.undelivered
    }
}

/// Adds another ledger up, column by column.
impl AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.handled += other.handled;
        self.failed += other.failed;
        self.evicted += other.evicted;
        self.discarded += other.discarded;
        self.returned += other.returned;
        self.expired += other.expired;
        self.undelivered += other.undelivered;
        self.queued += other.queued;
        self.in_hand += other.in_hand;
        self.waiting += other.waiting;
        self.capacity += other.capacity;
        self.allocated += other.allocated;
        self.restarts += other.restarts;
        self.polls += other.polls;
        self.drop_panics += other.drop_panics;
    }
}

/// The equation, without the fates that no message had: `sent 3 = handled 2 + failed 1`.
impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let met = self.fates().into_iter().filter(|&(_, count)| count > 0);
        let met: Vec<_> = met.map(|(fate, count)| format!("{fate} {count}")).collect();
        if met.is_empty() {
            return f.pad(&format!("sent {}", self.sent));
        }
        f.pad(&format!("sent {} = {}", self.sent, met.join(" + ")))
    }
}

impl Ledger {
    #[cold]
    pub(crate) fn rare(&self) -> &Rare {
        self.rare.get_or_init(Box::default)
    }

    pub(crate) fn rare_if_any(&self) -> Option<&Rare> {
        self.rare.get()
    }

    /// How the asks to this subsystem ended.
    pub(crate) fn asks(&self) -> AskStats {
        self.rare.get().map_or_else(AskStats::default, |rare| rare.asks.read(Counter::get))
    }

    /// The same; and begins again.
    pub(crate) fn take_asks(&self) -> AskStats {
        self.rare.get().map_or_else(AskStats::default, |rare| rare.asks.read(Counter::take))
    }

    /// The side tasks of the subsystem.
    pub(crate) fn side_tasks(&self) -> SideTaskStats {
        self.rare.get().map_or_else(SideTaskStats::default, |rare| rare.tasks.stats())
    }

    /// All that has settled so far: messages that have met their fates, what was open beside them.
    pub(crate) fn settled(&self, queue: &mycelia_queue::Stats) -> u64 {
        let rare = self.rare.get().map_or(0, |rare| {
            let fates = [&rare.failed, &rare.expired, &rare.undelivered, &rare.dropped, &rare.open.over];
            fates.iter().map(|fate| fate.get_after()).sum::<u64>()
        });
        self.handled.get_after() + queue.evicted + rare
    }

    /// All that has begun so far, to be compared with what had [settled](Self::settled) before.
    pub(crate) fn begun_in_all(&self, queue: &mycelia_queue::Stats) -> u64 {
        let rare = self.rare.get().map_or(0, |rare| rare.notices.lock().sent + rare.open.begun.get());
        queue.pushed - queue.discarded - queue.refused + queue.waiting as u64 + rare
    }

    /// True if something is open beside the messages, or is about to be, though all that was begun has settled.
    pub(crate) fn has_open(&self) -> bool {
        self.rare.get().is_some_and(|rare| !rare.open.is_zero() || rare.tasks.are_due())
    }

    pub(crate) fn stats(&self, queue: &mycelia_queue::Stats) -> Stats {
        let notices = self.rare.get().map_or(0, |rare| rare.notices.lock().sent);
        let rare = |column: fn(&Rare) -> &Counter| self.rare.get().map_or(0, |rare| column(rare).get());
        let (handled, failed) = (self.handled.get(), rare(|rare| &rare.failed));
        let (expired, undelivered) = (rare(|rare| &rare.expired), rare(|rare| &rare.undelivered));
        let dropped = rare(|rare| &rare.dropped);
        let begun = self.begun.get();
        let (returned, given_up) = (rare(|rare| &rare.returned), rare(|rare| &rare.given_up));
        let again = rare(|rare| &rare.again);
        Stats {
            sent: (queue.pushed + returned + notices).saturating_sub(again),
            handled,
            failed,
            evicted: queue.evicted + dropped,
            discarded: queue.discarded,
            returned: (queue.refused + returned).saturating_sub(given_up + again),
            expired,
            undelivered: undelivered + given_up,
            queued: queue.len as u64 + (queue.popped + notices).saturating_sub(begun),
            in_hand: begun.saturating_sub(handled + failed + expired + undelivered + dropped),
            waiting: queue.waiting as u64,
            capacity: queue.capacity as u64,
            allocated: queue.allocated as u64,
            restarts: rare(|rare| &rare.restarts),
            polls: self.polls.get(),
            drop_panics: rare(|rare| &rare.drop_panics),
        }
    }
}
