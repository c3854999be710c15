//! The names of the scenes, and what must be known of each.

use std::future::Future;

use crate::contender::Contender;
use crate::failure::Failure;
use crate::meter::Pass;
use crate::scenes::{ask, ring101, spawn, tell_1to1, tell_4to1, tell_rr100};

/// One thing to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// One sender, one actor.
    Tell1to1,
    /// One sender, a hundred actors.
    TellRr100,
    /// Four senders, one actor.
    Tell4to1,
    /// One ask after another.
    Ask,
    /// A token round a ring of actors.
    Ring101,
    /// A new actor for every message.
    Spawn,
    /// A hundred thousand idle actors.
    Memory,
}

impl Scene {
    /// All scenes, in the order in which they are played.
    pub const ALL: [Self; 7] = [
        Self::Tell1to1,
        Self::TellRr100,
        Self::Tell4to1,
        Self::Ask,
        Self::Ring101,
        Self::Spawn,
        Self::Memory,
    ];

    /// Its name on the command line and in the output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tell1to1 => "tell_1to1",
            Self::TellRr100 => "tell_rr100",
            Self::Tell4to1 => "tell_4to1",
            Self::Ask => "ask",
            Self::Ring101 => "ring101",
            Self::Spawn => "spawn",
            Self::Memory => "memory",
        }
    }

    /// How often it is played when the command line says `asked`.
    pub fn runs(self, asked: usize) -> usize {
        match self {
            Self::Ring101 => asked.max(15),
            Self::Memory => 3,
            _ => asked,
        }
    }

    /// What one operation is, and what to keep in mind.
    pub fn notes(self) -> &'static str {
        match self {
            Self::Tell1to1 => "One operation is one message, from one sender to one actor; 1 000 000 a run.",
            Self::TellRr100 => {
                "One operation is one message, from one sender to 100 actors in turn; 1 000 000 a run."
            }
            Self::Tell4to1 => {
                "One operation is one message, from four senders to one actor; 1 000 000 a run."
            }
            Self::Ask => "One operation is one ask with its answer, one after another; 200 000 a run.",
            Self::Ring101 => {
                "One operation is one hop of the one token; 202 000 a run. At least 15 runs, for the figure has two \
                 modes: the scheduler keeps a neighbouring pair of actors on one worker, or on two."
            }
            Self::Spawn => {
                "One operation is one actor spawned and its first message handled; 20 000 a run, all of them alive \
                 until the clock has stopped. Every contender ends its actors after that."
            }
            Self::Memory => {
                "Resident bytes per actor of 100 000, unnamed, each contender in a fresh process, its runtime warm; \
                 with one address each, and the same state of about 50 bytes. `used` is after the first message."
            }
        }
    }

    /// Plays the scene once for one contender: the cost of one operation. [`Memory`](Self::Memory) has no such
    /// cost; it is measured by [`Resident::in_child`](crate::resident::Resident::in_child).
    ///
    /// # Panics
    /// For `Memory`.
    pub fn play<C: Contender>(self, pass: Pass) -> Result<f64, Failure> {
        match self {
            Self::Tell1to1 => on::<C, _, _>(pass, tell_1to1::play),
            Self::TellRr100 => on::<C, _, _>(pass, tell_rr100::play),
            Self::Tell4to1 => on::<C, _, _>(pass, tell_4to1::play),
            Self::Ask => on::<C, _, _>(pass, ask::play),
            Self::Ring101 => on::<C, _, _>(pass, ring101::play),
            Self::Spawn => on::<C, _, _>(pass, spawn::play),
            Self::Memory => unreachable!("memory is measured in a child process"),
        }
    }
}

fn on<C, S, F>(pass: Pass, scene: S) -> Result<f64, Failure>
where
    C: Contender,
    S: FnOnce(C, Pass) -> F + Send + 'static,
    F: Future<Output = Result<f64, Failure>> + Send + 'static,
{
    C::run(move |contender| scene(contender, pass))
}
