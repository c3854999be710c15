//! Paths by hand, for any library without them: what a user of it would write.

use std::sync::Arc;

use dashmap::DashMap;
use foldhash::fast::RandomState;

use crate::contender::{Address, Contender};
use crate::message::Item;
use crate::paths::{GUARDED, NAME, PATTERNS, Paths, Route};
use crate::tally::{Report, Tally};

/// Addresses by name, and messages by pattern: a concurrent map, with the hasher that Mycelia uses, and matchit.
#[derive(Clone, Debug)]
pub struct Directory<A>(Arc<Inner<A>>);

#[derive(Debug)]
struct Inner<A> {
    /// Some addresses are several reference counts; in an `Arc` they are one.
    addresses: DashMap<String, Arc<A>, RandomState>,
    messages: matchit::Router<Meaning>,
}

/// What a path means.
#[derive(Clone, Copy, Debug)]
enum Meaning {
    GetUser,
}

impl<A: Address> Directory<A> {
    fn new(actor: A) -> Self {
        let addresses = DashMap::with_hasher(RandomState::default());
        addresses.insert(NAME.to_owned(), Arc::new(actor));
        let mut messages = matchit::Router::new();
        for pattern in PATTERNS.into_iter().chain([GUARDED]) {
            messages.insert(pattern, Meaning::GetUser).expect("the patterns do not conflict");
        }
        Self(Arc::new(Inner { addresses, messages }))
    }

    /// Whom a path leads to, and with what. The map is not kept locked while the sender waits for room.
    #[inline]
    fn resolve(&self, path: &str) -> (Arc<A>, Item) {
        let (name, rest) = path.split_once("://").expect("a path has a name");
        let address = self.address(name);
        let found = self.0.messages.at(rest).expect("a path has a meaning");
        match found.value {
            Meaning::GetUser => {
                let id = found.params.get("id").expect("a user has an id");
                (address, Item::new(id.parse().expect("an id is a number")))
            }
        }
    }

    #[inline]
    fn address(&self, name: &str) -> Arc<A> {
        Arc::clone(&self.0.addresses.get(name).expect("the actor has a name"))
    }
}

impl<C: Contender> Paths<C> for Directory<C::Address> {
    type Route = Ready<C::Address>;

    async fn spawn(contender: &C, tally: Tally) -> Self {
        Self::new(contender.spawn(tally).await)
    }

    async fn tell(&self, path: &str, turn: u64) {
        let (address, item) = self.resolve(path);
        address.tell(item.in_turn(turn)).await;
    }

    async fn ask(&self, path: &str) -> u64 {
        let (address, item) = self.resolve(path);
        address.ask(item).await
    }

    fn route(&self, path: &str) -> Ready<C::Address> {
        let (address, item) = self.resolve(path);
        Ready { address, item }
    }

    async fn report(&self) -> Report {
        self.address(NAME).report().await
    }

    async fn stop(&self) {
        self.address(NAME).stop().await;
    }
}

/// An address, and a message ready to be copied.
#[derive(Clone, Debug)]
pub struct Ready<A> {
    address: Arc<A>,
    item: Item,
}

impl<A: Address> Route for Ready<A> {
    async fn tell(&self, turn: u64) {
        self.address.tell(self.item.in_turn(turn)).await;
    }
}
