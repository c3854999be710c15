//! The process, as the operating system sees it.

use serde::{Deserialize, Serialize};

/// The process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Process {
    /// Resident memory, in bytes.
    pub resident_bytes: u64,
    /// Processor time so far, of all threads, in seconds.
    pub cpu_seconds: f64,
    /// Threads.
    pub threads: u64,
    /// Open files and sockets.
    pub open_files: u64,
}

impl Process {
    /// At this moment; `None` if it cannot be read: elsewhere than on Linux, or when there are too many open files. Reads three files of
    /// procfs, in some tens of microseconds.
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn now() -> Option<Self> {
        let own = procfs::process::Process::myself().ok()?;
        let stat = own.stat().ok()?;
        let ticks = stat.utime + stat.stime;
        Some(Self {
            resident_bytes: stat.rss * procfs::page_size(),
            cpu_seconds: ticks as f64 / procfs::ticks_per_second() as f64,
            threads: u64::try_from(stat.num_threads).unwrap_or(0),
            open_files: own.fd_count().ok()? as u64,
        })
    }

    /// There is nothing to read here.
    #[cfg(not(target_os = "linux"))]
    #[must_use]
    pub fn now() -> Option<Self> {
        None
    }
}
