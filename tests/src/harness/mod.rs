//! What the whole-system tests and the demo are made of.
//!
//! ```text
//!   Topics (Kafka or the embedded broker) ┐
//!   Store (file:// or s3://)              ┴▶ System ─▶ Launch ─▶ Process: a real binary, killed when dropped
//!                                               │
//!   Photo ─▶ Publisher ─▶ Ledger: what was asked for, and what each request should end as
//!                                               │
//!   Landed: what stands in the lake ─▶ Ledger::check
//! ```
//!
//! The ledger is kept by the part that publishes and computes with plain loops. It shares the contract's types with the
//! pipeline and nothing else, so that the two can disagree.

mod check;
mod http;
mod landed;
mod ledger;
mod metrics;
mod outage;
mod photo;
mod process;
mod publisher;
mod system;
mod topics;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

pub use check::{Counts, check_chains, check_results};
pub use landed::{AccountRow, At, DeadLetterRow, Landed, RequestRow, Row, UsageRow};
pub use ledger::{Expected, Fate, Ledger, Sent};
pub use metrics::Samples;
pub use outage::Outage;
pub use photo::{Photo, Sides, sides_of, sides_within};
pub use process::{Finished, Launch, Process};
pub use publisher::{Planned, Publisher};
pub use system::System;
pub use topics::Topics;

const POLL: Duration = Duration::from_millis(200);

/// A binary of this workspace, beside the one that runs.
pub fn bin(name: &str) -> Result<PathBuf> {
    let program = built_folder()?.join(name);
    ensure!(program.is_file(), "{} is missing: run `cargo build --workspace --bins` first", program.display());
    Ok(program)
}

/// Where cargo puts binaries: the folder of this one, or the one above it for a test in `deps`.
pub(crate) fn built_folder() -> Result<PathBuf> {
    let this = std::env::current_exe().context("cannot tell where this program lies")?;
    let folder = this.parent().context("this program lies nowhere")?;
    let above = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    Ok(above.to_owned())
}

/// Asks again and again until there is an answer. `what` ends the sentence "waited … for".
pub async fn wait_for<T>(what: &str, within: Duration, mut ask: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            bail!("waited {within:?} for {what}");
        }
        tokio::time::sleep(POLL).await;
    }
}
