//! The worker end to end, over a real Kafka and `file://`: how much of a CPU-second goes into conversions, and how soon
//! an answer is there.
//!
//! Saturation: all requests are published first; then one worker is started. Once it is past the first records of its
//! partitions, which it does in child processes, its CPU time (user and system) is read, and again at the last answer:
//! fetching, storing and producing are paid for. Beside each run the engine alone does the same work on one thread.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use contract::footer::Clock;
use contract::layout::Topic;
use contract::request::Attempt;
use contract::resize::{OutputFormat, Resize};
use contract::{CustomerId, Digest, ResizeRequest};
use engine::{Engine, Limits};
use log::{Consumer, Nobody, Partition, Reset};
use rustix::time::{ClockId, clock_gettime};
use service::output::line;
use service::{CommonArgs, clock};

use super::careful::cpu_seconds;
use super::{Row, Target, latency, report};
use crate::harness::{Photo, Planned, Process, Publisher, System, Topics, wait_for};

/// What the plan that this replaces assumed: conversions per second and core.
const PLANNED: f64 = 10.0;
/// What is asked for: that many times the plan.
const TARGET: f64 = 6.0;
/// The worker's conversions per CPU-second, as a part of the engine's alone.
const EFFICIENCY: f64 = 0.8;
const P99_MILLIS: f64 = 100.0;
pub(super) const PARTITIONS: i32 = 4;
/// More than a worker does in child processes after it was assigned its partitions.
const WARM_UP: usize = 700;
/// So many different objects, as a cache would otherwise hide reading them.
const SOURCES: usize = 200;
/// Conversions by the engine alone, beside each run.
const ALONE: usize = 400;

/// Measures a worker's conversions per CPU-second and its latency; run it through `make bench`.
#[derive(Debug, Parser)]
pub struct Cli {
    #[command(flatten)]
    pub common: CommonArgs,
    /// Requests per run
    #[arg(long, default_value_t = 4000)]
    requests: usize,
    /// Runs; the medians count
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// How long requests are sent at half of the rate that saturates the worker, in seconds
    #[arg(long, default_value_t = 20)]
    latency_seconds: u32,
}

pub async fn run(cli: &Cli) -> Result<()> {
    ensure!(cli.requests > 2 * WARM_UP, "--requests: more than {}", 2 * WARM_UP);
    let retina = Photo::all()?.into_iter().find(|photo| &*photo.name == "retina.jpg").context("no retina.jpg")?;
    let photos = many(&retina);
    let (mut rates, mut alone, mut walls) = (Vec::new(), Vec::new(), Vec::new());
    for run in 1..=cli.runs {
        let engine = engine_alone(&photos)?;
        let Rates { per_cpu_second, per_second } = saturate(&retina, cli.requests, run).await?;
        line(format!(
            "run {run}: {per_cpu_second:.1} conversions per CPU-second, {per_second:.1} per second; the engine alone \
             {engine:.1} per CPU-second"
        ));
        rates.push(per_cpu_second);
        alone.push(engine);
        walls.push(per_second);
    }
    let (rate, alone, wall) = (median(rates)?, median(alone)?, median(walls)?);
    let half = wall / 2.0;
    let latency = at_rate(&retina, half, cli.latency_seconds).await?;
    let kilobytes = retina.bytes.len() / 1000;
    let case = format!("JPEG {kilobytes} KB, 2 MP → 320×240 JPEG, Kafka and file://");
    let at_half = format!("{case}, {half:.0}/s, half of saturation");
    let rows = [
        Row::new(&case, "conversions per CPU-second: worker, plan", rate, PLANNED, Target::AtLeast(TARGET)),
        Row::new(&case, "conversions per CPU-second: worker, engine alone", rate, alone, Target::AtLeast(EFFICIENCY)),
        Row::new(&at_half, "p50 from request to answer, ms; limit of p99", latency.p50, P99_MILLIS, None),
        Row::new(&at_half, "p99 from request to answer, ms; limit", latency.p99, P99_MILLIS, Target::AtMost(1.0)),
    ];
    report("worker", &rows)?;
    ensure!(!rows.iter().any(Row::missed), "a target was missed");
    Ok(())
}

struct Rates {
    per_cpu_second: f64,
    per_second: f64,
}

