//! What a lookup costs: mycelia-router beside other routers, over a real table of routes and over large made-up ones.
//!
//! ```text
//! cargo run --release -p mycelia-benches --bin router
//! ```
//!
//! One operation is one lookup of a path. There is a path for every route, and as many that no route matches; all
//! contenders must find the same route and the same parameters, and miss the same paths, before anything is timed.
//! Paths are visited in drawn orders, everyone in turn for 20 ms, 15 rounds; medians. After each turn the routes that
//! were found are compared with those that had to be.

mod random;

mod route;
mod table;

mod synthetic;
mod words;

mod reference;
mod samples;
mod values;

mod contender;
mod contenders;
mod player;

mod course;
mod insertion;
mod race;
mod scene;
mod stage;

mod arguments;
mod report;

use std::fs::File;
use std::io::Write;
use std::process::ExitCode;

use mycelia_benches::allocations::CountingAllocator;
use mycelia_benches::versions;

use crate::arguments::{Arguments, Output, Part, USAGE};
use crate::race::{Row, race};
use crate::scene::Scene;
use crate::stage::Stage;
use crate::table::Table;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const LARGEST: usize = 10_000;
const SIZES: [usize; 4] = [10, 100, 1000, LARGEST];

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    if given.iter().any(|argument| argument == "--help" || argument == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match Arguments::parse(given.into_iter()).and_then(|arguments| compare(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("router: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn compare(arguments: &Arguments) -> Result<(), String> {
    let mut print = Print::new(&arguments.output)?;
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    print.text(&format!("{}, {cores} cores, {} rounds\n", versions::rustc(), arguments.runs));
    if cfg!(debug_assertions) {
        print.text("built without --release: these figures say nothing\n");
    }
    for &part in &arguments.parts {
        match part {
            Part::Github => scenes(part, &Table::github(), arguments, &mut print)?,
            Part::Synthetic => scenes(part, &Table::synthetic(LARGEST), arguments, &mut print)?,
            Part::Growth => growth(arguments, &mut print)?,
            Part::Insertion => insertion(arguments, &mut print)?,
        }
    }
    print.text(&report::notes(&arguments.contenders));
    Ok(())
}

/// Every scene over one table.
fn scenes(part: Part, table: &Table, arguments: &Arguments, print: &mut Print) -> Result<(), String> {
    let stage = Stage::set(table, &arguments.contenders)?;
    print.text(&report::paths(&stage));
    for scene in Scene::ALL {
        let [rows] = &race(&[&stage], scene, arguments.runs)?[..] else { unreachable!("one stage") };
        let title = format!("{}, {} routes: {}, ns per lookup", stage.table, stage.routes, scene.title());
        print.text(&report::table(&title, rows));
        print.lines(&report::json(part.name(), stage.table, stage.routes, scene.name(), rows))?;
    }
    Ok(())
}

/// Some scenes over tables that grow, all sizes in turn.
fn growth(arguments: &Arguments, print: &mut Print) -> Result<(), String> {
    let stage = |&size: &usize| Stage::set(&Table::synthetic(size), &arguments.contenders);
    let stages: Vec<Stage> = SIZES.iter().map(stage).collect::<Result<_, _>>()?;
    stages.iter().for_each(|stage| print.text(&report::paths(stage)));
    let stages: Vec<&Stage> = stages.iter().collect();
    for scene in Scene::GROWTH {
        let tables: Vec<Vec<Row>> = race(&stages, scene, arguments.runs)?;
        let title = format!("growth, {}: ns per lookup, by the number of routes", scene.title());
        print.text(&report::growth(&title, &SIZES, &tables));
        for (stage, rows) in stages.iter().zip(&tables) {
            let part = Part::Growth.name();
            print.lines(&report::json(part, stage.table, stage.routes, scene.name(), rows))?;
        }
    }
    Ok(())
}

/// What inserting costs, in a large table.
fn insertion(arguments: &Arguments, print: &mut Print) -> Result<(), String> {
    let table = Table::synthetic(LARGEST);
    let rows = insertion::insert(&table, &arguments.contenders, (arguments.runs / 3).max(3))?;
    let title = format!("{}, {LARGEST} routes: ns per route to insert all", table.name);
    print.text(&report::table(&title, &rows));
    let part = Part::Insertion.name();
    print.lines(&report::json(part, table.name, LARGEST, "insert", &rows))
}

/// Where figures go.
struct Print {
    text: bool,
    lines: Option<Box<dyn Write>>,
}

impl Print {
    fn new(output: &Output) -> Result<Self, String> {
        let create = |path: &str| File::create(path).map_err(|error| format!("{path}: {error}"));
        Ok(match output {
            Output::Tables => Self { text: true, lines: None },
            Output::Lines => Self { text: false, lines: Some(Box::new(std::io::stdout())) },
            Output::Both(path) => Self { text: true, lines: Some(Box::new(create(path)?)) },
        })
    }

    fn text(&self, text: &str) {
        if self.text {
            println!("{text}");
        }
    }

    fn lines(&mut self, lines: &str) -> Result<(), String> {
        match &mut self.lines {
            Some(file) => {
                file.write_all(lines.as_bytes()).map_err(|error| format!("writing figures: {error}"))
            }
            None => Ok(()),
        }
    }
}
