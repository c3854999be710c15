//! Values for parameters that look like what people send: user names, numbers, hashes, versions.

use crate::random::Random;

const USERS: &[&str] = &[
    "rust-lang",
    "octocat",
    "torvalds",
    "tokio-rs",
    "ferris",
    "grace-hopper",
    "ada",
    "linus",
    "mona",
    "kernel-team",
    "alan.turing",
    "barbara_l",
    "edsger",
    "hyperium",
    "serde-rs",
    "bytecodealliance",
];
const REPOSITORIES: &[&str] = &[
    "rust",
    "hello-world",
    "linux",
    "tokio",
    "cargo",
    "book",
    "rust-analyzer",
    "mio",
    "hyper",
    "serde_json",
    "wasmtime",
    "dotfiles",
    "website.github.io",
    "awesome-things",
    "crates.io",
    "rfcs",
];
const LABELS: &[&str] =
    &["bug", "good-first-issue", "help-wanted", "needs-triage", "A-async", "P-high", "wontfix"];
const BRANCHES: &[&str] = &["main", "master", "develop", "release-1.2", "fix-lost-wakeup", "gh-pages"];
const FILES: &[&str] =
    &["README.md", "src/lib.rs", "src/bin/main.rs", "docs/guide/first-steps.md", "Cargo.toml"];
const REFS: &[&str] = &["heads/main", "heads/feature/fast-router", "tags/v1.4.0", "heads/release-2024"];
const SECRETS: &[&str] = &["DEPLOY_TOKEN", "NPM_KEY", "CRATES_IO_TOKEN", "SIGNING_KEY"];

/// A value for the parameter of a name.
pub(crate) fn value(name: &str, random: &mut Random) -> String {
    match name {
        "owner" | "template_owner" | "org" | "username" | "target_user" | "assignee" | "enterprise" => {
            numbered(USERS, random)
        }
        "repo" | "template_repo" | "repo_name" | "package_name" | "app_slug" | "environment_name" => {
            numbered(REPOSITORIES, random)
        }
        "name" | "key" | "team_slug" | "codespace_name" | "label" => numbered(LABELS, random),
        "secret_name" => numbered(SECRETS, random),
        "branch" => numbered(BRANCHES, random),
        "basehead" => format!("{}...{}", random.pick(BRANCHES), numbered(BRANCHES, random)),
        // Only the rest of a path may hold slashes.
        "*path" => random.pick(FILES).to_owned(),
        "*ref" => random.pick(REFS).to_owned(),
        "dir" => numbered(&["docs", "guides", "notes"], random),
        "tag" | "version" | "revision" => version(random),
        "package_type" => random.pick(&["npm", "maven", "container", "rubygems"]).to_owned(),
        "license" => random.pick(&["mit", "apache-2.0", "mpl-2.0", "gpl-3.0"]).to_owned(),
        "archive_format" => "zip".to_owned(),
        "ghsa_id" => format!("GHSA-{}-{}-{}", letters(4, random), letters(4, random), letters(4, random)),
        "client_id" => format!("Iv1.{}", hex(16, random)),
        "code" | "sarif_id" => uuid(random),
        "sha" | "ref" => hex(if random.below(2) == 0 { 40 } else { 7 }, random),
        _ if name.ends_with("_sha") => hex(40, random),
        _ if name.ends_with("_number") => random.below(20_000).to_string(),
        _ => identity(random),
    }
}

/// What stands for a thing: mostly a number, else a name, a short hash or a long one.
fn identity(random: &mut Random) -> String {
    match random.below(8) {
        0..4 => {
            let digits = 1 + random.below(8) as u32;
            random.below(10_usize.pow(digits)).to_string()
        }
        4 | 5 => numbered(USERS, random),
        6 => hex(7, random),
        _ => uuid(random),
    }
}

/// One of several, half the time with a number behind it.
fn numbered(from: &[&str], random: &mut Random) -> String {
    let text = random.pick(from);
    match random.below(2) {
        0 => text.to_owned(),
        _ => format!("{text}-{}", random.below(1000)),
    }
}

fn version(random: &mut Random) -> String {
    format!("v{}.{}.{}", random.below(10), random.below(30), random.below(10))
}

fn letters(count: usize, random: &mut Random) -> String {
    (0..count).map(|_| char::from(random.pick(b"23456789cfghjmpqrvwx"))).collect()
}

fn hex(count: usize, random: &mut Random) -> String {
    (0..count).map(|_| char::from(random.pick(b"0123456789abcdef"))).collect()
}

fn uuid(random: &mut Random) -> String {
    [8, 4, 4, 4, 12].map(|count| hex(count, random)).join("-")
}
