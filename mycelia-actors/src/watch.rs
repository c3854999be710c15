//! Hearing of the end of another subsystem.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::ptr;
use std::sync::Arc;

use mycelia_core::sync::Mutex;
use mycelia_pool::Exhausted;

use crate::actor::{Actor, Request};
use crate::address::Address;
use crate::current;
use crate::dead_letters::Reason;
use crate::envelope::Envelope;
use crate::error::{Refusal, TellError};
use crate::handler::Handler;
use crate::lifecycle::Exit;
use crate::metadata::Metadata;
use crate::name::Name;
use crate::slot::Fate;
use crate::subsystem::Subsystem;
use crate::table::{Handling, Itself};

/// The message that a watched subsystem has ended. See [`Context::watch`](crate::Context::watch).
#[derive(Clone)]
pub struct Terminated(Arc<Actor>);

impl Terminated {
    /// Who has ended.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.0.name
    }

    /// True if it was the one with this address. (Another may have its name by now.)
    #[must_use]
    pub fn was<S: Subsystem>(&self, address: &Address<S>) -> bool {
        Arc::ptr_eq(&self.0, address.actor())
    }

    /// How.
    #[must_use]
    pub fn exit(&self) -> Exit {
        // It is sent when the end is known.
        self.0.life.exit().unwrap_or(Exit::Abandoned)
    }
}

impl fmt::Debug for Terminated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminated").field("name", self.name()).field("exit", &self.exit()).finish()
    }
}

/// Somebody to be told of the end of a subsystem, with the message in its slot: so there is room for it.
pub(crate) struct Watcher {
    actor: Arc<Actor>,
    /// Among whom it watches.
    watched: usize,
    /// Of which of its states.
    state: u64,
    envelope: Envelope,
}

impl Watcher {
    /// Sends the message, to be handled after all that the mailbox has accepted by now.
    pub(crate) fn tell(self) {
        self.put().wake();
    }

    /// The first half of that: runs no code of a user, and wakes nothing.
    pub(crate) fn put(self) -> Notified {
        let Self { actor, watched, state, envelope } = self;
        let rare = actor.ledger.rare();
        // It has ended, so nobody can watch or unwatch it any more.
        let watch = rare.watches.lock().remove(watched);
        let refused = rare.notices.lock().add(&actor, state, envelope).err();
        if refused.is_none() {
            actor.note(Request::Notice);
        }
        Notified { actor, refused, _watch: watch }
    }
}

/// A watcher whose message has its place, and that has not been woken.
pub(crate) struct Notified {
    actor: Arc<Actor>,
    /// The message, if the watcher has ended itself, or has another state.
    refused: Option<Envelope>,
    _watch: Option<(Arc<Actor>, usize)>,
}

impl Notified {
    /// The second half of [`Watcher::tell`].
    pub(crate) fn wake(self) {
        match self.refused {
            None => self.actor.queue.wake_receiver(),
            Some(envelope) => self.actor.drop_contained(envelope),
        }
    }
}

/// Messages that have no place in the mailbox, because it may be full: each has its place behind all that was accepted before.
#[derive(Default)]
pub(crate) struct Notices {
    waiting: VecDeque<(u64, Envelope)>,
    /// How many there were in all.
    pub(crate) sent: u64,
    /// How many states there were before this one.
    state: u64,
    closed: bool,
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notices").field("sent", &self.sent).finish_non_exhaustive()
    }
}

impl Notices {
    fn add(&mut self, actor: &Actor, state: u64, envelope: Envelope) -> Result<(), Envelope> {
        if self.closed || state != self.state {
            return Err(envelope);
        }
        self.sent += 1;
        self.waiting.push_back((actor.queue.accepted(), envelope));
        Ok(())
    }

    /// The next one, if as many messages as were accepted before it have left the mailbox. And whether there are more.
    pub(crate) fn due(&mut self, gone: u64) -> (Option<Envelope>, bool) {
        let is_due = self.waiting.front().is_some_and(|&(after, _)| after <= gone);
        let due = if is_due { self.waiting.pop_front() } else { None };
        if self.waiting.is_empty() {
            // What many ends at once have needed.
            self.waiting.shrink_to(64);
        }
        (due.map(|(_, envelope)| envelope), !self.waiting.is_empty())
    }

    /// All that is left. Later ones are refused.
    pub(crate) fn close(&mut self) -> impl Iterator<Item = Envelope> + use<> {
        self.closed = true;
        self.next_state()
    }

    /// All that is left for the state there was. Later ones for it are refused.
    pub(crate) fn next_state(&mut self) -> impl Iterator<Item = Envelope> + use<> {
        self.state += 1;
        std::mem::take(&mut self.waiting).into_iter().map(|(_, envelope)| envelope)
    }
}

