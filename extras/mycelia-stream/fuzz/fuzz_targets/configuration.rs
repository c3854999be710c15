//! Any text as a configuration: it is refused, or it works.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mycelia_stream::{Config, Processor, Record};

fuzz_target!(|text: &str| {
    let Ok(mut config) = Config::parse(text) else { return };
    config.limits.time_ms = config.limits.time_ms.min(50);
    let Ok(mut processor) = Processor::new(&config) else { return };
    let records: Vec<Record> =
        config.sources.values().map(|topic| Record::new(topic.as_str(), r#"{"value":"5","timestamp_ms":1}"#)).collect();
    for output in processor.process(&records) {
        let payload: serde_json::Value = serde_json::from_slice(&output.payload).expect("outputs are JSON");
        assert!(payload["timestamp_ms"] == 1 && !payload["value"].is_null());
    }
});
