//! Groups: who gets which message, and what happens when members end.
#![cfg(not(mycelia_loom))]

mod subsystems;

use std::collections::HashSet;

use mycelia_actors::prelude::*;
use mycelia_actors::{NoMembers, Refusal};
use subsystems::{Add, Gate, Gated, Total, accounted};

fn members(runtime: &Runtime, count: usize, capacity: usize) -> (Vec<Address<Gated>>, Vec<Gate>) {
    let spawn = |_| {
        let (gated, gate) = Gated::new();
        (runtime.configure_unnamed().mailbox(Mailbox::bounded(capacity)).spawn(gated).unwrap(), gate)
    };
    (0..count).map(spawn).unzip()
}

/// Members that handle what they are told at once.
fn open(runtime: &Runtime, count: usize) -> Vec<Address<Gated>> {
    let (members, gates) = members(runtime, count, 1000);
    gates.iter().for_each(Gate::open);
    members
}

/// What each member was told.
async fn totals(group: &Group<Gated>) -> Vec<Vec<u64>> {
    let mut totals = Vec::new();
    for member in group.members() {
        totals.push(member.ask(Total).await.unwrap());
        accounted(member);
    }
    totals
}

#[tokio::test]
async fn members_take_turns_and_clones_share_whose_turn_it_is() {
    let runtime = Runtime::new();
    let group = Group::new(open(&runtime, 3), Choice::RoundRobin).unwrap();
    let clone = group.clone();
    for n in 0..3 {
        group.tell(Add(2 * n)).unwrap();
        clone.tell(Add(2 * n + 1)).unwrap();
    }
    assert_eq!(totals(&group).await, [[0, 3], [1, 4], [2, 5]]);
    assert_eq!(
        format!("{group:?}"),
        "Group { members: [Address(Gated#0), Address(Gated#1), Address(Gated#2)], choice: RoundRobin, .. }"
    );
}

#[tokio::test]
async fn every_verb_goes_to_the_member_whose_turn_it_is() {
    let runtime = Runtime::new();
    let group = Group::new(open(&runtime, 2), Choice::RoundRobin).unwrap();
    assert_eq!(group.tell(Add(0)).unwrap(), Told::Queued);
    group.send(Add(1)).await.unwrap();
    assert_eq!(group.ask(Add(2)).await.unwrap(), 2);
    assert_eq!(group.try_ask(Add(3)).within(std::time::Duration::MAX).await.unwrap(), 2);
    assert_eq!(group.pick().tell_many([Add(4), Add(6)]).unwrap().queued, 2);
    assert_eq!(totals(&group).await, [vec![0, 2, 4, 6], vec![1, 3]]);
}

#[tokio::test]
async fn chance_reaches_every_member_about_as_often() {
    let runtime = Runtime::new();
    let group = Group::new(open(&runtime, 4), Choice::Random).unwrap();
    for n in 0..1000 {
        group.send(Add(n)).await.unwrap();
    }
    let counts: Vec<_> = totals(&group).await.iter().map(Vec::len).collect();
    assert!(counts.iter().all(|count| (200..300).contains(count)), "{counts:?}");
}

#[tokio::test]
async fn the_least_loaded_of_two_is_the_one_with_fewer_messages() {
    let runtime = Runtime::new();
    let (members, gates) = members(&runtime, 2, 100);
    gates[0].wait_until_busy(&members[0]).await;
    members[0].tell_many((0..4).map(Add)).unwrap();
    let group = Group::new(members.clone(), Choice::LeastLoaded).unwrap();
    // One in hand and four queued: as many as the other has after these.
    for n in 10..15 {
        group.tell(Add(n)).unwrap();
    }
    assert_eq!(members.iter().map(|member| member.stats().sent).collect::<Vec<_>>(), [5, 5]);
    gates.iter().for_each(Gate::open);
    assert_eq!(totals(&group).await, [vec![0, 1, 2, 3], vec![10, 11, 12, 13, 14]]);
}

#[tokio::test]
async fn senders_that_wait_for_room_are_load() {
    let runtime = Runtime::new();
    let (members, gates) = members(&runtime, 2, 1);
    for (member, gate) in members.iter().zip(&gates) {
        gate.wait_until_busy(member).await;
        member.tell(Add(0)).unwrap();
    }
    let group = Group::new(members, Choice::LeastLoaded).unwrap();
    let senders: Vec<_> = (1..=6)
        .map(|n| {
            let group = group.clone();
            tokio::spawn(async move { group.send(Add(n)).await })
        })
        .collect();
    let waiting = || group.members().iter().map(|member| member.stats().waiting).collect::<Vec<_>>();
    while waiting().iter().sum::<u64>() < 6 {
        tokio::task::yield_now().await;
    }
    assert_eq!(waiting(), [3, 3]);
    gates.iter().for_each(Gate::open);
    for sender in senders {
        sender.await.unwrap().unwrap();
    }
    assert_eq!(totals(&group).await.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4]);
}

