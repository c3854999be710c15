//! What was seen beside what is right, and limits of real time.

use std::fmt::Debug;
use std::future::Future;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

static WRONG: AtomicBool = AtomicBool::new(false);

/// Prints a row, and remembers it if it is wrong.
pub fn judge(what: &str, seen: impl Debug, right: &str, holds: bool) {
    // Relaxed: `verdict` runs after the rows, in the same thread or behind a join.
    WRONG.fetch_or(!holds, Ordering::Relaxed);
    println!("{}  {what}: seen {seen:?}; right {right}", if holds { "right" } else { "WRONG" });
}

/// Returns success if each row so far was right.
pub fn verdict() -> ExitCode {
    if WRONG.load(Ordering::Relaxed) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Ends the process with the verdict, whatever still runs.
pub fn end() -> ! {
    std::process::exit(i32::from(WRONG.load(Ordering::Relaxed)))
}

/// How late something with a limit of time may be: 10 ms or 1 % of it, and what a bare sleep of 10 ms is late now.
pub fn lateness(limit: Duration) -> Duration {
    const NAP: Duration = Duration::from_millis(10);
    let since = Instant::now();
    std::thread::sleep(NAP);
    Duration::from_millis(10).max(limit / 100) + (since.elapsed() - NAP)
}

/// Returns the least of three attempts.
pub fn best_of_three<T: PartialOrd>(mut attempt: impl FnMut() -> T) -> T {
    let least = |best: T, next: T| if next < best { next } else { best };
    let first = attempt();
    (0..2).map(|_| attempt()).fold(first, least)
}

/// Returns the least of three attempts, one after another.
pub async fn best_of_three_async<T: PartialOrd, F: Future<Output = T>>(mut attempt: impl FnMut() -> F) -> T {
    let mut best = attempt().await;
    for _ in 0..2 {
        let next = attempt().await;
        best = if next < best { next } else { best };
    }
    best
}
