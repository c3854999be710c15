//! All that there is to see, at one moment.

use mycelia_actors::{AskStats, Stats};
use serde::{Deserialize, Serialize};

use crate::health::Health;
use crate::process::Process;
use crate::quantiles::Quantiles;
use crate::subsystem::Subsystem;
use crate::tokio_runtime::TokioRuntime;

/// All that there is to see, at one moment. Its JSON is what `/api/snapshot` says; times are in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// When: seconds since 1970.
    pub at: f64,
    /// Seconds since the metrics were made.
    pub uptime: f64,
    /// As the worst of all subsystems.
    pub health: Health,
    /// What became of all messages, to subsystems that have ended as well.
    pub ledger: Stats,
    /// How all asks ended.
    pub asks: AskStats,
    /// Subsystems that have not ended.
    pub alive: u64,
    /// How many others have failed for good: with a panic, or an error of `started`, and no restart left. They are not among the
    /// subsystems any more, nor in the health.
    pub failed_ends: u64,
    /// How long messages to any of them waited, in the last 5 to 10 seconds.
    pub waited: Quantiles,
    /// How long handlers took, in the last 5 to 10 seconds.
    pub took: Quantiles,
    /// The subsystems that have not ended: in the order in which they were spawned, those without names together.
    pub subsystems: Vec<Subsystem>,
    /// How many more there are with names, which are only in the totals.
    pub not_shown: u64,
    /// How many with names have no time series in `/metrics` and OpenTelemetry: as
    /// [`Settings::most_named`](crate::Settings::most_named) says.
    #[serde(default)]
    pub not_exported: u64,
    /// How many names, and types of those without, have no times of their own: 400 have. Their times are in the totals.
    #[serde(default)]
    pub not_timed: u64,
    /// The message pool.
    pub pool: Pool,
    /// Messages by path that no subsystem got.
    pub paths: Paths,
    /// Routes of subsystems with names.
    pub routes: u64,
    /// Dead letters that did not fit into a subscriber's queue.
    pub missed_dead_letters: u64,
    /// The process. As it was when it could last be read; all zero elsewhere than on Linux.
    pub process: Process,
    /// The tokio runtime. All zero if the metrics were made outside of one.
    pub tokio: TokioRuntime,
}

/// The message pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Pool {
    /// Slots made, and still there: 128 bytes each.
    pub created: u64,
    /// How often a slot was acquired.
    pub acquired: u64,
    /// How often it was one that had been used before.
    pub reused: u64,
    /// Slots that are out.
    pub in_use: u64,
    /// The most that were out at a time.
    pub high_water: u64,
}

/// Messages by path that reached no subsystem, by why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Paths {
    /// There was none of that name.
    pub no_subsystem: u64,
    /// It had no such route.
    pub no_route: u64,
    /// The caller had no right to it.
    pub denied: u64,
    /// The body did not make the message.
    pub bad_body: u64,
}