#[tokio::test]
async fn members_that_end_are_passed_over_as_long_as_one_is_left() {
    for choice in [Choice::RoundRobin, Choice::Random, Choice::LeastLoaded] {
        let runtime = Runtime::new();
        let (members, gates) = members(&runtime, 3, 100);
        let group = Group::new(members.clone(), choice).unwrap();
        // This one is stopping, and has not ended.
        gates[0].wait_until_busy(&members[0]).await;
        members[0].stop();
        members[1].kill();
        members[1].ended().await;
        gates[2].open();
        for n in 0..20 {
            group.ask(Add(n)).await.unwrap();
        }
        assert_eq!(members[2].stats().handled, 20, "{choice:?}");
        members[2].stop();
        let error = group.tell(Add(20)).unwrap_err();
        assert_eq!((error.message, error.refusal), (Add(20), Refusal::Stopped));
        gates[0].open();
    }
}

#[tokio::test]
async fn a_key_keeps_its_member_even_when_that_has_ended() {
    let runtime = Runtime::new();
    let group = Group::new(open(&runtime, 4), Choice::RoundRobin).unwrap();
    for n in 0..100 {
        group.by_key(&(n % 10)).tell(Add(n)).unwrap();
    }
    let mut met = HashSet::new();
    for list in totals(&group).await {
        assert!(list.is_sorted(), "in order");
        let keys: HashSet<_> = list.iter().map(|n| n % 10).collect();
        assert_eq!(list.len(), 10 * keys.len());
        met.extend(keys);
    }
    assert_eq!(met.len(), 10, "each key with one member");
    let of_alice = group.by_key("alice").clone();
    assert_eq!(group.by_key(&String::from("alice")).name(), of_alice.name());
    of_alice.stop();
    let error = group.by_key("alice").tell(Add(7)).unwrap_err();
    assert_eq!((&error.subsystem, &error.refusal), (of_alice.name(), &Refusal::Stopped));
}

#[tokio::test]
async fn a_broadcast_says_for_each_member_what_happened() {
    let runtime = Runtime::new();
    let (members, gates) = members(&runtime, 3, 1);
    gates[0].wait_until_busy(&members[0]).await;
    members[0].tell(Add(1)).unwrap();
    members[1].kill();
    members[1].ended().await;
    let group = Group::new(members, Choice::Random).unwrap();
    let results = group.broadcast(Add(2)).into_iter().map(|result| result.map_err(|error| error.refusal));
    assert_eq!(
        results.collect::<Vec<_>>(),
        [Err(Refusal::Full { capacity: 1 }), Err(Refusal::Stopped), Ok(Told::Queued)]
    );
    gates.iter().for_each(Gate::open);
    assert_eq!(group.members()[2].ask(Total).await.unwrap(), [2]);
}

#[tokio::test]
async fn a_group_of_nobody_is_refused() {
    let error = Group::<Gated>::new([], Choice::Random).unwrap_err();
    assert_eq!((error, error.to_string().as_str()), (NoMembers, "a group needs at least one member"));
}

/// Passes what it is told on to a group, and says for each message whether it was taken.
struct Front(Group<Gated>);
impl Subsystem for Front {}

struct Pass(Gate, usize);
impl Handler<Pass> for Front {
    type Reply = Vec<bool>;
    async fn handle(&mut self, Pass(gate, count): Pass, _: &mut Context<Self>) -> Vec<bool> {
        gate.pass().await;
        (0..count).map(|_| self.0.tell(Add(1)).is_ok()).collect()
    }
}

#[tokio::test]
async fn in_a_drain_members_that_have_ended_are_passed_over_as_before() {
    for choice in [Choice::RoundRobin, Choice::Random, Choice::LeastLoaded] {
        let runtime = Runtime::new();
        let members = open(&runtime, 3);
        let group = Group::new(members.clone(), choice).unwrap();
        let front = runtime.spawn("front", Front(group)).unwrap();
        members[0].stop();
        members[0].ended().await;
        let gate = Gate::default();
        let asked = front.ask(Pass(gate.clone(), 10));
        let drains = async {
            while front.stats().in_hand == 0 {
                tokio::task::yield_now().await;
            }
            let drain = tokio::spawn({
                let runtime = runtime.clone();
                async move { runtime.shutdown().await }
            });
            while front.tell(Pass(gate.clone(), 0)).is_ok() {
                tokio::task::yield_now().await;
            }
            gate.open();
            drain.await.unwrap().unwrap();
        };
        let (taken, ()) = tokio::join!(asked, drains);
        assert_eq!(taken.unwrap(), [true; 10], "{choice:?}");
    }
}
