//! What a message carries beside itself.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context as Task, Poll};
use std::time::Duration;

use mycelia_router::Principal;
use tokio::time::Instant;
use tracing::Span;

use crate::actor::Actor;
use crate::current;
use crate::error::MetadataError;
use crate::trace::TraceParent;

/// How many headers a message may carry.
const MAX_HEADERS: usize = 16;
/// How many bytes its headers may have together, names and values.
const MAX_HEADER_BYTES: usize = 8 * 1024;

/// What a message carries beside itself: an id, where it is in a trace, who asks, until when, and a few headers.
///
/// A message has none unless it is sent [in the scope](Self::in_scope) of some, and then costs nothing. What a handler sends,
/// by path or by address, inherits that of the message in hand ([`Context::metadata`](crate::Context::metadata)); tasks that it
/// spawns do not. Messages with metadata are not handled in batches with others.
///
/// ```
/// use mycelia_actors::prelude::*;
///
/// struct Greeter;
/// impl Subsystem for Greeter {}
///
/// struct Greet;
/// impl Handler<Greet> for Greeter {
///     type Reply = String;
///     async fn handle(&mut self, _: Greet, cx: &mut Context<Self>) -> String {
///         let metadata = cx.metadata();
///         let language = metadata.as_ref().and_then(|metadata| metadata.header("language"));
///         if language == Some("de") { "Hallo".to_owned() } else { "Hello".to_owned() }
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let runtime = Runtime::new();
/// let greeter = runtime.spawn("greeter", Greeter)?;
/// let german = Metadata::new().with_header("language", "de")?;
/// assert_eq!(german.in_scope(|| greeter.ask(Greet)).await?, "Hallo");
/// assert_eq!(greeter.ask(Greet).await?, "Hello");
/// # Ok(())
/// # }
/// ```
///
/// # Cost
/// Two allocations here, and one for each message that is handled in a trace. A message carries a pointer.
#[derive(Clone)]
pub struct Metadata(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    id: u64,
    trace: Option<TraceParent>,
    caller: Option<Arc<Principal>>,
    deadline: Option<Instant>,
    headers: Arc<Headers>,
}

