//! What the runtime itself publishes on the bus: lives of subsystems, and dead letters.
#![cfg(not(mycelia_loom))]

mod subsystems;

use mycelia_actors::prelude::*;
use subsystems::{Add, Gated};

/// Panics at every message. With a parameter, which stands in no topic.
struct Fragile<T>(T);
impl<T: Send + 'static> Subsystem for Fragile<T> {}
impl<T: Send + 'static> Handler<Add> for Fragile<T> {
    type Reply = ();
    async fn handle(&mut self, _: Add, _: &mut Context<Self>) {
        panic!("on purpose");
    }
}

/// The rest of them, as texts.
async fn lines(mut lives: Subscription<Lifecycle>) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(next) = lives.recv().await {
        lines.push(next.event.to_string());
    }
    lines
}

#[tokio::test]
async fn a_life_is_told_from_the_spawn_to_the_end() {
    let runtime = Runtime::new();
    let lives = runtime.bus().subscribe::<Lifecycle>("lifecycle/fragile", 100).unwrap();
    let restart = Restart::one_for_one().at_most(1, std::time::Duration::from_secs(3600));
    let fragile = runtime.configure("fragile").restart(restart).spawn_with(|| Fragile(())).unwrap();
    runtime.spawn("other", Fragile(())).unwrap();
    assert!(matches!(fragile.ask(Add(1)).await.unwrap_err().failure, AskFailure::Panicked));
    assert!(matches!(fragile.ask(Add(2)).await.unwrap_err().failure, AskFailure::Panicked));
    fragile.ended().await;
    assert_eq!(lives.len(), 5, "who has seen the end finds it told");
    runtime.shutdown().await.unwrap();
    assert_eq!(
        lines(lives).await,
        [
            "`fragile` spawned",
            "`fragile` started",
            "`fragile` restarted",
            "`fragile` started",
            "`fragile` ended: panicked: on purpose"
        ]
    );
}

#[tokio::test]
async fn who_hears_of_an_end_may_use_the_name_again() {
    let runtime = Runtime::new();
    let mut lives = runtime.bus().subscribe::<Lifecycle>("lifecycle/fragile", 100).unwrap();
    let fragile = runtime.spawn("fragile", Fragile(())).unwrap();
    fragile.kill();
    while !matches!(lives.recv().await.unwrap().event.what, LifeEvent::Ended(Exit::Killed)) {}
    runtime.spawn("fragile", Fragile(())).unwrap();
}

#[tokio::test]
async fn a_subsystem_without_a_name_stands_in_topics_as_its_type_and_number() {
    let runtime = Runtime::new();
    let mut lives = runtime.bus().subscribe::<Lifecycle>("lifecycle/Fragile#{number}", 100).unwrap();
    let (gated, _gate) = Gated::new();
    runtime.spawn_unnamed(gated).unwrap();
    let fragile = runtime.spawn_unnamed(Fragile(vec!["a/b"])).unwrap();
    let spawned = lives.recv().await.unwrap();
    assert_eq!((&*spawned.topic, spawned.param("number")), ("lifecycle/Fragile#1", Some("1")));
    assert_eq!(&spawned.event.subsystem, fragile.name());
    assert_eq!(fragile.name().to_segment(), "Fragile#1");
    assert_eq!(fragile.name().to_string(), "Fragile<alloc::vec::Vec<&str>>#1");
}

#[tokio::test]
async fn dead_letters_are_published_with_their_messages() {
    let runtime = Runtime::new();
    let bus = runtime.bus();
    let mut letters = bus.subscribe::<DeadLetter>("dead_letters/{subsystem}", 100).unwrap();
    let of_others = bus.subscribe::<DeadLetter>("dead_letters/other", 100).unwrap();
    let (gated, gate) = Gated::new();
    let mailbox = Mailbox::bounded(1).overflow(OverflowPolicy::DropNewest);
    let address = runtime.configure("gated").mailbox(mailbox).spawn(gated).unwrap();
    gate.wait_until_busy(&address).await;
    address.tell(Add(1)).unwrap();
    address.tell(Add(2)).unwrap();
    address.kill();
    let mut next = async || {
        let letter = letters.recv().await.unwrap();
        (letter.param("subsystem").unwrap().to_owned(), letter.event.reason(), letter.event.take_message())
    };
    assert_eq!(next().await, ("gated".to_owned(), Reason::Discarded, Some(Add(2))));
    assert_eq!(next().await, ("gated".to_owned(), Reason::Failed, None));
    assert_eq!(next().await, ("gated".to_owned(), Reason::Undelivered, Some(Add(1))));
    assert!(of_others.is_empty());
}

#[tokio::test]
async fn a_subscription_keeps_no_runtime_alive() {
    let runtime = Runtime::new();
    let lives = runtime.bus().subscribe::<Lifecycle>("lifecycle/{name}", 100).unwrap();
    let letters = runtime.bus().subscribe::<DeadLetter>("dead_letters/{name}", 100).unwrap();
    let (gated, _gate) = Gated::new();
    let address = runtime.spawn("gated", gated).unwrap();
    drop((runtime, address));
    assert_eq!(lines(lives).await, ["`gated` spawned", "`gated` ended: killed"]);
    assert!(letters.is_empty());
}
