//! After a burst a router is what it was before: in memory, and in what it finds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use mycelia_router::Router;

/// Counts the bytes that are out.
struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn bytes() -> usize {
    BYTES.load(Ordering::Relaxed)
}

/// What stays, and comes and goes: literals, parameters, text around them, rests.
fn pattern(kind: &str, index: usize) -> String {
    match index % 5 {
        0 => format!("{kind}/{index}"),
        1 => format!("{kind}/{index}/{{x}}"),
        2 => format!("{kind}{{x}}-{index}/b"),
        3 => format!("{kind}/{index}/a{{*rest}}"),
        _ => format!("{kind}/{index}/{{*rest}}"),
    }
}

fn path(kind: &str, index: usize) -> String {
    match index % 5 {
        0 => format!("{kind}/{index}"),
        1 => format!("{kind}/{index}/y"),
        2 => format!("{kind}y-{index}/b"),
        3 => format!("{kind}/{index}/ab/c"),
        _ => format!("{kind}/{index}/b/c"),
    }
}

// One test: what others allocate meanwhile would be counted.
#[test]
fn many_routes_come_and_go() {
    const KEPT: usize = 100;
    let before = bytes();
    let mut router = Router::new();
    for index in 0..KEPT {
        router.insert(pattern("kept", index), index).unwrap();
    }
    let small = bytes() - before;
    let finds_the_kept = |router: &Router<usize>| {
        (0..KEPT).all(|index| router.at(&path("kept", index)).is_ok_and(|hit| *hit.value() == index))
    };

    for burst in [200_000, 20_000] {
        for index in 0..burst {
            router.insert(pattern("burst", index), index).unwrap();
        }
        let large = bytes() - before;
        // The first in come out first, then the last: what is left is in the middle of everything.
        for index in (0..burst / 2).chain((burst / 2..burst).rev()) {
            assert_eq!(router.remove(&pattern("burst", index)), Some(index));
            if index % 50_000 == 0 {
                assert!(finds_the_kept(&router), "{index} of {burst}");
                assert!(router.at(&path("burst", index)).is_err());
            }
        }
        let after = bytes() - before;
        assert!(large > 100 * small, "there was a burst: {large} bytes");
        assert!(after <= 3 * small, "{after} bytes are left of {large}, and there were {small} before it");
        assert_eq!((router.len(), router.iter().len()), (KEPT, KEPT));
        assert!(finds_the_kept(&router));
    }

    for index in 0..KEPT {
        assert_eq!(router.remove(&pattern("kept", index)), Some(index));
    }
    drop(router);
    assert_eq!(bytes(), before);
}
