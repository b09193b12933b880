//! Flags, and the configuration made of them once.

use std::time::Duration;

use clap::Parser;
use log::{KafkaArgs, Settings};
use service::flags::{CommonArgs, HealthArgs, StoreArgs};

/// Lands the log: every record of the four landed topics, once, in chained Parquet segments.
///
/// Any number of instances share the partitions. Each goes on from what the store holds, never from what Kafka
/// remembers. A partition whose log no longer fits what was landed is stopped at, and /readyz says at which offsets.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Examples:
  aggregator --brokers localhost:9092 --store ./data
  aggregator --store s3://pixtoll --linger 1m --health 127.0.0.1:8081"
)]
pub struct Cli {
    #[command(flatten)]
    pub common: CommonArgs,
    #[command(flatten)]
    kafka: KafkaArgs,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    health: HealthArgs,

    /// Write a segment at the latest so long after its first record; longer makes fewer, larger files
    #[arg(long, env = "PIXTOLL_LINGER", default_value = "10s", value_parser = humantime::parse_duration)]
    linger: Duration,

    /// Write a segment once it holds so many records
    #[arg(long, env = "PIXTOLL_SEGMENT_RECORDS", default_value = "200000", value_parser = clap::value_parser!(u32).range(1..))]
    segment_records: u32,

    /// Write a segment once its records' payloads reach so many bytes
    #[arg(long, env = "PIXTOLL_SEGMENT_BYTES", default_value = "67108864", value_parser = clap::value_parser!(u64).range(1..))]
    segment_bytes: u64,

    /// Append a tick to a partition that has been idle for so long
    #[arg(long, env = "PIXTOLL_TICK_AFTER", default_value = "10m", value_parser = humantime::parse_duration)]
    tick_after: Duration,

    /// For tests: own these partitions (topic:partition,…) whatever the group says
    #[cfg(debug_assertions)]
    #[arg(long, hide = true, value_delimiter = ',')]
    own: Vec<String>,
}

/// What [`crate::run`] needs, validated.
#[derive(Debug)]
pub struct Config {
    pub kafka: Settings,
    pub store: String,
    pub health: Option<std::net::SocketAddr>,
    pub linger: Duration,
    pub segment_records: usize,
    pub segment_bytes: usize,
    pub tick_after: Duration,
    /// Partitions owned whatever the group says.
    pub own: Vec<log::Partition>,
}

impl Cli {
    pub fn config(self) -> anyhow::Result<Config> {
        let kafka = self.kafka.settings().map_err(|e| service::BadUsage(e.to_string()))?;
        if self.tick_after < Duration::from_secs(1) {
            return Err(service::BadUsage("--tick-after: at least 1s, as each tick is landed".to_owned()).into());
        }
        #[cfg(debug_assertions)]
        let own = self.own.iter().map(|text| parse_partition(text)).collect::<Result<_, _>>()?;
        #[cfg(not(debug_assertions))]
        let own = Vec::new();
        Ok(Config {
            kafka,
            store: self.store.store,
            health: self.health.health,
            linger: self.linger,
            segment_records: self.segment_records as usize,
            segment_bytes: usize::try_from(self.segment_bytes)?,
            tick_after: self.tick_after,
            own,
        })
    }
}

#[cfg(debug_assertions)]
fn parse_partition(text: &str) -> Result<log::Partition, service::BadUsage> {
    let bad = || service::BadUsage(format!("--own {text:?}: not topic:partition, such as usage.events:0"));
    let (topic, partition) = text.split_once(':').ok_or_else(bad)?;
    let topic = contract::layout::Topic::from_name(topic).ok_or_else(bad)?;
    Ok(log::Partition { topic, partition: partition.parse().map_err(|_| bad())? })
}
