//! What can go wrong with a message to a path. The body comes back wherever the message was not accepted.

use std::fmt;

use mycelia_core::Counter;
use mycelia_router::{AtError, Denied, PathError as PathRule, Pattern};

use crate::body::BodyFault;
use crate::error::{AskFailure, Refusal};
use crate::routes::TypeRoutes;

/// Why a path was not resolved, or what was sent to it not accepted.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PathFailure {
    /// The path does not say which subsystem.
    #[error("it names no subsystem: a path reads `name://path`")]
    NoName,
    /// There is no subsystem of that name.
    #[error("there is no subsystem `{0}`")]
    NoSubsystem(Box<str>),
    /// The rest of the path breaks a rule.
    #[error("{0}")]
    BadPath(PathRule),
    /// The subsystem has no such route.
    #[error("{0}")]
    NoRoute(NoRoute),
    /// The route requires a right that the caller does not hold.
    #[error("{0}")]
    Denied(#[from] Denied),
    /// Parameters and body do not make the message of the route.
    #[error("route `{pattern}`: {fault}")]
    Body {
        /// The pattern of the route.
        pattern: Box<str>,
        /// What is wrong.
        fault: BodyFault,
    },
    /// A typed body of another type than the route's message, or for a route with parameters.
    #[error(
        "route `{pattern}` takes {}; the body is a `{got}`",
        if *.has_parameters { "its parameters, and beside them nothing (`()`) or a JSON object (`Value`, `RawBody`), which cannot contradict them".to_owned() }
        else { format!("a `{expected}`, or JSON that makes one (`Value`, `RawBody::json(text)`)") }
    )]
    BodyType {
        /// The pattern of the route.
        pattern: Box<str>,
        /// The type of its message.
        expected: &'static str,
        /// The type of the body.
        got: &'static str,
        /// Whether the pattern has parameters, with which a typed message could disagree.
        has_parameters: bool,
    },
    /// The reply asked for is not that of the route.
    #[error(
        "route `{pattern}` replies with a `{expected}`, or that as JSON (`Value`, `RawBody`); a `{asked}` was asked for"
    )]
    ReplyType {
        /// The pattern of the route.
        pattern: Box<str>,
        /// The type of its reply.
        expected: &'static str,
        /// The type asked for.
        asked: &'static str,
    },
    /// The subsystem did not accept the message.
    #[error("{0}")]
    Refused(Refusal),
}

/// A path for which a subsystem has no route. It looks for the nearest pattern when it is shown.
#[derive(Clone)]
pub struct NoRoute {
    pub(crate) routes: &'static TypeRoutes,
    pub(crate) path: Box<str>,
}

impl NoRoute {
    /// The pattern that is most like the path, if any has something in common with it. Looks at every pattern of the subsystem.
    #[must_use]
    pub fn nearest(&self) -> Option<&'static Pattern> {
        self.routes.miss(&self.path)?.nearest()
    }

    fn error(&self) -> Option<AtError> {
        self.routes.miss(&self.path).map(AtError::from)
    }
}

impl fmt::Display for NoRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error().iter().try_for_each(|error| error.fmt(f))
    }
}

impl fmt::Debug for NoRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NoRoute").field(&self.error()).finish()
    }
}

/// A tell or send to a path that was not accepted. The body is inside.
#[derive(Clone, thiserror::Error)]
#[error("`{path}`: {failure}")]
pub struct PathError<B> {
    /// The body, back.
    pub body: B,
    /// Where it was sent.
    pub path: Box<str>,
    /// Why it was not accepted.
    pub failure: PathFailure,
}

impl<B> PathError<B> {
    pub(crate) fn new(body: B, path: &str, failure: PathFailure) -> Self {
        Self { body, path: shown(path), failure }
    }

    /// The same error without the body, which fits `anyhow` and `Box<dyn Error>` whatever the body is.
    pub fn without_body(self) -> PathError<()> {
        PathError { body: (), path: self.path, failure: self.failure }
    }
}

impl<B> fmt::Debug for PathError<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PathError")
            .field("path", &self.path)
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}

/// Why there is no reply from a path.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PathAskFailure {
    /// Nothing was sent.
    #[error("{0}")]
    Path(#[from] PathFailure),
    /// It was sent, or waited for room, and there is no reply.
    #[error("{0}")]
    Ask(AskFailure),
    /// The reply cannot be written as JSON.
    #[error("the reply is no JSON: {0}")]
    Reply(Box<str>),
}

/// An ask of a path without a reply. If the message was not accepted, the body is inside.
#[derive(Clone, thiserror::Error)]
#[error("`{path}` did not reply: {failure}")]
pub struct PathAskError<B> {
    /// The body, back, if the message never reached the mailbox.
    pub body: Option<B>,
    /// What was asked.
    pub path: Box<str>,
    /// Why there is no reply.
    pub failure: PathAskFailure,
}

impl<B> PathAskError<B> {
    pub(crate) fn new(body: Option<B>, path: &str, failure: PathAskFailure) -> Self {
        Self { body, path: shown(path), failure }
    }

    /// The same error without the body, which fits `anyhow` and `Box<dyn Error>` whatever the body is.
    pub fn without_body(self) -> PathAskError<()> {
        PathAskError { body: self.body.map(|_| ()), path: self.path, failure: self.failure }
    }
}

impl<B> fmt::Debug for PathAskError<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PathAskError")
            .field("path", &self.path)
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}

/// How many characters of a path an error keeps: all of one that could be right.
const SHOWN: usize = 2 * mycelia_router::MAX_BYTES;

fn shown(path: &str) -> Box<str> {
    match path.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &path[..end]).into(),
        None => path.into(),
    }
}

/// The counters of [`PathStats`].
#[derive(Default)]
pub(crate) struct PathCounters {
    pub(crate) no_subsystem: Counter,
    pub(crate) no_route: Counter,
    pub(crate) denied: Counter,
    pub(crate) bad_body: Counter,
}

impl PathCounters {
    /// Counts a message that no subsystem had. One that a subsystem refused is in that one's ledger.
    #[cold]
    pub(crate) fn count(&self, failure: &PathFailure) {
        let counter = match failure {
            PathFailure::NoName | PathFailure::NoSubsystem(_) => &self.no_subsystem,
            PathFailure::BadPath(_) | PathFailure::NoRoute(_) => &self.no_route,
            PathFailure::Denied(_) => &self.denied,
            PathFailure::Body { .. } | PathFailure::BodyType { .. } | PathFailure::ReplyType { .. } => {
                &self.bad_body
            }
            PathFailure::Refused(_) => return,
        };
        counter.add(1);
    }

    pub(crate) fn stats(&self) -> PathStats {
        PathStats {
            no_subsystem: self.no_subsystem.get(),
            no_route: self.no_route.get(),
            denied: self.denied.get(),
            bad_body: self.bad_body.get(),
        }
    }
}

/// Messages to paths that were errors to their senders before any subsystem had them. Counted for each runtime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathStats {
    /// The path named no subsystem, or none that is there.
    pub no_subsystem: u64,
    /// The subsystem had no such route, or the path broke a rule.
    pub no_route: u64,
    /// The caller had no right to.
    pub denied: u64,
    /// The body did not make the message, or the reply was of another type.
    pub bad_body: u64,
}
