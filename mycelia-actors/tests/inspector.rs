//! A look at all of a runtime, and samples of its messages.
#![cfg(not(mycelia_loom))]

mod subsystems;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mycelia_actors::prelude::*;
use mycelia_actors::{AlreadyObserved, AskStats, Observer, Sample};
use subsystems::accounted;

const SECOND: Duration = Duration::from_secs(1);

/// Spawns a child when it starts.
#[derive(Default)]
struct Parent;
struct Child;

impl Subsystem for Parent {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Work>("jobs/{millis}");
    }

    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        cx.configure("child").spawn(Child)?;
        Ok(())
    }
}
impl Subsystem for Child {}
impl Handler<Nothing> for Child {
    type Reply = ();
    async fn handle(&mut self, _: Nothing, _: &mut Context<Self>) {}
}

/// Takes this long.
#[derive(serde::Serialize, serde::Deserialize)]
struct Work {
    millis: u64,
}
impl Handler<Work> for Parent {
    type Reply = ();
    async fn handle(&mut self, Work { millis }: Work, _: &mut Context<Self>) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}

struct Panic;
impl Handler<Panic> for Parent {
    type Reply = ();
    async fn handle(&mut self, _: Panic, _: &mut Context<Self>) {
        panic!("on purpose");
    }
}

struct Nothing;
impl Handler<Nothing> for Parent {
    type Reply = ();
    async fn handle(&mut self, _: Nothing, _: &mut Context<Self>) {}
}

struct Later(ReplyTo<u8>, bool);
impl Handler<Later> for Parent {
    type Reply = ();
    async fn handle(&mut self, Later(reply_to, replies): Later, _: &mut Context<Self>) {
        if replies {
            reply_to.reply(7);
        }
    }
}

/// Writes down what it hears.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<Note>>>);

#[derive(Clone, Debug, PartialEq)]
struct Note {
    subsystem: String,
    pattern: Option<&'static str>,
    waited: Duration,
    took: Duration,
    stands_for: u64,
}

impl Observer for Notes {
    fn sampled(&self, sample: &Sample<'_>) {
        assert!(sample.message_type.starts_with("inspector::"));
        self.0.lock().unwrap().push(Note {
            subsystem: sample.subsystem.to_string(),
            pattern: sample.pattern,
            waited: sample.waited,
            took: sample.took,
            stands_for: sample.stands_for,
        });
    }
}

