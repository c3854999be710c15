//! Records in, records out.

use std::cell::LazyCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indexmap::IndexMap;

use crate::config::{Config, ConfigError, ConfigFault};
use crate::counters::{Counters, TIMED, set};
use crate::mapping::{EvaluationError, Evaluator, Expression, Value};
use crate::outbox::Outbox;
use crate::parts::{self, Parts};
use crate::payload;
use crate::place::Places;
use crate::record::Record;
use crate::state::State;
use crate::warning::{self, Warning};

/// Remembers the last value of each source, and evaluates the expressions of whatever arrives.
///
/// For each record of a source: its value is remembered; then all *static* mappings (those that depend on no source) are put out, then
/// those that depend on this source and have a value of each source they need, each in the order of the configuration. What fails is
/// left out, and counted.
///
/// ```
/// use mycelia_stream::{Config, Processor, Record};
///
/// let config = Config::parse(
///     "model: { name: pump, version: v1 }
/// output_topic: umh.v1.corpA.plant-A.aawd
/// sources: { press: umh.v1.corpA.plant-A.aawd._raw.press }
/// mapping: { serialNumber: '\"SN-42\"', motor: { rpm: press / 4 } }",
/// )?;
/// let mut processor = Processor::new(&config)?;
/// let press = Record::new("umh.v1.corpA.plant-A.aawd._raw.press", r#"{"value":100,"timestamp_ms":1700000000000}"#);
/// let out = processor.process(&[press]);
/// assert_eq!(out[1].topic.as_deref(), Some("umh.v1.corpA.plant-A.aawd._pump_v1.motor.rpm"));
/// assert_eq!(out[1].payload, r#"{"value":25,"timestamp_ms":1700000000000}"#);
/// # Ok::<(), mycelia_stream::ConfigError>(())
/// ```
pub struct Processor {
    evaluator: Evaluator,
    state: State,
    mappings: Vec<Mapping>,
    /// Those that run for every message.
    statics: Vec<usize>,
    /// Messages of sources so far.
    messages: u64,
    warnings: Vec<Warning>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) outbox: Outbox,
}

struct Mapping {
    path: Box<str>,
    text: Box<str>,
    topic: Arc<str>,
    expression: Expression,
    /// Of a static one: what it comes to each time.
    fixed: Option<Result<Box<[u8]>, EvaluationError>>,
    failures: u64,
    last_error: Option<EvaluationError>,
}

/// A record that was accepted, and how far its mappings are.
pub(crate) struct Message {
    source: usize,
    /// Mappings that are done.
    done: usize,
    has_outputs: bool,
    is_timed: bool,
    began: Option<Instant>,
}

/// What is known of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MappingInfo<'p> {
    /// Its path, which its output topic ends with.
    pub path: &'p str,
    /// Its expression, as it was configured.
    pub expression: &'p str,
    /// Where its outputs go.
    pub topic: &'p str,
    /// The aliases it depends on; a static mapping has none.
    pub dependencies: Vec<&'p str>,
    /// Whether it is evaluated without QuickJS.
    pub is_native: bool,
    /// Whether its result was found out when the configuration was loaded, and is the same each time.
    pub is_fixed: bool,
    /// The JSON of that.
    pub fixed: Option<&'p str>,
    /// How often it has failed.
    pub failures: u64,
    /// Why, the last time; of a static one that fails at once, when the configuration was loaded.
    pub last_error: Option<&'p EvaluationError>,
}

/// So many warnings say what may be meant, of so many aliases: to look at one takes some microseconds.
const EXPLAINED: usize = 20;
const COMPARED: usize = 1000;

