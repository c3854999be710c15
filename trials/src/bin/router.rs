//! Patterns of other routers are refused, and a router is as it was after a burst.
use figures::live;
use mycelia_actors::prelude::*;
use mycelia_router::Router;
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn iteration(router: &Router<u64>) -> Duration {
    figures::best_of_three(|| {
        let since = Instant::now();
        let sum: u64 = (0..100).flat_map(|_| router.iter().map(|(_, value)| *value)).sum();
        assert_eq!(sum, 100 * 45);
        since.elapsed()
    })
}
fn main() -> ExitCode {
    for pattern in ["users/{id?}", "users/{id...}", "users/{id+}"] {
        let seen = Router::new().insert(pattern, ()).map_err(|error| error.to_string());
        figures::judge(pattern, &seen, "refused", seen.is_err());
    }
    let mut router = Router::new();
    for n in 0..10 {
        router.insert(format!("shops/{n}/{{id}}"), n).unwrap();
    }
    let (bytes, before) = (live(), iteration(&router));
    let burst: Vec<_> = (0..500_000).map(|n| format!("devices/{n}/state/{{of}}")).collect();
    burst.iter().for_each(|pattern| router.insert(pattern.as_str(), 0).unwrap());
    burst.iter().for_each(|pattern| _ = router.remove(pattern).unwrap());
    drop(burst);
    let (left, after) = (live() - bytes, iteration(&router));
    figures::judge(
        "bytes that stay after 500 000 routes",
        left,
        "given back (at most a MB)",
        left < 1_000_000,
    );
    let seen = format!("{after:?}, {before:?} before");
    figures::judge("iteration over 10 routes, 100 times", seen, "as before", after < 3 * before);
    let tokio = figures::single();
    let runtime = Runtime::builder().tokio(tokio.handle().clone()).build();
    for pattern in ["orders/#", "+/paid", "*"] {
        let seen = runtime.bus().subscribe::<u64>(pattern, 10).map(drop).map_err(|error| error.to_string());
        figures::judge(&format!("subscribe({pattern:?})"), &seen, "refused", seen.is_err());
    }
    figures::verdict()
}
