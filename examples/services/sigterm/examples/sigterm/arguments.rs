//! What the command line says.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

pub(crate) const USAGE: &str =
    "usage: sigterm [--port PORT] [--database FILE] [--limit SECONDS] [--charge-ms MILLISECONDS]";

#[derive(Debug, PartialEq)]
pub(crate) struct Arguments {
    /// On loopback; 0 for a free one.
    pub(crate) port: u16,
    pub(crate) database: PathBuf,
    /// How long the end may take.
    pub(crate) limit: Duration,
    /// How long a charge takes at the most.
    pub(crate) charge: Duration,
}

impl Arguments {
    /// `None` if help is wanted. An error is what is wrong.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Option<Self>, String> {
        let mut this = Self {
            port: 8080,
            database: "books.sqlite".into(),
            limit: Duration::from_secs(20),
            charge: Duration::from_millis(50),
        };
        let mut arguments = arguments.into_iter();
        while let Some(name) = arguments.next() {
            let name = name.to_string_lossy().into_owned();
            if name == "--help" || name == "-h" {
                return Ok(None);
            }
            if !["--port", "--database", "--limit", "--charge-ms"].contains(&name.as_str()) {
                return Err(format!("unknown argument {name:?}"));
            }
            let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--port" => this.port = number(&name, &value)?,
                "--limit" => {
                    let limit = Duration::try_from_secs_f64(number(&name, &value)?);
                    this.limit = limit.map_err(|_| format!("{name} cannot be {value:?}"))?;
                }
                "--charge-ms" => this.charge = Duration::from_millis(number::<u32>(&name, &value)?.into()),
                _ => this.database = value.into(),
            }
        }
        Ok(Some(this))
    }
}

fn number<T: FromStr>(name: &str, value: &OsString) -> Result<T, String> {
    let parsed = value.to_str().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| format!("{name} cannot be {value:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Arguments>, String> {
        Arguments::parse(line.split_whitespace().map(Into::into))
    }

    #[test]
    fn all_of_them() {
        let all = parse("--port 0 --database a.sqlite --limit 0.5 --charge-ms 7");
        let (limit, charge) = (Duration::from_millis(500), Duration::from_millis(7));
        assert_eq!(all, Ok(Some(Arguments { port: 0, database: "a.sqlite".into(), limit, charge })));
        assert_eq!(parse("--port 1 --help"), Ok(None));
    }

    #[test]
    fn what_is_wrong_is_quoted() {
        for (line, wrong) in [
            ("--prot 1", "unknown argument \"--prot\""),
            ("--port", "--port needs a value"),
            ("--port 65536", "--port cannot be \"65536\""),
            ("--limit -1", "--limit cannot be \"-1\""),
            ("--limit NaN", "--limit cannot be \"NaN\""),
            ("--charge-ms 0.5", "--charge-ms cannot be \"0.5\""),
        ] {
            assert_eq!(parse(line), Err(wrong.to_owned()), "{line}");
        }
    }
}
