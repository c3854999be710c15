//! What may happen to a subsystem, and what the documentation says that is seen of it.

use std::collections::BTreeMap;

use super::{Beside, Go, Via};

/// What happens to the subsystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Stop,
    StopNow,
    Kill,
    Shutdown,
    DropRuntime,
    ParentStops,
    ParentStopsNow,
    ParentIsKilled,
    ParentFails,
    ParentRestarts,
    /// What it has in hand panics, or its first `started` fails or panics.
    Fails,
    Restart,
    /// A sibling fails, whose strategy is one-for-all.
    SiblingFails,
    /// It is suspended and resumed.
    Suspend,
}

pub(crate) const DEEDS: [Deed; 14] = {
    use Deed::*;
    [
        Stop,
        StopNow,
        Kill,
        Shutdown,
        DropRuntime,
        ParentStops,
        ParentStopsNow,
        ParentIsKilled,
        ParentFails,
        ParentRestarts,
        Fails,
        Restart,
        SiblingFails,
        Suspend,
    ]
};

/// Where it is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Spawned just now.
    Fresh,
    /// In `started`.
    Starting,
    /// It has never had a message.
    Idle,
    /// It has handled one.
    Worked,
    /// It has one in hand.
    Busy,
    Suspended,
}

pub(crate) const STAGES: [Stage; 6] =
    [Stage::Fresh, Stage::Starting, Stage::Idle, Stage::Worked, Stage::Busy, Stage::Suspended];

#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene {
    pub(crate) deed: Deed,
    pub(crate) stage: Stage,
    /// Two messages are in its mailbox, which is full then: a tell and an ask.
    pub(crate) queued: bool,
    /// A sender waits.
    pub(crate) waiting: bool,
    pub(crate) factory: bool,
    pub(crate) go: Go,
    pub(crate) beside: Beside,
    pub(crate) via: Via,
}

/// What everybody saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Its hooks and handlers.
    pub(crate) lines: Vec<String>,
    pub(crate) events: Vec<String>,
    pub(crate) letters: Vec<String>,
    /// The watcher.
    pub(crate) heard: Vec<String>,
    pub(crate) started: String,
    pub(crate) ended: String,
    /// What was sent before.
    pub(crate) told: String,
    pub(crate) asked: String,
    pub(crate) sent: String,
    /// A tell, and a look at it, when it has been told to end and cannot yet.
    pub(crate) during: String,
    /// When it has ended.
    pub(crate) after: String,
    pub(crate) name: String,
    pub(crate) stats: String,
    pub(crate) failed_ends: u64,
}

/// How it ends, or goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// After all that it has accepted.
    Drains,
    /// The same, with another state.
    DrainsAnew,
    /// After the message in hand.
    Now,
    Killed,
    Fails,
    Restarts,
    GoesOn,
}

impl Scene {
    pub(crate) fn makes_sense(&self) -> bool {
        use Deed::*;
        let Self { deed, stage, queued, waiting, factory, go, .. } = *self;
        let begins = matches!(stage, Stage::Fresh | Stage::Starting);
        let fails = deed == Fails;
        let can_queue = !matches!(stage, Stage::Idle | Stage::Worked);
        (can_queue || !queued)
            && (queued || !waiting)
            && (!fails || go != Go::On)
            && (go == Go::On || begins || stage == Stage::Busy && go == Go::Panic)
            && (go == Go::On
                || fails
                || matches!(deed, Stop | StopNow | Shutdown | ParentStops | ParentStopsNow))
            && (factory || deed != SiblingFails)
    }

    pub(crate) fn by_parent(&self) -> bool {
        use Deed::*;
        matches!(self.deed, ParentStops | ParentStopsNow | ParentIsKilled | ParentFails | ParentRestarts)
    }

    pub(crate) fn begins(&self) -> bool {
        matches!(self.stage, Stage::Fresh | Stage::Starting)
    }

    /// How it ends: `drains`, `now`, `killed`, or goes on.
    pub(crate) fn manner(&self) -> Manner {
        use Deed::*;
        match self.deed {
            Kill | DropRuntime | ParentIsKilled => Manner::Killed,
            _ if self.go == Go::Fail || self.go == Go::Panic && !self.factory => Manner::Fails,
            // There is nothing that another state would be for.
            StopNow | ParentStopsNow if self.go == Go::Panic => Manner::Fails,
            Stop | Shutdown | ParentStops if self.go == Go::Panic => Manner::DrainsAnew,
            Stop | Shutdown | ParentStops => Manner::Drains,
            StopNow | ParentStopsNow | ParentFails | ParentRestarts => Manner::Now,
            Fails => Manner::Restarts,
            Restart | SiblingFails if self.factory => Manner::Restarts,
            Restart | SiblingFails | Suspend => Manner::GoesOn,
        }
    }

