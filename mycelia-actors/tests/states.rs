//! Every verb in every state of a subsystem's life: tables of what it does, to be read beside the documentation of the verb.
//!
//! Each cell is tried on a fresh subsystem, in paused time, so that what never ends is seen to. Then the subsystem is brought to its end, and
//! its ledger must add up. Where a column has several verbs, all of them do the same.
#![cfg(not(mycelia_loom))]

mod stages;
mod subsystems;

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mycelia_actors::prelude::*;
use mycelia_actors::{AskFailure, PathAskFailure, PathFailure, Refusal, ToldMany};
use tokio::time::timeout;

use stages::{Node, Ping, Query, SECOND, Stage, settle};

/// `full`, `stopped`: the message came back inside an error. `deadline, back`: it did, because there was no room in time.
/// `waits`: it still does after a minute. The mailbox has room for two; `tell_many` tells three; an ask has one second, `ask_with` five.
const MESSAGES: &str = "
                 | tell, recipient.tell | tell_many           | send, recipient.send, blocking_send | ask, ask_with_within, blocking_ask | try_ask   | ask_with
starting         | queued               | 2 queued, 1 full    | sent                                | deadline                           | deadline  | deadline
idle             | queued               | 2 queued, 1 full    | sent                                | reply                              | reply     | reply
busy             | queued               | 2 queued, 1 full    | sent                                | deadline                           | deadline  | deadline
full             | full                 | 3 full              | waits                               | deadline, back                     | full      | deadline, back
full, DropOldest | evicted              | 3 queued, 3 evicted | waits                               | deadline, back                     | deadline  | deadline, back
full, DropNewest | discarded            | 3 discarded         | waits                               | deadline, back                     | discarded | deadline, back
suspended        | queued               | 2 queued, 1 full    | sent                                | deadline                           | deadline  | deadline
suspended, full  | full                 | 3 full              | waits                               | deadline, back                     | full      | deadline, back
stopping         | stopped              | 3 stopped           | stopped                             | stopped                            | stopped   | stopped
stopping now     | stopped              | 3 stopped           | stopped                             | stopped                            | stopped   | stopped
pausing          | queued               | 2 queued, 1 full    | sent                                | deadline                           | deadline  | deadline
ending children  | stopped              | 3 stopped           | stopped                             | stopped                            | stopped   | stopped
renewing         | queued               | 2 queued, 1 full    | sent                                | deadline                           | deadline  | reply
stopped          | stopped              | 3 stopped           | stopped                             | stopped                            | stopped   | stopped
killed           | stopped              | 3 stopped           | stopped                             | stopped                            | stopped   | stopped
panicked         | stopped              | 3 stopped           | stopped                             | stopped                            | stopped   | stopped
start failed     | stopped              | 3 stopped           | stopped                             | stopped                            | stopped   | stopped
abandoned        | stopped              | 3 stopped           | stopped                             | stopped                            | stopped   | stopped
";

/// What is sent to `node://ping`. Once the name is free nobody is there, also for a route that was resolved before.
const PATHS: &str = "
                 | tell, route.tell, paths.tell | send, route.send | ask, route.ask | route
starting         | queued                       | sent             | deadline       | node
idle             | queued                       | sent             | reply          | node
busy             | queued                       | sent             | deadline       | node
full             | full                         | waits            | deadline, back | node
full, DropOldest | evicted                      | waits            | deadline, back | node
full, DropNewest | discarded                    | waits            | deadline, back | node
suspended        | queued                       | sent             | deadline       | node
suspended, full  | full                         | waits            | deadline, back | node
stopping         | stopped                      | stopped          | stopped        | node
stopping now     | stopped                      | stopped          | stopped        | node
pausing          | queued                       | sent             | deadline       | node
ending children  | stopped                      | stopped          | stopped        | node
renewing         | queued                       | sent             | deadline       | node
stopped          | nobody                       | nobody           | nobody         | nobody
killed           | nobody                       | nobody           | nobody         | nobody
panicked         | nobody                       | nobody           | nobody         | nobody
start failed     | nobody                       | nobody           | nobody         | nobody
abandoned        | nobody                       | nobody           | nobody         | nobody
";

/// Before `>` what an asker finds after the request: it `handles` messages, `waits` (so does the asker), `refuses` them, or has ended so.
/// After `>` what another one finds when all that waited at the gate, and every pause, is over. And how often there was a `restart`.
const REQUESTS: &str = "
                 | stop              | stop_now          | suspend           | resume            | kill         | restart           | restarts
