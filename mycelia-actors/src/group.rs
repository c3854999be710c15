//! Several subsystems of one type behind the same verbs.

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use foldhash::quality::FixedState;
use mycelia_core::sync::atomic::{AtomicU64, Ordering};

use crate::address::Address;
use crate::ask::Ask;
use crate::error::TellError;
use crate::handler::Handler;
use crate::sending::Sending;
use crate::subsystem::Subsystem;
use crate::tell::Told;

/// Whom a [`Group`] gives the next message to.
///
/// Members that take no more messages, because they are stopping or have ended, are passed over as long as another is left: the next
/// one gets theirs beside its own.
/// In a [drain](crate::Address::stop), members that still take messages from inside are preferred for senders inside.
/// A full mailbox is no such reason: there the member's own policy decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Choice {
    /// One after the other.
    RoundRobin,
    /// By chance: a sequence that spreads evenly. It is the same in every run, whatever the runtime's seed.
    Random,
    /// Of two members picked by chance, the one with fewer messages: queued, in hand, and of senders that wait for room.
    ///
    /// Two looks come close to a look at every member, and do not send everybody to the same one: M. Mitzenmacher, *The power
    /// of two choices in randomized load balancing*, 2001. In a group of two this is the least loaded one, always.
    LeastLoaded,
}

/// Several subsystems of one type behind the verbs of an [`Address`]: each message goes to one of them, as the [`Choice`] says,
/// or as its [key](Self::by_key) says, or to [all](Self::broadcast).
///
/// The members are fixed. Cloning is cheap (a reference count), and clones share whose turn it is.
///
/// ```
/// use mycelia_actors::prelude::*;
///
/// struct Worker(u64);
/// impl Subsystem for Worker {}
/// impl Handler<u64> for Worker {
///     type Reply = u64;
///     async fn handle(&mut self, n: u64, _: &mut Context<Self>) -> u64 {
///         self.0 += n;
///         self.0
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let runtime = Runtime::new();
/// let workers: Result<Vec<_>, _> = (0..2).map(|_| runtime.spawn_unnamed(Worker(0))).collect();
/// let group = Group::new(workers?, Choice::RoundRobin)?;
/// assert_eq!((group.ask(1).await?, group.ask(1).await?, group.ask(1).await?), (1, 1, 2));
/// assert_eq!(group.by_key("alice").name(), group.by_key("alice").name());
/// assert!(group.broadcast(1).iter().all(Result::is_ok));
/// # Ok(())
/// # }
/// ```
///
/// # Cost
/// No allocation, but for [`broadcast`](Self::broadcast). A choice is an atomic addition, which the senders share, and a look
/// at the member's mailbox, under its lock; `LeastLoaded` looks four times. A key costs its hash.
pub struct Group<S: Subsystem> {
    inner: Arc<Inner<S>>,
}

struct Inner<S: Subsystem> {
    members: Box<[Address<S>]>,
    choice: Choice,
    turn: AtomicU64,
}

/// A group of nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a group needs at least one member")]
pub struct NoMembers;

impl<S: Subsystem> Group<S> {
    /// A group of these members, in this order.
    ///
    /// # Errors
    /// [`NoMembers`], if there is none.
    pub fn new(members: impl IntoIterator<Item = Address<S>>, choice: Choice) -> Result<Self, NoMembers> {
        let members: Box<[_]> = members.into_iter().collect();
        if members.is_empty() {
            return Err(NoMembers);
        }
        Ok(Self { inner: Arc::new(Inner { members, choice, turn: AtomicU64::new(0) }) })
    }

    /// All members, in the order they were given.
    #[must_use]
    pub fn members(&self) -> &[Address<S>] {
        &self.inner.members
    }

    /// Chooses the next member, for the verbs that a group does not have: `group.pick().tell_many(..)`.
    ///
    /// When none takes messages any more, this is still one of them, whose error says so.
    #[must_use]
    pub fn pick(&self) -> &Address<S> {
        // Relaxed: only the number matters.
        let turn = self.inner.turn.fetch_add(1, Ordering::Relaxed);
        let count = self.members().len();
        match self.inner.choice {
            Choice::RoundRobin => self.open_from((turn % count as u64) as usize),
            Choice::Random => self.open_from(scaled(mixed(turn), count)),
            Choice::LeastLoaded => {
                let random = mixed(turn);
                let place = scaled(random, count);
                let other = place + 1 + scaled(random.rotate_left(32), count - 1);
                let (one, other) = (self.open_from(place), self.open_from(other % count));
                if load(other) < load(one) { other } else { one }
            }
        }
    }

