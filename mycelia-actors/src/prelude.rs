//! What most programs use: `use mycelia_actors::prelude::*;`

pub use crate::{
    Address, AskError, AskFailure, BoxError, Choice, Context, DeadLetter, Exit, Group, Handler, Mailbox,
    MessagePool, Metadata, OverflowPolicy, PathAskError, PathAskFailure, PathError, PathFailure, Policy,
    PoolStats, Principal, RawBody, Reason, Recipient, Refusal, ReplyTo, Request, RequestBody, Restart, Route,
    Routes, Runtime, ShutdownError, SpawnError, Stats, Subsystem, TellError, Told,
};
