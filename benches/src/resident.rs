//! Resident memory: of this process now, and of a contender's actors in a fresh process.

use std::process::Command;

use crate::failure::Failure;

/// The option by which the program runs itself to measure one contender's memory. Not for users.
pub const MEASURE_MEMORY: &str = "--measure-memory";

/// Resident bytes per actor.
#[derive(Clone, Copy, Debug)]
pub struct Resident {
    /// Before it had any message.
    pub idle: f64,
    /// Idle again after its first message.
    pub used: f64,
}

impl Resident {
    /// Measures a contender in a fresh process, which prints the two figures on one line.
    pub fn in_child(contender: &str) -> Result<Self, Failure> {
        let failed = |reason: &dyn ToString| Failure::Child(reason.to_string());
        let program = std::env::current_exe().map_err(|error| failed(&error))?;
        let output = Command::new(program).args([MEASURE_MEMORY, contender]).output();
        let output = output.map_err(|error| failed(&error))?;
        if !output.status.success() {
            return Err(failed(&String::from_utf8_lossy(&output.stderr)));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let figures: Vec<f64> = text.split_whitespace().filter_map(|figure| figure.parse().ok()).collect();
        match figures[..] {
            [idle, used] => Ok(Self { idle, used }),
            _ => Err(failed(&text)),
        }
    }
}

/// What this process has in memory: the second field of `/proc/self/statm`, in pages of 4096 bytes.
///
/// # Panics
/// Where there is no such file, that is anywhere but on Linux.
pub fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("memory is measured on Linux");
    let pages = statm.split_whitespace().nth(1).and_then(|field| field.parse::<u64>().ok());
    pages.expect("statm has a second field") * 4096
}
