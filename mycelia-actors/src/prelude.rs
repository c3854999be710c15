//! What most programs use: `use mycelia_actors::prelude::*;`

pub use crate::{
    Address, AskError, AskFailure, BoxError, Context, DeadLetter, Exit, Handler, Mailbox, MessagePool,
    Metadata, OverflowPolicy, PoolStats, Reason, Recipient, Refusal, ReplyTo, Restart, Runtime,
    ShutdownError, SpawnError, Stats, Subsystem, TellError, Told,
};
