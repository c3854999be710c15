//! Any bytes as a payload: refused, or all outputs are JSON.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use mycelia_stream::{Processor, Record};

thread_local! {
    static PROCESSOR: RefCell<Processor> = RefCell::new(
        Processor::from_text(
            r#"{ "model": { "name": "m", "version": "v1" }, "output_topic": "out", "sources": { "a": "in" }, "mapping": {
                "a": "a", "b": "`${a}`", "c": "a.length", "d": "a[0]", "e": "a + 1", "f": "(() => a)()", "g": "JSON.stringify(a)",
                "h": "a == 1", "i": "a.slice(1)", "j": "a.toUpperCase()", "k": "[a, a].join()" } }"#,
        )
        .expect("the configuration is fine"),
    );
}

fuzz_target!(|payload: Vec<u8>| {
    PROCESSOR.with_borrow_mut(|processor| {
        for output in processor.process(&[Record::new("in", payload)]) {
            let payload: serde_json::Value = serde_json::from_slice(&output.payload).expect("outputs are JSON");
            assert!(payload["timestamp_ms"].is_i64() && !payload["value"].is_null());
        }
    });
});
