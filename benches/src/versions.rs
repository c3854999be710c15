//! Which version of a package was compiled in, from the workspace's `Cargo.lock`.

const LOCK: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock"));

/// The version of one of this crate's dependencies, or of this crate; `?` when the lock does not know it.
pub fn version_of(package: &str) -> &'static str {
    let mut found = packages(LOCK).filter(|entry| field(entry, "name") == Some(package));
    match (found.next(), found.next()) {
        (Some(entry), None) => field(entry, "version").unwrap_or("?"),
        // Several versions in the workspace: ours is the one named among our dependencies.
        (Some(_), Some(_)) => ours(package).unwrap_or("?"),
        (None, _) => "?",
    }
}

/// The compiler's version, as it says itself.
pub fn rustc() -> &'static str {
    env!("RUSTC_VERSION")
}

fn packages(lock: &'static str) -> impl Iterator<Item = &'static str> {
    lock.split("[[package]]").skip(1)
}

fn field(entry: &'static str, name: &str) -> Option<&'static str> {
    let value = |line: &'static str| line.strip_prefix(name)?.strip_prefix(" = \"")?.strip_suffix('"');
    entry.lines().find_map(value)
}

fn ours(package: &str) -> Option<&'static str> {
    let us = packages(LOCK).find(|entry| field(entry, "name") == Some(env!("CARGO_PKG_NAME")))?;
    us.lines().find_map(|line| {
        line.trim().strip_prefix('"')?.strip_prefix(package)?.strip_prefix(' ')?.strip_suffix("\",")
    })
}

#[cfg(test)]
mod tests {
    use super::{rustc, version_of};

    #[test]
    fn versions_are_read_from_the_lock() {
        assert_eq!(version_of("mycelia-benches"), env!("CARGO_PKG_VERSION"));
        assert!(version_of("tokio").starts_with("1."));
        assert_eq!(version_of("no such package"), "?");
        assert!(rustc().starts_with("rustc "));
    }
}
