//! What every binary has: flags, tracing, health, shutdown, exit codes. Links no Kafka and no DataFusion.

pub mod backoff;
pub mod clock;
pub mod flags;
pub mod health;
mod kill;
mod metrics;
pub mod output;
mod start;

pub use flags::CommonArgs;
pub use health::Health;
pub use kill::kill_point;
pub use metrics::Metrics;
pub use start::{BadUsage, Failed, Shutdown, start};