impl Notes {
    fn take(&self) -> Vec<Note> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[tokio::test]
async fn all_that_have_not_ended_are_listed_with_their_parents() {
    let runtime = Runtime::new();
    let parent = runtime.spawn("parent", Parent).unwrap();
    parent.started().await.unwrap();
    let unnamed = runtime.spawn_unnamed(Child).unwrap();
    unnamed.suspend();
    let all = runtime.inspector().survey().subsystems;
    let found: Vec<_> = all
        .iter()
        .map(|one| (one.name.to_string(), one.parent.is_some(), one.is_suspended, one.is_stopping))
        .collect();
    let expected = [
        ("parent".to_owned(), false, false, false),
        ("child".to_owned(), true, false, false),
        ("Child#2".to_owned(), false, true, false),
    ];
    assert_eq!(found, expected);
    assert_eq!(all[1].parent, Some(all[0].id));
    assert!(all[0].has_started && !all[2].has_started);
    parent.ask(Work { millis: 0 }).await.unwrap();
    assert_eq!(runtime.inspector().survey().subsystems[0].stats, parent.stats());
}

#[tokio::test]
async fn what_has_ended_is_added_up_and_the_inspector_keeps_nothing_running() {
    let runtime = Runtime::new();
    let inspector = runtime.inspector();
    for _ in 0..3 {
        let parent = runtime.spawn("parent", Parent).unwrap();
        parent.ask(Work { millis: 0 }).await.unwrap();
        parent.stop();
        parent.ended().await;
        assert!(parent.tell(Panic).is_err());
    }
    let survey = inspector.survey();
    let (ended, asks) = (survey.ended, survey.ended_asks);
    assert_eq!((survey.total(), survey.total_asks()), (ended, asks));
    assert_eq!((ended.sent, ended.handled, ended.capacity), (3, 3, 0));
    assert_eq!(asks, AskStats::default(), "nobody observes it");
    let parent = runtime.spawn("parent", Parent).unwrap();
    drop(runtime);
    parent.ended().await;
    assert!(inspector.survey().subsystems.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_quiet_subsystem_has_every_message_timed() {
    let runtime = Runtime::new();
    let notes = Notes::default();
    runtime.inspector().observe(notes.clone()).unwrap();
    assert_eq!(runtime.inspector().observe(notes.clone()), Err(AlreadyObserved));
    let parent = runtime.spawn("parent", Parent).unwrap();
    parent.started().await.unwrap();
    for _ in 0..3 {
        parent.ask(Work { millis: 10 }).await.unwrap();
        tokio::time::sleep(SECOND).await;
    }
    runtime.ask::<(), _>("parent://jobs/20", ()).await.unwrap();
    assert!(parent.ask(Panic).await.is_err());
    let ms = Duration::from_millis;
    let note = |pattern, took| Note {
        subsystem: "parent".to_owned(),
        pattern,
        waited: Duration::ZERO,
        took: ms(took),
        stands_for: 1,
    };
    let timed =
        [note(None, 10), note(None, 10), note(None, 10), note(Some("jobs/{millis}"), 20), note(None, 0)];
    assert_eq!(notes.take(), timed);
}

#[tokio::test(start_paused = true)]
async fn a_sample_stands_for_those_between() {
    let runtime = Runtime::new();
    let notes = Notes::default();
    let parent = runtime.spawn("parent", Parent).unwrap();
    for _ in 0..100 {
        parent.ask(Nothing).await.unwrap();
    }
    // What was before is nobody's affair.
    runtime.inspector().observe(notes.clone()).unwrap();
    parent.ask(Nothing).await.unwrap();
    // That one is timed; of this batch the first; then another message.
    parent.tell_many((0..10).map(|_| Work { millis: 5 })).unwrap();
    tokio::time::sleep(SECOND).await;
    parent.ask(Work { millis: 5 }).await.unwrap();
    let notes = notes.take();
    let stood_for: u64 = notes.iter().map(|note| note.stands_for).sum();
    assert_eq!((notes.len(), stood_for), (3, 12));
    assert_eq!(notes[0].waited, Duration::ZERO);
    accounted(&parent);
}

#[tokio::test(start_paused = true)]
async fn what_waits_in_the_mailbox_is_timed_from_when_it_was_sent() {
    let runtime = Runtime::new();
    let notes = Notes::default();
    runtime.inspector().observe(notes.clone()).unwrap();
    let parent = runtime.configure("parent").budget(1).spawn(Parent).unwrap();
    parent.started().await.unwrap();
    parent.tell_many([1, 300].map(|millis| Work { millis })).unwrap();
    tokio::time::sleep(Duration::from_millis(101)).await;
    assert_eq!(parent.stats().handled, 1);
    parent.ask(Work { millis: 2 }).await.unwrap();
    let times: Vec<_> = notes
        .take()
        .iter()
        .map(|note| (note.waited.as_millis(), note.took.as_millis(), note.stands_for))
        .collect();
    assert_eq!(times, [(0, 1, 1), (200, 2, 2)]);
}

#[tokio::test(start_paused = true)]
async fn where_the_oldest_are_pushed_out_those_that_are_not_are_timed() {
    let runtime = Runtime::new();
    let notes = Notes::default();
    runtime.inspector().observe(notes.clone()).unwrap();
    let mailbox = Mailbox::bounded(4).overflow(OverflowPolicy::DropOldest);
    let parent = runtime.configure("parent").mailbox(mailbox).spawn(Parent).unwrap();
    parent.started().await.unwrap();
    // Three times as many as it can handle.
    for _ in 0..300 {
        parent.tell(Work { millis: 3 }).unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let notes = notes.take();
    assert!(notes.len() > 10, "{notes:?}");
    assert!(notes[5..].iter().any(|note| note.waited > Duration::ZERO), "{notes:?}");
}

#[tokio::test]
async fn a_busy_subsystem_is_sampled_now_and_then_and_nothing_is_forgotten() {
    let runtime = Runtime::new();
    let notes = Notes::default();
    runtime.inspector().observe(notes.clone()).unwrap();
    let parent = runtime.spawn("parent", Parent).unwrap();
    for _ in 0..200_000 {
        parent.send(Nothing).await.unwrap();
    }
    while parent.stats().queued + parent.stats().in_hand > 0 {
        tokio::task::yield_now().await;
    }
    let notes = notes.take();
    let stood_for: u64 = notes.iter().map(|note| note.stands_for).sum();
    assert!(notes.len() > 5 && notes.len() < 200_000, "{}", notes.len());
    // All but those after the last sample.
    assert!(stood_for <= 200_000 && stood_for > 100_000, "{stood_for}");
}

#[tokio::test]
async fn an_observer_that_panics_is_contained() {
    struct Panics;
    impl Observer for Panics {
        fn sampled(&self, _: &Sample<'_>) {
            panic!("on purpose");
        }
    }
    let runtime = Runtime::new();
    runtime.inspector().observe(Panics).unwrap();
    let parent = runtime.spawn("parent", Parent).unwrap();
    for _ in 0..3 {
        parent.ask(Work { millis: 0 }).await.unwrap();
    }
    assert!(parent.exit().is_none());
}

#[tokio::test]
async fn ends_of_asks_are_counted() {
    let runtime = Runtime::new();
    runtime.inspector().observe(Notes::default()).unwrap();
    let mailbox = Mailbox::bounded(1).overflow(OverflowPolicy::DropOldest);
    let parent = runtime.configure("parent").mailbox(mailbox).budget(1).spawn_with(Parent::default).unwrap();
    parent.started().await.unwrap();
    let work = |millis| Work { millis };
    parent.ask(work(0)).await.unwrap();
    assert!(parent.ask(Panic).await.is_err());
    assert_eq!(parent.ask_with(|reply_to| Later(reply_to, true)).await.unwrap(), 7);
    assert!(parent.ask_with(|reply_to| Later(reply_to, false)).await.is_err());
    assert!(parent.ask(work(30)).within(Duration::from_millis(1)).await.is_err());
    while parent.stats().in_hand > 0 {
        tokio::task::yield_now().await;
    }
    // In hand one whose asker goes away, in the mailbox one that is pushed out by one that is not delivered.
    let asking = |millis| {
        let parent = parent.clone();
        tokio::spawn(async move { parent.ask(work(millis)).await.is_ok() })
    };
    let in_hand = asking(60_000);
    while parent.stats().in_hand == 0 {
        tokio::task::yield_now().await;
    }
    in_hand.abort();
    let evicted = asking(0);
    while parent.stats().queued == 0 {
        tokio::task::yield_now().await;
    }
    let undelivered = tokio::spawn({
        let parent = parent.clone();
        async move { parent.try_ask(work(0)).await.is_ok() }
    });
    assert!(!evicted.await.unwrap());
    parent.kill();
    assert!(!undelivered.await.unwrap() && in_hand.await.is_err());
    parent.ended().await;
    assert!(parent.ask(work(0)).await.is_err());
    let asks = runtime.inspector().survey().total_asks();
    let expected = AskStats {
        replied: 2,
        panicked: 1,
        unanswered: 1,
        deadline: 1,
        cancelled: 1,
        evicted: 1,
        undelivered: 1,
        refused: 1,
        ..AskStats::default()
    };
    assert_eq!(asks, expected);
}

#[tokio::test(start_paused = true)]
async fn the_only_message_of_a_short_life_is_timed() {
    let runtime = Runtime::new();
    let notes = Notes::default();
    runtime.inspector().observe(notes.clone()).unwrap();
    for _ in 0..10 {
        runtime.spawn_unnamed(Child).unwrap().ask(Nothing).await.unwrap();
    }
    assert_eq!(notes.take().len(), 10);
}

/// Takes ten milliseconds for all of a batch.
struct Bulk;
impl Subsystem for Bulk {}
impl Handler<Nothing> for Bulk {
    type Reply = ();
    const BATCH: usize = 50;
    async fn handle(&mut self, _: Nothing, _: &mut Context<Self>) {}
    async fn handle_batch(&mut self, batch: Vec<Nothing>, _: &mut Context<Self>) -> Vec<()> {
        tokio::time::sleep(Duration::from_millis(10)).await;
        batch.iter().map(|_| ()).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_of_a_batch_takes_its_share_of_the_time() {
    let runtime = Runtime::new();
    let notes = Notes::default();
    runtime.inspector().observe(notes.clone()).unwrap();
    let bulk = runtime.spawn("bulk", Bulk).unwrap();
    bulk.tell_many((0..20).map(|_| Nothing)).unwrap();
    tokio::time::sleep(SECOND).await;
    let notes = notes.take();
    assert_eq!((notes.len(), notes[0].took, notes[0].stands_for), (1, Duration::from_micros(500), 20));
}

#[tokio::test(start_paused = true)]
async fn asks_that_never_got_in_are_counted_too() {
    let pool = MessagePool::capacity(3).fail_when_exhausted();
    let runtime = Runtime::builder().messages(pool).build();
    runtime.inspector().observe(Notes::default()).unwrap();
    let parent = runtime.configure("parent").mailbox(Mailbox::bounded(1)).budget(1).spawn(Parent).unwrap();
    parent.started().await.unwrap();
    parent.tell(Work { millis: 1000 }).unwrap();
    while parent.stats().in_hand == 0 {
        tokio::task::yield_now().await;
    }
    parent.tell(Work { millis: 0 }).unwrap();
    let within = Duration::from_millis(20);
    assert!(parent.ask(Nothing).within(within).await.is_err(), "it waits for room until its deadline");
    let held = runtime.spawn("other", Parent).unwrap();
    held.suspend();
    while held.tell(Nothing).is_ok() {}
    assert!(parent.ask(Nothing).await.is_err(), "there is no slot");
    let survey = runtime.inspector().survey();
    let asks = survey.subsystems.iter().find(|one| one.name.to_string() == "parent").unwrap().asks;
    assert_eq!((asks.deadline, asks.refused), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_total_ever_falls() {
    let runtime = Runtime::new();
    runtime.inspector().observe(Notes::default()).unwrap();
    let inspector = runtime.inspector();
    let lives = tokio::spawn(async move {
        for _ in 0..2000 {
            let child = runtime.spawn_unnamed(Child).unwrap();
            child.ask(Nothing).await.unwrap();
            child.stop();
            // Too late, or not.
            let _ = child.tell(Nothing);
        }
    });
    let mut before = (0, 0, 0);
    while !lives.is_finished() {
        let survey = inspector.survey();
        let total = survey.total();
        let now = (total.sent, total.handled, survey.total_asks().replied);
        assert!(now.0 >= before.0 && now.1 >= before.1 && now.2 >= before.2, "{before:?}, {now:?}");
        before = now;
        tokio::task::yield_now().await;
    }
    lives.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn it_is_known_when_a_runtime_begins_to_shut_down_or_is_dropped() {
    let is_ready = async |inspector: &mycelia_actors::Inspector| {
        tokio::time::timeout(Duration::ZERO, inspector.closing()).await.is_ok()
    };
    for drops in [false, true] {
        let runtime = Runtime::new();
        let inspector = runtime.inspector();
        let parent = runtime.spawn("parent", Parent).unwrap();
        parent.started().await.unwrap();
        parent.tell(Work { millis: 1000 }).unwrap();
        assert!(!is_ready(&inspector).await && !inspector.is_closing(), "a dropped one leaves no trace");
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let inspector = inspector.clone();
                tokio::spawn(async move { inspector.closing().await })
            })
            .collect();
        tokio::task::yield_now().await;
        let shutdown = tokio::spawn(async move {
            if !drops {
                runtime.shutdown().await.unwrap();
            }
        });
        for one in waiting {
            one.await.unwrap();
        }
        assert!(drops || !inspector.survey().subsystems.is_empty(), "it begins, and has not ended");
        assert!(is_ready(&inspector).await && inspector.is_closing());
        shutdown.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn how_long_a_message_has_been_in_hand_is_known_to_the_moment() {
    let runtime = Runtime::new();
    let inspector = runtime.inspector();
    inspector.observe(Nowhere).unwrap();
    let address = runtime.spawn("parent", Parent).unwrap();
    let in_hand_for = || inspector.survey().subsystems[0].in_hand_for;
    for millis in [3000, 5000] {
        assert_eq!(in_hand_for(), None);
        address.tell(Work { millis }).unwrap();
        while address.stats().in_hand == 0 {
            tokio::task::yield_now().await;
        }
        tokio::time::advance(SECOND).await;
        assert_eq!(in_hand_for(), Some(SECOND));
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
    assert_eq!(in_hand_for(), None);
}

struct Nowhere;
impl Observer for Nowhere {
    fn sampled(&self, _: &Sample<'_>) {}
}
