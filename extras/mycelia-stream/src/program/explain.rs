//! What a configuration will do.

use std::fmt::Write;
use std::path::Path;

use mycelia_stream::Processor;

pub(crate) fn explain(processor: &Processor, path: &Path) -> String {
    let mut text = String::new();
    for mapping in processor.mappings() {
        let when = match (&*mapping.dependencies, mapping.fixed) {
            ([], Some(value)) => format!("static: always {}", shortened(value)),
            ([], None) if mapping.is_fixed => "static: fails for every message".to_owned(),
            ([], None) => {
                "static: evaluated for every message, for it looks at the clock or at chance".to_owned()
            }
            ([name], _) => format!("dynamic: for every message of {name}"),
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
        let _ = writeln!(text, "warning: {}: {warning}", path.display());
    }
    let count = |number, noun| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
    let mappings = count(processor.mappings().count(), "mapping");
    let _ = match processor.warnings().len() {
        0 => writeln!(text, "the configuration is fine: {mappings}"),
        warnings => {
            writeln!(text, "the configuration can be used: {mappings}, {}", count(warnings, "warning"))
        }
    };
    text
}

/// An expression of several lines, under one another.
fn lines(expression: &str) -> String {
    expression.trim_end().lines().map(str::trim_end).collect::<Vec<_>>().join("\n  ")
}

/// The beginning of a value.
fn shortened(value: &str) -> String {
    match value.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

/// Characters of a value.
const LONGEST: usize = 60;
