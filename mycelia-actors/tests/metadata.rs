//! [`Metadata`]: what a message carries, who inherits it, and who does not.
#![cfg(not(mycelia_loom))]

mod desk;
mod subsystems;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use mycelia_actors::prelude::*;
use mycelia_actors::{MetadataError, TraceParent};
use serde::{Deserialize, Serialize};

use desk::poll_once;
use subsystems::{Gate, accounted};

/// What a handler sees of its metadata: the id, and all headers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Seen(Option<(u64, Vec<String>)>);

fn seen(metadata: Option<Metadata>) -> Seen {
    Seen(metadata.map(|metadata| {
        let headers = metadata.headers().map(|(name, value)| format!("{name}={value}")).collect();
        (metadata.id(), headers)
    }))
}

fn with(headers: &[(&str, &str)]) -> Metadata {
    headers.iter().fold(Metadata::new(), |metadata, (name, value)| metadata.with_header(name, value).unwrap())
}

/// Tells what it was called with.
struct Mirror;
impl Subsystem for Mirror {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Look>("look");
    }
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Look;

impl Handler<Look> for Mirror {
    type Reply = Seen;
    async fn handle(&mut self, _: Look, cx: &mut Context<Self>) -> Seen {
        let before = seen(cx.metadata());
        tokio::task::yield_now().await;
        assert_eq!(seen(cx.metadata()), before, "through an await");
        before
    }
}

impl Handler<ReplyTo<Seen>> for Mirror {
    type Reply = ();
    async fn handle(&mut self, reply: ReplyTo<Seen>, cx: &mut Context<Self>) {
        reply.reply(seen(cx.metadata()));
    }
}

/// Asks a mirror, in many ways.
struct Visitor(Address<Mirror>);
impl Subsystem for Visitor {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Visit>("visit");
    }
}

#[derive(Serialize, Deserialize)]
struct Visit;

impl Handler<Visit> for Visitor {
    type Reply = Vec<(String, Seen)>;
    async fn handle(&mut self, _: Visit, cx: &mut Context<Self>) -> Self::Reply {
        let (paths, mirror) = (cx.paths(), self.0.clone());
        let mut all = vec![("own".to_owned(), seen(cx.metadata()))];
        let mut note = |how: &str, seen: Seen| all.push((how.to_owned(), seen));
        note("by path", paths.ask("mirror://look", ()).await.unwrap());
        tokio::task::yield_now().await;
        note("by path, after an await", paths.ask("mirror://look", Look).await.unwrap());
        note("by address, after an await", mirror.ask(Look).await.unwrap());
        note("by route", paths.route("mirror://look").unwrap().ask(()).await.unwrap());
        let (one, other) = tokio::join!(mirror.ask(Look), paths.ask::<Seen, _>("mirror://look", ()));
        note("joined", one.unwrap());
        note("joined by path", other.unwrap());
        let inner = with(&[("inner", "1")]);
        let ask = inner.in_scope(|| mirror.ask(Look));
        note("in a scope", ask.await.unwrap());
        note("after a scope", mirror.ask(Look).await.unwrap());
        let (task, by_task) = (mirror.clone(), paths.clone());
        let spawned = tokio::spawn(async move {
            (task.ask(Look).await.unwrap(), by_task.ask::<Seen, _>("mirror://look", ()).await.unwrap())
        });
        let spawned = spawned.await.unwrap();
        note("spawned", spawned.0);
        note("spawned by path", spawned.1);
        let kept = cx.metadata();
        let spawned = tokio::spawn(async move {
            match kept {
                Some(kept) => kept.in_scope(|| mirror.ask(Look)).await.unwrap(),
                None => mirror.ask(Look).await.unwrap(),
            }
        });
        note("handed to a task", spawned.await.unwrap());
        all
    }
}

fn visitor() -> (Runtime, Address<Visitor>) {
    let runtime = Runtime::new();
    let mirror = runtime.spawn("mirror", Mirror).unwrap();
    let visitor = runtime.spawn("visitor", Visitor(mirror)).unwrap();
    (runtime, visitor)
}

