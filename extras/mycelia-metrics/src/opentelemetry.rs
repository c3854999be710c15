//! Export to OpenTelemetry: instruments that are read whenever its SDK collects.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Meter};

use crate::families::{Kind, Labels, families, label};
use crate::metrics::Metrics;
use crate::snapshot::Snapshot;

/// The instruments of one collection are read one after another, from one snapshot.
const ONE_COLLECTION: Duration = Duration::from_millis(100);

const WAIT: &str = "mycelia_wait";
const HANDLING: &str = "mycelia_handling";

impl Metrics {
    /// Registers everything with this meter, to be read whenever its provider collects. Needs the feature `opentelemetry`.
    ///
    /// The instruments have the names of `/metrics`, with a dot after the first word: `mycelia.messages`. There are no histograms
    /// that can be observed, so times are gauges, `mycelia.wait` and `mycelia.handling`, with `quantile` as an attribute.
    ///
    /// ```
    /// use mycelia_actors::prelude::*;
    /// use mycelia_metrics::Metrics;
    /// use opentelemetry::metrics::MeterProvider;
    /// use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // Or any other exporter, such as OTLP's.
    /// let exporter = InMemoryMetricExporter::default();
    /// let provider = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build();
    /// let runtime = Runtime::new();
    /// Metrics::of(&runtime)?.export_to(&provider.meter("my_server"));
    /// provider.force_flush()?;
    /// assert!(!exporter.get_finished_metrics()?.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Ends and fates that a subsystem never had are left out, for the SDK keeps 2000 sets of attributes of an instrument only.
    ///
    /// # Cost
    /// Nothing between collections; a snapshot for each. The meter's provider keeps these metrics.
    pub fn export_to(&self, meter: &Meter) {
        let collected = Arc::new(Collected { metrics: self.clone(), latest: Mutex::default() });
        for family in families(&self.snapshot()) {
            let name = family.name.replacen('_', ".", 1);
            let observe = collected.observe(family.name);
            let unit = match family.name.rsplit('_').next() {
                Some("bytes") => "By",
                Some("seconds") => "s",
                _ => "1",
            };
            // A meter keeps its callbacks by itself.
            match family.kind {
                Kind::Counter => {
                    let builder =
                        meter.f64_observable_counter(name).with_unit(unit).with_description(family.help);
                    let _ = builder.with_callback(observe).build();
                }
                Kind::Gauge => {
                    let builder =
                        meter.f64_observable_gauge(name).with_unit(unit).with_description(family.help);
                    let _ = builder.with_callback(observe).build();
                }
            }
        }
        let times = [
            (WAIT, "From the sending of a message to its handling, lately, sampled"),
            (HANDLING, "How long handlers took lately, sampled"),
        ];
        for (name, help) in times {
            let builder = meter.f64_observable_gauge(name.replacen('_', ".", 1)).with_unit("s");
            let _ = builder.with_description(help).with_callback(collected.observe(name)).build();
        }
    }
}

/// Values with their attributes, by the names of `/metrics`.
type Values = HashMap<&'static str, Vec<(Vec<KeyValue>, f64)>>;

struct Collected {
    metrics: Metrics,
    latest: Mutex<Option<(Instant, Arc<Values>)>>,
}

impl Collected {
    fn lock(&self) -> MutexGuard<'_, Option<(Instant, Arc<Values>)>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The values of this collection, if an instrument has asked before.
    fn recent(&self) -> Option<Arc<Values>> {
        self.lock()
            .as_ref()
            .filter(|(at, _)| at.elapsed() < ONE_COLLECTION)
            .map(|(_, values)| Arc::clone(values))
    }

    fn observe(self: &Arc<Self>, name: &'static str) -> impl Fn(&dyn AsyncInstrument<f64>) + use<> {
        let collected = Arc::clone(self);
        move |instrument| {
            // Under no lock: to ask for the figures of subsystems, and to observe, runs code of the user.
            let recent = collected.recent();
            let values = recent.unwrap_or_else(|| {
                let values = Arc::new(values(&collected.metrics.exported()));
                collected.lock().replace((Instant::now(), Arc::clone(&values)));
                values
            });
            for (attributes, value) in values.get(name).into_iter().flatten() {
                instrument.observe(*value, attributes);
            }
        }
    }
}

fn attributes(labels: Labels<'_>) -> impl Iterator<Item = KeyValue> {
    labels.into_iter().map(|(key, value)| KeyValue::new(key, value.to_owned()))
}

fn values(snapshot: &Snapshot) -> Values {
    let mut all = Values::new();
    for family in families(snapshot) {
        let is_gauge = family.kind == Kind::Gauge;
        let values = family.values.into_iter();
        let values = values.filter(|(labels, value)| is_gauge || labels.len() < 2 || *value > 0.0);
        let values = values.map(|(labels, value)| (attributes(labels).collect(), value));
        all.insert(family.name, values.collect());
    }
    for one in &snapshot.subsystems {
        for (name, times) in [(WAIT, one.waited), (HANDLING, one.took)] {
            let quantiles = [("0.5", times.p50), ("0.95", times.p95), ("0.99", times.p99)];
            let of_one = quantiles.into_iter().filter(|_| times.count > 0).map(|(quantile, value)| {
                (attributes(label(one)).chain([KeyValue::new("quantile", quantile)]).collect(), value)
            });
            all.entry(name).or_default().extend(of_one);
        }
    }
    all
}
