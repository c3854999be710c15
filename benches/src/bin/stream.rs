//! The stream processor: the workloads of its ancestor's benchmarks, through [`Processor`] alone and through the subsystem.
//!
//! ```text
//! cargo run --release -p mycelia-benches --bin stream
//! ```
//!
//! Processor time (not the clock on the wall), heap requests and bytes, each per message. The messages are made before, as in the ancestor;
//! through the subsystem each batch is a copy of one that is ready (a list and reference counts), goes through the mailbox of the processor
//! (one thread, ledger and metrics on) and its outputs through that of a sink, which counts them: as many must arrive as the workload
//! makes. The workloads named `primed` have a value of the other source before; those that the ancestor's benchmarks leave without one
//! evaluate nothing. Medians of 9 rounds in which all take turns.
//!
//! The ancestor's own figures are for one operation on its machine (11 cores), which is one message but for batches; and, behind them, of
//! the same code on a machine of this kind: processor time, bytes and heap requests a message.

use std::error::Error;
use std::hint::black_box;
use std::time::Duration;

use mycelia_actors::prelude::*;
use mycelia_benches::allocations::{CountingAllocator, counted_bytes, start_counting, stop_counting};
use mycelia_benches::processor::processor_time;
use mycelia_benches::statistics::Spread;
use mycelia_metrics::Metrics;
use mycelia_stream::{Batch, Processor, Record, StreamProcessor};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const ROUNDS: usize = 9;
/// What a round of one workload is to take, about.
const ROUND: Duration = Duration::from_millis(40);

const OUT: &str = "umh.v1.corpA.plant-A.aawd";

/// One of the ancestor's benchmarks.
struct Workload {
    name: &'static str,
    config: String,
    /// Before the first operation.
    primed: Vec<Record>,
    /// The batches of one operation.
    batches: Vec<Vec<Record>>,
    /// Each message is made anew, by its number.
    is_made_anew: bool,
    /// What comes out of one operation.
    outputs: u64,
    ancestor: &'static str,
}

impl Workload {
    fn new(name: &'static str, config: String, outputs: u64, ancestor: &'static str) -> Self {
        let batches = vec![vec![message("press", 25.5)]];
        Self { name, config, primed: Vec::new(), batches, is_made_anew: false, outputs, ancestor }
    }

    fn with(mut self, batches: Vec<Vec<Record>>) -> Self {
        self.batches = batches;
        self
    }

    fn primed(mut self, records: impl Into<Vec<Record>>) -> Self {
        self.primed = records.into();
        self
    }

    fn messages(&self) -> u64 {
        self.batches.iter().map(|batch| batch.len() as u64).sum()
    }

    fn processor(&self) -> Result<Processor, Box<dyn Error>> {
        let mut processor = Processor::from_text(&self.config)?;
        processor.process(&self.primed);
        Ok(processor)
    }
}

fn message(source: &str, value: f64) -> Record {
    let payload = format!("{{\"value\":{value},\"timestamp_ms\":1700000000123}}");
    Record::new(format!("{OUT}._raw.{source}"), payload)
}

fn config(model: &str, mapping: &str) -> String {
    format!(
        "mode: timeseries\nmodel: {{ name: {model}, version: v1 }}\noutput_topic: {OUT}\n\
         sources: {{ press: {OUT}._raw.press, tF: {OUT}._raw.tempF, r: {OUT}._raw.run }}\nmapping: {mapping}\n"
    )
}

/// Ten mappings for each of so many sources.
fn scaled(sources: usize) -> String {
    let source = |index| format!("  s{index}: {OUT}._raw.s{index}\n");
    let mapping = |index| format!("  m{index}: s{} + {index}\n", index % sources);
    format!(
        "model: {{ name: m, version: v1 }}\noutput_topic: {OUT}\nsources:\n{}mapping:\n{}",
        (0..sources).map(source).collect::<String>(),
        (0..10 * sources).map(mapping).collect::<String>()
    )
}

/// A message of one of them.
fn seventh(sources: usize) -> Record {
    message(&format!("s{}", 7 % sources), 25.5)
}

