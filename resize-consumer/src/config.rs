//! Flags, and the configuration made of them once.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use contract::Region;
use contract::ids::Label;
use contract::time::DEFAULT_MAX_REQUEST_AGE_MS;
use log::{KafkaArgs, Settings};
use service::BadUsage;
use service::flags::{CommonArgs, HealthArgs, StoreArgs};

use engine::Limits;

use crate::limits::LimitArgs;
use crate::{careful, once};

/// Resizes: takes requests from the log, puts the images into the store, and answers each with one usage event.
///
/// Stateless: any number of instances share the partitions. Killed anywhere, it repeats work and loses none.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  resize-consumer --brokers localhost:9092 --store ./data
  resize-consumer --store s3://pixtoll --threads 8 --health 127.0.0.1:8080
  resize-consumer once --in a.jpg --width 320 --out b.webp"
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

    /// The largest image taken inside a request, in bytes
    #[arg(long, env = "PIXTOLL_MAX_INLINE_BYTES", default_value = "262144")]
    max_inline_bytes: u64,

    /// Sources and results in memory at once, in bytes; while there are more, none is fetched
    #[arg(long, env = "PIXTOLL_MAX_BYTES_IN_FLIGHT", value_name = "N", default_value_t = 512 << 20)]
    max_bytes_in_flight: u64,

    /// How long trouble with the store or the broker is waited out before the process ends
    #[arg(long, env = "PIXTOLL_GIVE_UP_AFTER", default_value = "1h", value_parser = humantime::parse_duration)]
    give_up_after: Duration,

    /// End the process when there is work and none of it has progressed for so long
    #[arg(long, env = "PIXTOLL_WATCHDOG", default_value = "60s", value_parser = humantime::parse_duration)]
    watchdog: Duration,

    // The headings of these go on to what stands below them.
    #[command(flatten)]
    careful: CarefulArgs,
    #[command(flatten)]
    limits: LimitArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Resize a file, or the files of a folder, on this machine, and print what that used
    Once(Box<once::Args>),
}

/// What runs in child processes, and within what.
#[derive(Debug, Args)]
#[command(next_help_heading = "Careful mode")]
struct CarefulArgs {
    /// What is resized in child processes: what is suspected of crashing a decoder (the first requests of a partition
    /// that the worker before may have died of, and all of a customer whose image has crashed one), or always all
    #[arg(long, env = "PIXTOLL_CAREFUL", value_enum, default_value = "suspected")]
    careful: When,

    /// CPU time that a child may take for one image
    #[arg(long, env = "PIXTOLL_CAREFUL_CPU_SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    careful_cpu_seconds: u64,

    /// How long a customer is suspected after an image that crashed a decoder
    #[arg(long, env = "PIXTOLL_CAREFUL_SUSPICION", default_value = "10m", value_parser = humantime::parse_duration)]
    careful_suspicion: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum When {
    Suspected,
    Always,
}

impl CarefulArgs {
    fn rules(&self) -> careful::Rules {
        careful::Rules {
            always: self.careful == When::Always,
            cpu_seconds: self.careful_cpu_seconds,
            suspicion: self.careful_suspicion,
        }
    }
}

/// What [`crate::run`] needs, validated.
#[derive(Debug)]
pub struct Config {
    pub kafka: Settings,
    pub store: String,
    pub health: Option<SocketAddr>,
    pub threads: usize,
    pub in_flight: usize,
    pub max_bytes_in_flight: u64,
    pub give_up_after: Duration,
    pub watchdog: Duration,
    pub rules: Rules,
    pub careful: careful::Rules,
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
        if self.watchdog < Duration::from_secs(1) {
            return Err(BadUsage("--watchdog: at least 1s; an image may take seconds".to_owned()).into());
        }
        if self.careful.careful_suspicion > Duration::from_hours(24) {
            return Err(BadUsage("--careful-suspicion: at most 24h".to_owned()).into());
        }
        Ok(Config {
            kafka,
            store: self.store.store,
            health: self.health.health,
            threads,
            in_flight: self.in_flight.map_or(threads * 8, |n| n as usize),
            max_bytes_in_flight: self.max_bytes_in_flight,
            give_up_after: self.give_up_after,
            watchdog: self.watchdog,
            careful: self.careful.rules(),
            rules: Rules {
                region: self.region,
                worker_class: self.worker_class,
                max_request_age_ms,
                max_inline_bytes: self.max_inline_bytes,
                limits: self.limits.limits(),
            },
        })
    }
}
