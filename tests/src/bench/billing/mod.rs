//! Deduplicating and adding up a month of usage: `billing-jobs rollup` against DuckDB, DataFusion's SQL and Polars, on
//! the same landed files, on two cores.
//!
//! Each begins with the files and ends with stored sums; turns alternate, so that a busy machine is busy for all. All
//! that a process does is paid for: ours also holds every file against its digest, and keeps the evidence of repeats.
//! Sums and counts must be equal, row for row, or there are no figures; each peer's sums are compared in its first turn.

mod contest;
mod lake;
mod repeats;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use contract::BrokerTime;
use contract::Month;
use service::output::line;
use service::{CommonArgs, Failed, Shutdown};

use self::contest::{Contest, Peer, Run};
use self::lake::{Counts, Lake, Recipe};
use super::Target::{AtLeast, AtMost};
use super::worker::median;
use super::{Row, report};

const SEED: u64 = 20_261_001;
/// See [`Recipe::version`].
const VERSION: u32 = 1;
/// 2026-10, of 744 hours.
const IN_MONTH: BrokerTime = BrokerTime::from_millis(1_790_812_800_000);
const FOLDER: &str = "target/bench/billing";

/// Times the speed of the fastest DuckDB query.
const TIMES_DUCKDB: f64 = 3.0;
const MEMORY_BYTES: f64 = 1_073_741_824.0;
/// Events per CPU-second of a size, as a part of those of the smallest: near-linear.
const LINEAR: f64 = 0.8;

/// Compares what deduplicating and adding up a month of usage takes with DuckDB, DataFusion's SQL and Polars; run it
/// through `make bench-billing`.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Generated lakes stay in target/bench/billing, about 50 bytes an event, for the next run.
Exit code 1 when a target is missed; the rows say which.

Examples:
  make bench-billing
  make bench-billing ARGS='--events 5000000 --runs 1'
  make bench-billing ARGS='--events 5000000 --events 50000000 --events 200000000'"
)]
pub struct Cli {
    #[command(flatten)]
    pub common: CommonArgs,
    /// Usage events of the month; may be given several times
    #[arg(long, default_values_t = [50_000_000], value_parser = clap::value_parser!(i64).range(1000..))]
    events: Vec<i64>,
    /// Customers that they are of
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=16_000_000))]
    customers: u64,
    /// Runs of each; the medians count
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    runs: u8,
    /// Only these peers; may be given several times
    #[arg(long = "peer", value_enum, default_values_t = Peer::ALL)]
    peers: Vec<Peer>,
    /// More events than so many are ours alone
    #[arg(long, default_value_t = 50_000_000, value_name = "EVENTS")]
    peers_up_to: i64,
    /// What ours is told to hold at most
    #[arg(long, default_value_t = 512, value_name = "MIB")]
    memory_mib: u32,
    /// What DuckDB and DataFusion are told to hold at most; then they spill
    #[arg(long, default_value_t = 8192, value_name = "MIB")]
    peer_memory_mib: u32,
}

/// What came of one size.
struct Outcome {
    events: i64,
    ours: Vec<Run>,
    peers: BTreeMap<Peer, Vec<Run>>,
}

pub async fn run(cli: &Cli, shutdown: &Shutdown) -> Result<()> {
    let month = Month::of(IN_MONTH).context("no month")?;
    let mut sizes = cli.events.clone();
    sizes.sort_unstable();
    sizes.dedup();
    let mut outcomes = Vec::new();
    for events in sizes {
        let recipe = Recipe { version: VERSION, seed: SEED, month, events, customers: cli.customers };
        let lake = Lake::stand(&Path::new(FOLDER).join(format!("lake-{events}")), recipe, shutdown).await?;
        let contest = Contest {
            lake: &lake,
            month,
            memory_mib: cli.memory_mib,
            peer_memory_mib: cli.peer_memory_mib,
            folder: std::path::absolute(FOLDER)?.join("results"),
        };
        outcomes.push(race(cli, &contest, shutdown)?);
    }
    let rows = rows(&outcomes, cli.customers)?;
    report("billing", &rows)?;
    if rows.iter().any(Row::missed) {
        bail!(Failed);
    }
    Ok(())
}