starting         | refuses > stopped | refuses > stopped | waits             | waits > handles   | killed       | waits > handles   | 1
idle             | stopped           | stopped           | waits             | handles           | killed       | handles           | 1
busy             | refuses > stopped | refuses > stopped | waits             | waits > handles   | killed       | waits > handles   | 1
full             | refuses > stopped | refuses > stopped | waits             | waits > handles   | killed       | waits > handles   | 1
full, DropOldest | refuses > stopped | refuses > stopped | waits             | waits > handles   | killed       | waits > handles   | 1
full, DropNewest | refuses > stopped | refuses > stopped | waits             | waits > handles   | killed       | waits > handles   | 1
suspended        | stopped           | stopped           | waits             | handles           | killed       | waits             | 1
suspended, full  | stopped           | stopped           | waits             | handles           | killed       | waits             | 1
stopping         | refuses > stopped | refuses > stopped | refuses > stopped | refuses > stopped | killed       | refuses > stopped | 1
stopping now     | refuses > stopped | refuses > stopped | refuses > stopped | refuses > stopped | killed       | refuses > stopped | 0
pausing          | panicked          | panicked          | waits             | waits > handles   | killed       | waits > handles   | 2
ending children  | refuses > stopped | refuses > stopped | refuses > stopped | refuses > stopped | killed       | refuses > stopped | 1
renewing         | refuses > stopped | refuses > stopped | waits             | waits > handles   | killed       | waits > handles   | 1
stopped          | stopped           | stopped           | stopped           | stopped           | stopped      | stopped           | 0
killed           | killed            | killed            | killed            | killed            | killed       | killed            | 0
panicked         | panicked          | panicked          | panicked          | panicked          | panicked     | panicked          | 0
start failed     | start failed      | start failed      | start failed      | start failed      | start failed | start failed      | 0
abandoned        | abandoned         | abandoned         | abandoned         | abandoned         | abandoned    | abandoned         | 0
";

/// What an `ask` ends as that waits when this happens and then all goes on that can. A `send` that waits for room behind it ends the same
/// way: it is `sent` where the ask gets its reply. After `abandon` (tokio goes) it is undelivered or unanswered: `lost`.
const WAITING: &str = "
                 | nothing | stop    | stop_now    | suspend | resume | kill        | restart | abandon
starting         | reply   | reply   | undelivered | waits   | reply  | undelivered | reply   | lost
busy             | reply   | reply   | undelivered | waits   | reply  | undelivered | reply   | lost
full             | reply   | stopped | stopped     | waits   | reply  | stopped     | reply   | stopped
full, DropOldest | reply   | stopped | stopped     | waits   | reply  | stopped     | reply   | stopped
full, DropNewest | reply   | stopped | stopped     | waits   | reply  | stopped     | reply   | stopped
suspended        | waits   | reply   | undelivered | waits   | reply  | undelivered | waits   | lost
suspended, full  | waits   | stopped | stopped     | waits   | reply  | stopped     | waits   | stopped
pausing          | reply   | reply   | undelivered | waits   | reply  | undelivered | reply   | lost
renewing         | reply   | reply   | undelivered | waits   | reply  | undelivered | reply   | lost
";

/// What can be seen from outside. `-`: nothing.
const LOOKS: &str = "
                 | started      | ended        | exit         | stats                                      | name, clone, recipient.name, Debug
starting         | waits        | waits        | -            | sent 0                                     | node
idle             | yes          | waits        | -            | sent 0                                     | node
busy             | yes          | waits        | -            | sent 1 = in hand 1                         | node
full             | yes          | waits        | -            | sent 3 = queued 2 + in hand 1              | node
full, DropOldest | yes          | waits        | -            | sent 3 = queued 2 + in hand 1              | node
full, DropNewest | yes          | waits        | -            | sent 3 = queued 2 + in hand 1              | node
suspended        | yes          | waits        | -            | sent 0                                     | node
suspended, full  | yes          | waits        | -            | sent 2 = queued 2                          | node
stopping         | yes          | waits        | -            | sent 2 = queued 1 + in hand 1              | node
stopping now     | yes          | waits        | -            | sent 2 = queued 1 + in hand 1              | node
pausing          | yes          | waits        | -            | sent 2 = failed 2                          | node
ending children  | yes          | waits        | -            | sent 1 = handled 1                         | node
renewing         | yes          | waits        | -            | sent 1 = handled 1                         | node
stopped          | yes          | stopped      | stopped      | sent 0                                     | node
killed           | yes          | killed       | killed       | sent 2 = failed 1 + undelivered 1          | node
panicked         | yes          | panicked     | panicked     | sent 2 = failed 1 + undelivered 1          | node
start failed     | start failed | start failed | start failed | sent 0                                     | node
abandoned        | yes          | abandoned    | abandoned    | sent 2 = failed 1 + undelivered 1          | node
";

