//! Who is compared, each as a process of its own that begins with the landed files and ends with stored sums.
//!
//! What a peer is asked stands in `tests/bench/billing_peers.py`, how a process is measured in `tests/bench/measure.py`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use contract::Month;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::lake::{Counts, Lake};
use crate::harness::bin;

/// Where `tests/servers/setup.sh billing-peers` puts them.
const PYTHON: &str = "target/bench/billing-peers/bin/python";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(super) enum Peer {
    Duckdb,
    Datafusion,
    Polars,
}

impl Peer {
    pub(super) const ALL: [Self; 3] = [Self::Duckdb, Self::Datafusion, Self::Polars];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Duckdb => "DuckDB",
            Self::Datafusion => "DataFusion SQL",
            Self::Polars => "Polars",
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Duckdb => "duckdb",
            Self::Datafusion => "datafusion",
            Self::Polars => "polars",
        }
    }
}

/// What a process took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) wall_seconds: f64,
    pub(super) cpu_seconds: f64,
    pub(super) peak_bytes: f64,
}

/// The track and its rules.
#[derive(Debug)]
pub(super) struct Contest<'a> {
    pub(super) lake: &'a Lake,
    pub(super) month: Month,
    pub(super) memory_mib: u32,
    pub(super) peer_memory_mib: u32,
    /// Results and what a peer spills; nobody else's.
    pub(super) folder: PathBuf,
}

#[derive(Deserialize)]
struct RolledUp {
    reused: u64,
    figures: Figures,
}

#[derive(Deserialize)]
struct Figures {
    landed: i64,
    duplicates: i64,
    conflicts: i64,
}

/// How the sums of two compare; see `compare` in `billing_peers.py`.
#[derive(Debug, Deserialize)]
struct Compared {
    rows: i64,
    conversions: i64,
    differing: i64,
    example: Option<String>,
}

impl Contest<'_> {
    /// From nothing, and what it says it counted.
    pub(super) fn ours(&self) -> Result<(Run, Counts)> {
        self.lake.forget_rollups()?;
        let memory = self.memory_mib.to_string();
        let month = self.month.to_string();
        let mut command = measured();
        command.arg(bin("billing-jobs")?).args(["rollup", "--json", "--log", "warn", "--region", "eu-1"]);
        command.args(["--threads", "2", "--memory-mib", &memory, "--month", &month]);
        command.arg("--store").arg(&self.lake.folder);
        let (run, output) = measure(command).context("ours")?;
        let RolledUp { reused, figures } = serde_json::from_str(&output).with_context(|| output.clone())?;
        ensure!(reused == 0, "{reused} rollups were there already");
        let Figures { landed, duplicates, conflicts } = figures;
        Ok((run, Counts { landed, duplicates, conflicts }))
    }

    pub(super) fn peer(&self, peer: Peer) -> Result<Run> {
        empty(&self.spill())?;
        empty(&self.result(peer))?;
        let mut command = measured();
        command.args([PYTHON, SCRIPT, peer.word()]).arg(&self.lake.folder).arg(self.result(peer));
        let (run, _) = measure(self.with_limits(command)).context(peer.name())?;
        Ok(run)
    }

    /// Holds all sums of the last run of `peer` against those in the rollups, row for row; both are to have `conversions`.
    /// Answers how many rows there are.
    pub(super) fn compare(&self, peer: Peer, conversions: i64) -> Result<i64> {
        let mut command = Command::new(PYTHON);
        command.args([SCRIPT, "compare"]).arg(&self.lake.folder).arg(self.result(peer));
        let compared: Compared = answer(self.with_limits(command))?;
        let Compared { rows, conversions: counted, differing, example } = compared;
        let example = example.unwrap_or_default();
        ensure!(differing == 0, "{differing} of {rows} sums of {} are not ours, such as {example}", peer.name());
        ensure!(counted == conversions, "{counted} conversions, not {conversions}");
        Ok(rows)
    }

    /// As DuckDB counts them, with no help of ours.
    pub(super) fn counted(&self) -> Result<Counts> {
        let mut command = Command::new(PYTHON);
        command.args([SCRIPT, "count"]).arg(&self.lake.folder).arg(&self.folder);
        answer(self.with_limits(command))
    }

    fn with_limits(&self, mut command: Command) -> Command {
        command.arg("--memory-mib").arg(self.peer_memory_mib.to_string()).arg("--spill").arg(self.spill());
        command
    }

    fn spill(&self) -> PathBuf {
        self.folder.join("spill")
    }

    fn result(&self, peer: Peer) -> PathBuf {
        self.folder.join(peer.word())
    }
}

const SCRIPT: &str = "tests/bench/billing_peers.py";

fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())
}

/// Whatever is appended runs measured, and ends with this process.
fn measured() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", PYTHON, "tests/bench/measure.py"]);
    command
}

fn measure(command: Command) -> Result<(Run, String)> {
    #[derive(Deserialize)]
    struct Measured {
        wall_seconds: f64,
        cpu_seconds: f64,
        peak_bytes: f64,
        output: String,
    }
    let Measured { wall_seconds, cpu_seconds, peak_bytes, output } = answer(command)?;
    Ok((Run { wall_seconds, cpu_seconds, peak_bytes }, output))
}

/// The one line of JSON that it prints.
fn answer<A: DeserializeOwned>(mut command: Command) -> Result<A> {
    ensure!(Path::new(PYTHON).is_file(), "{PYTHON} is missing: `tests/servers/setup.sh billing-peers` installs it");
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "it ended with {}; why may stand above", output.status);
    serde_json::from_slice(&output.stdout).with_context(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
