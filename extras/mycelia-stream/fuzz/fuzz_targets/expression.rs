//! Any text as an expression, natively where that is possible, and by the engine: it is refused, or evaluated within its limits, to JSON.
#![no_main]

use std::cell::RefCell;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use mycelia_stream::{Evaluator, Limits, Value};

const LIMITS: Limits = Limits { time_ms: 50, memory_bytes: 1 << 20, stack_bytes: 128 << 10 };
/// What a built-in function may take on, and a machine that does other things too.
const MORE: Duration = Duration::from_secs(5);

thread_local! {
    static EVALUATOR: RefCell<(Evaluator, u32)> = RefCell::new((new_evaluator(), 0));
}

fn new_evaluator() -> Evaluator {
    Evaluator::new(["a", "b"], LIMITS)
}

fuzz_target!(|text: &str| {
    EVALUATOR.with_borrow_mut(|(evaluator, uses)| {
        // It keeps all that it ever compiled.
        *uses += 1;
        if *uses % 500 == 0 {
            *evaluator = new_evaluator();
        }
        for text in [text.to_owned(), format!("(() => ({text}\n))()")] {
            let Ok(expression) = evaluator.compile(&text) else { return };
            let values = [("a", Value::from(25.5)), ("b", Value::from("añ😀"))];
            let began = Instant::now();
            let result = evaluator.evaluate_with(&expression, values);
            assert!(began.elapsed() < MORE, "{:?}", began.elapsed());
            if let Ok(value) = result {
                let json = serde_json::to_string(&value).expect("values are JSON");
                serde_json::from_str::<serde_json::Value>(&json).expect("JSON can be read");
            }
        }
    });
});
