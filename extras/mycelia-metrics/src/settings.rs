//! What can be chosen.

use std::fmt;

use subtle::ConstantTimeEq;

use crate::thresholds::Thresholds;

/// What can be chosen about metrics.
#[derive(Clone, Debug)]
#[must_use]
pub struct Settings {
    pub(crate) thresholds: Thresholds,
    pub(crate) most_named: usize,
    pub(crate) token: Option<Token>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { thresholds: Thresholds::default(), most_named: 200, token: None }
    }
}

impl Settings {
    /// From when on a subsystem is degraded or unhealthy.
    pub fn thresholds(mut self, thresholds: Thresholds) -> Self {
        self.thresholds = thresholds;
        self
    }

    /// How many subsystems with names are shown one by one, those spawned first before others: 200 if this is not called; and as many
    /// again of those that are not healthy. The rest is in the totals only.
    ///
    /// `/metrics` and OpenTelemetry have so many names as well, so that names which are made up do not grow a time series database without
    /// bound: those that came first. A name has its place for an hour after its subsystem has ended; then the next one gets it. How many
    /// are left out is in `mycelia_subsystems_not_exported` and in [`Snapshot::not_exported`](crate::Snapshot::not_exported), and the first
    /// time it is logged as a warning.
    pub fn most_named(mut self, subsystems: usize) -> Self {
        self.most_named = subsystems;
        self
    }

    /// Whoever asks over HTTP must say this, as `Authorization: Bearer …` or as `?token=…` (for all but the dashboard's own files and
    /// `/healthz`; the dashboard asks with the token in its address). An address that is not loopback needs one.
    pub fn token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }
}

/// A secret that gives access. It is compared in constant time, and not shown.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// One of at least 16 bytes; `None` if it is shorter.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Option<Self> {
        Some(text.into()).filter(|text| text.len() >= 16).map(Self)
    }

    pub(crate) fn is(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}
