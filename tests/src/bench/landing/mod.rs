//! The aggregator over a real Kafka and `file://`: how many usage events a CPU-second lands, in how many bytes; and how
//! soon a partition's head is found in a lake of a million segments.
//!
//! All events are published first, with the settings of our own producer; then one aggregator is started as it comes,
//! and its CPU time (user and system, from its start) is read when all is landed: fetching, validation, Parquet, the
//! chain's hashes and the puts are paid for.

pub mod events;
mod heads;
mod publish;

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use contract::footer::Clock;
use contract::layout::Topic;
use service::CommonArgs;
use service::output::line;

use super::careful::cpu_seconds;
use super::worker::median;
use super::{Row, Target, report};
use crate::harness::{Process, System, Topics, wait_for};

const PARTITIONS: i32 = 4;
/// Usage events landed per CPU-second.
const ASKED: f64 = 300_000.0;
const BYTES_PER_EVENT: f64 = 60.0;
const MEMORY_BYTES: f64 = 536_870_912.0;
const HEAD_MILLIS: f64 = 2000.0;

/// Measures how many usage events an aggregator lands per CPU-second; run it through `make bench-landing`.
#[derive(Debug, Parser)]
pub struct Cli {
    #[command(flatten)]
    pub common: CommonArgs,
    /// Usage events per run
    #[arg(long, default_value_t = 3_000_000)]
    events: usize,
    /// Runs; the medians count
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Segments of the lake in which heads are looked for
    #[arg(long, default_value_t = 1_000_000)]
    segments: i64,
}

pub async fn run(cli: &Cli) -> Result<()> {
    let system = System::in_files(Topics::kafka(PARTITIONS, Clock::Broker).await?, "bench-landing")?;
    let begun = Instant::now();
    publish::publish(&system.topics, cli.events).await?;
    line(format!("{} events published in {:.0} s", cli.events, begun.elapsed().as_secs_f64()));
    let mut runs = Vec::new();
    for run in 1..=cli.runs {
        // A lake of its own; the log is the same.
        let system = System::in_files(system.topics.again()?, &format!("bench-landing-{run}"))?;
        let landed = land(&system, cli.events).await?;
        line(format!("run {run}: {landed:?}"));
        runs.push(landed);
        fs::remove_dir_all(system.folder())?;
    }
    let of = |figure: fn(&Landed) -> f64| median(runs.iter().map(figure).collect());
    let case = format!("{} usage events, {PARTITIONS} partitions, Kafka to file://", cli.events);
    let lake = format!("one partition of {} segments, file://", cli.segments);
    let head = heads::find(cli.segments).await?;
    let (rate, bytes, memory) =
        (of(|run| run.per_cpu_second)?, of(|run| run.bytes_per_event)?, of(|run| run.peak_bytes)?);
    let rows = [
        Row::new(&case, "landed per CPU-second; asked", rate, ASKED, Target::AtLeast(1.0)),
        Row::new(&case, "landed per second; per CPU-second", of(|run| run.per_second)?, rate, None),
        Row::new(&case, "bytes per event; limit", bytes, BYTES_PER_EVENT, Target::AtMost(1.0)),
        Row::new(&case, "peak resident bytes; --memory", memory, MEMORY_BYTES, Target::AtMost(1.0)),
        Row::new(&lake, "head found and read, ms; limit", head, HEAD_MILLIS, Target::AtMost(1.0)),
    ];
    report("landing", &rows)?;
    ensure!(!rows.iter().any(Row::missed), "a target was missed");
    Ok(())
}

#[derive(Debug)]
struct Landed {
    per_cpu_second: f64,
    per_second: f64,
    bytes_per_event: f64,
    peak_bytes: f64,
}

async fn land(system: &System, events: usize) -> Result<Landed> {
    let begun = Instant::now();
    let aggregator = system.on_the_log("aggregator")?.args(["--log", "warn"]).spawn()?;
    let all = async || {
        let landed = landed(system).await?;
        Ok((landed == i64::try_from(events)?).then_some(()))
    };
    wait_for("all to be landed", Duration::from_mins(5), all).await.with_context(|| aggregator.log_tail())?;
    let (seconds, cpu, peak_bytes) = (begun.elapsed().as_secs_f64(), cpu_seconds(&aggregator)?, peak(&aggregator)?);
    aggregator.stop(Duration::from_secs(30)).await?;
    let entries = system.store.list(&contract::layout::landing_topic(Topic::Usage)).await?;
    let bytes: u64 = entries.iter().map(|entry| entry.size).sum();
    let events = events as f64;
    Ok(Landed {
        per_cpu_second: events / cpu,
        per_second: events / seconds,
        bytes_per_event: bytes as f64 / events,
        peak_bytes,
    })
}

/// The records of `usage.events` that are landed.
async fn landed(system: &System) -> Result<i64> {
    let mut sum = 0;
    for partition in 0..PARTITIONS {
        let head = segments::read_head(&system.store, Topic::Usage, partition).await?;
        sum += head.map_or(0, |head| head.footer.next_offset);
    }
    Ok(sum)
}

/// The most that was resident at once. Source: proc_pid_status(5), `VmHWM`.
fn peak(process: &Process) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1024.0)
}
