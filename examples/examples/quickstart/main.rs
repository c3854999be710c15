//! A million messages through two subsystems, timed and accounted for.
//!
//! Clients ask `api` for users by path, `api://users/7`; `api` asks `db://query` inside its handler. Every fifth time a client
//! tells `api` of a visit instead, for which there is no reply. Each client has one ask out at a time, so 32 clients are
//! the load. At the end, by address, both are asked what they have seen: every message must have been handled, and the
//! clients' count, the handlers' and the ledger's have to agree.
//!
//! ```text
//! cargo run --release --example quickstart            # 1_000_000 messages
//! cargo run --release --example quickstart -- 20_000
//! ```

#[path = "../print/ledger.rs"]
mod ledger;
mod memory;
mod pace;
mod report;
mod waits;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use mycelia_actors::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use ledger::Ledger;
use memory::Memory;
use pace::Pace;
use report::{Report, Sent};
use waits::{Stamp, Waits, stamp};

const CLIENTS: u64 = 32;
const USERS: u64 = 10_000;

// A message is any value; one that comes by path is known to serde. `sent_at` is there in one message of 64: see `waits`.

/// `api://users/{id}`: ask for a user.
#[derive(Serialize, Deserialize)]
struct GetUser {
    id: u64,
    sent_at: Option<Stamp>,
}

/// `api://users/{id}/visits`: tell that a user was here.
#[derive(Serialize, Deserialize)]
struct Visit {
    id: u64,
    sent_at: Option<Stamp>,
}

/// `db://query`: ask for a user. Its path has no parameters, so it can be sent as it is.
#[derive(Serialize, Deserialize)]
struct Query {
    id: u64,
    sent_at: Option<Stamp>,
}

/// Ask either, at the end, what it has seen.
struct Finish;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct User {
    id: u64,
}

struct Db {
    users: Vec<User>,
    waits: Waits,
}

impl Subsystem for Db {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Query>("query");
    }
}

impl Handler<Query> for Db {
    type Reply = Option<User>;

    async fn handle(&mut self, Query { id, sent_at }: Query, _cx: &mut Context<Self>) -> Option<User> {
        self.waits.note(sent_at);
        self.users.get(id as usize).copied()
    }
}

impl Handler<Finish> for Db {
    type Reply = Waits;

    async fn handle(&mut self, _: Finish, _cx: &mut Context<Self>) -> Waits {
        self.waits.clone()
    }
}

struct Api {
    visits: Vec<u32>,
    waits: Waits,
}

impl Subsystem for Api {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<GetUser>("users/{id}");
        routes.on::<Visit>("users/{id}/visits");
    }
}

impl Handler<GetUser> for Api {
    type Reply = Result<Option<User>, String>;

    async fn handle(&mut self, GetUser { id, sent_at }: GetUser, cx: &mut Context<Self>) -> Self::Reply {
        self.waits.note(sent_at);
        let query = Query { id, sent_at: stamp(self.waits.handled) };
        cx.paths().ask("db://query", query).await.map_err(|error| error.to_string())
    }
}

impl Handler<Visit> for Api {
    type Reply = ();

    async fn handle(&mut self, Visit { id, sent_at }: Visit, _cx: &mut Context<Self>) {
        self.waits.note(sent_at);
        if let Some(visits) = self.visits.get_mut(id as usize) {
            *visits += 1;
        }
    }
}

impl Handler<Finish> for Api {
    type Reply = Waits;

    async fn handle(&mut self, _: Finish, _cx: &mut Context<Self>) -> Waits {
        self.waits.clone()
    }
}

/// Causes exactly this many messages: 2 by an ask (the second is the api's, to the db), 1 by a tell.
async fn client(number: u64, messages: u64, runtime: Runtime) -> Result<Sent, BoxError> {
    let mut sent = Sent::default();
    while sent.messages() < messages {
        let turn = sent.asks + sent.tells;
        let id = (number * 7919 + turn) % USERS;
        // What is not in the path is in the body.
        let body = stamp(turn).map_or(Value::Null, |sent_at| json!({ "sent_at": sent_at }));
        // Every fifth, not fourth: of 5 and 64, each kind of message gets its share of stamps.
        if turn % 5 == 4 || sent.messages() + 1 == messages {
            // Waits while the mailbox is full. `tell` would not wait, and give the body back.
            runtime.send(&format!("api://users/{id}/visits"), body).await?;
            sent.tells += 1;
        } else {
            let user: Result<Option<User>, String> = runtime.ask(&format!("api://users/{id}"), body).await?;
            match user? {
                Some(user) if user.id == id => sent.asks += 1,
                other => return Err(format!("asked for user {id}, got {other:?}").into()),
            }
        }
    }
    Ok(sent)
}

