//! What the command line asks for.

use crate::against::Against;
use crate::contenders::{self, Entry};
use crate::scene::Scene;

/// How to use the program.
pub const USAGE: &str = "\
Plays the same scenes with Mycelia and its peers, and compares them.

  versus [--scene NAME]... [--contender NAME]... [--runs N] [--json]
  versus --against PROGRAM [--at-most RATIO] [--scene NAME]... [--contender NAME]... [--runs N] [--json]

  --scene NAME       only this scene; may be repeated, or several with commas
  --contender NAME   only this contender; may be repeated, or several with commas
  --runs N           runs of each scene and contender, 7 when not given (ring101: at least 15; memory: always 3)
  --json             one line of JSON for each scene and contender, and nothing else
  --against PROGRAM  another build of this program: both play, process by process in turn; then --contender is
                     mycelia,mycelia-1thread when not given, and --runs is 15
  --at-most RATIO    fail if a median is over so many times the other build's";

/// What to play, with whom, and how to print it.
#[derive(Debug)]
pub struct Arguments {
    /// The scenes, in the order of [`Scene::ALL`].
    pub scenes: Vec<Scene>,
    /// The contenders, in the order of [`contenders::ALL`].
    pub contenders: Vec<Entry>,
    /// How often to play a scene that does not fix this itself.
    pub runs: usize,
    /// Whether to print lines of JSON instead of tables.
    pub json: bool,
    /// The other build to compare with, instead of contenders with one another.
    pub against: Option<Against>,
}

impl Arguments {
    /// Reads the arguments after the program's name, or says what is wrong with them.
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut scenes, mut contenders, mut runs, mut json) = (Vec::new(), Vec::new(), None, false);
        let (mut against, mut at_most) = (None, None);
        while let Some(argument) = arguments.next() {
            let (option, value) = match argument.split_once('=') {
                Some((option, value)) => (option, Some(value.to_owned())),
                None => (argument.as_str(), None),
            };
            let value = |arguments: &mut dyn Iterator<Item = String>| {
                value.or_else(|| arguments.next()).ok_or(format!("{option} needs a value"))
            };
            match option {
                "--scene" => scenes.extend(names(&value(&mut arguments)?)),
                "--contender" => contenders.extend(names(&value(&mut arguments)?)),
                "--runs" => runs = Some(count(&value(&mut arguments)?)?),
                "--json" => json = true,
                "--against" => against = Some(value(&mut arguments)?.into()),
                "--at-most" => at_most = Some(ratio(&value(&mut arguments)?)?),
                _ => return Err(format!("{argument} is not an option")),
            }
        }
        if at_most.is_some() && against.is_none() {
            return Err("--at-most needs --against".to_owned());
        }
        if against.is_some() && contenders.is_empty() {
            contenders = names("mycelia,mycelia-1thread").collect();
        }
        let runs = runs.unwrap_or(if against.is_some() { 15 } else { 7 });
        Ok(Self {
            scenes: select(&Scene::ALL, |scene| scene.name(), &scenes)?,
            contenders: select(contenders::ALL, |entry| entry.name, &contenders)?,
            runs,
            json,
            against: against.map(|program| Against { program, at_most }),
        })
    }
}

/// Several names with commas between them.
pub fn names(value: &str) -> impl Iterator<Item = String> {
    value.split(',').map(str::to_owned)
}

/// A number of runs, at least one.
pub fn count(value: &str) -> Result<usize, String> {
    match value.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(format!("{value} is not a number of runs")),
    }
}

fn ratio(value: &str) -> Result<f64, String> {
    match value.parse() {
        Ok(ratio) if ratio > 0.0 => Ok(ratio),
        _ => Err(format!("{value} is not a ratio")),
    }
}

/// Those of `all` that are named, or all when none is. A name that nobody has is an error.
pub fn select<T: Copy>(all: &[T], name: fn(&T) -> &'static str, named: &[String]) -> Result<Vec<T>, String> {
    for wrong in named {
        if !all.iter().any(|one| name(one) == wrong) {
            let known: Vec<_> = all.iter().map(name).collect();
            return Err(format!("{wrong} is not one of {}", known.join(", ")));
        }
    }
    Ok(all
        .iter()
        .copied()
        .filter(|one| named.is_empty() || named.iter().any(|wanted| name(one) == wanted))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::Arguments;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn everything_is_played_unless_named() {
        let all = parse("").unwrap();
        assert_eq!((all.scenes.len(), all.runs, all.json), (13, 7, false));
        let some = parse("--scene ask,spawn --scene=memory --contender kanal --runs 3 --json").unwrap();
        let scenes: Vec<_> = some.scenes.iter().map(|scene| scene.name()).collect();
        assert_eq!(scenes, ["ask", "spawn", "memory"]);
        assert_eq!(
            (some.contenders.len(), some.contenders[0].name, some.runs, some.json),
            (1, "kanal", 3, true)
        );
    }

    #[test]
    fn another_build_is_compared_with_mycelia_alone() {
        let against = parse("--against ./old --at-most 1.15 --scene ask").unwrap();
        let names: Vec<_> = against.contenders.iter().map(|entry| entry.name).collect();
        assert_eq!((&names[..], against.runs), (&["mycelia", "mycelia-1thread"][..], 15));
        let other = against.against.unwrap();
        assert_eq!((other.program.to_str(), other.at_most), (Some("./old"), Some(1.15)));
        assert!(parse("--at-most 1.15").is_err() && parse("--against ./old --at-most 0").is_err());
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(parse("--scene aks").unwrap_err().contains("tell_1to1"));
        assert!(parse("--runs 0").is_err());
        assert!(parse("--runs").is_err());
        assert!(parse("--fast").is_err());
    }
}
