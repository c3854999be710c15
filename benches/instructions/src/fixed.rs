//! Replaces what differs from run to run: the clock and the random numbers of the operating system.
//!
//! These two functions take the place of the C library's, for this program alone. Hash seeds are drawn from them, and the
//! sweeper of deadlines sleeps by the clock; so with both of them fixed a count of instructions repeats to the digit.

use std::sync::atomic::{AtomicU64, Ordering};

use libc::{c_int, c_uint, c_void, clockid_t, size_t, ssize_t, timespec};

/// Nanoseconds that one look at the clock takes.
const STEP: u64 = 1_000;

/// Nanoseconds since the program began.
static NOW: AtomicU64 = AtomicU64::new(0);

/// A clock that moves when it is looked at, and only then.
///
/// A wait with a timeout ends at once, because the time that it computes from this clock is long past; so a tokio that has
/// nothing but timers to wait for looks until the time has come.
///
/// # Safety
/// As for the C library's: `now` is valid for a write.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(_: clockid_t, now: *mut timespec) -> c_int {
    // Relaxed: the number publishes nothing.
    let nanoseconds = NOW.fetch_add(STEP, Ordering::Relaxed) + STEP;
    // SAFETY: by this function's contract.
    unsafe {
        now.write(timespec {
            tv_sec: (nanoseconds / 1_000_000_000) as _,
            tv_nsec: (nanoseconds % 1_000_000_000) as _,
        })
    };
    0
}

/// Random numbers that are the same in each run.
///
/// # Safety
/// As for the C library's: `bytes` is valid for writes of `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(bytes: *mut c_void, length: size_t, _: c_uint) -> ssize_t {
    // SAFETY: by this function's contract.
    unsafe { bytes.cast::<u8>().write_bytes(0x5a, length) };
    length as ssize_t
}
