//! What most programs use: `use mycelia_actors::prelude::*;`

pub use crate::{
    Address, AskError, BoxError, Context, Exit, Handler, Mailbox, MessagePool, OverflowPolicy, Recipient,
    ReplyTo, Restart, Runtime, Subsystem, TellError, Told,
};
