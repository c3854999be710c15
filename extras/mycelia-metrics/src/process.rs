//! The process, as the operating system sees it.

use serde::{Deserialize, Serialize};

/// The process. All zero where there is no procfs: elsewhere than on Linux.
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
    /// At this moment. Reads three files of procfs: some tens of microseconds.
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn now() -> Self {
        let read = || {
            let own = procfs::process::Process::myself()?;
            let stat = own.stat()?;
            let ticks = stat.utime + stat.stime;
            procfs::ProcResult::Ok(Self {
                resident_bytes: stat.rss * procfs::page_size(),
                cpu_seconds: ticks as f64 / procfs::ticks_per_second() as f64,
                threads: u64::try_from(stat.num_threads).unwrap_or(0),
                open_files: own.fd_count()? as u64,
            })
        };
        read().unwrap_or_default()
    }

    /// At this moment: there is nothing to read here.
    #[cfg(not(target_os = "linux"))]
    #[must_use]
    pub fn now() -> Self {
        Self::default()
    }
}