    /// What the documentation promises.
    pub(crate) fn expected(&self) -> Seen {
        let manner = self.manner();
        let stopped = "it is stopping, or has ended".to_owned();
        let mut seen = Seen::default();
        let mut sent = 0;
        let mut fates = BTreeMap::new();
        let mut fate = |name: &'static str| *fates.entry(name).or_insert(0) += 1;
        let starts = !(self.begins() && (manner == Manner::Killed || self.go != Go::On));
        let anew = matches!(manner, Manner::Restarts | Manner::DrainsAnew);
        seen.events.push("`node` spawned".into());
        let begin = |seen: &mut Seen| {
            seen.lines.push("started".into());
            seen.events.push("`node` started".into());
        };
        if starts {
            begin(&mut seen);
        }
        if self.stage == Stage::Worked {
            seen.lines.push("ping 0".into());
            sent += 1;
            fate("handled");
        }
        let is_busy = self.stage == Stage::Busy;
        if is_busy || self.stage == Stage::Suspended {
            seen.lines.push("hold".into());
            sent += 1;
            if is_busy && (manner == Manner::Killed || self.go != Go::On) {
                seen.letters.push("Hold failed".into());
                fate("failed");
            } else {
                fate("handled");
            }
        }
        if anew {
            seen.events.push("`node` restarted".into());
            begin(&mut seen);
        }
        let all = matches!(manner, Manner::Drains | Manner::GoesOn) || anew;
        if self.queued {
            sent += 2;
            seen.told = "Queued".into();
            if all {
                seen.lines.extend(["ping 1".into(), "ping 2".into()]);
                seen.asked = "replied 2".into();
                fate("handled");
                fate("handled");
            } else {
                seen.letters.extend(["Ping undelivered".into(), "Ping undelivered".into()]);
                seen.asked = "it ended before it came to the message".into();
                fate("undelivered");
                fate("undelivered");
            }
        }
        if self.waiting {
            sent += 1;
            if matches!(manner, Manner::Restarts | Manner::GoesOn) {
                seen.sent = "sent".into();
                seen.lines.push("ping 3".into());
                fate("handled");
            } else {
                seen.sent = stopped.clone();
                fate("returned");
            }
        }
        let exit = match (manner, self.go) {
            (Manner::Killed, _) => "killed",
            (Manner::Fails, Go::Fail) => "start failed: on purpose",
            (Manner::Fails, _) => "panicked: on purpose",
            _ => "stopped",
        };
        if exit == "stopped" {
            seen.lines.push("stopped".into());
        }
        seen.events.push(format!("`node` ended: {exit}"));
        seen.ended = exit.into();
        seen.started = if starts || anew { "yes".into() } else { exit.into() };
        if self.deed != Deed::DropRuntime {
            seen.heard.push(format!("node {exit}"));
        }
        seen.failed_ends = u64::from(manner == Manner::Fails) + u64::from(self.deed == Deed::ParentFails);
        if self.looks_meanwhile() {
            let returned = u64::from(self.waiting) + 1;
            let mut stats = vec![];
            if self.queued {
                stats.push("queued 2".to_owned());
            }
            if is_busy {
                stats.push("in hand 1".into());
            }
            stats.insert(0, format!("returned {returned}"));
            let flags = if is_busy { "started, stopping" } else { "stopping" };
            let total = returned + u64::from(is_busy) + 2 * u64::from(self.queued);
            seen.during = format!("{stopped}; {flags}; sent {total} = {}", stats.join(" + "));
            sent += 1;
            fate("returned");
        }
        let gone = match self.via {
            Via::Path | Via::Route => "there is no subsystem `node`".to_owned(),
            _ => stopped,
        };
        seen.after = format!("{gone}; {gone}; {gone}; gone");
        let ends_all = matches!(self.deed, Deed::Shutdown | Deed::DropRuntime);
        seen.name = if ends_all { "taken; the runtime is shutting down" } else { "taken; free" }.into();
        let fates: Vec<_> = ["handled", "failed", "returned", "undelivered"]
            .iter()
            .filter_map(|name| Some(format!("{name} {}", fates.get(name)?)))
            .collect();
        let equals = if fates.is_empty() { "" } else { " = " };
        let restarts = u64::from(anew);
        seen.stats = format!("sent {sent}{equals}{}; {restarts} restarts", fates.join(" + "));
        seen
    }

    /// True if it is told to end at once, and something at a gate holds that up.
    pub(crate) fn looks_meanwhile(&self) -> bool {
        let gate = self.stage == Stage::Starting || self.stage == Stage::Busy;
        gate && matches!(self.deed, Deed::Stop | Deed::StopNow | Deed::Shutdown | Deed::ParentStops)
    }
}
