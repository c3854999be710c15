//! The figures as a reader wants them: a table for each scene, with what must be known under it.

use std::fmt;

use crate::contenders::Entry;
use crate::scene::Scene;
use crate::series::{Figures, Row};

/// One scene's table.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    /// The scene.
    pub scene: Scene,
    /// How often it was played.
    pub runs: usize,
    /// A row for each contender.
    pub rows: &'a [Row],
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = if self.scene == Scene::Memory { "used" } else { "allocs/op" };
        let unit = if self.scene == Scene::Memory { "bytes per actor" } else { "ns per operation" };
        writeln!(f, "{}: {unit}, {} runs", self.scene.name(), self.runs)?;
        writeln!(f)?;
        write!(
            f,
            "  {:<16} {:>8} {:>10} {:>10} {:>10} {last:>10} {:>12}",
            "contender", "version", "median", "min", "max", "to mycelia"
        )?;
        if let Some(beside) = self.scene.beside() {
            write!(f, " {:>10} {:>17} {:>24}", "processor", beside.name(), "times as much")?;
        }
        writeln!(f)?;
        let mycelia = self.rows.iter().find(|row| row.contender == "mycelia");
        for row in self.rows {
            let main = row.figures.compared();
            let last = match row.figures {
                Figures::Cost { allocations, .. } => format!("{allocations:.2}"),
                Figures::Memory { used, .. } => format!("{:.0}", used.median),
            };
            let ratio = mycelia.map(|mycelia| main.median / mycelia.figures.compared().median);
            let ratio = ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}x"));
            write!(
                f,
                "  {:<16} {:>8} {:>10.1} {:>10.1} {:>10.1} {last:>10} {ratio:>12}",
                row.contender, row.version, main.median, main.min, main.max
            )?;
            if let Figures::Cost { times, beside: Some(beside), .. } = &row.figures {
                let (median, min) = (times.ns.median / beside.ns.median, times.ns.min / beside.ns.min);
                let processor = times.cpu_ns.median / beside.cpu_ns.median;
                write!(f, " {:>10.1} {:>17.1}", times.cpu_ns.median, beside.ns.median)?;
                write!(f, "   {median:>6.2}x {min:>6.2}x {processor:>6.2}x")?;
            }
            writeln!(f)?;
        }
        writeln!(f)?;
        paragraph(f, "  ", self.scene.notes())?;
        match (self.scene.ancestor(), mycelia.map(|row| row.figures)) {
            (Some(ancestor), Some(Figures::Cost { times, .. })) => {
                let text = format!(
                    "Mycelia's ancestor needs {ancestor:.0} ns of processor time for this, {:.0} times as much as the {:.0} ns \
                     of mycelia.",
                    ancestor / times.cpu_ns.median,
                    times.cpu_ns.median
                );
                paragraph(f, "  ", &text)
            }
            _ => Ok(()),
        }
    }
}

/// What must be known of the contenders.
#[derive(Clone, Copy, Debug)]
pub struct Notes<'a>(pub &'a [Entry]);

impl fmt::Display for Notes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "notes")?;
        writeln!(f)?;
        paragraph(f, "  ", MODES)?;
        for entry in self.0 {
            paragraph(f, "  ", &format!("{}: {}.", entry.name, (entry.notes)()))?;
        }
        Ok(())
    }
}

const MODES: &str = "All but actix run on tokio with two workers. A sender and its actor are then on one worker in \
                     turn, or on two at once and in each other's way, which slows a bare channel several times. So \
                     medians may jump between two modes; `taskset -c 0` before the command shows the first alone.";

/// Prints a text in lines of about a hundred characters.
fn paragraph(f: &mut fmt::Formatter<'_>, indent: &str, text: &str) -> fmt::Result {
    let mut width = 0;
    for word in text.split_whitespace() {
        if width > 0 && width + word.len() > 100 {
            writeln!(f)?;
            width = 0;
        }
        let gap = if width == 0 { indent } else { " " };
        write!(f, "{gap}{word}")?;
        width += gap.len() + word.len();
    }
    writeln!(f)
}
