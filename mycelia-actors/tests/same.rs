//! A pause, an end and a restart look the same from everywhere.
//!
//! A [`Scene`] is one subsystem to which something happens. Whatever sees it is written down in [`Seen`], and must be what the documentation
//! says ([`Scene::expected`], in `scene/right.rs`), wherever it runs, by whichever handle it was sent to, and whatever it has beside its messages.
#![cfg(not(any(mycelia_loom, miri)))]

mod seen;

use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context as Task, Wake, Waker};

use futures_core::Stream as _;
use mycelia_actors::prelude::*;
use mycelia_actors::{Configure, SubsystemInfo};

use seen::right::{DEEDS, Deed, Manner, STAGES, Scene, Seen, Stage};
use seen::{
    Begun, Beside, Crash, Go, Handles, Hold, Idle, Node, PLACES, Parent, Ping, Place, VIAS, Via, Watch,
    Watcher, World, begun,
};

fn main_events(event: &Lifecycle) -> bool {
    !matches!(event.what, LifeEvent::MailboxFull | LifeEvent::MailboxRelieved { .. })
}

/// The look of the inspector.
fn look(info: Option<&SubsystemInfo>) -> String {
    info.map_or("gone".into(), |one| {
        let flags =
            [(one.has_started, "started"), (one.is_suspended, "suspended"), (one.is_stopping, "stopping")];
        let flags: Vec<_> = flags.iter().filter(|(is, _)| *is).map(|(_, text)| *text).collect();
        format!("{}; {}", flags.join(", "), one.stats)
    })
}

impl Scene {
    fn spawn(&self, configure: Configure<'_>, place: Place, world: &Arc<World>) -> Address<Node> {
        let mut configure = configure.mailbox(Mailbox::bounded(2));
        if place.own_thread {
            configure = configure.own_thread();
        }
        let world = Arc::clone(world);
        if self.factory {
            configure.spawn_with(move || Node(Arc::clone(&world))).unwrap()
        } else {
            configure.spawn(Node(world)).unwrap()
        }
    }

    /// The parent, if it has one, and the subsystem.
    async fn cast(
        self,
        runtime: &Runtime,
        place: Place,
        world: &Arc<World>,
    ) -> (Option<Address<Parent>>, Address<Node>) {
        if !self.by_parent() {
            return (None, self.spawn(runtime.configure("node"), place, world));
        }
        let (sender, child) = mpsc::channel();
        let world = Arc::clone(world);
        let spawns = Arc::new(Mutex::new(Some(sender)));
        let parent = move || {
            let (spawns, world) = (Arc::clone(&spawns), Arc::clone(&world));
            Parent(Box::new(move |cx: &Context<Parent>| {
                if let Some(sender) = spawns.lock().unwrap().take() {
                    sender.send(self.spawn(cx.configure("node"), place, &world)).unwrap();
                }
            }))
        };
        let mut configure = runtime.configure("parent");
        if place.own_thread {
            configure = configure.own_thread();
        }
        let parent = if self.deed == Deed::ParentRestarts {
            configure.spawn_with(parent).unwrap()
        } else {
            configure.spawn(parent()).unwrap()
        };
        parent.started().await.unwrap();
        (Some(parent), child.recv().unwrap())
    }

