//! A subsystem that does what a message says, and writes down what became of it: for tests of drains.
#![allow(dead_code, reason = "each test uses some of it")]

use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use mycelia_actors::prelude::*;
use tokio::runtime::{Builder, Runtime as Tokio};

use crate::subsystems::accounted;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) type Log = Arc<Mutex<Vec<String>>>;

#[derive(Clone, Default)]
pub(crate) struct Desk {
    pub(crate) log: Log,
    /// What it does in `stopped`.
    pub(crate) at_end: Option<fn(&Log, &Context<Desk>)>,
}

impl Subsystem for Desk {
    async fn stopped(&mut self, _: &Exit, cx: &mut Context<Self>) {
        if let Some(at_end) = self.at_end {
            at_end(&self.log, cx);
        }
        self.log.lock().unwrap().push(format!("{} stopped", cx.name()));
    }
}

/// Runs a closure in the handler.
pub(crate) struct With<F>(pub(crate) F);
impl<T: Send + 'static, F: FnOnce(&Context<Desk>) -> T + Send + 'static> Handler<With<F>> for Desk {
    type Reply = T;
    async fn handle(&mut self, With(work): With<F>, cx: &mut Context<Self>) -> T {
        work(cx)
    }
}

/// Is written down.
#[derive(Clone)]
pub(crate) struct Note(pub(crate) &'static str);
impl Handler<Note> for Desk {
    type Reply = ();
    async fn handle(&mut self, Note(text): Note, _: &mut Context<Self>) {
        self.log.lock().unwrap().push(text.to_owned());
    }
}

/// Is in hand for so long.
pub(crate) struct Work(pub(crate) Duration);
impl Handler<Work> for Desk {
    type Reply = ();
    async fn handle(&mut self, Work(time): Work, _: &mut Context<Self>) {
        tokio::time::sleep(time).await;
    }
}

pub(crate) fn desk() -> (Desk, Log) {
    let desk = Desk::default();
    let log = Arc::clone(&desk.log);
    (desk, log)
}

pub(crate) fn lines(log: &Log) -> Vec<String> {
    log.lock().unwrap().clone()
}

pub(crate) async fn with<T: Send + 'static>(
    desk: &Address<Desk>,
    work: impl FnOnce(&Context<Desk>) -> T + Send + 'static,
) -> T {
    desk.ask(With(work)).await.unwrap()
}

/// Starts a pipe that ends after this time with a note.
pub(crate) async fn pipe(desk: &Address<Desk>, time: Duration, note: &'static str) {
    let later = async move {
        tokio::time::sleep(time).await;
        Note(note)
    };
    with(desk, |cx| drop(cx.pipe(later))).await;
}

/// The ledgers of messages and of side tasks add up.
pub(crate) fn settled(desk: &Address<Desk>) {
    accounted(desk);
    let side_tasks = desk.side_tasks();
    assert_eq!((side_tasks.accounted(), side_tasks.running), (side_tasks.started, 0), "{side_tasks:?}");
}

/// Lets all run that can.
pub(crate) async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Runs it on another thread; a hang is a failure.
pub(crate) fn in_time(run: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    let thread = thread::spawn(move || {
        run();
        done.send(()).unwrap();
    });
    match is_done.recv_timeout(60 * SECOND) {
        Ok(()) => {}
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(_) => std::panic::resume_unwind(thread.join().unwrap_err()),
    }
}

pub(crate) fn current() -> Tokio {
    Builder::new_current_thread().enable_all().build().unwrap()
}

pub(crate) fn multi() -> Tokio {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}
