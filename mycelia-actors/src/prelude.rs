//! What most programs use: `use mycelia_actors::prelude::*;`

pub use crate::{
    Address, AskError, AskFailure, BoxError, Bus, Choice, Context, DeadLetter, Event, Exit, Group, Handler,
    LifeEvent, Lifecycle, Mailbox, MessagePool, Metadata, OverflowPolicy, PathAskError, PathAskFailure,
    PathError, PathFailure, Policy, PoolStats, Principal, RawBody, Reason, Recipient, Refusal, ReplyTo,
    Request, RequestBody, Restart, Route, Routes, Runtime, ShutdownError, SpawnError, StartError, Stats,
    Subscription, Subsystem, TaskHandle, TellError, Terminated, Told,
};
