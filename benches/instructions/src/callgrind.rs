//! Plays a scene in a child process under callgrind.

use std::process::Command;

use crate::figure::Figure;
use crate::scene::Scene;

/// The hidden option of the child process.
pub(crate) const PLAY: &str = "--play";

/// Measures one scene, or says why it has no figure.
pub(crate) fn measure(scene: &Scene) -> Result<Figure, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    // Without an environment, because its length moves the stack.
    let child = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([PLAY, scene.name])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .output()
        .map_err(|error| format!("valgrind: {error} (Debian's package is valgrind)"))?;
    let (out, log) = (String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    if !child.status.success() {
        return Err(format!("{}\n{log}", child.status));
    }
    let instructions = log.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    let requests = out.trim().parse().map_err(|_| format!("no count of heap requests in {out:?}"))?;
    let instructions = instructions.ok_or_else(|| format!("no count of instructions in\n{log}"))?;
    Ok(Figure { name: scene.name.into(), operations: scene.operations, instructions, requests })
}
