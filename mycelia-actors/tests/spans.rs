//! The `tracing` spans of handlers whose messages carry a trace.
#![cfg(not(mycelia_loom))]

mod desk;
mod subsystems;

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use mycelia_actors::TraceParent;
use mycelia_actors::prelude::*;
use serde::{Deserialize, Serialize};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata as Site, Subscriber};

use desk::poll_once;

/// Writes down spans, with those in which they were made, and the events in them, for one thread.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    spans: Vec<Noted>,
    entered: Vec<usize>,
    events: Vec<(String, Vec<usize>)>,
}

#[derive(Clone, Debug)]
struct Noted {
    name: &'static str,
    inside: Vec<usize>,
    fields: Vec<(&'static str, String)>,
    handles: usize,
}

impl Noted {
    fn field(&self, name: &str) -> &str {
        self.fields.iter().find(|(other, _)| *other == name).map_or("", |(_, value)| value)
    }
}

struct Fields(Vec<(&'static str, String)>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.push((field.name(), format!("{value:?}")));
    }
}

impl Subscriber for Notes {
    fn enabled(&self, _: &Site<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields(Vec::new());
        span.record(&mut fields);
        let inner = &mut *self.0.lock().unwrap();
        let inside = inner.entered.clone();
        inner.spans.push(Noted { name: span.metadata().name(), inside, fields: fields.0, handles: 1 });
        Id::from_u64(inner.spans.len() as u64)
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.0.lock().unwrap().spans[index(id)].handles += 1;
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let handles = &mut self.0.lock().unwrap().spans[index(&id)].handles;
        *handles -= 1;
        *handles == 0
    }

    fn event(&self, event: &Event<'_>) {
        if event.metadata().target() != "spans" {
            return;
        }
        let mut fields = Fields(Vec::new());
        event.record(&mut fields);
        let inner = &mut *self.0.lock().unwrap();
        inner.events.push((fields.0[0].1.clone(), inner.entered.clone()));
    }

    fn enter(&self, span: &Id) {
        self.0.lock().unwrap().entered.push(index(span));
    }

    fn exit(&self, span: &Id) {
        assert_eq!(self.0.lock().unwrap().entered.pop(), Some(index(span)));
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
}

fn index(id: &Id) -> usize {
    id.into_u64() as usize - 1
}

impl Notes {
    /// The spans of handlers, in the order in which they began.
    fn handled(&self) -> Vec<Noted> {
        self.0.lock().unwrap().spans.iter().filter(|span| span.name == "handle").cloned().collect()
    }

    /// How many of them are still open.
    fn open(&self) -> usize {
        self.handled().iter().filter(|span| span.handles > 0).count()
    }
}

/// Handles a message in two steps, and perhaps sends another to somebody else in between.
struct Stage(Option<Address<Stage>>);
impl Subsystem for Stage {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Play>("play/{act}");
    }
}

#[derive(Serialize, Deserialize)]
struct Play {
    act: u32,
}

impl Handler<Play> for Stage {
    type Reply = u32;
    async fn handle(&mut self, Play { act }: Play, cx: &mut Context<Self>) -> u32 {
        tracing::info!(target: "spans", "begin {act}");
        tokio::task::yield_now().await;
        match &self.0 {
            Some(next) if act > 0 => next.tell(Play { act: act - 1 }).map(drop).unwrap(),
            _ => assert!(cx.metadata().is_some() || act == 0),
        }
        tracing::info!(target: "spans", "end {act}");
        act
    }
}

fn trace() -> Metadata {
    Metadata::new().with_trace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap())
}

