//! The processor between others: nothing is lost where its recipient is slow, and what is lost where that has ended is counted.

use std::time::Duration;

use mycelia_actors::prelude::*;
use mycelia_stream::{Batch, Config, Processor, Reconfigure, Record, StreamProcessor};

const CONFIG: &str = "{ model: { name: m, version: v1 }, output_topic: out, sources: { a: in.a, b: in.b }, mapping: { sum: a + b, a: a } }";

fn record(source: &str, value: u64) -> Record {
    Record::new(format!("in.{source}"), format!("{{\"value\":{value},\"timestamp_ms\":1}}"))
}

/// Keeps what it gets, each batch after a while.
#[derive(Default)]
struct Sink {
    records: Vec<Record>,
    batches: usize,
    pause: Duration,
}

struct Take;

impl Subsystem for Sink {}

impl Handler<Batch> for Sink {
    type Reply = ();
    async fn handle(&mut self, Batch(records): Batch, _cx: &mut Context<Self>) {
        tokio::time::sleep(self.pause).await;
        self.batches += 1;
        self.records.extend(records);
    }
}

impl Handler<Take> for Sink {
    type Reply = (usize, Vec<Record>);
    async fn handle(&mut self, Take: Take, _cx: &mut Context<Self>) -> Self::Reply {
        (self.batches, std::mem::take(&mut self.records))
    }
}

