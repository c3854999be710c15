//! One cell of the table of `ask_ends`: a subsystem, an ask, and an end.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::task::{Context as Task, Poll, Wake, Waker};
use std::time::Duration;

use mycelia_actors::prelude::*;
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Runtime as Tokio};
use tokio::sync::Notify;
use tokio::task::yield_now;

use crate::subsystems::accounted;
use crate::{Asker, End, Fate, Form, Outcome, State, Way};

/// One cell of the table.
pub(crate) struct Scene {
    way: Way,
    state: State,
    /// Where the subsystem runs.
    home: RefCell<Option<Tokio>>,
    /// Where the asker is polled.
    abroad: Tokio,
    runtime: RefCell<Option<Runtime>>,
    pub(crate) address: Address<Desk>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) log: Arc<Log>,
    /// A share of it is in the question.
    held: Arc<()>,
    outside: (mpsc::Sender<ReplyTo<u32>>, mpsc::Receiver<ReplyTo<u32>>),
    /// Messages beside the question.
    told: Cell<u64>,
}

impl Scene {
    pub(crate) fn new(way: Way, state: State) -> Self {
        let (home, abroad) = (tokio(), tokio());
        // Deadlines are looked at where the asks are polled, unless the runtime is given one.
        let runtime = match way {
            Way::TokioOfOneDropped => Runtime::new(),
            _ => Runtime::builder().tokio(home.handle().clone()).build(),
        };
        let (gate, log) = (Arc::<Gate>::default(), Arc::<Log>::default());
        let (made, lives) = ((Arc::clone(&gate), Arc::clone(&log)), AtomicU32::new(0));
        let desk = move || {
            let start = match way {
                Way::StartFails | Way::StartPanics | Way::StartKilled => Start::BadlyAtTheGate,
                Way::RestartFails if lives.fetch_add(1, SeqCst) > 0 => Start::Badly,
                _ => Start::Well,
            };
            Desk { gate: Arc::clone(&made.0), log: Arc::clone(&made.1), start, kept: None }
        };
        // The loop takes as many messages at once.
        let configured = runtime.configure("desk").mailbox(Mailbox::bounded(2));
        let inside = home.enter();
        let address =
            if way.has_factory() { configured.spawn_with(desk) } else { configured.spawn(desk()) }.unwrap();
        drop(inside);
        Self {
            way,
            state,
            home: RefCell::new(Some(home)),
            abroad,
            runtime: RefCell::new(Some(runtime)),
            address,
            gate,
            log,
            held: Arc::default(),
            outside: mpsc::channel(),
            told: Cell::new(0),
        }
    }

    pub(crate) fn play(&self, form: Form, asker: Asker) -> Outcome {
        let mut asking = self.ask(form);
        let early = self.reach(&mut asking);
        assert!(early.is_none(), "{early:?}");
        if matches!(asker, Asker::IsLate | Asker::GivesUp) {
            self.let_deadlines_pass();
        }
        let early =
            if asker == Asker::GivesUp { self.abroad.block_on(async { asking.poll() }) } else { None };
        assert_eq!(early.is_some(), asker == Asker::GivesUp);
        let mut asking = Some(asking).filter(|_| asker != Asker::GoesBefore && early.is_none());
        self.end();
        if self.state == State::InLine && self.way.closes_at_once() {
            let woken = asking.as_ref().is_none_or(|asking| asking.bell.0.load(SeqCst));
            assert!(woken, "{:?}: nobody waits for the handler in hand", self.way);
        }
        // Whatever is in hand goes on, if it can.
        self.gate.open();
        self.settle();
        let forgotten = self.end_outside();
        let asking = asking.take().filter(|_| asker != Asker::GoesAfter);
        let heard = asking.map(|asking| self.hear(asking)).or(early);
        drop(forgotten);
        self.check_the_books(heard)
    }

