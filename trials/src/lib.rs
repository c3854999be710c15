//! Helpers for the trials: a verdict, figures, parts in processes of their own, a watchdog.
mod verdict;

pub use verdict::{best_of_three, best_of_three_async, end, judge, lateness, verdict};

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub struct Counting;
pub static LIVE: AtomicI64 = AtomicI64::new(0);
pub static PEAK: AtomicI64 = AtomicI64::new(0);
pub static ALLOCS: AtomicU64 = AtomicU64::new(0);
fn add(n: i64) {
    let now = LIVE.fetch_add(n, Ordering::Relaxed) + n;
    if n > 0 {
        PEAK.fetch_max(now, Ordering::Relaxed);
    }
}
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, l: Layout) -> *mut u8 {
        add(l.size() as i64);
        ALLOCS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(l) }
    }
    unsafe fn dealloc(&self, p: *mut u8, l: Layout) {
        add(-(l.size() as i64));
        unsafe { System.dealloc(p, l) }
    }
    unsafe fn realloc(&self, p: *mut u8, l: Layout, n: usize) -> *mut u8 {
        add(n as i64 - l.size() as i64);
        unsafe { System.realloc(p, l, n) }
    }
}
#[global_allocator]
static A: Counting = Counting;

pub fn live() -> i64 {
    LIVE.load(Ordering::Relaxed)
}
pub fn mb(b: i64) -> String {
    format!("{:.1} MB", b as f64 / 1e6)
}
pub fn rss() -> i64 {
    let s = std::fs::read_to_string("/proc/self/statm").unwrap();
    s.split_whitespace().nth(1).unwrap().parse::<i64>().unwrap() * 4096
}
/// CPU of the whole process.
pub fn cpu() -> Duration {
    let s = std::fs::read_to_string("/proc/self/stat").unwrap();
    let rest = &s[s.rfind(')').unwrap() + 2..];
    let f: Vec<u64> = rest.split_whitespace().filter_map(|x| x.parse().ok()).collect::<Vec<_>>();
    // after state: ppid pgrp session tty tpgid flags minflt cminflt majflt cmajflt utime stime
    let f2: Vec<&str> = rest.split_whitespace().collect();
    let _ = f;
    Duration::from_millis((f2[11].parse::<u64>().unwrap() + f2[12].parse::<u64>().unwrap()) * 10)
}

static STEP: Mutex<String> = Mutex::new(String::new());
pub fn step(s: impl Into<String>) {
    *STEP.lock().unwrap() = s.into();
}
pub fn watchdog(secs: u64) {
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(secs));
        println!("   HANG after {secs} s, at: {}", STEP.lock().unwrap());
        use std::io::Write;
        let _ = std::io::stdout().flush();
        std::process::exit(3);
    });
}
pub type Part = (&'static str, u64, fn());
/// Each part in a process of its own.
pub fn parts(all: &[Part]) {
    let arg = std::env::args().nth(1);
    if let Some(name) = &arg
        && let Some((_, secs, run)) = all.iter().find(|p| p.0 == name)
    {
        watchdog(*secs);
        run();
        use std::io::Write;
        let _ = std::io::stdout().flush();
        std::process::exit(0);
    }
    for (name, ..) in all {
        if let Some(prefix) = &arg
            && !name.starts_with(prefix.as_str())
        {
            continue;
        }
        println!("== {name}");
        let status = std::process::Command::new(std::env::current_exe().unwrap()).arg(name).status().unwrap();
        if !status.success() {
            println!("   exit {status}");
        }
    }
}
pub fn multi(workers: usize) -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build().unwrap()
}
pub fn single() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}
pub fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
pub fn sleep_ms(n: u64) {
    std::thread::sleep(Duration::from_millis(n));
}
/// Polls until it holds, from a std thread; how long it took, if it did.
pub fn until(within: Duration, mut holds: impl FnMut() -> bool) -> Option<Duration> {
    let t = Instant::now();
    loop {
        if holds() {
            return Some(t.elapsed());
        }
        if t.elapsed() > within {
            return None;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}
pub fn spin(d: Duration) {
    let t = Instant::now();
    while t.elapsed() < d {
        std::hint::spin_loop();
    }
}
