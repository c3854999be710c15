#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod metrics;
mod settings;

mod health;
mod names;
mod process;
mod quantiles;
mod sampler;
mod snapshot;
mod subsystem;
mod thresholds;
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

pub use health::Health;
pub use metrics::Metrics;
pub use process::Process;
pub use quantiles::Quantiles;
pub use server::{ServeError, Server};
pub use settings::{Settings, Token};
pub use snapshot::{Paths, Pool, Snapshot};
pub use subsystem::{Figure, MessageType, State, Subsystem};
pub use thresholds::Thresholds;
pub use tokio_runtime::TokioRuntime;
