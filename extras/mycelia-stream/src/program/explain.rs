//! What a configuration will do.

use std::fmt::Write;

use mycelia_stream::Processor;

pub(crate) fn explain(processor: &Processor) -> String {
    let mut text = String::new();
    for mapping in processor.mappings() {
        let when = match (&*mapping.dependencies, mapping.is_fixed) {
            ([], true) => "static: the same for every message".to_owned(),
            ([], false) => {
                "static: evaluated for every message, for it looks at the clock or at chance".to_owned()
            }
            (names, _) => {
                format!("dynamic: for every message of {}, once all of them have a value", names.join(", "))
            }
        };
        let by = if mapping.is_native { "native" } else { "QuickJS" };
        let _ = writeln!(
            text,
            "{}\n  {}\n  {when}\n  {by}\n  to {}",
            mapping.path,
            lines(mapping.expression),
            mapping.topic
        );
    }
    for warning in processor.warnings() {
        let _ = writeln!(text, "warning: mapping {}: {}", warning.mapping, warning.problem);
    }
    let _ = writeln!(text, "the configuration is fine: {} mappings", processor.mappings().count());
    text
}

/// An expression of several lines, under one another.
fn lines(expression: &str) -> String {
    expression.trim_end().lines().map(str::trim_end).collect::<Vec<_>>().join("\n  ")
}
