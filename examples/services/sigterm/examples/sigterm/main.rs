//! A service that ends in the right order.
//!
//! ```text
//! cargo run --release --example sigterm -- --port 0 --database books.sqlite
//! curl -i http://127.0.0.1:PORT/orders --json '{"id": 7, "cents": 300}'
//! ```
//!
//! At a SIGTERM (or Ctrl-C), within a limit:
//!
//! 1. *Outside first*: the server takes no more requests, and answers those that it has.
//! 2. *Then inside*: the runtime is shut down. What was accepted is worked off, also for clients that have gone.
//! 3. It says what was handled, and exits with code 0; or with 1, if something had to be cut off, which it names.
//!
//! A second signal ends it at once, with code 1, and names what was cut off. If it cannot even begin, that is one line, and code 2.

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use mycelia_actors::prelude::*;
use mycelia_sigterm::bank::Bank;
use mycelia_sigterm::books::Books;
use mycelia_sigterm::database::Database;
use mycelia_sigterm::http;
use mycelia_sigterm::orders::Orders;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

mod arguments;
mod console;
mod signals;

use arguments::{Arguments, USAGE};
use console::{say, say_error};
use signals::Signals;

/// How long the last answers may take, which the end of the subsystems has made possible.
const LAST_ANSWERS_WITHIN: Duration = Duration::from_millis(100);

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            say(USAGE);
            return ExitCode::SUCCESS;
        }
        Err(wrong) => {
            say_error(format_args!("{wrong}; {USAGE}"));
            return ExitCode::from(2);
        }
    };
    match serve(arguments).await {
        Ok(code) => code,
        Err(error) => {
            say_error(error);
            ExitCode::from(2)
        }
    }
}

/// Serves until a signal comes, and ends. An error is one of the beginning.
async fn serve(arguments: Arguments) -> Result<ExitCode, BoxError> {
    let Arguments { port, database, limit, charge } = arguments;
    let mut signals = Signals::new()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| {
        format!("cannot listen on port {port} ({error}): choose another with --port, or 0 for a free one")
    })?;
    let (charges, rows) = (Database::open(&database)?, Database::open(&database)?);

    let runtime = Runtime::new();
    // Both block on the disk, so each has a thread.
    let books = runtime.configure("books").own_thread().spawn(Books::new(rows))?;
    let bank = runtime.configure("bank").own_thread().spawn(Bank::new(charges, charge))?;
    let orders = runtime.configure("orders").spawn(Orders::new(bank.clone(), books.clone()))?;

    let address = listener.local_addr()?;
    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop).notified_owned();
    let server = axum::serve(listener, http::router(orders.clone())).with_graceful_shutdown(stopped);
    let mut server = tokio::spawn(server.into_future());
    say(format_args!("listening on http://{address}"));

    signals.next().await;
    say("stopping; a second signal ends at once");
    let deadline = Instant::now() + limit;
    let ending = async {
        stop.notify_one();
        let answered = timeout(limit / 2, &mut server).await.is_ok();
        say(if answered {
            "requests are answered"
        } else {
            "not all requests are answered: half of the time is over"
        });
        let result = runtime.shutdown_within(deadline.saturating_duration_since(Instant::now())).await;
        if !answered {
            _ = timeout(LAST_ANSWERS_WITHIN, &mut server).await;
        }
        result
    };
    let (result, at_once) = tokio::select! {
        result = ending => (result, false),
        // Joins the shutdown, if it has begun, and leaves it no more time.
        () = signals.next() => (runtime.shutdown_within(Duration::ZERO).await, true),
    };

    say(format_args!("orders: {}; bank: {}; books: {}", orders.stats(), bank.stats(), books.stats()));
    match result {
        Ok(()) if !at_once => return Ok(ExitCode::SUCCESS),
        Ok(()) => say_error("ended at once; nothing was cut off"),
        Err(cut_off) => say_error(cut_off),
    }
    Ok(ExitCode::FAILURE)
}