    /// Plays it, and says what everybody saw.
    async fn play(self, place: Place) -> Seen {
        let gate = if self.begins() { None } else { Some(Go::On) };
        let world = World::new(gate, self.beside);
        let runtime = Runtime::new();
        let inspector = runtime.inspector();
        let info = || inspector.survey().subsystems.into_iter().find(|one| one.name.to_string() == "node");
        let mut events = runtime.bus().subscribe::<Lifecycle>("lifecycle/node", 100).unwrap();
        let letters = runtime.dead_letters(100);
        let heard = Arc::new(Mutex::new(Vec::new()));
        let watcher = runtime.spawn("watcher", Watcher(Arc::clone(&heard))).unwrap();
        let sibling = runtime
            .configure("sibling")
            .restart(Restart::one_for_all())
            .spawn_with(|| Parent(Box::new(|_| ())))
            .unwrap();
        let (parent, node) = self.cast(&runtime, place, &world).await;
        let witness = runtime.spawn_with("witness", || Parent(Box::new(|_| ()))).unwrap();
        let handles = Handles::new(&runtime, &node, self.via);
        watcher.tell(Watch(node.clone())).unwrap();
        let mut seen = Seen::default();

        match self.stage {
            Stage::Fresh => {}
            Stage::Starting => world.arrival(1).await,
            Stage::Idle => node.started().await.unwrap(),
            Stage::Worked => drop(node.ask(Ping(0)).await.unwrap()),
            Stage::Busy => {
                node.tell(Hold).unwrap();
                world.arrival(2).await;
            }
            Stage::Suspended => {
                // With a message in hand, so that it takes no other one before it sees this.
                node.tell(Hold).unwrap();
                world.arrival(2).await;
                node.suspend();
                world.hold.send_replace(Some(Go::On));
                while node.stats().in_hand > 0 {
                    tokio::task::yield_now().await;
                }
            }
        }
        let (mut asked, mut sent): (Option<Begun<'_, _>>, Option<Begun<'_, _>>) = (None, None);
        if self.queued {
            seen.told = handles.tell(Ping(1));
            asked = Some(begun(handles.ask(Ping(2))));
        }
        if self.waiting {
            sent = Some(begun(handles.send(Ping(3))));
        }
        seen.name = match runtime.spawn("node", Idle) {
            Err(SpawnError::NameTaken(_)) => "taken; ".into(),
            other => format!("{other:?}; "),
        };

        let mut runtime = Some(runtime);
        let mut shutdown = None;
        let told_to_end = async || {
            while !info().is_none_or(|one| one.is_stopping) {
                tokio::task::yield_now().await;
            }
        };
        match self.deed {
            Deed::Stop => node.stop(),
            Deed::StopNow => node.stop_now(),
            Deed::Kill => node.kill(),
            Deed::Shutdown => {
                let runtime = runtime.clone().unwrap();
                shutdown = Some(begun(async move { runtime.shutdown().await }));
            }
            Deed::DropRuntime => drop(runtime.take()),
            Deed::ParentStops => parent.as_ref().unwrap().stop(),
            Deed::ParentStopsNow => parent.as_ref().unwrap().stop_now(),
            Deed::ParentIsKilled => parent.as_ref().unwrap().kill(),
            Deed::ParentFails | Deed::ParentRestarts => drop(parent.as_ref().unwrap().tell(Crash).unwrap()),
            Deed::Fails => {}
            Deed::Restart => node.restart(),
            Deed::SiblingFails => {
                sibling.ask(Crash).await.unwrap_err();
                // The later sibling is told after the node.
                while witness.stats().restarts == 0 {
                    tokio::task::yield_now().await;
                }
            }
            Deed::Suspend => node.suspend(),
        }
        if matches!(self.deed, Deed::ParentStopsNow | Deed::ParentFails | Deed::ParentRestarts) {
            told_to_end().await;
        }
        if self.looks_meanwhile() {
            seen.during = format!("{}; {}", handles.tell(Ping(8)), look(info().as_ref()));
        }
        let manner = self.manner();
        if manner != Manner::Killed {
            world.start.send_replace(Some(if self.begins() { self.go } else { Go::On }));
            world.hold.send_replace(Some(self.go));
        }
        if matches!(manner, Manner::Restarts | Manner::GoesOn) {
            if self.deed == Deed::Suspend {
                let has_come = || info().is_some_and(|one| one.is_suspended && one.has_started);
                while node.stats().in_hand > 0 || !has_come() {
                    tokio::task::yield_now().await;
                }
            }
            while manner == Manner::Restarts && node.stats().restarts == 0 {
                tokio::task::yield_now().await;
            }
            node.resume();
            let settled = || {
                let stats = node.stats();
                let restarts = u64::from(manner == Manner::Restarts);
                let starts =
                    world.lines.lock().unwrap().iter().filter(|line| *line == "started").count() as u64;
                let expected = self.expected().lines.iter().filter(|line| *line == "started").count() as u64;
                (stats.queued, stats.in_hand, stats.waiting, stats.restarts) == (0, 0, 0, restarts)
                    && starts == expected
            };
            while !settled() {
                tokio::task::yield_now().await;
            }
            if let Some(sent) = sent.take() {
                seen.sent = sent.await;
            }
            node.stop();
        }

        seen.ended = node.ended().await.to_string();
        seen.lines = std::mem::take(&mut *world.lines.lock().unwrap());
        seen.events = std::iter::from_fn(|| events.try_recv())
            .filter(|next| main_events(&next.event))
            .map(|next| next.event.to_string())
            .collect();
        seen.letters = std::iter::from_fn(|| letters.try_recv())
            .filter(|letter| *letter.subsystem() == *"node")
            .map(|letter| {
                let short = letter.message_type().rsplit("::").next().unwrap_or_default();
                format!("{short} {}", letter.reason())
            })
            .collect();
        if let Some(asked) = asked {
            seen.asked = asked.await;
        }
        if let Some(sent) = sent {
            seen.sent = sent.await;
        }
        seen.started = match node.started().await {
            Ok(()) => "yes".into(),
            Err(error) => error.exit.to_string(),
        };
        let stats = node.stats();
        assert_eq!(stats.accounted(), stats.sent, "{stats:?}");
        seen.stats = format!("{stats}; {} restarts", stats.restarts);
        let (told, sent, asked) =
            (handles.tell(Ping(9)), handles.send(Ping(9)).await, handles.ask(Ping(9)).await);
        seen.after = format!("{told}; {sent}; {asked}; {}", look(info().as_ref()));
        seen.name += &match runtime.as_ref().map(|runtime| runtime.spawn("node", Idle)) {
            Some(Ok(_)) => "free".into(),
            Some(Err(error)) => error.to_string(),
            None => SpawnError::ShutDown.to_string(),
        };
        if let Some(parent) = &parent
            && self.deed != Deed::ParentRestarts
        {
            parent.ended().await;
        }
        seen.failed_ends = inspector.survey().failed_ends;
        match shutdown {
            Some(shutdown) => shutdown.await.unwrap(),
            None => {
                if let Some(runtime) = runtime {
                    runtime.shutdown().await.unwrap();
                }
            }
        }
        if self.deed != Deed::DropRuntime {
            seen.heard = heard.lock().unwrap().clone();
            assert!(inspector.survey().subsystems.is_empty());
        }
        seen
    }
}

