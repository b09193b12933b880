//! The log, landed: each partition becomes a chain of Parquet segments in the store.
//!
//! ```text
//!   poll ─▶ check the last landed record ─▶ push ─▶ (full or lingered) ─▶ dead letters ─▶ build ─▶ create-only put
//!                                                                                         the put is the commit
//! ```

mod accept_gap;
mod config;
mod lander;
mod metrics;
mod owned;
mod partition;
mod writing;

use anyhow::Context as _;
use service::{Health, Shutdown};
use store::Store;

pub use config::{Cli, Config};

/// Does what the flags say.
pub async fn start(cli: Cli, shutdown: Shutdown) -> anyhow::Result<()> {
    match cli.command {
        Some(config::Command::AcceptGap(args)) => accept_gap::run(*args).await,
        None => run(cli.config()?, shutdown).await,
    }
}

/// Lands until a shutdown is requested; what was read by then is landed.
pub async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    let store = Store::open_without_retries(&config.store).map_err(|e| service::BadUsage(format!("--store: {e}")))?;
    let health = Health::default();
    if let Some(address) = config.health {
        health.serve(address, shutdown.clone()).await?;
    }
    tokio::task::spawn_blocking(move || lander::land(&config, &store, &health, &shutdown))
        .await
        .context("the landing thread")?
}
