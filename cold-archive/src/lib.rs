//! The archive: sealed once, checked by anyone for ever.
//!
//! ```text
//! seal     landing/ ──plan──▶ rewrite ──▶ archive/files/SHA256.parquet ─┐
//!          bills/runs/ ──▶ copy ────────▶ archive/files/SHA256.*        ├─▶ archive/seals/SEQ.json, signed, last
//! verify   archive/ and a public key from elsewhere ──▶ findings, and the head to keep
//! ```
//!
//! Nothing here deletes or replaces anything. A killed seal leaves files that no manifest lists, which mean nothing.

mod cli;
mod keys;
mod output;
pub mod plan;
pub mod rewrite;
pub mod runs;
pub mod seal;
pub mod sealed_file;
pub mod verify;

use contract::BrokerTime;
use service::Shutdown;

pub use cli::{Cli, Config};

/// Does what was asked. Every command may be ended at any point and given again.
pub async fn run(config: Config, sealed_at: BrokerTime, shutdown: Shutdown) -> anyhow::Result<()> {
    tokio::select! {
        done = work(config, sealed_at) => done,
        () = shutdown.requested() => Err(anyhow::anyhow!("interrupted before the end; give the command again")),
    }
}

async fn work(config: Config, sealed_at: BrokerTime) -> anyhow::Result<()> {
    match config {
        Config::Keygen { out } => output::keygen(&out, &keys::generate(&out)?),
        Config::Seal { working, archive, key } => {
            let progress = output::progress_bar("sealing");
            let outcome = seal::seal(&working, &archive, &key, sealed_at, &progress).await?;
            progress.finish_and_clear();
            output::seal(&outcome);
        }
        Config::Verify { archive, key, expect_head, json } => {
            let progress = output::progress_bar("verifying");
            let report = verify::verify(&archive, &key, expect_head.as_ref(), &progress).await?;
            progress.finish_and_clear();
            if json {
                service::output::json(&report)?;
            } else {
                output::report(&report);
            }
            if !report.findings.is_empty() {
                return Err(service::Failed.into());
            }
        }
    }
    Ok(())
}
