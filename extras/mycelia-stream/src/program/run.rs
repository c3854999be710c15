//! Records in, records out, until there are no more.

use std::error::Error;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use flume::{Receiver, TryRecvError};
use mycelia_stream::{Processor, Record};

use super::input::{self, Event};
use super::line::{self, Line};
use super::summary;

/// Somebody wants us to end. Relaxed: it publishes nothing, and is looked at before each record.
pub(crate) static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The most records of a batch that nobody ended.
const MOST: usize = 100;
/// So many malformed lines are told one by one.
const TOLD: u64 = 10;

/// Why it ended.
enum End {
    Input,
    Interrupt,
    /// Nobody reads the outputs any more.
    BrokenPipe,
    Failed(io::Error),
}

pub(crate) fn run(processor: Processor, file: Option<&Path>) -> Result<ExitCode, Box<dyn Error>> {
    let open = input::open(file);
    let events = open.map_err(|error| {
        file.map_or(String::new(), |file| format!("{}: ", file.display())) + &error.to_string()
    })?;
    let began = Instant::now();
    let mut work = Work {
        processor,
        events,
        out: BufWriter::with_capacity(1 << 16, io::stdout().lock()),
        malformed: 0,
        end: None,
    };
    let written = work.run();
    let end = match (written, work.end.take()) {
        (Err(error), _) if error.kind() == io::ErrorKind::BrokenPipe => End::BrokenPipe,
        (Err(error), _) => End::Failed(error),
        (Ok(()), end) => end.unwrap_or(End::Input),
    };
    let summary = summary::summary(&work.processor, work.malformed, began.elapsed());
    // What is left in the buffer cannot be written.
    let (_, _) = work.out.into_parts();
    let _ = io::stderr().write_all(summary.as_bytes());
    match end {
        End::Input | End::BrokenPipe => Ok(ExitCode::SUCCESS),
        End::Interrupt => Ok(ExitCode::from(130)),
        End::Failed(error) => Err(error.into()),
    }
}

struct Work<W: Write> {
    processor: Processor,
    events: Receiver<Event>,
    out: W,
    malformed: u64,
    end: Option<End>,
}

impl<W: Write> Work<W> {
    fn run(&mut self) -> io::Result<()> {
        let mut batch = Vec::with_capacity(MOST);
        while self.end.is_none() {
            self.fill(&mut batch);
            if !batch.is_empty() {
                for output in self.processor.process(&batch) {
                    line::write(&mut self.out, &output)?;
                }
                batch.clear();
            }
            // Whoever reads the outputs gets them before we wait.
            if self.events.is_empty() {
                self.out.flush()?;
            }
        }
        self.out.flush()
    }

    /// Waits for one record, and takes what else is there.
    fn fill(&mut self, batch: &mut Vec<Record>) {
        while batch.len() < MOST {
            if INTERRUPTED.load(Ordering::Relaxed) {
                self.end = Some(End::Interrupt);
                return;
            }
            let event = match self.events.try_recv() {
                Ok(event) => event,
                Err(TryRecvError::Empty) if batch.is_empty() => match self.events.recv() {
                    Ok(event) => event,
                    Err(_) => Event::End,
                },
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => Event::End,
            };
            match event {
                Event::Line(Line::Record(record)) => batch.push(record),
                Event::Line(Line::BatchEnd) => return,
                Event::Malformed(number, error) => self.tell(number, &error),
                Event::End => return self.end = Some(End::Input),
                Event::Failed(error) => return self.end = Some(End::Failed(error)),
                Event::Interrupted => return self.end = Some(End::Interrupt),
            }
        }
    }

    fn tell(&mut self, number: u64, error: &str) {
        self.malformed += 1;
        if self.malformed <= TOLD {
            let _ = writeln!(io::stderr(), "line {number} is no record: {error}");
        } else if self.malformed == TOLD + 1 {
            let _ = writeln!(io::stderr(), "more lines are no records; they are only counted");
        }
    }
}
