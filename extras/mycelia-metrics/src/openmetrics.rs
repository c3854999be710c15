//! The text format of OpenMetrics, which Prometheus reads.

use std::fmt::Error;

use hdrhistogram::Histogram;
use mycelia_actors::Stats;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::quantiles::seconds;
use crate::snapshot::Snapshot;
use crate::subsystem::Subsystem;
use crate::timings::Timings;

/// What a server says the text is.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of the histograms' buckets, in nanoseconds: three for each power of ten, from 1 µs to 10 s.
fn bounds() -> impl Iterator<Item = u64> {
    let powers = (3..10).map(|power| 10_u64.pow(power));
    powers.flat_map(|power| [power, 2 * power, 5 * power]).chain([10_u64.pow(10)])
}

pub(crate) fn encode(snapshot: &Snapshot, timings: &Timings) -> String {
    // Those without names come and go together, so their counts are no counters.
    let named = snapshot.subsystems.iter().filter(|one| !one.name.contains("::"));
    let rows = named.map(|one| {
        let times = timings
            .look(&one.name, |times| [&times.waited, &times.took].map(|times| Buckets::of(times.all())));
        Row { subsystem: one.clone(), times }
    });
    let page = Page { rows: rows.collect(), snapshot: snapshot.clone() };
    let mut registry = Registry::default();
    registry.register_collector(Box::new(page));
    let mut encoded = String::new();
    // A `String` takes all.
    let _ = text::encode(&mut encoded, &registry);
    encoded
}

#[derive(Debug)]
struct Page {
    snapshot: Snapshot,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    subsystem: Subsystem,
    times: Option<[Buckets; 2]>,
}

#[derive(Debug)]
struct Buckets {
    sum: f64,
    count: u64,
    /// Upper bounds in seconds, each with how many are above the one before.
    counts: Vec<(f64, u64)>,
}

impl Buckets {
    fn of(histogram: &Histogram<u64>) -> Self {
        let mut counts = Vec::new();
        let mut below = 0;
        for bound in bounds() {
            let upto = if histogram.is_empty() { 0 } else { histogram.count_between(0, bound) };
            counts.push((seconds(bound), upto - below));
            below = upto;
        }
        counts.push((f64::INFINITY, histogram.len() - below));
        let sum = histogram.mean() * histogram.len() as f64 / 1e9;
        Self { sum, count: histogram.len(), counts }
    }
}

/// Labels with their values.
type Labels<'a> = Vec<(&'static str, &'a str)>;

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut families = Families(&mut encoder);
        self.runtime(&mut families)?;
        self.subsystems(&mut families)?;
        self.process(&mut families)
    }
}

impl Page {
    fn runtime(&self, families: &mut Families<'_, '_>) -> Result<(), Error> {
        let Snapshot { ledger, asks, pool, paths, .. } = &self.snapshot;
        let fates = ended(ledger).map(|(fate, count)| (vec![("fate", fate)], count));
        families.counters(
            "mycelia_messages",
            "Messages to all subsystems, ended ones as well, by fate",
            fates,
        )?;
        families.counters("mycelia_messages_sent", "Messages sent to all subsystems", one(ledger.sent))?;
        families.counters("mycelia_restarts", "Restarts of all subsystems", one(ledger.restarts))?;
        let ends = asks.ends().map(|(end, count)| (vec![("end", end)], count));
        families.counters("mycelia_asks", "Asks to all subsystems, by how they ended", ends)?;
        let unnamed =
            self.snapshot.subsystems.iter().map(|one| one.count).sum::<u64>() + self.snapshot.not_shown;
        families.gauges("mycelia_subsystems", "Subsystems that have not ended", one(unnamed))?;
        let health = one(self.snapshot.health as u64);
        families.gauges(
            "mycelia_health",
            "0 healthy, 1 degraded, 2 unhealthy: the worst subsystem",
            health,
        )?;
        let slots = [("in_use", pool.in_use), ("free", pool.created.saturating_sub(pool.in_use))];
        let slots = slots.map(|(state, count)| (vec![("state", state)], count));
        families.gauges("mycelia_pool_slots", "Slots of the message pool, of 128 bytes each", slots)?;
        families.counters(
            "mycelia_pool_acquired",
            "Slots acquired from the message pool",
            one(pool.acquired),
        )?;
        let errors = [
            ("no_subsystem", paths.no_subsystem),
            ("no_route", paths.no_route),
            ("denied", paths.denied),
            ("bad_body", paths.bad_body),
        ];
        let errors = errors.map(|(reason, count)| (vec![("reason", reason)], count));
        families.counters("mycelia_path_errors", "Messages by path that reached no subsystem", errors)?;
        let missed = one(self.snapshot.missed_dead_letters);
        families.counters(
            "mycelia_dead_letters_missed",
            "Dead letters that no subscriber had room for",
            missed,
        )
    }

