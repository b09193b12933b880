//! Kafka as we use it. Three things differ from librdkafka's defaults, each for a reason:
//!
//! - a record is sent when its **delivery report** says so, never because a flush returned ([`Producer`]);
//! - one thread owns a consumer and polls it; where a partition starts and what is committed when it goes is asked
//!   of its [`Owner`] inside the rebalance, with eager assignment ([`Consumer`]);
//! - every record's timestamp must be the broker's ([`Settings::clock`]), for it decides the bill's month.

mod args;
mod consumer;
mod error;
mod lookup;
mod owner;
mod producer;
mod tracker;

pub use args::{KafkaArgs, Settings};
pub use consumer::{Consumer, Polled, Reset};
pub use error::LogError;
pub use lookup::{Found, Lookup};
pub use owner::{Nobody, Owner, Partition, Start};
pub use producer::{Delivered, Producer};
pub use tracker::OffsetTracker;
