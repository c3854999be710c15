//! A mailbox that becomes full, and one that has come back below half, are lifecycle events. (First rung.)
#![cfg(not(mycelia_loom))]

use std::sync::Arc;
use std::time::Duration;

use mycelia_actors::prelude::*;
use tokio::sync::Semaphore;
use tokio::task::yield_now;
use tokio::time::advance;

const SECOND: Duration = Duration::from_secs(1);

/// Handles one message for each permit.
struct Turnstile(Arc<Semaphore>);
impl Subsystem for Turnstile {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<u64>("jobs");
    }
}
impl Handler<u64> for Turnstile {
    type Reply = ();
    async fn handle(&mut self, _: u64, _: &mut Context<Self>) {
        self.0.acquire().await.unwrap().forget();
    }
}

struct Scene {
    runtime: Runtime,
    lives: Subscription<Lifecycle>,
    address: Address<Turnstile>,
    permits: Arc<Semaphore>,
}

/// A mailbox of four behind a turnstile, which has one message in hand.
async fn scene(overflow: OverflowPolicy) -> Scene {
    let runtime = Runtime::new();
    let permits = Arc::new(Semaphore::new(0));
    let mailbox = Mailbox::bounded(4).overflow(overflow);
    let turnstile = Turnstile(Arc::clone(&permits));
    let address = runtime.configure("turnstile").mailbox(mailbox).budget(1).spawn(turnstile).unwrap();
    let lives = runtime.bus().subscribe::<Lifecycle>("lifecycle/turnstile", 1000).unwrap();
    address.tell(0).unwrap();
    let mut scene = Scene { runtime, lives, address, permits };
    scene.until(|stats| stats.in_hand == 1).await;
    assert_eq!(scene.told(), ["`turnstile` started"]);
    scene
}

impl Scene {
    /// Lets the subsystem run until this holds.
    async fn until(&self, holds: impl Fn(&mycelia_actors::Stats) -> bool) {
        while !holds(&self.address.stats()) {
            yield_now().await;
        }
    }

    /// Four more messages.
    fn fill(&self) {
        (1..=4).for_each(|n| assert_eq!(self.address.tell(n).unwrap(), Told::Queued));
    }

    /// Handles all that there is, and takes another message in hand.
    async fn drain(&self) {
        self.address.tell(9).ok();
        let left = self.address.stats().queued;
        self.permits.add_permits(left as usize);
        self.until(|stats| stats.queued == 0).await;
    }

    /// The events so far, as texts.
    fn told(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.lives.try_recv()).map(|next| next.event.to_string()).collect()
    }
}

const FULL: &str = "the mailbox of `turnstile` is full";

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_is_told_of_and_when_it_is_below_half_how_long_and_how_many() {
    let mut scene = scene(OverflowPolicy::Error).await;
    scene.fill();
    assert!(scene.told().is_empty(), "nobody has found it full");
    for _ in 0..3 {
        assert!(matches!(scene.address.tell(5).unwrap_err().refusal, Refusal::Full { capacity: 4 }));
    }
    assert_eq!(scene.told(), [FULL]);
    advance(3 * SECOND).await;
    scene.permits.add_permits(2);
    scene.until(|stats| stats.queued == 2).await;
    assert!(scene.told().is_empty(), "half is not below half");
    scene.permits.add_permits(1);
    scene.until(|stats| stats.queued == 1).await;
    assert_eq!(scene.told(), ["the mailbox of `turnstile` was full for 3.0s, 3 messages refused"]);
    scene.permits.add_permits(2);
    scene.until(|stats| stats.in_hand == 0).await;
    assert!(scene.told().is_empty());
}