fn payloads(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| String::from_utf8_lossy(&record.payload).into_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn where_the_recipient_is_slow_senders_wait_and_nothing_is_lost() {
    let runtime = Runtime::new();
    let sink = Sink { pause: Duration::from_millis(10), ..Sink::default() };
    let sink = runtime.configure("sink").mailbox(Mailbox::bounded(2)).spawn(sink).unwrap();
    let pump = StreamProcessor::new(Processor::from_text(CONFIG).unwrap(), sink.recipient());
    let counters = pump.counters();
    let pump = runtime.configure("pump").mailbox(Mailbox::bounded(3)).budget(1).spawn(pump).unwrap();
    let began = tokio::time::Instant::now();
    for number in 0..50 {
        pump.send(Batch(vec![record("a", number)])).await.unwrap();
    }
    // All but what the mailboxes hold has been through the sink by now.
    assert!(began.elapsed() >= Duration::from_millis(10 * 40), "{:?}", began.elapsed());
    pump.stop();
    pump.ended().await;
    let (batches, records) = sink.ask(Take).await.unwrap();
    assert_eq!((batches, records.len()), (50, 50));
    let expected: Vec<_> =
        (0..50).map(|number| format!("{{\"value\":{number},\"timestamp_ms\":1}}")).collect();
    assert_eq!(payloads(&records), expected);
    let counted = counters.snapshot();
    assert_eq!((counted.outputs_generated, counted.outputs_undelivered), (50, 0));
    let stats = pump.stats();
    assert_eq!((stats.sent, stats.handled), (50, 50));
}

#[tokio::test]
async fn a_batch_without_outputs_sends_nothing() {
    let runtime = Runtime::new();
    let sink = runtime.spawn("sink", Sink::default()).unwrap();
    let pump = StreamProcessor::new(Processor::from_text(CONFIG).unwrap(), sink.recipient());
    let pump = runtime.spawn("pump", pump).unwrap();
    pump.send(Batch(vec![record("b", 1), record("c", 1)])).await.unwrap();
    pump.send(Batch::default()).await.unwrap();
    pump.started().await.unwrap();
    let survey = runtime.inspector().survey();
    let shown = survey.subsystems.iter().find(|one| one.name.as_given() == Some("pump")).unwrap().figures();
    let names: Vec<_> = shown.iter().map(|figure| figure.name).collect();
    assert!(names.contains(&"messages_dropped") && names.contains(&"active_mappings"), "{names:?}");
    pump.stop();
    pump.ended().await;
    assert_eq!(sink.ask(Take).await.unwrap(), (0, Vec::new()));
}

/// As many batches as it takes, while the recipient is slow.
#[tokio::test(start_paused = true)]
async fn large_outputs_of_one_batch_go_out_in_several() {
    let runtime = Runtime::new();
    let sink = Sink { pause: Duration::from_millis(10), ..Sink::default() };
    let sink = runtime.configure("sink").mailbox(Mailbox::bounded(1)).spawn(sink).unwrap();
    let config = CONFIG.replace("a: a }", "long: 'String(a).repeat(400000)' }");
    let pump = StreamProcessor::new(Processor::from_text(&config).unwrap(), sink.recipient());
    let counters = pump.counters();
    let pump = runtime.spawn("pump", pump).unwrap();
    let records = (0..10).map(|value| record(if value == 0 { "b" } else { "a" }, value)).collect();
    pump.send(Batch(records)).await.unwrap();
    pump.send(Batch(vec![record("b", 1)])).await.unwrap();
    pump.stop();
    pump.ended().await;
    let (batches, records) = sink.ask(Take).await.unwrap();
    assert_eq!((batches, records.len()), (4, 9 * 2 + 1));
    let sums = payloads(&records).into_iter().filter(|payload| payload.len() < 100);
    let due =
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map(|value| format!("{{\"value\":{value},\"timestamp_ms\":1}}"));
    assert_eq!(sums.collect::<Vec<_>>(), due);
    let counted = counters.snapshot();
    assert_eq!((counted.outputs_generated, counted.batch_processing_time.count), (19, 2));
}

#[tokio::test]
async fn it_is_reconfigured_between_two_batches() {
    let runtime = Runtime::new();
    let sink = runtime.spawn("sink", Sink::default()).unwrap();
    let pump = StreamProcessor::new(Processor::from_text(CONFIG).unwrap(), sink.recipient());
    let pump = runtime.spawn("pump", pump).unwrap();
    pump.send(Batch(vec![record("a", 1)])).await.unwrap();
    let bad = CONFIG.replace("a + b", "a +");
    let refused = pump.ask(Reconfigure::new(Config::parse(&bad).unwrap())).await.unwrap().unwrap_err();
    assert_eq!((refused.field(), refused.position()), (&["mapping".to_owned(), "sum".to_owned()][..], None));
    let column = bad.find("a +,").unwrap() as u32 + 1 + 3;
    let refused = pump.ask(Reconfigure::from_text(bad)).await.unwrap().unwrap_err();
    assert_eq!(refused.position(), Some((1, column)));
    let good = CONFIG.replace("a: a }", "b: b * 10, odd: 'null' }");
    let warnings = pump.ask(Reconfigure::from_text(&*good)).await.unwrap().unwrap();
    let [warning] = &*warnings else { panic!("{warnings:?}") };
    let column = good.find("'null' }").unwrap() as u32 + 1;
    assert_eq!(warning.position(), Some((1, column)));
    assert_eq!(warning.field(), ["mapping", "odd"]);
    pump.send(Batch(vec![record("b", 2)])).await.unwrap();
    pump.stop();
    pump.ended().await;
    let (_, records) = sink.ask(Take).await.unwrap();
    let due = [1, 3, 20].map(|value| format!("{{\"value\":{value},\"timestamp_ms\":1}}"));
    assert_eq!(payloads(&records), due);
}

#[tokio::test]
async fn outputs_for_somebody_who_has_ended_are_counted() {
    let runtime = Runtime::new();
    let sink = runtime.spawn("sink", Sink::default()).unwrap();
    let pump = StreamProcessor::new(Processor::from_text(CONFIG).unwrap(), sink.recipient());
    let counters = pump.counters();
    let pump = runtime.spawn("pump", pump).unwrap();
    sink.stop();
    sink.ended().await;
    pump.send(Batch(vec![record("a", 1), record("b", 1)])).await.unwrap();
    pump.send(Batch(vec![record("a", 1)])).await.unwrap();
    pump.stop();
    pump.ended().await;
    let counted = counters.snapshot();
    assert_eq!((counted.outputs_generated, counted.outputs_undelivered), (4, 4));
}

/// Of an ask that is over, and of a subsystem that is killed: nobody takes what still waits.
#[tokio::test(start_paused = true)]
async fn outputs_that_can_wait_no_longer_are_counted() {
    let runtime = Runtime::new();
    let sink = Sink { pause: Duration::from_millis(200), ..Sink::default() };
    let sink = runtime.configure("sink").mailbox(Mailbox::bounded(1)).spawn(sink).unwrap();
    let config = CONFIG.replace("a: a }", "long: 'String(a).repeat(1100000)' }");
    let pump = StreamProcessor::new(Processor::from_text(&config).unwrap(), sink.recipient());
    let counters = pump.counters();
    let pump = runtime.spawn("pump", pump).unwrap();
    let batch = || Batch((0..10).map(|value| record("a", value)).collect());
    let asked = pump.ask(batch()).within(Duration::from_millis(500)).await;
    assert!(asked.is_err(), "{asked:?}");
    pump.send(batch()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    pump.kill();
    pump.ended().await;
    let (_, records) = sink.ask(Take).within(Duration::from_secs(10)).await.unwrap();
    let counted = counters.snapshot();
    assert!(counted.outputs_undelivered > 1 && !records.is_empty(), "{counted:?}");
    assert_eq!(counted.outputs_generated, counted.outputs_undelivered + records.len() as u64);
}
