//! Whatever comes from outside: lines, their end, an interrupt.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::thread;

use flume::{Receiver, Sender};
use indicatif::{ProgressBar, ProgressStyle};

use super::line::Line;

/// What happens.
pub(crate) enum Event {
    Line(Line),
    /// The number of a line that is none, and why.
    Malformed(u64, String),
    /// There is no more.
    End,
    /// It cannot be read.
    Failed(io::Error),
    /// Somebody wants us to end.
    Interrupted,
}

/// Lines that are read ahead.
const AHEAD: usize = 1024;
/// The longest line, in bytes.
const LONGEST: u64 = 16 << 20;

/// Reads the file, or standard input, in a thread of its own.
pub(crate) fn open(file: Option<&Path>) -> io::Result<Receiver<Event>> {
    let (events, receiver) = flume::bounded(AHEAD);
    watch_signals(events.clone())?;
    match file {
        Some(path) => {
            let file = File::open(path)?;
            let bar = ProgressBar::new(file.metadata()?.len());
            let template = "{wide_bar} {bytes} of {total_bytes}, {binary_bytes_per_sec}, {eta} left";
            bar.set_style(ProgressStyle::with_template(template).expect("it is a template"));
            thread::spawn(move || read(BufReader::with_capacity(1 << 18, bar.wrap_read(file)), &events));
        }
        None => {
            thread::spawn(move || read(BufReader::with_capacity(1 << 18, io::stdin()), &events));
        }
    }
    Ok(receiver)
}

/// Until the end, or until nobody listens.
fn read(mut input: impl BufRead, events: &Sender<Event>) {
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let event = match read_line(&mut input, &mut line) {
            Err(error) => Event::Failed(error),
            Ok(false) => Event::End,
            Ok(true) if line.trim_ascii().is_empty() => continue,
            Ok(true) if line.len() as u64 > LONGEST => {
                Event::Malformed(number, format!("it is longer than {LONGEST} bytes"))
            }
            Ok(true) => match Line::read(&line) {
                Ok(line) => Event::Line(line),
                Err(error) => Event::Malformed(number, error),
            },
        };
        let is_last = matches!(event, Event::End | Event::Failed(_));
        if events.send(event).is_err() || is_last {
            return;
        }
    }
}

/// Whether there is a line. Of one that is too long, all but the beginning is left out.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    if input.take(LONGEST + 1).read_until(b'\n', line)? == 0 {
        return Ok(false);
    }
    if line.len() as u64 > LONGEST && !line.ends_with(b"\n") {
        input.skip_until(b'\n')?;
    }
    Ok(true)
}

/// Tells of an interrupt, or of being asked to end; the second time there is no mercy.
fn watch_signals(events: Sender<Event>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    thread::spawn(move || {
        runtime.block_on(async {
            if asked_to_end().await.is_ok() {
                // Lines may fill the queue: this one waits behind them, or else the flag is seen.
                super::run::INTERRUPTED.store(true, std::sync::atomic::Ordering::Relaxed);
                let _ = events.try_send(Event::Interrupted);
            }
            if asked_to_end().await.is_ok() {
                std::process::exit(130);
            }
        });
    });
    Ok(())
}

#[cfg(unix)]
async fn asked_to_end() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    std::future::poll_fn(|cx| {
        if interrupt.poll_recv(cx).is_ready() {
            std::task::Poll::Ready(())
        } else {
            terminate.poll_recv(cx).map(drop)
        }
    })
    .await;
    Ok(())
}

#[cfg(not(unix))]
async fn asked_to_end() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}
