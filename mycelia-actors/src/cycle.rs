//! Whom the handler of each subsystem waits for, and the circles that come of it.
//!
//! An ask, or a send that has to wait for room, writes into a word of the subsystem whose handler polls it whom that handler now
//! waits for, and then follows the words of the others. If they lead back, they are looked at again, each with the question
//! whether it still holds: a reply may be there already, of which the asker has not heard.
//!
//! A fence goes between the two, so of two subsystems that begin to wait for one another at the same moment at least one sees the
//! other. This is Dekker's way to find out, and the walk that of every deadlock detector with single requests (Chandy, Misra
//! and Haas, 1983), without the messages.

use std::fmt;
use std::num::NonZeroU64;
use std::ptr;
use std::sync::Arc;

use mycelia_core::seeded::bug;
use mycelia_core::sync::atomic::{AtomicU64, Ordering, fence};

use crate::actor::{Actor, Request};
use crate::current;
use crate::envelope::{end_ask, is_open};
use crate::name::Name;
use crate::slot::Fate;

/// More steps than this are not walked: nobody builds such a chain, and others may stand in a circle of their own.
const LONGEST: usize = 1000;

/// Handlers that would wait for one another for ever: the subsystems, from the one that was about to wait back to itself.
///
/// It shows itself as `` `a` -> `b` -> `a` ``.
///
/// # Limits
/// Only handlers and hooks hold a subsystem up: what is waited for in spawned tasks or in `cx.pipe` is not seen. With several
/// asks at once only the first is seen; nor is a subsystem of another runtime, or a chain of more than 1000. What is not seen ends by
/// its deadline.
///
/// A subsystem that restarts, or stops at once, waits for its children to end, and so for all below it: whoever of them then asks it, or
/// others who wait for it, gets this. An ask that was out already ends with it after 40 ms, a send that waits for room as soon as the
/// handler is polled; one that is not polled by then is killed.
/// (What somebody who is not below it asks of it on their account is not seen: they have 5 seconds.)
///
/// The other way round, a handler counts as waiting from the first poll of an ask to its end, also if it waits for something else as
/// well (a `select!`); and who asks with a [`ReplyTo`](crate::ReplyTo) waits for whoever was asked until it has replied or its handler
/// has returned, even if that has handed the duty to another.
#[derive(Clone, PartialEq, Eq)]
pub struct Cycle(Arc<[Name]>);

impl Cycle {
    /// The subsystems. The first is the last, too.
    #[must_use]
    pub fn path(&self) -> &[Name] {
        &self.0
    }
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, name) in self.0.iter().enumerate() {
            let arrow = if place > 0 { " -> " } else { "" };
            write!(f, "{arrow}`{name}`")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cycle({self})")
    }
}

/// Whom the handler of a subsystem waits for.
///
/// ```text
///  63         32   31   30                          0
/// ┌─────────────┬──────┬─────────────────────────────┐
/// │ place + 1   │ line │ number of the slot, or where │   0: for nobody
/// │ of whom     │      │ in the line for room         │   1: for its children to end
/// └─────────────┴──────┴─────────────────────────────┘
/// ```
#[derive(Default)]
pub(crate) struct Waits(AtomicU64);

const LINE: u64 = 1 << 31;
const ENDING: NonZeroU64 = NonZeroU64::MIN;

impl Waits {
    /// Forgets an ask that was not waited for to its end by this handler.
    #[inline]
    pub(crate) fn forget(&self) {
        // Relaxed: whoever reads an old word asks whether it still holds.
        if self.0.load(Ordering::Relaxed) != 0 {
            self.0.store(0, Ordering::Relaxed);
        }
    }

    /// Written by the subsystem's own task only. False if there is a word already.
    fn begin(&self, word: NonZeroU64) -> bool {
        // Relaxed: the fence orders them, and nothing else is read on the strength of it.
        if self.0.load(Ordering::Relaxed) != 0 {
            return false;
        }
        self.0.store(word.get(), Ordering::Relaxed);
        if !bug("no fence between the own word and the look at others") {
            // SeqCst: orders the store of the own word before the loads of all others in `now`, for everybody.
            fence(Ordering::SeqCst);
        }
        true
    }

    fn now(&self) -> Option<NonZeroU64> {
        // Acquire, with the release of the message or reply on whose account it changed; and see the fence in `begin`.
        NonZeroU64::new(self.0.load(Ordering::Acquire))
    }

    fn end(&self, word: NonZeroU64) {
        // Relaxed: as in `forget`.
        if self.0.load(Ordering::Relaxed) == word.get() {
            self.0.store(0, Ordering::Relaxed);
        }
    }
}

/// What a handler waits for.
#[derive(Clone, Copy)]
pub(crate) enum For {
    /// The reply to the ask in the slot of this number.
    Reply(u32),
    /// Room, at this place in line.
    Room(usize),
}

/// The mark that a handler waits for somebody, until it is dropped.
pub(crate) struct Mark(NonZeroU64);

impl Drop for Mark {
    fn drop(&mut self) {
        // Only the subsystem that it was made in has this word.
        current::with_actor(|own| own.into_iter().for_each(|own| own.waits.end(self.0)));
    }
}

