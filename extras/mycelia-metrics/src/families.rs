//! Counters and gauges, as every export has them.

use mycelia_actors::Stats;

use crate::process::Process;
use crate::snapshot::Snapshot;
use crate::subsystem::{State, Subsystem};
use crate::tokio_runtime::TokioRuntime;

/// Labels with their values.
pub(crate) type Labels<'a> = Vec<(&'static str, &'a str)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
}

/// A metric, with a value for each set of labels.
pub(crate) struct Family<'a> {
    /// With a prefix before the first underscore, and no suffix for counters.
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) kind: Kind,
    pub(crate) values: Vec<(Labels<'a>, f64)>,
}

/// Everything but the histograms.
pub(crate) fn families(snapshot: &Snapshot) -> Vec<Family<'_>> {
    let mut families = Vec::new();
    runtime(snapshot, &mut families);
    subsystems(&snapshot.subsystems, &mut families);
    // What cannot be read here is left out.
    if snapshot.process.resident_bytes > 0 {
        process(&snapshot.process, &mut families);
    }
    if snapshot.tokio.workers > 0 {
        tokio(&snapshot.tokio, &mut families);
    }
    families
}

pub(crate) fn label(one: &Subsystem) -> Labels<'_> {
    vec![("subsystem", &one.name)]
}

fn runtime<'a>(snapshot: &'a Snapshot, families: &mut Vec<Family<'a>>) {
    let Snapshot { ledger, asks, pool, paths, .. } = snapshot;
    let slots = [("in_use", pool.in_use), ("free", pool.created.saturating_sub(pool.in_use))];
    let path_errors = [
        ("no_subsystem", paths.no_subsystem),
        ("no_route", paths.no_route),
        ("denied", paths.denied),
        ("bad_body", paths.bad_body),
    ];
    families.extend([
        counter(
            "mycelia_messages",
            "Messages to all subsystems, ended ones as well, by fate",
            by("fate", ended(ledger)),
        ),
        counter("mycelia_messages_sent", "Messages sent to all subsystems", one(ledger.sent)),
        counter("mycelia_restarts", "Restarts of all subsystems", one(ledger.restarts)),
        counter("mycelia_asks", "Asks to all subsystems, by how they ended", by("end", asks.ends())),
        gauge("mycelia_subsystems", "Subsystems that have not ended", one(snapshot.alive)),
        gauge(
            "mycelia_subsystems_not_exported",
            "Subsystems with names that are left out here, for there are too many",
            one(snapshot.not_exported),
        ),
        gauge(
            "mycelia_labels_not_timed",
            "Names and types without histograms of their own, for there are too many",
            one(snapshot.not_timed),
        ),
        counter(
            "mycelia_failed_ends",
            "Subsystems that have failed for good, with no restart left",
            one(snapshot.failed_ends),
        ),
        gauge(
            "mycelia_health",
            "0 healthy, 1 degraded, 2 unhealthy: the worst subsystem",
            one(snapshot.health as u64),
        ),
        gauge("mycelia_pool_slots", "Slots of the message pool, of 128 bytes each", by("state", slots)),
        counter("mycelia_pool_acquired", "Slots acquired from the message pool", one(pool.acquired)),
        counter(
            "mycelia_path_errors",
            "Messages by path that reached no subsystem",
            by("reason", path_errors),
        ),
        counter(
            "mycelia_dead_letters_missed",
            "Dead letters that no subscriber had room for",
            one(snapshot.missed_dead_letters),
        ),
    ]);
}

