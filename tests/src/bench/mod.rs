//! Benchmarks: each prints its table and leaves it as rows in `target/bench/NAME.json`.
#![allow(clippy::cast_precision_loss)] // figures for people to read

pub mod billing;
pub mod careful;
pub mod landing;
mod latency;
pub mod resize;
pub mod worker;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use service::output::line;

/// One line of a benchmark's table.
#[derive(Debug, Serialize)]
pub struct Row {
    pub case: String,
    pub metric: String,
    pub ours: f64,
    pub peer: f64,
    pub ratio: f64,
    /// `None` where the row is there to be known.
    pub target: Option<Target>,
}

/// What the ratio is to be.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Row {
    pub fn new(case: &str, metric: &str, ours: f64, peer: f64, target: impl Into<Option<Target>>) -> Self {
        Self { case: case.to_owned(), metric: metric.to_owned(), ours, peer, ratio: ours / peer, target: target.into() }
    }

    pub fn missed(&self) -> bool {
        // What is no number has missed too.
        let met = match self.target {
            Some(Target::AtLeast(target)) => self.ratio >= target,
            Some(Target::AtMost(target)) => self.ratio <= target,
            None => true,
        };
        !met
    }

    fn target(&self) -> String {
        let missed = if self.missed() { ", missed" } else { "" };
        match self.target {
            Some(Target::AtLeast(target)) => format!("≥ {target}{missed}"),
            Some(Target::AtMost(target)) => format!("≤ {target}{missed}"),
            None => String::new(),
        }
    }
}

/// Prints the rows and writes them beside the build.
pub fn report(name: &str, rows: &[Row]) -> Result<()> {
    line("| case | metric | ours | peer | ratio | target |\n|---|---|---|---|---|---|");
    for row in rows {
        let Row { case, metric, ratio, .. } = row;
        let (ours, peer, target) = (figure(row.ours), figure(row.peer), row.target());
        line(format!("| {case} | {metric} | {ours} | {peer} | {ratio:.3} | {target} |"));
    }
    let folder = Path::new("target/bench");
    fs::create_dir_all(folder)?;
    let file = folder.join(format!("{name}.json"));
    fs::write(&file, serde_json::to_string_pretty(rows)?).with_context(|| file.display().to_string())
}

/// As many digits as tell something.
fn figure(value: f64) -> String {
    match value.abs() {
        small if small < 2.0 => format!("{value:.4}"),
        middle if middle < 100.0 => format!("{value:.2}"),
        _ => format!("{value:.1}"),
    }
}
