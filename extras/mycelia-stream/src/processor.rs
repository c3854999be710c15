//! Records in, records out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use foldhash::fast::RandomState;

use crate::config::{Config, ConfigError, ConfigFault};
use crate::counters::{Counters, TIMED, set};
use crate::mapping::{EvaluationError, Evaluator, Expression, Value};
use crate::payload;
use crate::record::Record;

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
    /// Sources by their topics.
    topics: HashMap<Box<str>, usize, RandomState>,
    sources: Vec<Source>,
    aliases: Vec<Alias>,
    /// Their values; those that have none are undefined.
    values: Vec<Value>,
    /// How many have one.
    received: usize,
    /// Messages of sources so far.
    messages: u64,
    mappings: Vec<Mapping>,
    /// Those that run for every message.
    statics: Vec<usize>,
    warnings: Vec<Warning>,
    counters: Arc<Counters>,
    outbox: Outbox,
}

/// A topic that messages come from.
#[derive(Default)]
struct Source {
    aliases: Vec<usize>,
    /// The mappings that depend on it and have all they need, in order.
    ready: Vec<usize>,
}

struct Alias {
    name: Box<str>,
    topic: Box<str>,
    source: usize,
    /// The mappings that depend on it.
    dependents: Vec<usize>,
}

struct Mapping {
    path: Box<str>,
    text: Box<str>,
    topic: Arc<str>,
    expression: Expression,
    /// Of a static one: what it comes to each time.
    fixed: Option<Result<Box<[u8]>, EvaluationError>>,
    /// Aliases it depends on that have no value yet.
    missing: usize,
    failures: u64,
    last_error: Option<EvaluationError>,
}

impl Mapping {
    #[cold]
    fn fail(&mut self, error: EvaluationError) {
        tracing::debug!(mapping = %self.path, %error, "a mapping failed");
        self.failures += 1;
        self.last_error = Some(error);
    }
}

/// What is made of one batch.
#[derive(Default)]
struct Outbox {
    /// All payloads, one behind the other.
    payloads: Vec<u8>,
    /// Where each ends, its mapping, and the record that brought it about.
    outputs: Vec<(usize, usize, usize)>,
    /// What all payloads of one message end with.
    ending: Vec<u8>,
}

/// A mapping that will not work, found when the configuration was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Its path.
    pub mapping: String,
    /// What is wrong.
    pub problem: String,
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
    /// How often it has failed.
    pub failures: u64,
    /// Why, the last time.
    pub last_error: Option<&'p EvaluationError>,
}

/// A batch of so many records is always timed.
const MANY: usize = 64;

