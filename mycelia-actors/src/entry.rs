//! How a message to a path becomes an envelope: what is behind one route, with the types forgotten.

use std::any::{Any, TypeId, type_name};

use mycelia_core::contain;
use mycelia_router::Params;
use serde::Serialize;
use serde_json::Value;

use crate::actor::Actor;
use crate::body::{self, BodyFault, BodyRef, RawBody};
use crate::decode::decode;
use crate::envelope::Envelope;
use crate::error::Refusal;
use crate::handler::Handler;
use crate::path_error::PathFailure;
use crate::request::Request;
use crate::routes::Routable;
use crate::subsystem::Subsystem;
use crate::table::{Handling, Itself, ReplyAs, RouteTables};

/// One route of a subsystem of some type `S`: its envelopes are for an `S` only.
pub(crate) struct Entry {
    pub(crate) message_type: fn() -> &'static str,
    pub(crate) reply_type: fn() -> &'static str,
    pub(crate) reply_id: fn() -> TypeId,
    build: Box<dyn Build>,
}

/// How the envelope is made.
trait Build:
    Fn(&Actor, &Params<'_, '_>, BodyRef<'_>, ReplyForm) -> Result<Envelope, PathFailure> + Send + Sync
{
}

impl<F> Build for F where
    F: Fn(&Actor, &Params<'_, '_>, BodyRef<'_>, ReplyForm) -> Result<Envelope, PathFailure> + Send + Sync
{
}

/// What the asker gets of a reply.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplyForm {
    /// The handler's reply.
    Itself,
    /// As a JSON value.
    Json,
    /// As JSON text.
    Raw,
}

/// Makes a JSON value of a reply.
struct AsJson;

impl<R: Serialize + Send + 'static> ReplyAs<R> for AsJson {
    type Out = Result<Value, NoJson>;

    fn reply_as(reply: R) -> Self::Out {
        written(|| serde_json::to_value(reply))
    }
}

/// Why a reply could not be written as JSON.
pub(crate) type NoJson = Box<str>;

/// Runs the user's `Serialize`. The message is handled by then: should this panic, only the reply is lost.
fn written<T>(write: impl FnOnce() -> Result<T, serde_json::Error>) -> Result<T, NoJson> {
    match contain(write) {
        Ok(written) => written.map_err(|error| error.to_string().into()),
        Err(panic) => Err(format!("writing it panicked: {panic}").into()),
    }
}

/// Makes JSON text of a reply.
struct AsRaw;

impl<R: Serialize + Send + 'static> ReplyAs<R> for AsRaw {
    type Out = Result<RawBody, NoJson>;

    fn reply_as(reply: R) -> Self::Out {
        written(|| serde_json::to_vec(&reply).map(RawBody::json))
    }
}

impl Entry {
    pub(crate) fn message<S: Handler<M, Reply: Routable>, M: Routable>(pattern: &'static str) -> Self {
        let tables = tables::<S, M>(pattern);
        Self::new::<S, M>(|actor, params, body, form| build_message(tables, actor, params, body, form))
    }

    pub(crate) fn request<S: Handler<Request, Reply: Routable>>(pattern: &'static str) -> Self {
        let tables = tables::<S, Request>(pattern);
        Self::new::<S, Request>(|actor, params, body, form| build_request(tables, actor, params, body, form))
    }

    fn new<S: Handler<M>, M: Send + 'static>(build: impl Build + 'static) -> Self {
        Self {
            message_type: type_name::<M>,
            reply_type: type_name::<S::Reply>,
            reply_id: TypeId::of::<S::Reply>,
            build: Box::new(build),
        }
    }

    /// The envelope of the message for `actor`, which is of this entry's type.
    #[inline]
    pub(crate) fn envelope(
        &self,
        actor: &Actor,
        params: &Params<'_, '_>,
        body: BodyRef<'_>,
        form: ReplyForm,
    ) -> Result<Envelope, PathFailure> {
        (self.build)(actor, params, body, form)
    }
}

/// Never dropped, like the routes of a type.
fn tables<S: Handler<M, Reply: Routable>, M: Send + 'static>(
    pattern: &'static str,
) -> &'static RouteTables<S, M> {
    Box::leak(Box::new(RouteTables {
        itself: Handling::<S, M, Itself>::table(Some(pattern)),
        json: Handling::<S, M, AsJson>::table(Some(pattern)),
        raw: Handling::<S, M, AsRaw>::table(Some(pattern)),
    }))
}

