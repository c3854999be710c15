//! Features do not exclude one another: each test is named after the pairs that it holds, `docs/features.md` has the table.
#![cfg(not(mycelia_loom))]

mod subsystems;

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context as Task, Waker};
use std::time::Duration;

use mycelia_actors::prelude::*;
use mycelia_actors::{AskFailure, Faults, Observer, Paths, Reason, Sample, TraceParent};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::Instant;

use subsystems::accounted;

const SECOND: Duration = Duration::from_secs(1);
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn traced() -> Metadata {
    Metadata::new().with_trace(TRACE.parse().unwrap())
}

fn called_by(name: &str, rights: &[&str]) -> Metadata {
    Metadata::new().with_caller(Principal::new(name, rights).unwrap())
}

/// What a handler sees of its metadata.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Seen {
    id: Option<u64>,
    trace: Option<String>,
    caller: Option<String>,
    headers: Vec<String>,
}

fn seen(metadata: Option<Metadata>) -> Seen {
    let Some(metadata) = metadata else { return Seen::default() };
    let rights = |caller: &Principal| format!("{caller}: {}", caller.rights().collect::<Vec<_>>().join(", "));
    Seen {
        id: Some(metadata.id()),
        trace: metadata.trace().map(|trace| format!("{:032x}", trace.trace_id())),
        caller: metadata.caller().map(rights),
        headers: metadata.headers().map(|(name, value)| format!("{name}={value}")).collect(),
    }
}

/// Says what it was called with.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Look;

struct Mirror;
impl Subsystem for Mirror {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Look>("open");
        routes.on::<Look>("write").scope("mirror:write");
    }
}
impl Handler<Look> for Mirror {
    type Reply = Seen;
    async fn handle(&mut self, _: Look, cx: &mut Context<Self>) -> Seen {
        seen(cx.metadata())
    }
}
impl Handler<ReplyTo<Seen>> for Mirror {
    type Reply = ();
    async fn handle(&mut self, reply: ReplyTo<Seen>, cx: &mut Context<Self>) {
        reply.reply(seen(cx.metadata()));
    }
}

/// What a batch saw: of each message, of what they have in common, and what came of a look at the mirror with that.
#[derive(Clone, Debug, Default)]
struct Batch {
    each: Vec<Seen>,
    common: Seen,
    sent: Option<Seen>,
    sent_for_each: Vec<Seen>,
}

/// Takes its rows in batches, and looks into the mirror for them.
struct Table {
    log: Arc<Mutex<Vec<Batch>>>,
    mirror: Option<Address<Mirror>>,
}
impl Subsystem for Table {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Row>("rows");
    }
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Row;

impl Handler<Row> for Table {
    type Reply = usize;
    const BATCH: usize = 64;

    async fn handle(&mut self, row: Row, cx: &mut Context<Self>) -> usize {
        self.handle_batch(vec![row], cx).await[0]
    }

    async fn handle_batch(&mut self, rows: Vec<Row>, cx: &mut Context<Self>) -> Vec<usize> {
        let each =
            |cx: &Context<Self>| (0..rows.len()).map(|index| cx.metadata_of(index)).collect::<Vec<_>>();
        let mut batch = Batch { common: seen(cx.metadata()), ..Batch::default() };
        if let Some(mirror) = &self.mirror {
            batch.sent = Some(mirror.ask(Look).await.unwrap());
            for metadata in each(cx) {
                let look = || mirror.ask(Look);
                let ask = metadata.map_or_else(look, |metadata| metadata.in_scope(look));
                batch.sent_for_each.push(ask.await.unwrap());
            }
        }
        tokio::task::yield_now().await;
        assert_eq!(seen(cx.metadata()), batch.common, "through an await");
        batch.each = each(cx).into_iter().map(seen).collect();
        self.log.lock().unwrap().push(batch);
        vec![rows.len(); rows.len()]
    }
}

struct Scene {
    runtime: Runtime,
    table: Address<Table>,
    log: Arc<Mutex<Vec<Batch>>>,
}

impl Scene {
    /// A table that handles nothing yet.
    fn new() -> Self {
        Self::with(Runtime::new(), false)
    }

    fn with(runtime: Runtime, own_thread: bool) -> Self {
        let mirror = Some(runtime.spawn("mirror", Mirror).unwrap());
        let log = Arc::default();
        let table = Table { log: Arc::clone(&log), mirror };
        let table = match own_thread {
            true => runtime.configure("table").own_thread().spawn(table),
            false => runtime.configure("table").spawn(table),
        };
        let table = table.unwrap();
        table.suspend();
        Self { runtime, table, log }
    }

    /// Lets it handle all it has.
    async fn batches(&self) -> Vec<Batch> {
        self.table.resume();
        self.table.stop();
        self.table.ended().await;
        accounted(&self.table);
        std::mem::take(&mut *self.log.lock().unwrap())
    }

    fn tell(&self, metadata: &Metadata) {
        metadata.in_scope(|| self.table.tell(Row)).unwrap();
    }
}

fn sizes(batches: &[Batch]) -> Vec<usize> {
    batches.iter().map(|batch| batch.each.len()).collect()
}

/// Polls it once, so that its message is on its way.
fn begin<F: Future + Unpin>(future: &mut F) {
    assert!(Pin::new(future).poll(&mut Task::from_waker(Waker::noop())).is_pending());
}

fn tokio_of_threads() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap()
}

// Time is paused wherever a deadline could pass, so that none does, however slow the machine.
#[tokio::test(start_paused = true)]
async fn batches_and_metadata_640_messages_are_10_batches() {
    for unlike in [false, true] {
        let scene = Scene::new();
        let one = Metadata::new();
        for _ in 0..640 {
            scene.tell(&if unlike { Metadata::new() } else { one.clone() });
        }
        assert_eq!(sizes(&scene.batches().await), [64; 10]);
    }
}

#[tokio::test(start_paused = true)]
async fn batches_and_metadata_each_message_keeps_its_own() {
    let scene = Scene::new();
    let rows: Vec<_> = (0..3).map(|n| traced().with_header("row", &n.to_string()).unwrap()).collect();
    rows[..2].iter().for_each(|metadata| scene.tell(metadata));
    scene.table.tell(Row).unwrap();
    scene.tell(&rows[2]);
    let batches = scene.batches().await;
    let [batch] = &batches[..] else { panic!("{batches:?}") };
    let own = |n: usize| seen(Some(rows[n].clone()));
    let each = [own(0), own(1), Seen::default(), own(2)];
    assert_eq!(batch.each, each);
    assert_eq!(batch.sent_for_each, each, "what is sent in the scope of each");
    assert_eq!((&batch.common, &batch.sent), (&Seen::default(), &Some(Seen::default())), "nothing in common");
}