fn race(cli: &Cli, contest: &Contest<'_>, shutdown: &Shutdown) -> Result<Outcome> {
    let Counts { landed: events, duplicates, conflicts } = contest.lake.counts;
    line(format!("\n{events} events, {duplicates} duplicates, {conflicts} conflicts"));
    let peers: &[Peer] = if events > cli.peers_up_to { &[] } else { &cli.peers };
    let mut outcome = Outcome { events, ours: Vec::new(), peers: BTreeMap::new() };
    // So that nobody is the first to read the files from the disk.
    read_all(&contest.lake.folder.join("landing"))?;
    for turn in 1..=cli.runs {
        let (run, counts) = contest.ours()?;
        ensure!(counts == contest.lake.counts, "ours counted {counts:?} of {:?}", contest.lake.counts);
        tell(turn, "ours", run);
        outcome.ours.push(run);
        for peer in peers {
            ensure!(!shutdown.is_requested(), "interrupted");
            let run = contest.peer(*peer)?;
            tell(turn, peer.name(), run);
            outcome.peers.entry(*peer).or_default().push(run);
            if turn == 1 {
                let rows = contest.compare(*peer, events - duplicates)?;
                line(format!("  {rows} rows of sums, equal to ours"));
            }
        }
        ensure!(!shutdown.is_requested(), "interrupted");
    }
    if !peers.is_empty() {
        let counted = contest.counted()?;
        ensure!(counted == contest.lake.counts, "DuckDB counted {counted:?} of {:?}", contest.lake.counts);
    }
    contest.lake.forget_rollups()?;
    if contest.folder.exists() {
        fs::remove_dir_all(&contest.folder)?;
    }
    Ok(outcome)
}

fn tell(turn: u8, who: &str, run: Run) {
    let Run { wall_seconds, cpu_seconds, peak_bytes } = run;
    let mib = peak_bytes / f64::from(1 << 20);
    line(format!("run {turn}, {who}: {wall_seconds:.1} s, {cpu_seconds:.1} CPU-seconds, {mib:.0} MiB"));
}

fn read_all(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            read_all(&path)?;
        } else {
            io::copy(&mut File::open(&path)?, &mut io::sink())?;
        }
    }
    Ok(())
}

/// What is asked for first, then what is good to know.
fn rows(outcomes: &[Outcome], customers: u64) -> Result<Vec<Row>> {
    type Figure = fn(&Run) -> f64;
    let figure = |runs: &[Run], of: Figure| median(runs.iter().map(of).collect());
    let wall: Figure = |run| run.wall_seconds;
    let cpu: Figure = |run| run.cpu_seconds;
    let case = |outcome: &Outcome| format!("{} events of {customers} customers, file://, 2 cores", outcome.events);
    let (mut asked, mut known) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        let (case, events) = (case(outcome), outcome.events as f64);
        let memory = figure(&outcome.ours, |run| run.peak_bytes)?;
        let (per_second, per_cpu_second) =
            (events / figure(&outcome.ours, wall)?, events / figure(&outcome.ours, cpu)?);
        asked.push(Row::new(&case, "peak resident bytes; limit", memory, MEMORY_BYTES, AtMost(1.0)));
        known.push(Row::new(&case, "events per second; per CPU-second", per_second, per_cpu_second, None));
        for (peer, runs) in &outcome.peers {
            let (name, target) = (peer.name(), (*peer == Peer::Duckdb).then_some(AtLeast(TIMES_DUCKDB)));
            let rows = if target.is_some() { &mut asked } else { &mut known };
            let (their_wall, their_cpu) = (events / figure(runs, wall)?, events / figure(runs, cpu)?);
            rows.push(Row::new(&case, &format!("events per CPU-second, {name}"), per_cpu_second, their_cpu, target));
            rows.push(Row::new(&case, &format!("events per second, {name}"), per_second, their_wall, target));
            let their_memory = figure(runs, |run| run.peak_bytes)?;
            known.push(Row::new(&case, &format!("peak resident bytes, {name}"), memory, their_memory, None));
        }
    }
    if let Some((smallest, larger)) = outcomes.split_first() {
        let rate = |outcome: &Outcome| anyhow::Ok(outcome.events as f64 / figure(&outcome.ours, cpu)?);
        for outcome in larger {
            let metric = format!("events per CPU-second; of {} events", smallest.events);
            asked.push(Row::new(&case(outcome), &metric, rate(outcome)?, rate(smallest)?, AtLeast(LINEAR)));
        }
    }
    asked.append(&mut known);
    Ok(asked)
}
