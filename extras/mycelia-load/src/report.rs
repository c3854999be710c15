//! All that is known of a run, as it is written to JSON.

use std::path::Path;
use std::{fs, io};

use mycelia_actors::Stats;
use serde::{Deserialize, Serialize};

use crate::account::Check;
use crate::judge::Judgement;
use crate::latency::Latency;
use crate::scenario::Scenario;

/// All that is known of a run. Its JSON is what `--json` writes and `compare` reads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) version: String,
    pub(crate) machine: Machine,
    /// When it began: seconds since 1970.
    pub(crate) at: u64,
    /// What was typed after `run`.
    pub(crate) command: String,
    /// As it was in its file, but for the seed and what was set.
    pub(crate) scenario: Scenario,
    pub(crate) scale: f64,
    /// Why it ended before its time, if it did.
    pub(crate) cut_short: Option<String>,
    /// Somebody could watch it.
    pub(crate) has_dashboard: bool,
    /// From when the first message was due to the end of the last worker.
    pub(crate) seconds: f64,
    pub(crate) figures: Figures,
    /// From when messages were due until they were handled.
    pub(crate) latency: Latency,
    /// From when messages were due until they were handed over: the senders' part of it.
    pub(crate) late: Latency,
    /// Milliseconds by quantile.
    pub(crate) curve: Vec<(f64, f64)>,
    pub(crate) phases: Vec<PhaseReport>,
    pub(crate) ledger: Stats,
    pub(crate) checks: Vec<Check>,
    pub(crate) judgements: Vec<Judgement>,
    pub(crate) passed: bool,
    /// About one a second; of short runs, and at full speed, more.
    pub(crate) samples: Vec<Sample>,
}

/// Where it ran.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) system: String,
    pub(crate) cores: usize,
    /// How the program was built: `release` or `debug`.
    pub(crate) profile: String,
}

impl Machine {
    pub(crate) fn this() -> Self {
        Self {
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            profile: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
        }
    }
}

/// What the criteria are about. `None` where there is not enough to tell.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Messages handled a second.
    pub(crate) throughput: f64,
    /// Messages that went into mailboxes and came out of them, a second.
    pub(crate) queue_operations: f64,
    /// Standard deviation of the samples' throughput, as a share of what was due.
    pub(crate) steadiness: Option<f64>,
    /// The share of messages that were not handled.
    pub(crate) loss: f64,
    /// Of one core.
    pub(crate) cpu_percent: Option<f64>,
    /// Resident, in MB (of 1 000 000 bytes): at the first sample, at the last one, and the highest.
    pub(crate) memory_mb: [f64; 3],
    /// A line through the samples after the first fifth (least squares).
    pub(crate) memory_mb_per_hour: Option<f64>,
}

/// One phase.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PhaseReport {
    /// Messages a second, if they were on schedule.
    pub(crate) rate: Option<f64>,
    pub(crate) messages: u64,
    /// Of the messages handled while it lasted.
    pub(crate) latency: Latency,
}

/// What happened since the sample before.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Seconds since the run began.
    pub(crate) at: f64,
    /// How long this is about.
    pub(crate) seconds: f64,
    pub(crate) phase: usize,
    /// Messages that were due; if that is known.
    pub(crate) due: Option<f64>,
    pub(crate) offered: u64,
    pub(crate) handled: u64,
    /// Evicted, discarded, returned or failed.
    pub(crate) lost: u64,
    /// In mailboxes, at this moment.
    pub(crate) queued: u64,
    pub(crate) latency: Latency,
    pub(crate) memory_mb: f64,
    pub(crate) cpu_percent: f64,
}

impl Sample {
    pub(crate) fn throughput(&self) -> f64 {
        self.handled as f64 / self.seconds
    }
}

impl Report {
    pub(crate) fn read(file: &Path) -> Result<Self, io::Error> {
        Ok(serde_json::from_str(&fs::read_to_string(file)?)?)
    }

    pub(crate) fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }
}