    fn subsystems(&self, families: &mut Families<'_, '_>) -> Result<(), Error> {
        let each = |value: fn(&Subsystem) -> u64| {
            self.rows.iter().map(move |row| (row.labels(), value(&row.subsystem)))
        };
        let by_fate = self.rows.iter().flat_map(|row| {
            let fates = ended(&row.subsystem.ledger);
            fates.map(|(fate, count)| (vec![("subsystem", row.name()), ("fate", fate)], count))
        });
        families.counters("mycelia_subsystem_messages", "Messages to a subsystem, by fate", by_fate)?;
        let sent = each(|one| one.ledger.sent);
        families.counters("mycelia_subsystem_messages_sent", "Messages sent to a subsystem", sent)?;
        let by_end = self.rows.iter().flat_map(|row| {
            let ends = row.subsystem.asks.ends().into_iter();
            ends.map(|(end, count)| (vec![("subsystem", row.name()), ("end", end)], count))
        });
        families.counters("mycelia_subsystem_asks", "Asks to a subsystem, by how they ended", by_end)?;
        let restarts = each(|one| one.ledger.restarts);
        families.counters("mycelia_subsystem_restarts", "Restarts of a subsystem", restarts)?;
        let queued = each(|one| one.ledger.queued);
        families.gauges("mycelia_mailbox_messages", "Messages that wait for their turn", queued)?;
        let capacity = each(|one| one.ledger.capacity);
        families.gauges("mycelia_mailbox_capacity", "Messages that the mailbox holds at most", capacity)?;
        let waiting = each(|one| one.ledger.waiting);
        families.gauges("mycelia_senders_waiting", "Senders that wait for room", waiting)?;
        let in_hand = each(|one| one.ledger.in_hand);
        families.gauges("mycelia_messages_in_hand", "Messages that the handler has", in_hand)?;
        let health = each(|one| one.health as u64);
        families.gauges("mycelia_subsystem_health", "0 healthy, 1 degraded, 2 unhealthy", health)?;
        let times = |which: usize| {
            let timed = self.rows.iter().filter_map(move |row| Some((row, row.times.as_ref()?)));
            timed.map(move |(row, times)| (row.labels(), &times[which]))
        };
        families.histograms(
            "mycelia_wait",
            "From the sending of a message to its handling, sampled",
            times(0),
        )?;
        families.histograms("mycelia_handling", "How long handlers take, sampled", times(1))
    }

    fn process(&self, families: &mut Families<'_, '_>) -> Result<(), Error> {
        let Snapshot { process, tokio, .. } = &self.snapshot;
        families.gauges("process_resident_memory_bytes", "Resident memory", one(process.resident_bytes))?;
        let cpu = [(vec![], process.cpu_seconds)];
        families.counters("process_cpu_seconds", "Processor time of all threads", cpu)?;
        families.gauges("process_threads", "Threads", one(process.threads))?;
        families.gauges("process_open_fds", "Open files and sockets", one(process.open_files))?;
        families.gauges("tokio_workers", "Worker threads", one(tokio.workers))?;
        families.gauges("tokio_alive_tasks", "Tasks that have not ended", one(tokio.alive_tasks))?;
        families.gauges(
            "tokio_global_queue_depth",
            "Tasks that wait for any worker",
            one(tokio.global_queue),
        )?;
        let busy = [(vec![], tokio.busy_seconds)];
        families.counters("tokio_worker_busy_seconds", "How long workers have been busy", busy)?;
        families.counters("tokio_worker_parks", "How often workers have gone to sleep", one(tokio.parks))
    }
}

impl Row {
    fn name(&self) -> &str {
        &self.subsystem.name
    }

    fn labels(&self) -> Labels<'_> {
        vec![("subsystem", self.name())]
    }
}

/// The fates that messages end with: counters, unlike *queued* and *in hand*.
fn ended(ledger: &Stats) -> impl Iterator<Item = (&'static str, u64)> + use<> {
    ledger.fates().into_iter().filter(|(fate, _)| !matches!(*fate, "queued" | "in hand"))
}

fn one<'a>(value: u64) -> [(Labels<'a>, u64); 1] {
    [(Vec::new(), value)]
}

/// Writes families of metrics.
struct Families<'e, 'd>(&'e mut DescriptorEncoder<'d>);

impl Families<'_, '_> {
    fn counters<'a, N: Number>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels<'a>, N)>,
    ) -> Result<(), Error> {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in values {
            let counter = ConstCounter::new(value.float());
            match labels.is_empty() {
                true => return counter.encode(family),
                false => counter.encode(family.encode_family(&labels)?)?,
            }
        }
        Ok(())
    }

    fn gauges<'a, N: Number>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels<'a>, N)>,
    ) -> Result<(), Error> {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in values {
            let gauge = ConstGauge::new(value.float());
            match labels.is_empty() {
                true => return gauge.encode(family),
                false => gauge.encode(family.encode_family(&labels)?)?,
            }
        }
        Ok(())
    }

    fn histograms<'a>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels<'a>, &'a Buckets)>,
    ) -> Result<(), Error> {
        let mut family = self.0.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for (labels, Buckets { sum, count, counts }) in values {
            family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(*sum, *count, counts, None)?;
        }
        Ok(())
    }
}

trait Number {
    fn float(self) -> f64;
}

impl Number for u64 {
    fn float(self) -> f64 {
        self as f64
    }
}

impl Number for f64 {
    fn float(self) -> f64 {
        self
    }
}