#[tokio::test(start_paused = true)]
async fn batches_and_metadata_what_a_batch_sends_inherits_what_its_messages_have_in_common() {
    let scene = Scene::new();
    let first = traced().with_header("shop", "7").unwrap().with_header("row", "0").unwrap();
    let second = first.clone().with_header("row", "1").unwrap();
    scene.tell(&first);
    scene.tell(&second);
    let batches = scene.batches().await;
    let common = Seen { headers: vec!["shop=7".to_owned()], ..seen(Some(first.clone())) };
    assert_eq!((&batches[0].common, batches[0].sent.as_ref()), (&common, Some(&common)));
    assert_eq!(batches[0].sent_for_each, [seen(Some(first)), seen(Some(second))]);
}

/// Leaves `handle_batch` as it is.
struct Single(Address<Mirror>);
impl Subsystem for Single {}
impl Handler<Look> for Single {
    type Reply = (Seen, Seen);
    const BATCH: usize = 64;
    // What comes before the future is the handler's as well.
    #[allow(clippy::manual_async_fn)]
    fn handle(&mut self, _: Look, cx: &mut Context<Self>) -> impl Future<Output = (Seen, Seen)> + Send {
        let before = seen(cx.metadata());
        assert_eq!(seen(cx.metadata_of(0)), before);
        assert_eq!(cx.metadata_of(1).map(|metadata| metadata.id()), None);
        async move {
            tokio::task::yield_now().await;
            assert_eq!(seen(cx.metadata()), before);
            let sent = self.0.ask(Look).await.unwrap();
            (before, sent)
        }
    }
}

#[tokio::test(start_paused = true)]
async fn batches_and_metadata_by_default_each_handler_has_that_of_its_message() {
    let runtime = Runtime::new();
    let mirror = runtime.spawn_unnamed(Mirror).unwrap();
    let single = runtime.spawn_unnamed(Single(mirror)).unwrap();
    let (one, other) = (called_by("ada", &["a:b"]), called_by("eve", &[]));
    let mut asks = [&one, &other].map(|metadata| metadata.in_scope(|| single.ask(Look)));
    asks.iter_mut().for_each(begin);
    for (ask, metadata) in asks.into_iter().zip([one, other]) {
        let own = seen(Some(metadata));
        assert_eq!(ask.await.unwrap(), (own.clone(), own));
    }
}

/// Writes down which events are told, with their fields.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<String>>>);

struct Fields(String);
impl tracing::field::Visit for Fields {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn Debug) {
        self.0.push_str(&format!(" {}={value:?}", field.name()));
    }
}

impl tracing::Subscriber for Events {
    fn enabled(&self, site: &tracing::Metadata<'_>) -> bool {
        site.target().starts_with("mycelia_actors")
    }
    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::Id {
        let mut fields = Fields(format!("span {}", span.metadata().name()));
        span.record(&mut fields);
        let mut all = self.0.lock().unwrap();
        all.push(fields.0);
        tracing::Id::from_u64(all.len() as u64)
    }
    fn event(&self, event: &tracing::Event<'_>) {
        let mut fields = Fields(event.metadata().level().to_string());
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }
    fn enter(&self, _: &tracing::Id) {}
    fn exit(&self, _: &tracing::Id) {}
    fn record(&self, _: &tracing::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::Id, follows: &tracing::Id) {
        self.0.lock().unwrap().push(format!("follows {}", follows.into_u64()));
    }
}

impl Events {
    fn with(&self, text: &str) -> Vec<String> {
        self.0.lock().unwrap().iter().filter(|event| event.contains(text)).cloned().collect()
    }
}

#[tokio::test(start_paused = true)]
async fn batches_and_traces_each_message_has_a_span_that_the_batch_follows_from() {
    let events = Events::default();
    let _guard = tracing::subscriber::set_default(events.clone());
    let scene = Scene::new();
    scene.tell(&traced());
    scene.table.tell(Row).unwrap();
    scene.tell(&Metadata::new().with_trace(TraceParent::new()));
    scene.batches().await;
    let of_table: Vec<_> =
        events.with("subsystem=table").into_iter().filter(|event| event.starts_with("span")).collect();
    let [one, other, batch] = &of_table[..] else { panic!("{of_table:#?}") };
    assert!(one.starts_with("span handle ") && one.contains(TRACE_ID), "{one}");
    assert!(other.starts_with("span handle ") && !other.contains(TRACE_ID), "{other}");
    assert!(batch.starts_with("span handle_batch ") && batch.contains("messages=3"), "{batch}");
    assert_eq!(events.with("follows").len(), 2);
}

/// Panics, at once or later, with all of a batch.
struct Flaky;
impl Subsystem for Flaky {}
struct Work(bool);
impl Handler<Work> for Flaky {
    type Reply = ();
    const BATCH: usize = 4;
    async fn handle(&mut self, Work(later): Work, _: &mut Context<Self>) {
        if later {
            tokio::task::yield_now().await;
        }
        panic!("no paper");
    }
}
/// Panics alone.
struct Alone(bool);
impl Handler<Alone> for Flaky {
    type Reply = ();
    async fn handle(&mut self, Alone(later): Alone, _: &mut Context<Self>) {
        if later {
            tokio::task::yield_now().await;
        }
        panic!("no paper");
    }
}