const PING: Ping = Ping(7);
const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn messages() {
    check(MESSAGES, async |verb, stage| match verb {
        "tell" => told(stage.node.tell(PING)),
        "recipient.tell" => told(stage.node.recipient().tell(PING)),
        "tell_many" => told_many(&stage.node),
        "send" => sent(stage.node.send(PING)).await,
        "recipient.send" => sent(stage.node.recipient().send(PING)).await,
        "blocking_send" => blocking_send(stage).await,
        "ask" => asked(stage.node.ask(PING).within(SECOND)).await,
        "try_ask" => asked(stage.node.try_ask(PING).within(SECOND)).await,
        "ask_with" => asked(stage.node.ask_with(Query)).await,
        "ask_with_within" => asked(stage.node.ask_with_within(SECOND, Query)).await,
        "blocking_ask" => blocking_ask(stage).await,
        unknown => panic!("{unknown}"),
    });
}

#[test]
fn paths() {
    const PATH: &str = "node://ping";
    check(PATHS, async |verb, Stage { runtime, route, .. }| match verb {
        "tell" => told_path(runtime.tell(PATH, PING)),
        "route.tell" => told_path(route.tell(PING)),
        "paths.tell" => told_path(runtime.paths().tell(PATH, PING)),
        "send" => sent_path(runtime.send(PATH, PING)).await,
        "route.send" => sent_path(route.send(PING)).await,
        "ask" => asked_path(runtime.ask(PATH, PING).within(SECOND)).await,
        "route.ask" => asked_path(route.ask(PING).within(SECOND)).await,
        "route" => match runtime.route(PATH) {
            Ok(route) => route.name().to_string(),
            Err(error) => path_failure(&error.failure),
        },
        unknown => panic!("{unknown}"),
    });
}

/// Asks it for something.
fn request(node: &Address<Node>, verb: &str) {
    match verb {
        "stop" => node.stop(),
        "stop_now" => node.stop_now(),
        "suspend" => node.suspend(),
        "resume" => node.resume(),
        "kill" => node.kill(),
        "restart" => node.restart(),
        unknown => panic!("{unknown}"),
    }
}

#[test]
fn requests() {
    check(REQUESTS, async |verb, stage| {
        request(&stage.node, if verb == "restarts" { "restart" } else { verb });
        settle().await;
        let before = found(&stage.node).await;
        stage.release().await;
        let after = found(&stage.node).await;
        match verb {
            "restarts" => stage.node.stats().restarts.to_string(),
            _ if before == after => before,
            _ => format!("{before} > {after}"),
        }
    });
}

#[test]
fn waiting() {
    check_each(WAITING, |state, verb| {
        let mut runs_on = tokio();
        let stage = runs_on.block_on(Stage::enter(state));
        let node = stage.node.clone();
        let (mut ask, mut send) = (Box::pin(node.ask(PING).within(Duration::MAX)), Box::pin(node.send(PING)));
        let (asks, sends) = runs_on.block_on(async {
            // In that order, into the mailbox or the line.
            (timeout(SECOND, &mut ask).await.is_err(), timeout(SECOND, &mut send).await.is_err())
        });
        assert!(asks && sends == state.contains("full"), "{state}");
        match verb {
            "nothing" => {}
            "abandon" => runs_on = tokio(),
            verb => request(&node, verb),
        }
        runs_on.block_on(async {
            stage.release().await;
            let asked = timeout(MINUTE, ask).await.map_or("waits".into(), replied);
            if sends {
                assert_eq!(sent(send).await, asked.replace("reply", "sent"), "{state}: {verb}");
            }
            end(state, verb, stage).await;
            match asked.as_str() {
                "undelivered" | "unanswered" if verb == "abandon" => "lost".into(),
                _ => asked,
            }
        })
    });
}

