//! Benchmarks: each prints its table and leaves it as rows in `target/bench/NAME.json`.
#![allow(clippy::cast_precision_loss)] // figures for people to read

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
    pub target: f64,
}

impl Row {
    pub fn new(case: &str, metric: &str, ours: f64, peer: f64, target: f64) -> Self {
        Self { case: case.to_owned(), metric: metric.to_owned(), ours, peer, ratio: ours / peer, target }
    }
}

/// Prints the rows and writes them beside the build.
pub fn report(name: &str, rows: &[Row]) -> Result<()> {
    line("| case | metric | ours | peer | ratio | target |\n|---|---|---|---|---|---|");
    for Row { case, metric, ours, peer, ratio, target } in rows {
        line(format!("| {case} | {metric} | {ours:.1} | {peer:.1} | {ratio:.1} | {target:.1} |"));
    }
    let folder = Path::new("target/bench");
    fs::create_dir_all(folder)?;
    let file = folder.join(format!("{name}.json"));
    fs::write(&file, serde_json::to_string_pretty(rows)?).with_context(|| file.display().to_string())
}