async fn saturate(photo: &Photo, requests: usize, run: usize) -> Result<Rates> {
    let system = system(&format!("bench-worker-{run}")).await?;
    publish(&system, photo, requests).await?;
    let answers = Answers::new(&system)?;
    let worker = worker(&system)?;
    let (begun, first, cpu_before) = (answers.reach(WARM_UP).await?, answers.count()?, cpu_seconds(&worker)?);
    let (ended, last, cpu_after) = (answers.reach(requests).await?, answers.count()?, cpu_seconds(&worker)?);
    worker.stop(Duration::from_secs(30)).await?;
    let conversions = (last - first) as f64;
    let wall = ended.duration_since(begun).as_secs_f64();
    Ok(Rates { per_cpu_second: conversions / (cpu_after - cpu_before), per_second: conversions / wall })
}

async fn at_rate(photo: &Photo, rate: f64, seconds: u32) -> Result<latency::Latency> {
    let system = system("bench-worker-latency").await?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
    let requests = WARM_UP + (rate * f64::from(seconds)) as usize;
    let (_, asked) = upload(&system, photo, requests).await?;
    let records: Result<_, _> = asked.iter().map(|(_, request)| request.to_record(&Attempt::default())).collect();
    let worker = worker(&system)?;
    let latency = latency::measure(&system, records?, rate, WARM_UP).await?;
    worker.stop(Duration::from_secs(30)).await?;
    Ok(latency)
}

pub(super) fn median(mut figures: Vec<f64>) -> Result<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().context("no runs")
}

fn resize() -> Resize {
    Resize { width: Some(320), height: Some(240), format: Some(OutputFormat::Jpeg), ..Resize::default() }
}

/// Conversions per CPU-second of one thread that does nothing else.
fn engine_alone(photos: &[Photo]) -> Result<f64> {
    let (mut engine, limits, params) = (Engine::default(), Limits::default(), resize());
    engine.resize(&photos[0].bytes, &params, &limits)?;
    let begun = clock_gettime(ClockId::ThreadCPUTime);
    for photo in photos.iter().cycle().take(ALONE) {
        engine.resize(&photo.bytes, &params, &limits)?;
    }
    let ended = clock_gettime(ClockId::ThreadCPUTime);
    let nanos = (ended.tv_sec - begun.tv_sec) * 1_000_000_000 + (ended.tv_nsec - begun.tv_nsec);
    Ok(ALONE as f64 / (nanos as f64 / 1e9))
}

/// The photograph with a number behind its end.
fn many(photo: &Photo) -> Vec<Photo> {
    let numbered = |n: usize| {
        let bytes = [photo.bytes.as_ref(), format!("{n}").as_bytes()].concat();
        Photo { sha256: Digest::of(&bytes), bytes: bytes.into(), ..photo.clone() }
    };
    (0..SOURCES).map(numbered).collect()
}

async fn system(name: &str) -> Result<System> {
    System::in_files(Topics::kafka(PARTITIONS, Clock::Broker).await?, name)
}

/// Requests over the many photographs, which are uploaded, about to be sent.
async fn upload(system: &System, photo: &Photo, count: usize) -> Result<(Publisher, Vec<(Photo, ResizeRequest)>)> {
    let (customer, resize): (CustomerId, _) = ("bench".parse()?, resize());
    let (mut publisher, photos) = (system.publisher()?, many(photo));
    for photo in &photos {
        publisher.upload(&customer, photo).await?;
    }
    let mut request = |photo: &Photo| (photo.clone(), publisher.request(&customer, photo, &resize, clock::now()));
    let requests = photos.iter().cycle().take(count).map(&mut request).collect();
    Ok((publisher, requests))
}

pub(super) async fn publish(system: &System, photo: &Photo, requests: usize) -> Result<()> {
    let (mut publisher, requests) = upload(system, photo, requests).await?;
    let planned: Result<Vec<_>> = requests.iter().map(|(photo, request)| Planned::request(request, photo)).collect();
    publisher.publish(planned?).await
}

fn worker(system: &System) -> Result<Process> {
    system.worker()?.args(["--log", "warn,service=info"]).spawn()
}

/// Counts the records of `usage.events` by the ends of its partitions.
pub(super) struct Answers(Consumer);

impl Answers {
    pub(super) fn new(system: &System) -> Result<Self> {
        let nobody = std::sync::Arc::new(Nobody);
        Ok(Self(Consumer::read_all(&system.topics.settings()?, &[Topic::Usage], Reset::Earliest, nobody)?))
    }

    pub(super) fn count(&self) -> Result<i64> {
        let ends = (0..PARTITIONS).map(|partition| self.0.watermarks(Partition { topic: Topic::Usage, partition }));
        ends.map(|end| Ok(end?.1)).sum()
    }

    async fn reach(&self, wanted: usize) -> Result<Instant> {
        let ask = async || Ok((usize::try_from(self.count()?)? >= wanted).then(Instant::now));
        wait_for("the requests to be answered", Duration::from_mins(10), ask).await
    }
}
