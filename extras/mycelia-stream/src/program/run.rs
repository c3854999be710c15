//! Records in, records out, until there are no more.

use std::error::Error;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;
use std::vec;

use flume::{Receiver, TryRecvError};
use mycelia_stream::{Processor, Record};

use super::input::{self, Event, Numbered};
use super::line::{self, Line};
use super::told::Told;
use super::{signal, summary};

/// The most records of a batch that nobody ended.
const MOST: usize = 100;
/// Bytes of payloads that make one a batch as well.
const MOST_BYTES: usize = 1 << 20;

/// Why it ended.
enum End {
    Input,
    /// By a signal.
    Interrupt,
    /// Nobody reads the outputs any more.
    BrokenPipe,
    Unreadable(io::Error),
    Unwritable(io::Error),
}

pub(crate) fn run(processor: Processor, file: Option<&Path>) -> Result<ExitCode, Box<dyn Error>> {
    let name = file.map_or("standard input".to_owned(), |file| file.display().to_string());
    let events = input::open(file).map_err(|error| format!("{name}: {error}"))?;
    let began = Instant::now();
    let mut work = Work {
        processor,
        events,
        lines: Vec::new().into_iter(),
        out: BufWriter::with_capacity(1 << 16, io::stdout().lock()),
        told: Told::default(),
        end: None,
    };
    let written = work.run();
    let end = match (written, work.end.take()) {
        (Err(error), _) if error.kind() == io::ErrorKind::BrokenPipe => End::BrokenPipe,
        (Err(error), _) => End::Unwritable(error),
        (Ok(()), end) => end.unwrap_or(End::Input),
    };
    let mut summary = summary::summary(&work.processor, work.told.malformed(), began.elapsed());
    if matches!(end, End::BrokenPipe | End::Unwritable(_)) {
        summary.push_str("the last outputs could not be written\n");
    }
    // What is left in the buffer cannot be written.
    let (_, _) = work.out.into_parts();
    let _ = io::stderr().write_all(summary.as_bytes());
    match end {
        // Those that we read from, or write to, may have been interrupted with us, and be gone first.
        End::Input | End::BrokenPipe | End::Interrupt => {
            Ok(signal::asked().map_or(ExitCode::SUCCESS, |signal| signal::exit_code(signal).into()))
        }
        End::Unreadable(error) => Err(format!("{name}: {error}").into()),
        End::Unwritable(error) => Err(format!("standard output: {error}").into()),
    }
}

struct Work<W: Write> {
    processor: Processor,
    events: Receiver<Event>,
    /// Those of the last event.
    lines: vec::IntoIter<Numbered>,
    out: W,
    told: Told,
    end: Option<End>,
}

/// What is next.
enum Next {
    Line(u64, Result<Line, String>),
    /// Nothing, for now.
    Nothing,
    End(End),
}

impl<W: Write> Work<W> {
    fn run(&mut self) -> io::Result<()> {
        let mut batch = Vec::with_capacity(MOST);
        let mut numbers = Vec::with_capacity(MOST);
        while self.end.is_none() {
            self.fill(&mut batch, &mut numbers);
            if !batch.is_empty() {
                for outputs in self.processor.parts(&batch) {
                    for output in outputs {
                        line::write(&mut self.out, &output)?;
                    }
                }
                self.told.look(&self.processor, &batch, &numbers);
                batch.clear();
                numbers.clear();
            }
            // Whoever reads the outputs gets them before we wait.
            if self.lines.len() == 0 && self.events.is_empty() {
                self.out.flush()?;
            }
        }
        self.out.flush()
    }

    /// Waits for one record, and takes what else is there.
    fn fill(&mut self, batch: &mut Vec<Record>, numbers: &mut Vec<u64>) {
        let mut bytes = 0;
        while batch.len() < MOST && bytes < MOST_BYTES {
            match self.next(batch.is_empty()) {
                Next::Line(number, Ok(Line::Record(record))) => {
                    bytes += record.payload.len();
                    batch.push(record);
                    numbers.push(number);
                }
                Next::Line(_, Ok(Line::BatchEnd)) | Next::Nothing => return,
                Next::Line(number, Err(error)) => {
                    self.told.of_line(number, &error);
                    if batch.is_empty() {
                        // Outputs of the last batch may be in the buffer still: not to wait with them.
                        return;
                    }
                }
                Next::End(end) => return self.end = Some(end),
            }
        }
    }

    /// The next line. If there is none, it may wait.
    fn next(&mut self, waits: bool) -> Next {
        loop {
            if signal::asked().is_some() {
                return Next::End(End::Interrupt);
            }
            if let Some((number, line)) = self.lines.next() {
                return Next::Line(number, line);
            }
            let event = match self.events.try_recv() {
                Err(TryRecvError::Empty) if waits => self.events.recv().unwrap_or(Event::End),
                Err(TryRecvError::Empty) => return Next::Nothing,
                event => event.unwrap_or(Event::End),
            };
            match event {
                Event::Lines(lines) => self.lines = lines.into_iter(),
                Event::End => return Next::End(End::Input),
                Event::Failed(error) => return Next::End(End::Unreadable(error)),
                // The signal says which.
                Event::Interrupted => {}
            }
        }
    }
}
