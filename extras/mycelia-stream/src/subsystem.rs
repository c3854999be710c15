//! The processor as a subsystem.

use std::mem;
use std::sync::Arc;

use mycelia_actors::{BoxError, Context, Handler, Recipient, Subsystem};

use crate::config::{Config, ConfigError};
use crate::counters::Counters;
use crate::processor::Processor;
use crate::record::Record;
use crate::warning::Warning;

/// Records that travel together, in both directions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch(pub Vec<Record>);

impl From<Vec<Record>> for Batch {
    fn from(records: Vec<Record>) -> Self {
        Self(records)
    }
}

/// A [`Processor`] with a mailbox: takes [`Batch`]es, and sends the outputs of each to whoever takes them: as one batch, or as several
/// where they have more than about a MiB of payloads ([`Processor::parts`]). A batch without outputs sends nothing.
///
/// It waits where its recipient has no room; so its own mailbox fills, and whoever sends to it waits as well. Nothing is lost on the way
/// but what a policy of the mailboxes drops, which their ledgers count, and what is counted as `outputs_undelivered`: outputs whose
/// recipient has ended, or would wait for this subsystem in turn; those of a batch that came by `ask` and whose deadline is over before the
/// recipient has room (so rather `send` it); and those that wait when the subsystem is killed (of which one batch may just have been let in
/// all the same). In the first three cases it goes on, and its values are as they would be.
///
/// Evaluations run in the subsystem's task, and block it for as long as they take: that is up to
/// [`Limits::time_ms`](crate::Limits::time_ms) for each record and mapping. Where expressions are not one's own, a thread of its own is a good idea
/// ([`Configure::own_thread`](mycelia_actors::Configure::own_thread)).
///
/// ```
/// use mycelia_actors::prelude::*;
/// use mycelia_stream::{Batch, Processor, Record, StreamProcessor};
///
/// struct Sink;
/// impl Subsystem for Sink {}
/// impl Handler<Batch> for Sink {
///     type Reply = ();
///     async fn handle(&mut self, Batch(records): Batch, _cx: &mut Context<Self>) {
///         println!("{records:?}");
///     }
/// }
///
/// #[tokio::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let runtime = Runtime::new();
///     let sink = runtime.spawn("sink", Sink)?;
///     let processor = Processor::from_text(
///         "{ model: { name: pump, version: v1 }, output_topic: out, sources: { press: in.press }, mapping: { half: press / 2 } }",
///     )?;
///     let pump = runtime.spawn("pump", StreamProcessor::new(processor, sink.recipient()))?;
///     pump.send(Batch(vec![Record::new("in.press", r#"{"value":3,"timestamp_ms":1}"#)])).await?;
///     pump.stop();
///     pump.ended().await;
///     assert_eq!(sink.stats().sent, 1);
///     Ok(())
/// }
/// ```
pub struct StreamProcessor {
    processor: Processor,
    outputs: Recipient<Batch>,
}

impl StreamProcessor {
    /// One that sends its outputs there.
    #[must_use]
    pub fn new(processor: Processor, outputs: Recipient<Batch>) -> Self {
        Self { processor, outputs }
    }

    /// What it counts, to be read from anywhere while it runs.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        self.processor.counters()
    }
}

impl Subsystem for StreamProcessor {
    /// Shows its counters to whoever looks at the runtime: with `mycelia-metrics` they are in the snapshot.
    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        cx.show(self.processor.counters());
        Ok(())
    }
}

impl Handler<Batch> for StreamProcessor {
    type Reply = ();

    async fn handle(&mut self, Batch(records): Batch, _cx: &mut Context<Self>) {
        let mut under_way = UnderWay { outputs: 0, counters: self.processor.counters() };
        for outputs in self.processor.parts(&records) {
            under_way.outputs = outputs.len();
            match self.outputs.send(Batch(outputs)).await {
                Ok(()) => under_way.outputs = 0,
                Err(error) => {
                    let lost = under_way.end();
                    tracing::warn!(to = %error.subsystem, why = %error.refusal, lost, "outputs were not taken");
                }
            }
        }
    }
}

/// Outputs that nobody has taken yet. If nobody does, even for the subsystem was killed meanwhile, they are counted.
struct UnderWay {
    outputs: usize,
    counters: Arc<Counters>,
}

impl UnderWay {
    /// They are lost; how many.
    fn end(&mut self) -> usize {
        self.counters.undelivered.add_owned(self.outputs as u64);
        mem::take(&mut self.outputs)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.end();
    }
}

/// Another configuration for a running [`StreamProcessor`]: see [`Processor::reconfigure`]. Batches sent before it are processed by the
/// old one.
///
/// The reply is what is wrong with it: errors, with which nothing has changed, or warnings. An asker whose time is over first is not told,
/// and it is done all the same. It takes as long as [`Processor::new`], in the subsystem's task.
#[derive(Clone, Debug)]
pub struct Reconfigure {
    config: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Config(Box<Config>),
    Text(Box<str>),
}

impl Reconfigure {
    /// To this configuration.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config: Source::Config(Box::new(config)) }
    }

    /// To the one that this text has, which is YAML or JSON: errors and warnings have the line and the column.
    pub fn from_text(text: impl Into<Box<str>>) -> Self {
        Self { config: Source::Text(text.into()) }
    }
}

impl Handler<Reconfigure> for StreamProcessor {
    type Reply = Result<Vec<Warning>, ConfigError>;

    async fn handle(&mut self, Reconfigure { config }: Reconfigure, _cx: &mut Context<Self>) -> Self::Reply {
        match config {
            Source::Config(config) => self.processor.reconfigure(&config)?,
            Source::Text(text) => self.processor.reconfigure_from_text(&text)?,
        }
        Ok(self.processor.warnings().to_vec())
    }
}
