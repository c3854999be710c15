//! What a subscriber of `tracing` sees of a subsystem.
#![cfg(not(mycelia_loom))]

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mycelia_actors::prelude::*;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Writes every event down as `span: level message`, and keeps the spans of one thread.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    spans: Vec<String>,
    entered: Vec<usize>,
    events: Vec<String>,
}

/// The texts of the fields, the message first.
struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0.insert_str(0, &format!("{value:?}"));
        } else {
            self.0.push_str(&format!(" {}={value:?}", field.name()));
        }
    }
}

impl Subscriber for Notes {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("mycelia_actors")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields(String::new());
        span.record(&mut fields);
        let spans = &mut self.0.lock().unwrap().spans;
        spans.push(format!("{}{}", span.metadata().name(), fields.0));
        Id::from_u64(spans.len() as u64)
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        let inner = &mut *self.0.lock().unwrap();
        let span = inner.entered.last().map_or("outside", |&span| &inner.spans[span]);
        inner.events.push(format!("{span}: {} {}", event.metadata().level(), fields.0));
    }

    fn enter(&self, span: &Id) {
        self.0.lock().unwrap().entered.push(span.into_u64() as usize - 1);
    }

    fn exit(&self, _: &Id) {
        self.0.lock().unwrap().entered.pop();
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
}

struct Touchy;
impl Subsystem for Touchy {}

struct Touch(bool);
impl Handler<Touch> for Touchy {
    type Reply = ();
    async fn handle(&mut self, Touch(hard): Touch, _: &mut Context<Self>) {
        assert!(!hard, "ouch");
    }
}

#[tokio::test]
async fn a_life_is_told_in_events_inside_the_subsystems_span() {
    let notes = Notes::default();
    let _guard = tracing::subscriber::set_default(notes.clone());
    let runtime = Runtime::new();
    let touchy = runtime.configure("touchy").spawn_with(|| Touchy).unwrap();
    touchy.tell(Touch(false)).unwrap();
    touchy.tell(Touch(true)).unwrap();
    runtime.shutdown().await.unwrap();
    let events = std::mem::take(&mut notes.0.lock().unwrap().events);
    let touch = "TRACE handling subsystem=touchy message_type=\"tracing::Touch\"";
    let told = [
        "INFO spawned",
        touch,
        touch,
        "ERROR panicked subsystem=touchy message_type=\"tracing::Touch\" text=ouch",
        "INFO restarted subsystem=touchy",
        "INFO ended subsystem=touchy exit=stopped",
    ];
    assert_eq!(events, told.map(|event| format!("subsystem name=touchy: {event}")));
}

struct Later(ReplyTo<u64>);

struct Keeper(Vec<ReplyTo<u64>>);
impl Subsystem for Keeper {}
impl Handler<Later> for Keeper {
    type Reply = ();
    async fn handle(&mut self, Later(reply): Later, _: &mut Context<Self>) {
        self.0.push(reply);
    }
}

#[cfg(debug_assertions)]
#[tokio::test]
async fn what_is_still_out_after_a_shutdown_is_told_with_its_type() {
    let notes = Notes::default();
    let _guard = tracing::subscriber::set_default(notes.clone());
    let runtime = Runtime::new();
    let keeper = runtime.spawn("keeper", Keeper(Vec::new())).unwrap();
    let mut ask = std::pin::pin!(keeper.ask_with_within(Duration::MAX, Later));
    // It is not polled again, so it keeps its slot.
    tokio::select! { biased; _ = &mut ask => unreachable!(), () = tokio::task::yield_now() => {} }
    runtime.shutdown().await.unwrap();
    let events = std::mem::take(&mut notes.0.lock().unwrap().events);
    let out = events.iter().filter(|event| event.contains("still out"));
    let told =
        "WARN still out after the shutdown message_type=\"mycelia_actors::reply_to::ReplyTo<u64>\" slots=1";
    assert_eq!(out.collect::<Vec<_>>(), [&format!("outside: {told}")]);
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Get;

struct Borrowed;
impl Subsystem for Borrowed {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Get>("users/:id/:of");
        routes.on::<Get>("users/<id>");
        routes.on::<Get>("files/*");
        routes.on::<Get>("users/{id}-a:b");
    }
}
impl Handler<Get> for Borrowed {
    type Reply = u8;
    async fn handle(&mut self, _: Get, _: &mut Context<Self>) -> u8 {
        7
    }
}

#[tokio::test]
async fn a_parameter_in_another_notation_is_text_with_one_warning_for_its_pattern() {
    let notes = Notes::default();
    let _guard = tracing::subscriber::set_default(notes.clone());
    // Of the type, not of each subsystem.
    for name in ["one", "two"] {
        let runtime = Runtime::new();
        runtime.spawn(name, Borrowed).unwrap();
        for path in ["users/:id/:of", "users/<id>", "files/*"] {
            assert_eq!(runtime.ask::<u8, _>(&format!("{name}://{path}"), ()).await.unwrap(), 7);
        }
        assert!(runtime.ask::<u8, _>(&format!("{name}://users/7"), ()).await.is_err());
    }
    let told = std::mem::take(&mut notes.0.lock().unwrap().events);
    let warnings: Vec<_> = told.iter().filter(|event| event.contains("WARN")).collect();
    let expected =
        [("users/:id/:of", "users/{id}/{of}"), ("users/<id>", "users/{id}"), ("files/*", "files/{*rest}")];
    let expected = expected.map(|(pattern, instead)| {
        format!(
            "outside: WARN route `{pattern}` has no parameter where it looks like it: one is written `{{id}}`, the rest of a path \
             `{{*rest}}`; perhaps `{instead}` is meant subsystem=\"tracing::Borrowed\""
        )
    });
    assert!(warnings.iter().copied().eq(&expected), "{warnings:#?}");
}

#[tokio::test]
async fn a_subscription_in_another_notation_is_warned_of() {
    let notes = Notes::default();
    let _guard = tracing::subscriber::set_default(notes.clone());
    let _subscription = Runtime::new().bus().subscribe::<u8>("users/:id", 1).unwrap();
    let told = std::mem::take(&mut notes.0.lock().unwrap().events);
    assert!(told.iter().any(|event| event.contains("perhaps `users/{id}` is meant")), "{told:?}");
}
