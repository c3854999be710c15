//! Plays a scene in a child process under callgrind.

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

use crate::figure::Figure;
use crate::scene::Scene;

/// The hidden option of the child process.
pub(crate) const PLAY: &str = "--play";

/// Measures one scene, or says why it has no figure.
pub(crate) fn measure(scene: &Scene) -> Result<Figure, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let folder = Folder::new()?;
    // Without an environment, because its length moves the stack.
    let child = Command::new("valgrind")
        .args(["--tool=callgrind", "--separate-threads=yes"])
        .arg(format!("--callgrind-out-file={}", folder.0.join("profile").display()))
        .arg(program)
        .args([PLAY, scene.name])
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default())
        .output()
        .map_err(|error| format!("valgrind: {error} (Debian's package is valgrind)"))?;
    let (out, log) = (String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    if !child.status.success() {
        return Err(format!("{}\n{log}", child.status));
    }
    let requests = out.trim().parse().map_err(|_| format!("no count of heap requests in {out:?}"))?;
    // The first thread plays the scene. Another looks after deadlines, as often as the load of the machine lets it.
    let profile = fs::read_to_string(folder.0.join("profile-01")).map_err(|error| error.to_string())?;
    let instructions = profile.lines().find_map(|line| line.strip_prefix("totals:")?.trim().parse().ok());
    let instructions = instructions.ok_or_else(|| format!("no count of instructions in\n{log}"))?;
    Ok(Figure { name: scene.name.into(), operations: scene.operations, instructions, requests })
}

/// A folder for profiles, until it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, String> {
        let path = env::temp_dir().join(format!("mycelia-instructions-{}", std::process::id()));
        fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left there is in the way of nothing.
        let _ = fs::remove_dir_all(&self.0);
    }
}