#[tokio::test(start_paused = true)]
async fn metadata_and_panics_the_event_and_the_letter_name_the_trace_and_the_type() {
    for later in [false, true] {
        let events = Events::default();
        let _guard = tracing::subscriber::set_default(events.clone());
        let runtime = Runtime::new();
        let letters = runtime.dead_letters(10);
        let flaky = runtime.spawn_with("flaky", || Flaky).unwrap();
        let metadata = traced().with_header("shop", "7").unwrap();
        assert!(metadata.in_scope(|| flaky.ask(Alone(later))).await.is_err());
        let letter = letters.recv().await.unwrap();
        assert_eq!((letter.reason(), letter.message_type()), (Reason::Failed, "pairs::Alone"));
        assert_eq!(letter.trace().unwrap().trace_id(), metadata.trace().unwrap().trace_id());
        assert_eq!(letter.metadata().unwrap().id(), metadata.id());
        assert_eq!(letter.metadata().unwrap().header("shop"), Some("7"));
        assert_eq!(letter.to_string(), format!("a `pairs::Alone` for `flaky`: failed (trace {TRACE_ID})"));
        let told = events.with("panicked");
        assert_eq!(told.len(), 1, "{told:?}");
        for part in ["ERROR", "message_type=\"pairs::Alone\"", TRACE_ID, "no paper"] {
            assert!(told[0].contains(part), "{told:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn batches_and_panics_each_message_has_a_letter_with_its_own_trace() {
    for later in [false, true] {
        let events = Events::default();
        let _guard = tracing::subscriber::set_default(events.clone());
        let runtime = Runtime::new();
        let letters = runtime.dead_letters(10);
        let flaky = runtime.spawn_with("flaky", || Flaky).unwrap();
        let other = TraceParent::new();
        traced().in_scope(|| flaky.tell(Work(later))).unwrap();
        flaky.tell(Work(later)).unwrap();
        let ask = Metadata::new().with_trace(other).in_scope(|| flaky.ask(Work(later)));
        assert_eq!(ask.await.unwrap_err().failure, AskFailure::Panicked);
        let traces: Vec<_> =
            letters.drain().map(|letter| letter.trace().map(|trace| trace.trace_id())).collect();
        let ids = [Some(traced().trace().unwrap().trace_id()), None, Some(other.trace_id())];
        assert_eq!(traces, ids);
        let told = events.with("panicked");
        let both = format!("{TRACE_ID},{:032x}", other.trace_id());
        assert!(told.len() == 1 && told[0].contains(&both) && told[0].contains("messages=3"), "{told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn metadata_and_dead_letters_every_reason_keeps_it() {
    let runtime = Runtime::new();
    let letters = runtime.dead_letters(10);
    for policy in [OverflowPolicy::DropOldest, OverflowPolicy::DropNewest] {
        let mailbox = Mailbox::bounded(1).overflow(policy);
        let mirror = runtime.configure_unnamed().mailbox(mailbox).spawn(Mirror).unwrap();
        mirror.suspend();
        traced().in_scope(|| mirror.tell_many([Look, Look])).unwrap();
        let late = traced().with_timeout(Duration::ZERO);
        late.in_scope(|| mirror.tell(Look)).unwrap();
        mirror.kill();
        mirror.ended().await;
    }
    let late = runtime.spawn_unnamed(Mirror).unwrap();
    traced().with_timeout(Duration::ZERO).in_scope(|| late.tell(Look)).unwrap();
    late.stop();
    late.ended().await;
    let all: Vec<_> = letters.drain().collect();
    assert!(all.iter().all(|letter| letter.to_string().ends_with(&format!("(trace {TRACE_ID})"))), "{all:?}");
    for reason in [Reason::Evicted, Reason::Discarded, Reason::Undelivered, Reason::Expired] {
        assert!(all.iter().any(|letter| letter.reason() == reason), "{reason}");
    }
}

/// What an observer hears.
#[derive(Clone, Default)]
struct Samples(Arc<Mutex<Vec<Heard>>>);
/// From whom, how long it waited, how long it took, and for how many it stands.
type Heard = (String, Duration, Duration, u64);
impl Observer for Samples {
    fn sampled(&self, sample: &Sample<'_>) {
        let name = format!(
            "{}{}",
            sample.subsystem,
            sample.pattern.map_or(String::new(), |pattern| format!("://{pattern}"))
        );
        self.0.lock().unwrap().push((name, sample.waited, sample.took, sample.stands_for));
    }
}
impl Samples {
    fn of(runtime: &Runtime) -> Self {
        let samples = Self::default();
        runtime.inspector().observe(samples.clone()).unwrap();
        samples
    }
    fn take(&self) -> Vec<Heard> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// Takes its time.
struct Sleeper;
impl Subsystem for Sleeper {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Sleep>("sleep/{millis}");
    }
}
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Sleep {
    millis: u64,
}
impl Handler<Sleep> for Sleeper {
    type Reply = ();
    const BATCH: usize = 4;
    async fn handle(&mut self, Sleep { millis }: Sleep, _: &mut Context<Self>) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn metadata_and_observers_messages_with_metadata_are_timed_in_their_spans() {
    let events = Events::default();
    let _guard = tracing::subscriber::set_default(events.clone());
    let runtime = Runtime::new();
    let samples = Samples::of(&runtime);
    let sleeper = runtime.spawn("sleeper", Sleeper).unwrap();
    for _ in 0..3 {
        sleeper.suspend();
        let mut ask = traced().in_scope(|| sleeper.ask(Sleep { millis: 30 }));
        begin(&mut ask);
        tokio::time::sleep(Duration::from_millis(20)).await;
        sleeper.resume();
        ask.await.unwrap();
    }
    let one = ("sleeper".to_owned(), Duration::from_millis(20), Duration::from_millis(30), 1);
    assert_eq!(samples.take(), vec![one; 3]);
    assert_eq!(events.with("span handle ").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn metadata_and_observers_a_stamp_is_not_inherited() {
    struct Forward(Address<Sleeper>);
    impl Subsystem for Forward {}
    impl Handler<Sleep> for Forward {
        type Reply = ();
        async fn handle(&mut self, sleep: Sleep, cx: &mut Context<Self>) {
            tokio::time::sleep(SECOND).await;
            // Each way to hand metadata on.
            self.0.ask(sleep).await.unwrap();
            let own = cx.metadata().unwrap();
            own.in_scope(|| self.0.ask(sleep)).await.unwrap();
        }
    }
    let runtime = Runtime::new();
    let sleeper = runtime.spawn("sleeper", Sleeper).unwrap();
    let forward = runtime.spawn("forward", Forward(sleeper)).unwrap();
    let samples = Samples::of(&runtime);
    Metadata::new().in_scope(|| forward.ask(Sleep { millis: 300 })).await.unwrap();
    let waited: Vec<_> = samples.take().into_iter().map(|sample| (sample.0, sample.1)).collect();
    assert!(waited.iter().any(|(name, _)| name == "sleeper"), "{waited:?}");
    assert!(waited.iter().all(|(_, waited)| *waited == Duration::ZERO), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn batches_and_observers_a_batch_is_timed_wherever_its_stamp_is() {
    for metadata in [None, Some(traced())] {
        let runtime = Runtime::new();
        let sleeper = runtime.spawn("sleeper", Sleeper).unwrap();
        sleeper.suspend();
        let tell = || assert!(sleeper.tell(Sleep { millis: 10 }).is_ok());
        let dressed = || metadata.as_ref().map_or_else(tell, |metadata| metadata.in_scope(tell));
        dressed();
        let samples = Samples::of(&runtime);
        // The second of the batch is the first that is timed.
        (0..3).for_each(|_| dressed());
        tokio::time::sleep(SECOND).await;
        sleeper.resume();
        sleeper.stop();
        sleeper.ended().await;
        let name = "sleeper".to_owned();
        assert_eq!(samples.take(), [(name, SECOND, Duration::from_millis(10), 4)], "its share of the batch");
    }
}

#[tokio::test(start_paused = true)]
async fn metadata_and_watching_a_notice_neither_expires_nor_is_timed_from_the_watch() {
    struct Watcher(Option<oneshot::Sender<Seen>>);
    impl Subsystem for Watcher {}
    struct Watch(Address<Sleeper>, oneshot::Sender<Seen>);
    impl Handler<Watch> for Watcher {
        type Reply = ();
        async fn handle(&mut self, Watch(other, heard): Watch, cx: &mut Context<Self>) {
            self.0 = Some(heard);
            cx.watch(&other).unwrap();
        }
    }
    impl Handler<Terminated> for Watcher {
        type Reply = ();
        async fn handle(&mut self, _: Terminated, cx: &mut Context<Self>) {
            self.0.take().unwrap().send(seen(cx.metadata())).unwrap();
        }
    }
    let runtime = Runtime::new();
    let samples = Samples::of(&runtime);
    let watcher = runtime.spawn("watcher", Watcher(None)).unwrap();
    for with_metadata in [false, true] {
        let metadata = traced().with_timeout(SECOND);
        let sleeper = runtime.spawn("sleeper", Sleeper).unwrap();
        let (heard, hears) = oneshot::channel();
        let tell = || watcher.tell(Watch(sleeper.clone(), heard)).unwrap();
        let told = if with_metadata { metadata.in_scope(tell) } else { tell() };
        assert_eq!(told, Told::Queued);
        tokio::time::sleep(10 * SECOND).await;
        sleeper.stop();
        let own = Some(metadata.clone()).filter(|_| with_metadata);
        // In paused time: it is there, or never comes.
        let told = tokio::time::timeout(SECOND, hears).await.expect("the notice has expired");
        assert_eq!(told.unwrap(), seen(own));
    }
    let samples = samples.take();
    assert!(!samples.is_empty() && samples.iter().all(|sample| sample.1 == Duration::ZERO), "{samples:?}");
    assert_eq!(watcher.stats().expired, 0);
}

/// Asks one that never replies, and says how long that took.
struct Patient {
    never: Address<Never>,
    in_empty_scope: bool,
    took: Arc<Mutex<Vec<Duration>>>,
}
struct Never;
impl Subsystem for Never {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Row>("row");
    }
}
impl Handler<Row> for Never {
    type Reply = ();
    async fn handle(&mut self, _: Row, _: &mut Context<Self>) {
        std::future::pending().await
    }
}
impl Subsystem for Patient {}
impl Handler<Row> for Patient {
    type Reply = ();
    const BATCH: usize = 8;
    async fn handle(&mut self, row: Row, cx: &mut Context<Self>) {
        self.handle_batch(vec![row], cx).await;
    }
    async fn handle_batch(&mut self, rows: Vec<Row>, _: &mut Context<Self>) -> Vec<()> {
        let began = Instant::now();
        let ask = async { self.never.ask(Row).within(Duration::from_secs(100)).await };
        let failed = if self.in_empty_scope { Metadata::empty_scope(ask).await } else { ask.await };
        assert!(matches!(failed.unwrap_err().failure, AskFailure::Deadline(_)));
        self.took.lock().unwrap().push(began.elapsed());
        vec![(); rows.len()]
    }
}
/// One by one.
impl Handler<Look> for Patient {
    type Reply = ();
    const BATCH: usize = 8;
    async fn handle(&mut self, _: Look, cx: &mut Context<Self>) {
        self.handle_batch(vec![Row], cx).await;
    }
}

fn patient(runtime: &Runtime, in_empty_scope: bool) -> (Address<Patient>, Arc<Mutex<Vec<Duration>>>) {
    let never = runtime.spawn_unnamed(Never).unwrap();
    let took = Arc::<Mutex<Vec<_>>>::default();
    let patient = Patient { never, in_empty_scope, took: Arc::clone(&took) };
    (runtime.spawn_unnamed(patient).unwrap(), took)
}

#[track_caller]
fn took_about(took: Duration, expected: Duration) {
    let late = expected / 100 + Duration::from_millis(10);
    assert!((expected..=expected + late).contains(&took), "{took:?} instead of {expected:?}");
}

#[tokio::test(start_paused = true)]
async fn batches_and_deadlines_a_batch_may_wait_until_the_latest_of_its_messages() {
    for in_empty_scope in [false, true] {
        let runtime = Runtime::new();
        let (patient, took) = patient(&runtime, in_empty_scope);
        patient.suspend();
        let mut asks = [3, 20, 5].map(|seconds| patient.ask(Row).within(seconds * SECOND));
        asks.iter_mut().for_each(begin);
        Metadata::new().with_timeout(10 * SECOND).in_scope(|| patient.tell(Row)).unwrap();
        patient.resume();
        for ask in asks {
            ask.await.unwrap_err();
        }
        patient.stop();
        patient.ended().await;
        let took = took.lock().unwrap().clone();
        assert_eq!((took.len(), patient.stats().handled), (1, 4));
        took_about(took[0], 20 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn batches_and_deadlines_one_without_a_deadline_sets_no_limit() {
    let runtime = Runtime::new();
    let (patient, took) = patient(&runtime, false);
    patient.suspend();
    let mut ask = patient.ask(Row).within(SECOND);
    begin(&mut ask);
    patient.tell(Row).unwrap();
    patient.resume();
    ask.await.unwrap_err();
    patient.stop();
    patient.ended().await;
    took_about(took.lock().unwrap()[0], 100 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn batches_and_deadlines_by_default_each_handler_has_that_of_its_message() {
    let runtime = Runtime::new();
    let (patient, took) = patient(&runtime, false);
    patient.suspend();
    let mut asks = [3, 20].map(|seconds| patient.ask(Look).within(seconds * SECOND));
    asks.iter_mut().for_each(begin);
    Metadata::new().with_timeout(40 * SECOND).in_scope(|| patient.tell(Look)).unwrap();
    patient.resume();
    patient.stop();
    patient.ended().await;
    let took = took.lock().unwrap().clone();
    took_about(took[0], 3 * SECOND);
    took_about(took[0] + took[1], 20 * SECOND);
    took_about(took[0] + took[1] + took[2], 40 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn metadata_and_deadlines_without_metadata_a_handler_still_ends_with_its_message() {
    for in_empty_scope in [false, true] {
        let runtime = Runtime::new();
        let (patient, took) = patient(&runtime, in_empty_scope);
        Metadata::new().with_timeout(7 * SECOND).in_scope(|| patient.tell(Row)).unwrap();
        patient.stop();
        patient.ended().await;
        took_about(took.lock().unwrap()[0], 7 * SECOND);
    }
}

/// Sends without metadata, in both ways, and with metadata of its own inside of that.
struct Quiet(Address<Mirror>);
impl Subsystem for Quiet {}
impl Handler<Look> for Quiet {
    type Reply = Vec<Seen>;
    async fn handle(&mut self, _: Look, cx: &mut Context<Self>) -> Vec<Seen> {
        let mirror = &self.0;
        let closure = Metadata::in_empty_scope(|| mirror.ask(Look)).await.unwrap();
        let future = Metadata::empty_scope(async {
            tokio::task::yield_now().await;
            assert_eq!(cx.metadata().map(|metadata| metadata.id()), None);
            mirror.ask(Look).await.unwrap()
        });
        let future = future.await;
        let after = mirror.ask(Look).await.unwrap();
        let root = called_by("root", &["*"]);
        let inside = Metadata::in_empty_scope(|| root.in_scope(|| mirror.ask(Look))).await.unwrap();
        let deeper = Metadata::empty_scope(async {
            let unnamed = Metadata::new();
            unnamed.scope(async { root.scope(async { mirror.ask(Look).await.unwrap() }).await }).await
        });
        vec![closure, future, after, inside, deeper.await]
    }
}

#[tokio::test(start_paused = true)]
async fn metadata_and_policies_an_empty_scope_sends_none_and_widens_nothing() {
    let runtime = Runtime::new();
    let mirror = runtime.spawn("mirror", Mirror).unwrap();
    let quiet = runtime.spawn_unnamed(Quiet(mirror)).unwrap();
    let eve = called_by("eve", &["mirror:read"]);
    let all = eve.in_scope(|| quiet.ask(Look)).await.unwrap();
    assert_eq!(all[..3], [Seen::default(), Seen::default(), seen(Some(eve))]);
    for limited in &all[3..] {
        assert_eq!(limited.caller.as_deref(), Some("eve as root: mirror:read"));
    }
    let free = quiet.ask(Look).await.unwrap();
    assert_eq!(free[3].caller.as_deref(), Some("root: *"), "nobody has called it");
}

#[tokio::test(start_paused = true)]
async fn batches_and_policies_a_batch_has_the_rights_that_all_its_callers_hold() {
    let scene = Scene::new();
    let (ada, eve) = (called_by("ada", &["a:*", "b:c"]), called_by("eve", &["a:read", "d:e"]));
    let bob = called_by("bob", &["a:*"]);
    [&ada, &eve, &bob].into_iter().for_each(|caller| scene.tell(caller));
    let batches = scene.batches().await;
    assert_eq!(sizes(&batches), [3]);
    let batch = &batches[0];
    assert_eq!(batch.common.caller.as_deref(), Some("ada and others: a:read"));
    assert_eq!(batch.sent.as_ref().unwrap().caller, batch.common.caller, "and so has whom it calls");
    let own = [ada, eve, bob].map(|caller| seen(Some(caller)));
    assert_eq!(batch.each, own);
    assert_eq!(batch.sent_for_each, own, "on account of one it has the rights of that one");
    // One caller of all.
    let scene = Scene::new();
    (0..3).for_each(|_| scene.tell(&called_by("ada", &["a:b"])));
    let batches = scene.batches().await;
    assert_eq!((sizes(&batches), batches[0].common.caller.as_deref()), (vec![3], Some("ada: a:b")));
}

#[tokio::test(start_paused = true)]
async fn batches_and_policies_messages_with_and_without_a_caller_are_apart() {
    let scene = Scene::new();
    let ada = called_by("ada", &["a:b"]);
    scene.tell(&ada);
    scene.tell(&Metadata::new());
    scene.table.tell(Row).unwrap();
    scene.tell(&ada);
    assert_eq!(sizes(&scene.batches().await), [1, 2, 1]);
}

/// Claims to be root, in every way there is, for a batch.
struct Claimer {
    paths: Option<Paths>,
    kept: Option<Metadata>,
    entered: Arc<Mutex<Vec<bool>>>,
}
impl Subsystem for Claimer {
    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        self.paths = Some(cx.paths());
        Ok(())
    }
}
impl Handler<Row> for Claimer {
    type Reply = ();
    const BATCH: usize = 8;
    async fn handle(&mut self, row: Row, cx: &mut Context<Self>) {
        self.handle_batch(vec![row], cx).await;
    }
    async fn handle_batch(&mut self, rows: Vec<Row>, cx: &mut Context<Self>) -> Vec<()> {
        let paths = self.paths.as_ref().unwrap();
        let write = || paths.tell("mirror://write", ()).is_ok();
        let root = || Principal::new("root", ["*"]).unwrap();
        let own = |index| cx.metadata_of(index).unwrap();
        let claims = [
            write(),
            Metadata::new().with_caller(root()).in_scope(write),
            own(0).with_caller(root()).in_scope(write),
            Metadata::in_empty_scope(|| own(0).with_caller(root()).in_scope(write)),
            own(1).with_header("a", "b").unwrap().with_caller(root()).in_scope(write),
            own(0).in_scope(|| own(1).in_scope(write)),
            own(1).in_scope(|| own(0).in_scope(write)),
            self.kept.as_ref().is_some_and(|kept| kept.in_scope(write)),
            Metadata::new().in_scope(|| Metadata::new().with_caller(root()).in_scope(write)),
        ];
        self.entered.lock().unwrap().extend(claims);
        self.kept = Some(own(rows.len() - 1));
        let allowed: Vec<_> = (0..rows.len()).map(|index| own(index).in_scope(write)).collect();
        let rows_entered: Vec<_> = rows.iter().map(drop).collect();
        self.entered.lock().unwrap().extend(allowed);
        rows_entered
    }
}

#[tokio::test(start_paused = true)]
async fn batches_and_policies_no_claim_goes_beyond_the_callers_in_hand() {
    let runtime = Runtime::new();
    runtime.spawn("mirror", Mirror).unwrap();
    let entered = Arc::<Mutex<Vec<bool>>>::default();
    let claimer = Claimer { paths: None, kept: None, entered: Arc::clone(&entered) };
    let claimer = runtime.spawn_unnamed(claimer).unwrap();
    for _ in 0..2 {
        claimer.suspend();
        for caller in [called_by("eve", &["mirror:read"]), called_by("ada", &["mirror:write"])] {
            caller.in_scope(|| claimer.tell(Row)).unwrap();
        }
        claimer.resume();
        while claimer.stats().queued + claimer.stats().in_hand > 0 {
            tokio::task::yield_now().await;
        }
        let all = std::mem::take(&mut *entered.lock().unwrap());
        let (claims, allowed) = all.split_at(9);
        assert_eq!(allowed, [false, true], "each with the rights of its own caller");
        // On account of ada's message the claim is limited to ada, who may.
        let none_but_hers: Vec<_> = (0..9).map(|claim| claim == 4).collect();
        assert_eq!(claims, none_but_hers);
    }
}

#[tokio::test(start_paused = true)]
async fn batches_and_paths_one_batch_replies_in_all_forms() {
    let scene = Scene::new();
    let (runtime, table) = (&scene.runtime, &scene.table);
    let mut by_address = table.ask(Row);
    let mut by_path = runtime.ask::<usize, _>("table://rows", Row);
    let mut as_json = runtime.ask::<Value, _>("table://rows", json!(null));
    let traced = traced();
    let mut with_metadata = traced.in_scope(|| runtime.ask::<Value, _>("table://rows", ()));
    begin(&mut by_address);
    begin(&mut by_path);
    begin(&mut as_json);
    begin(&mut with_metadata);
    table.resume();
    assert_eq!((by_address.await.unwrap(), by_path.await.unwrap()), (4, 4));
    assert_eq!((as_json.await.unwrap(), with_metadata.await.unwrap()), (json!(4), json!(4)));
    assert_eq!(sizes(&scene.batches().await), [4]);
}

#[tokio::test(start_paused = true)]
async fn batches_and_late_replies_each_message_has_its_own_duty() {
    struct Later(Vec<ReplyTo<usize>>);
    impl Subsystem for Later {}
    struct Query(ReplyTo<usize>);
    impl Handler<Query> for Later {
        type Reply = ();
        const BATCH: usize = 8;
        async fn handle(&mut self, Query(reply): Query, _: &mut Context<Self>) {
            self.0.push(reply);
        }
        async fn handle_batch(&mut self, queries: Vec<Query>, _: &mut Context<Self>) -> Vec<()> {
            let count = queries.len();
            self.0.extend(queries.into_iter().map(|Query(reply)| reply));
            vec![(); count]
        }
    }
    struct Answer;
    impl Handler<Answer> for Later {
        type Reply = ();
        async fn handle(&mut self, _: Answer, _: &mut Context<Self>) {
            self.0.drain(..).enumerate().for_each(|(place, reply)| reply.reply(place));
        }
    }
    let runtime = Runtime::new();
    let later = runtime.spawn_unnamed(Later(Vec::new())).unwrap();
    let metadata = traced();
    let ask = || Box::pin(later.ask_with(Query));
    let mut asks = [ask(), metadata.in_scope(ask), ask()];
    later.suspend();
    asks.iter_mut().for_each(begin);
    later.tell(Answer).unwrap();
    later.resume();
    for (place, ask) in asks.into_iter().enumerate() {
        assert_eq!(ask.await.unwrap(), place);
    }
    accounted(&later);
}

#[test]
fn batches_and_own_threads_and_metadata() {
    tokio_of_threads().block_on(async {
        let scene = Scene::with(Runtime::new(), true);
        let one = traced();
        (0..128).for_each(|_| scene.tell(&one));
        let batches = scene.batches().await;
        assert_eq!(sizes(&batches), [64, 64]);
        let own = seen(Some(one));
        assert!(batches.iter().all(|batch| batch.each.iter().all(|each| *each == own)));
        assert!(batches.iter().all(|batch| batch.sent.as_ref() == Some(&own)));
    });
}

#[test]
fn own_threads_and_observers_and_deadlines_and_tokio() {
    struct Threaded(Address<Never>);
    impl Subsystem for Threaded {}
    impl Handler<Look> for Threaded {
        type Reply = (bool, Seen);
        async fn handle(&mut self, _: Look, cx: &mut Context<Self>) -> (bool, Seen) {
            // Tokio is there: to spawn, and for its timers.
            let spawned = tokio::spawn(tokio::time::sleep(Duration::from_millis(1)));
            spawned.await.unwrap();
            let ask = self.0.ask(Row).within(Duration::from_secs(1000));
            let ended = matches!(ask.await.unwrap_err().failure, AskFailure::Deadline(_));
            (ended, seen(cx.metadata()))
        }
    }
    tokio_of_threads().block_on(async {
        let runtime = Runtime::new();
        let samples = Samples::of(&runtime);
        let never = runtime.spawn("never", Never).unwrap();
        let threaded = runtime.configure("threaded").own_thread().spawn(Threaded(never)).unwrap();
        let metadata = traced().with_timeout(Duration::from_millis(50));
        metadata.in_scope(|| threaded.tell(Look)).unwrap();
        threaded.stop();
        threaded.ended().await;
        assert_eq!(threaded.stats().handled, 1);
        let samples = samples.take();
        assert!(
            samples.iter().any(|sample| sample.0 == "threaded" && sample.2 > Duration::ZERO),
            "{samples:?}"
        );
    });
}

#[tokio::test(start_paused = true)]
async fn groups_and_metadata_every_verb_carries_it() {
    let runtime = Runtime::new();
    let members: Vec<_> = (0..2).map(|_| runtime.spawn_unnamed(Mirror).unwrap()).collect();
    for choice in [mycelia_actors::Choice::RoundRobin, mycelia_actors::Choice::LeastLoaded] {
        let group = Group::new(members.clone(), choice).unwrap();
        let metadata = traced();
        let own = seen(Some(metadata.clone()));
        let (ask, try_ask) = metadata.in_scope(|| (group.ask(Look), group.try_ask(Look)));
        assert_eq!((ask.await.unwrap(), try_ask.await.unwrap()), (own.clone(), own.clone()));
        assert_eq!(metadata.in_scope(|| group.by_key("a").ask(Look)).await.unwrap(), own);
        let later = metadata.in_scope(|| Box::pin(group.pick().ask_with(|reply: ReplyTo<Seen>| reply)));
        assert_eq!(later.await.unwrap(), own, "and late replies");
    }
}

#[tokio::test(start_paused = true)]
async fn groups_and_batches_and_observers() {
    let runtime = Runtime::new();
    let samples = Samples::of(&runtime);
    let names = ["one", "two"];
    let members: Vec<_> = names.map(|name| runtime.spawn(name, Sleeper).unwrap()).to_vec();
    let group = Group::new(members.clone(), mycelia_actors::Choice::RoundRobin).unwrap();
    members.iter().for_each(Address::suspend);
    traced().in_scope(|| {
        for _ in 0..4 {
            assert!(group.broadcast(Sleep { millis: 1 }).iter().all(Result::is_ok));
        }
    });
    members.iter().for_each(Address::resume);
    for member in &members {
        member.stop();
        member.ended().await;
        assert_eq!(member.stats().handled, 4);
    }
    let mut heard: Vec<_> = samples.take().into_iter().map(|sample| (sample.0, sample.3)).collect();
    heard.sort();
    assert_eq!(heard, names.map(|name| (name.to_owned(), 4)));
}

#[test]
fn groups_and_own_threads_and_late_replies() {
    tokio_of_threads().block_on(async {
        let runtime = Runtime::new();
        let member = |own_thread: bool| {
            let member = runtime.configure_unnamed();
            if own_thread { member.own_thread() } else { member }.spawn(Mirror).unwrap()
        };
        let group = Group::new([member(true), member(false)], mycelia_actors::Choice::RoundRobin).unwrap();
        let metadata = traced();
        for _ in 0..4 {
            let ask = metadata.in_scope(|| group.pick().ask_with(|reply: ReplyTo<Seen>| reply));
            assert_eq!(ask.await.unwrap(), seen(Some(metadata.clone())));
        }
    });
}

#[tokio::test(start_paused = true)]
async fn late_replies_and_deadlines_in_a_batch_and_by_path() {
    struct Keeper(Vec<ReplyTo<()>>);
    impl Subsystem for Keeper {}
    impl Handler<ReplyTo<()>> for Keeper {
        type Reply = ();
        async fn handle(&mut self, reply: ReplyTo<()>, _: &mut Context<Self>) {
            self.0.push(reply);
        }
    }
    struct Asks(Address<Keeper>, Arc<Mutex<Vec<Duration>>>);
    impl Subsystem for Asks {
        fn routes(routes: &mut Routes<Self>) {
            routes.on::<Row>("rows");
        }
    }
    impl Handler<Row> for Asks {
        type Reply = ();
        const BATCH: usize = 8;
        async fn handle(&mut self, _: Row, cx: &mut Context<Self>) {
            self.handle_batch(vec![Row], cx).await;
        }
        async fn handle_batch(&mut self, rows: Vec<Row>, _: &mut Context<Self>) -> Vec<()> {
            let began = Instant::now();
            let asked = self.0.ask_with_within(Duration::from_secs(100), |reply: ReplyTo<()>| reply);
            assert!(matches!(asked.await.unwrap_err().failure, AskFailure::Deadline(_)));
            self.1.lock().unwrap().push(began.elapsed());
            vec![(); rows.len()]
        }
    }
    let runtime = Runtime::new();
    let keeper = runtime.spawn("keeper", Keeper(Vec::new())).unwrap();
    let took = Arc::<Mutex<Vec<_>>>::default();
    let asks = runtime.spawn("asks", Asks(keeper, Arc::clone(&took))).unwrap();
    asks.suspend();
    let mut by_path = [2, 4].map(|seconds| runtime.ask::<(), _>("asks://rows", ()).within(seconds * SECOND));
    by_path.iter_mut().for_each(begin);
    asks.resume();
    for ask in by_path {
        assert!(ask.await.is_err());
    }
    asks.stop();
    asks.ended().await;
    let took = took.lock().unwrap().clone();
    assert_eq!(took.len(), 1);
    took_about(took[0], 4 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn observers_and_paths_and_metadata_and_deadlines() {
    let runtime = Runtime::new();
    let samples = Samples::of(&runtime);
    let sleeper = runtime.spawn("sleeper", Sleeper).unwrap();
    let late = traced().with_timeout(Duration::ZERO);
    // The stamped one expires: then the next is timed.
    late.in_scope(|| runtime.tell("sleeper://sleep/5", ())).unwrap();
    tokio::task::yield_now().await;
    traced().in_scope(|| runtime.ask::<(), _>("sleeper://sleep/5", ())).await.unwrap();
    let name = "sleeper://sleep/{millis}".to_owned();
    assert_eq!(samples.take(), [(name, Duration::ZERO, Duration::from_millis(5), 2)]);
    assert_eq!(sleeper.stats().expired, 1);
}

fn faulty(seed: u64, faults: Faults) -> Runtime {
    Runtime::builder().seed(seed).faults(faults).build()
}

#[tokio::test(start_paused = true)]
async fn simulation_and_batches_and_metadata() {
    let scene = Scene::with(faulty(7, Faults::default()), false);
    let one = Metadata::new();
    (0..640).for_each(|_| scene.tell(&one));
    assert_eq!(sizes(&scene.batches().await), [64; 10], "without faults, as without a simulation");

    let mut runs = std::collections::HashSet::new();
    for seed in 0..20 {
        let runtime = faulty(seed, Faults { delay: 0.2, drop: 0.1, panic: 0.0 });
        let log = Arc::<Mutex<Vec<Batch>>>::default();
        let table = runtime.spawn_unnamed(Table { log: Arc::clone(&log), mirror: None }).unwrap();
        (0..640).for_each(|_| assert!(one.in_scope(|| table.tell(Row)).is_ok()));
        table.stop();
        table.ended().await;
        accounted(&table);
        let (batches, evicted) = (log.lock().unwrap().clone(), table.stats().evicted);
        assert_eq!(sizes(&batches).iter().sum::<usize>() as u64 + evicted, 640);
        assert!((30..130).contains(&evicted), "a share of the messages, not of the batches: {evicted}");
        assert!(batches.iter().flat_map(|batch| &batch.each).all(|each| each.id == Some(one.id())));
        runs.insert(evicted);
    }
    assert!(runs.len() > 3, "other seeds, other runs");
}

#[tokio::test(start_paused = true)]
async fn simulation_and_panics_fail_all_of_a_batch_and_name_its_traces() {
    let runtime = faulty(7, Faults { panic: 1.0, ..Faults::default() });
    let letters = runtime.dead_letters(10);
    let table = Table { log: Arc::default(), mirror: None };
    let table = runtime.spawn_unnamed(table).unwrap();
    traced().in_scope(|| table.tell(Row)).unwrap();
    table.ended().await;
    let letter = letters.recv().await.unwrap();
    assert_eq!((letter.reason(), letter.trace().is_some()), (Reason::Failed, true));
    accounted(&table);

    // A batch of two, of which the second panics, in some of these runs.
    let mut whole = 0;
    for seed in 0..40 {
        let runtime = faulty(seed, Faults { panic: 0.4, ..Faults::default() });
        let table = runtime.spawn_unnamed(Table { log: Arc::default(), mirror: None }).unwrap();
        table.tell_many([Row, Row]).unwrap();
        table.stop();
        table.ended().await;
        let stats = table.stats();
        assert_eq!(stats.sent, stats.accounted(), "{stats:?}");
        whole += u64::from(stats.failed == 2);
    }
    assert!(whole > 3, "{whole}");
}

#[tokio::test(start_paused = true)]
async fn simulation_and_observers_and_paths_and_late_replies() {
    let run = async |seed| {
        let runtime = faulty(seed, Faults { delay: 0.5, drop: 0.2, panic: 0.0 });
        let samples = Samples::of(&runtime);
        runtime.spawn("sleeper", Sleeper).unwrap();
        let mirror = runtime.spawn("mirror", Mirror).unwrap();
        let mut ends = Vec::new();
        for _ in 0..20 {
            ends.push(traced().in_scope(|| runtime.ask::<(), _>("sleeper://sleep/3", ())).await.is_ok());
            let late = traced().in_scope(|| Box::pin(mirror.ask_with(|reply: ReplyTo<Seen>| reply))).await;
            match late {
                Ok(seen) => assert_eq!(seen.trace.as_deref(), Some(TRACE_ID)),
                Err(error) => assert_eq!(error.failure, AskFailure::Evicted),
            }
        }
        (ends, samples.take().len())
    };
    let (ends, samples) = run(3).await;
    assert!(samples > 10 && ends.contains(&true) && ends.contains(&false), "{samples} {ends:?}");
    assert_eq!(run(3).await, (ends, samples), "the same seed");
}

#[test]
fn simulation_and_own_threads_and_batches() {
    tokio_of_threads().block_on(async {
        let scene = Scene::with(faulty(7, Faults { delay: 0.5, ..Faults::default() }), true);
        let one = traced();
        (0..64).for_each(|_| scene.tell(&one));
        let batches = scene.batches().await;
        assert_eq!(sizes(&batches), [64]);
    });
}

#[tokio::test(start_paused = true)]
async fn simulation_and_policies_and_groups() {
    let runtime = faulty(7, Faults { delay: 0.5, ..Faults::default() });
    let members = ["mirror", "other"].map(|name| runtime.spawn(name, Mirror).unwrap());
    let group = Group::new(members, mycelia_actors::Choice::Random).unwrap();
    let eve = called_by("eve", &[]);
    eve.in_scope(|| assert!(runtime.tell("mirror://write", ()).is_err()));
    for _ in 0..10 {
        assert_eq!(eve.in_scope(|| group.ask(Look)).await.unwrap().caller.as_deref(), Some("eve: "));
    }
    let ada = called_by("ada", &["mirror:write"]);
    let written: Seen = ada.in_scope(|| runtime.ask("mirror://write", ())).await.unwrap();
    assert_eq!(written.caller.as_deref(), Some("ada: mirror:write"));
}

#[tokio::test(start_paused = true)]
async fn groups_and_deadlines() {
    let runtime = Runtime::new();
    let members: Vec<_> = (0..2).map(|_| runtime.spawn_unnamed(Never).unwrap()).collect();
    let group = Group::new(members, mycelia_actors::Choice::RoundRobin).unwrap();
    for _ in 0..4 {
        let began = Instant::now();
        let metadata = Metadata::new().with_timeout(2 * SECOND);
        let ask = metadata.in_scope(|| group.ask(Row)).within(3 * SECOND);
        assert!(matches!(ask.await.unwrap_err().failure, AskFailure::Deadline(_)));
        took_about(began.elapsed(), 2 * SECOND);
    }
}

#[test]
fn own_threads_and_paths_and_policies() {
    tokio_of_threads().block_on(async {
        let runtime = Runtime::new();
        runtime.configure("mirror").own_thread().spawn(Mirror).unwrap();
        let (eve, ada) = (called_by("eve", &[]), called_by("ada", &["mirror:write"]));
        assert!(eve.in_scope(|| runtime.tell("mirror://write", ())).is_err());
        let written: Seen = ada.in_scope(|| runtime.ask("mirror://write", ())).await.unwrap();
        assert_eq!(written, seen(Some(ada)));
    });
}

#[tokio::test(start_paused = true)]
async fn metadata_goes_with_every_verb_of_an_address_and_a_recipient() {
    let runtime = Runtime::new();
    let log = Arc::<Mutex<Vec<Batch>>>::default();
    let table = runtime.spawn_unnamed(Table { log: Arc::clone(&log), mirror: None }).unwrap();
    let metadata = traced();
    table.suspend();
    let (send, to_recipient) = metadata.in_scope(|| {
        table.tell(Row).unwrap();
        table.tell_many([Row, Row]).unwrap();
        let recipient = table.recipient::<Row>();
        recipient.tell(Row).unwrap();
        let send = async move { recipient.send(Row).await.map_err(drop) };
        (table.send(Row), Box::pin(metadata.scope(send)))
    });
    send.await.unwrap();
    to_recipient.await.unwrap();
    table.resume();
    table.stop();
    table.ended().await;
    let batches = log.lock().unwrap().clone();
    assert_eq!(sizes(&batches), [6]);
    assert_eq!(batches[0].each, vec![seen(Some(metadata)); 6]);
}

#[test]
fn metadata_goes_with_the_verbs_for_threads() {
    let tokio = tokio_of_threads();
    let runtime = Runtime::builder().tokio(tokio.handle().clone()).build();
    let mirror = runtime.spawn_unnamed(Mirror).unwrap();
    let log = Arc::<Mutex<Vec<Batch>>>::default();
    let table = runtime.spawn_unnamed(Table { log: Arc::clone(&log), mirror: None }).unwrap();
    let metadata = traced();
    let own = seen(Some(metadata.clone()));
    assert_eq!(metadata.in_scope(|| mirror.blocking_ask(Look, Duration::MAX)).unwrap(), own);
    metadata.in_scope(|| table.blocking_send(Row)).unwrap();
    // Alone, or together with the first.
    table.blocking_ask(Row, Duration::MAX).unwrap();
    let each: Vec<_> = log.lock().unwrap().iter().flat_map(|batch| batch.each.clone()).collect();
    assert_eq!(each, [own, Seen::default()]);
}
