//! Counts the instructions and the heap requests of each operation, and compares them with a table.
//!
//! ```text
//! cargo run --profile bench -p mycelia-instructions
//! cargo run --profile bench -p mycelia-instructions -- --check benches/instructions/bench.txt
//! ```
//!
//! Each [scene](scene::SCENES) runs in a child process under callgrind, on one current-thread tokio. A figure is all that
//! the first thread does, divided by the operations, so the start of the program and of the runtime is in it. The clock and the random
//! seeds are [fixed], so a figure repeats to the digit. A scene fails unless its handlers have handled what was sent.

// The package of that file compiles every contender.
#[expect(dead_code, unreachable_pub, reason = "made for a library, and the scenes have no use for bytes")]
#[path = "../../src/allocations.rs"]
mod allocations;
mod arguments;
mod callgrind;
mod figure;
mod fixed;
mod runtime_scenes;
mod scene;
mod table;
mod thread_scenes;

use std::process::ExitCode;

use allocations::CountingAllocator;
use arguments::{Arguments, USAGE};
use scene::Scene;
use table::Table;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match &given[..] {
        [option, name] if option == callgrind::PLAY => play(name),
        [option] if option == "--help" || option == "-h" => {
            println!("{USAGE}");
            Ok(())
        }
        _ => Arguments::parse(given.into_iter()).and_then(|arguments| measure(&arguments)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("instructions: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Plays one scene in this process and prints its heap requests.
fn play(name: &str) -> Result<(), String> {
    let scene = Scene::named(name)?;
    allocations::start_counting();
    (scene.play)(scene.operations)?;
    println!("{}", allocations::stop_counting());
    Ok(())
}

/// Measures each scene in a child process, prints the table, and compares or writes it.
fn measure(arguments: &Arguments) -> Result<(), String> {
    let mut table = Table::default();
    for scene in &arguments.scenes {
        let figure = callgrind::measure(scene).map_err(|reason| format!("{}: {reason}", scene.name))?;
        if arguments.json {
            println!("{}", figure.json());
        }
        table.add(figure);
    }
    if !arguments.json {
        print!("{table}");
    }
    if let Some(path) = &arguments.write {
        std::fs::write(path, table.to_string()).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    match &arguments.check {
        Some(path) => {
            let text =
                std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            table.check(&Table::parse(&text)?, arguments.percent)
        }
        None => Ok(()),
    }
}
