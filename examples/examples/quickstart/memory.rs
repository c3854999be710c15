//! The memory of this process, as Linux tells it.

use std::fmt;

use indicatif::BinaryBytes;

/// Resident memory. From `status` rather than `statm`, which counts in pages of a size that std does not know.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    resident: Option<u64>,
}

impl Memory {
    /// What is resident at the moment.
    pub(crate) fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self { resident: resident(&status) }
    }
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.resident {
            Some(bytes) => write!(f, "{}", BinaryBytes(bytes)),
            None => f.write_str("not known here"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_found_among_the_lines() {
        assert_eq!(resident("Name:\tx\nVmHWM:\t   9 kB\nVmRSS:\t    4312 kB\n"), Some(4312 * 1024));
        assert_eq!(resident(""), None);
        assert_eq!(resident("VmRSS:\tmany kB"), None);
    }
}