fn subsystems<'a>(named: &'a [Subsystem], families: &mut Vec<Family<'a>>) {
    let each =
        |value: fn(&Subsystem) -> u64| named.iter().map(|one| (label(one), value(one) as f64)).collect();
    let each_by = |key, values: fn(&Subsystem) -> Vec<(&'static str, u64)>| {
        let of_one = |one: &'a Subsystem| {
            by(key, values(one)).into_iter().map(move |(mut labels, value)| {
                labels.insert(0, ("subsystem", &one.name));
                (labels, value)
            })
        };
        named.iter().flat_map(of_one).collect()
    };
    let shown = |is_counter| {
        let of_one = |one: &'a Subsystem| {
            let figures = one.figures.iter().filter(move |figure| figure.is_counter == is_counter);
            figures.map(|figure| (vec![("subsystem", &*one.name), ("name", &*figure.name)], figure.value))
        };
        named.iter().flat_map(of_one).collect()
    };
    families.extend([
        counter("mycelia_subsystem_counts", "What a subsystem counts itself, by name", shown(true)),
        gauge("mycelia_subsystem_figures", "What a subsystem measures itself, by name", shown(false)),
        counter(
            "mycelia_subsystem_messages",
            "Messages to a subsystem, by fate",
            each_by("fate", |one| ended(&one.ledger).collect()),
        ),
        counter(
            "mycelia_subsystem_messages_sent",
            "Messages sent to a subsystem",
            each(|one| one.ledger.sent),
        ),
        counter(
            "mycelia_subsystem_asks",
            "Asks to a subsystem, by how they ended",
            each_by("end", |one| one.asks.ends().into()),
        ),
        counter("mycelia_subsystem_restarts", "Restarts of a subsystem", each(|one| one.ledger.restarts)),
        gauge("mycelia_mailbox_messages", "Messages that wait for their turn", each(|one| one.in_mailbox)),
        gauge(
            "mycelia_mailbox_capacity",
            "Messages that the mailbox holds at most",
            each(|one| one.ledger.capacity),
        ),
        gauge("mycelia_senders_waiting", "Senders that wait for room", each(|one| one.ledger.waiting)),
        gauge("mycelia_messages_in_hand", "Messages that the handler has", each(|one| one.ledger.in_hand)),
        gauge(
            "mycelia_subsystem_suspended",
            "1 if a subsystem was told to handle nothing",
            each(|one| u64::from(one.state == State::Suspended)),
        ),
        gauge(
            "mycelia_subsystem_health",
            "0 healthy, 1 degraded, 2 unhealthy",
            each(|one| one.health as u64),
        ),
    ]);
}

fn process(process: &Process, families: &mut Vec<Family<'_>>) {
    families.extend([
        gauge("process_resident_memory_bytes", "Resident memory", one(process.resident_bytes)),
        counter("process_cpu_seconds", "Processor time of all threads", vec![(vec![], process.cpu_seconds)]),
        gauge("process_threads", "Threads", one(process.threads)),
        gauge("process_open_fds", "Open files and sockets", one(process.open_files)),
    ]);
}

fn tokio(tokio: &TokioRuntime, families: &mut Vec<Family<'_>>) {
    families.extend([
        gauge("tokio_workers", "Worker threads", one(tokio.workers)),
        gauge("tokio_alive_tasks", "Tasks that have not ended", one(tokio.alive_tasks)),
        gauge("tokio_global_queue_depth", "Tasks that wait for any worker", one(tokio.global_queue)),
        counter(
            "tokio_worker_busy_seconds",
            "How long workers have been busy",
            vec![(vec![], tokio.busy_seconds)],
        ),
        counter("tokio_worker_parks", "How often workers have gone to sleep", one(tokio.parks)),
    ]);
}

/// The fates that messages end with: counters, unlike *queued* and *in hand*.
fn ended(ledger: &Stats) -> impl Iterator<Item = (&'static str, u64)> + use<> {
    ledger.fates().into_iter().filter(|(fate, _)| !matches!(*fate, "queued" | "in hand"))
}

fn counter<'a>(name: &'static str, help: &'static str, values: Vec<(Labels<'a>, f64)>) -> Family<'a> {
    Family { name, help, kind: Kind::Counter, values }
}

fn gauge<'a>(name: &'static str, help: &'static str, values: Vec<(Labels<'a>, f64)>) -> Family<'a> {
    Family { name, help, kind: Kind::Gauge, values }
}

fn one<'a>(value: u64) -> Vec<(Labels<'a>, f64)> {
    vec![(vec![], value as f64)]
}

/// One for each value of this label.
fn by<'a>(
    key: &'static str,
    values: impl IntoIterator<Item = (&'static str, u64)>,
) -> Vec<(Labels<'a>, f64)> {
    values.into_iter().map(|(label, value)| (vec![(key, label)], value as f64)).collect()
}
