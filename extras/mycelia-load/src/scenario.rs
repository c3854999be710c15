//! What a scenario file says.

use std::path::Path;
use std::{fs, io};

use serde::{Deserialize, Serialize};

/// Those that come with the program.
const SHIPPED: [&str; 5] = [
    include_str!("../scenarios/sustained.toml"),
    include_str!("../scenarios/burst.toml"),
    include_str!("../scenarios/memory.toml"),
    include_str!("../scenarios/many.toml"),
    include_str!("../scenarios/storm.toml"),
];

/// A load, and what is expected of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) about: String,
    /// Chooses the bodies, and which handlers are slow or fail.
    #[serde(default)]
    pub(crate) seed: u64,
    /// Threads that send.
    #[serde(default = "one")]
    pub(crate) senders: u64,
    /// Worker threads of tokio, which handle; as many as there are cores, if it is not said.
    #[serde(default)]
    pub(crate) workers: Option<usize>,
    pub(crate) subsystems: Subsystems,
    #[serde(default)]
    pub(crate) bodies: Bodies,
    #[serde(default)]
    pub(crate) handlers: Handlers,
    pub(crate) phases: Vec<Phase>,
    #[serde(default)]
    pub(crate) pass: Pass,
}

/// Who gets the messages, in turns.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Subsystems {
    pub(crate) count: usize,
    /// Messages that a mailbox holds.
    #[serde(default = "default_capacity")]
    pub(crate) capacity: usize,
    /// Messages that it handles in a row before it lets others run.
    #[serde(default)]
    pub(crate) budget: Option<usize>,
    /// Of the first subsystem, the second, …, and again from the beginning.
    #[serde(default = "default_policies")]
    pub(crate) policies: Vec<Policy>,
    /// `worker-1://small` instead of an address.
    #[serde(default)]
    pub(crate) by_path: bool,
    /// Slots of the message pool, which then does not grow.
    #[serde(default)]
    pub(crate) pool: Option<usize>,
}

/// What happens when a mailbox is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Policy {
    /// The message comes back to its sender.
    Error,
    DropOldest,
    DropNewest,
    /// The sender waits for room; its later messages are late.
    Wait,
}

/// How many of each, as weights: 24 bytes; 528, in a box; 8 KiB, in a vector. Without any, all are small.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bodies {
    #[serde(default)]
    pub(crate) small: u32,
    #[serde(default)]
    pub(crate) medium: u32,
    #[serde(default)]
    pub(crate) large: u32,
}

impl Default for Bodies {
    fn default() -> Self {
        Self { small: 1, medium: 0, large: 0 }
    }
}

/// What handlers do beside reading the body.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Handlers {
    /// The share of messages over which a handler sleeps, by seed.
    pub(crate) slow: f64,
    pub(crate) slow_ms: u64,
    /// The share of messages over which it panics, by seed.
    pub(crate) fail: f64,
}

impl Default for Handlers {
    fn default() -> Self {
        Self { slow: 0.0, slow_ms: 2, fail: 0.0 }
    }
}

/// A part of the load: `rate` and `seconds`; or `messages` alone, which go as fast as they can.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Phase {
    /// Messages a second, to all subsystems together.
    pub(crate) rate: Option<f64>,
    pub(crate) seconds: Option<f64>,
    pub(crate) messages: Option<u64>,
}

/// What a run must reach. What is not said is not judged.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Pass {
    /// Messages handled a second, at least.
    pub(crate) throughput: Option<f64>,
    /// Messages that went into mailboxes and came out of them, a second, at least.
    pub(crate) queue_operations: Option<f64>,
    /// Standard deviation of the throughput, as a share of what was due, at most.
    pub(crate) steadiness: Option<f64>,
    /// 95 of 100 messages are handled so long after they were due, at most.
    pub(crate) p95_ms: Option<f64>,
    /// Growth of resident memory after the first fifth of the run, at most.
    pub(crate) memory_mb_per_hour: Option<f64>,
    /// Of one core, senders included, at most.
    pub(crate) cpu_percent: Option<f64>,
    /// The share of messages that are not handled, at most.
    pub(crate) loss: Option<f64>,
}

fn one() -> u64 {
    1
}

fn default_capacity() -> usize {
    1024
}

fn default_policies() -> Vec<Policy> {
    vec![Policy::Error]
}

