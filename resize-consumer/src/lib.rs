//! A request in; an image, and one usage event, out.
//!
//! ```text
//!   poll (one thread) ─▶ answer (pool): in range? ─▶ source ─▶ digest ─▶ resize ─▶ put ─▶ usage event ─▶ acknowledged
//!        ▲                                                                                                   │
//!        └── commit the highest offset below which all is done ◀─────────────────────────────────────────────┘
//!
//!   accounts ─▶ presets (one thread)          a store that is away opens a breaker, which pauses the partitions
//! ```
//!
//! [`engine`] (a crate of its own) is pure: bytes and parameters in, bytes and measures out.

mod answer;
mod breaker;
pub mod careful;
mod config;
mod intake;
mod limits;
mod memory;
mod metrics;
mod once;
mod owned;
mod pool;
mod presets;
mod retry;
mod watchdog;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use log::Producer;
use service::{BadUsage, Health, Shutdown};
use store::Store;

use self::answer::Answerer;
use self::careful::Careful;
use self::memory::Memory;
use self::metrics::Metrics;
use self::pool::Pool;
use self::retry::Retries;
use self::watchdog::Progress;

pub use config::{Cli, Config, Rules};

/// How long a usage event waits for others to go with it: seldom longer than storing the next image takes.
const LINGER: Duration = Duration::from_millis(10);

/// Does what the command line asks for: answers requests, or resizes files once.
pub async fn start(cli: Cli, shutdown: Shutdown) -> anyhow::Result<()> {
    match cli.command {
        Some(config::Command::Once(args)) => {
            let resize = move || once::run(&args, &engine::Limits::default(), &shutdown);
            tokio::task::spawn_blocking(resize).await.context("the resizing thread")?
        }
        None => run(cli.config()?, shutdown).await,
    }
}

/// Answers requests until a shutdown is requested; what was begun by then is finished.
pub async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    let store = Store::open_without_retries(&config.store).map_err(|e| BadUsage(format!("--store: {e}")))?;
    let health = Health::default();
    let metrics = Metrics::new(health.metrics());
    if let Some(address) = config.health {
        health.serve(address, shutdown.clone()).await?;
    }
    let progress = Progress::new(metrics.in_work.clone());
    watchdog::watch(Arc::clone(&progress), config.watchdog, shutdown.clone())?;
    let answerer = Arc::new(Answerer {
        producer: Producer::with_linger(&config.kafka, LINGER)?,
        pool: Pool::new(config.threads)?,
        careful: Careful::new(config.careful, config.threads, store.clone(), metrics.clone(), Arc::clone(&progress))?,
        rules: config.rules.clone(),
        retries: Retries::new(config.give_up_after, Arc::clone(&progress), health.clone(), metrics.clone()),
        memory: Memory::new(config.max_bytes_in_flight, metrics.bytes_in_flight.clone()),
        presets: Arc::default(),
        store,
        metrics,
        progress,
    });
    // A bucket that is not there looks, to who reads an object, like an object that is not there.
    tokio::select! {
        found = answerer.retries.store("looking at the store", None, || answerer.store.list_dirs("")) => {
            found.map_err(|e| BadUsage(format!("--store {}: {}", config.store, retry::whole(&e))))?;
        }
        () = shutdown.requested() => return Ok(()),
    }
    answerer.careful.listen(shutdown.clone()).await;
    let presets = Arc::clone(&answerer.presets);
    let (kafka, health_too, stop) = (config.kafka.clone(), health.clone(), Stop(shutdown.clone()));
    let reading = tokio::task::spawn_blocking(move || presets.read(&kafka, &health_too, &stop.0));
    let stop = Stop(shutdown);
    let taking = tokio::task::spawn_blocking(move || intake::take_in(&config, &answerer, &health, &stop.0));
    let (taken, read) = (taking.await.context("the intake thread")?, reading.await.context("the presets' thread")?);
    read.context("reading the accounts")?;
    taken
}

/// However the one thread ends, and be it by a panic, the others end too.
struct Stop(Shutdown);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.request();
    }
}
