//! A request in; an image, and one usage event, out.
//!
//! ```text
//!   poll (one thread) ─▶ answer: in range? ─▶ source ─▶ digest ─▶ resize (pool) ─▶ put ─▶ usage event ─▶ acknowledged
//!        ▲                                                                                                   │
//!        └── commit the highest offset below which all is done ◀─────────────────────────────────────────────┘
//! ```
//!
//! [`engine`] is pure: bytes and parameters in, bytes and measures out.

mod answer;
mod config;
pub mod engine;
mod intake;
mod owned;
mod pool;
mod retry;

use std::sync::Arc;

use anyhow::Context as _;
use log::Producer;
use service::{Health, Shutdown};
use store::Store;

pub use config::{Cli, Config, Rules};

/// Answers requests until a shutdown is requested; what was begun by then is finished.
pub async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    let store = Store::open(&config.store).map_err(|e| service::BadUsage(format!("--store: {e}")))?;
    let health = Health::default();
    if let Some(address) = config.health {
        health.serve(address, shutdown.clone()).await?;
    }
    let answerer = Arc::new(answer::Answerer {
        store,
        producer: Producer::new(&config.kafka)?,
        pool: pool::Pool::new(config.threads)?,
        rules: config.rules.clone(),
    });
    tokio::task::spawn_blocking(move || intake::take_in(&config, &answerer, &health, &shutdown))
        .await
        .context("the intake thread")?
}
