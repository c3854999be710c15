//! Lines from outside.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::thread;

use flume::{Receiver, Sender};
use indicatif::{ProgressBar, ProgressStyle};

use super::line::Line;
use super::signal;

/// What happens.
pub(crate) enum Event {
    /// Lines that were there together.
    Lines(Vec<Numbered>),
    /// There is no more.
    End,
    /// It cannot be read.
    Failed(io::Error),
    /// Somebody wants us to end.
    Interrupted,
}

/// A line, or why it is none, and its number.
pub(crate) type Numbered = (u64, Result<Line, String>);

/// Bytes that are read at once. No more lines than these have in them travel together, and one that was cut off by their end.
const BUFFER: usize = 1 << 18;
/// Such lots of lines that are read ahead.
const AHEAD: usize = 4;
/// The longest line, in bytes, with what ends it.
const LONGEST: u64 = 16 << 20;

/// Reads the file, or standard input, in a thread of its own.
pub(crate) fn open(file: Option<&Path>) -> io::Result<Receiver<Event>> {
    let (events, receiver) = flume::bounded(AHEAD);
    signal::watch(events.clone())?;
    match file {
        Some(path) => {
            let file = File::open(path)?;
            let bar = ProgressBar::new(file.metadata()?.len());
            let template = "{wide_bar} {bytes} of {total_bytes}, {binary_bytes_per_sec}, {eta} left";
            bar.set_style(ProgressStyle::with_template(template).expect("it is a template"));
            thread::spawn(move || read(bar.wrap_read(file), &events));
        }
        None => {
            thread::spawn(move || read(io::stdin(), &events));
        }
    }
    Ok(receiver)
}

/// Until the end, or until nobody listens.
fn read(input: impl Read, events: &Sender<Event>) {
    let mut input = BufReader::with_capacity(BUFFER, input);
    let mut line = Vec::new();
    let mut lines = Vec::new();
    let mut number = 0;
    let last = loop {
        // To wait for more, they must not wait with us.
        let would_wait = !input.buffer().contains(&b'\n');
        if would_wait && !lines.is_empty() && events.send(Event::Lines(std::mem::take(&mut lines))).is_err() {
            return;
        }
        line.clear();
        match read_line(&mut input, &mut line) {
            Ok(true) => {
                number += 1;
                let text = without_mark(&line, number).trim_ascii();
                if line.len() as u64 > LONGEST {
                    lines.push((number, Err(format!("it is longer than {LONGEST} bytes"))));
                } else if !text.is_empty() {
                    lines.push((number, Line::read(text)));
                }
            }
            Ok(false) => break Event::End,
            Err(error) => break Event::Failed(error),
        }
    };
    let _ = events.send(last);
}

/// Whether there is a line. Of one that is too long, no more than the beginning is kept.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    if input.take(LONGEST + 1).read_until(b'\n', line)? == 0 {
        return Ok(false);
    }
    if line.len() as u64 > LONGEST && !line.ends_with(b"\n") {
        input.skip_until(b'\n')?;
    }
    Ok(true)
}

/// What some editors put before everything: the mark of UTF-8.
fn without_mark(line: &[u8], number: u64) -> &[u8] {
    match line.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) if number == 1 => rest,
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of each event, and why they are none.
    fn all(input: &[u8]) -> Vec<Vec<(u64, Option<String>)>> {
        let (events, receiver) = flume::unbounded();
        read(input, &events);
        drop(events);
        let mut lots = Vec::new();
        for event in receiver {
            match event {
                Event::Lines(lines) => {
                    lots.push(lines.into_iter().map(|(number, line)| (number, line.err())).collect());
                }
                Event::End => lots.push(Vec::new()),
                Event::Failed(_) | Event::Interrupted => panic!(),
            }
        }
        lots
    }

    #[test]
    fn lines_that_are_there_travel_together() {
        let input = b"{\"payload\":\"\"}\r\n\n  \nx\n\xef\xbb\xbf{}\n{\"batch_end\":true}";
        let found: Vec<Vec<_>> = all(input)
            .iter()
            .map(|lot| lot.iter().map(|(number, error)| (*number, error.is_none())).collect())
            .collect();
        assert_eq!(found, [vec![(1, true), (4, false), (5, false)], vec![(6, true)], vec![]]);
        assert_eq!(all(b""), [vec![]]);
    }

    #[test]
    fn what_is_read_ahead_is_bounded_in_bytes() {
        let mut input = b"{\"payload\":\"\"}\n".repeat(100_000);
        let long = format!("{{\"payload\":\"{}\"}}\n", "x".repeat(BUFFER));
        input.extend_from_slice(long.as_bytes());
        input.extend_from_slice(&b"y".repeat(LONGEST as usize + 5));
        input.extend_from_slice(b"\n{\"payload\":\"\"}\n");
        let lots = all(&input);
        assert!(lots.iter().all(|lot| lot.len() <= BUFFER / 15 + 1), "{:?}", lots.iter().map(Vec::len).max());
        let lines = lots.concat();
        assert_eq!(lines.len(), 100_003);
        for ((number, error), expected) in lines.into_iter().zip(1..) {
            let due = (number == 100_002).then(|| "it is longer than 16777216 bytes".to_owned());
            assert_eq!((number, error), (expected, due));
        }
    }
}
