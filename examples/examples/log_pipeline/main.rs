//! A log file through three subsystems, each as fast as the next one has room: which words are the most frequent, and
//! how many lines there are per day (or per hour, if all are of one day).
//!
//! ```text
//!   file ──▶ reader ── Line ──▶ parser ── Entry ──▶ tally
//!                    send waits         send waits
//! ```
//!
//! Whoever `send`s waits while the next mailbox is full, so however long the file, only so much of it is in memory. At
//! the end the lines read, parsed and tallied have to be the same number. Try it on your package manager's log:
//!
//! ```text
//! cargo run --release --example log_pipeline -- FILE
//! ```

#[path = "../print/ledger.rs"]
mod ledger;
mod report;
mod timestamp;
mod words;

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use mycelia_actors::prelude::*;
use tokio::task::block_in_place;

use ledger::Ledger;
use report::Report;
use timestamp::Hour;
use words::{Text, words};

/// Lines on their way between two subsystems, at most.
const ROOM: usize = 256;
/// The reader goes to the file for so many bytes (or one line, if that is longer) at a time.
const READ_BYTES: usize = 64 * 1024;
/// Words beyond these are counted together, so that no file can make the tally grow without end.
const DISTINCT_WORDS: usize = 1_000_000;

/// Asks the reader to read some lines and send them on. The reply says how many; 0 at the end of the file.
struct ReadSome;

/// A line without its end, from reader to parser.
struct Line(Vec<u8>);

/// What a line says, from parser to tally.
struct Entry {
    hour: Option<Hour>,
    words: Vec<String>,
    /// Bytes that were not UTF-8.
    foreign: u64,
}

/// Asks the tally for the outcome.
struct Finish;

struct Reader {
    file: BufReader<File>,
    parser: Address<Parser>,
}

impl Subsystem for Reader {}

impl Handler<ReadSome> for Reader {
    type Reply = Result<u64, BoxError>;

    async fn handle(&mut self, _: ReadSome, _cx: &mut Context<Self>) -> Result<u64, BoxError> {
        // Reading blocks the thread. `block_in_place` lets another thread take over this one's other tasks meanwhile, and
        // the file stays in `self`: for `spawn_blocking` it would have to move out and back in. A source that may be
        // silent for hours is better read by a thread of its own, with `blocking_send`.
        let lines = block_in_place(|| read_lines(&mut self.file))?;
        let count = lines.len() as u64;
        for line in lines {
            self.parser.send(Line(line)).await?;
        }
        Ok(count)
    }
}

/// Some lines without their ends; none at the end of the file. The last one need not have an end.
fn read_lines(file: &mut impl BufRead) -> io::Result<Vec<Vec<u8>>> {
    let (mut lines, mut bytes) = (Vec::new(), 0);
    while bytes < READ_BYTES {
        let mut line = Vec::new();
        match file.read_until(b'\n', &mut line)? {
            0 => break,
            read => bytes += read,
        }
        if line.pop_if(|byte| *byte == b'\n').is_some() {
            line.pop_if(|byte| *byte == b'\r');
        }
        lines.push(line);
    }
    Ok(lines)
}

struct Parser {
    tally: Address<Tally>,
}

impl Subsystem for Parser {}

impl Handler<Line> for Parser {
    type Reply = ();

    async fn handle(&mut self, Line(line): Line, cx: &mut Context<Self>) {
        // A byte that is not UTF-8 is counted and ends a word, as a blank does; the rest of its line counts as ever.
        let Text { text, foreign } = Text::decode(&line);
        let entry = Entry { hour: timestamp::leading(&line), words: words(&text).collect(), foreign };
        if let Err(error) = self.tally.send(entry).await {
            // Only if the tally has ended. So does this, then, and the reader is told at its next line.
            eprintln!("log_pipeline: {error}");
            cx.stop();
        }
    }
}

/// What the lines amount to.
#[derive(Clone, Default)]
struct Tally {
    lines: u64,
    lines_without_time: u64,
    lines_per_hour: BTreeMap<Hour, u64>,
    words: HashMap<String, u64>,
    words_beyond: u64,
    foreign_bytes: u64,
    lines_with_foreign_bytes: u64,
}

impl Subsystem for Tally {}

impl Handler<Entry> for Tally {
    type Reply = ();

