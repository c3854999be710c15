//! Actors that lose nothing silently.
//!
//! A *subsystem* is a value with a bounded mailbox and handlers for typed messages. Messages travel in pooled slots,
//! replies come back in the same slots, and every message has exactly one fate, which is counted.
//!
//! ```
//! use mycelia_actors::prelude::*;
//!
//! struct Counter(u64);
//! impl Subsystem for Counter {}
//!
//! struct Add(u64);
//! impl Handler<Add> for Counter {
//!     type Reply = u64;
//!     async fn handle(&mut self, Add(n): Add, _cx: &mut Context<Self>) -> u64 {
//!         self.0 += n;
//!         self.0
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let runtime = Runtime::new();
//!     let counter = runtime.spawn("counter", Counter(0))?;
//!     counter.tell(Add(2))?;
//!     assert_eq!(counter.ask(Add(3)).await?, 5);
//!     runtime.shutdown().await?;
//!     Ok(())
//! }
//! ```
//!
//! Tokio needs its timers (`enable_time`; `#[tokio::main]` has them). What happens to subsystems is told to `tracing`, inside
//! a span `subsystem` each: spawned, panicked, restarted, ended, dead letters at debug and every message at trace level.
//!
//! # By path
//!
//! A subsystem lists the paths it takes in [`Subsystem::routes`]; `runtime.ask("api://users/7", ())` reaches the one named `api`,
//! with a message that is filled from the path and from a JSON body: see [`Routes`], [`Runtime::tell`], [`Route`]. Who asks, traces and
//! headers travel as [`Metadata`]; a route may require a [`Scope`] of the [`Principal`] who asks.
//!
//! # Map
//!
//! What a user writes: [`Subsystem`], [`Handler`]. What handlers are given: [`Context`]. How messages are sent:
//! [`Address`], [`Recipient`], [`Group`], [`Sending`], [`Ask`], [`ReplyTo`]. What becomes of them: [`Stats`], [`DeadLetter`], and the errors
//! [`TellError`], [`TellManyError`], [`AskError`]. How subsystems are made and ended: [`Runtime`], [`Configure`],
//! [`Mailbox`], [`Restart`], [`Exit`]. Events for whoever wants to know: [`Bus`], [`Subscription`], [`Lifecycle`].
//!
//! | to | there is |
//! |---|---|
//! | restart what fails, in a tree of supervisors | [`Configure::spawn_with`], [`Restart`], [`Context::configure`] |
//! | hear of the end of another | [`Context::watch`], [`Terminated`], [`Address::ended`] |
//! | send later, or again and again | [`Context::send_after`], [`Context::send_every`], [`TaskHandle::cancel`] |
//! | await something without holding the mailbox up | [`Context::pipe`] |
//! | take in a stream (a socket, a subscription) | [`Context::attach`] |
//! | run code that blocks | [`Configure::own_thread`] |
//! | reply later, or from elsewhere | [`Address::ask_with`], [`ReplyTo`] |
//! | spread work over several | [`Group`], [`Choice`] |
//! | publish and subscribe | [`Bus`], [`Context::bus`] |
//! | see what was lost | [`Address::stats`], [`Runtime::dead_letters`] |
//! | pause, drain, end | [`Address::suspend`], [`Address::stop`], [`Address::stop_now`], [`Address::kill`], [`Runtime::shutdown`] |
//! | test with paused time, faults and seeds | the crate `mycelia-testkit` |

pub mod prelude;

mod context;
mod handler;
mod subsystem;
mod sweeper;

mod address;
mod ask;
mod ask_stats;
mod blocking;
mod group;
mod recipient;
mod registry;
mod reply_to;
mod sending;
mod tell;

mod own_thread;
mod path_ask;
mod path_error;
mod path_sending;
mod paths;
mod request;
mod route;
mod routes;

mod body;
mod builder;
mod bus;
mod clock_hold;
mod config;
mod dead_letters;
mod error;
mod faults;
mod figures;
mod fullness;
mod inspector;
mod ledger;
mod letter_box;
mod life_event;
mod lifecycle;
mod mailbox;
mod message_pool;
mod metadata;
mod name;
mod notation;
mod observer;
mod pace;
mod restart;
mod runtime;
mod scoped;
mod shared;
mod side_task;
mod subscription;
mod trace;
mod watch;

#[cfg(mycelia_loom)]
#[doc(hidden)]
pub mod model;

mod actor;
mod ambient;
mod asking;
mod awaited;
mod batch;
mod bell;
mod budget;
mod current;
mod cycle;
mod deadline;
mod decode;
mod drain;
mod entry;
mod envelope;
mod handling;
mod messages_in_hand;
mod posting;
mod run_loop;
mod side_tasks;
mod slot;
mod space;
mod table;
mod task_entry;
mod tasks;

pub use address::Address;
pub use ask::Ask;
pub use ask_stats::AskStats;
pub use body::{BodyFault, RawBody};
pub use builder::Builder;
pub use bus::{Bus, PublishError, SubscribeError};
pub use config::Configure;
pub use context::Context;
pub use cycle::Cycle;
pub use dead_letters::{DeadLetter, DeadLetters, Reason};
pub use error::{
    AskError, AskFailure, CutOff, MetadataError, Refusal, RouteError, ShutdownError, SpawnError, StartError,
    TellError,
};
pub use faults::Faults;
pub use figures::{Figure, Figures};
pub use group::{Choice, Group, NoMembers};
pub use handler::Handler;
pub use inspector::{AlreadyObserved, Inspector, SubsystemInfo, Survey};
pub use ledger::Stats;
pub use life_event::{LifeEvent, Lifecycle};
pub use lifecycle::Exit;
pub use mailbox::Mailbox;
pub use message_pool::{MessagePool, PoolStats};
pub use metadata::Metadata;
pub use mycelia_core::OverflowPolicy;
pub use mycelia_router::{Denied, Policy, Principal, Scope, ScopeError, WidenError, decode, encode_segment};
pub use name::Name;
pub use observer::{Observer, Sample};
pub use path_ask::{PathAsk, PathReply};
pub use path_error::{NoRoute, PathAskError, PathAskFailure, PathError, PathFailure, PathStats};
pub use path_sending::PathSending;
pub use paths::Paths;
pub use recipient::Recipient;
pub use reply_to::ReplyTo;
pub use request::{Request, RequestBody};
pub use restart::Restart;
pub use route::Route;
pub use routes::{ListedRoute, Routable, RouteInfo, Routes};
pub use runtime::Runtime;
pub use scoped::Scoped;
pub use sending::Sending;
pub use side_task::{AtStop, SideTask, SideTaskKind, SideTaskStats};
pub use subscription::{Event, Subscription};
pub use subsystem::{BoxError, Subsystem};
pub use tasks::{Stopping, TaskHandle};
pub use tell::{TellManyError, Told, ToldMany};
pub use trace::TraceParent;
pub use watch::Terminated;