/// Whom a subsystem watches, by address in memory.
#[derive(Default)]
pub(crate) struct Watches {
    by_actor: HashMap<usize, (Arc<Actor>, usize)>,
    /// At this size those that have ended are forgotten.
    full: usize,
}

impl fmt::Debug for Watches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watches").field("count", &self.by_actor.len()).finish_non_exhaustive()
    }
}

impl Watches {
    fn key(actor: &Arc<Actor>) -> usize {
        ptr::from_ref(&**actor).addr()
    }

    /// What comes back is forgotten, and to be dropped outside the lock: it may be the last of a subsystem, and of its runtime.
    fn add(&mut self, watched: &Arc<Actor>, place: usize) -> Vec<(Arc<Actor>, usize)> {
        let mut forgotten = Vec::new();
        if self.by_actor.len() >= self.full {
            // Not by its life, whose lock is held where watchers are told.
            let ended = self.by_actor.extract_if(|_, (watched, _)| watched.is_gone());
            forgotten.extend(ended.map(|(_, watch)| watch));
            self.full = self.by_actor.len() * 2 + 16;
        }
        forgotten.extend(self.by_actor.insert(Self::key(watched), (Arc::clone(watched), place)));
        forgotten
    }

    fn remove(&mut self, key: usize) -> Option<(Arc<Actor>, usize)> {
        let watch = self.by_actor.remove(&key);
        if self.by_actor.len() < self.by_actor.capacity() / 8 {
            let twice = self.by_actor.len() * 2;
            self.by_actor.shrink_to(twice);
        }
        watch
    }

    fn has(&self, watched: &Arc<Actor>) -> bool {
        self.by_actor.contains_key(&Self::key(watched))
    }
}

/// Makes `watcher` hear of the end of `watched`.
pub(crate) fn watch<S: Handler<Terminated>>(
    watcher: &Arc<Actor>,
    watched: &Arc<Actor>,
) -> Result<(), TellError<()>> {
    let watches: &Mutex<Watches> = &watcher.ledger.rare().watches;
    // One lock after the other: where watchers are told, that of the life goes first.
    let is_watched = watches.lock().has(watched);
    if is_watched && watched.life.exit().is_none() {
        return Ok(());
    }
    let envelope = envelope::<S>(watcher, watched)?;
    let state = watcher.ledger.rare().notices.lock().state;
    match watched.life.watch(Watcher {
        actor: Arc::clone(watcher),
        watched: Watches::key(watched),
        state,
        envelope,
    }) {
        Ok(place) => {
            let forgotten = watches.lock().add(watched, place);
            drop(forgotten);
        }
        Err(watcher) => watcher.tell(),
    }
    Ok(())
}

/// The message that will be sent: with the metadata that holds now, but for its deadline, and without a time, for it is sent later.
fn envelope<S: Handler<Terminated>>(
    watcher: &Actor,
    watched: &Arc<Actor>,
) -> Result<Envelope, TellError<()>> {
    let table = Handling::<S, Terminated, Itself>::TABLE;
    let made = Envelope::new(&watcher.runtime.slots, table, Terminated(Arc::clone(watched)));
    let envelope = made
        .map_err(|(_, Exhausted { capacity })| watcher.give_back((), Refusal::PoolExhausted { capacity }))?;
    if let Some(metadata) = current::metadata() {
        envelope.set_metadata(Metadata::without_deadline(metadata).stamped(None));
    }
    Ok(envelope)
}

/// Makes it hear no more. False if it has ended, or was not watched.
pub(crate) fn unwatch(watcher: &Actor, watched: &Arc<Actor>) -> bool {
    let watch = watcher.ledger.rare().watches.lock().remove(Watches::key(watched));
    watch.is_some_and(|(watched, place)| watched.life.unwatch(place).is_some())
}

/// Makes it hear of nobody any more: its state is no more, or has nothing to handle any more.
pub(crate) fn unwatch_all(watcher: &Actor) {
    let Some(rare) = watcher.ledger.rare_if_any() else { return };
    let watches = std::mem::take(&mut *rare.watches.lock());
    for (watched, place) in watches.by_actor.into_values() {
        drop(watched.life.unwatch(place));
    }
}

/// Drops what the old state would have heard yet.
pub(crate) fn forget_notices(watcher: &Actor) {
    let Some(rare) = watcher.ledger.rare_if_any() else { return };
    let notices = rare.notices.lock().next_state();
    notices.for_each(|envelope| {
        watcher.ledger.begun.add_owned(1);
        rare.expired.publish_owned(1);
        watcher.lose(envelope, Reason::Expired, Fate::Deadline);
    });
}
