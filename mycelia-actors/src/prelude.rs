//! What most programs use: `use mycelia_actors::prelude::*;`

pub use crate::{
    Address, AskError, AskFailure, BoxError, Context, Exit, Handler, Mailbox, MessagePool, OverflowPolicy,
    PoolStats, Recipient, Refusal, ReplyTo, Restart, Runtime, SpawnError, Stats, Subsystem, TellError, Told,
};