impl Processor {
    /// A processor without values yet. Compiles all expressions, in a thread that it waits for, and evaluates static ones: that takes
    /// microseconds for each, but up to half a second for one of 64 KiB, and as long as the limits allow for one that does not end.
    ///
    /// # Errors
    /// If the configuration is not right: see [`ConfigFault`].
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let processor = Self::counting(config, Arc::default(), None)?;
        processor.set_gauges();
        Ok(processor)
    }

    /// The same, from YAML or JSON: errors and warnings have the line and the column then.
    ///
    /// # Errors
    /// As [`Config::parse`] and [`new`](Self::new).
    pub fn from_text(text: &str) -> Result<Self, ConfigError> {
        let processor = Self::counting(&Config::parse(text)?, Arc::default(), Some(text));
        let processor = processor.map_err(|error| error.located_in(text))?;
        processor.set_gauges();
        Ok(processor)
    }

    /// `text` is what the configuration was read from.
    fn counting(config: &Config, counters: Arc<Counters>, text: Option<&str>) -> Result<Self, ConfigError> {
        let places = LazyCell::new(|| text.map(Places::read));
        let leaves = config.check()?;
        let aliases = || config.sources.keys().map(String::as_str);
        let mut evaluator = Evaluator::new(aliases(), config.limits);
        let compiled = evaluator.compile_all(leaves.iter().map(|leaf| leaf.expression));
        let mut wrong = leaves.iter().zip(&compiled).filter_map(|(leaf, compiled)| {
            let error = compiled.as_ref().err()?;
            Some(leaf.error(ConfigFault::Expression(error.clone())))
        });
        if let Some(first) = wrong.next() {
            return Err(first.with(wrong));
        }
        let mut warnings = Vec::new();
        let mut mappings = IndexMap::with_capacity(leaves.len());
        let Config { model, output_topic, .. } = config;
        for (leaf, expression) in leaves.iter().zip(compiled.into_iter().flatten()) {
            let path = leaf.path();
            let mapping = Mapping {
                path: path.as_str().into(),
                text: leaf.expression.into(),
                topic: format!("{output_topic}._{}_{}.{path}", model.name, model.version).into(),
                expression,
                fixed: None,
                failures: 0,
                last_error: None,
            };
            // `a.b` and `b` below `a`.
            if mappings.insert(path, (leaf, mapping)).is_some() {
                let problem = "there is another mapping of this path; this one is used, for it comes later";
                warnings.push(leaf.warning(problem));
            }
        }
        let undefined = vec![Value::Undefined; config.sources.len()];
        for (leaf, mapping) in mappings.values_mut() {
            let expression = &mapping.expression;
            for doubt in expression.doubts() {
                let problem = if warnings.len() < EXPLAINED {
                    warning::of_doubt(doubt, aliases().take(COMPARED))
                } else {
                    doubt.to_string()
                };
                warnings.push(leaf.warning(problem));
            }
            if let (Some(comment), Some(places)) = (expression.comment(), &*places)
                && places.is_joined(&leaf.field(), comment)
            {
                let problem = "YAML has joined its lines, and what follows `//` is a comment; | keeps lines";
                warnings.push(leaf.warning(problem));
            }
            if expression.is_static() {
                mapping.fix(&mut evaluator, &undefined);
            }
            // Of doubts, something has been said.
            if let Some(error) =
                mapping.last_error.as_ref().filter(|_| mapping.expression.doubts().is_empty())
            {
                let when =
                    if mapping.fixed.is_some() { "fails for every message" } else { "failed this time" };
                warnings.push(leaf.warning(format!("it {when}: {error}")));
            }
        }
        let mappings: Vec<Mapping> = mappings.into_values().map(|(_, mapping)| mapping).collect();
        let state =
            State::new(&config.sources, mappings.iter().map(|mapping| mapping.expression.dependencies()));
        let statics = (0..mappings.len()).filter(|&index| mappings[index].expression.is_static()).collect();
        let mut processor = Self {
            evaluator,
            state,
            mappings,
            statics,
            messages: 0,
            warnings,
            counters,
            outbox: Outbox::default(),
        };
        processor.warn_of_sources(config);
        warning::shorten(&mut processor.warnings);
        for warning in &mut processor.warnings {
            if let Some(places) = &*places {
                warning.look_up(places);
            }
            tracing::warn!(%warning, "a configuration that may not do what was meant");
        }
        Ok(processor)
    }

    fn warn_of_sources(&mut self, config: &Config) {
        if self.mappings.is_empty() {
            self.warnings.push(Warning::new(&["mapping"], "there are no mappings: every record is dropped"));
            return;
        }
        let outputs: HashMap<&str, &str> =
            self.mappings.iter().map(|mapping| (&*mapping.topic, &*mapping.path)).collect();
        for (alias, (name, topic)) in config.sources.iter().enumerate() {
            if !self.state.is_needed(alias) {
                self.warnings.push(Warning::new(&["sources", name], "no mapping uses it"));
            }
            if topic.contains(['#', '+', '*']) {
                let problem = "topics are compared as they are: there are no wildcards";
                self.warnings.push(Warning::new(&["sources", name], problem));
            }
            if let Some(path) = outputs.get(topic.as_str()) {
                let problem = format!(
                    "the mapping `{path}` puts out this topic: outputs come back only if somebody sends them"
                );
                self.warnings.push(Warning::new(&["sources", name], problem));
            }
        }
    }

    /// Takes another configuration: checked first, and if it is refused, nothing has changed. Sources whose alias and topic are the same
    /// keep their values; the counters go on. It takes as long as [`new`](Self::new).
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn reconfigure(&mut self, config: &Config) -> Result<(), ConfigError> {
        self.replace(Self::counting(config, Arc::clone(&self.counters), None)?);
        Ok(())
    }

    /// The same, from YAML or JSON: errors and warnings have the line and the column then.
    ///
    /// # Errors
    /// As [`from_text`](Self::from_text).
    pub fn reconfigure_from_text(&mut self, text: &str) -> Result<(), ConfigError> {
        let next = Self::counting(&Config::parse(text)?, Arc::clone(&self.counters), Some(text));
        self.replace(next.map_err(|error| error.located_in(text))?);
        Ok(())
    }

    fn replace(&mut self, mut next: Self) {
        next.state.keep(&self.state);
        next.set_gauges();
        *self = next;
    }

    fn set_gauges(&self) {
        set(&self.counters.mappings, self.mappings.len());
        set(&self.counters.variables, self.state.received());
    }

    /// What the processor counts.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// What is wrong with the configuration, but no reason to refuse it.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The mappings, in the order of the configuration.
    pub fn mappings(&self) -> impl Iterator<Item = MappingInfo<'_>> {
        self.mappings.iter().map(|mapping| MappingInfo {
            path: &mapping.path,
            expression: &mapping.text,
            topic: &mapping.topic,
            dependencies: mapping
                .expression
                .dependencies()
                .iter()
                .map(|&alias| self.state.name(alias))
                .collect(),
            is_native: mapping.expression.is_native(),
            is_fixed: mapping.fixed.is_some(),
            fixed: mapping.fixed.as_ref().and_then(|result| str::from_utf8(result.as_ref().ok()?).ok()),
            failures: mapping.failures,
            last_error: mapping.last_error.as_ref(),
        })
    }

    /// The outputs of a batch, in the order of the records that brought them about.
    ///
    /// It takes as long as the evaluations do, each of which has [`Limits::time_ms`](crate::Limits::time_ms); and what all outputs take
    /// up is in memory at once: [`parts`](Self::parts) bounds that.
    ///
    /// # Cost
    /// Three heap requests (two for a single output, none for none), and what the values need. The payloads of the outputs share one
    /// buffer, which is freed with the last of them.
    pub fn process(&mut self, records: &[Record]) -> Vec<Record> {
        Parts::new(self, records, usize::MAX).next().unwrap_or_default()
    }

    /// The same, in parts of about a MiB of payloads, so that a few records whose mappings make much of them do not fill the memory.
    ///
    /// ```
    /// # use mycelia_stream::{Processor, Record};
    /// let mut processor = Processor::from_text(
    ///     "{ model: { name: m, version: v1 }, output_topic: out, sources: { a: in.a }, mapping: { long: 'a.repeat(400000)' } }",
    /// )?;
    /// let batch = vec![Record::new("in.a", r#"{"value":"abc","timestamp_ms":1}"#); 3];
    /// let sizes: Vec<usize> = processor.parts(&batch).map(|outputs| outputs.len()).collect();
    /// assert_eq!(sizes, [1, 1, 1]);
    /// # Ok::<(), mycelia_stream::ConfigError>(())
    /// ```
    pub fn parts<'p>(&'p mut self, records: &'p [Record]) -> Parts<'p> {
        Parts::new(self, records, parts::FULL)
    }

    /// Whether records of this topic are those of a source.
    #[must_use]
    pub fn is_source(&self, topic: &str) -> bool {
        self.state.source(topic).is_some()
    }

    /// Remembers the value of a record, if it is one of a source. Its mappings are next.
    pub(crate) fn accept(&mut self, record: &Record) -> Option<Message> {
        let counters = &self.counters;
        let Some(topic) = &record.topic else {
            counters.dropped.add_owned(1);
            return None;
        };
        let Ok(reading) = payload::read(&record.payload) else {
            counters.errored.add_owned(1);
            counters.invalid.add_owned(1);
            return None;
        };
        let Some(source) = self.state.source(topic) else {
            counters.dropped.add_owned(1);
            return None;
        };
        let is_timed = self.messages.is_multiple_of(TIMED);
        self.messages += 1;
        let began = is_timed.then(Instant::now);
        self.state.remember(source, reading.value);
        self.outbox.end_with(reading.timestamp_ms);
        Some(Message { source, done: 0, has_outputs: false, is_timed, began })
    }

    /// Evaluates the mappings of a message, the record of this number: all of them, or until the outbox is full. Then it can go on later.
    pub(crate) fn evaluate(&mut self, record: usize, message: &mut Message, full: usize) -> bool {
        let ready = self.state.ready(message.source);
        for &mapping in self.statics.iter().chain(ready).skip(message.done) {
            if self.outbox.len() >= full {
                // It waits for others now.
                message.began = None;
                return false;
            }
            message.done += 1;
            let began = message.is_timed.then(Instant::now);
            self.counters.evaluations.count(1);
            let Mapping { expression, fixed, .. } = &self.mappings[mapping];
            let failed = match fixed {
                Some(Ok(json)) => {
                    self.outbox.put(record, mapping, |payload| payload.extend_from_slice(json));
                    None
                }
                Some(Err(error)) => Some(error.clone()),
                None => match self.evaluator.evaluate(expression, self.state.values()) {
                    Ok(value) => {
                        self.outbox.put(record, mapping, |payload| payload::write_value(payload, &value));
                        None
                    }
                    Err(error) => Some(error),
                },
            };
            self.counters.evaluations.record_since(began);
            match failed {
                None => message.has_outputs = true,
                Some(error) => {
                    self.counters.errored.add_owned(1);
                    self.counters.javascript_errors.add_owned(u64::from(!error.is_of_result()));
                    self.mappings[mapping].fail(error);
                }
            }
        }
        true
    }

    pub(crate) fn end_message(&self, message: &Message) {
        if message.has_outputs {
            self.counters.processed.add_owned(1);
            self.counters.messages.count(1);
            self.counters.messages.record_since(message.began);
        } else {
            self.counters.dropped.add_owned(1);
        }
    }

    pub(crate) fn take_outputs(&mut self, records: &[Record]) -> Vec<Record> {
        let mappings = &self.mappings;
        let outputs = self.outbox.take(records, |mapping| &mappings[mapping].topic);
        self.counters.outputs.add_owned(outputs.len() as u64);
        outputs
    }

    pub(crate) fn end_batch(&self, took: Option<Duration>) {
        set(&self.counters.variables, self.state.received());
        self.counters.batches.count(1);
        if let Some(took) = took {
            self.counters.batches.record(took);
        }
    }
}

impl Mapping {
    /// Evaluates what depends on nothing, once and for all: unless it looks at the clock, or at chance.
    fn fix(&mut self, evaluator: &mut Evaluator, values: &[Value]) {
        evaluator.take_looked();
        let result = evaluator.evaluate(&self.expression, values);
        self.last_error = result.as_ref().err().cloned();
        if !evaluator.take_looked() {
            self.fixed = Some(result.map(|value| {
                let mut json = Vec::new();
                payload::write_value(&mut json, &value);
                json.into()
            }));
        }
    }

    #[cold]
    fn fail(&mut self, error: EvaluationError) {
        match self.failures {
            0 => tracing::warn!(mapping = %self.path, %error, "a mapping failed for the first time"),
            _ => tracing::debug!(mapping = %self.path, %error, "a mapping failed"),
        }
        self.failures += 1;
        self.last_error = Some(error);
    }
}
