//! The stream processor as a program: lines of JSON in, lines of JSON out. See the README.
#![forbid(unsafe_code)]

mod program {
    pub(crate) mod run;

    pub(crate) mod input;
    pub(crate) mod line;
    pub(crate) mod signal;
    pub(crate) mod told;

    pub(crate) mod example;
    pub(crate) mod explain;
    pub(crate) mod summary;
}

use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Write};
use std::iter;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgGroup, Parser};
use mycelia_stream::Processor;

use crate::program::{example, explain, run};

/// Reads records (one JSON object a line) from standard input, evaluates the expressions of a configuration over the last values of its
/// sources, and writes the outputs, in the same form, to standard output. A summary goes to standard error.
///
/// A record is {"topic": "…", "payload": "…", "metadata": {"key": "value"}}; its payload is the JSON {"value": …, "timestamp_ms": …} as
/// text. A line {"batch_end": true} ends a batch; else a batch is what is there, up to 100 records.
#[derive(Parser)]
#[command(version, group = ArgGroup::new("what").required(true).args(["config", "example", "generate"]))]
struct Arguments {
    /// The configuration, as YAML or JSON.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Reads records from this file, and shows how far it is.
    #[arg(long, value_name = "FILE", requires = "config", conflicts_with_all = ["example", "generate"])]
    input: Option<PathBuf>,
    /// Checks the configuration and explains each mapping; reads no records.
    #[arg(long, requires = "config", conflicts_with_all = ["input", "example", "generate"])]
    check: bool,
    /// Prints a configuration to begin with.
    #[arg(long)]
    example: bool,
    /// Prints so many records for that configuration: half of them pressures, the rest temperatures and, one in ten, whether it runs.
    #[arg(long, value_name = "RECORDS")]
    generate: Option<u64>,
    /// Draws their values.
    #[arg(long, requires = "generate", default_value_t = 0)]
    seed: u64,
}

fn main() -> ExitCode {
    match work(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "mycelia-stream: {error}");
            ExitCode::FAILURE
        }
    }
}

fn work(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    if arguments.example {
        return printed(io::stdout().write_all(example::CONFIG.as_bytes()));
    }
    if let Some(records) = arguments.generate {
        return printed(example::generate(records, arguments.seed, io::stdout().lock()));
    }
    let path = arguments.config.as_ref().expect("clap has asked for it");
    let told = |error: &dyn Error| format!("{}: {error}", path.display());
    let text = read(path).map_err(|error| told(&error))?;
    let processor = Processor::from_text(&text).map_err(|error| {
        let all = iter::once(&error).chain(error.others());
        let mut all: Vec<String> = all.map(|error| told(error)).collect();
        if let Some(more) = all.len().checked_sub(MOST_ERRORS).filter(|more| *more > 0) {
            all.truncate(MOST_ERRORS);
            all.push(format!("and {more} more"));
        }
        all.join("\n")
    })?;
    if arguments.check {
        return printed(io::stdout().write_all(explain::explain(&processor, path).as_bytes()));
    }
    for warning in processor.warnings() {
        let _ = writeln!(io::stderr(), "warning: {}: {warning}", path.display());
    }
    run::run(processor, arguments.input.as_deref())
}

/// Errors of a configuration that are told.
const MOST_ERRORS: usize = 20;
/// The longest configuration, in bytes: 10 000 mappings of 6 KiB.
const LONGEST: u64 = 64 << 20;

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::other(format!("it is longer than {LONGEST} bytes")));
    }
    Ok(text)
}

/// Whoever reads standard output may have had enough.
fn printed(written: io::Result<()>) -> Result<ExitCode, Box<dyn Error>> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("standard output: {error}").into())
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}
