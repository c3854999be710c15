//! The text format of OpenMetrics, which Prometheus reads.

use std::fmt::Error;

use hdrhistogram::Histogram;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::families::{Family, Kind, families, label};
use crate::quantiles::seconds;
use crate::snapshot::Snapshot;
use crate::subsystem::Subsystem;
use crate::timings::{Times, Timings};

/// What a server says the text is.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of the histograms' buckets, in nanoseconds: three for each power of ten, from 1 µs to 10 s.
fn bounds() -> impl Iterator<Item = u64> {
    let powers = (3..10).map(|power| 10_u64.pow(power));
    powers.flat_map(|power| [power, 2 * power, 5 * power]).chain([10_u64.pow(10)])
}

pub(crate) fn encode(snapshot: Snapshot, timings: &Timings) -> String {
    // Cloned under the lock, which samples wait for, and counted outside.
    let all = |times: &mut Times| [&times.waited, &times.took].map(|times| times.all().clone());
    let buckets = |one: &Subsystem| Some(timings.look(&one.name, all)?.each_ref().map(Buckets::of));
    let times = snapshot.subsystems.iter().map(buckets).collect();
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Page { snapshot, times }));
    let mut encoded = String::new();
    // A `String` takes all.
    let _ = text::encode(&mut encoded, &registry);
    encoded
}

#[derive(Debug)]
struct Page {
    snapshot: Snapshot,
    /// Of those with names, in their order: how long messages waited, and took.
    times: Vec<Option<[Buckets; 2]>>,
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        for family in families(&self.snapshot) {
            encode_family(&mut encoder, family)?;
        }
        self.histogram(
            &mut encoder,
            0,
            "mycelia_wait",
            "From the sending of a message to its handling, sampled",
        )?;
        self.histogram(&mut encoder, 1, "mycelia_handling", "How long handlers take, sampled")
    }
}

impl Page {
    fn histogram(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        which: usize,
        name: &str,
        help: &str,
    ) -> Result<(), Error> {
        let mut family =
            encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for (one, times) in self.snapshot.subsystems.iter().zip(&self.times) {
            let Some(times) = times else { continue };
            let Buckets { sum, count, counts } = &times[which];
            let labels = label(one);
            family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(*sum, *count, counts, None)?;
        }
        Ok(())
    }
}

fn encode_family(encoder: &mut DescriptorEncoder<'_>, family: Family<'_>) -> Result<(), Error> {
    let metric_type = match family.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
    };
    let mut metrics = encoder.encode_descriptor(family.name, family.help, None, metric_type)?;
    for (labels, value) in family.values {
        let encode = |mut metric: MetricEncoder<'_>| match family.kind {
            Kind::Counter => metric.encode_counter::<NoLabelSet, _, f64>(&value, None),
            Kind::Gauge => metric.encode_gauge(&value),
        };
        if labels.is_empty() {
            return encode(metrics);
        }
        encode(metrics.encode_family(&labels)?)?;
    }
    Ok(())
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
