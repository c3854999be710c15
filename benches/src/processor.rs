//! Processor time, of all threads of this process together.

use std::time::Duration;

/// How much processor time this process has used so far.
///
/// # Panics
/// Where the clock is not known, that is anywhere but on Unix.
pub fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes to `time`, which lives until it has returned, and to nothing else.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    assert_eq!(status, 0, "there is a clock for the process");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