async fn run(messages: u64) -> Result<Report, BoxError> {
    let runtime = Runtime::new();
    let users = (0..USERS).map(|id| User { id }).collect();
    let db = runtime.spawn("db", Db { users, waits: Waits::new()? })?;
    let visits = vec![0; USERS as usize];
    let api = runtime.spawn("api", Api { visits, waits: Waits::new()? })?;

    let bar = ProgressBar::new(messages);
    bar.set_style(ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} messages, {eta} left")?);
    let memory_before = Memory::now();
    let mut pace = Pace::start();
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let share = messages / CLIENTS + u64::from(number < messages % CLIENTS);
        clients.spawn(client(number, share, runtime.clone()));
    }

    let mut sent = Sent::default();
    let mut look = tokio::time::interval(Duration::from_millis(10));
    loop {
        tokio::select! {
            client = clients.join_next() => match client {
                Some(result) => sent.add(result??),
                None => break,
            },
            _ = look.tick() => {
                let handled = api.stats().handled + db.stats().handled;
                pace.note(handled);
                bar.set_position(handled);
            }
        }
    }
    // A mailbox is a queue: when these are answered, every message before them has been handled.
    let waits = [("api", api.ask(Finish).await?), ("db", db.ask(Finish).await?)];
    let elapsed = pace.elapsed();
    bar.finish_and_clear();

    runtime.shutdown().await?;
    Ok(Report {
        messages,
        clients: CLIENTS,
        sent,
        elapsed,
        pace,
        waits,
        pool: runtime.pool_stats(),
        memory: (memory_before, Memory::now()),
        ledger: Ledger(vec![("api", api.stats()), ("db", db.stats())]),
    })
}

/// The number of messages: the only argument, or a million.
fn messages(mut arguments: impl Iterator<Item = String>) -> Result<u64, String> {
    let text = arguments.next().unwrap_or_else(|| "1_000_000".to_owned());
    if let Some(more) = arguments.next() {
        return Err(format!("`{more}` is one argument too many: only the number of messages is expected"));
    }
    match text.replace(['_', ','], "").parse() {
        Ok(0) => Err("0 messages are too few: 1 is the least".to_owned()),
        Ok(messages) => Ok(messages),
        Err(error) => {
            Err(format!("`{text}` is no number of messages: {error}; usage: quickstart [MESSAGES]"))
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1).map(|text| text.to_string_lossy().into_owned());
    let messages = match messages(arguments) {
        Ok(messages) => messages,
        Err(error) => {
            eprintln!("quickstart: {error}");
            return ExitCode::from(2);
        }
    };
    let report = match run(messages).await {
        Ok(report) => report,
        Err(error) => {
            eprintln!("quickstart: {error}");
            return ExitCode::FAILURE;
        }
    };
    let written = write!(std::io::stdout(), "{report}");
    let mut problems = report.problems();
    problems.extend(written.err().map(|error| error.to_string()));
    for problem in &problems {
        eprintln!("quickstart: {problem}");
    }
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<u64, String> {
        messages(arguments.iter().map(|&text| text.to_owned()))
    }

    #[test]
    fn the_argument_is_a_number_or_an_error_that_quotes_it() {
        assert_eq!(parsed(&[]), Ok(1_000_000));
        assert_eq!(parsed(&["20_000"]), Ok(20_000));
        assert!(parsed(&["0"]).unwrap_err().contains("1 is the least"));
        assert!(parsed(&["many"]).unwrap_err().contains("`many`"));
        assert!(parsed(&["-5"]).unwrap_err().contains("`-5`"));
        assert!(parsed(&["5", "6"]).unwrap_err().contains("`6`"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn any_number_of_messages_is_handled_to_the_last() {
        for messages in [1, 2, 31, 33, 5_001] {
            let report = run(messages).await.unwrap();
            assert_eq!(report.problems(), [""; 0], "{messages} messages");
        }
    }
}