type Headers = Vec<(Box<str>, Box<str>)>;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Metadata {
    /// With an id that nothing else in this process has, and nothing more.
    #[must_use]
    pub fn new() -> Self {
        // Relaxed: only the number matters.
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let (trace, caller, deadline) = (None, None, None);
        Self(Arc::new(Inner { id, trace, caller, deadline, headers: Arc::default() }))
    }

    /// Sets the place in a trace: of whatever caused the message.
    #[must_use]
    pub fn with_trace(mut self, trace: TraceParent) -> Self {
        self.change().trace = Some(trace);
        self
    }

    /// Sets who asks. [In the scope](Self::in_scope) of a handler that itself was called by somebody, that one stays named, and the
    /// rights are those that both hold. (A handler that nobody in particular called, a hook, and a spawned task act on their own
    /// authority: what they set counts.)
    #[must_use]
    pub fn with_caller(mut self, caller: Principal) -> Self {
        self.change().caller = Some(Arc::new(caller));
        self
    }

    /// Sets until when the message is worth handling: this long from now. A message whose turn comes later expires. An ask ends
    /// then at the latest, and a send waits for room no longer.
    #[must_use]
    pub fn with_timeout(mut self, within: Duration) -> Self {
        self.change().deadline = Instant::now().checked_add(within);
        self
    }

    /// Adds a header. Names are compared without regard to case (of ASCII letters); a second header of one name replaces the
    /// first.
    ///
    /// # Errors
    /// More than 16 headers, more than 8 KiB of them, an empty name, or a control character.
    pub fn with_header(mut self, name: &str, value: &str) -> Result<Self, MetadataError> {
        if name.is_empty() || name.chars().chain(value.chars()).any(char::is_control) {
            return Err(MetadataError::BadHeader { name: name.chars().take(100).collect() });
        }
        let headers = Arc::make_mut(&mut self.change().headers);
        headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        if !has_room(headers, name, value) {
            return Err(MetadataError::TooManyHeaders { name: name.chars().take(100).collect() });
        }
        headers.push((name.into(), value.into()));
        Ok(self)
    }

    /// Runs `send`; the messages that are sent in it carry this metadata. A message is sent where its verb is called, so an ask can
    /// be awaited outside: `metadata.in_scope(|| address.ask(message)).await`. What an `async` block sends it sends later: use
    /// [`scope`](Self::scope).
    ///
    /// What is not set here is inherited, where this is called inside a handler that was itself called with metadata; of two
    /// deadlines the earlier counts, and of two callers' rights those that both hold. Headers are inherited as far as the limits
    /// leave room.
    pub fn in_scope<T>(&self, send: impl FnOnce() -> T) -> T {
        let outer = current::metadata();
        let metadata = outer.map_or_else(|| self.clone(), |outer| self.inheriting(&outer));
        let _with = current::with(Some(metadata));
        send()
    }

    /// As [`in_scope`](Self::in_scope) for all that `future` sends, whenever it is polled. (Not for tasks that it spawns.)
    ///
    /// ```
    /// # use mycelia_actors::prelude::*;
    /// # async fn example(runtime: Runtime) -> Result<(), Box<dyn std::error::Error>> {
    /// let clerk = Metadata::new().with_caller(Principal::new("clerk", ["users:*"])?);
    /// let names: Vec<String> = clerk
    ///     .scope(async {
    ///         runtime.tell("api://users/7/visits", ())?;
    ///         runtime.ask("api://users", ()).await.map_err(Box::<dyn std::error::Error>::from)
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn scope<F: Future>(&self, future: F) -> Scoped<F> {
        Scoped { metadata: self.clone(), future: Some(future) }
    }

    /// The id: unique in this process, and the same for all that is sent on account of the first message.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// The place in a trace, to be sent on. In a handler it is the handler's own: its `tracing` span has the same `span_id`.
    #[must_use]
    pub fn trace(&self) -> Option<TraceParent> {
        self.0.trace
    }

    /// Who asks.
    #[must_use]
    pub fn caller(&self) -> Option<&Principal> {
        self.0.caller.as_deref()
    }

    /// How much time is left until the deadline, if there is one.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        self.0.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// The same for what outlives the message in hand.
    pub(crate) fn without_deadline(mut self) -> Self {
        if self.0.deadline.is_some() {
            self.change().deadline = None;
        }
        self
    }

    /// The header of that name, without regard to case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All headers, in the order in which they were added.
    pub fn headers(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.headers.iter().map(|(name, value)| (&**name, &**value))
    }

    pub(crate) fn is_late(&self) -> bool {
        self.time_left().is_some_and(|left| left.is_zero())
    }

    /// What a handler runs with that was called with this, and its span if it is traced.
    #[cold]
    pub(crate) fn handled_by(&self, actor: &Actor, message_type: &'static str) -> (Self, Option<Span>) {
        let mut metadata = self.clone();
        let Some(parent) = metadata.0.trace else { return (metadata, None) };
        let inner = metadata.change();
        let trace = parent.child();
        inner.trace = Some(trace);
        let span = tracing::info_span!(
            "handle",
            subsystem = %actor.name,
            message_type,
            message_id = inner.id,
            trace_id = format_args!("{:032x}", trace.trace_id()),
            parent_id = format_args!("{:016x}", parent.span_id()),
            span_id = format_args!("{:016x}", trace.span_id()),
        );
        let span = Some(span).filter(|span| !span.is_disabled());
        (metadata, span)
    }

    fn inheriting(&self, outer: &Self) -> Self {
        let mut metadata = self.clone();
        let inner = metadata.change();
        inner.id = outer.0.id;
        inner.trace = inner.trace.or(outer.0.trace);
        inner.caller = match (inner.caller.take(), &outer.0.caller) {
            (Some(own), Some(limit)) => Some(Arc::new(own.limited_to(limit))),
            (own, outer) => own.or_else(|| outer.clone()),
        };
        inner.deadline = inner.deadline.into_iter().chain(outer.0.deadline).min();
        if inner.headers.is_empty() {
            inner.headers = Arc::clone(&outer.0.headers);
        } else {
            let headers = Arc::make_mut(&mut inner.headers);
            for (name, value) in outer.0.headers.iter() {
                let is_own = headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
                if !is_own && has_room(headers, name, value) {
                    headers.push((name.clone(), value.clone()));
                }
            }
        }
        metadata
    }

    fn change(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.0)
    }
}

pin_project_lite::pin_project! {
    /// A future that runs, and is dropped, in the scope of some metadata. Made by [`Metadata::scope`].
    pub struct Scoped<F> {
        metadata: Metadata,
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for Scoped<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            this.metadata.in_scope(|| this.future.set(None));
        }
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        match this.future.as_mut().as_pin_mut() {
            Some(future) => this.metadata.in_scope(|| future.poll(task)),
            None => Poll::Pending,
        }
    }
}

impl<F> fmt::Debug for Scoped<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scoped").field("metadata", &self.metadata).finish_non_exhaustive()
    }
}

/// Whether one more header is within the limits.
fn has_room(headers: &Headers, name: &str, value: &str) -> bool {
    let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    headers.len() < MAX_HEADERS && bytes + name.len() + value.len() <= MAX_HEADER_BYTES
}

/// Runs a handler with the metadata of its message, and in its span.
#[inline]
pub(crate) fn inside<T>(metadata: Option<Metadata>, span: Option<&Span>, handler: impl FnOnce() -> T) -> T {
    if metadata.is_none() {
        return handler();
    }
    let _with = current::with(metadata);
    match span {
        Some(span) => span.in_scope(handler),
        None => handler(),
    }
}

impl Default for Metadata {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { id, trace, caller, headers, .. } = &*self.0;
        f.debug_struct("Metadata")
            .field("id", id)
            .field("trace", &trace.map(|trace| trace.to_string()))
            .field("caller", &caller.as_ref().map(|caller| caller.name()))
            .field("time_left", &self.time_left())
            // Values may be secrets.
            .field("headers", &headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .finish()
    }
}
