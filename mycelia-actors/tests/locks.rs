//! No code of a user runs under a lock: every lock of the libraries, what runs below it, and scenes with values that call back.
#![cfg(not(mycelia_loom))]

mod callbacks;
#[path = "../../mycelia-queue/tests/hooked/mod.rs"]
mod hooked;
mod sources;
mod subsystems;

use std::collections::BTreeSet;

use callbacks::{
    asks, end_of_all, events, figures, letters, life, observer, panic_hook, side_tasks, spans, subscriber,
    watching,
};
use hooked::play;
use sources::{sources, workspace};

/// What shows that no code of a user runs below a lock.
#[derive(Clone, Copy)]
enum Shown {
    /// This scene of this file.
    By(fn()),
    /// The tests in this file.
    In(&'static str),
    /// None could: no value of a user's type is behind the lock, and nothing below it calls out.
    NoneCould,
}

use Shown::{By, In, NoneCould};

const QUEUE: Shown = In("mycelia-queue/tests/locks.rs");
const POOL: Shown = In("mycelia-pool/tests/locks.rs");
const METRICS: Shown = In("extras/mycelia-metrics/tests/locks.rs");

/// Every lock (`crate/file: field`), what runs below it, and what shows that it is no code of a user. A thread that makes the value of
/// a `OnceLock` holds a lock, and so does one that has borrowed a `RefCell`.
const LOCKS: &[(&str, &str, Shown)] = &[
    ("core/patience.rs: START", "reads the clock, once", NoneCould),
    ("core/seeded.rs: SEEDED", "reads a variable of the environment, in models", NoneCould),
    ("core/sync.rs: Mutex", "the type itself", NoneCould),
    (
        "queue/bounded.rs: ring",
        "moves items in and out; items that come back are dropped by the caller",
        QUEUE,
    ),
    ("queue/channel.rs: state", "the same; compares wakers, lends and exchanges them", QUEUE),
    ("pool/shared.rs: depot", "moves pointers to free slots", POOL),
    (
        "pool/shared.rs: slabs",
        "adds chunks, and takes them out; their values are made before and dropped after. `visit` and `visit_number` (`unsafe`, for the kernel) show values below it",
        POOL,
    ),
    ("pool/shared.rs: turn", "`make` of a pool that fails, whose own thread passes", POOL),
    ("pool/turn.rs: lock", "the same", POOL),
    ("pool/shared.rs: tuning", "numbers", NoneCould),
    ("pool/shared.rs: caches", "makes an empty cache; threads that come at once do not wait", NoneCould),
    (
        "pool/noted.rs: parted",
        "walks the noted slots; `visit_noted` (`unsafe`, for the kernel) shows values below it: the sweeper ends asks, and keeps their wakers for later",
        By(asks),
    ),
    ("pool/orphans.rs: WAITING", "looks whether guards are back; pools are freed afterwards", POOL),
    ("pool/out.rs: Outs", "places in the source, by address; sorted afterwards", POOL),
    ("pool/thread.rs: NUMBERS", "numbers", NoneCould),
    (
        "actors/bus.rs: table",
        "looks up, adds or takes out the readers of a type, which are dropped afterwards",
        By(events),
    ),
    ("actors/bus.rs: Readers", "adds and takes out backlogs; copies the list of them", By(events)),
    ("actors/subscription.rs: state", "moves events in and out; compares and exchanges wakers", By(events)),
    (
        "actors/current.rs: AMBIENT",
        "copies, or compares, what is the kernel's; the old one is dropped after the exchange",
        By(spans),
    ),
    ("actors/messages_in_hand.rs: in_common", "compares metadata, which are texts and numbers", NoneCould),
    ("actors/dead_letters.rs: message", "takes the message out, or puts it back", By(letters)),
    ("actors/dead_letters.rs: senders", "adds, takes out and lists boxes of letters", By(letters)),
    ("actors/letter_box.rs: state", "moves letters in and out; exchanges wakers", By(letters)),
    ("actors/deadline.rs: tokios", "finds, adds and takes out sweepers", By(asks)),
    ("actors/sweeper.rs: thread", "unparks a thread of the kernel", NoneCould),
    ("actors/sweeper.rs: notify", "tokio's own: woken is a task of the kernel", NoneCould),
    ("actors/drain.rs: look", "tokio's own: woken is a task of the kernel", NoneCould),
    ("actors/drain/limit.rs: timeout", "tokio's own: a duration; woken is a task of the kernel", NoneCould),
    (
        "actors/clock_hold.rs: state",
        "exchanges the waker of tokio's `block_on`; what is held is let go afterwards",
        NoneCould,
    ),
    ("actors/drain/ending.rs: begun", "addresses", NoneCould),
    ("actors/drain/shutdown.rs: carers", "numbers of tokios; a list that is made or found", NoneCould),
    ("actors/drain/shutdown.rs: cut_off", "the same", NoneCould),
    ("actors/drain.rs: cut_off", "reads ledgers, and writes down what is left", NoneCould),
    ("actors/drain/shutdown.rs: result", "keeps a list that was made before", NoneCould),
    ("actors/drain.rs: shutdown", "looks up or makes a shutdown", By(end_of_all)),
    (
        "actors/figures.rs: Shown",
        "exchanges or clones an `Arc`; the old one is dropped, and figures are asked for, afterwards",
        By(figures),
    ),
    ("actors/fullness.rs: spell", "numbers; the events are published afterwards", By(subscriber)),
    ("actors/ledger.rs: rare", "makes empty counters; threads that come at once do not wait", NoneCould),
    ("actors/ledger.rs: fullness", "the same", NoneCould),
    ("actors/ledger.rs: failed_child", "exchanges a text", NoneCould),
    ("actors/ledger.rs: notices", "moves envelopes in and out; reads a count of the queue", By(watching)),
    (
        "actors/ledger.rs: watches",
        "adds and takes out subsystems, which are dropped afterwards; looks whether they have ended",
        By(watching),
    ),
    ("actors/ledger.rs: last_sample", "numbers; the observer is called afterwards", By(observer)),
    ("actors/lifecycle.rs: phase", "clones the exit; exchanges wakers, and takes them out", By(life)),
    ("actors/routes.rs: MADE", "looks up, or keeps, routes that were made before", By(subscriber)),
    (
        "actors/shared.rs: has_timers",
        "keeps an answer that was found before: the panic hook may have run for that",
        By(panic_hook),
    ),
    ("actors/shared.rs: last_tokio", "clones or exchanges a handle of a tokio", NoneCould),
    (
        "actors/shared.rs: names",
        "looks up a subsystem; adds it, or takes it out and drops it afterwards",
        By(end_of_all),
    ),
    (
        "actors/shared.rs: registry",
        "finds, adds and takes out subsystems, and adds ledgers up; what follows is done to a copy of the list",
        By(end_of_all),
    ),
    (
        "actors/shared.rs: observed",
        "keeps an observer that was made before; threads that come at once do not wait",
        By(observer),
    ),
    ("actors/bell.rs: wakers", "exchanges wakers, and takes them out", By(end_of_all)),
    (
        "actors/task_entry.rs: standing",
        "exchanges and takes out the waker of a side task; looks whether what it waits for has come",
        By(side_tasks),
    ),
    ("actors/reply_to.rs: asker", "compares, exchanges and takes out the waker of an asker", By(asks)),
    ("actors/tasks.rs: running", "adds and takes out side tasks; exchanges wakers", By(side_tasks)),
    (
        "actors/tasks.rs: line",
        "makes tokio's semaphore; woken are side tasks, by wakers of the kernel",
        NoneCould,
    ),
    (
        "metrics/live.rs: watchers",
        "adds senders, and takes them out; they are told and dropped afterwards",
        METRICS,
    ),
    ("metrics/live.rs: ends", "tokio's own: wakes after its lock", METRICS),
    ("metrics/metrics.rs: history", "numbers of a survey, which is dropped afterwards", METRICS),
    ("metrics/metrics.rs: exported", "texts", NoneCould),
    ("metrics/metrics.rs: process", "reads numbers of the process", NoneCould),
    (
        "metrics/opentelemetry.rs: latest",
        "clones or exchanges an `Arc`; figures are asked for before",
        METRICS,
    ),
    ("metrics/sampler.rs: Sampler", "exchanges a task that was spawned before", METRICS),
    ("metrics/timings.rs: by_label", "finds, adds and takes out histograms", NoneCould),
    ("metrics/timings.rs: others", "numbers", NoneCould),
    ("load/sender.rs: late", "numbers", NoneCould),
    ("load/sender.rs: between", "tokio's own: woken are tasks of the program", NoneCould),
    ("load/worker.rs: Times", "numbers", NoneCould),
    ("stream/counters.rs: times", "numbers", NoneCould),
    (
        "stream/mapping/engine.rs: Scripts",
        "compiles an expression in the engine, which cannot call back",
        NoneCould,
    ),
];

#[test]
fn no_code_of_a_user_runs_under_a_lock() {
    let mut played = BTreeSet::new();
    for (lock, _, shown) in LOCKS {
        if let By(scene) = shown
            && played.insert(*scene as usize)
        {
            play(lock, *scene);
        }
    }
}

/// Reads the sources for fields, statics and types that are locks.
#[test]
fn no_lock_is_forgotten() {
    const LOCKING: [&str; 13] = [
        "Mutex<",
        "RwLock<",
        "RefCell<",
        "OnceLock<",
        "OnceCell<",
        "LazyLock<",
        "LazyCell<",
        "OnceBox<",
        "DashMap<",
        ": Notify,",
        "watch::Sender<",
        ": Barrier,",
        ": Turn,",
    ];
    let mut found = BTreeSet::new();
    for (file, text) in
        sources(&["core", "pool", "queue", "router", "actors", "metrics", "load", "stream", "testkit"])
    {
        let locks = text.lines().filter(|line| LOCKING.iter().any(|name| line.contains(name)));
        found.extend(locks.filter_map(declared).map(|lock| format!("{file}: {lock}")));
    }
    let known: BTreeSet<_> = LOCKS.iter().map(|(lock, ..)| (*lock).to_owned()).collect();
    let forgotten: Vec<_> = found.difference(&known).collect();
    assert!(forgotten.is_empty(), "locks that are not in the table of this test: {forgotten:#?}");
    let gone: Vec<_> = known.difference(&found).collect();
    assert!(gone.is_empty(), "in the table of this test, and no locks: {gone:#?}");
    for (lock, below, shown) in LOCKS {
        assert!(!below.is_empty(), "{lock}");
        if let In(file) = shown {
            assert!(workspace().join(file).exists(), "{lock}: {file}");
        }
    }
}

/// The name of a field, a static or a type.
fn declared(line: &str) -> Option<String> {
    let line = line.trim();
    let line = ["pub(crate) ", "pub(super) ", "pub "]
        .iter()
        .find_map(|word| line.strip_prefix(word))
        .unwrap_or(line);
    let types = ["struct ", "type "].iter().find_map(|word| line.strip_prefix(word));
    if let Some(line) = types {
        return Some(line.chars().take_while(|letter| letter.is_alphanumeric()).collect());
    }
    let is_static = line.starts_with("static ");
    let line = line.strip_prefix("static ").unwrap_or(line);
    let (name, kind) = line.strip_prefix("ref ").unwrap_or(line).split_once(": ")?;
    let is_name = !name.is_empty() && name.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
    (is_name && (is_static || kind.ends_with(',') && !kind.contains("::new("))).then(|| name.to_owned())
}
