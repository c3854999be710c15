//! Being asked to end.

use std::io::{self, Write};
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;

use flume::Sender;

use super::input::Event;

/// The signal we were asked with, or 0. Relaxed: it publishes nothing, and is looked at before each record.
static ASKED: AtomicI32 = AtomicI32::new(0);

/// The number of the signal that somebody wants us to end with.
pub(crate) fn asked() -> Option<i32> {
    Some(ASKED.load(Ordering::Relaxed)).filter(|&signal| signal != 0)
}

/// The exit code for a signal, as shells have it.
pub(crate) fn exit_code(signal: i32) -> u8 {
    128 + signal as u8
}

/// Waits, in a thread of its own, for an interrupt (Ctrl-C), or for being asked to end; the second time there is no mercy.
pub(crate) fn watch(events: Sender<Event>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mut signals = {
        let _inside = runtime.enter();
        Signals::new()?
    };
    thread::spawn(move || {
        runtime.block_on(async {
            let signal = signals.next().await;
            ASKED.store(signal, Ordering::Relaxed);
            let _ = writeln!(io::stderr(), "ending; once more to end at once");
            // Lines may fill the queue: this one waits behind them, or else the signal is seen.
            let _ = events.try_send(Event::Interrupted);
            std::process::exit(exit_code(signals.next().await).into());
        });
    });
    Ok(())
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next one; its number.
    async fn next(&mut self) -> i32 {
        use std::task::Poll;
        use tokio::signal::unix::SignalKind;

        std::future::poll_fn(|cx| {
            if self.interrupt.poll_recv(cx).is_ready() {
                return Poll::Ready(SignalKind::interrupt().as_raw_value());
            }
            self.terminate.poll_recv(cx).map(|_| SignalKind::terminate().as_raw_value())
        })
        .await
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    /// Waits for the next one; its number, as it is elsewhere.
    async fn next(&mut self) -> i32 {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        2
    }
}