/// Why there is no such scenario.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScenarioError {
    #[error("there is no scenario `{0}`, and no such file; `mycelia-load list` shows those there are")]
    Unknown(String),
    #[error("{file}: {error}")]
    Unreadable { file: String, error: io::Error },
    #[error("{file}: {error}")]
    Malformed { file: String, error: toml::de::Error },
    #[error("{file}: `{field}` {rule}")]
    Invalid { file: String, field: String, rule: &'static str },
    #[error(
        "`--set {0}`: must read FIELD=VALUE, with a value of TOML, such as subsystems.capacity=64 or 'subsystems.policies=[\"wait\"]'"
    )]
    NotSet(String),
    #[error("`--set {0}`: there is no such place in the scenario")]
    NoPlace(String),
}

impl Scenario {
    /// Those that come with the program.
    pub(crate) fn shipped() -> impl Iterator<Item = Self> {
        SHIPPED.iter().map(|text| Self::parse("", text, &[]).expect("a test reads them all"))
    }

    /// The text of one that comes with the program.
    pub(crate) fn text(name: &str) -> Option<&'static str> {
        let place = Self::shipped().position(|one| one.name == name)?;
        Some(SHIPPED[place])
    }

    /// One that comes with the program, by its name, or a file; with these fields set, each as `field=value`.
    pub(crate) fn find(name: &str, set: &[String]) -> Result<Self, ScenarioError> {
        if let Some(text) = Self::text(name) {
            return Self::parse(name, text, set);
        }
        if !Path::new(name).exists() {
            return Err(ScenarioError::Unknown(name.to_owned()));
        }
        let text = fs::read_to_string(name);
        let text = text.map_err(|error| ScenarioError::Unreadable { file: name.to_owned(), error })?;
        Self::parse(name, &text, set)
    }

    fn parse(file: &str, text: &str, set: &[String]) -> Result<Self, ScenarioError> {
        let malformed = |error| ScenarioError::Malformed { file: file.to_owned(), error };
        // As text first: then an error has its line.
        let mut parsed: Self = toml::from_str(text).map_err(malformed)?;
        if !set.is_empty() {
            let mut table = toml::from_str(text).map_err(malformed)?;
            set.iter().try_for_each(|set| put(&mut table, set))?;
            parsed = table.try_into().map_err(malformed)?;
        }
        match parsed.fault() {
            None => Ok(parsed),
            Some((field, rule)) => Err(ScenarioError::Invalid { file: file.to_owned(), field, rule }),
        }
    }

    /// The first field that breaks a rule, and the rule.
    fn fault(&self) -> Option<(String, &'static str)> {
        let Self { subsystems, bodies, handlers, phases, .. } = self;
        let is_size = |size| (1..=1 << 24).contains(&size);
        let is_share = |share: f64| (0.0..=1.0).contains(&share);
        let rules = [
            ("senders", (1..=64).contains(&self.senders), "must be from 1 to 64"),
            (
                "workers",
                self.workers.is_none_or(|workers| (1..=1024).contains(&workers)),
                "must be from 1 to 1024",
            ),
            ("subsystems.budget", subsystems.budget != Some(0), "must not be 0"),
            ("subsystems.count", (1..=10_000).contains(&subsystems.count), "must be from 1 to 10000"),
            ("subsystems.capacity", is_size(subsystems.capacity), "must be from 1 to 16777216"),
            ("subsystems.policies", !subsystems.policies.is_empty(), "must not be empty"),
            (
                "subsystems.policies",
                subsystems.policies.len() <= subsystems.count,
                "has more than there are subsystems",
            ),
            ("subsystems.pool", subsystems.pool.is_none_or(is_size), "must be from 1 to 16777216"),
            ("bodies", bodies.total() > 0, "must not all be 0"),
            ("handlers.slow", is_share(handlers.slow), "must be a share, from 0 to 1"),
            ("handlers.fail", is_share(handlers.fail), "must be a share, from 0 to 1"),
            (
                "handlers.fail",
                handlers.slow + handlers.fail <= 1.0,
                "and `handlers.slow` are more than 1 together",
            ),
            ("phases", !phases.is_empty(), "must not be empty"),
            ("pass.loss", self.pass.loss.is_none_or(is_share), "must be a share, from 0 to 1"),
            ("pass", self.pass.is_sound(), "has a limit that is below 0, or no number"),
        ];
        let broken = rules.into_iter().find(|(_, holds, _)| !holds);
        broken.map(|(field, _, rule)| (field.to_owned(), rule)).or_else(|| {
            let broken = phases.iter().enumerate().find(|(_, phase)| !phase.is_sound());
            broken.map(|(index, _)| {
                (format!("phases[{index}]"), "needs `rate` and `seconds`, above 0, or `messages` alone")
            })
        })
    }
}

