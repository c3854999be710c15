//! Another build of this program, played in turn with this one.
//!
//! Each run of each side is a process of its own, with the same command line: `--scene X --contender Y --runs 1 --json`, which
//! every build since the first understands. The sides take turns in going first.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::contenders::Entry;
use crate::json::number;
use crate::scene::Scene;
use crate::statistics::Spread;

/// The other build, and how much slower this one may be.
#[derive(Clone, Debug)]
pub struct Against {
    /// The other build's program.
    pub program: PathBuf,
    /// The highest ratio of medians that counts as success, if there is a limit.
    pub at_most: Option<f64>,
}

/// What both builds did in one scene.
#[derive(Debug)]
pub struct Pair {
    scene: Scene,
    contender: &'static str,
    this: Spread,
    other: Spread,
}

impl Against {
    /// Plays a scene `runs` times with both builds. `progress` is called before each round.
    ///
    /// # Errors
    /// The first process that fails or prints no figure.
    pub fn play(
        &self,
        scene: Scene,
        entry: &Entry,
        runs: usize,
        progress: impl Fn(usize),
    ) -> Result<Pair, String> {
        let this = std::env::current_exe().map_err(|error| error.to_string())?;
        let programs = [&this, &self.program];
        let mut figures = [Vec::new(), Vec::new()];
        for run in 1..=runs {
            progress(run);
            for turn in 0..2 {
                let side = (run + turn) % 2;
                figures[side].push(play_once(programs[side], scene, entry.name)?);
            }
        }
        let [this, other] = figures.map(Spread::of);
        Ok(Pair { scene, contender: entry.name, this, other })
    }

    /// Fails if a pair is over the limit, and names each that is.
    ///
    /// # Errors
    /// The pairs over the limit, in lines.
    pub fn judge(&self, pairs: &[Pair]) -> Result<(), String> {
        let Some(at_most) = self.at_most else { return Ok(()) };
        let slower: Vec<_> = pairs.iter().filter(|pair| pair.ratio() > at_most).collect();
        if slower.is_empty() {
            return Ok(());
        }
        let lines = slower.iter().map(|pair| format!("\n{pair}")).collect::<String>();
        Err(format!("over {at_most:.2} times the other build:{lines}"))
    }
}

/// The figure of one process: nanoseconds per operation, or bytes per actor.
fn play_once(program: &Path, scene: Scene, contender: &str) -> Result<f64, String> {
    let failed =
        |what: &dyn fmt::Display| format!("{} {contender}, {}: {what}", scene.name(), program.display());
    let child = Command::new(program)
        .args(["--scene", scene.name(), "--contender", contender, "--runs", "1", "--json"])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| failed(&error))?;
    if !child.status.success() {
        return Err(failed(&child.status));
    }
    let text = String::from_utf8_lossy(&child.stdout);
    let field = if scene == Scene::Memory { "bytes" } else { "median_ns" };
    number(&text, field).ok_or_else(|| failed(&format!("no {field} in {text:?}")))
}

impl Pair {
    /// Median of this build to median of the other.
    pub fn ratio(&self) -> f64 {
        self.this.median / self.other.median
    }

    /// Returns the pair as one line of JSON.
    pub fn json(&self) -> String {
        format!(
            r#"{{"scene":"{}","contender":"{}","this_median":{:.1},"against_median":{:.1},"ratio":{:.3}}}"#,
            self.scene.name(),
            self.contender,
            self.this.median,
            self.other.median,
            self.ratio()
        )
    }

    /// The header of a table of pairs.
    pub const HEADER: &str = "  scene            contender             this  (min to max)             against  (min to max)             ratio";
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let range = |spread: &Spread| format!("({:.1} to {:.1})", spread.min, spread.max);
        write!(f, "  {:<16} {:<16}", self.scene.name(), self.contender)?;
        for side in [&self.this, &self.other] {
            write!(f, " {:>9.1}  {:<22}", side.median, range(side))?;
        }
        write!(f, " {:>6.2}x", self.ratio())
    }
}

#[cfg(test)]
mod tests {
    use super::{Against, Pair};
    use crate::scene::Scene;
    use crate::statistics::Spread;

    #[test]
    fn only_what_is_over_the_limit_is_named() {
        let pair = |contender, this| Pair {
            scene: Scene::Ask,
            contender,
            this: Spread::of([this]),
            other: Spread::of([100.0]),
        };
        let pairs = [pair("mycelia", 115.0), pair("mycelia-1thread", 116.0)];
        let against = |at_most| Against { program: "other".into(), at_most };
        let reason = against(Some(1.15)).judge(&pairs).unwrap_err();
        assert!(reason.contains("mycelia-1thread") && !reason.contains("mycelia "), "{reason}");
        assert!(against(Some(1.16)).judge(&pairs).is_ok() && against(None).judge(&pairs).is_ok());
    }
}