    pub(crate) fn ask(&self, form: Form) -> Asking<'_> {
        let question = Question { _held: Arc::clone(&self.held) };
        let ask: Pin<Box<dyn Future<Output = Heard>>> = match form {
            Form::Ask => {
                let ask = self.address.ask(question);
                Box::pin(async { ask.await.map_err(|error| (error.failure, error.message.is_some())) })
            }
            Form::AskWith => {
                let to = match self.state {
                    State::Kept => To::State,
                    State::AwayKept | State::AwayDropped | State::AwayForgotten => {
                        To::Outside(self.outside.0.clone())
                    }
                    _ => To::Asker,
                };
                let ask = self.address.ask_with(|reply| Query { question, reply, to });
                Box::pin(async { ask.await.map_err(|error| (error.failure, error.message.is_some())) })
            }
            Form::Path => {
                let runtime = self.runtime.borrow();
                let ask = runtime.as_ref().unwrap().ask("desk://question", question);
                Box::pin(async {
                    ask.await.map_err(|error| match error.failure {
                        PathAskFailure::Ask(failure) => (failure, error.body.is_some()),
                        failure => panic!("{failure}"),
                    })
                })
            }
        };
        Asking { ask, bell: Arc::new(Bell(true.into())) }
    }

    fn tell<M: Send + 'static>(&self, message: M)
    where
        Desk: Handler<M>,
    {
        self.address.tell(message).unwrap();
        self.told.set(self.told.get() + 1);
    }

    /// Brings the ask into its state.
    pub(crate) fn reach(&self, asking: &mut Asking) -> Option<Heard> {
        if self.state.is_behind_another() && !self.way.is_at_start() {
            self.tell(Block);
        }
        if self.state != State::Taken {
            self.settle();
        }
        match self.state {
            State::Unpolled => return None,
            State::InLine => (0..2).for_each(|_| self.tell(Nothing)),
            State::Queued | State::Taken | State::InHand => {}
            _ => self.gate.open(),
        }
        let heard = self.abroad.block_on(async { asking.poll() });
        self.settle();
        heard
    }

    /// Lets everything run that can.
    pub(crate) fn settle(&self) {
        let yields = || async {
            for _ in 0..32 {
                yield_now().await;
            }
        };
        self.home.borrow().iter().chain([&self.abroad]).for_each(|tokio| tokio.block_on(yields()));
    }

    fn let_deadlines_pass(&self) {
        for tokio in self.home.borrow().iter().chain([&self.abroad]) {
            tokio.block_on(tokio::time::advance(DEADLINE + DEADLINE / 10));
        }
        self.settle();
    }

    fn at_home<T>(&self, future: impl Future<Output = T>) -> T {
        self.home.borrow().as_ref().unwrap().block_on(future)
    }

    /// Ends the subsystem.
    fn end(&self) {
        let address = &self.address;
        match self.way {
            Way::Stop => address.stop(),
            Way::StopNow => address.stop_now(),
            Way::Kill | Way::StartKilled => address.kill(),
            Way::Panic | Way::PanicRestarts => {
                self.gate.panic.store(true, SeqCst);
                if !self.state.is_behind_another() && self.state != State::InHand {
                    self.tell(Block);
                }
                self.gate.open();
            }
            Way::Restart | Way::RestartNoFactory | Way::RestartFails => address.restart(),
            Way::Shutdown => {
                let runtime = self.runtime.borrow().clone().unwrap();
                self.home.borrow().as_ref().unwrap().spawn(async move { runtime.shutdown().await });
            }
            Way::ShutdownLate => {
                let runtime = self.runtime.borrow();
                let shutdown = runtime.as_ref().unwrap().shutdown_within(Duration::from_secs(1));
                let in_time = self.at_home(shutdown).is_ok();
                assert_eq!(in_time, !self.state.is_behind_another() && self.state != State::InHand);
            }
            Way::RuntimeDropped => drop(self.runtime.take()),
            Way::TokioDropped | Way::TokioOfOneDropped => drop(self.home.take()),
            Way::StartFails => self.gate.open(),
            Way::StartPanics => {
                self.gate.panic.store(true, SeqCst);
                self.gate.open();
            }
            Way::SuspendStop => self.suspended().stop(),
            Way::SuspendStopNow => self.suspended().stop_now(),
            Way::SuspendKill => self.suspended().kill(),
        }
        self.settle();
    }

    /// Suspends it, and sees to it that it is so at once, but if it has the question in hand.
    fn suspended(&self) -> &Address<Desk> {
        self.address.suspend();
        if self.state != State::InHand {
            self.gate.open();
        }
        self.settle();
        assert!(self.address.exit().is_none());
        &self.address
    }

    /// Does its duty outside, or not. What is forgotten is not dropped yet.
    fn end_outside(&self) -> Option<ReplyTo<u32>> {
        let away = self.outside.1.try_recv().ok();
        assert_eq!(away.is_some(), self.state.is_handed_away() && self.state != State::Kept);
        match self.state {
            State::AwayKept => away?.reply(7),
            State::AwayForgotten => return away,
            _ => drop(away),
        }
        None
    }

    pub(crate) fn hear(&self, mut asking: Asking) -> Heard {
        let mut poll = || {
            (0..10).find_map(|_| {
                let heard = self.abroad.block_on(async { asking.poll() });
                self.settle();
                heard
            })
        };
        poll().unwrap_or_else(|| {
            // A hang, or a deadline that is expected.
            self.let_deadlines_pass();
            // If there is no tokio any more, a thread says so a moment later.
            let began = std::time::Instant::now();
            loop {
                match poll() {
                    Some(heard) => return heard,
                    None => assert!(began.elapsed().as_secs() < 60, "somebody wakes the asker"),
                }
                std::thread::yield_now();
            }
        })
    }

    /// Ends whatever goes on, and looks at the ledger and at what is left.
    fn check_the_books(&self, heard: Option<Heard>) -> Outcome {
        self.address.stop();
        if self.home.borrow().is_some() {
            self.at_home(self.address.ended());
        }
        assert!(self.address.exit().is_some(), "it has ended");
        accounted(&self.address);
        let cell = (self.way, self.state, heard.clone());
        assert_eq!(Arc::strong_count(&self.held), 1, "{cell:?}: the message is dropped");
        if let Some(runtime) = &*self.runtime.borrow() {
            assert_eq!(runtime.pool_stats().in_use, 0, "{cell:?}");
        }
        let stats = self.address.stats();
        let log = (self.log.begun.load(SeqCst), self.log.finished.load(SeqCst));
        let fate = match (stats.sent - self.told.get(), stats.returned, stats.expired, log) {
            (0, 0, 0, (0, 0)) => Fate::NeverSent,
            (1, 1, 0, (0, 0)) => Fate::Returned,
            (1, 0, 1, (0, 0)) => Fate::Expired,
            (1, 0, 0, (0, 0)) if stats.undelivered > 0 => Fate::Undelivered,
            (1, 0, 0, (1, 1)) if stats.handled > 0 => Fate::Handled,
            (1, 0, 0, (1, 0)) if stats.failed == 1 => Fate::Failed,
            _ => panic!("{cell:?}: {stats:?}, {log:?}"),
        };
        if let Some(Err((_, came_back))) = cell.2 {
            assert_eq!(came_back, fate == Fate::Returned, "{cell:?}");
        }
        (heard.map(End::of), fate)
    }
}

