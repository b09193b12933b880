//! What careful mode costs: the same worker over the same requests, each conversion in a child process, and none.
//!
//! Both are measured from past the records that any worker does in children after an assignment, to the last answer. CPU
//! time is the worker's and its children's.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use contract::footer::Clock;
use service::CommonArgs;
use service::output::line;

use super::worker::{Answers, PARTITIONS, publish};
use super::{Row, report};
use crate::harness::{Photo, Process, System, Topics};

/// Of each partition, after each assignment.
const WINDOW: usize = 128;

/// Measures what conversions in child processes cost; run it through `make bench`.
#[derive(Debug, Parser)]
pub struct Cli {
    #[command(flatten)]
    pub common: CommonArgs,
    /// Requests per run
    #[arg(long, default_value_t = 2500)]
    requests: usize,
    /// Runs of each; the medians count
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

/// Conversions per second, of the clock and of CPU time.
#[derive(Debug, Clone, Copy)]
struct Rates {
    wall: f64,
    cpu: f64,
}

pub async fn run(cli: &Cli) -> Result<()> {
    let windows = WINDOW * usize::try_from(PARTITIONS)?;
    ensure!(cli.requests >= 2 * windows, "--requests: at least {}", 2 * windows);
    let retina = Photo::all()?.into_iter().find(|photo| &*photo.name == "retina.jpg").context("no retina.jpg")?;
    let (mut careful, mut pooled) = (Vec::new(), Vec::new());
    for run in 1..=cli.runs {
        for (rates, mode) in [(&mut careful, "always"), (&mut pooled, "suspected")] {
            let measured = measure(&retina, cli.requests, windows, mode, run).await?;
            line(format!("run {run}, {mode}: {:.1} per second, {:.1} per CPU-second", measured.wall, measured.cpu));
            rates.push(measured);
        }
    }
    let median = |rates: &[Rates]| -> Result<f64> {
        let mut sorted: Vec<f64> = rates.iter().map(|rates| rates.cpu).collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().context("no runs")
    };
    let case = format!("JPEG {} KB, 2 MP → 320×240 JPEG, in children and not", retina.bytes.len() / 1000);
    let (careful, pooled) = (median(&careful)?, median(&pooled)?);
    let window = format!("CPU milliseconds for the first {WINDOW} records of a partition");
    let milliseconds = |rate: f64| WINDOW as f64 * 1e3 / rate;
    report(
        "careful",
        &[
            Row::new(&case, "conversions per CPU-second", careful, pooled, None),
            Row::new(&case, &window, milliseconds(careful), milliseconds(pooled), None),
        ],
    )
}

async fn measure(photo: &Photo, requests: usize, skipped: usize, mode: &str, run: usize) -> Result<Rates> {
    let topics = Topics::kafka(PARTITIONS, Clock::Broker).await?;
    let system = System::in_files(topics, &format!("bench-careful-{mode}-{run}"))?;
    publish(&system, photo, requests).await?;
    let answers = Answers::new(&system)?;
    let worker = system.worker()?.args(["--log", "warn,service=info", "--careful", mode]).spawn()?;
    let begin = reached(&answers, &worker, skipped + requests / 10).await?;
    let end = reached(&answers, &worker, requests).await?;
    worker.stop(Duration::from_secs(30)).await?;
    let done = (end.answers - begin.answers) as f64;
    Ok(Rates {
        wall: done / end.at.duration_since(begin.at).as_secs_f64(),
        cpu: done / (end.cpu_seconds - begin.cpu_seconds),
    })
}

struct Reached {
    answers: usize,
    at: Instant,
    cpu_seconds: f64,
}

async fn reached(answers: &Answers, worker: &Process, least: usize) -> Result<Reached> {
    let until = Instant::now() + Duration::from_mins(10);
    loop {
        let count = usize::try_from(answers.count()?)?;
        if count >= least {
            return Ok(Reached { answers: count, at: Instant::now(), cpu_seconds: cpu_seconds(worker)? });
        }
        ensure!(Instant::now() < until, "{count} of {least} answers");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// User and system time so far of a process, of its children, and of those that it had. Sources: proc_pid_task(5),
/// `children`; proc_pid_stat(5), fields 14 to 17.
pub(super) fn cpu_seconds(parent: &Process) -> Result<f64> {
    let mut family = vec![parent.id().to_string()];
    for task in fs::read_dir(format!("/proc/{}/task", parent.id()))? {
        let children = fs::read_to_string(task?.path().join("children")).unwrap_or_default();
        family.extend(children.split_whitespace().map(str::to_owned));
    }
    let mut ticks = 0.0;
    for process in family {
        let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
        let after_name = stat.rsplit_once(')').context("a stat line without a name")?.1;
        for field in after_name.split_whitespace().skip(14 - 3).take(4) {
            ticks += field.parse::<f64>()?;
        }
    }
    Ok(ticks / rustix::param::clock_ticks_per_second() as f64)
}
