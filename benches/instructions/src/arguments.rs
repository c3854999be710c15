//! What the command line asks for.

use std::path::PathBuf;

use crate::scene::{SCENES, Scene};

/// How to use the program.
pub(crate) const USAGE: &str = "\
Counts the instructions and heap requests of each operation, under callgrind.

  instructions [--scene NAME,...] [--json] [--check FILE [--percent N]] [--write FILE]

  --scene NAME    only this scene; may be repeated, or several with commas
  --json          one line of JSON for each scene instead of the table
  --check FILE    fail if a row is over the one in this table
  --percent N     by how much a row may be over it, 2 when not given
  --write FILE    write the table to this file";

/// What to measure, and what to do with the figures.
pub(crate) struct Arguments {
    /// The scenes, in the order of [`SCENES`].
    pub(crate) scenes: Vec<Scene>,
    /// Whether to print lines of JSON instead of the table.
    pub(crate) json: bool,
    /// The table to compare with.
    pub(crate) check: Option<PathBuf>,
    /// How many percent a row may be over the one in that table.
    pub(crate) percent: f64,
    /// Where to write the table.
    pub(crate) write: Option<PathBuf>,
}

impl Arguments {
    /// Reads the arguments after the program's name, or says what is wrong with them.
    pub(crate) fn parse(mut given: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = Self { scenes: Vec::new(), json: false, check: None, percent: 2.0, write: None };
        while let Some(option) = given.next() {
            let mut value = || given.next().ok_or(format!("{option} needs a value"));
            match option.as_str() {
                "--scene" => {
                    let scenes: Result<Vec<_>, _> = value()?.split(',').map(Scene::named).collect();
                    arguments.scenes.extend(scenes?);
                }
                "--json" => arguments.json = true,
                "--check" => arguments.check = Some(value()?.into()),
                "--write" => arguments.write = Some(value()?.into()),
                "--percent" => {
                    let number = value()?;
                    arguments.percent = number.parse().map_err(|_| format!("{number} is not a number"))?;
                }
                _ => return Err(format!("{option} is not an option")),
            }
        }
        if arguments.scenes.is_empty() {
            arguments.scenes = SCENES.to_vec();
        }
        Ok(arguments)
    }
}
