//! Flags, and the configuration made of them once.

use std::time::Duration;

use clap::{Parser, Subcommand};
use log::{KafkaArgs, Settings};
use service::flags::{CommonArgs, HealthArgs, StoreArgs};

use crate::accept_gap;

/// Lands the log: every record of the four landed topics, once, in chained Parquet segments.
///
/// Any number of instances share the partitions. Each goes on from what the store holds, never from what Kafka
/// remembers. A partition whose log no longer fits what was landed is stopped at, and /readyz says at which offsets.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  aggregator --brokers localhost:9092 --store ./data
  aggregator --store s3://pixtoll --linger 1m --health 127.0.0.1:8081
  aggregator accept-gap --topic usage.events --partition 3 --operator kim --reason 'disk lost, see incident 12'"
)]
pub struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
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

    /// Write a segment once its records reach so many bytes, as they stand in the log
    #[arg(long, env = "PIXTOLL_SEGMENT_BYTES", default_value = "268435456", value_parser = clap::value_parser!(u64).range(1..))]
    segment_bytes: u64,

    /// Memory to stay within, in bytes, however many partitions there are; when it is short, segments are written early
    #[arg(long, env = "PIXTOLL_MEMORY", value_name = "N", default_value_t = 512 << 20, value_parser = clap::value_parser!(u64).range(LEAST_MEMORY..))]
    memory: u64,

    /// Append a tick to a partition that has been idle for so long
    #[arg(long, env = "PIXTOLL_TICK_AFTER", default_value = "10m", value_parser = humantime::parse_duration)]
    tick_after: Duration,

    /// For tests: own these partitions (topic:partition,…) whatever the group says
    #[cfg(debug_assertions)]
    #[arg(long, hide = true, value_delimiter = ',')]
    own: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Go on behind a hole: record who decided that and why, and open the partition's next epoch where its log goes on
    AcceptGap(Box<accept_gap::Args>),
}

/// What the process takes before it has read anything, with librdkafka's and the allocator's slack.
const BASE_BYTES: usize = 128 << 20;
const LEAST_MEMORY: u64 = 256 << 20;

/// How the memory is shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Of records that librdkafka fetches ahead. It may pass that by one answer, which comes compressed; and what it
    /// holds of a record beside its bytes is about as much again.
    pub queue_bytes: usize,
    /// Of all partitions' pending records, and of the segment that is being made of some of them.
    pub pending_bytes: usize,
}

impl Memory {
    fn within(bytes: usize) -> Self {
        let queue_bytes = bytes / 16;
        Self { queue_bytes, pending_bytes: bytes.saturating_sub(BASE_BYTES + 4 * queue_bytes) }
    }
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
    pub memory: Memory,
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
            memory: Memory::within(usize::try_from(self.memory)?),
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
