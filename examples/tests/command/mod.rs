//! Running an example as its user does.

use std::ffi::OsStr;
use std::process::Command;

/// What a run of an example left behind.
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) printed: String,
    pub(crate) errors: String,
}

/// Builds the example, if it has changed since, and runs it.
pub(crate) fn run<A: AsRef<OsStr>>(example: &str, arguments: &[A]) -> Outcome {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["run", "--quiet", "--example", example]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command.arg("--").args(arguments).output().expect("cargo runs");
    Outcome {
        code: output.status.code(),
        printed: String::from_utf8(output.stdout).expect("stdout is text"),
        errors: String::from_utf8(output.stderr).expect("stderr is text"),
    }
}