    /// The member for this key: the same one for equal keys, in every group of as many members. One sender's messages with one
    /// key are so handled in order.
    ///
    /// It stays that member when it has ended, and its errors say so: another one would not have the state that belongs to
    /// the key. A group of one member more has another member for as few keys as possible (Lamping and Veach, *A fast,
    /// minimal memory, consistent hash algorithm*, 2014). Do not store who it is: the hash may differ in another build.
    ///
    /// ```
    /// # use mycelia_actors::prelude::*;
    /// # fn tell(group: &Group<Accounts>) -> Result<(), Box<dyn std::error::Error>> {
    /// group.by_key(&7).tell(Deposit { account: 7 })?;
    /// # Ok(())
    /// # }
    /// # struct Accounts;
    /// # impl Subsystem for Accounts {}
    /// # struct Deposit { account: u64 }
    /// # impl Handler<Deposit> for Accounts {
    /// #     type Reply = ();
    /// #     async fn handle(&mut self, _: Deposit, _: &mut Context<Self>) {}
    /// # }
    /// ```
    #[must_use]
    pub fn by_key<K: Hash + ?Sized>(&self, key: &K) -> &Address<S> {
        let members = self.members();
        &members[jump(FixedState::default().hash_one(key), members.len())]
    }

    /// [`Address::tell`] to the next member.
    ///
    /// # Errors
    /// As [`Address::tell`].
    pub fn tell<M: Send + 'static>(&self, message: M) -> Result<Told, TellError<M>>
    where
        S: Handler<M>,
    {
        self.pick().tell(message)
    }

    /// [`Address::send`] to the next member, which is chosen here and not at the first poll.
    pub fn send<M: Send + 'static>(&self, message: M) -> Sending<'_, M>
    where
        S: Handler<M>,
    {
        self.pick().send(message)
    }

    /// [`Address::ask`] of the next member, which is chosen here and not at the first poll.
    pub fn ask<M: Send + 'static>(&self, message: M) -> Ask<'_, M, S::Reply>
    where
        S: Handler<M>,
    {
        self.pick().ask(message)
    }

    /// [`Address::try_ask`] of the next member, which is chosen here and not at the first poll.
    pub fn try_ask<M: Send + 'static>(&self, message: M) -> Ask<'_, M, S::Reply>
    where
        S: Handler<M>,
    {
        self.pick().try_ask(message)
    }

    /// Tells every member, and says for each what happened, in the order of [`members`](Self::members).
    ///
    /// Not in one step: another sender's messages may come between. One allocation, for the results.
    ///
    /// # Errors
    /// As [`Address::tell`], for each member on its own.
    pub fn broadcast<M: Clone + Send + 'static>(&self, message: M) -> Vec<Result<Told, TellError<M>>>
    where
        S: Handler<M>,
    {
        self.members().iter().map(|member| member.tell(message.clone())).collect()
    }

    /// The first member from this place on that takes messages, or the one at this place if none does.
    fn open_from(&self, place: usize) -> &Address<S> {
        let (before, from) = self.members().split_at(place);
        let mut all = from.iter().chain(before);
        let first = |member: &&Address<S>| !member.actor().queue.is_closed();
        all.find(first).unwrap_or_else(|| self.open_inside_from(place))
    }

    /// The same where all members are closed: in a drain, which goes on inside.
    #[cold]
    fn open_inside_from(&self, place: usize) -> &Address<S> {
        let (before, from) = self.members().split_at(place);
        from.iter().chain(before).find(|member| member.actor().is_sent_from_inside()).unwrap_or(&from[0])
    }
}

fn load<S: Subsystem>(member: &Address<S>) -> u64 {
    let stats = member.stats();
    stats.queued + stats.in_hand + stats.waiting
}

/// The number at this place of a random sequence: SplitMix64, by Steele, Lea and Flood, *Fast splittable pseudorandom number
/// generators*, 2014.
fn mixed(turn: u64) -> u64 {
    let z = turn.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// The lower half of a random number as one below `limit` (or 0).
fn scaled(random: u64, limit: usize) -> usize {
    (((random & 0xffff_ffff) * limit as u64) >> 32) as usize
}

/// Jump consistent hash: see [`Group::by_key`].
fn jump(mut key: u64, buckets: usize) -> usize {
    let (mut bucket, mut next) = (0, 0);
    while next < buckets as u64 {
        bucket = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        next = ((bucket + 1) as f64 * ((1_u64 << 31) as f64 / ((key >> 33) + 1) as f64)) as u64;
    }
    bucket as usize
}

impl<S: Subsystem> Clone for Group<S> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<S: Subsystem> fmt::Debug for Group<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { members, choice, .. } = &*self.inner;
        f.debug_struct("Group").field("members", members).field("choice", choice).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(mycelia_loom)))]
mod tests {
    use super::*;

    #[test]
    fn jump_agrees_with_other_implementations_and_moves_keys_to_new_buckets_only() {
        let known = [(1, 1, 0), (42, 57, 43), (0xdead_10cc, 1, 0), (0xdead_10cc, 666, 361), (256, 1024, 520)];
        assert!(known.iter().all(|&(key, buckets, bucket)| jump(key, buckets) == bucket));
        let moved = (0..10_000).map(mixed).filter(|&key| {
            let (before, after) = (jump(key, 9), jump(key, 10));
            assert!(after == before || after == 9);
            after != before
        });
        assert!((800..1200).contains(&moved.count()));
    }
}