/// Puts `field.of.field=value` there; `phases.0` is the first phase.
fn put(table: &mut toml::Value, set: &str) -> Result<(), ScenarioError> {
    let not_set = || ScenarioError::NotSet(set.to_owned());
    let (field, value) = set.split_once('=').ok_or_else(not_set)?;
    let mut value: toml::Table = toml::from_str(&format!("value = {value}")).map_err(|_| not_set())?;
    let value = value.remove("value").filter(|_| value.is_empty()).ok_or_else(not_set)?;
    let mut place = table;
    for part in field.trim().split('.') {
        let found = match place {
            toml::Value::Table(fields) => Some(fields.entry(part).or_insert(toml::Table::new().into())),
            toml::Value::Array(items) => part.parse().ok().and_then(|index: usize| items.get_mut(index)),
            _ => None,
        };
        place = found.ok_or_else(|| ScenarioError::NoPlace(set.to_owned()))?;
    }
    *place = value;
    Ok(())
}

impl Pass {
    fn is_sound(&self) -> bool {
        let Self { throughput, queue_operations, steadiness, p95_ms, memory_mb_per_hour, cpu_percent, loss } =
            *self;
        let all = [throughput, queue_operations, steadiness, p95_ms, memory_mb_per_hour, cpu_percent, loss];
        all.into_iter().flatten().all(|limit| limit.is_finite() && limit >= 0.0)
    }
}

impl Bodies {
    pub(crate) fn total(&self) -> u64 {
        u64::from(self.small) + u64::from(self.medium) + u64::from(self.large)
    }
}

impl Phase {
    fn is_sound(&self) -> bool {
        let is_above_0 = |number: f64| number.is_finite() && number > 0.0;
        match (self.rate, self.seconds, self.messages) {
            (Some(rate), Some(seconds), None) => is_above_0(rate) && is_above_0(seconds),
            (None, None, Some(messages)) => messages > 0,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_are_shipped_are_sound() {
        let names: Vec<_> = Scenario::shipped().map(|one| one.name).collect();
        assert_eq!(names, ["sustained", "burst", "memory", "many", "storm"]);
    }

    #[test]
    fn a_fault_is_named_with_its_place() {
        let sound = "name = 'x'\nabout = ''\nsubsystems.count = 1\n[[phases]]\nrate = 1\nseconds = 1\n";
        assert!(Scenario::parse("x.toml", sound, &[]).is_ok());
        let fault = |from: &str, to: &str| {
            Scenario::parse("x.toml", &sound.replace(from, to), &[]).unwrap_err().to_string()
        };
        assert_eq!(fault("count = 1", "count = 0"), "x.toml: `subsystems.count` must be from 1 to 10000");
        let message = fault("rate = 1\n", "messages = 5\n");
        assert_eq!(message, "x.toml: `phases[0]` needs `rate` and `seconds`, above 0, or `messages` alone");
        let unknown = fault("seconds = 1", "secs = 1");
        assert!(
            unknown.contains("line 6, column 1") && unknown.contains("unknown field `secs`"),
            "{unknown}"
        );
        let missing = Scenario::find("sustianed", &[]).unwrap_err().to_string();
        assert!(missing.contains("no scenario `sustianed`"));
    }
    #[test]
    fn fields_can_be_set() {
        let set = |fields: &[&str]| {
            Scenario::find("burst", &fields.iter().map(|&one| one.into()).collect::<Vec<_>>())
        };
        let burst =
            set(&["subsystems.capacity=7", "phases.1.rate=5", "handlers.fail=0.5", "pass.loss = 0.1"])
                .unwrap();
        assert_eq!(
            (burst.subsystems.capacity, burst.phases[1].rate, burst.handlers.fail),
            (7, Some(5.0), 0.5)
        );
        assert_eq!((burst.pass.loss, burst.pass.p95_ms), (Some(0.1), Some(1.0)));
        let refused = |field| set(&[field]).unwrap_err().to_string();
        assert!(refused("capacity=7").contains("unknown field `capacity`"));
        assert!(refused("subsystems.capacity=0").contains("must be from 1"));
        assert!(refused("pass.p95_ms=inf").contains("no number"));
        assert!(refused("phases.9.rate=1").contains("no such place"));
        assert!(refused("name.x=1").contains("no such place"));
        for malformed in ["seed", "seed=", "seed=1\nname='x'"] {
            assert!(refused(malformed).contains("must read FIELD=VALUE"), "{malformed}");
        }
    }
}
