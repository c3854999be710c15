//! Who sends: on schedule, whatever becomes of the messages before.
//!
//! A message is due when the plan says so, not when the one before it was handed over; and its time is counted from there.
//! So a wait of the sender is part of the times of all messages that it delays (what Gil Tene calls the coordinated omission,
//! avoided).

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use hdrhistogram::Histogram;
use mycelia_actors::prelude::*;
use tokio::sync::Barrier;

use crate::body::{Body, Large, Medium, Size, Small, Stamp};
use crate::clock::Clock;
use crate::latency::{add, histogram, record};
use crate::plan::{Pace, Plan};
use crate::scenario::{Bodies, Policy};
use crate::worker::{Tally, Worker};

/// How long a sender may sleep before it looks whether the run was cut short.
const NAP: Duration = Duration::from_millis(50);

/// One of the workers, and how to send to it.
pub(crate) struct Target {
    pub(crate) address: Address<Worker>,
    pub(crate) policy: Policy,
    pub(crate) by_path: Option<Paths>,
    pub(crate) handed: Handed,
    pub(crate) tally: Arc<Tally>,
}

/// The paths of a worker's routes.
pub(crate) struct Paths {
    runtime: Runtime,
    small: String,
    medium: String,
    large: String,
}

impl Paths {
    pub(crate) fn new(runtime: &Runtime, name: &str) -> Self {
        let path = |size: Size| format!("{name}://{}", size.route());
        Self {
            runtime: runtime.clone(),
            small: path(Size::Small),
            medium: path(Size::Medium),
            large: path(Size::Large),
        }
    }

    fn of(&self, size: Size) -> &str {
        match size {
            Size::Small => &self.small,
            Size::Medium => &self.medium,
            Size::Large => &self.large,
        }
    }
}

/// What all senders share.
pub(crate) struct Sending {
    pub(crate) clock: Clock,
    /// When the first message is due.
    pub(crate) begin: u64,
    pub(crate) plan: Arc<Plan>,
    pub(crate) targets: Vec<Target>,
    pub(crate) bodies: Bodies,
    pub(crate) seed: u64,
    /// From when messages were due until they were handed over.
    pub(crate) late: Mutex<Histogram<u64>>,
    /// Where senders wait for one another, and when the next phase begins.
    pub(crate) between: Barrier,
    pub(crate) next_begins: AtomicU64,
    /// Which phase it is.
    pub(crate) phase: AtomicUsize,
    /// Set to send no more.
    pub(crate) is_cut_short: AtomicBool,
}

/// What the senders were told of their messages to one worker: its ledger is compared with it.
#[derive(Debug, Default)]
pub(crate) struct Handed {
    // Relaxed: counts, which are compared when all is over.
    pub(crate) offered: AtomicU64,
    pub(crate) evicted: AtomicU64,
    pub(crate) discarded: AtomicU64,
    pub(crate) returned: AtomicU64,
    /// The sum of the numbers of those that were accepted.
    pub(crate) numbers: AtomicU64,
}

impl Handed {
    pub(crate) fn lost(&self) -> u64 {
        let counts = [&self.evicted, &self.discarded, &self.returned];
        counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    fn count(&self, number: u64, told: Result<Told, ()>) {
        if let Ok(Told::Queued | Told::Evicted) = told {
            self.numbers.fetch_add(number, Ordering::Relaxed);
        }
        let count = match told {
            Ok(Told::Queued) => return,
            Ok(Told::Evicted) => &self.evicted,
            Ok(Told::Discarded) => &self.discarded,
            Err(()) => &self.returned,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

impl Sending {
    /// Sends what falls to the sender of this number. It sleeps like a thread, and so wants one of its own.
    pub(crate) async fn send_all(self: Arc<Self>, sender: u64) {
        let mut late = histogram();
        let (mut begins, mut before) = (self.begin, 0);
        for (index, &phase) in self.plan.phases.iter().enumerate() {
            self.phase.fetch_max(index, Ordering::Relaxed);
            let messages = phase.messages();
            for i in (sender..messages).step_by(self.plan.senders as usize) {
                let due = match phase {
                    Pace::OnSchedule { rate, .. } => begins + (i as f64 * 1e9 / rate) as u64,
                    Pace::AtFullSpeed { .. } => self.clock.now(),
                };
                if !self.wait_until(due) {
                    break;
                }
                self.send(Stamp { due, number: before + i }).await;
                record(&mut late, self.clock.now().saturating_sub(due));
            }
            before += messages;
            begins = match phase {
                Pace::OnSchedule { seconds, .. } => begins + (seconds * 1e9) as u64,
                Pace::AtFullSpeed { .. } => self.all_are_here().await,
            };
        }
        add(&mut self.late.lock().unwrap_or_else(PoisonError::into_inner), &late);
    }

    /// Waits for the other senders. When the last one came.
    async fn all_are_here(&self) -> u64 {
        self.next_begins.fetch_max(self.clock.now(), Ordering::Relaxed);
        self.between.wait().await;
        self.next_begins.load(Ordering::Relaxed)
    }

    /// False if no more is to be sent.
    fn wait_until(&self, due: u64) -> bool {
        while !self.is_cut_short.load(Ordering::Relaxed) {
            let left = Duration::from_nanos(due.saturating_sub(self.clock.now()));
            if left.is_zero() {
                return true;
            }
            thread::sleep(left.min(NAP));
        }
        false
    }

    async fn send(&self, stamp: Stamp) {
        let target = &self.targets[self.plan.worker_of(stamp.number)];
        let size = self.bodies.size(self.seed, stamp.number);
        target.handed.offered.fetch_add(1, Ordering::Relaxed);
        let told = match size {
            Size::Small => target.hand_over(size, Small::new(stamp)).await,
            Size::Medium => target.hand_over(size, Medium::new(stamp)).await,
            Size::Large => target.hand_over(size, Large::new(stamp)).await,
        };
        target.handed.count(stamp.number, told);
    }
}

impl Target {
    async fn hand_over<M: Body>(&self, size: Size, message: M) -> Result<Told, ()> {
        match (&self.by_path, self.policy) {
            (None, Policy::Wait) => self.address.send(message).await.map(|()| Told::Queued).map_err(drop),
            (None, _) => self.address.tell(message).map_err(drop),
            (Some(paths), Policy::Wait) => {
                let sent = paths.runtime.send(paths.of(size), message).await;
                sent.map(|()| Told::Queued).map_err(drop)
            }
            (Some(paths), _) => paths.runtime.tell(paths.of(size), message).map_err(drop),
        }
    }
}
