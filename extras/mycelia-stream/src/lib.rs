//! A stream processor: topics in, JavaScript expressions over their last values, topics out.
//!
//! A [`Processor`] remembers the last value of each source topic. Whenever one arrives, it evaluates the expressions that depend on it, and
//! puts out one record for each. It works on its own ([`Processor::process`]), as a subsystem of Mycelia ([`StreamProcessor`]), and as the
//! program `mycelia-stream`.
//!
//! ```
//! use mycelia_stream::{Processor, Record};
//!
//! let mut processor = Processor::from_text(
//!     r#"
//! model: { name: pump, version: v1 }
//! output_topic: umh.v1.corpA.plant-A.aawd
//! sources:
//!   press: umh.v1.corpA.plant-A.aawd._raw.press
//!   temp: umh.v1.corpA.plant-A.aawd._raw.temp
//! mapping:
//!   serialNumber: '"SN-P42-008"'
//!   motor:
//!     rpm: press / 4
//!   status: '`${press} hPa at ${temp} °C`'
//! "#,
//! )?;
//! let reading = |source: &str, value: f64| {
//!     let payload = format!(r#"{{"value": {value}, "timestamp_ms": 1700000000123}}"#);
//!     Record::new(format!("umh.v1.corpA.plant-A.aawd._raw.{source}"), payload)
//! };
//! let outputs = processor.process(&[reading("press", 100.0), reading("temp", 21.5)]);
//! let payloads: Vec<&[u8]> = outputs.iter().map(|record| &*record.payload).collect();
//! assert_eq!(payloads[1], br#"{"value":25,"timestamp_ms":1700000000123}"#);
//! assert_eq!(payloads[3], r#"{"value":"100 hPa at 21.5 °C","timestamp_ms":1700000000123}"#.as_bytes());
//! # Ok::<(), mycelia_stream::ConfigError>(())
//! ```
//!
//! # Expressions
//!
//! Any expression of JavaScript: see [`ExpressionFault`] for what is refused. What the common ones need (operators, conditionals, templates,
//! `Math`, numbers and texts, member access, methods of texts and arrays without functions) is evaluated natively, all else by QuickJS, in
//! a world without a way out: no names to load or compile code with, nothing that is left of an evaluation for the next one, and
//! [`Limits`] of time, memory and stack. An [`Evaluator`] does only this.
//!
//! # Map
//!
//! What is configured: [`Config`], [`Limits`], [`Tree`]. What comes and goes: [`Record`], [`Metadata`], [`Batch`]. What is counted:
//! [`Counters`]. What is wrong: [`ConfigError`] with a configuration, [`Warning`] where it is no reason to refuse it, [`Doubt`] about an
//! expression, [`PayloadError`] with a payload, [`EvaluationError`] with a mapping. Topics by the grammar of the unified namespace: [`UnsTopic`].

#![forbid(unsafe_code)]

mod outbox;
mod parts;
mod processor;
mod record;
mod state;
mod subsystem;

mod config;
mod limits;
mod place;
mod topic;
mod warning;
mod yaml;

mod counters;
mod mapping;
mod payload;

pub use config::{Config, ConfigError, ConfigFault, Model};
pub use counters::{Counters, CountersSnapshot, TimerSnapshot};
pub use limits::Limits;
pub use mapping::{
    Doubt, EvaluationError, Evaluator, Expression, ExpressionError, ExpressionFault, Node, Object, Tree,
    Value,
};
pub use parts::Parts;
pub use payload::PayloadError;
pub use processor::{MappingInfo, Processor};
pub use record::{Metadata, Record};
pub use subsystem::{Batch, Reconfigure, StreamProcessor};
pub use topic::{TopicError, UnsTopic};
pub use warning::Warning;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
