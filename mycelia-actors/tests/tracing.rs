//! What a subscriber of `tracing` sees of a subsystem.
#![cfg(not(mycelia_loom))]

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

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
