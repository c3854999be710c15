//! One subsystem, what happens to it, and what each of those who look at it sees.
#![allow(dead_code, reason = "some of it is read by `Debug` only")]

pub(crate) mod right;

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context as Task, Poll, Waker};
use std::thread;
use std::time::Duration;

use mycelia_actors::Paths;
use mycelia_actors::prelude::*;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// The tokio that a scene runs on, and whether its subsystems have threads of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) tokio: Tokio,
    pub(crate) own_thread: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tokio {
    Paused,
    Current,
    Multi,
}

pub(crate) const PLACES: [Place; 6] = {
    const fn at(tokio: Tokio, own_thread: bool) -> Place {
        Place { tokio, own_thread }
    }
    use Tokio::{Current, Multi, Paused};
    [
        at(Paused, false),
        at(Current, false),
        at(Multi, false),
        at(Paused, true),
        at(Current, true),
        at(Multi, true),
    ]
};

impl Place {
    fn tokio(self) -> tokio::runtime::Runtime {
        let mut builder = match self.tokio {
            Tokio::Multi => tokio::runtime::Builder::new_multi_thread(),
            Tokio::Paused | Tokio::Current => tokio::runtime::Builder::new_current_thread(),
        };
        if self.tokio == Tokio::Paused {
            builder.start_paused(true);
        }
        builder.worker_threads(2).enable_time().build().unwrap()
    }

    /// Plays a scene here. One that hangs is a failure. (The limit is real time, for the scene's own clock may be paused.)
    pub(crate) fn play<T: Send + 'static>(
        self,
        what: &impl Debug,
        scene: impl AsyncFnOnce() -> T + Send + 'static,
    ) -> T {
        let (done, outcome) = mpsc::channel();
        let stage = thread::spawn(move || {
            let seen = self.tokio().block_on(scene());
            done.send(seen).unwrap();
        });
        let seen = match outcome.recv_timeout(Duration::from_secs(60)) {
            Ok(seen) => seen,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what:?} hangs at {self:?}"),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                std::panic::resume_unwind(stage.join().expect_err("it has sent nothing"))
            }
        };
        stage.join().unwrap();
        seen
    }
}

/// What a hook or handler at a gate does when it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Go {
    On,
    Fail,
    Panic,
}

/// Whom a scene shares its lines and gates with.
pub(crate) struct World {
    pub(crate) lines: Mutex<Vec<String>>,
    /// How many have come to a gate.
    pub(crate) arrived: watch::Sender<u32>,
    /// Of the first `started`.
    pub(crate) start: watch::Sender<Option<Go>>,
    /// Of the messages `Hold`.
    pub(crate) hold: watch::Sender<Option<Go>>,
    pub(crate) starts: Mutex<u32>,
    pub(crate) beside: Beside,
}

/// What a subsystem has beside its messages, which must make no difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beside {
    Nothing,
    /// A stream without items.
    Stream,
    /// An idle child.
    Child,
    /// Metrics of its own, which are in the box for rare things.
    Figures,
}

impl World {
    pub(crate) fn new(start: Option<Go>, beside: Beside) -> Arc<Self> {
        Arc::new(Self {
            lines: Mutex::default(),
            arrived: watch::channel(0).0,
            start: watch::channel(start).0,
            hold: watch::channel(None).0,
            starts: Mutex::default(),
            beside,
        })
    }

    pub(crate) fn note(&self, line: impl Into<String>) {
        self.lines.lock().unwrap().push(line.into());
    }

    async fn pass(&self, gate: &watch::Sender<Option<Go>>) -> Result<(), BoxError> {
        let mut gate = gate.subscribe();
        self.arrived.send_modify(|arrived| *arrived += 1);
        let go = gate.wait_for(Option::is_some).await.map(|go| *go)?;
        match go {
            Some(Go::Fail) => Err("on purpose".into()),
            Some(Go::Panic) => panics("on purpose"),
            Some(Go::On) | None => Ok(()),
        }
    }

    /// Waits until one more has come to a gate.
    pub(crate) async fn arrival(&self, count: u32) {
        self.arrived.subscribe().wait_for(|&arrived| arrived >= count).await.unwrap();
    }
}

pub(crate) struct Node(pub(crate) Arc<World>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ping(pub(crate) u32);
pub(crate) struct Hold;

struct Never;
impl futures_core::Stream for Never {
    type Item = Ping;
    fn poll_next(self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<Option<Ping>> {
        Poll::Pending
    }
}

struct Zero;
impl mycelia_actors::Figures for Zero {
    fn figures(&self) -> Vec<mycelia_actors::Figure> {
        Vec::new()
    }
}

pub(crate) struct Idle;
impl Subsystem for Idle {}

impl Subsystem for Node {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Ping>("ping");
    }

    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        let first = {
            let mut starts = self.0.starts.lock().unwrap();
            *starts += 1;
            *starts == 1
        };
        match self.0.beside {
            Beside::Nothing => {}
            Beside::Stream => drop(cx.attach(Never)),
            Beside::Child => drop(cx.spawn(Idle)?),
            Beside::Figures => cx.show(Arc::new(Zero)),
        }
        if first {
            self.0.pass(&self.0.start).await?;
        }
        self.0.note("started");
        Ok(())
    }

    async fn stopped(&mut self, exit: &Exit, _: &mut Context<Self>) {
        self.0.note(exit.to_string());
    }
}