pub(crate) fn tokio() -> Tokio {
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// Where handlers wait, until they may go on or are to panic.
#[derive(Default)]
pub(crate) struct Gate {
    open: AtomicBool,
    panic: AtomicBool,
    changed: Notify,
}

impl Gate {
    async fn pass(&self) {
        let changed = self.changed.notified();
        if !self.open.load(SeqCst) {
            changed.await;
        }
        assert!(!self.panic.swap(false, SeqCst), "on purpose");
    }

    pub(crate) fn open(&self) {
        self.open.store(true, SeqCst);
        self.changed.notify_waiters();
    }
}

/// How often the question came to its handler, and how often that came to its end.
#[derive(Default)]
pub(crate) struct Log {
    begun: AtomicU32,
    pub(crate) finished: AtomicU32,
}

/// The subsystem that is asked.
pub(crate) struct Desk {
    gate: Arc<Gate>,
    log: Arc<Log>,
    start: Start,
    kept: Option<ReplyTo<u32>>,
}

#[derive(Clone, Copy)]
enum Start {
    Well,
    Badly,
    BadlyAtTheGate,
}

impl Subsystem for Desk {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Question>("question");
    }

    async fn started(&mut self, _: &mut Context<Self>) -> Result<(), BoxError> {
        match self.start {
            Start::Well => return Ok(()),
            Start::Badly => {}
            Start::BadlyAtTheGate => self.gate.pass().await,
        }
        Err("it does not start".into())
    }
}

pub(crate) struct Nothing;
impl Handler<Nothing> for Desk {
    type Reply = ();
    async fn handle(&mut self, _: Nothing, _: &mut Context<Self>) {}
}

struct Block;
impl Handler<Block> for Desk {
    type Reply = ();
    async fn handle(&mut self, _: Block, _: &mut Context<Self>) {
        self.gate.pass().await;
    }
}

/// The message that is asked with. Holds something of which the scene knows whether it was dropped.
#[derive(Serialize, Deserialize)]
struct Question {
    #[serde(skip)]
    _held: Arc<()>,
}
impl Handler<Question> for Desk {
    type Reply = u32;
    async fn handle(&mut self, _question: Question, _: &mut Context<Self>) -> u32 {
        self.log.begun.fetch_add(1, SeqCst);
        self.gate.pass().await;
        self.log.finished.fetch_add(1, SeqCst);
        7
    }
}

/// The same with the duty to reply.
struct Query {
    question: Question,
    reply: ReplyTo<u32>,
    to: To,
}

/// Where the duty to reply goes.
enum To {
    Asker,
    State,
    Outside(mpsc::Sender<ReplyTo<u32>>),
}

impl Handler<Query> for Desk {
    type Reply = ();
    async fn handle(&mut self, query: Query, cx: &mut Context<Self>) {
        let reply = Handler::<Question>::handle(self, query.question, cx).await;
        match query.to {
            To::Asker => query.reply.reply(reply),
            To::State => self.kept = Some(query.reply),
            To::Outside(outside) => outside.send(query.reply).unwrap(),
        }
    }
}

#[derive(Default)]
pub(crate) struct Bell(pub(crate) AtomicBool);
impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

/// Of an ask that names none.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);

/// The reply, or why there is none and whether the message came back.
pub(crate) type Heard = Result<u32, (AskFailure, bool)>;

/// The ask, and the bell that is rung when it should be polled.
pub(crate) struct Asking<'a> {
    ask: Pin<Box<dyn Future<Output = Heard> + 'a>>,
    pub(crate) bell: Arc<Bell>,
}

impl Asking<'_> {
    /// Polls it if it was woken.
    pub(crate) fn poll(&mut self) -> Option<Heard> {
        if !self.bell.0.swap(false, SeqCst) {
            return None;
        }
        let waker = Waker::from(Arc::clone(&self.bell));
        match self.ask.as_mut().poll(&mut Task::from_waker(&waker)) {
            Poll::Ready(heard) => Some(heard),
            Poll::Pending => None,
        }
    }
}
