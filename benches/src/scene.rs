//! The names of the scenes, and what must be known of each.

use std::future::Future;

use crate::contender::Contender;
use crate::contenders::Entry;
use crate::cost::Cost;
use crate::failure::Failure;
use crate::meter::Pass;
use crate::scenes::{ask, path_ask, path_tell, ring101, route_tell, spawn, tell_1to1, tell_4to1, tell_rr100};

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
    /// One sender, one actor, by path.
    PathTell,
    /// The same with ten thousand paths.
    PathTell10k,
    /// The same as the first, on behalf of somebody.
    PathTellCaller,
    /// The same, to paths that require a right.
    PathTellScope,
    /// One sender, one actor, by a path that was looked up once.
    RouteTell,
    /// One ask after another, by path.
    PathAsk,
    /// A hundred thousand idle actors.
    Memory,
}

impl Scene {
    /// All scenes, in the order in which they are played.
    pub const ALL: [Self; 13] = [
        Self::Tell1to1,
        Self::TellRr100,
        Self::Tell4to1,
        Self::Ask,
        Self::Ring101,
        Self::Spawn,
        Self::PathTell,
        Self::PathTell10k,
        Self::PathTellCaller,
        Self::PathTellScope,
        Self::RouteTell,
        Self::PathAsk,
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
            Self::PathTell => "path_tell",
            Self::PathTell10k => "path_tell_10k",
            Self::PathTellCaller => "path_tell_caller",
            Self::PathTellScope => "path_tell_scope",
            Self::RouteTell => "route_tell",
            Self::PathAsk => "path_ask",
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

    /// The scene to compare it with, where there is one: that without the path, or without the right. It is played right before
    /// this one, run by run.
    pub fn beside(self) -> Option<Self> {
        match self {
            Self::PathTell | Self::PathTell10k | Self::PathTellCaller | Self::RouteTell => {
                Some(Self::Tell1to1)
            }
            Self::PathTellScope => Some(Self::PathTellCaller),
            Self::PathAsk => Some(Self::Ask),
            _ => None,
        }
    }

    /// Nanoseconds of processor time that an operation takes Mycelia's ancestor, where that was measured.
    pub fn ancestor(self) -> Option<f64> {
        match self {
            Self::PathTell => Some(6_200.0),
            Self::PathTell10k => Some(8_200.0),
            _ => None,
        }
    }

    /// Whether this contender has all that the scene needs.
    pub fn is_for(self, contender: &Entry) -> bool {
        match self {
            Self::PathTellCaller | Self::PathTellScope => contender.knows_callers,
            _ => true,
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
            Self::PathTell => {
                "One operation is one message by path, from one sender to one actor; 1 000 000 a run, to 100 paths in turn. The \
                 number in the path is the message. `processor` is processor time, of all threads. The last columns are the \
                 scene without paths, played in turn with this one, and how many times as much this one takes: by the \
                 medians, by the minima, and by processor time, which says most when the machine has other work."
            }
            Self::PathTell10k => "As path_tell, to 10 000 paths in turn.",
            Self::PathTellCaller => {
                "As path_tell, with metadata: every message says on whose behalf it was sent."
            }
            Self::PathTellScope => {
                "As path_tell_caller, and the route requires a right, which the caller holds: the last columns say what that \
                 costs."
            }
            Self::RouteTell => {
                "One operation is one message, from one sender to one actor; 1 000 000 a run. The path was looked up once. \
                 Mycelia makes the message of it anew each time, the others hold it ready."
            }
            Self::PathAsk => {
                "One operation is one ask by path with its answer, one after another; 200 000 a run, to 100 paths in turn. \
                 The last columns are as in path_tell."
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
    pub fn play<C: Contender>(self, pass: Pass) -> Result<Cost, Failure> {
        let by_path =
            |variant| on::<C, _, _>(pass, move |contender, pass| path_tell::play(contender, pass, variant));
        match self {
            Self::Tell1to1 => on::<C, _, _>(pass, tell_1to1::play),
            Self::TellRr100 => on::<C, _, _>(pass, tell_rr100::play),
            Self::Tell4to1 => on::<C, _, _>(pass, tell_4to1::play),
            Self::Ask => on::<C, _, _>(pass, ask::play),
            Self::Ring101 => on::<C, _, _>(pass, ring101::play),
            Self::Spawn => on::<C, _, _>(pass, spawn::play),
            Self::PathTell => by_path(path_tell::FEW),
            Self::PathTell10k => by_path(path_tell::MANY),
            Self::PathTellCaller => by_path(path_tell::ON_BEHALF),
            Self::PathTellScope => by_path(path_tell::GUARDED),
            Self::RouteTell => on::<C, _, _>(pass, route_tell::play),
            Self::PathAsk => on::<C, _, _>(pass, path_ask::play),
            Self::Memory => unreachable!("memory is measured in a child process"),
        }
    }
}

fn on<C, S, F>(pass: Pass, scene: S) -> Result<Cost, Failure>
where
    C: Contender,
    S: FnOnce(C, Pass) -> F + Send + 'static,
    F: Future<Output = Result<Cost, Failure>> + Send + 'static,
{
    C::run(move |contender| scene(contender, pass))
}
