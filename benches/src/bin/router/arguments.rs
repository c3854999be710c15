//! What the command line asks for.

use mycelia_benches::arguments::{count, names, select};

use crate::contenders::{self, Entry};

/// How to use the program.
pub(crate) const USAGE: &str = "\
Looks the same paths up with mycelia-router and its peers, and compares them.

  router [--part NAME]... [--contender NAME]... [--runs N] [--json [FILE]]

  --part NAME        only this part: github, synthetic, growth, insertion; may be repeated, or several with commas
  --contender NAME   only this contender; may be repeated, or several with commas
  --runs N           rounds over all contenders, 15 when not given (insertion: a third of it, at least 3)
  --json             one line of JSON for each figure, and nothing else
  --json FILE        the same into a file, beside the tables";

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Part {
    /// Every scene over a real table.
    Github,
    /// Every scene over ten thousand made-up routes.
    Synthetic,
    /// Some scenes over tables that grow.
    Growth,
    /// What inserting costs.
    Insertion,
}

impl Part {
    const ALL: [Self; 4] = [Self::Github, Self::Synthetic, Self::Growth, Self::Insertion];

    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Github => "github",
            Self::Synthetic => "synthetic",
            Self::Growth => "growth",
            Self::Insertion => "insertion",
        }
    }
}

/// How the figures are handed out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Output {
    /// Tables.
    Tables,
    /// Lines of JSON instead of tables.
    Lines,
    /// Tables, and lines of JSON in a file.
    Both(String),
}

/// What to measure, with whom, and how to print it.
pub(crate) struct Arguments {
    pub(crate) parts: Vec<Part>,
    pub(crate) contenders: Vec<Entry>,
    pub(crate) runs: usize,
    pub(crate) output: Output,
}

impl Arguments {
    /// Reads the arguments after the program's name, or says what is wrong with them.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        // `--runs=3` is `--runs 3`.
        let mut words = Vec::new();
        for argument in arguments {
            match argument.split_once('=') {
                Some((option, value)) if option.starts_with("--") => {
                    words.extend([option.to_owned(), value.to_owned()])
                }
                _ => words.push(argument),
            }
        }
        let (mut parts, mut contenders, mut runs, mut output) = (Vec::new(), Vec::new(), 15, Output::Tables);
        let mut words = words.into_iter().peekable();
        while let Some(option) = words.next() {
            let value = words.next_if(|word| !word.starts_with("--"));
            let needed = || value.clone().ok_or(format!("{option} needs a value"));
            match option.as_str() {
                "--part" => parts.extend(names(&needed()?)),
                "--contender" => contenders.extend(names(&needed()?)),
                "--runs" => runs = count(&needed()?)?,
                "--json" => output = value.map_or(Output::Lines, Output::Both),
                _ => return Err(format!("{option} is not an option")),
            }
        }
        Ok(Self {
            parts: select(&Part::ALL, |part| part.name(), &parts)?,
            contenders: select(contenders::ALL, |entry| entry.name, &contenders)?,
            runs,
            output,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Arguments, Output, Part};

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn everything_is_measured_unless_named() {
        let all = parse("").unwrap();
        assert_eq!((all.parts.len(), all.runs, all.output), (4, 15, Output::Tables));
        let some = parse("--part github,growth --contender=matchit --runs 3 --json").unwrap();
        assert_eq!(some.parts, [Part::Github, Part::Growth]);
        assert_eq!((some.contenders.len(), some.runs, some.output), (1, 3, Output::Lines));
        assert_eq!(parse("--json to.jsonl --runs 1").unwrap().output, Output::Both("to.jsonl".to_owned()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(parse("--part gitlab").err().unwrap().contains("synthetic"));
        assert!(parse("--runs 0").is_err());
        assert!(parse("--runs").is_err());
        assert!(parse("fast").is_err());
    }
}
