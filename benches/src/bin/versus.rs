//! Plays the same scenes with Mycelia and its peers, and prints how they compare.
//!
//! `cargo run --release -p mycelia-benches --bin versus -- --help`

use std::io::IsTerminal;
use std::process::ExitCode;

use mycelia_benches::against::{Against, Pair};
use mycelia_benches::allocations::CountingAllocator;
use mycelia_benches::arguments::{Arguments, USAGE};
use mycelia_benches::json::Line;
use mycelia_benches::resident::MEASURE_MEMORY;
use mycelia_benches::table::{Notes, Table};
use mycelia_benches::{contenders, series, versions};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    if given.iter().any(|argument| argument == "--help" || argument == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let outcome = match &given[..] {
        [option, name] if option == MEASURE_MEMORY => measure_memory(name),
        _ => Arguments::parse(given.into_iter()).and_then(|arguments| match &arguments.against {
            Some(against) => compare_builds(&arguments, against),
            None => compare(&arguments),
        }),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("versus: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn compare(arguments: &Arguments) -> Result<(), String> {
    if !arguments.json {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        println!("{}, {cores} cores, {} runs, tokio with 2 workers", versions::rustc(), arguments.runs);
        if cfg!(debug_assertions) {
            println!("built without --release: these figures say nothing");
        }
        println!();
    }
    let watched = std::io::stderr().is_terminal();
    for &scene in &arguments.scenes {
        let runs = scene.runs(arguments.runs);
        let progress = |run| {
            if watched {
                eprint!("\r{} {run}/{runs} \r", scene.name());
            }
        };
        let rows = series::play(scene, &arguments.contenders, runs, progress);
        let rows =
            rows.map_err(|failed| format!("{}, {}: {}", failed.scene, failed.contender, failed.failure))?;
        if arguments.json {
            rows.iter().for_each(|row| println!("{}", Line(scene, row)));
        } else {
            println!("{}", Table { scene, runs, rows: &rows });
        }
    }
    if !arguments.json {
        println!("{}", Notes(&arguments.contenders));
    }
    Ok(())
}

fn compare_builds(arguments: &Arguments, against: &Against) -> Result<(), String> {
    if !arguments.json {
        let other = against.program.display();
        println!(
            "{}, this build against {other}: medians of {} runs each",
            versions::rustc(),
            arguments.runs
        );
        println!("{}", Pair::HEADER);
    }
    let watched = std::io::stderr().is_terminal();
    let mut pairs = Vec::new();
    for &scene in &arguments.scenes {
        for entry in arguments.contenders.iter().filter(|entry| scene.is_for(entry)) {
            let progress = |run| {
                if watched {
                    eprint!("\r{} {} {run}/{} \r", scene.name(), entry.name, arguments.runs);
                }
            };
            let pair = against.play(scene, entry, arguments.runs, progress)?;
            if arguments.json {
                println!("{}", pair.json())
            } else {
                println!("{pair}")
            }
            pairs.push(pair);
        }
    }
    against.judge(&pairs)
}

fn measure_memory(name: &str) -> Result<(), String> {
    let entry = contenders::ALL.iter().find(|entry| entry.name == name);
    let entry = entry.ok_or(format!("{name} is not a contender"))?;
    let resident = (entry.measure_memory)().map_err(|failure| failure.to_string())?;
    println!("{} {}", resident.idle, resident.used);
    Ok(())
}