/// Marks that the running handler, if it is one, waits for this subsystem.
///
/// # Errors
/// [`Cycle`], if it would wait for itself.
#[inline]
pub(crate) fn wait_for(target: &Actor, what: For) -> Result<Option<Mark>, Cycle> {
    let (marked, cycle) = current::with_actor(|own| own.map_or((None, None), |own| begin(own, target, what)));
    let mark = marked.map(Mark);
    // The mark goes with the error.
    cycle.map_or(Ok(mark), Err)
}

/// The mark that a subsystem waits for its children to end, until it is dropped.
pub(crate) struct Ending<'a>(&'a Actor);

impl<'a> Ending<'a> {
    /// In the subsystem's own task, and not in a handler.
    pub(crate) fn begin(actor: &'a Actor) -> Self {
        actor.waits.forget();
        actor.waits.begin(ENDING);
        Self(actor)
    }

    /// Ends what the handlers of these children wait for, where that leads back to this subsystem: asks end; who still waits for room is
    /// killed.
    pub(crate) fn break_circles(&self, children: &[Arc<Actor>]) {
        let waiting: Vec<_> = children.iter().filter_map(|child| Some((child, child.waits.now()?))).collect();
        let slots = &self.0.runtime.slots;
        for (child, word) in waiting {
            let steps = vec![(Arc::clone(child), word)];
            if walk(self.0, word, steps, |number| is_open(slots, number)).is_none() {
            } else if word.get() & LINE == 0 {
                // As in `holds`: until the word is looked at, the slot is its own.
                end_ask(slots, number(word) as u32, || child.waits.now() == Some(word), Fate::Cycle);
            } else {
                child.request(Request::Kill);
            }
        }
    }
}

/// The circle that the running handler has been told of, when it had asked this subsystem.
#[cold]
pub(crate) fn told(target: &Actor) -> Cycle {
    current::with_actor(|own| {
        let walked = own.and_then(|own| walk(own, word(target, For::Reply(0))?, Vec::new(), |_| true));
        walked.unwrap_or_else(|| {
            let own = own.map_or(&target.name, |own| &own.name);
            Cycle([own, &target.name, own].map(Name::clone).into())
        })
    })
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.waits.end(ENDING);
    }
}

pub(crate) fn begin(own: &Actor, target: &Actor, what: For) -> (Option<NonZeroU64>, Option<Cycle>) {
    if ptr::eq(own, target) {
        return (None, Some(Cycle([&own.name, &own.name].map(Name::clone).into())));
    }
    if !Arc::ptr_eq(&own.runtime, &target.runtime) {
        return (None, None);
    }
    let Some(word) = word(target, what) else { return (None, None) };
    let marked = own.waits.begin(word).then_some(word);
    // One that takes no more messages says so by itself.
    let next = target.waits.now().filter(|_| !target.has_to_end());
    let cycle = next.and_then(|_| walk(own, word, Vec::new(), |number| is_open(&own.runtime.slots, number)));
    (marked, cycle)
}

/// What is written down of it; nothing, if the target has ended.
fn word(target: &Actor, what: For) -> Option<NonZeroU64> {
    // Relaxed: a target that ends now tells its askers so.
    let place = target.place.load(Ordering::Relaxed).checked_add(1)?;
    let what = match what {
        For::Reply(slot) => u64::from(slot),
        For::Room(place) => LINE | place as u64 & (LINE - 1),
    };
    NonZeroU64::new(u64::from(place) << 32 | what)
}

/// Follows the words from this one, which the last of `steps` has, or `own`, until they end, or come home.
#[cold]
fn walk(
    own: &Actor,
    mut word: NonZeroU64,
    mut steps: Vec<(Arc<Actor>, NonZeroU64)>,
    is_open: impl Fn(u32) -> bool,
) -> Option<Cycle> {
    let comes_home = loop {
        if word == ENDING {
            break steps.last().is_some_and(|(parent, _)| own.runtime.registry.lock().is_below(own, parent));
        }
        let next = at(own, word)?;
        if ptr::eq(&*next, own) {
            break true;
        }
        word = next.waits.now()?;
        steps.push((next, word));
        if steps.len() == LONGEST {
            return None;
        }
    };
    let holds = |(actor, word): &(Arc<Actor>, _)| holds(actor, *word, &is_open);
    let stands = comes_home && (bug("an old word makes a circle") || steps.iter().all(holds));
    stands.then(|| {
        let between = steps.iter().map(|(actor, _)| actor.name.clone());
        let path = [own.name.clone()].into_iter().chain(between).chain([own.name.clone()]);
        Cycle(path.collect())
    })
}

/// Whom a word of a subsystem of the same runtime means.
fn at(own: &Actor, word: NonZeroU64) -> Option<Arc<Actor>> {
    own.runtime.registry.lock().at((word.get() >> 32) as u32 - 1)
}

/// Which slot, or where in the line.
fn number(word: NonZeroU64) -> usize {
    (word.get() & (LINE - 1)) as usize
}

/// True if this subsystem still waits. (The word is looked at again last: until then the slot, or the place in line, is its own.)
fn holds(actor: &Actor, word: NonZeroU64, is_open: impl Fn(u32) -> bool) -> bool {
    let open = if word == ENDING {
        true
    } else if word.get() & LINE == 0 {
        is_open(number(word) as u32)
    } else {
        at(actor, word).is_some_and(|target| target.queue.is_waiting(number(word)))
    };
    open && actor.waits.now() == Some(word)
}