impl Processor {
    /// A processor without values yet. Compiles all expressions, in a thread that it waits for, and evaluates static ones.
    ///
    /// # Errors
    /// If the configuration is not right: see [`ConfigFault`].
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let processor = Self::counting(config, Arc::default())?;
        processor.set_gauges();
        Ok(processor)
    }

    /// The same, from YAML or JSON: errors have the line and the column then.
    ///
    /// # Errors
    /// As [`Config::parse`] and [`new`](Self::new).
    pub fn from_text(text: &str) -> Result<Self, ConfigError> {
        Self::new(&Config::parse(text)?).map_err(|error| error.located_in(text))
    }

    fn counting(config: &Config, counters: Arc<Counters>) -> Result<Self, ConfigError> {
        let leaves = config.check()?;
        let mut evaluator = Evaluator::new(config.sources.keys().map(String::as_str), config.limits);
        let compiled = evaluator.compile_all(leaves.iter().map(|leaf| leaf.expression));
        let mut mappings: Vec<Mapping> = Vec::with_capacity(leaves.len());
        let mut warnings = Vec::new();
        let mut places = HashMap::<_, _, RandomState>::default();
        let Config { model, output_topic, .. } = config;
        for (leaf, compiled) in leaves.iter().zip(compiled) {
            let expression = compiled.map_err(|error| leaf.error(ConfigFault::Expression(error)))?;
            let path = leaf.path();
            let topic = format!("{output_topic}._{}_{}.{path}", model.name, model.version);
            let mapping = Mapping {
                missing: expression.dependencies().len(),
                path: path.clone().into(),
                text: leaf.expression.into(),
                topic: topic.into(),
                expression,
                fixed: None,
                failures: 0,
                last_error: None,
            };
            match places.insert(path.clone(), mappings.len()) {
                // `a.b` and `b` below `a`.
                Some(earlier) => {
                    let problem = "there are two mappings of this path; the later one is used".to_owned();
                    warnings.push(Warning { mapping: path.clone(), problem });
                    places.insert(path, earlier);
                    mappings[earlier] = mapping;
                }
                None => mappings.push(mapping),
            }
        }
        let mut topics = HashMap::<Box<str>, usize, RandomState>::default();
        let mut sources: Vec<Source> = Vec::new();
        let mut aliases = Vec::with_capacity(config.sources.len());
        for (name, topic) in &config.sources {
            let source = *topics.entry(topic.as_str().into()).or_insert(sources.len());
            if source == sources.len() {
                sources.push(Source::default());
            }
            sources[source].aliases.push(aliases.len());
            let (name, topic) = (name.as_str().into(), topic.as_str().into());
            aliases.push(Alias { name, topic, source, dependents: Vec::new() });
        }
        for (index, mapping) in mappings.iter().enumerate() {
            for &alias in mapping.expression.dependencies() {
                aliases[alias].dependents.push(index);
            }
        }
        let statics = (0..mappings.len()).filter(|&index| mappings[index].missing == 0).collect();
        let mut processor = Self {
            evaluator,
            topics,
            sources,
            values: vec![Value::Undefined; aliases.len()],
            aliases,
            received: 0,
            messages: 0,
            mappings,
            statics,
            warnings,
            counters,
            outbox: Outbox::default(),
        };
        processor.fix_statics();
        Ok(processor)
    }

    /// Evaluates what depends on nothing, once and for all: unless it looks at the clock, or at chance.
    fn fix_statics(&mut self) {
        for &index in &self.statics {
            let mapping = &mut self.mappings[index];
            self.evaluator.has_looked();
            let result = self.evaluator.evaluate(&mapping.expression, &self.values);
            if let Err(error) = &result {
                let problem = format!("it fails for every message: {error}");
                tracing::warn!(mapping = %mapping.path, %error, "a static mapping fails");
                self.warnings.push(Warning { mapping: mapping.path.to_string(), problem });
            }
            if !self.evaluator.has_looked() {
                mapping.fixed = Some(result.map(|value| {
                    let mut json = Vec::new();
                    payload::write_value(&mut json, &value);
                    json.into()
                }));
            }
        }
    }

    /// Takes another configuration: checked first, and if it is refused, nothing has changed. Sources whose alias and topic are the same
    /// keep their values; the counters go on.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn reconfigure(&mut self, config: &Config) -> Result<(), ConfigError> {
        let mut next = Self::counting(config, Arc::clone(&self.counters))?;
        let kept: HashMap<_, _, RandomState> = (self.aliases.iter().zip(&self.values))
            .map(|(alias, value)| ((&alias.name, &alias.topic), value))
            .collect();
        for index in 0..next.aliases.len() {
            let alias = &next.aliases[index];
            if let Some(&value) = kept.get(&(&alias.name, &alias.topic)) {
                next.receive(index, value.clone());
            }
        }
        next.set_gauges();
        *self = next;
        Ok(())
    }

    fn set_gauges(&self) {
        set(&self.counters.mappings, self.mappings.len());
        set(&self.counters.variables, self.received);
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
                .map(|&alias| &*self.aliases[alias].name)
                .collect(),
            is_native: mapping.expression.is_native(),
            is_fixed: mapping.fixed.is_some(),
            failures: mapping.failures,
            last_error: mapping.last_error.as_ref(),
        })
    }

    /// The outputs of a batch, in the order of the records that brought them about.
    ///
    /// # Cost
    /// Three heap requests, and what the values need. The payloads of the outputs share one buffer.
    pub fn process(&mut self, records: &[Record]) -> Vec<Record> {
        let is_timed = records.len() >= MANY || self.counters.batches.is_due();
        let began = is_timed.then(Instant::now);
        self.outbox.payloads.clear();
        self.outbox.outputs.clear();
        for (index, record) in records.iter().enumerate() {
            self.process_one(index, record);
        }
        set(&self.counters.variables, self.received);
        let outputs = self.outbox.take(records, &self.mappings);
        self.counters.outputs.add_owned(outputs.len() as u64);
        self.counters.batches.count(1);
        self.counters.batches.record_since(began);
        outputs
    }

    fn process_one(&mut self, index: usize, record: &Record) {
        let counters = &self.counters;
        let Some(topic) = &record.topic else { return counters.dropped.add_owned(1) };
        let Some(reading) = payload::read(&record.payload) else {
            counters.errored.add_owned(1);
            return counters.invalid.add_owned(1);
        };
        let Some(&source) = self.topics.get(&**topic) else { return counters.dropped.add_owned(1) };
        let is_timed = self.messages.is_multiple_of(TIMED);
        self.messages += 1;
        let began = is_timed.then(Instant::now);
        self.remember(source, reading.value);
        self.outbox.end_with(reading.timestamp_ms);
        let outputs_before = self.outbox.outputs.len();
        let ready = &self.sources[source].ready;
        for &mapping in self.statics.iter().chain(ready) {
            let began = is_timed.then(Instant::now);
            self.counters.evaluations.count(1);
            let Mapping { expression, fixed, .. } = &self.mappings[mapping];
            let failed = match fixed {
                Some(Ok(json)) => {
                    self.outbox.put(index, mapping, |payload| payload.extend_from_slice(json));
                    None
                }
                Some(Err(error)) => Some(error.clone()),
                None => match self.evaluator.evaluate(expression, &self.values) {
                    Ok(value) => {
                        self.outbox.put(index, mapping, |payload| payload::write_value(payload, &value));
                        None
                    }
                    Err(error) => Some(error),
                },
            };
            self.counters.evaluations.record_since(began);
            if let Some(error) = failed {
                self.counters.errored.add_owned(1);
                self.counters.javascript_errors.add_owned(u64::from(!error.is_of_result()));
                self.mappings[mapping].fail(error);
            }
        }
        if self.outbox.outputs.len() == outputs_before {
            return self.counters.dropped.add_owned(1);
        }
        self.counters.processed.add_owned(1);
        self.counters.messages.count(1);
        self.counters.messages.record_since(began);
    }

    /// A value came from a source.
    fn remember(&mut self, source: usize, value: Value) {
        for at in 1..self.sources[source].aliases.len() {
            self.receive(self.sources[source].aliases[at], value.clone());
        }
        self.receive(self.sources[source].aliases[0], value);
    }

    /// An alias has a value. If it is the first one, the mappings that only waited for it are ready.
    fn receive(&mut self, alias: usize, value: Value) {
        if matches!(value, Value::Undefined) {
            return;
        }
        let before = std::mem::replace(&mut self.values[alias], value);
        if !matches!(before, Value::Undefined) {
            return;
        }
        self.received += 1;
        for &index in &self.aliases[alias].dependents {
            let mapping = &mut self.mappings[index];
            mapping.missing -= 1;
            if mapping.missing > 0 {
                continue;
            }
            for &alias in mapping.expression.dependencies() {
                let ready = &mut self.sources[self.aliases[alias].source].ready;
                if let Err(place) = ready.binary_search(&index) {
                    ready.insert(place, index);
                }
            }
        }
    }
}

impl Outbox {
    fn end_with(&mut self, timestamp_ms: i64) {
        self.ending.clear();
        self.ending.extend_from_slice(b",\"timestamp_ms\":");
        self.ending.extend_from_slice(itoa::Buffer::new().format(timestamp_ms).as_bytes());
        self.ending.push(b'}');
    }

    fn put(&mut self, record: usize, mapping: usize, write_value: impl FnOnce(&mut Vec<u8>)) {
        self.payloads.extend_from_slice(b"{\"value\":");
        write_value(&mut self.payloads);
        self.payloads.extend_from_slice(&self.ending);
        self.outputs.push((self.payloads.len(), mapping, record));
    }

    fn take(&mut self, records: &[Record], mappings: &[Mapping]) -> Vec<Record> {
        let payloads = Bytes::copy_from_slice(&self.payloads);
        let mut from = 0;
        let record = |&(to, mapping, record): &(usize, usize, usize)| {
            let payload = payloads.slice(from..to);
            from = to;
            Record {
                topic: Some(Arc::clone(&mappings[mapping].topic)),
                payload,
                metadata: records[record].metadata.clone(),
            }
        };
        self.outputs.iter().map(record).collect()
    }
}