    async fn handle(&mut self, entry: Entry, _cx: &mut Context<Self>) {
        self.lines += 1;
        self.foreign_bytes += entry.foreign;
        self.lines_with_foreign_bytes += u64::from(entry.foreign > 0);
        match entry.hour {
            Some(hour) => *self.lines_per_hour.entry(hour).or_default() += 1,
            None => self.lines_without_time += 1,
        }
        for word in entry.words {
            if let Some(count) = self.words.get_mut(&word) {
                *count += 1;
            } else if self.words.len() < DISTINCT_WORDS {
                self.words.insert(word, 1);
            } else {
                self.words_beyond += 1;
            }
        }
    }
}

impl Handler<Finish> for Tally {
    type Reply = Tally;

    async fn handle(&mut self, _: Finish, _cx: &mut Context<Self>) -> Tally {
        std::mem::take(self)
    }
}

async fn run(path: &Path) -> Result<Report, BoxError> {
    let file = BufReader::new(File::open(path)?);

    // From the end to the start: each is given the address of the next.
    let runtime = Runtime::new();
    let room = Mailbox::bounded(ROOM);
    let tally = runtime.configure("tally").mailbox(room).spawn(Tally::default())?;
    let parser = runtime.configure("parser").mailbox(room).spawn(Parser { tally: tally.clone() })?;
    let reader = runtime.spawn("reader", Reader { file, parser: parser.clone() })?;

    // An ask waits 5 seconds if nothing else is said: too short for a line of a gigabyte.
    let (mut asks, mut lines_read) = (0, 0);
    loop {
        asks += 1;
        match reader.ask(ReadSome).within(Duration::MAX).await?? {
            0 => break,
            lines => lines_read += lines,
        }
    }
    // `stop` means: after what was accepted. So when the parser has ended, the tally has been sent every entry, and this
    // last ask of the tally stands behind them all.
    parser.stop();
    parser.ended().await;
    let outcome = tally.ask(Finish).within(Duration::MAX).await?;
    runtime.shutdown().await?;

    let ledger =
        Ledger(vec![("reader", reader.stats()), ("parser", parser.stats()), ("tally", tally.stats())]);
    Ok(Report { asks, lines_read, outcome, pool: runtime.pool_stats(), ledger })
}

/// The only argument. A path need not be UTF-8.
fn path(mut arguments: impl Iterator<Item = OsString>) -> Result<OsString, &'static str> {
    match (arguments.next(), arguments.next()) {
        (Some(path), None) => Ok(path),
        (None, _) => Err("which file? usage: log_pipeline FILE"),
        (_, Some(_)) => Err("one file at a time. usage: log_pipeline FILE"),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let path = match path(std::env::args_os().skip(1)) {
        Ok(path) => path,
        Err(error) => {
            eprintln!("log_pipeline: {error}");
            return ExitCode::from(2);
        }
    };
    let report = match run(Path::new(&path)).await {
        Ok(report) => report,
        Err(error) => {
            eprintln!("log_pipeline: `{}`: {error}", path.display());
            return ExitCode::FAILURE;
        }
    };
    let written = write!(io::stdout(), "{report}");
    let mut problems = report.problems();
    problems.extend(written.err().map(|error| error.to_string()));
    for problem in &problems {
        eprintln!("log_pipeline: {problem}");
    }
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_lines(mut file: impl BufRead) -> Vec<Vec<u8>> {
        let some = std::iter::from_fn(|| Some(read_lines(&mut file).unwrap()));
        some.take_while(|lines| !lines.is_empty()).flatten().collect()
    }

    #[test]
    fn a_line_ends_with_a_line_feed_or_the_file() {
        assert_eq!(all_lines(&b""[..]).len(), 0);
        assert_eq!(all_lines(&b"\n"[..]), [b""]);
        assert_eq!(all_lines(&b"a\r\n\nb\rc\n"[..]), [&b"a"[..], b"", b"b\rc"]);
        assert_eq!(all_lines(&b"a\nb\r"[..]), [&b"a"[..], b"b\r"]);
    }

    #[test]
    fn a_line_longer_than_one_reading_is_one_line() {
        let long = vec![b'x'; 3 * READ_BYTES];
        let file = [&long[..], b"\nshort\n", &long].concat();
        assert_eq!(all_lines(&file[..]), [&long[..], b"short", &long]);
    }

    #[test]
    fn one_file_is_expected() {
        let parsed = |names: &[&str]| path(names.iter().map(OsString::from));
        assert_eq!(parsed(&["a"]), Ok("a".into()));
        assert!(parsed(&[]).is_err() && parsed(&["a", "b"]).is_err());
    }
}
