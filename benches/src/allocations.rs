//! Counts heap requests while a pass asks for it, and is as good as absent otherwise.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

static COUNTING: AtomicBool = AtomicBool::new(false);
static REQUESTS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

/// The system allocator with a counter in front of it.
///
/// While counting is off, which is always so in a timed run, a request costs one relaxed load and a branch more
/// than without it, and the same for every contender. `realloc` counts as a request; giving memory back does not.
pub struct CountingAllocator;

/// Counts from zero until [`stop_counting`].
pub fn start_counting() {
    REQUESTS.store(0, Ordering::Relaxed);
    BYTES.store(0, Ordering::Relaxed);
    COUNTING.store(true, Ordering::Relaxed);
}

/// Ends the count and says how many requests there were, on all threads together.
pub fn stop_counting() -> u64 {
    COUNTING.store(false, Ordering::Relaxed);
    REQUESTS.load(Ordering::Relaxed)
}

/// How many bytes those asked for that were counted last.
pub fn counted_bytes() -> u64 {
    BYTES.load(Ordering::Relaxed)
}

// Relaxed throughout: the numbers publish nothing, and a scene counts between two moments at which its work is
// quiet, so that a request seen a moment late is not lost between them.
#[inline]
fn count(bytes: usize) {
    if COUNTING.load(Ordering::Relaxed) {
        REQUESTS.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

// SAFETY: every method hands its arguments to `System` unchanged and returns what `System` returned; counting
// touches two statics and neither allocates nor unwinds.
unsafe impl GlobalAlloc for CountingAllocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`, which is the same for `System`.
        unsafe { System.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the contract of `alloc_zeroed`, which is the same for `System`.
        unsafe { System.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the block came from `System` through this allocator; the rest is the caller's contract.
        unsafe { System.realloc(block, layout, size) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block came from `System` through this allocator, with this layout.
        unsafe { System.dealloc(block, layout) }
    }
}
