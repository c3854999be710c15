//! What the SDK of OpenTelemetry collects is what the snapshot says.

use std::sync::Arc;

use mycelia_actors::prelude::*;
use mycelia_actors::{Figure, Figures};
use mycelia_metrics::Metrics;
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};

struct Echo;
impl Subsystem for Echo {
    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        cx.show(Arc::new(Shown));
        Ok(())
    }
}

struct Shown;
impl Figures for Shown {
    fn figures(&self) -> Vec<Figure> {
        vec![Figure::counter("echoes", 3.0), Figure::gauge("loudness", 0.0)]
    }
}

impl Handler<u64> for Echo {
    type Reply = u64;
    async fn handle(&mut self, number: u64, _: &mut Context<Self>) -> u64 {
        assert_ne!(number, 13);
        number
    }
}

/// The one value of this metric that has these attributes.
fn value(exporter: &InMemoryMetricExporter, name: &str, wanted: &[(&str, &str)]) -> Option<f64> {
    let finished = exporter.get_finished_metrics().unwrap();
    let latest = finished.last().unwrap();
    let metric =
        latest.scope_metrics().flat_map(|scope| scope.metrics()).find(|metric| metric.name() == name)?;
    let AggregatedMetrics::F64(data) = metric.data() else { panic!("{name} is no float") };
    let points: Vec<(Vec<_>, f64)> = match data {
        MetricData::Gauge(gauge) => {
            gauge.data_points().map(|point| (point.attributes().collect(), point.value())).collect()
        }
        MetricData::Sum(sum) => {
            assert!(sum.is_monotonic());
            sum.data_points().map(|point| (point.attributes().collect(), point.value())).collect()
        }
        _ => panic!("{name} is a histogram"),
    };
    let has = |attributes: &[&opentelemetry::KeyValue]| {
        attributes.len() == wanted.len()
            && wanted.iter().all(|(key, value)| {
                attributes.iter().any(|one| one.key.as_str() == *key && one.value.as_str() == *value)
            })
    };
    points.iter().find(|(attributes, _)| has(attributes)).map(|(_, value)| *value)
}

#[tokio::test]
async fn the_sdk_collects_what_the_snapshot_says() {
    let exporter = InMemoryMetricExporter::default();
    let provider = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build();
    let runtime = Runtime::new();
    let metrics = Metrics::of(&runtime).unwrap();
    metrics.export_to(&provider.meter("test"));
    let echo = runtime.spawn_with("echo", || Echo).unwrap();
    for number in 0..20 {
        let _ = echo.ask(number).await;
    }
    provider.force_flush().unwrap();

    let of = |name: &str, attributes: &[(&str, &str)]| value(&exporter, name, attributes);
    assert_eq!(of("mycelia.messages_sent", &[]), Some(20.0));
    let one = ("subsystem", "echo");
    assert_eq!(of("mycelia.subsystem_messages", &[one, ("fate", "handled")]), Some(19.0));
    assert_eq!(of("mycelia.subsystem_messages", &[one, ("fate", "failed")]), Some(1.0));
    assert_eq!(of("mycelia.subsystem_asks", &[one, ("end", "replied")]), Some(19.0));
    assert_eq!(of("mycelia.mailbox_capacity", &[one]), Some(1024.0));
    // What it shows itself; a measurement may be 0.
    assert_eq!(of("mycelia.subsystem_counts", &[one, ("name", "echoes")]), Some(3.0));
    assert_eq!(of("mycelia.subsystem_figures", &[one, ("name", "loudness")]), Some(0.0));
    assert!(of("process.resident_memory_bytes", &[]).unwrap() > 1e6);
    assert!(of("mycelia.handling", &[one, ("quantile", "0.99")]).unwrap() > 0.0);
    let (sent, nobody) =
        (metrics.snapshot().ledger.sent, of("mycelia.subsystem_messages", &[("subsystem", "bob")]));
    assert_eq!((sent, nobody), (20, None));
}