#[tokio::test(start_paused = true)]
async fn however_it_is_found_full() {
    type Find = fn(&Scene);
    let ways: [(&str, OverflowPolicy, u64, Find); 9] = [
        ("tell", OverflowPolicy::Error, 1, |scene| assert!(scene.address.tell(5).is_err())),
        ("evicting", OverflowPolicy::DropOldest, 1, |scene| assert!(scene.address.tell(5).is_ok())),
        ("discarding", OverflowPolicy::DropNewest, 1, |scene| assert!(scene.address.tell(5).is_ok())),
        ("tell_many", OverflowPolicy::Error, 3, |scene| assert!(scene.address.tell_many(0..3).is_err())),
        ("evicting many", OverflowPolicy::DropOldest, 3, |scene| {
            assert!(scene.address.tell_many(0..3).is_ok())
        }),
        ("discarding many", OverflowPolicy::DropNewest, 3, |scene| drop(scene.address.tell_many(0..3))),
        ("by path", OverflowPolicy::Error, 1, |scene| {
            assert!(scene.runtime.tell("turnstile://jobs", 5_u64).is_err())
        }),
        ("send", OverflowPolicy::DropNewest, 0, |scene| {
            let address = scene.address.clone();
            tokio::spawn(async move { address.send(5).await.unwrap() });
        }),
        ("ask", OverflowPolicy::Error, 0, |scene| {
            let address = scene.address.clone();
            tokio::spawn(async move { drop(address.ask(5).await) });
        }),
    ];
    for (way, overflow, refused, find) in ways {
        let mut scene = scene(overflow).await;
        scene.fill();
        find(&scene);
        yield_now().await;
        assert_eq!(scene.told(), [FULL], "{way}");
        scene.permits.add_permits(100);
        scene.until(|stats| stats.queued + stats.waiting == 0).await;
        let relieved = format!("the mailbox of `turnstile` was full for 0.0ns, {refused} messages refused");
        assert_eq!(scene.told(), [relieved], "{way}");
    }
}

#[tokio::test(start_paused = true)]
async fn there_is_a_pair_a_second_at_most_and_nothing_is_left_out_of_the_sums() {
    let mut scene = scene(OverflowPolicy::Error).await;
    for round in 0..19 {
        scene.fill();
        assert!(scene.address.tell(5).is_err());
        advance(SECOND / 20).await;
        let told = scene.told();
        assert_eq!(told.len(), usize::from(round == 0), "{round}: {told:?}");
        scene.drain().await;
        let told = scene.told();
        assert_eq!(told.len(), usize::from(round == 0), "{round}: {told:?}");
    }
    // A second after the first.
    advance(SECOND / 20).await;
    assert!(scene.told().is_empty());
    scene.fill();
    assert!(scene.address.tell(5).is_err());
    assert_eq!(scene.told(), [FULL]);
    scene.drain().await;
    let refused = scene.address.stats().returned;
    let [relieved] = &scene.told()[..] else { panic!() };
    assert_eq!(
        *relieved,
        format!("the mailbox of `turnstile` was full for 900.0ms, {} messages refused", refused - 2)
    );
}

#[tokio::test(start_paused = true)]
async fn one_that_gets_stuck_within_the_second_is_told_of_when_it_is_over() {
    let mut scene = scene(OverflowPolicy::Error).await;
    scene.fill();
    assert!(scene.address.tell(5).is_err());
    scene.drain().await;
    assert_eq!(scene.told().len(), 2);
    advance(SECOND / 2).await;
    scene.fill();
    let address = scene.address.clone();
    let sender = tokio::spawn(async move { address.send(5).await });
    yield_now().await;
    assert!(scene.told().is_empty());
    let began = tokio::time::Instant::now();
    let next = scene.lives.recv().await.unwrap();
    assert!(matches!(next.event.what, LifeEvent::MailboxFull));
    assert_eq!(began.elapsed(), SECOND / 2);
    sender.abort();
}

#[tokio::test(start_paused = true)]
async fn who_subscribes_to_a_full_one_hears_of_it_with_the_next_refusal() {
    let scene = scene(OverflowPolicy::Error).await;
    let Scene { runtime, lives, address, .. } = scene;
    drop(lives);
    while address.tell(1).is_ok() {}
    let lives = runtime.bus().subscribe::<Lifecycle>("lifecycle/{name}", 10).unwrap();
    assert!(lives.is_empty());
    assert!(address.tell(1).is_err());
    assert_eq!(lives.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_alternate_whoever_tells_them() {
    let runtime = Runtime::new();
    let permits = Arc::new(Semaphore::new(1_000_000));
    let mailbox = Mailbox::bounded(2).overflow(OverflowPolicy::DropNewest);
    let address = runtime.configure("turnstile").mailbox(mailbox).spawn(Turnstile(permits)).unwrap();
    let mut lives = runtime.bus().subscribe::<Lifecycle>("lifecycle/turnstile", 1000).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (0..100_000).for_each(|n| drop(address.tell(n))));
        }
    });
    address.ask(0).await.unwrap();
    runtime.shutdown().await.unwrap();
    let mut is_full = false;
    let mut refused = 0;
    while let Some(next) = lives.recv().await {
        match next.event.what {
            LifeEvent::MailboxFull => assert!(!std::mem::replace(&mut is_full, true)),
            LifeEvent::MailboxRelieved { refused: more, .. } => {
                assert!(std::mem::replace(&mut is_full, false));
                refused += more;
            }
            _ => {}
        }
    }
    assert!(!is_full, "it was relieved");
    assert!(refused <= address.stats().discarded);
}