impl Handler<Ping> for Node {
    type Reply = u32;
    async fn handle(&mut self, Ping(n): Ping, _: &mut Context<Self>) -> u32 {
        self.0.note(format!("ping {n}"));
        n
    }
}

impl Handler<Hold> for Node {
    type Reply = ();
    async fn handle(&mut self, _: Hold, _: &mut Context<Self>) {
        self.0.note("hold");
        self.0.pass(&self.0.hold).await.unwrap();
    }
}

/// Hears of the end.
pub(crate) struct Watcher(pub(crate) Arc<Mutex<Vec<String>>>);
impl Subsystem for Watcher {}

pub(crate) struct Watch(pub(crate) Address<Node>);
impl Handler<Watch> for Watcher {
    type Reply = ();
    async fn handle(&mut self, Watch(node): Watch, cx: &mut Context<Self>) {
        cx.watch(&node).unwrap();
    }
}

impl Handler<Terminated> for Watcher {
    type Reply = ();
    async fn handle(&mut self, end: Terminated, _: &mut Context<Self>) {
        self.0.lock().unwrap().push(format!("{} {}", end.name(), end.exit()));
    }
}

/// Spawns the node in its first `started`.
pub(crate) struct Parent(pub(crate) Start);

type Start = Box<dyn FnMut(&Context<Parent>) + Send>;
impl Subsystem for Parent {
    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        (self.0)(cx);
        Ok(())
    }
}

pub(crate) struct Crash;
impl Handler<Crash> for Parent {
    type Reply = ();
    async fn handle(&mut self, _: Crash, _: &mut Context<Self>) {
        panics("of the parent")
    }
}

/// Panics without a word on the test's output.
fn panics(text: &'static str) -> ! {
    std::panic::resume_unwind(Box::new(text))
}

/// A boxed future, polled once.
pub(crate) fn begun<'a, T: Send + 'a>(future: impl Future<Output = T> + Send + 'a) -> Begun<'a, T> {
    let mut future = Box::pin(future);
    match future.as_mut().poll(&mut Task::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Box::pin(std::future::ready(outcome)),
        Poll::Pending => future,
    }
}

pub(crate) type Begun<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// By which handle messages are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    Address,
    Recipient,
    Group,
    Path,
    Route,
}

pub(crate) const VIAS: [Via; 5] = [Via::Address, Via::Recipient, Via::Group, Via::Path, Via::Route];

pub(crate) struct Handles {
    pub(crate) via: Via,
    pub(crate) address: Address<Node>,
    recipient: Recipient<Ping>,
    group: Group<Node>,
    route: Route,
    paths: Paths,
}

const PATH: &str = "node://ping";

impl Handles {
    pub(crate) fn new(runtime: &Runtime, address: &Address<Node>, via: Via) -> Self {
        Self {
            via,
            address: address.clone(),
            recipient: address.recipient(),
            group: Group::new([address.clone()], Choice::RoundRobin).unwrap(),
            route: runtime.route(PATH).unwrap(),
            paths: runtime.paths(),
        }
    }

    pub(crate) fn tell(&self, message: Ping) -> String {
        let told = match self.via {
            Via::Address => self.address.tell(message).map_err(|error| error.refusal.to_string()),
            Via::Recipient => self.recipient.tell(message).map_err(|error| error.refusal.to_string()),
            Via::Group => self.group.tell(message).map_err(|error| error.refusal.to_string()),
            Via::Path => self.paths.tell(PATH, message).map_err(|error| error.failure.to_string()),
            Via::Route => self.route.tell(message).map_err(|error| error.failure.to_string()),
        };
        told.map_or_else(|refusal| refusal, |told| format!("{told:?}"))
    }

    pub(crate) async fn send(&self, message: Ping) -> String {
        let sent = match self.via {
            Via::Address => self.address.send(message).await.map_err(|error| error.refusal.to_string()),
            Via::Recipient => self.recipient.send(message).await.map_err(|error| error.refusal.to_string()),
            Via::Group => self.group.send(message).await.map_err(|error| error.refusal.to_string()),
            Via::Path => self.paths.send(PATH, message).await.map_err(|error| error.failure.to_string()),
            Via::Route => self.route.send(message).await.map_err(|error| error.failure.to_string()),
        };
        sent.map_or_else(|refusal| refusal, |()| "sent".to_owned())
    }

    pub(crate) async fn ask(&self, message: Ping) -> String {
        let asked: Result<u32, String> = match self.via {
            Via::Address | Via::Recipient => {
                self.address.ask(message).await.map_err(|error| error.failure.to_string())
            }
            Via::Group => self.group.ask(message).await.map_err(|error| error.failure.to_string()),
            Via::Path => self.paths.ask(PATH, message).await.map_err(|error| error.failure.to_string()),
            Via::Route => self.route.ask(message).await.map_err(|error| error.failure.to_string()),
        };
        asked.map_or_else(|failure| failure, |reply| format!("replied {reply}"))
    }
}
