//! What the demo tells as it goes.

use std::fmt::Display;
use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use contract::Month;
use indicatif::{ProgressBar, ProgressStyle};
use service::output::line;

use crate::harness::{Landed, Ledger, System, wait_for};

pub(super) fn step(title: impl Display) {
    line(format!("\n== {title}"));
}

pub(super) fn done(what: impl Display) {
    line(format!("   {what}"));
}

/// Waits until that much of all published requests is answered and landed.
pub(super) async fn with_progress(
    what: &str,
    ledger: &Ledger,
    system: &System,
    percent: usize,
    within: Duration,
) -> Result<Landed> {
    let total = ledger.requests.len();
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new(total as u64) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("   {bar:40} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    let enough = (total * percent).div_ceil(100);
    let bar_of = &bar;
    let landed = wait_for("the requests to be answered and landed", within, || async move {
        let landed = system.landed().await?;
        let closed = total - ledger.open(&landed).len();
        bar_of.set_position(closed as u64);
        Ok((closed >= enough).then_some((closed, landed)))
    });
    let (closed, landed) =
        landed.await.with_context(|| format!("{what}: see the logs in {}", system.folder().display()))?;
    bar.finish_and_clear();
    done(format!("{closed} of {total} requests {what}"));
    Ok(landed)
}

pub(super) fn summary(data: &Path, images: usize, month: Month, took: Duration) {
    let at = |name: &str| data.join(name).display().to_string();
    step(format!("Done in {} s", took.as_secs()));
    done(format!("images    {} ({images} files)", at("images")));
    done(format!("segments  {}", at("store/landing")));
    done(format!("bills     {} (final bills of {month}, JSON lines and Parquet)", at("bills")));
    done(format!("archive   {}", at("archive")));
    done(format!("logs      {}", at("logs")));
    line("\nLook around:");
    line(format!("  target/debug/billing-jobs show --month {month} --store {}", at("store")));
    line(format!("  target/debug/cold-archive verify --archive {} --public-key {}", at("archive"), at("seal.key.pub")));
}
