//! A real process of the example.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

/// Builds the example, if it has changed, and says where it is.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        cargo.args(["build", "--quiet", "--example", "sigterm", "--message-format", "json"]);
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        let output = cargo.output().expect("cargo runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let messages = String::from_utf8(output.stdout).expect("cargo writes text");
        let messages = messages.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let mut programs = messages.filter_map(|message| Some(message["executable"].as_str()?.into()));
        programs.next_back().expect("the example was built")
    })
}

/// A folder of this test's own, empty.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// What a process left behind.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) printed: String,
    pub(crate) errors: String,
}

/// A service that listens.
pub(crate) struct Service {
    child: Child,
    output: BufReader<ChildStdout>,
    printed: String,
    pub(crate) address: SocketAddr,
}

/// Starts the program, which may not get as far as to listen.
fn start(database: &Path, arguments: &[&str]) -> Child {
    let mut command = Command::new(program());
    command.arg("--database").arg(database).args(arguments);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the example starts")
}

/// Runs the program to its end.
pub(crate) fn run(database: &Path, arguments: &[&str]) -> Outcome {
    let output = start(database, arguments).wait_with_output().unwrap();
    Outcome {
        code: output.status.code(),
        printed: String::from_utf8(output.stdout).unwrap(),
        errors: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Service {
    /// Starts the program on a free port, and waits until it listens.
    pub(crate) fn start(database: &Path, arguments: &[&str]) -> Self {
        let mut child = start(database, &[&["--port", "0"], arguments].concat());
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut printed = String::new();
        output.read_line(&mut printed).unwrap();
        let Some(address) = printed.strip_prefix("listening on http://") else {
            panic!("{printed:?} {:?}", child.wait_with_output())
        };
        let address = address.trim_end().parse().unwrap();
        Self { child, output, printed, address }
    }

    /// Sends a real signal.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -s {name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success(), "{kill}");
    }

    /// Waits until the process has printed this line.
    pub(crate) fn wait_for_line(&mut self, line: &str) {
        let mut read = String::new();
        while read.trim_end() != line {
            read.clear();
            assert!(self.output.read_line(&mut read).unwrap() > 0, "no {line:?} in {:?}", self.printed);
            self.printed.push_str(&read);
        }
    }

    /// Waits until the process has ended.
    pub(crate) fn end(mut self) -> Outcome {
        self.output.read_to_string(&mut self.printed).unwrap();
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        let code = self.child.wait().unwrap().code();
        Outcome { code, printed: std::mem::take(&mut self.printed), errors }
    }
}

impl Drop for Service {
    /// A test that has failed leaves no process behind.
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
