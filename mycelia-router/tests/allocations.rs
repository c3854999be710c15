//! A lookup asks the allocator for nothing, hit or miss.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use mycelia_router::{Pattern, Principal, Router};

/// Counts requests by thread.
struct Counting;

thread_local! {
    static REQUESTS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        REQUESTS.set(REQUESTS.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn requests_of<R>(work: impl FnOnce() -> R) -> (u64, R) {
    let before = REQUESTS.get();
    let result = work();
    (REQUESTS.get() - before, result)
}

fn table() -> Router<u32> {
    let mut router = Router::new();
    for pattern in ["users", "a/b/c/d", "a/{x}/c/{y}", "a/{x}/{*rest}", "a/v{x}.json/{y}", "files/{*path}"] {
        router.insert(pattern, 0).unwrap();
    }
    let read: Pattern = "users/{id}".parse().unwrap();
    router.insert(read.requiring("users:read".parse().unwrap()), 0).unwrap();
    router
}

#[test]
fn a_lookup_allocates_nothing() {
    let router = table();
    let long = ["é"; 32].join("/");
    let too_long = "a".repeat(5000);
    for path in [
        "users",
        "users/7",
        "a/b/c/d",
        "a/b/c/e",
        "a/b/e",
        "a/v1.json/7",
        "files/a/b/c",
        "users/%6De",
        "files/%C3%A9",
    ] {
        let (requests, found) = requests_of(|| router.at(path).is_ok());
        assert_eq!((requests, found), (0, true), "{path}");
    }
    for path in [
        "nobody",
        "users/7/8",
        "a/b/..",
        "",
        "a//b",
        "%6Eobody",
        "files/a%2Fb",
        "users/%",
        "users/%ff",
        "é\u{85}",
        &long,
        &too_long,
    ] {
        let (requests, found) = requests_of(|| router.at(path).is_ok());
        assert_eq!((requests, found), (0, false), "{path}");
    }
}

#[test]
fn reading_parameters_allocates_nothing() {
    let router = table();
    let (requests, ()) = requests_of(|| {
        let hit = router.at("a/b/c/7").unwrap();
        let params = hit.params();
        assert_eq!(params.get("x"), Some("b"));
        assert_eq!(params.at(1), Some("7"));
        assert_eq!(params.parse::<u32>("y"), Ok(7));
        assert_eq!(params.decode("x").unwrap().as_deref(), Some("b"));
        assert_eq!(params.iter().count(), 2);
    });
    assert_eq!(requests, 0);
    let (requests, _) =
        requests_of(|| router.at("users/%C3%A9").unwrap().params().decode("id").unwrap().is_some());
    assert_ne!(requests, 0, "what is encoded is copied; and requests are counted");
}

#[test]
fn a_right_that_is_held_costs_no_allocation() {
    let router = table();
    let ada = Principal::new("ada", ["files:*", "users:*"]).unwrap();
    let (requests, permit) = requests_of(|| router.at("users/7").unwrap().permit(Some(&ada)));
    assert_eq!((requests, permit), (0, Ok(())));
}

#[test]
fn the_nearest_pattern_is_looked_for_in_no_more_than_a_path_may_be() {
    let router = table();
    let slashes = "users/".repeat(100_000);
    let (requests, nearest) = requests_of(|| router.at(&slashes).unwrap_err().nearest().is_some());
    assert!(nearest && requests < 1000, "{requests} requests");
}
