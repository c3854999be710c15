//! 1. `quickstart`: asks and tells between two subsystems, a million of them, timed and accounted for.
//! 2. `log_pipeline`: a log file through three subsystems, each as fast as the next one has room.
//! 3. `flaky_worker`: supervision: a worker fails, backs off, recovers, and in the end escalates.
//!
//! Services, each a package of its own, are in `services/`. `sigterm`: orders over HTTP and in a database, and an end in the right order.

/// The examples in the README, as tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