#[test]
fn looks() {
    check(LOOKS, async |verb, Stage { node, .. }| match verb {
        "started" => match timeout(MINUTE, node.started()).await {
            Ok(Ok(())) => "yes".into(),
            Ok(Err(error)) => short(&error.exit),
            Err(_) => "waits".into(),
        },
        "ended" => timeout(MINUTE, node.ended()).await.map_or("waits".into(), |exit| short(&exit)),
        "exit" => node.exit().map_or("-".into(), |exit| short(&exit)),
        "stats" => node.stats().to_string(),
        "name" => node.name().to_string(),
        "clone" => node.clone().name().to_string(),
        "recipient.name" => node.recipient::<Ping>().clone().name().to_string(),
        "Debug" => {
            assert_eq!(format!("{:?}", node.recipient::<Ping>()), "Recipient(node)");
            assert_eq!(format!("{node:?}"), "Address(node)");
            "node".into()
        }
        unknown => panic!("{unknown}"),
    });
}

/// Tries every verb of a table's head in every state of its first column.
#[track_caller]
fn check(table: &str, outcome: impl AsyncFn(&str, &Stage) -> String) {
    check_each(table, |state, verb| {
        let mut runs_on = tokio();
        let stage = runs_on.block_on(Stage::enter(state));
        if state == "abandoned" {
            runs_on = tokio();
        }
        runs_on.block_on(async {
            let got = outcome(verb, &stage).await;
            end(state, verb, stage).await;
            got
        })
    });
}

