//! The names that time series are made of.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// How long a name keeps its place when its subsystem has gone.
const KEPT: Duration = Duration::from_secs(3600);

/// At most so many names at a time, first come, first served: whoever makes up names must not grow a database without bound.
#[derive(Debug)]
pub(crate) struct Names {
    most: usize,
    /// With when each was last there.
    last_seen: HashMap<Box<str>, Instant>,
    left_out: u64,
    was_told: bool,
}

impl Names {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, last_seen: HashMap::new(), left_out: 0, was_told: false }
    }

    /// Gives places to those that are there, in their order. A name that is gone for an hour has lost its own.
    pub(crate) fn see<'a>(&mut self, now: Instant, there: impl Iterator<Item = &'a str>) {
        let mut new = Vec::new();
        for name in there {
            match self.last_seen.get_mut(name) {
                Some(last_seen) => *last_seen = now,
                None => new.push(name),
            }
        }
        self.last_seen.retain(|_, last_seen| now.saturating_duration_since(*last_seen) < KEPT);
        let free = self.most.saturating_sub(self.last_seen.len());
        self.left_out = new.len().saturating_sub(free) as u64;
        self.last_seen.extend(new.into_iter().take(free).map(|name| (name.into(), now)));
        if self.left_out > 0 && !std::mem::replace(&mut self.was_told, true) {
            tracing::warn!(
                left_out = self.left_out,
                most = self.most,
                "names of subsystems are left out of `/metrics`: see `Settings::most_named`"
            );
        }
    }

    pub(crate) fn contain(&self, name: &str) -> bool {
        self.last_seen.contains_key(name)
    }

    /// How many that were there at the last look have no place.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out
    }
}