fn build_message<S: Subsystem, M: Routable>(
    tables: &'static RouteTables<S, M>,
    actor: &Actor,
    params: &Params<'_, '_>,
    body: BodyRef<'_>,
    form: ReplyForm,
) -> Result<Envelope, PathFailure> {
    let max = actor.runtime.max_body;
    let decoded = match body {
        // On its own, for it is the one that must be quick.
        BodyRef::None => match decode::<M>(params, None) {
            Ok(message) => return envelop_made(tables, actor, message, form),
            Err(text) => Err(mismatch(text)),
        },
        BodyRef::Json(value) => {
            body::check(value, max).and_then(|()| decode(params, Some(value)).map_err(mismatch))
        }
        BodyRef::Raw(raw) if TypeId::of::<M>() == TypeId::of::<RawBody>() && params.is_empty() => {
            as_itself(raw, max)
        }
        BodyRef::Raw(raw) => body::parse(raw, max).and_then(|value| {
            let value = Some(&value).filter(|value| !value.is_null());
            decode(params, value).map_err(mismatch)
        }),
        BodyRef::Typed(any, got) => {
            let taken = match any.downcast_mut::<Option<M>>() {
                Some(body) if params.is_empty() => body.take().map(|message| (body, message)),
                _ => None,
            };
            let Some((body, message)) = taken else {
                return Err(PathFailure::BodyType {
                    pattern: params.pattern().as_str().into(),
                    expected: type_name::<M>(),
                    got,
                    has_parameters: !params.is_empty(),
                });
            };
            return envelop(tables, actor, message, form).map_err(|(message, refusal)| {
                *body = Some(message);
                PathFailure::Refused(refusal)
            });
        }
    };
    let message: M = decoded.map_err(|fault| fault.at(params.pattern().as_str()))?;
    envelop_made(tables, actor, message, form)
}

fn build_request<S: Subsystem>(
    tables: &'static RouteTables<S, Request>,
    actor: &Actor,
    params: &Params<'_, '_>,
    body: BodyRef<'_>,
    form: ReplyForm,
) -> Result<Envelope, PathFailure> {
    if let BodyRef::Typed(_, got) = body {
        return Err(BodyFault::NotRaw { got }.at(params.pattern().as_str()));
    }
    let max = actor.runtime.max_body;
    let request = Request::new(params, &body, max).map_err(|fault| fault.at(params.pattern().as_str()))?;
    envelop_made(tables, actor, request, form)
}

/// A raw body for a message that is one.
#[cold]
fn as_itself<M: 'static>(raw: &RawBody, max: usize) -> Result<M, BodyFault> {
    if raw.bytes.len() > max {
        return Err(BodyFault::TooLarge { max });
    }
    let message: Box<dyn Any> = Box::new(raw.clone());
    message.downcast().map(|message| *message).map_err(|_| mismatch("the message is no raw body".to_owned()))
}

/// As `envelop`, for a message that was made from a body, which its sender still has.
#[inline]
fn envelop_made<S: Subsystem, M: Send + 'static>(
    tables: &'static RouteTables<S, M>,
    actor: &Actor,
    message: M,
    form: ReplyForm,
) -> Result<Envelope, PathFailure> {
    envelop(tables, actor, message, form).map_err(|(message, refusal)| made_in_vain(actor, message, refusal))
}

/// A message that was made from a body, which its sender still has.
#[cold]
fn made_in_vain<M>(actor: &Actor, message: M, refusal: Refusal) -> PathFailure {
    actor.drop_contained(message);
    PathFailure::Refused(refusal)
}

#[cold]
fn mismatch(text: String) -> BodyFault {
    BodyFault::Mismatch(text.into())
}

#[inline]
fn envelop<S: Subsystem, M: Send + 'static>(
    tables: &'static RouteTables<S, M>,
    actor: &Actor,
    message: M,
    form: ReplyForm,
) -> Result<Envelope, (M, Refusal)> {
    let table = match form {
        ReplyForm::Itself => &tables.itself,
        ReplyForm::Json => &tables.json,
        ReplyForm::Raw => &tables.raw,
    };
    actor.envelope_with(table, message)
}
