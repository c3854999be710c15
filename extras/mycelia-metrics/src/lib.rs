#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod metrics;
mod settings;

mod health;
mod process;
mod quantiles;
mod snapshot;
mod subsystem;
mod tokio_runtime;

mod families;
mod live;
mod openmetrics;
#[cfg(feature = "opentelemetry")]
mod opentelemetry;
mod pages;
mod router;
mod server;
mod timings;

pub use health::{Health, Thresholds};
pub use metrics::Metrics;
pub use process::Process;
pub use quantiles::Quantiles;
pub use server::{ServeError, Server};
pub use settings::{Settings, Token};
pub use snapshot::{Paths, Pool, Snapshot};
pub use subsystem::{Figure, MessageType, State, Subsystem};
pub use tokio_runtime::TokioRuntime;
