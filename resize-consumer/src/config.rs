//! Flags, and the configuration made of them once.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use contract::Region;
use contract::ids::Label;
use contract::time::DEFAULT_MAX_REQUEST_AGE_MS;
use log::{KafkaArgs, Settings};
use service::BadUsage;
use service::flags::{CommonArgs, HealthArgs, StoreArgs};

use crate::engine::Limits;

/// Resizes: takes requests from the log, puts the images into the store, and answers each with one usage event.
///
/// Stateless: any number of instances share the partitions. Killed anywhere, it repeats work and loses none.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Examples:
  resize-consumer --brokers localhost:9092 --store ./data
  resize-consumer --store s3://pixtoll --threads 8 --health 127.0.0.1:8080"
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

    /// Threads that resize; one per core when absent
    #[arg(long, env = "PIXTOLL_THREADS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// Requests in work at once; 8 per thread when absent
    #[arg(long, env = "PIXTOLL_IN_FLIGHT", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    in_flight: Option<u32>,

    /// The region whose log this is; each usage event names it
    #[arg(long, env = "PIXTOLL_REGION", default_value = "local")]
    region: Region,

    /// What kind of machine this is; each usage event names it
    #[arg(long, env = "PIXTOLL_WORKER_CLASS", default_value = "standard")]
    worker_class: Label,

    /// Refuse a request whose id was minted so long before it reached the log
    #[arg(long, env = "PIXTOLL_MAX_REQUEST_AGE", default_value = "24h", value_parser = humantime::parse_duration)]
    max_request_age: Duration,

    /// The largest image taken, in bytes
    #[arg(long, env = "PIXTOLL_MAX_INPUT_BYTES", default_value_t = Limits::default().input_bytes)]
    max_input_bytes: u64,

    /// The largest image taken inside a request, in bytes
    #[arg(long, env = "PIXTOLL_MAX_INLINE_BYTES", default_value = "262144")]
    max_inline_bytes: u64,

    /// The largest image taken, in pixels
    #[arg(long, env = "PIXTOLL_MAX_INPUT_PIXELS", default_value_t = Limits::default().input_pixels)]
    max_input_pixels: u64,

    /// The largest image made, in pixels
    #[arg(long, env = "PIXTOLL_MAX_OUTPUT_PIXELS", default_value_t = Limits::default().output_pixels)]
    max_output_pixels: u64,
}

/// What [`crate::run`] needs, validated.
#[derive(Debug)]
pub struct Config {
    pub kafka: Settings,
    pub store: String,
    pub health: Option<SocketAddr>,
    pub threads: usize,
    pub in_flight: usize,
    pub rules: Rules,
}

/// What decides how a request is answered.
#[derive(Debug, Clone)]
pub struct Rules {
    pub region: Region,
    pub worker_class: Label,
    pub max_request_age_ms: i64,
    pub max_inline_bytes: u64,
    pub limits: Limits,
}

impl Cli {
    pub fn config(self) -> anyhow::Result<Config> {
        let kafka = self.kafka.settings().map_err(|e| BadUsage(e.to_string()))?;
        let threads = match self.threads {
            Some(threads) => usize::from(threads),
            None => std::thread::available_parallelism()?.get(),
        };
        let max_request_age_ms = i64::try_from(self.max_request_age.as_millis())?;
        if !(60_000..=DEFAULT_MAX_REQUEST_AGE_MS).contains(&max_request_age_ms) {
            let why = "--max-request-age: from 1m to 24h; dedup looks no further back";
            return Err(BadUsage(why.to_owned()).into());
        }
        Ok(Config {
            kafka,
            store: self.store.store,
            health: self.health.health,
            threads,
            in_flight: self.in_flight.map_or(threads * 8, |n| n as usize),
            rules: Rules {
                region: self.region,
                worker_class: self.worker_class,
                max_request_age_ms,
                max_inline_bytes: self.max_inline_bytes,
                limits: Limits {
                    input_bytes: self.max_input_bytes,
                    input_pixels: self.max_input_pixels,
                    output_pixels: self.max_output_pixels,
                    ..Limits::default()
                },
            },
        })
    }
}
