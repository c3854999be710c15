//! The figures of all scenes, printed, read and compared.

use std::fmt;

use crate::figure::Figure;

const HEADER: &str = "scene        instructions  heap requests   operations   instructions   requests";

/// Figures in the order in which they were measured.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Table(Vec<Figure>);

impl Table {
    /// Adds a row.
    pub(crate) fn add(&mut self, figure: Figure) {
        self.0.push(figure);
    }

    /// Reads what [`Display`](fmt::Display) writes. Lines that begin with `#` are skipped.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let rows = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty() && *line != HEADER);
        let parse = |line| Figure::parse(line).ok_or_else(|| format!("not a row of the table: {line}"));
        rows.map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// Fails if an operation takes over `percent` more instructions than in `old`, or more heap requests, or has no row
    /// there.
    pub(crate) fn check(&self, old: &Self, percent: f64) -> Result<(), String> {
        let mut worse = Vec::new();
        for new in &self.0 {
            let Some(old) = old.0.iter().find(|old| old.name == new.name) else {
                worse.push(format!("{}: not in the table", new.name));
                continue;
            };
            let rise = (new.per_operation() / old.per_operation() - 1.0) * 100.0;
            println!("{:<10} {rise:>+7.2} %", new.name);
            if rise > percent {
                let (old, new_each) = (old.per_operation(), new.per_operation());
                worse.push(format!("{}: {new_each:.1} instructions, {old:.1} in the table", new.name));
            }
            // A hundredth of a request is a buffer that grew at another moment.
            let requests = |figure: &Figure| figure.requests as f64 / figure.operations as f64;
            if requests(new) > requests(old) + 0.01 {
                let (old, new_each) = (requests(old), requests(new));
                worse.push(format!("{}: {new_each:.2} heap requests, {old:.2} in the table", new.name));
            }
        }
        if worse.is_empty() { Ok(()) } else { Err(format!("over the table:\n  {}", worse.join("\n  "))) }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Per operation, and in all.")?;
        writeln!(f, "{HEADER}")?;
        self.0.iter().try_for_each(|figure| writeln!(f, "{figure}"))
    }
}

#[cfg(test)]
mod tests {
    use super::Table;
    use crate::figure::Figure;

    fn table(instructions: u64, requests: u64) -> Table {
        Table(vec![Figure { name: "tell".into(), operations: 100, instructions, requests }])
    }

    #[test]
    fn a_table_is_read_as_it_was_written() {
        assert_eq!(Table::parse(&table(62_100, 400).to_string()), Ok(table(62_100, 400)));
        assert!(Table::parse("tell 1 2 three").is_err());
    }

    #[test]
    fn a_row_fails_when_it_rises_by_more_than_the_limit() {
        let old = table(62_100, 400);
        assert!(table(63_300, 400).check(&old, 2.0).is_ok());
        assert!(table(63_400, 400).check(&old, 2.0).unwrap_err().contains("634.0 instructions, 621.0"));
        assert!(table(63_400, 400).check(&old, 3.0).is_ok());
        assert!(table(62_100, 500).check(&old, 2.0).unwrap_err().contains("5.00 heap requests, 4.00"));
        assert!(table(62_100, 400).check(&Table::default(), 2.0).unwrap_err().contains("not in the table"));
    }
}
