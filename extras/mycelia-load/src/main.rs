//! Load scenarios for Mycelia's subsystems. See the README.
#![forbid(unsafe_code)]

mod scenario;

mod body;
mod chance;
mod clock;
mod plan;
mod sender;
mod worker;

mod progress;
mod run;

mod account;
mod judge;
mod latency;
mod report;

mod chart;
mod compare;
mod html;
mod text;

use std::error::Error;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use mycelia_metrics::Token;

use crate::plan::{Changes, Plan};
use crate::report::Report;
use crate::run::Order;
use crate::scenario::{Scenario, ScenarioError};

/// Plays load scenarios against Mycelia's subsystems, and checks that every message is accounted for.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Plays a scenario. Exits with 0 if it passed, with 1 if it did not, with 2 if it could not be played.
    Run(RunArguments),
    /// Shows the scenarios that come with the program.
    List,
    /// Shows the text of one, to begin one's own with.
    Show {
        /// Its name.
        scenario: String,
    },
    /// Shows what differs between two runs, by their JSON, and whether it is more than noise. Exits with 0 whatever that is.
    Compare {
        /// The earlier one.
        a: PathBuf,
        /// The later one.
        b: PathBuf,
    },
}

#[derive(Parser)]
struct RunArguments {
    /// The name of a scenario, or its file.
    scenario: String,
    /// Serves the live dashboard meanwhile: at 127.0.0.1:9100, or at another address of this machine.
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, require_equals = true, default_missing_value = "127.0.0.1:9100")]
    dashboard: Option<String>,
    /// How long all phases take together, such as `90s` or `5m` (before `--scale`).
    #[arg(long, value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// The highest rate, in messages a second; other phases and criteria change with it.
    #[arg(long)]
    rate: Option<f64>,
    /// Multiplies durations and numbers of messages: 0.01 is a short run.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Draws the bodies, and the handlers that are slow or fail, by this, in place of the scenario's seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Lets others than this machine look, who say this: at least 16 bytes.
    #[arg(long)]
    token: Option<String>,
    /// Sets a field of the scenario, as TOML: `subsystems.capacity=64`, `phases.0.rate=500`, `'subsystems.policies=["wait"]'`; may be
    /// repeated.
    #[arg(long, value_name = "FIELD=VALUE")]
    set: Vec<String>,
    /// Writes all that is known of the run to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes a page with charts to this file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(arguments) => play(arguments),
        Command::List => {
            show(&text::list());
            Ok(ExitCode::SUCCESS)
        }
        Command::Show { scenario } => match Scenario::text(&scenario) {
            Some(text) => {
                show(text);
                Ok(ExitCode::SUCCESS)
            }
            None => Err(ScenarioError::Unknown(scenario).into()),
        },
        Command::Compare { a, b } => show_differences(&a, &b),
    };
    done.unwrap_or_else(|error| {
        progress::say(&format!("error: {error}"));
        ExitCode::from(2)
    })
}

/// What ends the program with 2.
type Failure = Box<dyn Error + Send + Sync>;

fn play(arguments: RunArguments) -> Result<ExitCode, Failure> {
    let RunArguments { scenario, dashboard, duration, rate, scale, seed, token, set, json, html } = arguments;
    let mut scenario = Scenario::find(&scenario, &set)?;
    scenario.seed = seed.unwrap_or(scenario.seed);
    let plan = Plan::new(&scenario, &Changes { duration, rate, scale })?;
    if json.is_some() && json == html {
        return Err("`--json` and `--html` name the same file".into());
    }
    // Before the run: whoever has waited for half an hour wants what came of it.
    json.iter().chain(&html).try_for_each(|file| can_be_written(file).map_err(of(file)))?;
    let token =
        token.map(|token| Token::new(token).ok_or("`--token` is shorter than 16 bytes")).transpose()?;
    let command = command();
    let order = Order { scenario: &scenario, plan, scale, command, dashboard: dashboard.as_deref(), token };
    let report = run::run(order)?;
    show(&text::report(&report));
    if let Some(file) = json {
        fs::write(&file, report.to_json()?).map_err(of(&file))?;
    }
    if let Some(file) = html {
        fs::write(&file, html::page(&report)).map_err(of(&file))?;
    }
    Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show_differences(a: &Path, b: &Path) -> Result<ExitCode, Failure> {
    show(&compare::compare(&Report::read(a).map_err(of(a))?, &Report::read(b).map_err(of(b))?));
    Ok(ExitCode::SUCCESS)
}

/// To standard output, which may have been closed by then (`| head`).
fn show(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// What was typed after `run`, but for the token.
fn command() -> String {
    let words: Vec<_> = std::env::args().skip_while(|word| word != "run").skip(1).collect();
    let is_token =
        |place: usize| place > 0 && words[place - 1] == "--token" || words[place].starts_with("--token=");
    let shown = (0..words.len()).map(|place| if is_token(place) { "…" } else { &words[place] });
    shown.collect::<Vec<_>>().join(" ")
}

/// What is in it stays as it is.
fn can_be_written(file: &Path) -> io::Result<()> {
    File::options().create(true).append(true).open(file).map(drop)
}

/// An error with the file that it is about.
fn of<E: Display>(file: &Path) -> impl Fn(E) -> String {
    move |error| format!("{}: {error}", file.display())
}