fn workloads() -> Vec<Workload> {
    let pump = || {
        config(
            "pump",
            r#"{ pressure: press+4.00001, temperature: tF*69/31, motor: { rpm: press/4 },
                status: 'r ? "active" : "inactive"', serialNumber: '"SN-P42-008"', deviceType: '"pump"' }"#,
        )
    };
    let one = |expression: &str| config("test", &format!("{{ result: {expression:?} }}"));
    let temp = || [message("tempF", 68.0)];
    let source = |index: usize| ["press", "tempF", "run"][index % 3];
    let sized =
        |size: usize| vec![(0..size).map(|index| message(source(index), 25.5 + index as f64)).collect()];
    let outputs = |size: u64| size.div_ceil(3) * 4 + (size - size.div_ceil(3)) * 3;
    let realistic = |index: usize| {
        let source = if index < 60 {
            "press"
        } else if index < 90 {
            "tempF"
        } else {
            "run"
        };
        message(source, 25.5 + (index % 10) as f64)
    };
    let realistic: Vec<Vec<Record>> =
        (0..10).map(|batch| (0..10).map(|index| realistic(batch * 10 + index)).collect()).collect();
    let complex = "Math.sqrt(press * press + tF * tF) / 2.0";
    let joined = "\"Temperature: \" + tF + \"F, Pressure: \" + press + \" PSI\"";
    let conditional = "press > 20 ? 'high' : 'normal'";
    let maths = "Math.pow(press, 2) + Math.abs(tF - 32) * 1.8";
    let mut invalid = message("press", 0.0);
    invalid.payload = "invalid json".into();
    let mut without_topic = message("press", 25.5);
    without_topic.topic = None;
    let simple = "press + 1";
    let stepped: Vec<Vec<Record>> =
        (0..1000).map(|step| vec![message("press", 25.5 + f64::from(step))]).collect();
    let primed_pump = || [message("press", 25.5), message("tempF", 25.5)];
    vec![
        Workload::new("ProcessBatch/StaticMapping", pump(), 4, "10 792   12 987   4633   92"),
        Workload::new("ProcessBatch/DynamicMapping", pump(), 4, "11 425   12 422   4633   92"),
        Workload::new("ProcessBatch/MixedMappings", pump(), 4, "11 741   11 402   4633   92"),
        Workload::new("ProcessBatch/MixedMappings, primed", pump(), 4, "").primed(primed_pump()),
        Workload::new("ProcessBatch/UnknownTopic", pump(), 0, "667      745     56    4")
            .with(vec![vec![message("unknown", 25.5)]]),
        Workload::new("ProcessBatch/InvalidJSON", pump(), 0, "394    1 172    680   15")
            .with(vec![vec![invalid]]),
        Workload::new("ProcessBatch/MissingMetadata", pump(), 0, "131      153      0    0")
            .with(vec![vec![without_topic]]),
        Workload::new("BatchProcessing/BatchSize_1", pump(), outputs(1), "        11 474   4633   92")
            .with(sized(1)),
        Workload::new("BatchProcessing/BatchSize_10", pump(), outputs(10), "         9 919   ~4200  ~84")
            .with(sized(10)),
        Workload::new("BatchProcessing/BatchSize_100", pump(), outputs(100), "         9 699   ~3900  ~78")
            .with(sized(100)),
        Workload::new("BatchProcessing/BatchSize_1000", pump(), outputs(1000), "        11 253   3783   76")
            .with(sized(1000)),
        Workload::new("JavaScript/SimpleExpression", one(simple), 1, "4 829    5 253   1737   38"),
        Workload::new("JavaScript/SimpleExpression, primed", one(simple), 1, "").primed(temp()),
        Workload::new("JavaScript/ComplexExpression", one(complex), 0, "1 142    1 547    536   11"),
        Workload::new("JavaScript/ComplexExpression, primed", one(complex), 1, "").primed(temp()),
        Workload::new("JavaScript/StringConcatenation", one(joined), 0, "1 202    1 500    536   11"),
        Workload::new("JavaScript/StringConcatenation, primed", one(joined), 1, "").primed(temp()),
        Workload::new("JavaScript/ConditionalExpression", one(conditional), 1, "6 375    6 356   1753   38"),
        Workload::new("JavaScript/ConditionalExpression, primed", one(conditional), 1, "").primed(temp()),
        Workload::new("JavaScript/MathOperations", one(maths), 0, "1 150    1 501    536   11"),
        Workload::new("JavaScript/MathOperations, primed", one(maths), 1, "").primed(temp()),
        Workload::new(
            "JavaScript/MathOperations, by QuickJS, primed",
            one(&format!("(() => {maths})()")),
            1,
            "",
        )
        .primed(temp()),
        Workload::new("VariableResolution/FirstVariable", pump(), 4, ""),
        Workload::new("VariableResolution/SubsequentVariables", pump(), 3, "         7 915   3200   65")
            .primed(primed_pump())
            .with(vec![vec![message("run", 30.0)]]),
        Workload {
            is_made_anew: true,
            ..Workload::new("VariableResolution/VariableOverwrite", pump(), 4, "        11 999   5096   99")
        },
        Workload::new("Throughput/RealisticWorkload", pump(), 360, "        10 539   4175   85")
            .with(realistic.clone()),
        Workload::new("Throughput/RealisticWorkload, primed", pump(), 360, "")
            .primed(primed_pump())
            .with(realistic),
        Workload::new("Throughput/HighThroughput", pump(), 4, "12 686   11 446   4633   92"),
        Workload::new("Throughput/HighThroughput, primed", pump(), 4, "").primed(primed_pump()),
        Workload::new("Scale/10 mappings, 1 source", scaled(1), 10, "").with(vec![vec![seventh(1)]]),
        Workload::new("Scale/10 000 mappings, 1 000 sources", scaled(1000), 10, "")
            .with(vec![vec![seventh(1000)]]),
        Workload::new("MemoryUsage/MessageCreation", pump(), 4, ""),
        Workload::new("MemoryUsage/StateAccumulation", pump(), 4000, "        12 061   4634   92")
            .with(stepped),
    ]
}

