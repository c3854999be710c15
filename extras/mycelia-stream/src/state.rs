//! The last value of each source, and who waits for it.

use std::collections::HashMap;
use std::mem;

use foldhash::fast::RandomState;
use indexmap::IndexMap;

use crate::mapping::Value;

/// What has come so far.
///
/// ```text
/// topic ─▶ source ─▶ aliases ─▶ values
///             └────▶ ready: mappings that depend on it, and have all they need
/// ```
pub(crate) struct State {
    /// Sources by their topics.
    topics: HashMap<Box<str>, usize, RandomState>,
    sources: Vec<Source>,
    aliases: Vec<Alias>,
    /// Of the aliases; those that have none are undefined.
    values: Vec<Value>,
    /// How many have one.
    received: usize,
    needs: Vec<Needs>,
}

/// A topic that messages come from.
#[derive(Default)]
struct Source {
    aliases: Vec<usize>,
    /// Mappings, in order.
    ready: Vec<usize>,
}

struct Alias {
    name: Box<str>,
    topic: Box<str>,
    source: usize,
    /// The mappings that depend on it.
    dependents: Vec<usize>,
}

/// What a mapping waits for.
struct Needs {
    sources: Box<[usize]>,
    /// Aliases without a value.
    missing: usize,
}

impl State {
    /// Nothing has come yet. `mappings` are the aliases that each depends on, in the order of `sources`.
    pub(crate) fn new<'m>(
        sources: &IndexMap<String, String>,
        mappings: impl Iterator<Item = &'m [usize]>,
    ) -> Self {
        let mut state = Self {
            topics: HashMap::default(),
            sources: Vec::new(),
            aliases: Vec::with_capacity(sources.len()),
            values: vec![Value::Undefined; sources.len()],
            received: 0,
            needs: Vec::new(),
        };
        for (alias, (name, topic)) in sources.iter().enumerate() {
            let count = state.sources.len();
            let source = *state.topics.entry(topic.as_str().into()).or_insert(count);
            if source == count {
                state.sources.push(Source::default());
            }
            state.sources[source].aliases.push(alias);
            let (name, topic) = (name.as_str().into(), topic.as_str().into());
            state.aliases.push(Alias { name, topic, source, dependents: Vec::new() });
        }
        for (mapping, aliases) in mappings.enumerate() {
            for &alias in aliases {
                state.aliases[alias].dependents.push(mapping);
            }
            let sources = aliases.iter().map(|&alias| state.aliases[alias].source).collect();
            state.needs.push(Needs { sources, missing: aliases.len() });
        }
        state
    }

    /// The source of a topic.
    pub(crate) fn source(&self, topic: &str) -> Option<usize> {
        self.topics.get(topic).copied()
    }

    /// The mappings that depend on a source, and have all they need, in order.
    pub(crate) fn ready(&self, source: usize) -> &[usize] {
        &self.sources[source].ready
    }

    pub(crate) fn values(&self) -> &[Value] {
        &self.values
    }

    /// Aliases that have a value.
    pub(crate) fn received(&self) -> usize {
        self.received
    }

    /// The name of an alias.
    pub(crate) fn name(&self, alias: usize) -> &str {
        &self.aliases[alias].name
    }

    /// Whether a mapping depends on this alias.
    pub(crate) fn is_needed(&self, alias: usize) -> bool {
        !self.aliases[alias].dependents.is_empty()
    }

    /// A value came from a source.
    pub(crate) fn remember(&mut self, source: usize, value: Value) {
        for at in 1..self.sources[source].aliases.len() {
            self.receive(self.sources[source].aliases[at], value.clone());
        }
        self.receive(self.sources[source].aliases[0], value);
    }

    /// Takes over the values of aliases whose name and topic are the same.
    pub(crate) fn keep(&mut self, other: &Self) {
        let kept: HashMap<_, _, RandomState> = (other.aliases.iter().zip(&other.values))
            .map(|(alias, value)| ((&alias.name, &alias.topic), value))
            .collect();
        for index in 0..self.aliases.len() {
            let alias = &self.aliases[index];
            if let Some(&value) = kept.get(&(&alias.name, &alias.topic)) {
                self.receive(index, value.clone());
            }
        }
    }

    /// An alias has a value. If it is the first one, the mappings that only waited for it are ready.
    fn receive(&mut self, alias: usize, value: Value) {
        if matches!(value, Value::Undefined) {
            return;
        }
        let before = mem::replace(&mut self.values[alias], value);
        if !matches!(before, Value::Undefined) {
            return;
        }
        self.received += 1;
        for &mapping in &self.aliases[alias].dependents {
            let needs = &mut self.needs[mapping];
            needs.missing -= 1;
            if needs.missing > 0 {
                continue;
            }
            for &source in &needs.sources {
                let ready = &mut self.sources[source].ready;
                if let Err(place) = ready.binary_search(&mapping) {
                    ready.insert(place, mapping);
                }
            }
        }
    }
}
