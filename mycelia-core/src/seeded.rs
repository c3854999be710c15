//! Bugs on purpose, for the twins of loom scenes.
//!
//! A model that finds nothing proves little unless it is known to find something. So each scene has a twin that runs the
//! same story with one protection of the real code switched off by name, and must fail. Outside of models
//! [`bug`] is the constant `false`, and no trace of it is left.

/// True if the bug of this name has been seeded by `scene_fails_with`.
#[cfg(not(mycelia_loom))]
#[inline(always)]
#[must_use]
pub const fn bug(_name: &'static str) -> bool {
    false
}

#[cfg(mycelia_loom)]
pub use model::{bug, scene_fails_with};

#[cfg(mycelia_loom)]
mod model {
    use std::process::{Command, Stdio};
    use std::sync::OnceLock;

    const VARIABLE: &str = "MYCELIA_SEEDED_BUG";

    /// True if this process was started by [`scene_fails_with`] for the bug of this name.
    #[must_use]
    pub fn bug(name: &'static str) -> bool {
        static SEEDED: OnceLock<Option<String>> = OnceLock::new();
        SEEDED.get_or_init(|| std::env::var(VARIABLE).ok()).as_deref() == Some(name)
    }

    /// Runs one test of this test binary with a bug in the code. True if it failed, as it should.
    ///
    /// In a process of its own, because a model that ends in a deadlock may abort.
    ///
    /// # Panics
    /// If the test binary cannot be started again.
    #[must_use]
    pub fn scene_fails_with(bug: &str, scene: &str) -> bool {
        let status = Command::new(std::env::current_exe().expect("a test knows its binary"))
            .args([scene, "--exact"])
            .env(VARIABLE, bug)
            .env("RUST_BACKTRACE", "0")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        !status.expect("the test binary starts").success()
    }
}