/// Takes the outputs.
struct Sink {
    records: u64,
}

struct Total;

impl Subsystem for Sink {}

impl Handler<Batch> for Sink {
    type Reply = ();
    async fn handle(&mut self, Batch(records): Batch, _cx: &mut Context<Self>) {
        self.records += records.len() as u64;
    }
}

impl Handler<Total> for Sink {
    type Reply = u64;
    async fn handle(&mut self, Total: Total, _cx: &mut Context<Self>) -> u64 {
        self.records
    }
}

/// A workload, ready to be played both ways.
struct Player {
    workload: Workload,
    processor: Processor,
    pump: Address<StreamProcessor>,
    sink: Address<Sink>,
    /// Operations of one round.
    operations: u64,
    made: u64,
    costs: [Vec<f64>; 2],
}

impl Player {
    fn batches(&mut self) -> Vec<Vec<Record>> {
        if self.workload.is_made_anew {
            self.made += 1;
            return vec![vec![message("press", 25.5 + self.made as f64)]];
        }
        self.workload.batches.clone()
    }

    /// Through the processor alone, by reference where the messages are ready.
    fn process(&mut self, operations: u64) {
        let mut outputs = 0;
        for _ in 0..operations {
            if self.workload.is_made_anew {
                let batches = self.batches();
                outputs += self.processor.process(&batches[0]).len();
                continue;
            }
            for batch in &self.workload.batches {
                outputs += black_box(self.processor.process(batch)).len();
            }
        }
        assert_eq!(outputs as u64, operations * self.workload.outputs, "{}", self.workload.name);
    }

    async fn send(&mut self, operations: u64) -> Result<(), Box<dyn Error>> {
        let before = self.sink.ask(Total).await?;
        for _ in 0..operations {
            if self.workload.is_made_anew {
                let batch = self.batches().remove(0);
                self.pump.send(Batch(batch)).await?;
                continue;
            }
            for batch in &self.workload.batches {
                self.pump.send(Batch(batch.clone())).await?;
            }
        }
        while self.pump.stats().queued + self.pump.stats().in_hand > 0 {
            tokio::task::yield_now().await;
        }
        let outputs = self.sink.ask(Total).await? - before;
        assert_eq!(outputs, operations * self.workload.outputs, "{}", self.workload.name);
        Ok(())
    }

    async fn play(&mut self, is_timed: bool) -> Result<(), Box<dyn Error>> {
        let messages = (self.operations * self.workload.messages()) as f64;
        for way in 0..2 {
            let began = processor_time();
            match way {
                0 => self.process(self.operations),
                _ => self.send(self.operations).await?,
            }
            if is_timed {
                self.costs[way].push((processor_time() - began).as_nanos() as f64 / messages);
            }
        }
        Ok(())
    }

    /// Heap requests and bytes a message, both ways.
    async fn count(&mut self) -> Result<[(f64, f64); 2], Box<dyn Error>> {
        let messages = (self.operations * self.workload.messages()) as f64;
        let mut counted = [(0.0, 0.0); 2];
        for (way, counted) in counted.iter_mut().enumerate() {
            start_counting();
            match way {
                0 => self.process(self.operations),
                _ => self.send(self.operations).await?,
            }
            let requests = stop_counting();
            *counted = (requests as f64 / messages, counted_bytes() as f64 / messages);
        }
        Ok(counted)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    let runtime = Runtime::new();
    let _metrics = Metrics::of(&runtime)?;
    let mut players = Vec::new();
    for workload in workloads() {
        if !chosen.is_empty() && !chosen.iter().any(|part| workload.name.contains(part.as_str())) {
            continue;
        }
        let name = |role: &str| format!("{role}-{}", players.len());
        let sink = runtime.spawn(&name("sink"), Sink { records: 0 })?;
        let pump = StreamProcessor::new(workload.processor()?, sink.recipient());
        let pump = runtime.spawn(&name("pump"), pump)?;
        let processor = workload.processor()?;
        let mut player = Player {
            workload,
            processor,
            pump,
            sink,
            operations: 1,
            made: 0,
            costs: [Vec::new(), Vec::new()],
        };
        loop {
            let began = processor_time();
            player.process(player.operations);
            if processor_time() - began > ROUND / 2 {
                break;
            }
            player.operations *= 2;
        }
        players.push(player);
    }
    for round in 0..=ROUNDS {
        for player in &mut players {
            // The first round warms up.
            player.play(round > 0).await?;
        }
    }
    println!("a message: ns of processor time, heap requests, bytes");
    let ancestor = "the ancestor: ns an operation there; here ns, bytes, requests a message";
    println!("{:<46} {:>22}    {:>22}    {ancestor}", "", "processor", "subsystem");
    for player in &mut players {
        let counted = player.count().await?;
        print!("{:<46}", player.workload.name);
        for (costs, (requests, bytes)) in player.costs.iter().zip(counted) {
            print!(" {:>8.0} {requests:>6.2} {bytes:>7.0}   ", Spread::of(costs.iter().copied()).median);
        }
        println!(" {}", player.workload.ancestor);
    }
    runtime.shutdown().await?;
    Ok(())
}