/// Compares every cell of a table with what comes out. Lists all that differ.
#[track_caller]
fn check_each(table: &str, outcome: impl Fn(&str, &str) -> String) {
    let mut lines = table.trim_matches('\n').lines();
    let columns: Vec<_> = lines.next().unwrap().split('|').map(str::trim).skip(1).collect();
    let mut wrong = Vec::new();
    for line in lines {
        let mut cells = line.split('|').map(str::trim);
        let state = cells.next().unwrap();
        let expected: Vec<_> = cells.collect();
        assert_eq!(expected.len(), columns.len(), "{state}");
        for (column, expected) in columns.iter().zip(expected) {
            for verb in column.split(", ") {
                let got = outcome(state, verb);
                if got != expected {
                    wrong.push(format!("{state}: {verb}: {got}, not {expected}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn tokio() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// Whatever was tried, it can be brought to its end, and its ledger adds up.
async fn end(state: &str, verb: &str, stage: Stage) {
    assert!(timeout(24 * 60 * MINUTE, stage.end()).await.is_ok(), "{state}: {verb}: no end");
}

/// What an asker finds.
async fn found(node: &Address<Node>) -> String {
    if let Some(exit) = node.exit() {
        return short(&exit);
    }
    match asked(node.ask(PING).within(SECOND)).await.as_str() {
        "reply" => "handles".into(),
        "deadline" | "deadline, back" => "waits".into(),
        "stopped" => "refuses".into(),
        other => other.into(),
    }
}

/// Without the text of the error.
fn short(exit: &Exit) -> String {
    let text = exit.to_string();
    text.split([':', ' ']).next().unwrap().replace("start", "start failed")
}

fn refusal(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Full { capacity: stages::CAPACITY } => "full".into(),
        Refusal::Stopped => "stopped".into(),
        other => other.to_string(),
    }
}

fn path_failure(failure: &PathFailure) -> String {
    match failure {
        PathFailure::Refused(why) => refusal(why),
        PathFailure::NoSubsystem(_) => "nobody".into(),
        other => other.to_string(),
    }
}

fn ask_failure(failure: &AskFailure, back: bool) -> String {
    let word = match failure {
        AskFailure::Refused(why) => return refusal(why),
        AskFailure::Deadline(_) => "deadline",
        AskFailure::Discarded => "discarded",
        AskFailure::Undelivered => "undelivered",
        AskFailure::Unanswered => "unanswered",
        other => return other.to_string(),
    };
    if back { format!("{word}, back") } else { word.into() }
}

fn told(told: Result<Told, TellError<Ping>>) -> String {
    told.map_or_else(
        |error| {
            assert_eq!((error.message, &*error.subsystem.to_string()), (PING, "node"));
            refusal(&error.refusal)
        },
        |told| format!("{told:?}").to_lowercase(),
    )
}

fn told_path(told: Result<Told, PathError<Ping>>) -> String {
    told.map_or_else(
        |error| {
            assert_eq!((error.body, &*error.path), (PING, "node://ping"));
            path_failure(&error.failure)
        },
        |told| format!("{told:?}").to_lowercase(),
    )
}

fn told_many(node: &Address<Node>) -> String {
    let all = [1, 2, 3].map(Ping);
    let (told, back) = match node.tell_many(all) {
        Ok(told) => (told, None),
        Err(error) => {
            let before = error.told.queued + error.told.discarded;
            assert_eq!(error.messages, all[before..]);
            (error.told, Some((error.messages.len(), refusal(&error.refusal))))
        }
    };
    let ToldMany { queued, evicted, discarded, .. } = told;
    let mut counts =
        vec![(queued, "queued".into()), (evicted, "evicted".into()), (discarded, "discarded".into())];
    counts.extend(back);
    let counts: Vec<_> =
        counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    counts.join(", ")
}

async fn sent(sending: impl Future<Output = Result<(), TellError<Ping>>>) -> String {
    match timeout(MINUTE, sending).await {
        Ok(Ok(())) => "sent".into(),
        Ok(Err(error)) => told(Err(error)),
        Err(_) => "waits".into(),
    }
}

async fn sent_path(sending: impl Future<Output = Result<(), PathError<Ping>>>) -> String {
    match timeout(MINUTE, sending).await {
        Ok(Ok(())) => "sent".into(),
        Ok(Err(error)) => told_path(Err(error)),
        Err(_) => "waits".into(),
    }
}

/// All replies are 7.
fn replied<M>(asked: Result<u64, AskError<M>>) -> String {
    match asked {
        Ok(reply) => {
            assert_eq!(reply, 7);
            "reply".into()
        }
        Err(error) => {
            let back = error.message.is_some();
            assert!(back || !matches!(error.failure, AskFailure::Refused(_)), "it came back");
            ask_failure(&error.failure, back)
        }
    }
}

async fn asked<M>(ask: impl Future<Output = Result<u64, AskError<M>>>) -> String {
    timeout(MINUTE, ask).await.map_or("hangs".into(), replied)
}

async fn asked_path(ask: impl Future<Output = Result<u64, PathAskError<Ping>>>) -> String {
    match timeout(MINUTE, ask).await {
        Err(_) => "hangs".into(),
        Ok(Ok(reply)) => replied::<()>(Ok(reply)),
        Ok(Err(error)) => match &error.failure {
            PathAskFailure::Path(failure) => path_failure(failure),
            PathAskFailure::Ask(failure) => ask_failure(failure, error.body == Some(PING)),
            other => other.to_string(),
        },
    }
}

/// From a thread of its own.
async fn blocking_send(stage: &Stage) -> String {
    let node = stage.node.clone();
    let sender = thread::spawn(move || node.blocking_send(PING));
    let waits = until(|| sender.is_finished() || stage.node.stats().waiting > 0, async || ()).await
        && !sender.is_finished();
    let outcome = if waits {
        stage.node.kill();
        stage.node.ended().await;
        assert_eq!(told(finish(sender).await.map(|()| Told::Queued)), "stopped", "its end ends the wait");
        return "waits".into();
    } else {
        finish(sender).await
    };
    outcome.map_or_else(|error| told(Err(error)), |()| "sent".into())
}

async fn blocking_ask(stage: &Stage) -> String {
    let (node, before) = (stage.node.clone(), stage.node.stats());
    let asker = thread::spawn(move || node.blocking_ask(PING, SECOND));
    let stats = || stage.node.stats();
    let is_out = || asker.is_finished() || stats().waiting > 0 || stats().sent > before.sent;
    assert!(until(is_out, async || ()).await);
    // Its second is a real one; paused time stands still meanwhile.
    assert!(until(|| asker.is_finished(), async || tokio::task::yield_now().await).await, "it hangs");
    replied(asker.join().unwrap())
}

/// Joins a thread. Time goes on meanwhile.
async fn finish<T>(thread: JoinHandle<T>) -> T {
    assert!(
        until(|| thread.is_finished(), async || tokio::time::sleep(SECOND / 100).await).await,
        "it hangs"
    );
    thread.join().unwrap()
}

/// True if this is so at last: another thread is at it, to which paused time means nothing.
async fn until(so: impl Fn() -> bool, meanwhile: impl AsyncFn()) -> bool {
    let began = Instant::now();
    while !so() {
        if began.elapsed() > MINUTE {
            return false;
        }
        thread::yield_now();
        tokio::task::yield_now().await;
        meanwhile().await;
    }
    true
}