// Time is paused, so that no ask ends by its deadline, however slow the machine.
#[tokio::test(start_paused = true)]
async fn what_a_handler_sends_inherits_and_what_its_tasks_send_does_not() {
    let (runtime, visitor) = visitor();
    let metadata = with(&[("shop", "7"), ("language", "de")]);
    let expected = Seen(Some((metadata.id(), vec!["shop=7".to_owned(), "language=de".to_owned()])));
    let in_scope = ["inner=1", "shop=7", "language=de"].map(str::to_owned).to_vec();
    let by_path = metadata.in_scope(|| runtime.ask("visitor://visit", ())).await.unwrap();
    let by_address = metadata.in_scope(|| visitor.ask(Visit)).await.unwrap();
    for visits in [by_path, by_address] {
        for (how, seen) in visits {
            match how.as_str() {
                "spawned" | "spawned by path" => assert_eq!(seen, Seen(None), "{how}"),
                "in a scope" => assert_eq!(seen, Seen(Some((metadata.id(), in_scope.clone()))), "{how}"),
                _ => assert_eq!(seen, expected, "{how}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_sent_without_has_none_and_neither_has_what_is_sent_for_it() {
    let (runtime, visitor) = visitor();
    with(&[("shop", "7")]).in_scope(|| visitor.tell(Visit)).unwrap();
    for (how, seen) in runtime.ask::<Vec<(String, Seen)>, _>("visitor://visit", ()).await.unwrap() {
        match how.as_str() {
            "in a scope" => assert_eq!(seen.0.unwrap().1, ["inner=1"]),
            _ => assert_eq!(seen, Seen(None), "{how}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_verb_takes_it_from_where_it_is_called_and_not_from_where_it_is_polled() {
    let runtime = Runtime::new();
    let mirror = runtime.spawn("mirror", Mirror).unwrap();
    let (here, there) = (with(&[("a", "here")]), with(&[("a", "there")]));
    let asks: [std::pin::Pin<Box<dyn Future<Output = Seen>>>; 3] = here.in_scope(|| {
        let ask = mirror.ask(Look);
        let by_path = runtime.ask::<Seen, _>("mirror://look", ());
        let later = mirror.ask_with(|reply: ReplyTo<Seen>| reply);
        [
            Box::pin(async { ask.await.unwrap() }) as _,
            Box::pin(async { by_path.await.unwrap() }) as _,
            Box::pin(async { later.await.unwrap() }) as _,
        ]
    });
    for mut ask in asks {
        let polled = std::future::poll_fn(|task| there.in_scope(|| ask.as_mut().poll(task)));
        assert_eq!(polled.await.0.unwrap(), (here.id(), vec!["a=here".to_owned()]));
    }
    let later = mirror.ask_with(|reply: ReplyTo<Seen>| reply);
    let mut later = std::pin::pin!(later);
    let polled = std::future::poll_fn(|task| there.in_scope(|| later.as_mut().poll(task)));
    assert_eq!(polled.await.unwrap(), Seen(None));
}

#[tokio::test(start_paused = true)]
async fn a_scope_ends_where_it_ends_also_by_a_panic() {
    let runtime = Runtime::new();
    let mirror = runtime.spawn("mirror", Mirror).unwrap();
    let (outer, inner) = (with(&[("a", "outer")]), with(&[("a", "inner")]));
    let asks = outer.in_scope(|| {
        let before = mirror.ask(Look);
        let inside = inner.in_scope(|| mirror.ask(Look));
        let panicked = catch_unwind(AssertUnwindSafe(|| inner.in_scope(|| panic!("on purpose"))));
        assert!(panicked.is_err());
        [before, inside, mirror.ask(Look)]
    });
    let panicked = catch_unwind(AssertUnwindSafe(|| outer.in_scope(|| panic!("on purpose"))));
    assert!(panicked.is_err());
    let [before, inside, after] = asks.map(|ask| async { ask.await.unwrap().0.unwrap() });
    assert_eq!(before.await, (outer.id(), vec!["a=outer".to_owned()]));
    assert_eq!(inside.await, (outer.id(), vec!["a=inner".to_owned()]), "the id of the first");
    assert_eq!(after.await, (outer.id(), vec!["a=outer".to_owned()]));
    assert_eq!(mirror.ask(Look).await.unwrap(), Seen(None), "outside");
}

#[tokio::test(start_paused = true)]
async fn scopes_inside_one_another_merge_and_the_inner_one_wins() {
    let runtime = Runtime::new();
    let mirror = runtime.spawn("mirror", Mirror).unwrap();
    let outer = with(&[("Shop", "7"), ("user", "ada"), ("only-outer", "1")]);
    let inner = with(&[("shop", "8"), ("only-inner", "2"), ("USER", "eve")]);
    let ask = outer.in_scope(|| inner.in_scope(|| mirror.ask(Look)));
    let (id, headers) = ask.await.unwrap().0.unwrap();
    assert_eq!(id, outer.id());
    assert_eq!(headers, ["shop=8", "only-inner=2", "USER=eve", "only-outer=1"]);
}

/// Panics, waits, or looks.
struct Moody(Gate);
impl Subsystem for Moody {
    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        assert_eq!(seen(cx.metadata()), Seen(None));
        tokio::task::yield_now().await;
        assert_eq!(seen(cx.metadata()), Seen(None));
        Ok(())
    }

    async fn stopped(&mut self, _: &Exit, cx: &mut Context<Self>) {
        assert_eq!(seen(cx.metadata()), Seen(None));
    }
}

enum Mood {
    Panic,
    PanicLater,
    Wait,
    Look,
}

impl Handler<Mood> for Moody {
    type Reply = Seen;
    async fn handle(&mut self, mood: Mood, cx: &mut Context<Self>) -> Seen {
        match mood {
            Mood::Panic => panic!("moody on purpose"),
            Mood::PanicLater => {
                tokio::task::yield_now().await;
                panic!("moody on purpose");
            }
            Mood::Wait => self.0.pass().await,
            Mood::Look => {}
        }
        seen(cx.metadata())
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_message_does_not_see_it_whatever_became_of_the_first() {
    let runtime = Runtime::new();
    let gate = Gate::default();
    gate.open();
    let open = gate.clone();
    let restart = Restart::one_for_one().at_most(100, Duration::from_secs(1));
    let moody = runtime.configure("moody").restart(restart).spawn_with(move || Moody(open.clone())).unwrap();
    let metadata = with(&[("a", "1")]);
    for mood in [Mood::Panic, Mood::PanicLater, Mood::Wait, Mood::Look] {
        metadata.in_scope(|| moody.tell(mood)).unwrap();
        let without = moody.ask(Mood::Look);
        assert_eq!(without.await.unwrap(), Seen(None));
        assert_eq!(seen(metadata.in_scope(|| None)), Seen(None));
    }
    // An ask that nobody waits for any more, and a message that expires.
    drop(metadata.in_scope(|| moody.ask(Mood::Look)));
    let late = Metadata::new().with_timeout(Duration::ZERO);
    late.in_scope(|| moody.tell(Mood::Look)).unwrap();
    assert_eq!(moody.ask(Mood::Look).await.unwrap(), Seen(None));
    moody.stop();
    assert!(matches!(moody.ended().await, Exit::Stopped), "`stopped` saw none");
    assert_eq!(moody.stats().restarts, 2);
    accounted(&moody);
}

#[tokio::test(start_paused = true)]
async fn other_subsystems_on_the_same_thread_do_not_see_it() {
    let runtime = Runtime::new();
    let gate = Gate::default();
    let waiting = runtime.spawn("waiting", Moody(gate.clone())).unwrap();
    let other = runtime.spawn("other", Moody(gate.clone())).unwrap();
    let mut ask = with(&[("a", "1")]).in_scope(|| waiting.ask(Mood::Wait));
    assert!(poll_once(std::pin::Pin::new(&mut ask)).is_pending());
    while waiting.stats().in_hand == 0 {
        tokio::task::yield_now().await;
    }
    // It waits in the middle of its handler.
    assert_eq!(other.ask(Mood::Look).await.unwrap(), Seen(None));
    gate.open();
    assert_eq!(ask.await.unwrap().0.unwrap().1, ["a=1"]);
}

#[test]
fn a_scope_around_a_whole_scheduler_is_not_that_of_its_subsystems() {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let runtime = Runtime::builder().tokio(tokio.handle().clone()).build();
    let mirror = runtime.spawn("mirror", Mirror).unwrap();
    let visitor = runtime.spawn("visitor", Visitor(mirror.clone())).unwrap();
    let metadata = with(&[("a", "1")]);
    let (look, visit) = (mirror.ask(Look), visitor.ask(Visit));
    metadata.in_scope(|| {
        tokio.block_on(async {
            assert_eq!(look.await.unwrap(), Seen(None));
            for (how, seen) in visit.await.unwrap() {
                // Tasks are polled inside of it, like any other code.
                let inside =
                    ["in a scope", "spawned", "spawned by path", "handed to a task"].contains(&&*how);
                assert!(inside || seen == Seen(None), "{how}: {seen:?}");
            }
            // This is sent inside of it.
            assert_eq!(mirror.ask(Look).await.unwrap().0.unwrap().1, ["a=1"]);
        });
    });
}

#[test]
fn many_messages_on_several_threads_keep_their_own() {
    const MESSAGES: usize = if cfg!(miri) { 50 } else { 2000 };
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    tokio.block_on(async {
        let (runtime, _) = visitor();
        let mirrors: Vec<_> = (0..4).map(|_| runtime.spawn_unnamed(Mirror).unwrap()).collect();
        let asks: Vec<_> = (0..MESSAGES)
            .map(|n| {
                let mirror = mirrors[n % mirrors.len()].clone();
                tokio::spawn(async move {
                    if n % 3 == 0 {
                        assert_eq!(mirror.ask(Look).within(Duration::MAX).await.unwrap(), Seen(None));
                        return;
                    }
                    let number = n.to_string();
                    let metadata = with(&[("n", &number)]);
                    let ask = metadata.in_scope(|| mirror.ask(Look)).within(Duration::MAX);
                    let (id, headers) = ask.await.unwrap().0.unwrap();
                    assert_eq!((id, headers), (metadata.id(), vec![format!("n={n}")]));
                })
            })
            .collect();
        for ask in asks {
            ask.await.unwrap();
        }
    });
}

#[test]
fn headers_have_limits() {
    let full =
        (0..16).fold(Metadata::new(), |metadata, n| metadata.with_header(&format!("h{n}"), "").unwrap());
    assert_eq!(full.headers().len(), 16);
    let error = full.clone().with_header("one-more", "").unwrap_err();
    assert_eq!(error.to_string(), "header `one-more` is one too many: the limits are 16 headers and 8 KiB");
    assert!(matches!(error, MetadataError::TooManyHeaders { .. }));
    // One that is there already is replaced, by its name without regard to case.
    let replaced = full.with_header("H7", "new").unwrap();
    assert_eq!((replaced.headers().len(), replaced.header("h7")), (16, Some("new")));

    let long = "x".repeat(8 * 1024);
    assert!(Metadata::new().with_header("", &long).is_err());
    assert!(Metadata::new().with_header("a", &long).is_err());
    let most = Metadata::new().with_header("a", &long[1..]).unwrap();
    assert!(most.clone().with_header("b", "").is_err());
    assert!(most.clone().with_header("a", &long).is_err());
    assert_eq!(most.with_header("A", "short").unwrap().header("a"), Some("short"));

    for (name, value) in [("", "x"), ("a\n", "x"), ("a", "x\r\ny"), ("a", "\0"), ("a\u{85}", "x")] {
        let error = Metadata::new().with_header(name, value).unwrap_err();
        assert!(matches!(error, MetadataError::BadHeader { .. }), "{error}");
    }
    let error = Metadata::new().with_header(&"é\n".repeat(500), "x").unwrap_err();
    assert!(error.to_string().len() < 400, "{error}");
    assert_eq!(Metadata::new().with_header("Äpfel", "ja").unwrap().header("ÄPFEL"), Some("ja"));
    assert_eq!(Metadata::new().with_header("äpfel", "ja").unwrap().header("ÄPFEL"), None, "ASCII only");
}

#[tokio::test(start_paused = true)]
async fn headers_that_are_inherited_count_as_well() {
    let runtime = Runtime::new();
    let mirror = runtime.spawn("mirror", Mirror).unwrap();
    let full = |hop: usize| {
        (0..16).fold(Metadata::new(), |metadata, n| {
            metadata.with_header(&format!("h{hop}-{n}"), &"x".repeat(500)).unwrap()
        })
    };
    let ask = full(0).in_scope(|| full(1).in_scope(|| full(2).in_scope(|| mirror.ask(Look))));
    let headers = ask.await.unwrap().0.unwrap().1;
    assert!(headers.len() <= 16, "{} headers, {} bytes", headers.len(), headers.concat().len());
}

#[test]
fn each_has_an_id_of_its_own_and_clones_share_it() {
    let (one, other) = (Metadata::new(), Metadata::default());
    assert_ne!(one.id(), other.id());
    let clone = one.clone().with_header("a", "1").unwrap();
    assert_eq!((clone.id(), one.header("a")), (one.id(), None));
}

#[tokio::test(start_paused = true)]
async fn a_trace_goes_on_with_a_span_of_its_own_at_every_hop() {
    struct Hop(Option<Address<Hop>>);
    impl Subsystem for Hop {}
    struct Trace;
    impl Handler<Trace> for Hop {
        type Reply = Vec<Option<TraceParent>>;
        async fn handle(&mut self, _: Trace, cx: &mut Context<Self>) -> Self::Reply {
            tokio::task::yield_now().await;
            let mut traces = match &self.0 {
                Some(next) => next.ask(Trace).await.unwrap(),
                None => Vec::new(),
            };
            traces.push(cx.metadata().and_then(|metadata| metadata.trace()));
            traces
        }
    }
    let runtime = Runtime::new();
    let last = runtime.spawn_unnamed(Hop(None)).unwrap();
    let middle = runtime.spawn_unnamed(Hop(Some(last))).unwrap();
    let first = runtime.spawn_unnamed(Hop(Some(middle))).unwrap();
    let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let parent: TraceParent = text.parse().unwrap();
    let metadata = Metadata::new().with_trace(parent);
    assert_eq!(metadata.trace(), Some(parent), "unchanged until it is handled");
    let traces = metadata.in_scope(|| first.ask(Trace)).await.unwrap();
    let spans: Vec<u64> =
        traces.iter().map(|trace| trace.unwrap().span_id()).chain([parent.span_id()]).collect();
    for (at, span) in spans.iter().enumerate() {
        assert!(*span != 0 && !spans[..at].contains(span), "{spans:x?}");
    }
    assert!(traces.iter().all(|trace| trace.unwrap().trace_id() == parent.trace_id()));
    assert!(traces.iter().all(|trace| trace.unwrap().is_sampled()));
    let none = with(&[("a", "1")]).in_scope(|| first.ask(Trace)).await.unwrap();
    assert_eq!(none, [None, None, None], "nobody starts a trace by himself");
}

/// Looks at its metadata, in batches.
struct Crowd;
impl Subsystem for Crowd {}
impl Handler<Look> for Crowd {
    type Reply = (Seen, usize);
    const BATCH: usize = 4;
    async fn handle(&mut self, look: Look, cx: &mut Context<Self>) -> (Seen, usize) {
        self.handle_batch(vec![look], cx).await.remove(0)
    }
    async fn handle_batch(&mut self, batch: Vec<Look>, cx: &mut Context<Self>) -> Vec<(Seen, usize)> {
        batch.iter().map(|_| (seen(cx.metadata()), batch.len())).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_one_message_has_that_of_the_message() {
    let runtime = Runtime::new();
    let crowd = runtime.spawn_unnamed(Crowd).unwrap();
    let metadata = with(&[("a", "1")]);
    let (alone, count) = metadata.in_scope(|| crowd.ask(Look)).await.unwrap();
    assert_eq!((alone, count), (Seen(Some((metadata.id(), vec!["a=1".to_owned()]))), 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_secret_is_not_in_the_log() {
    let metadata = with(&[("authorization", "Bearer 12345")]);
    assert!(!format!("{metadata:?}").contains("12345"));
}

#[tokio::test(start_paused = true)]
async fn a_scope_around_a_future_holds_at_every_poll_of_it_and_nowhere_else() {
    let runtime = Runtime::new();
    let mirror = runtime.spawn("mirror", Mirror).unwrap();
    let outer = with(&[("a", "outer"), ("b", "1")]);
    let inner = with(&[("a", "inner")]);
    let (outer_id, inner_id) = (outer.id(), inner.id());
    let scoped = outer.scope(async {
        let first = mirror.ask(Look).await.unwrap();
        tokio::task::yield_now().await;
        let second: Seen = runtime.ask("mirror://look", ()).await.unwrap();
        let nested = inner.scope(async { mirror.ask(Look).await.unwrap() }).await;
        let spawned = tokio::spawn({
            let mirror = mirror.clone();
            async move { mirror.ask(Look).await.unwrap() }
        });
        [first, second, nested, spawned.await.unwrap(), mirror.ask(Look).await.unwrap()]
    });
    let (scoped, meanwhile) = tokio::join!(scoped, async {
        tokio::task::yield_now().await;
        mirror.ask(Look).await.unwrap()
    });
    let own = Seen(Some((outer_id, vec!["a=outer".to_owned(), "b=1".to_owned()])));
    let nested = Seen(Some((outer_id, vec!["a=inner".to_owned(), "b=1".to_owned()])));
    assert_eq!(scoped, [own.clone(), own.clone(), nested, Seen(None), own]);
    assert_eq!(meanwhile, Seen(None));
    let alone = inner.scope(async { mirror.ask(Look).await.unwrap() }).await;
    assert_eq!(alone.0.unwrap().0, inner_id);
}

#[tokio::test(start_paused = true)]
async fn a_scope_around_a_future_holds_while_it_is_dropped() {
    /// Writes down what it was called with.
    struct Recorder(Vec<Seen>);
    impl Subsystem for Recorder {}
    struct Record;
    impl Handler<Record> for Recorder {
        type Reply = ();
        async fn handle(&mut self, _: Record, cx: &mut Context<Self>) {
            self.0.push(seen(cx.metadata()));
        }
    }
    struct Recorded;
    impl Handler<Recorded> for Recorder {
        type Reply = Vec<Seen>;
        async fn handle(&mut self, _: Recorded, _: &mut Context<Self>) -> Vec<Seen> {
            self.0.clone()
        }
    }
    let runtime = Runtime::new();
    let recorder = runtime.spawn("recorder", Recorder(Vec::new())).unwrap();
    struct Last(Address<Recorder>);
    impl Drop for Last {
        fn drop(&mut self) {
            self.0.tell(Record).unwrap();
        }
    }
    let metadata = with(&[("a", "1")]);
    let last = Last(recorder.clone());
    metadata
        .scope(async move {
            let _last = last;
            tokio::task::yield_now().await;
        })
        .await;
    let mut given_up = Box::pin(metadata.scope({
        let last = Last(recorder.clone());
        async move {
            let _last = last;
            std::future::pending::<()>().await;
        }
    }));
    assert!(poll_once(given_up.as_mut()).is_pending());
    drop(given_up);
    let own = Seen(Some((metadata.id(), vec!["a=1".to_owned()])));
    assert_eq!(recorder.ask(Recorded).await.unwrap(), [own.clone(), own]);
}
