//! Keeps the compiler's version for the report: it belongs to the figures as much as theirs.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = Command::new(rustc).arg("--version").output().ok();
    let version = version.and_then(|output| String::from_utf8(output.stdout).ok());
    println!("cargo:rustc-env=RUSTC_VERSION={}", version.as_deref().unwrap_or("unknown rustc").trim());
}
