//! What a processor is to do.

use std::fmt;

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize};

use crate::limits::Limits;
use crate::mapping::{ExpressionError, Leaf, Tree, is_builtin, is_identifier, leaves};
use crate::place::{Place, Places, Position};
use crate::topic::{TopicError, check_path};
use crate::warning::Warning;
use crate::yaml;

/// The configuration of a processor. [`Processor::new`](crate::Processor::new) checks it.
///
/// Serde reads it from any format; [`Config::parse`] from YAML or JSON, with the place of what is wrong. Fields that are not there have
/// their defaults, and the checks say which are needed.
///
/// ```yaml
/// mode: timeseries
/// model: { name: pump, version: v1 }
/// output_topic: umh.v1.corpA.plant-A.aawd
/// sources:
///   press: umh.v1.corpA.plant-A.aawd._raw.press
///   tF: umh.v1.corpA.plant-A.aawd._raw.tempF
/// mapping:
///   pressure: press + 4.00001
///   motor:
///     rpm: press / 4
/// ```
///
/// Or built in code:
///
/// ```
/// use mycelia_stream::{Config, Model, Node, Processor};
///
/// let mut config = Config {
///     model: Model { name: "pump".into(), version: "v1".into() },
///     output_topic: "umh.v1.corpA.plant-A.aawd".into(),
///     ..Config::default()
/// };
/// config.sources.insert("press".into(), "umh.v1.corpA.plant-A.aawd._raw.press".into());
/// config.mapping.insert("pressure".into(), Node::from("press + 4.00001"));
/// assert!(Processor::new(&config)?.warnings().is_empty());
/// # Ok::<(), mycelia_stream::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `timeseries`, the only one there is.
    pub mode: String,
    /// What the outputs are called.
    pub model: Model,
    /// What output topics begin with: `<output_topic>._<model.name>_<model.version>.<path of the mapping>`.
    pub output_topic: String,
    /// Topics by their aliases, which are their names in expressions. Two aliases may have the same topic.
    pub sources: IndexMap<String, String>,
    /// The expressions.
    #[serde(deserialize_with = "tree_or_nothing")]
    pub mapping: Tree,
    /// What one evaluation may use up.
    pub limits: Limits,
}

/// A name and a version, both needed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// Such as `pump`.
    pub name: String,
    /// Such as `v1`.
    pub version: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: MODE.to_owned(),
            model: Model::default(),
            output_topic: String::new(),
            sources: IndexMap::new(),
            mapping: Tree::new(),
            limits: Limits::default(),
        }
    }
}

/// The only mode.
const MODE: &str = "timeseries";
/// The most mappings.
const MOST_MAPPINGS: usize = 10_000;

fn tree_or_nothing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Tree, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Config {
    /// Reads YAML, or JSON, which is YAML as well.
    ///
    /// # Errors
    /// If it is neither, or has other fields than a configuration: with field, line and column. Whether they make sense is checked later.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        yaml::parse(text)
    }

    /// The checks before any expression is looked at; the leaves of the mapping.
    pub(crate) fn check(&self) -> Result<Vec<Leaf<'_>>, ConfigError> {
        let fails = |field: &[&str], fault| Err(ConfigError::new(field, fault));
        match &*self.mode {
            MODE => {}
            "" => return fails(&["mode"], ConfigFault::ModeMissing),
            other => return fails(&["mode"], ConfigFault::ModeUnsupported { mode: other.to_owned() }),
        }
        if self.output_topic.is_empty() {
            return fails(&["output_topic"], ConfigFault::OutputTopicMissing);
        }
        if self.model.name.is_empty() {
            return fails(&["model", "name"], ConfigFault::ModelNameMissing);
        }
        if self.model.version.is_empty() {
            return fails(&["model", "version"], ConfigFault::ModelVersionMissing);
        }
        if self.sources.is_empty() {
            return fails(&["sources"], ConfigFault::NoSources);
        }
        for alias in self.sources.keys() {
            if !is_identifier(alias) {
                return Err(ConfigError::of_key(&["sources", alias], ConfigFault::AliasIsNoIdentifier));
            }
            if is_builtin(alias) {
                return Err(ConfigError::of_key(&["sources", alias], ConfigFault::AliasIsBuiltIn));
            }
        }
        self.check_limits()?;
        let leaves = leaves(&self.mapping);
        if leaves.len() > MOST_MAPPINGS {
            let fault = ConfigFault::TooManyMappings { mappings: leaves.len(), most: MOST_MAPPINGS };
            return fails(&["mapping"], fault);
        }
        for leaf in &leaves {
            check_path(&leaf.path())
                .map_err(|error| ConfigError::of_key(&leaf.field(), ConfigFault::Path(error)))?;
        }
        Ok(leaves)
    }

    fn check_limits(&self) -> Result<(), ConfigError> {
        let Limits { time_ms, memory_bytes, stack_bytes } = self.limits;
        let out = |name, least, most| {
            Err(ConfigError::new(&["limits", name], ConfigFault::LimitOutOfRange { least, most }))
        };
        if !(1..=MOST_TIME).contains(&time_ms) {
            return out("time_ms", 1, MOST_TIME);
        }
        if memory_bytes < 65_536 {
            return out("memory_bytes", 65_536, u64::MAX);
        }
        if !(16_384..=1_048_576).contains(&stack_bytes) {
            return out("stack_bytes", 16_384, 1_048_576);
        }
        Ok(())
    }
}