fn all(via: &[Via], beside: &[Beside]) -> Vec<Scene> {
    let mut all = Vec::new();
    let twice = [false, true];
    for deed in DEEDS {
        for stage in STAGES {
            for (queued, waiting) in [(false, false), (true, false), (true, true)] {
                for factory in twice {
                    for go in [Go::On, Go::Fail, Go::Panic] {
                        for &via in via {
                            for &beside in beside {
                                all.push(Scene { deed, stage, queued, waiting, factory, go, beside, via });
                            }
                        }
                    }
                }
            }
        }
    }
    all.retain(Scene::makes_sense);
    all
}

/// Plays all of them at these places; all that is not as expected is listed.
fn check(scenes: Vec<Scene>, places: &[Place]) {
    let mut wrong = Vec::new();
    for scene in &scenes {
        for &place in places {
            let own = *scene;
            let seen = place.play(scene, async move || own.play(place).await);
            let expected = scene.expected();
            if seen != expected {
                wrong.push(format!("{scene:?}\nat {place:?}\n{}", difference(&seen, &expected)));
            }
        }
    }
    let count = scenes.len() * places.len();
    let listed = &wrong[..wrong.len().min(20)];
    assert!(wrong.is_empty(), "{} of {count} are wrong:\n{}", wrong.len(), listed.join("\n"));
}

/// The fields that differ.
fn difference(seen: &Seen, expected: &Seen) -> String {
    let lines = |seen: &Seen| format!("{seen:#?}");
    if (&seen.lines, &seen.events) != (&expected.lines, &expected.events) {
        return format!("  seen  {seen:?}\n  right {expected:?}\n");
    }
    let (seen, expected) = (lines(seen), lines(expected));
    let only = |these: &str, others: &str| {
        let others: Vec<_> = others.lines().collect();
        these.lines().filter(|line| !others.contains(line)).collect::<Vec<_>>().join(" ")
    };
    format!("  seen  {}\n  right {}\n", only(&seen, &expected), only(&expected, &seen))
}

#[test]
fn in_every_place() {
    check(all(&[Via::Address], &[Beside::Nothing]), &PLACES);
}

#[test]
fn whatever_it_has_beside_its_messages() {
    let places = [PLACES[0], PLACES[5]];
    check(all(&[Via::Address], &[Beside::Stream, Beside::Child, Beside::Figures]), &places);
}

#[test]
fn by_every_handle() {
    check(all(&VIAS, &[Beside::Nothing]), &PLACES[..1]);
}

/// Blocks the thread that wakes it, until it is let go.
struct Slow {
    begun: mpsc::Sender<()>,
    go: Mutex<mpsc::Receiver<()>>,
}

impl Wake for Slow {
    fn wake(self: Arc<Self>) {
        self.begun.send(()).unwrap();
        self.go.lock().unwrap().recv().unwrap();
    }
}

/// It is out of the registry, and the subscriber that hears of its end first takes its time.
#[tokio::test]
async fn a_shutdown_waits_until_an_end_is_told_to_all() {
    let runtime = Runtime::new();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let watcher = runtime.spawn("watcher", Watcher(Arc::clone(&heard))).unwrap();
    let world = World::new(Some(Go::On), Beside::Nothing);
    let node = runtime.configure("node").own_thread().spawn(Node(world)).unwrap();
    node.started().await.unwrap();
    watcher.ask(Watch(node.clone())).await.unwrap();
    let mut events = runtime.bus().subscribe::<Lifecycle>("lifecycle/node", 10).unwrap();
    let (begun, has_begun) = mpsc::channel();
    let (go, may_go) = mpsc::channel();
    let slow = Waker::from(Arc::new(Slow { begun, go: Mutex::new(may_go) }));
    assert!(Pin::new(&mut events).poll_next(&mut Task::from_waker(&slow)).is_pending());
    node.stop();
    has_begun.recv().unwrap();

    let other = runtime.clone();
    let shutdown = tokio::spawn(async move { other.shutdown().await });
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert!(!shutdown.is_finished());
    go.send(()).unwrap();
    shutdown.await.unwrap().unwrap();
    assert!(matches!(node.exit(), Some(Exit::Stopped)));
    assert_eq!(*heard.lock().unwrap(), ["node stopped"]);
}
