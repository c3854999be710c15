//! What a message carries beside itself.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mycelia_router::Principal;
use tokio::time::Instant;
use tracing::Span;

use crate::actor::Actor;
use crate::ambient::Ambient;
use crate::current;
use crate::error::MetadataError;
use crate::scoped::Scoped;
use crate::trace::TraceParent;

/// How many headers a message may carry.
const MAX_HEADERS: usize = 16;
/// How many bytes its headers may have together, names and values.
const MAX_HEADER_BYTES: usize = 8 * 1024;

/// What a message carries beside itself: an id, where it is in a trace, who asks, until when, and a few headers.
///
/// A message has none unless it is sent [in the scope](Self::in_scope) of some, and then costs nothing. What a handler sends,
/// by path or by address, inherits that of the message in hand ([`Context::metadata`](crate::Context::metadata)); tasks that it
/// spawns do not. In a batch each message keeps its own: see [`Context::metadata_of`](crate::Context::metadata_of).
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
    /// Of the one message that has this, if that is to be timed.
    stamp: Option<u64>,
}

type Headers = Vec<(Box<str>, Box<str>)>;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Metadata {
    /// With an id that nothing else in this process has, and nothing more.
    #[must_use]
    pub fn new() -> Self {
        // Relaxed: only the number matters.
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let (trace, caller, deadline, stamp) = (None, None, None, None);
        Self(Arc::new(Inner { id, trace, caller, deadline, headers: Arc::default(), stamp }))
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
        let ambient = current::look(|outer| Ambient::scope(outer, self));
        let _with = current::with_ambient(Some(ambient));
        send()
    }

    /// Runs `send`; the messages that are sent in it carry no metadata, though the message in hand has some.
    ///
    /// What limits the code around it, limits it here: a caller that is set in an inner scope has no more rights than the caller
    /// of the message in hand, and an ask ends with its deadline. (The handler of what is sent acts on its own authority: nobody in
    /// particular has called it.)
    ///
    /// ```
    /// use mycelia_actors::prelude::*;
    ///
    /// # fn example(cx: &Context<Till>, audit: Address<Till>) {
    /// Metadata::in_empty_scope(|| audit.tell(Sold)).ok();
    /// # }
    /// # struct Till;
    /// # impl Subsystem for Till {}
    /// # struct Sold;
    /// # impl Handler<Sold> for Till {
    /// #     type Reply = ();
    /// #     async fn handle(&mut self, _: Sold, _: &mut Context<Self>) {}
    /// # }
    /// ```
    ///
    /// # Cost
    /// Nothing outside of a scope; else an allocation.
    pub fn in_empty_scope<T>(send: impl FnOnce() -> T) -> T {
        let ambient = current::look(|outer| outer.map(Ambient::empty_scope));
        let _with = ambient.map(|ambient| current::with_ambient(Some(ambient)));
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
        Scoped::new(Some(self.clone()), future)
    }

    /// As [`in_empty_scope`](Self::in_empty_scope) for all that `future` sends, whenever it is polled.
    ///
    /// ```
    /// # use mycelia_actors::prelude::*;
    /// # async fn example(paths: mycelia_actors::Paths) -> Result<(), Box<dyn std::error::Error>> {
    /// let users: u64 = Metadata::empty_scope(async { paths.ask("api://users/count", ()).await }).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn empty_scope<F: Future>(future: F) -> Scoped<F> {
        Scoped::new(None, future)
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

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.0.deadline
    }

    /// True if the two are clones, which nobody has changed.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The trace id as events name it.
    pub(crate) fn trace_text(&self) -> Option<String> {
        self.trace().map(|trace| format!("{:032x}", trace.trace_id()))
    }

    /// When the message was sent that this goes with, if that was noted.
    pub(crate) fn stamp(&self) -> Option<u64> {
        self.0.stamp
    }

    /// The same for a message that was sent at this time.
    pub(crate) fn stamped(mut self, stamp: Option<u64>) -> Self {
        if self.0.stamp != stamp {
            self.change().stamp = stamp;
        }
        self
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

    /// What several messages have in common.
    ///
    /// If all were sent on account of one (by their ids), that is: the trace, the headers that are the same in all, and the latest
    /// deadline, if all have one. If not, nothing but the rights that all callers hold. (Messages with and without a caller are not
    /// handled together.)
    pub(crate) fn in_common<'a>(each: impl Iterator<Item = Option<&'a Self>> + Clone) -> Option<Self> {
        let all = || each.clone().flatten();
        let first = all().next()?;
        if each.clone().all(|other| other.is_some_and(|other| other.is_same(first))) {
            return Some(first.clone());
        }
        let caller = common_caller(all().filter_map(|metadata| metadata.0.caller.as_ref()));
        if !each.clone().all(|other| other.is_some_and(|other| other.id() == first.id())) {
            let mut common = Self::new();
            common.change().caller = Some(caller?);
            return Some(common);
        }
        let mut common = first.clone();
        let inner = common.change();
        inner.caller = caller;
        let trace_id = |metadata: &Self| metadata.0.trace.map(|trace| trace.trace_id());
        inner.trace = inner.trace.filter(|_| all().all(|other| trace_id(other) == trace_id(first)));
        let deadlines = all().map(Self::deadline).collect::<Option<Vec<_>>>();
        inner.deadline = deadlines.and_then(|deadlines| deadlines.into_iter().max());
        for other in all().filter(|other| !Arc::ptr_eq(&other.0.headers, &first.0.headers)) {
            let headers = Arc::make_mut(&mut inner.headers);
            headers.retain(|(name, value)| other.header(name) == Some(value));
        }
        Some(common)
    }

    /// The same, with those of its caller's rights only that the caller of `limit` holds, if there is one.
    pub(crate) fn with_rights_of(mut self, limit: Option<&Self>) -> Self {
        if let Some(limit) = limit.and_then(Self::caller)
            && let Some(own) = self.caller()
        {
            let limited = Arc::new(own.limited_to(limit));
            self.change().caller = Some(limited);
        }
        self
    }

    pub(crate) fn inheriting(&self, outer: &Self) -> Self {
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

/// Whether one more header is within the limits.
fn has_room(headers: &Headers, name: &str, value: &str) -> bool {
    let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    headers.len() < MAX_HEADERS && bytes + name.len() + value.len() <= MAX_HEADER_BYTES
}

/// The rights that all callers hold: of one alone he himself, of several in the name of the first.
fn common_caller<'a>(mut callers: impl Iterator<Item = &'a Arc<Principal>>) -> Option<Arc<Principal>> {
    let first = callers.next()?;
    let others = callers.filter(|other| !Arc::ptr_eq(other, first) && *other != first);
    let common = others.fold(None, |common: Option<Principal>, other| {
        Some(common.as_ref().unwrap_or(first).limited_to(other))
    });
    let Some(common) = common else { return Some(Arc::clone(first)) };
    let named = common.narrowed(format!("{} and others", first.name()), common.rights());
    Some(Arc::new(named.unwrap_or(common)))
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