/// A day.
const MOST_TIME: u64 = 24 * 3600 * 1000;

impl Leaf<'_> {
    /// What is wrong with this mapping.
    pub(crate) fn error(&self, fault: ConfigFault) -> ConfigError {
        ConfigError::new(&self.field(), fault)
    }

    /// The same, if it is no reason to refuse it.
    pub(crate) fn warning(&self, problem: impl Into<String>) -> Warning {
        Warning::new(&self.field(), problem)
    }

    pub(crate) fn field(&self) -> Vec<&str> {
        [&["mapping"], &*self.keys].concat()
    }
}

/// Why a configuration is refused: which field, where it is in the text, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    place: Place,
    fault: ConfigFault,
    /// The position is that of a mistake in the expression.
    is_inside: bool,
    others: Vec<ConfigError>,
}

impl ConfigError {
    pub(crate) fn new(field: &[&str], fault: ConfigFault) -> Self {
        Self { place: Place::of(field), fault, is_inside: false, others: Vec::new() }
    }

    /// It is the key that is wrong, not the value.
    fn of_key(field: &[&str], fault: ConfigFault) -> Self {
        Self { place: Place::of_key(field), ..Self::new(field, fault) }
    }

    pub(crate) fn at(mut self, position: Option<Position>) -> Self {
        self.place.position = position;
        self
    }

    pub(crate) fn with(mut self, others: impl Iterator<Item = Self>) -> Self {
        self.others.extend(others);
        self
    }

    /// The keys that lead to the field; none if the text could not be read at all.
    #[must_use]
    pub fn field(&self) -> &[String] {
        &self.place.field
    }

    /// Line and column, from 1, of the field's value in the text, if it was read from one; of a mistake inside of an expression, if
    /// the text has that line of the expression as it is.
    #[must_use]
    pub fn position(&self) -> Option<(u32, u32)> {
        self.place.line_and_column()
    }

    /// What is wrong.
    #[must_use]
    pub fn fault(&self) -> &ConfigFault {
        &self.fault
    }

    /// The other expressions that are wrong, when this is one.
    #[must_use]
    pub fn others(&self) -> &[Self] {
        &self.others
    }

    /// The same, with the position of the field in the text that the configuration was read from.
    pub(crate) fn located_in(mut self, text: &str) -> Self {
        self.look_up(&Places::read(text));
        self
    }

    fn look_up(&mut self, places: &Places<'_>) {
        if self.place.position.is_none() {
            let inside = match &self.fault {
                ConfigFault::Expression(error) => places.find_in(&self.place.field, error.line, error.column),
                _ => None,
            };
            self.is_inside = inside.is_some();
            self.place.position = inside.or_else(|| places.find(&self.place));
        }
        for other in &mut self.others {
            other.look_up(places);
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid configuration: {}", self.place)?;
        match &self.fault {
            ConfigFault::Expression(error) if self.is_inside => write!(f, "{COMPILING}{}", error.fault),
            fault => fault.fmt(f),
        }
    }
}

/// What errors of expressions begin with.
const COMPILING: &str = "failed to pre-compile expressions: ";

impl std::error::Error for ConfigError {}

/// What can be wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigFault {
    /// It is no YAML, or a field is unknown or of the wrong type.
    #[error("{0}")]
    Format(String),
    /// It is empty.
    #[error("the mode is missing; `{MODE}` is the only one")]
    ModeMissing,
    /// It is another.
    #[error("the mode `{mode}` is not supported; `{MODE}` is the only one")]
    ModeUnsupported {
        /// The mode.
        mode: String,
    },
    /// There is none.
    #[error("the output topic is missing")]
    OutputTopicMissing,
    /// There is none.
    #[error("the name of the model is missing")]
    ModelNameMissing,
    /// There is none.
    #[error("the version of the model is missing")]
    ModelVersionMissing,
    /// There are none.
    #[error("at least one source is needed")]
    NoSources,
    /// Expressions could not name it.
    #[error(
        "an alias is an identifier of JavaScript: a letter, `_` or `$`, then these and digits, and no reserved word"
    )]
    AliasIsNoIdentifier,
    /// It would hide something that expressions need.
    #[error("an alias must not be the name of a built-in")]
    AliasIsBuiltIn,
    /// A limit is not possible.
    #[error("the limit must be from {least} to {most}")]
    LimitOutOfRange {
        /// The smallest.
        least: u64,
        /// The largest.
        most: u64,
    },
    /// There are too many.
    #[error("there are {mappings} mappings; {most} are allowed")]
    TooManyMappings {
        /// How many there are.
        mappings: usize,
        /// How many there may be.
        most: usize,
    },
    /// Its path is none of a topic.
    #[error("failed to analyze mappings: {0}")]
    Path(TopicError),
    /// Its expression is none.
    #[error("{COMPILING}{0}")]
    Expression(ExpressionError),
}
