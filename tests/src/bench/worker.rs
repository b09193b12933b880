//! The worker end to end, over a real Kafka and `file://`: conversions per CPU-second of its process.
//!
//! All requests are published first; then one worker is started, and its CPU time (user and system) is read from when it
//! is started until the last answer is on the log. So starting, fetching, storing and producing are paid for.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use contract::footer::Clock;
use contract::layout::Topic;
use contract::request::{OutputFormat, Resize};
use contract::{CustomerId, Digest};
use log::{Consumer, Nobody, Partition, Reset};
use service::output::line;
use service::{CommonArgs, clock};

use super::{Row, report};
use crate::harness::{Photo, Planned, Process, System, Topics, wait_for};

/// What the plan that this replaces assumed: conversions per second and core.
const PLANNED: f64 = 10.0;
/// What is asked for: that many times the plan.
const TARGET: f64 = 6.0;
const PARTITIONS: i32 = 4;
/// So many different objects, as a cache would otherwise hide reading them.
const SOURCES: usize = 200;

/// Measures a worker's conversions per CPU-second; run it through `make bench`.
#[derive(Debug, Parser)]
pub struct Cli {
    #[command(flatten)]
    pub common: CommonArgs,
    /// Requests per run
    #[arg(long, default_value_t = 2000)]
    requests: usize,
    /// Runs; the median counts
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

pub async fn run(cli: &Cli) -> Result<()> {
    let retina = Photo::all()?.into_iter().find(|photo| &*photo.name == "retina.jpg").context("no retina.jpg")?;
    let mut rates = Vec::new();
    for run in 1..=cli.runs {
        let (rate, wall) = measure(&retina, cli.requests, run).await?;
        line(format!("run {run}: {rate:.1} conversions per CPU-second, {wall:.1} per second"));
        rates.push(rate);
    }
    rates.sort_by(f64::total_cmp);
    let median = rates.get(rates.len() / 2).copied().context("no runs")?;
    let kilobytes = retina.bytes.len() / 1000;
    let case = format!("JPEG {kilobytes} KB, 2 MP → 320×240 JPEG, Kafka and file://");
    report("worker", &[Row::new(&case, "conversions per CPU-second of the worker", median, PLANNED, TARGET)])?;
    ensure!(median / PLANNED >= TARGET, "{median:.1} conversions per CPU-second is below the target");
    Ok(())
}

async fn measure(photo: &Photo, requests: usize, run: usize) -> Result<(f64, f64)> {
    let system = System::in_files(Topics::kafka(PARTITIONS, Clock::Broker).await?, &format!("bench-worker-{run}"))?;
    publish(&system, photo, requests).await?;
    let answers = Answers::new(&system)?;
    let started = Instant::now();
    let worker = system.worker()?.args(["--log", "warn,service=info"]).spawn()?;
    wait_for("all requests to be answered", Duration::from_mins(10), || {
        let answered = answers.count();
        async move { Ok((usize::try_from(answered?)? >= requests).then_some(())) }
    })
    .await?;
    let (wall, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds(&worker)?);
    worker.stop(Duration::from_secs(30)).await?;
    Ok((requests as f64 / cpu, requests as f64 / wall))
}

/// Requests over as many different objects as [`SOURCES`]: the photograph with a number behind its end.
async fn publish(system: &System, photo: &Photo, requests: usize) -> Result<()> {
    let customer_id: CustomerId = "bench".parse()?;
    let mut publisher = system.publisher()?;
    let mut photos = Vec::new();
    for n in 0..SOURCES {
        let bytes = [photo.bytes.as_ref(), format!("{n}").as_bytes()].concat();
        photos.push(Photo { sha256: Digest::of(&bytes), bytes: bytes.into(), ..photo.clone() });
    }
    for photo in &photos {
        publisher.upload(&customer_id, photo).await?;
    }
    let format = Some(OutputFormat::Jpeg);
    let resize = Resize { width: Some(320), height: Some(240), format, ..Resize::default() };
    let mut planned = Vec::new();
    for photo in photos.iter().cycle().take(requests) {
        let asked = publisher.request(&customer_id, photo, &resize, clock::now());
        planned.push(Planned::request(&asked, photo)?);
    }
    publisher.publish(planned).await
}

/// Counts the records of `usage.events` by the ends of its partitions.
struct Answers(Consumer);

impl Answers {
    fn new(system: &System) -> Result<Self> {
        let nobody = std::sync::Arc::new(Nobody);
        Ok(Self(Consumer::read_all(&system.topics.settings()?, &[Topic::Usage], Reset::Earliest, nobody)?))
    }

    fn count(&self) -> Result<i64> {
        let ends = (0..PARTITIONS).map(|partition| self.0.watermarks(Partition { topic: Topic::Usage, partition }));
        ends.map(|end| Ok(end?.1)).sum()
    }
}

/// User and system time of a process so far. Source: proc(5), `/proc/pid/stat`, fields 14 and 15.
fn cpu_seconds(process: &Process) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.id()))?;
    let after_name = stat.rsplit_once(')').context("a stat line without a name")?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |n: usize| -> Result<f64> { Ok(fields.get(n - 3).context("a short stat line")?.parse()?) };
    Ok((ticks(14)? + ticks(15)?) / rustix::param::clock_ticks_per_second() as f64)
}
