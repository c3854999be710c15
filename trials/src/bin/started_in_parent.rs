//! `Address::started` says what awaiting it in a handler means, as `Address::ended` does.
use std::path::Path;
use std::process::ExitCode;

/// The doc comments in front of each public item that contains `item`.
fn docs(folder: &Path, item: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            docs(&entry.path(), item, found);
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        for at in (0..lines.len()).filter(|at| lines[*at].starts_with("pub ") && lines[*at].contains(item)) {
            let doc =
                lines[..at].iter().rev().take_while(|line| line.starts_with("///") || line.starts_with("#["));
            found.push(doc.copied().collect::<Vec<_>>().join("\n"));
        }
    }
}
fn main() -> ExitCode {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../mycelia-actors/src");
    for item in ["fn ended(&self)", "fn started(&self)"] {
        let mut found = Vec::new();
        docs(&sources, item, &mut found);
        let says = !found.is_empty() && found.iter().all(|doc| doc.contains("handler"));
        figures::judge(&format!("the documentation of `{item}` speaks of handlers"), says, "true", says);
    }
    figures::verdict()
}