#[tokio::test]
async fn a_handler_runs_in_a_span_that_says_where_in_the_trace_it_is() {
    let notes = Notes::default();
    let _guard = tracing::subscriber::set_default(notes.clone());
    let runtime = Runtime::new();
    let second = runtime.spawn("second", Stage(None)).unwrap();
    let first = runtime.spawn("first", Stage(Some(second))).unwrap();
    let metadata = trace();
    let reply: u32 = metadata.in_scope(|| runtime.ask("first://play/1", ())).await.unwrap();
    assert_eq!(reply, 1);
    runtime.shutdown().await.unwrap();
    drop(first);

    let spans = notes.handled();
    let [one, two] = &spans[..] else { panic!("{spans:#?}") };
    for (span, subsystem) in [(one, "first"), (two, "second")] {
        assert_eq!(span.field("subsystem"), subsystem);
        assert_eq!(span.field("message_type"), "\"spans::Play\"");
        assert_eq!(span.field("message_id"), metadata.id().to_string());
        assert_eq!(span.field("trace_id"), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(span.field("span_id").len(), 16);
        // In that of its subsystem.
        let inner = notes.0.lock().unwrap();
        let outer: Vec<_> = span.inside.iter().map(|&at| &inner.spans[at]).collect();
        let [outer] = outer[..] else { panic!("{outer:?}") };
        assert_eq!((outer.name, outer.field("name")), ("subsystem", subsystem));
    }
    assert_eq!(one.field("parent_id"), "00f067aa0ba902b7");
    assert_eq!(two.field("parent_id"), one.field("span_id"));
    assert_ne!(two.field("span_id"), one.field("span_id"));

    // Events before and after an await are in the span.
    let inner = notes.0.lock().unwrap();
    let told: Vec<_> = inner
        .events
        .iter()
        .map(|(text, inside)| {
            let span = &inner.spans[*inside.last().unwrap()];
            (text.as_str(), span.name, span.field("subsystem").to_owned())
        })
        .collect();
    let (first, second) = ("first".to_owned(), "second".to_owned());
    assert_eq!(
        told,
        [
            ("begin 1", "handle", first.clone()),
            ("end 1", "handle", first),
            ("begin 0", "handle", second.clone()),
            ("end 0", "handle", second),
        ]
    );
}

#[tokio::test]
async fn without_a_trace_there_is_no_span() {
    let notes = Notes::default();
    let _guard = tracing::subscriber::set_default(notes.clone());
    let runtime = Runtime::new();
    runtime.spawn("stage", Stage(None)).unwrap();
    runtime.ask::<u32, _>("stage://play/0", ()).await.unwrap();
    Metadata::new().in_scope(|| runtime.ask::<u32, _>("stage://play/0", ())).await.unwrap();
    assert!(notes.handled().is_empty());
    let new = TraceParent::new();
    Metadata::new().with_trace(new).in_scope(|| runtime.ask::<u32, _>("stage://play/0", ())).await.unwrap();
    assert_eq!(notes.handled()[0].field("parent_id"), format!("{:016x}", new.span_id()));
}

#[tokio::test]
async fn without_a_subscriber_a_trace_goes_on_all_the_same() {
    let runtime = Runtime::new();
    runtime.spawn("stage", Stage(None)).unwrap();
    trace().in_scope(|| runtime.ask::<u32, _>("stage://play/0", ())).await.unwrap();
}

#[tokio::test]
async fn a_span_ends_with_its_handler_also_by_a_panic_or_a_kill() {
    struct Brittle;
    impl Subsystem for Brittle {}
    impl Handler<bool> for Brittle {
        type Reply = ();
        async fn handle(&mut self, panics: bool, _: &mut Context<Self>) {
            assert!(!panics, "brittle on purpose");
            std::future::pending().await
        }
    }
    let notes = Notes::default();
    let _guard = tracing::subscriber::set_default(notes.clone());
    let runtime = Runtime::new();
    let stage = runtime.spawn("stage", Stage(None)).unwrap();
    trace().in_scope(|| runtime.tell("stage://play/1", ())).unwrap();
    stage.stop();
    stage.ended().await;
    assert_eq!((notes.handled().len(), notes.open()), (1, 0));
    let brittle = runtime.spawn_unnamed(Brittle).unwrap();
    trace().in_scope(|| brittle.tell(true)).unwrap();
    brittle.ended().await;
    assert_eq!((notes.handled().len(), notes.open()), (2, 0));
    let brittle = runtime.spawn_unnamed(Brittle).unwrap();
    trace().in_scope(|| brittle.tell(false)).unwrap();
    while brittle.stats().in_hand == 0 {
        tokio::task::yield_now().await;
    }
    brittle.kill();
    brittle.ended().await;
    assert_eq!((notes.handled().len(), notes.open()), (3, 0));
}

#[tokio::test]
async fn a_span_ends_with_its_handler_though_nobody_has_taken_the_reply() {
    let notes = Notes::default();
    let _guard = tracing::subscriber::set_default(notes.clone());
    let runtime = Runtime::new();
    let stage = runtime.spawn("stage", Stage(None)).unwrap();
    let mut ask = trace().in_scope(|| stage.ask(Play { act: 1 }));
    assert!(poll_once(Pin::new(&mut ask)).is_pending());
    stage.stop();
    stage.ended().await;
    assert_eq!(stage.stats().handled, 1);
    assert_eq!((notes.handled().len(), notes.open()), (1, 0));
    assert_eq!(ask.await.unwrap(), 1);
}

#[tokio::test]
async fn a_span_ends_with_its_handler_though_what_it_sent_still_waits() {
    struct Slow;
    impl Subsystem for Slow {
        async fn started(&mut self, _: &mut Context<Self>) -> Result<(), BoxError> {
            std::future::pending().await
        }
    }
    impl Handler<Play> for Slow {
        type Reply = ();
        async fn handle(&mut self, _: Play, _: &mut Context<Self>) {}
    }
    struct Sender(Address<Slow>);
    impl Subsystem for Sender {}
    impl Handler<Play> for Sender {
        type Reply = ();
        async fn handle(&mut self, play: Play, _: &mut Context<Self>) {
            self.0.tell(play).unwrap();
        }
    }
    let notes = Notes::default();
    let _guard = tracing::subscriber::set_default(notes.clone());
    let runtime = Runtime::new();
    let slow = runtime.spawn_unnamed(Slow).unwrap();
    let sender = runtime.spawn_unnamed(Sender(slow)).unwrap();
    trace().in_scope(|| sender.ask(Play { act: 0 })).await.unwrap();
    assert_eq!((notes.handled().len(), notes.open()), (1, 0));
}
