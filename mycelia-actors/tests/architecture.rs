//! Which crate may depend on which, read from `cargo metadata`.
#![cfg(not(any(mycelia_loom, miri)))]

use std::collections::{BTreeSet, HashMap};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Ours, and what each may depend on: ours first, then what is so large that it must be said.
const ALLOWED: [(&str, &[&str]); 14] = [
    ("mycelia-core", &[]),
    ("mycelia-pool", &["mycelia-core"]),
    ("mycelia-queue", &["mycelia-core"]),
    ("mycelia-router", &[]),
    ("mycelia-actors", &["mycelia-core", "mycelia-pool", "mycelia-queue", "mycelia-router", "tokio"]),
    ("mycelia-testkit", &["mycelia-actors", "tokio"]),
    ("mycelia-metrics", &["mycelia-actors", "tokio"]),
    ("mycelia-load", &["mycelia-actors", "mycelia-metrics", "tokio"]),
    ("mycelia-stream", &["mycelia-actors", "mycelia-core", "tokio"]),
    ("mycelia-examples", &["mycelia-actors", "tokio"]),
    ("mycelia-sigterm", &["mycelia-actors", "tokio"]),
    (
        "mycelia-benches",
        &[
            "mycelia-actors",
            "mycelia-metrics",
            "mycelia-pool",
            "mycelia-queue",
            "mycelia-router",
            "mycelia-stream",
            "tokio",
        ],
    ),
    ("mycelia-trials", &["mycelia-actors", "mycelia-metrics", "mycelia-router", "futures", "tokio"]),
    ("mycelia-instructions", &["mycelia-actors", "mycelia-pool", "mycelia-queue", "tokio"]),
];
const WATCHED: [&str; 4] = ["tokio", "async-std", "smol", "futures"];

#[test]
fn every_crate_depends_only_on_those_below_it() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(manifest).no_deps().exec().unwrap();
    let found: HashMap<String, BTreeSet<String>> = metadata
        .packages
        .iter()
        .map(|package| {
            let normal =
                package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
            (package.name.to_string(), normal.map(|dependency| dependency.name.clone()).collect())
        })
        .collect();
    assert_eq!(found.len(), ALLOWED.len(), "a crate that this test does not know: {:?}", found.keys());
    for (name, allowed) in ALLOWED {
        for dependency in &found[name] {
            let matters = dependency.starts_with("mycelia-") || WATCHED.contains(&dependency.as_str());
            assert!(
                !matters || allowed.contains(&dependency.as_str()),
                "{name} must not depend on {dependency}"
            );
        }
    }
}

#[test]
fn the_lower_crates_have_no_async_runtime_anywhere_below_them() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(manifest).exec().unwrap();
    let nodes: HashMap<_, _> =
        metadata.resolve.unwrap().nodes.into_iter().map(|node| (node.id.clone(), node)).collect();
    for lower in ["mycelia-core", "mycelia-pool", "mycelia-queue", "mycelia-router"] {
        let package = metadata.packages.iter().find(|package| package.name.as_str() == lower).unwrap();
        let (mut queue, mut seen) = (vec![package.id.clone()], BTreeSet::new());
        while let Some(id) = queue.pop() {
            let node = &nodes[&id];
            for dependency in &node.deps {
                let normal = dependency.dep_kinds.iter().any(|kind| {
                    kind.kind == DependencyKind::Normal
                        && kind
                            .target
                            .as_ref()
                            .is_none_or(|target| !target.to_string().contains("mycelia_loom"))
                });
                if normal && seen.insert(dependency.pkg.repr.clone()) {
                    assert!(
                        !WATCHED.contains(&dependency.name.as_str()),
                        "{lower} reaches {}",
                        dependency.name
                    );
                    queue.push(dependency.pkg.clone());
                }
            }
        }
    }
}
